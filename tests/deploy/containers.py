"""Dockerfile, compose file and units, read, and what their tests ask of them."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import yaml

from tests.house.source import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
QUADLET = DEPLOY / "quadlet/cryptowatcher.container"
SERVICE = DEPLOY / "systemd/cryptowatcher.service"
SOCKET = DEPLOY / "systemd/cryptowatcher.socket"
BACKUP = DEPLOY / "systemd/cryptowatcher-backup.service"
TIMER = DEPLOY / "systemd/cryptowatcher-backup.timer"

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WATCHER = SERVICES["cryptowatcher"]

USER = 10001
PORT = 8000
BACKUPS = "/backups"
"""The volume that backups of a container go to."""


def lines_of(file: Path) -> list[str]:
    """Lines of a Dockerfile that say something, continued ones as one."""
    text = re.sub(r"\\\n", " ", file.read_text())
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def instructions(name: str) -> list[str]:
    """The arguments of each such instruction of the image's Dockerfile."""
    return [line.removeprefix(name + " ") for line in lines_of(DOCKERFILE) if line.startswith(name + " ")]


def unit(file: Path) -> dict[str, dict[str, list[str]]]:
    """Section → key → its values, in order: keys of a unit may repeat."""

    class Repeated(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if isinstance(value, list) and key in self:
                self[key].extend(value)
            else:
                super().__setitem__(key, value)

    parser = configparser.RawConfigParser(strict=False, dict_type=Repeated, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep capitals
    parser.read(file)
    return {section: {key: value.split("\n") for key, value in parser[section].items()} for section in parser}


def seconds(text: str) -> int:
    number, of = re.fullmatch(r"(\d+)(s|min|)", text.strip()).groups()  # type: ignore[union-attr]  # or the test fails
    return int(number) * (60 if of == "min" else 1)
