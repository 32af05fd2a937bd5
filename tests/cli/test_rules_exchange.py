"""Rules as a file on the command line."""

from __future__ import annotations

from pathlib import Path

from cryptowatcher.domain.rules.model import Rule
from tests.cli.terminal import Terminal, json_of

ADD = ("rules", "add", "btc drops", "--when", "change(5m) <= -5%", "--pair", "bitcoin")
MORE = '\n[[rules]]\nname = "more"\npairs = ["bitcoin/usd"]\nwhen = "price > 1"\n'
BAD = '\n[[rules]]\nname = "bad"\npairs = ["bitcoin/usd"]\nwhen = "price >> 1"\n'


def names(terminal: Terminal) -> list[str]:
    found = json_of(terminal.run("rules", "list", "--json"), list[Rule])
    assert isinstance(found, list)
    return [rule.spec.name for rule in found]


def test_rules_go_out_and_come_in_by_a_file(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run(*ADD, "--cooldown", "30m")
    file = tmp_path / "some rules.toml"
    assert terminal.run("rules", "export", str(file)).exit_code == 0
    assert terminal.run("rules", "export").stdout == file.read_text()
    terminal.run("rules", "remove", "btc drops")

    file.write_text(file.read_text() + MORE)
    said = terminal.run("rules", "import", str(file))
    assert (said.exit_code, names(terminal)) == (0, [])
    assert "2 added" in said.stderr
    assert terminal.run("rules", "import", str(file), "--write").exit_code == 0
    assert names(terminal) == ["btc drops", "more"]


def test_one_that_is_refused_keeps_the_others_out_unless_it_is_left_out(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.run(*ADD)
    file = tmp_path / "rules.toml"
    file.write_text(MORE + BAD)
    said = terminal.run("rules", "import", str(file), "--write")
    assert (said.exit_code, names(terminal)) == (1, ["btc drops"])
    assert "column 8" in said.stdout
    assert " 10 " in said.stdout
    assert terminal.run("rules", "import", str(file), "--write", "--leave-out").exit_code == 0
    assert names(terminal) == ["btc drops", "more"]


def test_what_is_not_there_is_said(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run(*ADD)
    assert terminal.run("rules", "export", "--rule", "nobody").exit_code == 2
    assert terminal.run("rules", "import", str(tmp_path / "nothing.toml")).exit_code == 2
