"""Rules are changed beside a running watcher, and checked before they are saved."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.rules.model import LOCAL_OWNER, Firing, Rule, RuleSpec, rule_id
from cryptowatcher.ports import Cursor, Step
from cryptowatcher.supervise import only_instance
from tests.cli.terminal import START, Terminal, change_store, json_of, something

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
    terminal.store(something())
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


@pytest.mark.parametrize("command", ["remove", "pause", "resume"])
def test_changing_what_is_not_there_makes_no_folder(terminal: Terminal, command: str) -> None:
    result = terminal.run("rules", command, "nope")
    assert result.exit_code == 1
    assert "cryptowatcher run" in result.stderr
    assert list(terminal.folder.iterdir()) == []


def test_adding_says_whether_a_watcher_takes_it_up_now(terminal: Terminal) -> None:
    alone = "no watcher is running on"
    assert alone in terminal.run(*ADD).stderr
    with only_instance(terminal.folder / "data"):
        assert alone not in terminal.run(*ADD).stderr
    assert alone in terminal.run(*ADD).stderr


def test_adding_says_what_it_changed(terminal: Terminal) -> None:
    assert "added btc drops" in terminal.run(*ADD).stderr
    again = terminal.run(*ADD).stderr
    assert "added" not in again
    assert "changed" not in again
    changed = terminal.run(*ADD, "--cooldown", "1h", "--pair", "pepe").stderr
    assert "changed btc drops" in changed
    assert "  cooldown: 0s → 1h" in changed
    assert "  pairs: bitcoin/usd → bitcoin/usd, pepe/usd" in changed
    assert "rearm" not in changed


def test_changing_a_configured_rule_says_that_the_file_counts_again(terminal: Terminal) -> None:
    spec = RuleSpec(name="btc drops", pairs=("bitcoin/usd",), when="change(5m) <= -5%")
    change_store(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=0, now=START, origin="config"))
    assert "stands in the configuration" in terminal.run(*ADD, "--cooldown", "1h").stderr
    assert rules(terminal)[0].origin == "config"


def test_a_pair_that_no_source_has_shown_is_named_with_the_one_that_was_meant(terminal: Terminal) -> None:
    add = ("rules", "add", "x", "--when", "price > 1")
    assert "no source has shown" not in terminal.run(*add, "--pair", "bitcoin/eur").stderr  # nothing is known
    terminal.store(something())
    for wrong, right in (("bitcoin/eur", "bitcoin/usd"), ("bitcon", "bitcoin/usd"), ("pepe/eur", "pepe/usd")):
        said = terminal.run(*add, "--pair", wrong, "--pair", "bitcoin").stderr
        assert f"no source has shown {wrong.partition('/')[0]}/" in said
        assert f"did you mean {right}?" in said
    assert "no source has shown pepe/eur yet" in terminal.run("rules", "list").stderr
    assert "no source has shown" not in terminal.run(*add, "--pair", "all").stderr


def test_the_list_says_when_a_rule_last_fired(terminal: Terminal) -> None:
    terminal.run(*ADD)
    rule = rule_id(LOCAL_OWNER, "btc drops")
    fired = [
        Firing(rule=rule, pair="a/usd", last_fired_at=START, fired=1, suppressed=0),
        Firing(rule=rule, pair="b/usd", last_fired_at=START + 60_000, fired=2, suppressed=0),
    ]
    step = Step(cursor=Cursor("j", 1, START), firings=fired)
    change_store(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None))
    assert "2024-08-05 06:16:00" in terminal.run("rules", "list").stdout


def test_a_name_from_elsewhere_cannot_steer_the_terminal(terminal: Terminal) -> None:
    spec = RuleSpec(name="\x1b[31mred [bold]b[/bold]", pairs=("all",), when="price > 1")
    change_store(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=0, now=START))
    shown = terminal.run("rules", "list").stdout
    assert "\x1b" not in shown
    assert "[bold]b[/bold]" in shown
