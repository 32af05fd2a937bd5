"""Rules are changed beside a running watcher, and checked before they are saved."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.rules.model import Rule
from tests.cli.terminal import Terminal, json_of

ADD = ("rules", "add", "btc drops", "--when", "change(5m) <= -5%", "--pair", "bitcoin")


def rules(terminal: Terminal) -> list[Rule]:
    found = json_of(terminal.run("rules", "list", "--json"), list[Rule])
    assert isinstance(found, list)
    return found


def test_a_rule_is_added_changed_and_removed(terminal: Terminal) -> None:
    assert terminal.run(*ADD, "--cooldown", "30m", "--for", "1m", "--advice", "buy").exit_code == 0
    (rule,) = rules(terminal)
    assert (rule.spec.pairs, rule.spec.cooldown, rule.spec.for_, rule.version) == (
        ("bitcoin/usd",),
        "30m",
        "1m",
        1,
    )
    assert json_of(terminal.run(*ADD, "--pair", "pepe", "--json"), Rule) == rules(terminal)[0]
    (rule,) = rules(terminal)
    assert (rule.spec.pairs, rule.version) == (("bitcoin/usd", "pepe/usd"), 2)
    assert "btc drops" in terminal.run("rules", "list").stdout
    assert terminal.run("rules", "remove", "btc drops").exit_code == 0
    assert rules(terminal) == []


def test_a_rule_is_paused_and_resumed_by_name_or_id(terminal: Terminal) -> None:
    terminal.run(*ADD)
    terminal.run("rules", "pause", "btc drops")
    assert rules(terminal)[0].spec.paused
    terminal.run("rules", "resume", rules(terminal)[0].id)
    assert not rules(terminal)[0].spec.paused
    assert rules(terminal)[0].version == 1


@pytest.mark.parametrize("command", ["remove", "pause", "resume"])
def test_a_rule_that_is_not_there_is_not_ok(terminal: Terminal, command: str) -> None:
    result = terminal.run("rules", command, "nope")
    assert result.exit_code == 1
    assert "'nope'" in result.stderr


@pytest.mark.parametrize(
    ("args", "option"),
    [
        (("--when", "chnge(5m) <= -5%", "--pair", "all"), "--when"),
        (("--when", "price > 1", "--pair", "a b"), "--pair"),
        (("--when", "price > 1", "--pair", "all", "--pair", "bitcoin"), "--pair"),
        (("--when", "price > 1", "--pair", "all", "--for", "soon"), "--for"),
        (("--when", "price > 1", "--pair", "all", "--rearm", "1"), "--rearm"),
        (("--when", "price > 1", "--pair", "all", "--channel", "nowhere"), "--channel"),
        (("--pair", "all"), "--when"),
    ],
)
def test_a_wrong_rule_is_not_saved_and_the_option_is_named(
    terminal: Terminal, args: tuple[str, ...], option: str
) -> None:
    result = terminal.run("rules", "add", "x", *args)
    assert result.exit_code == 2
    assert option in result.stderr
    assert list(terminal.folder.iterdir()) == []
