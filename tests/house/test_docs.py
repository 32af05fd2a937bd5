"""What the documents say is so: generated pages are current, links lead somewhere, examples load."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from cryptowatcher.cli import reference as cli_reference
from cryptowatcher.config import load
from cryptowatcher.config import reference as config_reference
from tests.house.source import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEXTS = [
    path
    for top in ("src", "tests", "docs", "benchmarks", "requirements", "tools", ".ci", "deploy")
    for path in (ROOT / top).rglob("*")
    if "node_modules" not in path.parts
    and path.is_file()
    and path.suffix in ("", ".py", ".md", ".txt", ".toml", ".sh", ".yml", ".yaml")
] + [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md")]

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s[^)]*)?\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
TOML = re.compile(r"^( *)```toml\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE)
SOMEBODYS_MACHINE = re.compile(r"(?<![\w.:/~-])/(home|root|Users|work|mnt|opt)/\w+")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_the_configuration_page_is_current() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == config_reference.reference(), "run `make docs`"


def test_the_command_line_page_is_what_help_says() -> None:
    assert (ROOT / "docs/cli.md").read_text() == cli_reference.reference(), "run `make docs`"


@pytest.mark.parametrize("section", config_reference.SECTIONS)
def test_every_setting_says_what_it_means(section: str) -> None:
    for struct in config_reference.structs_of(section):
        told = config_reference.meanings(struct.cls)
        silent = [field.encode_name for field in struct.fields if field.encode_name not in told]
        assert not silent, f"the docstring of {struct.cls.__name__} does not explain {silent}"


@pytest.mark.parametrize("page", names(PAGES))
def test_every_relative_link_leads_somewhere(page: str) -> None:
    path = ROOT / page
    prose = CODE.sub("", path.read_text())
    targets = [match["target"] for match in LINK.finditer(prose)]
    inside = [target for target in targets if "://" not in target and not target.startswith(("#", "mailto:"))]
    assert [target for target in inside if not (path.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", names(PAGES))
def test_every_toml_example_is_a_configuration_that_loads(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(TOML.finditer((ROOT / page).read_text())):
        file = tmp_path / f"{number}.toml"
        file.write_text(block["text"])
        load(file, {})


def test_nothing_names_a_folder_of_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TEXTS
        if (match := SOMEBODYS_MACHINE.search(path.read_text()))
    ]
    assert not found


def test_locks_have_hashes_and_no_addresses() -> None:
    for lock in ROOT.glob("requirements/*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "index-url" not in text
        requirements = [block for block in re.split(r"\n(?=\S)", text) if not block.startswith("#")]
        assert [block.split()[0] for block in requirements if "--hash=sha256:" not in block] == []


def test_the_locks_hold_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = set(re.findall(r"^([a-z0-9-]+)", (ROOT / "requirements/runtime.txt").read_text(), re.MULTILINE))
    wanted = {re.split(r"[\[<>=~! ]", each)[0].lower() for each in project["dependencies"]}
    assert wanted <= locked


def test_the_licence_is_the_one_that_is_named() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
