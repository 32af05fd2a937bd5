"""A condition is said back in words, or what is wrong with it is shown, without data or settings."""

from __future__ import annotations

import pytest

from cryptowatcher.cli.rules_check import Bad, Good
from tests.cli.terminal import Terminal, json_of

CHECK = ("rules", "check")


def test_a_condition_is_said_back_in_words(terminal: Terminal) -> None:
    result = terminal.run(*CHECK, "price >= 70000", "--pair", "bitcoin", "--for", "2m", "--cooldown", "30m")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "When the price of bitcoin/usd rises to 70000 or above, and stays so for 2m of observed time, it tells "
        "you. It tells you again only after the price was below 69930 (0.1% back), at most once in 30m.\n"
    )
    assert list(terminal.folder.iterdir()) == []


def test_it_shows_how_the_program_writes_what_is_written_otherwise(terminal: Terminal) -> None:
    result = terminal.run(*CHECK, " 70_000  <  PRICE ", "--repeat", "once")
    assert "any pair" in result.stdout
    assert "once for each pair" in result.stdout
    assert "price > 70000" in result.stderr


def test_a_mistake_stands_under_its_column(terminal: Terminal) -> None:
    result = terminal.run(*CHECK, "price => 5")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert "EXPR" in lines[0]
    assert lines[1].index("=") == lines[2].index("^")
    assert lines[3].strip() == "hint: write price >= 5"


@pytest.mark.parametrize(
    ("args", "where"),
    [
        (("--for", "soon"), "--for"),
        (("--rearm", "1"), "--rearm"),
        (("--cooldown", "soon"), "--cooldown"),
        (("--pair", "a b"), "--pair"),
        (("--pair", "top(0)"), "--pair"),
        (("--pair", "all", "--pair", "bitcoin"), "--pair"),
    ],
)
def test_a_wrong_option_is_named(terminal: Terminal, args: tuple[str, ...], where: str) -> None:
    result = terminal.run(*CHECK, "price > 5", *args)
    assert result.exit_code == 2
    assert f"{where}: " in result.stderr
    as_json = json_of(terminal.run(*CHECK, "price > 5", *args, "--json"), Bad)
    assert isinstance(as_json, Bad)
    assert (as_json.ok, as_json.where, as_json.column) == (False, where, None)


def test_programs_get_both_as_one_document(terminal: Terminal) -> None:
    good = terminal.run(*CHECK, "price  > 5", "--pair", "top(10)", "--json")
    assert (good.exit_code, good.stderr) == (0, "")
    answer = json_of(good, Good)
    assert isinstance(answer, Good)
    assert (answer.ok, answer.when) == (True, "price > 5")
    assert "10 largest pairs" in answer.words
    bad = terminal.run(*CHECK, "price > 5 and", "--json")
    assert (bad.exit_code, bad.stderr) == (2, "")
    mistake = json_of(bad, Bad)
    assert isinstance(mistake, Bad)
    assert (mistake.where, mistake.column) == ("EXPR", 14)
    assert mistake.message.startswith("a comparison is expected here")
