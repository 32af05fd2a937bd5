"""What one line of a list says of a rule, by what the store keeps of it."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.rules.now import Fired, RuleNow, Standings, rule_now

NOW = 1_722_816_000_000  # 2024-08-05
HOUR = 3_600_000
ONE, TWO = ("a/usd",), ("a/usd", "b/usd")
FIRED = Fired(last_at=NOW - HOUR, times=3)


def state(
    standings: Standings | None = None,
    fired: Fired | None = None,
    *,
    pairs: tuple[str, ...] = ONE,
    members: tuple[str, ...] = (),
    snoozed_until: int = 0,
    unseen: bool = False,
    problem: str = "",
    **spec: object,
) -> RuleNow:
    wanted = msgspec.convert({"name": "x", "pairs": pairs, "when": "price > 1", **spec}, RuleSpec)
    rule = Rule(id="r", owner="me", version=1, spec=wanted, members=members)
    return rule_now(
        rule,
        standings or Standings(),
        fired,
        snoozed_until=snoozed_until,
        unseen=unseen,
        problem=problem,
        now=NOW,
    )


def test_a_rule_that_nothing_holds_back_watches() -> None:
    assert state() == RuleNow(state="watching")


def test_the_first_reason_of_all_that_are_so_is_said() -> None:
    """In the order in which people can do something about them."""
    facts: list[tuple[str, dict[str, object]]] = [
        ("unknown", {"unseen": True}),
        ("rearming", {"standings": Standings(inside=1, since=5)}),
        ("holding", {"standings": Standings(inside=1, pending=1, since=5)}),
        ("cooling", {"fired": FIRED, "cooldown": "2h"}),
        ("snoozed", {"snoozed_until": NOW + 1}),
        ("done", {"standings": Standings(done=1, pending=1, since=5)}),
        ("expired", {"expires": "2024-08-05T00:00Z"}),
        ("paused", {"paused": True}),
        ("broken", {"problem": "no such function"}),
    ]
    so: dict[str, object] = {}
    for name, fact in facts:
        so |= fact
        assert state(**so).state == name  # type: ignore[arg-type]  # a table


@pytest.mark.parametrize(
    ("facts", "now"),
    [
        ({"problem": "no such function"}, RuleNow(state="broken", problem="no such function")),
        ({"paused": True, "standings": Standings(done=1, since=5)}, RuleNow(state="paused")),
        ({"expires": "2024-08-04T23:00Z"}, RuleNow(state="expired", until=NOW - HOUR)),
        ({"standings": Standings(done=1, since=5)}, RuleNow(state="done", since=5)),
        ({"snoozed_until": NOW + 1}, RuleNow(state="snoozed", until=NOW + 1)),
        ({"snoozed_until": NOW}, RuleNow(state="watching")),
        ({"fired": FIRED, "cooldown": "2h"}, RuleNow(state="cooling", until=NOW + HOUR)),
        ({"fired": FIRED, "cooldown": "1h"}, RuleNow(state="watching")),
        ({"standings": Standings(pending=1, since=5)}, RuleNow(state="holding", since=5, holding=1)),
        ({"standings": Standings(inside=1, since=5)}, RuleNow(state="rearming", since=5, rearming=1)),
        ({"standings": Standings(unarmed=1, since=5)}, RuleNow(state="unknown")),
    ],
)
def test_each_state_says_since_when_or_until_when(facts: dict[str, object], now: RuleNow) -> None:
    assert state(**facts) == now  # type: ignore[arg-type]  # a table
    assert msgspec.json.decode(msgspec.json.encode(now), type=RuleNow) == now, "programs can read it"


def test_since_when_is_nothing_where_it_is_not_known() -> None:
    assert state(Standings(pending=1)) == RuleNow(state="holding", holding=1)


@pytest.mark.parametrize(
    ("standings", "now"),
    [
        (Standings(done=1, since=5), "watching"),
        (Standings(done=2, since=5), "done"),
        (Standings(inside=1, since=5), "watching"),
        (Standings(inside=2, since=5), "rearming"),
        (Standings(unarmed=1), "watching"),
        (Standings(unarmed=2), "unknown"),
        (Standings(pending=1, since=5), "holding"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_of_several_pairs_all_must_be_so_but_one_that_holds_is_enough(
    standings: Standings, now: str, listed: bool
) -> None:
    on = state(standings, pairs=("list(mine)",), members=TWO) if listed else state(standings, pairs=TWO)
    assert on.state == now


@pytest.mark.parametrize("pairs", [("all",), ("top(5)",)])
def test_where_pairs_come_and_go_only_what_holds_and_whether_any_was_seen_is_said(pairs: tuple[str, ...]) -> None:
    many = Standings(done=9, inside=9, unarmed=9, since=5)
    assert state(many, FIRED, pairs=pairs, cooldown="2h") == RuleNow(state="watching", rearming=9)
    assert state(msgspec.structs.replace(many, pending=1), pairs=pairs).state == "holding"
    assert state(pairs=pairs, unseen=True).state == "unknown"


def test_silence_after_an_alert_is_said_of_a_rule_on_one_pair() -> None:
    assert state(fired=FIRED, pairs=TWO, cooldown="2h").state == "watching"
    assert state(fired=FIRED, pairs=("list(mine)",), members=ONE, cooldown="2h").state == "cooling"


def test_a_rule_on_an_empty_list_watches() -> None:
    assert state(pairs=("list(mine)",)).state == "watching"
