"""Options that many commands share, and the configuration they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from cryptowatcher.config import FILE_NAME, Config, Resolved, resolve
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.rules.check import is_pair

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="CRYPTOWATCHER_CONFIG",
        metavar="FILE",
        help="The configuration; without it ./cryptowatcher.toml if there is one, else the defaults.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="FOLDER", help="Where journal and store are kept; goes before the file's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document instead of text for people.")]

# What a rule is made of, wherever one is written on the command line.
When = Annotated[str, typer.Option("--when", "-w", help='The condition: "change(5m) <= -5%", "price >= 70000".')]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it must hold.")]
Rearm = Annotated[str, typer.Option("--rearm", metavar="PERCENT", help="How far back before it can fire again.")]
Cooldown = Annotated[str, typer.Option("--cooldown", metavar="DURATION", help="Silence after firing.")]
Repeat = Annotated[Literal["every", "once"], typer.Option("--repeat", help="Every time, or once a pair.")]
Over = Annotated[bool, typer.Option("--resolved", help="Also told when it is over: the value went back.")]


def resolved(config_file: Path | None, data_dir: Path | None) -> Resolved:
    """The configuration and the origin of each setting, as the command line asks for it."""
    if config_file is None and Path(FILE_NAME).is_file():
        config_file = Path(FILE_NAME)
    return resolve(config_file, os.environ, data_dir=data_dir)


def settings(config_file: Path | None, data_dir: Path | None) -> Config:
    """The configuration as the command line asks for it."""
    return resolved(config_file, data_dir).config


def pair_named(text: str, *, where: str = "PAIR") -> str:
    """`bitcoin` is `bitcoin/usd`."""
    return check_pair(text if "/" in text else f"{text}/usd", where=where)


def pairs_named(text: str, *, where: str) -> str:
    """As a rule names them: `all`, `top(100)`, `list(mine)` as they are, and `bitcoin` is `bitcoin/usd`."""
    return pair_named(text, where=where) if is_pair(text, where=where) else text


def new_app() -> typer.Typer:
    """A command, or a family of commands, in the house's manner."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
