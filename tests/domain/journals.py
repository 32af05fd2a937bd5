"""Random journals with rule changes in between, made so that rules really fire: few prices, few constants."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import msgspec
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from cryptowatcher.domain.hours import show_moment
from cryptowatcher.domain.records import Beat, Body, ClockStep, Fill, Held, Record, Ticks, Verdict
from cryptowatcher.domain.rules.model import Repeat, Rule, RuleChange, RuleSpec, next_version
from cryptowatcher.domain.ticks import TickBatch
from tests.domain.conditions import CAP, PRICES, Setting, condition

EXAMPLES = int(os.environ.get("EXAMPLES", "1"))
"""How many times more random journals than in a usual run."""

PAIRS = ("a/usd", "b/usd", "c/bitcoin", "d/usd")
CROWD = tuple(f"e{number}/usd" for number in range(9))
"""Larger ones than those, seldom observed: with them a pair may be a tenth behind its place."""
MINE = "list(mine)"
MINE_AT_FIRST = ("a/usd", "d/usd")
BEGIN = 1_722_816_000_000  # a midnight
MINUTE = 60_000
SCALES = (1.0, 1.0, 1.0, 1e-14, 1e6, 0.07)
FAR = (1e-12, 1e8)

Rows = list[tuple[str, float, int]]
"""Observations of one instant: pair, price, observed at."""


def examples(usual: int) -> settings:
    """Settings of a property: `usual` examples, times EXAMPLES."""
    return settings(max_examples=usual * EXAMPLES, deadline=None)


@dataclass(frozen=True)
class Journey:
    """Records, and rule changes by the head at which they were saved."""

    records: tuple[Record, ...]
    changes: tuple[RuleChange, ...]


def batch_of(instants: Sequence[Rows], *, received_at: int, valid_for: int, source: str = "test") -> TickBatch:
    """Instants of (pair, price, observed at) as a batch."""
    rows = [row for instant in instants for row in instant]
    pairs = tuple(dict.fromkeys(pair for pair, _, _ in rows))
    lengths = [len(instant) for instant in instants]
    return TickBatch(
        source=source,
        pairs=pairs,
        pair=np.asarray([pairs.index(pair) for pair, _, _ in rows], np.int64),
        price=np.asarray([price for _, price, _ in rows], np.float64),
        volume=np.asarray([price * 7 if price < 100 else np.nan for _, price, _ in rows], np.float64),
        market_cap=np.asarray(
            [price * CAP if time // MINUTE % 3 else np.nan for _, price, time in rows], np.float64
        ),
        observed_at=np.asarray([time for _, _, time in rows], np.int64),
        starts=np.cumsum([0, *lengths[:-1]], dtype=np.int64),
        received_at=received_at,
        valid_for=valid_for,
    )


# --- rules -----------------------------------------------------------------------------------------


def _spec(random: Random, name: str, setting: Setting) -> RuleSpec:
    when = condition(random, setting)
    pairs = [("all",), ("a/usd",), ("a/usd", "b/usd"), ("c/bitcoin",), (MINE,), (MINE,)]
    pairs += [(f"top({random.choice(setting.places)})",)] if setting.places else []
    return RuleSpec(
        name=name,
        pairs=random.choice(pairs),
        when=when,
        for_="0s" if "age" in when else random.choice(("0s", "0s", "0s", "1m", "5m")),
        rearm=random.choice(("0%", "0.1%", "0.1%", "1%", "5%")),
        cooldown=random.choice(("0s", "0s", "1m", "10m", "2d")),
        repeat=random.choice(("every", "every", "once")),
        resolved=random.random() < 0.5,
        fire_if_already_true="crosses" not in when and random.random() < 0.5,
        paused=random.random() < 0.1,
        channels=random.choice(((), ("ops",))),
        expires=show_moment(BEGIN + random.choice((5, 60, 1_440)) * MINUTE) if random.random() < 0.1 else "",
    )


def _edit(random: Random, old: RuleSpec | None, name: str, setting: Setting) -> RuleSpec | None:
    """The next spec of a rule; None deletes it."""
    fresh = _spec(random, name, setting)
    if old is None:
        return fresh
    other: Repeat = "once" if old.repeat == "every" else "every"
    match random.choice(
        ("pause", "pause", "repeat", "cooldown", "band", "when", "pairs", "expires", "all", "delete")
    ):
        case "pause":
            return msgspec.structs.replace(old, paused=not old.paused)
        case "repeat":
            return msgspec.structs.replace(old, repeat=other)
        case "cooldown":
            return msgspec.structs.replace(old, cooldown=fresh.cooldown, advice="buy", resolved=fresh.resolved)
        case "band":
            return msgspec.structs.replace(old, rearm=fresh.rearm)
        case "when":
            return msgspec.structs.replace(old, when=fresh.when, for_=fresh.for_, fire_if_already_true=False)
        case "pairs":
            return msgspec.structs.replace(old, pairs=fresh.pairs)
        case "expires":
            return msgspec.structs.replace(old, expires=fresh.expires)
        case "all":
            return fresh
        case _:
            return None


class _Rules:
    """A list of rule changes that grows."""

    def __init__(self, random: Random, setting: Setting) -> None:
        self.changes: list[RuleChange] = []
        self._random = random
        self._setting = setting
        self._now: dict[str, Rule | None] = {}
        self._mine: tuple[str, ...] = MINE_AT_FIRST

    def change(self, name: str, *, head: int, at: int) -> None:
        """One change of the rule of this name, saved at this head."""
        old = self._now.get(name)
        spec = _edit(self._random, None if old is None else old.spec, name, self._setting)
        rule = None
        if spec is not None:
            never = spec.repeat == "once" or "since_alert" in spec.when
            spec = msgspec.structs.replace(spec, resolved=spec.resolved and not never)
            members = self._mine if spec.pairs == (MINE,) else ()
            rule = Rule(id=f"id-{name}", owner="me", version=next_version(old, spec), spec=spec, members=members)
        self._save(name, rule, head=head, at=at)

    def change_list(self, *, head: int, at: int) -> None:
        """Other pairs on the list, which is a change of each rule on it."""
        self._mine = tuple(self._random.sample((*PAIRS, "unseen/usd"), self._random.randint(0, len(PAIRS))))
        for name, rule in [*self._now.items()]:
            if rule is not None and rule.spec.pairs == (MINE,):
                self._save(name, msgspec.structs.replace(rule, members=self._mine), head=head, at=at)

    def _save(self, name: str, rule: Rule | None, *, head: int, at: int) -> None:
        self._now[name] = rule
        number = len(self.changes) + 1
        self.changes.append(
            RuleChange(number=number, rule_id=f"id-{name}", owner="me", head=head, saved_at=at, rule=rule)
        )


# --- records ---------------------------------------------------------------------------------------


def _prices(random: Random, scale: float) -> list[tuple[str, float]]:
    """One instant: some pairs, with prices that lie on both sides of the constants."""
    pairs = random.sample(PAIRS, random.randint(1, len(PAIRS)))
    wild = random.random() < 0.03
    return [(pair, random.choice(FAR) if wild else random.choice(PRICES) * scale) for pair in pairs]


def _crowd(random: Random, scale: float) -> list[tuple[str, float]]:
    """Those that are larger, but for one now and then."""
    return [(pair, random.choice((*(200, 300, 400, 400) * 8, 1)) * scale) for pair in CROWD]


def _body(random: Random, batch: TickBatch, *, newest: int) -> Body:
    match random.randrange(40):
        case 0:
            return Beat()
        case 1:
            return Held(batch, "jump")
        case 2:
            return Verdict(batch, accepted=False, evidence="")
        case 3:
            return Verdict(batch, accepted=True, evidence="two agree")
        case 4:
            return ClockStep(random.choice((60_000, 3_600_000, -60_000, -86_400_000)))
        case 5 if batch.observed_at.min() > newest:
            return Verdict(batch, accepted=True, evidence="", anew=True)
        case _:
            return Ticks(batch)


def _told(random: Random, scale: float, *, newest: int, spacing: int) -> Fill:
    """History of a pair, up to about its newest observation."""
    pair, end = random.choice(PAIRS), newest - random.choice((-1, 0, 3)) * spacing
    rows = [
        [(pair, random.choice(PRICES) * scale, end - back * spacing)] for back in range(random.choice((3, 20, 60)))
    ]
    batch = batch_of(rows[::-1], received_at=newest, valid_for=2 * spacing)
    return Fill(msgspec.structs.replace(batch, starts=np.zeros(1, np.int64)), spacing)


def journey(
    random: Random,
    *,
    records: int,
    rules: int,
    most_instants: int,
    ages: bool = True,
    ranks: bool = True,
    fills: bool = False,
) -> Journey:
    """A journal of so many records, and changes of so many rules at random places. `fills`: with history that is
    told afterwards."""
    scale = random.choice(SCALES)
    # The usual distance of two records in minutes: so that windows of every grid are known now and then.
    pace = random.choice((1, 1, 1, 5, 60, 720))
    distances = (0, 1, 500, 1_000, *[MINUTE * pace] * 8, 5 * MINUTE * pace, 20 * MINUTE * pace, -MINUTE)
    names = [f"r{number}" for number in range(rules)]
    steady = random.random() < 0.4  # all observations are as long valid, so that candles are known too
    crowded = ranks and random.random() < 0.3
    places = (9, 10, 10, 11) if crowded else (1, 2, 2, 3) if ranks else ()
    changing = _Rules(random, Setting(scale, bars=steady, ages=ages, places=places))
    time = at = BEGIN + random.choice((0, 1, 12_345_678))
    for name in names:
        changing.change(name, head=0, at=at)
    found: list[Record] = []
    newest = 0
    for seq in range(1, records + 1):
        instants: list[Rows] = []
        for _ in range(random.randint(1, most_instants)):
            time += random.choice(distances)
            early = random.choice((0, 0, 0, 0, 1, 700))
            prices = _prices(random, scale)
            if crowded and (seq == 1 or random.random() < 0.15):
                prices += _crowd(random, scale)
            instants.append([(pair, price, time - early) for pair, price in prices])
        at = max(at, time + random.choice((0, 300, 5_000)))
        valid_for = (5 if steady else random.choice((1, 5, 5, 5, 5))) * MINUTE * pace
        batch = batch_of(instants, received_at=time + 50, valid_for=valid_for)
        body = _body(random, batch, newest=newest)
        if fills and random.random() < 0.2:
            body = _told(random, scale, newest=time, spacing=random.choice((1, 5)) * MINUTE * pace)
        found.append(Record(seq=seq, at=at, writer="w", number=seq, body=body))
        newest = max(newest, int(batch.observed_at.max()))
        while random.random() < 0.3:
            if random.random() < 0.2:
                changing.change_list(head=seq, at=at)
            changing.change(random.choice(names), head=seq, at=at)
    return Journey(tuple(found), tuple(changing.changes))


def journeys(
    *,
    rules: int = 6,
    records: int = 40,
    most_instants: int = 3,
    ages: bool = True,
    ranks: bool = True,
    fills: bool = False,
) -> st.SearchStrategy[Journey]:
    """Journals of up to so many records. `ages`: with rules that time alone makes fire; `ranks`: with such as look
    at the places of pairs among others.

    Hypothesis draws seed and length; a shorter one is a prefix, so a failure shrinks to the record that shows it.
    """

    def make(seed: int, length: int) -> Journey:
        return journey(
            Random(seed),
            records=length,
            rules=rules,
            most_instants=most_instants,
            ages=ages,
            ranks=ranks,
            fills=fills,
        )

    return st.builds(make, st.integers(0, 2**48), st.integers(1, records))
