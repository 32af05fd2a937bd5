"""Lists of pairs on the command line."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.watchlists import Watchlist
from tests.cli.terminal import Terminal, json_of, something

A, B = "bitcoin/usd", "ethereum/usd"
ON_MINE = ("rules", "add", "moves", "--when", "change(5m) <= -5%", "--pair", "list(mine)")


def lists(terminal: Terminal) -> dict[str, tuple[str, ...]]:
    found = json_of(terminal.run("lists", "list", "--json"), list[Watchlist])
    assert isinstance(found, list)
    return {each.name: each.pairs for each in found}


def rule(terminal: Terminal) -> Rule:
    found = json_of(terminal.run("rules", "list", "--json"), tuple[Rule])
    assert isinstance(found, tuple)
    (one,) = found
    assert isinstance(one, Rule)
    return one


def test_a_list_is_made_changed_and_deleted(terminal: Terminal) -> None:
    made = json_of(terminal.run("lists", "set", "mine", "bitcoin", "ethereum/usd", "--json"), Watchlist)
    assert made == Watchlist(name="mine", owner="local", pairs=(A, B))
    assert terminal.run("lists", "add", "mine", "pepe", "bitcoin").exit_code == 0
    assert lists(terminal) == {"mine": (A, B, "pepe/usd")}
    assert terminal.run("lists", "remove", "mine", "ethereum").exit_code == 0
    assert lists(terminal) == {"mine": (A, "pepe/usd")}
    assert "pepe/usd" in terminal.run("lists", "list").stdout
    assert terminal.run("lists", "set", "mine").exit_code == 0
    assert lists(terminal) == {"mine": ()}
    assert terminal.run("lists", "delete", "mine").exit_code == 0
    assert lists(terminal) == {}
    assert "lists set" in terminal.run("lists", "list").stderr


def test_rules_on_a_list_have_its_pairs(terminal: Terminal) -> None:
    terminal.run("lists", "set", "mine", "bitcoin")
    assert terminal.run(*ON_MINE).exit_code == 0
    assert (rule(terminal).members, rule(terminal).version) == ((A,), 1)
    terminal.run("lists", "add", "mine", "ethereum")
    assert (rule(terminal).members, rule(terminal).version) == ((A, B), 1)
    assert "moves" in terminal.run("lists", "list").stdout


def test_a_rule_on_a_list_that_is_not_there_is_not_saved(terminal: Terminal) -> None:
    terminal.run("lists", "set", "yours")
    refused = terminal.run(*ON_MINE)
    assert refused.exit_code == 2
    assert "there are: yours" in refused.stderr
    assert json_of(terminal.run("rules", "list", "--json"), list[Rule]) == []


def test_a_list_that_rules_are_on_is_not_deleted(terminal: Terminal) -> None:
    terminal.run("lists", "set", "mine", "bitcoin")
    terminal.run(*ON_MINE)
    refused = terminal.run("lists", "delete", "mine")
    assert refused.exit_code == 2
    assert "moves" in refused.stderr
    assert lists(terminal) == {"mine": (A,)}


@pytest.mark.parametrize("args", [("add", "nope", "bitcoin"), ("remove", "nope", "bitcoin"), ("delete", "nope")])
def test_a_list_that_is_not_there_is_not_ok(terminal: Terminal, args: tuple[str, ...]) -> None:
    terminal.store(something())
    result = terminal.run("lists", *args)
    assert result.exit_code == 1
    assert "'nope'" in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("set", "My List", "bitcoin"), "name of a list"),
        (("set", "mine", "a b"), "not a pair"),
        (("set", "mine", "all/"), "not a pair"),
        (("remove", "mine", "bitcoin"), "not on the list"),
    ],
)
def test_what_is_wrong_changes_nothing(terminal: Terminal, args: tuple[str, ...], said: str) -> None:
    terminal.run("lists", "set", "mine", "ethereum")
    result = terminal.run("lists", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert lists(terminal) == {"mine": (B,)}


def test_a_pair_on_a_list_that_no_source_has_shown_is_named(terminal: Terminal) -> None:
    assert "no source has shown" not in terminal.run("lists", "set", "mine", "bitcon").stderr, "nothing is known"
    terminal.store(something())
    for command in ("set", "add"):
        said = terminal.run("lists", command, "mine", "bitcon", "bitcoin").stderr
        assert "no source has shown bitcon/usd yet (list 'mine'); did you mean bitcoin/usd?" in said
    assert "no source has shown" not in terminal.run("lists", "remove", "mine", "bitcon").stderr
