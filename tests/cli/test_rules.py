"""Rules are changed beside a running watcher, and checked before they are saved."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.defaults import DEFAULT_RULES
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


def test_a_default_is_marked_until_it_is_changed_and_says_that_it_will_not_come_back(terminal: Terminal) -> None:
    terminal.store(something())
    for spec in DEFAULT_RULES:
        change_store(lambda tx, spec=spec: tx.save_rule(LOCAL_OWNER, spec, head=0, now=START, origin="default"))  # type: ignore[misc]  # mypy: lambda default
    assert terminal.run("rules", "list").stdout.count("default") == 2
    terminal.run("rules", "pause", "depeg")
    assert terminal.run("rules", "list").stdout.count("default") == 1
    origins = {rule.spec.name: rule.origin for rule in rules(terminal)}
    assert (origins["depeg"], origins["significant move"]) == ("owner", "default")
    assert "will not come back" in terminal.run("rules", "remove", "significant move").stderr


def test_a_rule_is_added_for_the_largest(terminal: Terminal) -> None:
    terminal.store(something())
    added = terminal.run("rules", "add", "big", "--when", "change(1h) > 8%", "--pair", "top(100)")
    assert added.exit_code == 0
    assert "no source" not in added.stderr
    assert ("top(100)",) in [rule.spec.pairs for rule in rules(terminal)]


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


def test_a_rule_with_an_end_is_renewed(terminal: Terminal) -> None:
    assert terminal.run(*ADD, "--expires", "2027-01-31", "--active", "08:00-22:00").exit_code == 0
    assert "ends 2027-01-31" in terminal.run("rules", "list").stdout
    assert "active 08:00-22:00" in terminal.run("rules", "list").stdout
    result = terminal.run("rules", "renew", "btc drops", "--for", "9000d", "--json")
    renewed = json_of(result, Rule)
    assert isinstance(renewed, Rule)
    assert renewed == rules(terminal)[0]
    assert renewed.version == 1
    assert renewed.spec.expires > "2045"
    assert renewed.spec.expires in result.stderr


def test_an_urgent_rule_says_so(terminal: Terminal) -> None:
    assert terminal.run(*ADD, "--urgent").exit_code == 0
    assert rules(terminal)[0].spec.urgent
    said = terminal.run("rules", "check", "--when", "price > 1", "--pair", "bitcoin").stdout
    assert "urgent" not in said
    assert "urgent" in terminal.run("rules", "list").stdout
    assert terminal.run(*ADD).exit_code == 0
    assert not rules(terminal)[0].spec.urgent


def test_a_rule_that_tells_when_it_is_over_says_so_and_stays_the_same_version(terminal: Terminal) -> None:
    assert terminal.run(*ADD).exit_code == 0
    assert terminal.run(*ADD, "--resolved").exit_code == 0
    (rule,) = rules(terminal)
    assert (rule.spec.resolved, rule.version) == (True, 1)
    assert "tells when it is over" in " ".join(terminal.run("rules", "list").stdout.split())
    refused = terminal.run(*ADD, "--resolved", "--repeat", "once")
    assert (refused.exit_code, "--resolved" in refused.stderr) == (2, True)
    said = terminal.run("rules", "check", "price > 1", "--resolved")
    assert "and once more when that is over" in " ".join(said.stdout.split())


def test_a_rule_that_reminds_says_so_and_stays_the_same_version(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", "".join(f'[[channels]]\nkind = "console"\nname = "{n}"\n' for n in "ab"))
    assert terminal.run(*ADD).exit_code == 0
    assert terminal.run(*ADD, "--remind", "10m", "--escalate", "b", "--escalate", "a").exit_code == 0
    (rule,) = rules(terminal)
    assert (rule.spec.remind, rule.spec.escalate, rule.version) == ("10m", ("b", "a"), 1)
    shown = terminal.run("rules", "list").stdout
    assert [
        word for word in ("reminds every 10m", "escalates to b, a") if word not in " ".join(shown.split())
    ] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--remind", "10m", "--escalate", "phome"), "there is no channel 'phome'"),
        (("--escalate", "console"), "remind = "),
        (("--remind", "30s"), "--remind"),
    ],
)
def test_reminders_that_cannot_be_say_what_to_write(
    terminal: Terminal, options: tuple[str, ...], words: str
) -> None:
    refused = terminal.run(*ADD, *options)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert options[-2] in refused.stderr


def test_a_rule_that_has_ended_says_so(terminal: Terminal) -> None:
    terminal.run(*ADD, "--expires", "2020-01-31")
    assert "ended 2020-01-31" in terminal.run("rules", "list").stdout


def test_a_rule_without_an_end_cannot_be_renewed(terminal: Terminal) -> None:
    terminal.run(*ADD)
    result = terminal.run("rules", "renew", "btc drops", "--for", "30d")
    assert result.exit_code == 2
    assert "has no end" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--expires", "soon"), "--expires"),
        (("--active", "8-22"), "--active"),
    ],
)
def test_a_wrong_end_or_wrong_hours_name_the_option(terminal: Terminal, args: tuple[str, ...], words: str) -> None:
    result = terminal.run(*ADD, *args)
    assert result.exit_code == 2
    assert words in result.stderr


def listed(terminal: Terminal) -> list[dict[str, object]]:
    """The rules as programs read them."""
    found: list[dict[str, object]] = msgspec.json.decode(terminal.run("rules", "list", "--json").stdout)
    return found


def snoozed_until(rule: dict[str, object]) -> object:
    return rule["snoozed_until_ms"]


def test_a_rule_is_snoozed_and_woken_from_the_command_line(terminal: Terminal) -> None:
    terminal.run(*ADD)
    result = terminal.run("rules", "snooze", "btc drops", "2100-01-31")
    assert (result.exit_code, "until 2100-01-31 00:00:00 UTC" in result.stderr) == (0, True)
    assert "snoozed until 2100-01-31" in terminal.run("rules", "list").stdout
    assert [snoozed_until(each) for each in listed(terminal)] == [4_105_036_800_000]
    assert "woke btc drops" in terminal.run("rules", "wake", "btc drops").stderr
    assert "was not snoozed" in terminal.run("rules", "wake", "btc drops").stderr
    assert "snoozed" not in terminal.run("rules", "list").stdout
    assert [snoozed_until(each) for each in listed(terminal)] == [None]
    assert terminal.run("rules", "snooze", "btc drops", "1h").exit_code == 0
    for wrong in ("soon", "2020-01-01"):
        result = terminal.run("rules", "snooze", "btc drops", wrong)
        assert result.exit_code == 2
        assert "UNTIL" in result.stderr
    for command in (("snooze", "nope", "1h"), ("wake", "nope"), ("renew", "nope", "--for", "1h")):
        assert terminal.run("rules", *command).exit_code == 1
