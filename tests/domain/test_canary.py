"""The canary goes the way of every price, and no one sees it: it fires its own rule and changes nobody else's."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.canary import HIGH, LOW, RULE, SYSTEM_OWNER
from cryptowatcher.domain.checkpoints import Whole
from cryptowatcher.domain.pairs import CANARY, check_pair
from cryptowatcher.domain.quality import Judge
from cryptowatcher.domain.records import Body, Held, Record, Ticks, Verdict
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleChange, RuleSpec, rule_id
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.domain.watcher import Effects, Watcher
from cryptowatcher.errors import ConfigError
from tests.domain.journals import BEGIN, Journey, examples, journeys

HALF = 30_000
EVERYONES = ("price >= 1.1", "price < 1.1", "change(30s) >= 5%", "change(30s) <= -5%")


def observed(price: float, number: int, pair: str = CANARY) -> TickBatch:
    return one_instant({pair: price}, observed_at=BEGIN + number * HALF, source="canary", valid_for=4 * HALF)


def change_to(spec: RuleSpec, number: int, *, owner: str = LOCAL_OWNER, head: int = 0) -> RuleChange:
    rule = Rule(id=rule_id(owner, spec.name), owner=owner, version=1, spec=spec, origin="config")
    return RuleChange(number=number, rule_id=rule.id, owner=owner, head=head, saved_at=BEGIN, rule=rule)


def everyones(*, first: int, head: int) -> list[RuleChange]:
    """Rules on all pairs that every move of the canary would fire."""
    specs = [
        RuleSpec(name=f"{first} {when}", pairs=("all",), when=when, fire_if_already_true=True)
        for when in EVERYONES
    ]
    return [change_to(spec, number, head=head) for number, spec in enumerate(specs, first)]


def begun(changes: list[RuleChange], state: Whole | None = None) -> Watcher:
    """A watcher as a process begins with it: from the state that one before left, and with what is not in it."""
    watcher = Watcher()
    if state is not None:
        watcher.restore(state)
    for change in changes:
        if change.number > watcher.applied:
            watcher.take_up(change, change.head)
    return watcher


def followed(changes: list[RuleChange], bodies: list[Body], *, restart_every: int = 10**9) -> Effects:
    """All effects of a journal with these bodies, by processes that live for so many records each."""
    watcher, seen = begun(changes), list[Effects]()
    for seq, body in enumerate(bodies, 1):
        watcher.step(Record(seq=seq, at=BEGIN + seq * HALF, writer="w", number=seq, body=body))
        seen.append(watcher.effects())
        if seq % restart_every == 0:
            watcher = begun(changes, watcher.state())
    return Effects(
        alerts=[each for effects in seen for each in effects.alerts],
        candles=[each for effects in seen for each in effects.candles],
        prices=[each for effects in seen for each in effects.prices],
        lifecycle=[each for effects in seen for each in effects.lifecycle],
        at_rest=[each for effects in seen for each in effects.at_rest],
        firings=[each for effects in seen for each in effects.firings],
        take_ups=[each for effects in seen for each in effects.take_ups],
        notices=[each for effects in seen for each in effects.notices],
    )


@pytest.mark.parametrize("prices", [(LOW, HIGH) * 6, (HIGH, LOW) * 6])
def test_its_rule_fires_once_each_time_the_price_goes_up(prices: tuple[float, ...]) -> None:
    found = followed(
        [change_to(RULE, 1, owner=SYSTEM_OWNER)],
        [Ticks(observed(price, number)) for number, price in enumerate(prices)],
    )
    ups = [BEGIN + number * HALF for number in range(1, 12) if prices[number] == HIGH]
    assert [alert.event_time for alert in found.alerts] == ups
    assert {(alert.owner, alert.channels) for alert in found.alerts} == {(SYSTEM_OWNER, ("canary",))}


def test_the_guard_holds_none_of_its_moves() -> None:
    judge = Judge()
    for number in range(10):
        judgement = judge.judge(observed(HIGH if number % 2 else LOW, number))
        assert (judgement.accepted, judgement.held, judgement.rejected) == (1, 0, [])


@pytest.mark.parametrize("restart_every", [1, 3, 10**9])
def test_rules_on_all_pairs_never_meet_it_whichever_of_them_came_first(restart_every: int) -> None:
    """Before and after it was first seen, over restarts, and when it begins anew: nothing fires and no row says
    where such a rule stands for it. The same moves of another pair do all of that."""
    changes = [change_to(RULE, 1, owner=SYSTEM_OWNER), *everyones(first=2, head=0), *everyones(first=6, head=4)]

    def moves(pair: str) -> list[Body]:
        bodies: list[Body] = [Ticks(observed(HIGH if n % 2 else LOW, n, pair)) for n in range(10)]
        held = observed(LOW, 10, pair)
        return [*bodies, Held(held, "jump"), Verdict(held, accepted=True, evidence="", anew=True), *(
            Ticks(observed(HIGH if n % 2 else LOW, n, pair)) for n in range(11, 16)
        )]  # fmt: skip

    theirs = followed(changes, moves("bitcoin/usd"), restart_every=restart_every)
    assert {alert.rule_name for alert in theirs.alerts} == {f"{n} {when}" for n in (2, 6) for when in EVERYONES}
    found = followed(changes, moves(CANARY), restart_every=restart_every)
    assert {alert.owner for alert in found.alerts} == {SYSTEM_OWNER}
    mine = rule_id(SYSTEM_OWNER, RULE.name)
    assert {row.rule for row in found.lifecycle} | {rule for rule, _ in found.at_rest} == {mine}


def test_it_has_neither_a_price_nor_candles() -> None:
    bodies: list[Body] = [
        Ticks(observed(HIGH if n % 2 else LOW, n, p)) for n in range(30) for p in (CANARY, "a/usd")
    ]
    found = followed([], bodies)
    assert {price.pair for price in found.prices} == {candle.pair for candle in found.candles} == {"a/usd"}


@examples(20)
@given(journeys(ages=False), st.integers(0, 2**32))
def test_what_others_get_is_the_same_with_it_and_without_it(journey: Journey, seed: int) -> None:
    """Records of the canary stand anywhere between the others, and the process dies anywhere."""
    random = Random(seed)
    records = [msgspec.structs.replace(record, seq=2 * record.seq) for record in journey.records]
    changes = [msgspec.structs.replace(change, head=2 * change.head + 1) for change in journey.changes]
    canaries = [
        Record(seq=record.seq + 1, at=record.at, writer="c", number=number, body=Ticks(observed(price, number)))
        for number, record in enumerate(records)
        if (price := random.choice((LOW, HIGH, 0.0)))
    ]
    alone = _everything(records, changes, random, dies=0.0)
    among = _everything(sorted([*records, *canaries], key=lambda record: record.seq), changes, random, dies=0.2)
    assert among == alone


def _everything(records: list[Record], changes: list[RuleChange], random: Random, *, dies: float) -> list[bytes]:
    """All that a store would be told, in order."""
    watcher, told = begun(changes), list[bytes]()
    for record in records:
        watcher.step(record)
        told += [msgspec.json.encode(watcher.effects())]
        if random.random() < dies:
            watcher = begun(changes, watcher.state())
    nothing = msgspec.json.encode(Watcher().effects())
    return [each for each in told if each != nothing]


def test_people_cannot_make_rules_for_it() -> None:
    with pytest.raises(ConfigError, match="watcher's own"):
        check_pair(CANARY)
    with pytest.raises(ConfigError, match="watcher's own") as refused:
        check_spec(RuleSpec(name="mine", pairs=("bitcoin/usd", CANARY), when="price > 1"))
    assert refused.value.where == "pairs[1]"
