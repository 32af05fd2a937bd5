"""Three ways to the alerts of the same rules over the same observations, and what of an alert must be the same.

live:      the real Watch on a real journal and store, on virtual time, that ends and starts again on the way
replayed:  all observations of a pair at once, as `cryptowatcher replay` does it
previewed: one rule on one pair, as it is tried before it is saved
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert, Part
from cryptowatcher.domain.hindsight import Hindsight, too_coarse
from cryptowatcher.domain.preview import preview
from cryptowatcher.domain.records import Draft, Ticks
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec
from cryptowatcher.domain.rules.series import lines_of, run_series
from cryptowatcher.domain.rules.watchlists import pairs_of
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Journal, Store, Tx
from cryptowatcher.previewing import pairs_needed
from cryptowatcher.replay import Recorded, history_of, rules_of
from cryptowatcher.testing import virtual_time
from tests.pipeline.inline import Hands, opened
from tests.pipeline.lives import OF_RULES
from tests.replay.tapes import Tape

EVER = 10_000_000
AT_ONCE = 40
"""Instants in a record at most, and records in an append."""
LIVES = 4


class Content(msgspec.Struct, frozen=True, order=True):
    """An alert without the circumstances of finding it: where in which journal, when it was written down, and what
    the source is called."""

    rule: str
    version: int
    pair: str
    observed_at: int
    kind: str
    event_time: int
    id: str
    condition: str
    value: float
    constant: float
    previous: float | None
    price: float
    gap_ms: int
    advice: str
    late: bool
    suppressed: int
    parts: tuple[Part, ...]


def contents(alerts: Iterable[Alert]) -> list[Content]:
    """In an order that does not depend on how they were found."""
    return sorted(
        Content(
            rule=alert.rule,
            version=alert.version,
            pair=alert.pair,
            observed_at=observed_at(alert),
            kind=alert.kind,
            event_time=alert.event_time,
            id=alert.id,
            condition=alert.condition,
            value=alert.value,
            constant=alert.constant,
            previous=alert.previous,
            price=alert.price,
            gap_ms=alert.gap_ms,
            advice=alert.advice,
            late=alert.late,
            suppressed=alert.suppressed,
            parts=alert.parts,
        )
        for alert in alerts
    )


def digest(rows: Sequence[msgspec.Struct]) -> str:
    """One hash over all of them, numbers to the last bit."""
    return hashlib.blake2b(msgspec.json.encode(rows), digest_size=16).hexdigest()


def same(one: Sequence[Content], other: Sequence[Content]) -> None:
    """Compares by hash; where that differs, says where."""
    if digest(one) == digest(other):
        return
    there, here = ({each.id: each for each in rows} for rows in (one, other))
    missing = [there[key] for key in there.keys() - here.keys()][:3]
    extra = [here[key] for key in here.keys() - there.keys()][:3]
    unlike = [(there[key], here[key]) for key in there.keys() & here.keys() if there[key] != here[key]][:3]
    raise AssertionError(
        f"{len(one)} and {len(other)}\nonly one: {missing}\nonly other: {extra}\nunlike: {unlike}"
    )


# --- live ------------------------------------------------------------------------------------------


def live(
    specs: Sequence[RuleSpec], batch: TickBatch, folder: Path, *, lists: Mapping[str, Sequence[str]], seed: int
) -> list[Alert]:
    """How records and appends are cut, and where a life ends in peace or without a word, is by chance."""

    async def run() -> list[Alert]:
        random = Random(seed)
        clock = Hands(int(batch.observed_at[0]))
        async with opened(folder, clock) as (store, journal):
            await store.run(lambda tx: _save(tx, specs, lists))
            tape = _Feed(batch, journal, clock, random)
            chances = LIVES / (1 + len(batch.starts) / (AT_ONCE * AT_ONCE / 4))
            watch = await _begun(journal, store, clock)
            while await tape.append():
                while await watch.advance():
                    pass
                if random.random() < chances:
                    if random.random() < 0.5:
                        await watch.close()
                    watch = await _begun(journal, store, clock)
            await watch.close()
            return await store.run(lambda tx: [*tx.alerts(LOCAL_OWNER, limit=EVER, kinds=OF_RULES)])

    return virtual_time.run(run)


def _save(tx: Tx, specs: Sequence[RuleSpec], lists: Mapping[str, Sequence[str]]) -> None:
    for name, pairs in lists.items():
        tx.save_watchlist(LOCAL_OWNER, name, pairs, head=0, now=0)
    for spec in specs:
        tx.save_rule(LOCAL_OWNER, spec, head=0, now=0)


async def _begun(journal: Journal, store: Store, clock: Hands) -> Watch:
    watch = Watch(journal, store, clock, channels=("console",))
    await watch.recover()
    return watch


class _Feed:
    """Appends a batch to a journal, some instants at a time."""

    def __init__(self, batch: TickBatch, journal: Journal, clock: Hands, random: Random) -> None:
        self._batch = batch
        self._journal = journal
        self._clock = clock
        self._random = random
        self._bounds = np.append(batch.starts, len(batch))
        self._next = 0
        self._number = 0

    async def append(self) -> bool:
        """The next records, at the time of their last observation. False when all were there."""
        bodies = []
        for _ in range(self._random.randint(1, AT_ONCE)):
            instants = self._random.choice((1, 1, self._random.randint(1, AT_ONCE)))
            bounds = self._bounds[self._next : self._next + instants + 1]
            if len(bounds) < 2:
                break
            rows = slice(int(bounds[0]), int(bounds[-1]))
            piece = msgspec.structs.replace(self._batch.rows(rows), starts=bounds[:-1] - bounds[0]).compact()
            bodies.append(Ticks(piece))
            self._next += len(bounds) - 1
        if not bodies:
            return False
        self._clock.wall = max(self._clock.wall, int(bodies[-1].batch.observed_at.max()))
        self._clock.steady += self._random.choice((0.1, 2.0, 400.0))
        drafts = [Draft("replay", self._number + number, body) for number, body in enumerate(bodies, start=1)]
        self._number += len(drafts)
        await self._journal.append(drafts)
        return True


# --- replayed and previewed ------------------------------------------------------------------------


def replayed(specs: Sequence[RuleSpec], batch: TickBatch, *, lists: Mapping[str, Sequence[str]]) -> list[Alert]:
    """As `cryptowatcher replay`, over observations instead of files."""
    return run_series(rules_of(specs, lists), batch)


def previewed(specs: Sequence[RuleSpec], tape: Tape, *, lists: Mapping[str, Sequence[str]]) -> list[Alert]:
    """Every rule on each of its pairs. What is shown of each is what the alerts of it say.

    Of one observation alone a preview says nothing, and a rule that asks to be told at the first one speaks. So
    pairs with one are left to the other two.
    """
    found = []
    several = {*tape.batch.pairs} - seen_once(tape.batch)
    for rule in rules_of(specs, lists):
        for pair in tape.batch.pairs if rule.spec.pairs == ("all",) else pairs_of(rule):
            if pair in several:
                found += _on_pair(rule, tape, pair)
    return found


def seen_once(batch: TickBatch) -> set[str]:
    """Pairs of which no observation is newer than the first."""
    return {line.pair for line, _ in lines_of(batch) if len(line) == 1}


def _on_pair(rule: Rule, tape: Tape, pair: str) -> list[Alert]:
    condition = parse(rule.spec.when)
    # On candles that are too coarse a preview says that nothing is known; as observations they are judged.
    candle = 0 if too_coarse(condition, tape.candle) else tape.candle
    unsaid = np.full(len(tape.batch), np.nan)
    recorded = Recorded(tape.batch, traded=unsaid, high=unsaid, low=unsaid, candle=candle)
    history = history_of(recorded, pairs_needed(condition, pair))
    shown = preview(rule, history, pair)
    alerts = [] if shown.unknown else Hindsight(rule, history, pair).alerts()
    firings = [(each.time, each.price, each.value) for each in shown.firings]
    assert firings == [(observed_at(alert), alert.price, alert.value) for alert in alerts]
    return alerts
