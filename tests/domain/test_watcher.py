"""Watching is a function of (journal, rules): how records are grouped, how often the process dies and from which
checkpoint it comes back changes not one byte of what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.checkpoints import Whole, encode
from cryptowatcher.domain.records import Beat, Body, ClockStep, Gap, Held, Record, Ticks, Verdict
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.domain.watcher import Effects, Watcher
from tests.domain.journals import BEGIN, MINUTE, Journey, examples, journeys
from tests.domain.states import told


class Kept:
    """What a store holds, as bytes; and the checkpoints."""

    def __init__(self) -> None:
        self.cursor = 0
        self.alerts: list[bytes] = []
        self.rows: dict[tuple[str, str], bytes] = {}
        self.firings: dict[tuple[str, str], bytes] = {}
        self.candles: dict[tuple[str, int, int], bytes] = {}
        self.prices: dict[str, bytes] = {}
        self.take_ups: dict[int, int] = {}
        self.checkpoints: list[tuple[int, Whole]] = []

    def commit(self, effects: Effects, cursor: int) -> None:
        """One transaction."""
        self.cursor = cursor
        self.alerts += [msgspec.json.encode(alert) for alert in (*effects.alerts, *effects.notices)]
        for row in effects.lifecycle:
            self.rows[row.rule, row.pair] = msgspec.json.encode(row)
        for key in effects.at_rest:
            self.rows.pop(key, None)
        for firing in effects.firings:
            self.firings[firing.rule, firing.pair] = msgspec.json.encode(firing)
        for candle in effects.candles:
            self.candles[candle.pair, candle.interval, candle.start] = msgspec.json.encode(candle)
        for price in effects.prices:
            self.prices[price.pair] = msgspec.json.encode(price)
        for taken in effects.take_ups:
            self.take_ups[taken.number] = taken.seq

    def everything(self) -> tuple[object, ...]:
        """All that must not depend on how it came about."""
        return sorted(self.alerts), self.rows, self.firings, self.candles, self.prices, self.take_ups


def straight(journey: Journey, take_ups: dict[int, int]) -> tuple[Kept, Watcher]:
    """One process, one record a commit, every change where it was taken up."""
    watcher, kept = Watcher(), Kept()
    for change in journey.changes:
        if change.number in take_ups:
            watcher.take_up(change, take_ups[change.number])
    for record in journey.records:
        watcher.step(record)
        kept.commit(watcher.effects(), record.seq)
    return kept, watcher


class Life:
    """One process after another, following the journal as the pipeline does, each until it dies."""

    def __init__(self, journey: Journey, random: Random, *, lag: int) -> None:
        self.journey = journey
        self.random = random
        self.kept = Kept()
        self.watcher = Watcher()
        self.reached = 0
        self.last_change = 0
        # A change is seen once the journal is beyond its head, or some records later.
        seen = np.maximum.accumulate([change.head + random.randint(0, lag) for change in journey.changes] or [0])
        self.seen_at: list[int] = seen.tolist()

    def recover(self) -> None:
        """Load some checkpoint, or none, and come to the cursor without effects."""
        self.watcher, start = Watcher(), 0
        old = [(seq, state) for seq, state in self.kept.checkpoints if seq <= self.kept.cursor]
        if old and self.random.random() < 0.9:
            start, state = self.random.choice(old)
            self.watcher.restore(state)
        self.last_change = 0
        for number, seq in self.kept.take_ups.items():
            self.last_change = max(self.last_change, number)
            if start == 0 or seq >= start:
                self.watcher.take_up(self.journey.changes[number - 1], seq)
        for record in self.journey.records[start : self.kept.cursor]:
            self.watcher.step(record)
            if self.random.random() < 0.3:
                self.watcher.effects()
        self.watcher.effects()
        self.reached = self.kept.cursor

    def advance(self) -> None:
        """Read some records, look for rule changes, step, and commit perhaps."""
        upto = min(self.reached + self.random.choice((1, 1, 2, 3, 8)), len(self.journey.records))
        for change in self.journey.changes[self.last_change :]:
            if self.seen_at[change.number - 1] >= upto:
                break
            self.watcher.take_up(change, max(change.head, self.reached))
            self.last_change = change.number
        for record in self.journey.records[self.reached : upto]:
            self.watcher.step(record)
        self.reached = upto

    def commit(self) -> None:
        """All effects, with the cursor."""
        self.kept.commit(self.watcher.effects(), self.reached)
        if self.random.random() < 0.3:
            self.kept.checkpoints.append((self.reached, self.watcher.state()))

    def live(self, *, dying: float) -> None:
        """Until the journal's end."""
        while self.kept.cursor < len(self.journey.records):
            if self.random.random() < dying:
                self.recover()  # whatever was not committed is gone
                continue
            if self.reached < len(self.journey.records):
                self.advance()
            if self.watcher.urgent or self.random.random() < 0.5 or self.reached == len(self.journey.records):
                if self.random.random() < dying:
                    self.recover()
                    continue
                self.commit()


@examples(15)
@given(journeys(records=50, fills=True), st.integers(0, 2**32))
def test_how_records_are_grouped_changes_no_byte(journey: Journey, seed: int) -> None:
    life = Life(journey, Random(seed), lag=0)
    life.live(dying=0.0)
    kept, watcher = straight(journey, life.kept.take_ups)
    assert life.kept.everything() == kept.everything()
    assert life.watcher.state() == watcher.state()
    heads = {change.number: change.head for change in journey.changes}
    assert life.kept.take_ups == {number: heads[number] for number in life.kept.take_ups}


@examples(20)
@given(journeys(records=40, fills=True), st.integers(0, 2**32))
def test_dying_anywhere_and_coming_back_from_any_checkpoint_changes_no_byte(journey: Journey, seed: int) -> None:
    life = Life(journey, Random(seed), lag=6)
    life.live(dying=0.2)
    kept, _ = straight(journey, life.kept.take_ups)
    assert life.kept.everything() == kept.everything()
    assert len(set(life.kept.alerts)) == len(life.kept.alerts)


@examples(15)
@given(journeys(records=40, fills=True), st.integers(0, 2**32))
def test_a_restored_watcher_is_the_watcher_that_was_saved(journey: Journey, seed: int) -> None:
    random = Random(seed)
    one, other = Watcher(), Watcher()
    for change in journey.changes:
        one.take_up(change, change.head)
        other.take_up(change, change.head)
    for record in journey.records:
        one.step(record)
        other.step(record)
        assert msgspec.json.encode(one.effects()) == msgspec.json.encode(other.effects())
        if random.random() < 0.3:
            state, other = other.state(), Watcher()
            other.restore(state)
            assert other.state() == state == one.state()
            assert not other.urgent
            for change in journey.changes:
                if change.head >= record.seq:
                    other.take_up(change, change.head)


@examples(15)
@given(journeys(records=30, most_instants=5, ages=False))
def test_where_instants_were_cut_into_records_changes_nothing_but_the_position(journey: Journey) -> None:
    cut, place = cut_into_instants(journey)
    whole, _ = straight(journey, {change.number: change.head for change in journey.changes})
    parts, _ = straight(cut, {change.number: change.head for change in cut.changes})
    assert sorted(place_free(data, place) for data in parts.alerts) == sorted(whole.alerts)
    assert (parts.rows, parts.firings, parts.candles) == (whole.rows, whole.firings, whole.candles)


def cut_into_instants(journey: Journey) -> tuple[Journey, dict[int, int]]:
    """The same instants, a record each, at the same journal time; and the old position of each new one."""
    records: list[Record] = []
    place: dict[int, int] = {0: 0}
    last = {0: 0}
    for record in journey.records:
        bodies: Sequence[Body] = [record.body]
        if isinstance(record.body, Ticks):
            bodies = [Ticks(only_its_pairs(instant)) for instant in record.body.batch.instants()]
        for body in bodies:
            seq = len(records) + 1
            place[seq] = record.seq
            records.append(msgspec.structs.replace(record, seq=seq, number=seq, body=body))
        last[record.seq] = len(records)
    changes = [msgspec.structs.replace(change, head=last[change.head]) for change in journey.changes]
    return Journey(tuple(records), tuple(changes)), place


def only_its_pairs(instant: TickBatch) -> TickBatch:
    """An instant that names no pairs but its own."""
    names = instant.names()
    return msgspec.structs.replace(instant, pairs=tuple(names), pair=np.arange(len(names), dtype=np.int64))


def place_free(data: bytes, place: dict[int, int]) -> bytes:
    """The alert as it would be at the old position."""
    alert = msgspec.json.decode(data, type=Alert)
    return msgspec.json.encode(msgspec.structs.replace(alert, seq=place[alert.seq]))


# --- one at a time ---------------------------------------------------------------------------------


def a_rule(when: str = "price >= 100", **more: object) -> RuleSpec:
    return msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": when, **more}, RuleSpec)


def a_change(spec: RuleSpec | None, *, number: int = 1, head: int = 0, version: int = 1) -> RuleChange:
    rule = None if spec is None else Rule(id="r", owner="me", version=version, spec=spec)
    return RuleChange(number=number, rule_id="r", owner="me", head=head, saved_at=0, rule=rule)


def a_batch(price: float, minute: int, *, pair: str = "a/usd") -> TickBatch:
    return one_instant({pair: price}, observed_at=BEGIN + minute * MINUTE)


def a_record(seq: int, price: float, minute: int) -> Record:
    return Record(seq=seq, at=BEGIN + minute * MINUTE, writer="w", number=seq, body=Ticks(a_batch(price, minute)))


def test_new_pairs_that_begin_anew_are_numbered_as_they_came_in_whatever_process() -> None:
    watcher, pairs = Watcher(), [f"p{number}/usd" for number in range(30)]
    batch = one_instant(dict.fromkeys(pairs, 100.0), observed_at=BEGIN)
    body = Verdict(batch, accepted=True, evidence="", anew=True)
    watcher.step(Record(seq=1, at=BEGIN, writer="w", number=1, body=body))
    assert [price.pair for price in watcher.effects().prices] == pairs


def test_a_change_counts_for_the_records_after_its_position_and_not_before() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule()), 2)
    for seq, price in ((1, 90), (2, 110), (3, 90), (4, 110)):
        watcher.step(a_record(seq, price, seq))
    effects = watcher.effects()
    assert [alert.seq for alert in effects.alerts] == [4]
    assert [(taken.number, taken.seq) for taken in effects.take_ups] == [(1, 2)]


def test_a_change_never_overtakes_the_one_before_it() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule()), 5)
    watcher.take_up(a_change(None, number=2), 3)
    for seq in range(1, 8):
        watcher.step(a_record(seq, 90 + 20 * (seq % 2), seq))
    effects = watcher.effects()
    assert effects.alerts == []
    assert [(taken.number, taken.seq) for taken in effects.take_ups] == [(1, 5), (2, 5)]


def test_taking_up_again_what_a_checkpoint_holds_already_changes_nothing() -> None:
    watcher = Watcher()
    changes = [a_change(a_rule()), a_change(a_rule(paused=True), number=2), a_change(a_rule(), number=3)]
    watcher.step(a_record(1, 90, 1))
    for change in changes:
        watcher.take_up(change, 1)
    watcher.apply_changes(before=2)
    watcher.effects()
    state = watcher.state()
    again = Watcher()
    again.restore(state)
    for change in changes:
        again.take_up(change, 1)
    again.apply_changes(before=2)
    again.effects()
    assert encode(told(again.engine.state())) == encode(told(watcher.engine.state()))


def test_a_rule_of_ages_and_windows_may_come_before_anything_was_seen() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule("age * change(1h) > 1m or age / 1m > high(1h)")), 0)
    for seq in (1, 2):
        watcher.step(Record(seq=seq, at=BEGIN + seq * MINUTE, writer="w", number=seq, body=Beat()))
    assert not watcher.effects().alerts


def test_a_held_tick_is_not_a_price() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule()), 0)
    watcher.step(a_record(1, 90, 1))
    watcher.effects()
    batch = a_batch(1e6, 2)
    bodies: list[Body] = [Held(batch, "jump"), Verdict(batch, accepted=False, evidence="alone")]
    for seq, body in enumerate(bodies, start=2):
        watcher.step(Record(seq=seq, at=BEGIN + 2 * MINUTE, writer="w", number=seq, body=body))
    effects = watcher.effects()
    assert not effects.alerts
    assert not effects.prices
    assert not effects.candles


def test_an_accepted_verdict_is_an_observation_where_it_stands() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule()), 0)
    watcher.step(a_record(1, 90, 1))
    body = Verdict(a_batch(110, 2), accepted=True, evidence="a second source")
    watcher.step(Record(seq=2, at=BEGIN + 9 * MINUTE, writer="w", number=2, body=body))
    (alert,) = watcher.effects().alerts
    assert (alert.event_time, alert.at, alert.seq) == (BEGIN + 2 * MINUTE, BEGIN + 9 * MINUTE, 2)


def test_a_verdict_that_comes_after_newer_prices_changes_nothing() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule()), 0)
    watcher.step(a_record(1, 90, 1))
    watcher.step(a_record(2, 91, 3))
    body = Verdict(a_batch(110, 2), accepted=True, evidence="a second source")
    watcher.step(Record(seq=3, at=BEGIN + 9 * MINUTE, writer="w", number=3, body=body))
    effects = watcher.effects()
    assert not effects.alerts
    assert [price.price for price in effects.prices] == [91]


def test_records_that_are_no_observations_have_no_effects() -> None:
    watcher = Watcher()
    bodies: list[Body] = [Beat(), ClockStep(60_000), Gap("restored")]
    for seq, body in enumerate(bodies, start=1):
        watcher.step(Record(seq=seq, at=BEGIN + seq, writer="w", number=seq, body=body))
    assert not watcher.urgent
    assert not any(getattr(watcher.effects(), name) for name in Effects.__struct_fields__)


def test_alerts_and_changes_of_rules_are_urgent_and_prices_are_not() -> None:
    watcher, urgent = Watcher(), []
    watcher.take_up(a_change(a_rule()), 0)
    for minute, price in enumerate((90, 91, 110, 111), start=1):
        watcher.step(a_record(minute, price, minute))
        urgent.append(watcher.urgent)
        watcher.effects()
        urgent.append(watcher.urgent)
    assert urgent == [True, False, False, False, True, False, False, False]


def test_effects_are_told_once() -> None:
    watcher = Watcher()
    watcher.take_up(a_change(a_rule()), 0)
    watcher.step(a_record(1, 90, 1))
    watcher.step(a_record(2, 110, 2))
    assert watcher.effects().alerts
    assert not any(getattr(watcher.effects(), name) for name in Effects.__struct_fields__)


def test_the_newest_price_says_where_it_is_from_and_how_long_it_counts() -> None:
    watcher = Watcher()
    batch = one_instant(
        {"a/usd": 2.0, "b/usd": 3.0},
        observed_at=[BEGIN, BEGIN - 5],
        received_at=BEGIN + 700,
        valid_for=60_000,
        volume=[float("nan"), 9.0],
        market_cap=[1e6, float("nan")],
        source="coingecko",
    )
    watcher.step(Record(seq=7, at=BEGIN + 900, writer="w", number=1, body=Ticks(batch)))
    a, b = watcher.effects().prices
    assert (a.pair, a.price, a.volume_24h, a.market_cap) == ("a/usd", 2.0, None, 1e6)
    assert (b.pair, b.price, b.volume_24h, b.market_cap) == ("b/usd", 3.0, 9.0, None)
    assert (b.observed_at, b.received_at, b.valid_until) == (BEGIN - 5, BEGIN + 700, BEGIN + 59_995)
    assert (b.source, b.seq) == ("coingecko", 7)


def test_a_pair_that_begins_anew_is_compared_with_nothing_before_and_arms_again() -> None:
    """The first price was a lie: no rule may see the way back from it."""
    watcher = Watcher()
    for number, when in enumerate(("price <= 1000", "change(5m) <= -5%", "price >= 50"), start=1):
        rule = Rule(id=f"r{number}", owner="me", version=1, spec=RuleSpec(name=when, pairs=("all",), when=when))
        change = RuleChange(number=number, rule_id=rule.id, owner="me", head=0, saved_at=0, rule=rule)
        watcher.take_up(change, 0)
    lie, true = (
        one_instant({"a/usd": 4e6}, observed_at=MINUTE),
        one_instant({"a/usd": 100.0}, observed_at=8 * MINUTE),
    )
    bodies: list[Body] = [Ticks(lie), Held(true, "jump"), Verdict(true, True, "", anew=True)]
    bodies += [Ticks(one_instant({"a/usd": 100.0}, observed_at=minute * MINUTE)) for minute in range(9, 20)]
    bodies.append(Ticks(one_instant({"a/usd": 94.0}, observed_at=20 * MINUTE)))
    alerts, candles = [], []
    for seq, body in enumerate(bodies, start=1):
        watcher.step(Record(seq=seq, at=seq * MINUTE, writer="w", number=seq, body=body))
        effects = watcher.effects()
        alerts += [(alert.condition, alert.seq) for alert in effects.alerts]
        candles += [candle.high for candle in effects.candles]
    assert alerts == [("change(5m) <= -5%", len(bodies))]
    assert max(candles) == 100.0
