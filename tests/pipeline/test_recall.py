"""Whoever can read journal and store stands where the watcher stands, to the byte."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.records import Draft, Record, Ticks
from cryptowatcher.domain.rules.model import RuleChange
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA, Watcher
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Journal, Store, Tx
from cryptowatcher.recall import Recalled, recall
from cryptowatcher.testing import virtual_time
from tests.domain.journals import Journey, examples, journeys
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.inline import Around, Hands, Reading, all_records, nothing, opened, put, save_change
from tests.pipeline.lives import CHANNELS, OWNER

IN_MEMORY = Path("/dev/shm")


async def straight(store: Store, records: Sequence[Record], *, candles: bool) -> bytes:
    """The state of one watcher that went all the way to the cursor, with the changes where they were taken up."""

    def read(tx: Tx) -> tuple[int, dict[int, int]]:
        cursor = tx.cursor()
        assert cursor is not None
        return cursor.seq, {taken.number: taken.seq for taken in tx.take_ups()}

    upto, positions = await store.run(read)
    watcher = Watcher(candles=candles)
    for change in await store.run(lambda tx: tx.rule_changes(0)):
        if change.number in positions:
            watcher.take_up(change, positions[change.number])
    for record in records:
        if record.seq <= upto:
            watcher.step(record)
    watcher.apply_changes(before=upto + 1)
    watcher.effects()
    return watcher.state()


async def recalled(journal: Journal, store: Store, *, candles: bool = True) -> Recalled:
    found = await recall(journal, store, candles=candles)
    assert found is not None
    return found


async def follow(journey: Journey, random: Random, folder: Path) -> None:
    """A watcher follows a journal that grows, with rules that change, and another looks on."""
    clock = Hands(journey.records[0].at)
    changes = list(journey.changes)
    async with opened(folder, clock, Around()) as (store, journal):
        watch = Watch(journal, store, clock, channels=CHANNELS)
        await watch.recover()
        assert await recall(journal, store) is None
        written: list[Record] = []
        for record in journey.records:
            clock.wall = record.at
            await journal.append([Draft(record.writer, record.number, record.body)])
            written += await all_records(journal, len(written))
            while changes and changes[0].head < record.seq and random.random() < 0.7:
                await save(store, changes.pop(0), head=record.seq)
            if random.random() < 0.6:
                clock.pass_by(random.choice((0.0, 2.0, 70.0)))
                await to_the_head(watch)
            if random.random() < 0.2:
                await watch.checkpoint()
            if random.random() < 0.1:
                await journal.trim(await newest_checkpoint(journal, store))
            if random.random() < 0.3 and await store.run(lambda tx: tx.cursor()) is not None:
                candles = random.random() < 0.5
                found = await recalled(journal, store, candles=candles)
                assert found.watcher.state() == await straight(store, written, candles=candles)


async def save(store: Store, change: RuleChange, *, head: int) -> None:
    await store.run(lambda tx: save_change(tx, OWNER, change, head=head))


async def newest_checkpoint(journal: Journal, store: Store) -> int:
    """Up to where tidy may trim."""
    cursor = await store.run(lambda tx: tx.cursor())
    if cursor is None:
        return 0
    found = await store.run(lambda tx: tx.checkpoint(journal.id, CHECKPOINT_SCHEMA, cursor.seq))
    return 0 if found is None else found[0].seq


@examples(10)
@given(journeys(records=40), st.integers(0, 2**32))
def test_a_checkpoint_and_the_journal_behind_it_give_the_state_of_a_straight_run(
    journey: Journey, seed: int
) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        virtual_time.run(lambda: follow(journey, Random(seed), Path(folder)))


async def soon(desk: Desk, watch: Watch, *prices: float) -> None:
    """Prices so close together that watch makes no checkpoint by itself; it steps and commits them."""
    for price in prices:
        desk.clock.pass_by(2)
        await put(desk.journal, Ticks(one_instant({"a/usd": price}, observed_at=desk.clock.wall)))
    await to_the_head(watch)


@pytest.mark.parametrize("upto", [5, 9])
def test_what_is_trimmed_while_somebody_reads_is_read_anew_from_the_newer_checkpoint(
    tmp_path: Path, upto: int
) -> None:
    """Up to before the place where the reader was to end, or beyond."""

    async def act(desk: Desk) -> None:
        await desk.rule()
        watch = await desk.watch()
        await soon(desk, watch, 90, 91, 92)
        await watch.checkpoint()
        await soon(desk, watch, 93, 110, 95, 96)
        written = await all_records(desk.journal)

        async def tidy() -> None:
            reading.before_read = nothing
            await soon(desk, watch, 97, 98)
            await watch.checkpoint()
            await soon(desk, watch, 99)
            written.extend(await all_records(desk.journal, len(written)))
            await desk.journal.trim(upto)

        reading = Reading(desk.journal)
        reading.before_read = tidy
        found = await recalled(reading, desk.store)
        assert (found.checkpoint, found.cursor.seq) == (9, 10)
        assert found.watcher.state() == await straight(desk.store, written, candles=True)

    at_a_desk(tmp_path, act)


def test_a_journal_that_is_trimmed_beyond_the_newest_checkpoint_still_gives_what_stands(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.rule()
        watch = await desk.watch()
        await soon(desk, watch, 90)
        await watch.checkpoint()
        await soon(desk, watch, 91, 92, 93)
        await desk.price(94, 95)  # and watch is behind
        await desk.journal.trim(3)
        found = await recalled(desk.journal, desk.store)
        assert (found.checkpoint, found.cursor.seq) == (1, 4)
        assert found.watcher.engine.memory.history.price[0] == 93

    at_a_desk(tmp_path, act)


def test_nobody_stands_anywhere_in_a_journal_that_was_replaced(tmp_path: Path) -> None:
    async def before(desk: Desk) -> None:
        await desk.price(90)
        await desk.caught_up()

    async def after(desk: Desk) -> None:
        assert await recall(desk.journal, desk.store) is None

    at_a_desk(tmp_path, before)
    at_a_desk(tmp_path, after, journal_file="other.db")


def test_the_work_is_done_where_it_is_asked_to_be(tmp_path: Path) -> None:
    """So that a page in the same process answers others meanwhile."""

    async def act(desk: Desk) -> None:
        await desk.rule()
        watch = await desk.watch()
        await soon(desk, watch, *range(50, 90))
        await watch.checkpoint()
        await soon(desk, watch, 91)
        done: list[Callable[[], object]] = []

        async def elsewhere(fn: Callable[[], object]) -> object:
            done.append(fn)
            return fn()

        assert await recall(desk.journal, desk.store, work=elsewhere) is not None
        assert len(done) == 2, "the checkpoint, and the records behind it"

    at_a_desk(tmp_path, act)
