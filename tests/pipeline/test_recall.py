"""Whoever can read journal and store stands where the watcher stands, to the byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.sqlite_file import connect
from cryptowatcher.domain.checkpoints import decode_head, encode, join
from cryptowatcher.domain.records import Draft, Record, Ticks
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.rules.model import RuleChange, RuleSpec, rule_id
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA, Watcher, WatcherState
from cryptowatcher.pipeline.tidy import Tidier
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Journal, Store, Tx
from cryptowatcher.recall import PAGE, Recalled, recall
from cryptowatcher.testing import virtual_time
from tests.domain.journals import Journey, examples, journeys
from tests.domain.states import told
from tests.memory import short_lived
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.inline import Around, Hands, Reading, all_records, nothing, opened, put, save_change
from tests.pipeline.lives import CHANNELS, EVER, OWNER


class Changes:
    """All changes of rules there ever were, also those that tidy has dropped, and where they were taken up."""

    def __init__(self) -> None:
        self.all: dict[int, RuleChange] = {}
        self.places: dict[int, int] = {}

    async def look(self, store: Store) -> None:
        """At what there is; before tidy does."""
        changes, taken = await store.run(lambda tx: (tx.rule_changes(0), tx.take_ups()))
        self.all.update((change.number, change) for change in changes)
        self.places.update((each.number, each.seq) for each in taken)


async def straight(
    store: Store, records: Sequence[Record], *, candles: bool, changes: Changes | None = None
) -> bytes:
    """The state of one watcher that went all the way to the cursor, with the changes where they were taken up."""
    cursor = await store.run(lambda tx: tx.cursor())
    assert cursor is not None
    upto, changes = cursor.seq, changes or Changes()
    await changes.look(store)
    watcher = Watcher(candles=candles)
    for number, seq in sorted(changes.places.items()):
        watcher.take_up(changes.all[number], seq)
    for record in records:
        if record.seq <= upto:
            watcher.step(record)
    watcher.apply_changes(before=upto + 1)
    watcher.effects()
    return said(watcher)


def said(watcher: Watcher) -> bytes:
    """All that its later steps depend on, whatever slots its rules happen to be in."""
    state = join(watcher.state(), WatcherState)
    return encode((told(state.engine), state.candles, state.applied, state.blindness))


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
        ever = Changes()
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
                await tidy(journal, store, ever)
            if random.random() < 0.3 and await store.run(lambda tx: tx.cursor()) is not None:
                candles = random.random() < 0.5
                found = await recalled(journal, store, candles=candles)
                assert said(found.watcher) == await straight(store, written, candles=candles, changes=ever)


async def tidy(journal: Journal, store: Store, ever: Changes) -> None:
    """The journal goes up to the newest checkpoint, and what rules were before what it began with before that."""
    await ever.look(store)
    await Tidier(journal, store, Hands(0), keep=Retention(journal_size=1)).tidy()


async def save(store: Store, change: RuleChange, *, head: int) -> None:
    await store.run(lambda tx: save_change(tx, OWNER, change, head=head))


@examples(6)
@given(journeys(records=40), st.integers(0, 2**32))
def test_a_checkpoint_and_the_journal_behind_it_give_the_state_of_a_straight_run(
    journey: Journey, seed: int
) -> None:
    with short_lived() as folder:
        virtual_time.run(lambda: follow(journey, Random(seed), folder))


async def soon(desk: Desk, watch: Watch, *prices: float) -> None:
    """Prices so close together that watch makes no checkpoint by itself; it steps and commits them."""
    for price in prices:
        desk.clock.pass_by(2)
        await put(desk.journal, Ticks(one_instant({"a/usd": price}, observed_at=desk.clock.wall)))
    await to_the_head(watch)


@pytest.mark.parametrize("known", [True, False], ids=["from a checkpoint", "from the beginning"])
def test_a_rule_paused_and_resumed_between_two_records_has_forgotten_where_it_stood(
    tmp_path: Path, known: bool
) -> None:
    """Both edits count from the same position; that the second undoes the first is not all there is to them."""

    async def act(desk: Desk) -> None:
        await desk.rule()
        watch = await desk.watch()
        await soon(desk, watch, 90, 110)
        if known:
            await watch.checkpoint()
        await desk.rule(paused=True)
        await desk.rule(paused=False)
        await soon(desk, watch, 111)
        written = await all_records(desk.journal)
        back = await recalled(desk.journal, desk.store)
        assert back.checkpoint == (2 if known else 0)
        assert said(back.watcher) == await straight(desk.store, written, candles=True)

    at_a_desk(tmp_path, act)


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
        assert said(found.watcher) == await straight(desk.store, written, candles=True)

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
        assert len(done) == 2, "the watcher that the checkpoint makes, and the records behind it"

    at_a_desk(tmp_path, act)


# --- what tidy has dropped ---------------------------------------------------------------------------


async def edited(desk: Desk) -> Watch:
    """Rules that were edited again and again: the journal reaches back into the midst of that. It begins at 5,
    with a checkpoint at 4."""
    await desk.rule(name="often", cooldown="1h")
    await desk.rule(name="gone")
    await desk.rule(name="once", repeat="once")
    watch = await desk.watch()
    await soon(desk, watch, 90, 110)
    await desk.rule(name="often", paused=True)
    await desk.store.run(lambda tx: tx.remove_rules(OWNER, [rule_id(OWNER, "gone")], head=2, now=0))
    await desk.rule(name="once", repeat="once", cooldown="1h")
    await soon(desk, watch, 111)
    await desk.rule(name="often", when="price >= 100.5")
    await soon(desk, watch, 95)
    await watch.checkpoint()
    await soon(desk, watch, 96, 120)
    await desk.journal.trim(4)
    await desk.rule(name="often", when="price >= 130")
    await desk.rule(name="gone")
    await soon(desk, watch, 121, 97)
    return watch


async def numbers(desk: Desk) -> list[int]:
    return [change.number for change in await desk.store.run(lambda tx: tx.rule_changes(0))]


@pytest.mark.parametrize("known", [True, False], ids=["from a checkpoint", "from the beginning"])
def test_without_what_rules_were_long_ago_a_start_stands_where_it_stood(tmp_path: Path, known: bool) -> None:
    async def act(desk: Desk) -> None:
        await edited(desk)
        if not known:
            change_store(tmp_path, "DELETE FROM checkpoints")
        before = await recalled(desk.journal, desk.store)
        assert (before.checkpoint, await numbers(desk)) == (4 * known, [1, 2, 3, 4, 5, 6, 7, 8, 9])
        await Tidier(desk.journal, desk.store, desk.clock).tidy()
        assert await numbers(desk) == [5, 6, 7, 8, 9]
        after = await recalled(desk.journal, desk.store)
        assert (after.checkpoint, after.last_change) == (before.checkpoint, before.last_change)
        assert said(after.watcher) == said(before.watcher)

    at_a_desk(tmp_path, act)


def test_what_a_rule_was_between_a_checkpoint_and_the_next_record_stays(tmp_path: Path) -> None:
    """It counts from the checkpoint's position, and is not in it."""

    async def act(desk: Desk) -> None:
        await desk.rule()
        watch = await desk.watch()
        await soon(desk, watch, 90, 110)
        await watch.checkpoint()
        await desk.journal.trim(2)
        await desk.rule(paused=True)
        await desk.rule(paused=False)
        await soon(desk, watch, 111)
        before = await recalled(desk.journal, desk.store)
        await Tidier(desk.journal, desk.store, desk.clock).tidy()
        after = await recalled(desk.journal, desk.store)
        assert (after.checkpoint, said(after.watcher)) == (2, said(before.watcher))
        assert await numbers(desk) == [1, 2, 3]

    at_a_desk(tmp_path, act)


@pytest.mark.parametrize("trimmed", [True, False])
def test_the_same_rules_fire_after_a_start_without_what_rules_were_long_ago(tmp_path: Path, trimmed: bool) -> None:
    async def act(desk: Desk) -> None:
        await edited(desk)
        change_store(tmp_path, "DELETE FROM checkpoints")
        if trimmed:
            await Tidier(desk.journal, desk.store, desk.clock).tidy()
        assert (len(await numbers(desk)) < 9) == trimmed
        watch = await desk.watch()
        await soon(desk, watch, 98, 101, 131)
        found = await desk.store.run(lambda tx: tx.alerts(OWNER, limit=EVER))
        assert sorted((alert.seq, alert.rule_name) for alert in found) == [
            *[(2, name) for name in ("gone", "often", "once")], (6, "often"), (10, "gone"), (11, "often"),
        ]  # fmt: skip

    at_a_desk(tmp_path, act)


# --- what is damaged -------------------------------------------------------------------------------


async def three_checkpoints(desk: Desk) -> Watch:
    """At positions 3, 5 and 7, of which the newest two are kept; and the journal goes on to 8."""
    await desk.rule()
    watch = await desk.watch()
    await soon(desk, watch, 90, 110, 91)
    await watch.checkpoint()
    await soon(desk, watch, 92, 93)
    await watch.checkpoint()
    await soon(desk, watch, 94, 95)
    await watch.checkpoint()
    await soon(desk, watch, 96)
    return watch


def change_store(folder: Path, sql: str, *values: str | bytes) -> int:
    """From outside; how many rows it changed."""
    with closing(connect(folder / "store.db")) as db:
        db.execute(sql, values)
        return db.changes()


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "head": ("UPDATE checkpoints SET state = ? WHERE seq = 7", lambda data: flip(data, len(data) // 2)),
    "no head": ("UPDATE checkpoints SET state = ? WHERE seq = 7", lambda data: b""),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_head_is_passed_over_for_the_checkpoint_before(tmp_path: Path, how: str) -> None:
    async def act(desk: Desk) -> None:
        await three_checkpoints(desk)
        written = await all_records(desk.journal)
        sql, harm = DAMAGE[how]
        found = await desk.store.run(lambda tx: tx.checkpoint(desk.journal.id, CHECKPOINT_SCHEMA, 7))
        assert found is not None
        assert change_store(tmp_path, sql, harm(found[1])) == 1
        back = await recalled(desk.journal, desk.store)
        assert (back.checkpoint, back.cursor.seq, back.damaged) == (5, 8, (7,))
        assert said(back.watcher) == await straight(desk.store, written, candles=True)

    at_a_desk(tmp_path, act)


async def parts_of(desk: Desk, seq: int) -> dict[str, bytes]:
    def read(tx: Tx) -> dict[str, bytes]:
        found = tx.checkpoint(desk.journal.id, CHECKPOINT_SCHEMA, seq)
        assert found is not None
        return tx.parts(decode_head(found[1]).names)

    return await desk.store.run(read)


@pytest.mark.parametrize("gone", [False, True], ids=["a bit flipped", "gone"])
def test_whichever_part_is_damaged_a_start_stands_where_it_stood(tmp_path: Path, gone: bool) -> None:
    """Also where both checkpoints share the part: then the journal is read from its beginning."""

    async def act(desk: Desk) -> None:
        await three_checkpoints(desk)
        written = await all_records(desk.journal)
        expected = await straight(desk.store, written, candles=True)
        newest, older = await parts_of(desk, 7), await parts_of(desk, 5)
        starts = set()
        for name, data in (older | newest).items():
            harmed = flip(data, len(data) // 2)
            if gone:
                change_store(tmp_path, "DELETE FROM checkpoint_parts WHERE name = ?", name)
            else:
                change_store(tmp_path, "UPDATE checkpoint_parts SET data = ? WHERE name = ?", harmed, name)
            back = await recalled(desk.journal, desk.store)
            assert back.checkpoint == (7 if name not in newest else 5 if name not in older else 0)
            assert said(back.watcher) == expected
            starts.add(back.checkpoint)
            await desk.store.run(lambda tx, part={name: data}: tx.put_parts(part))  # type: ignore[misc]  # mypy: lambda default
        assert {5, 7} <= starts

    at_a_desk(tmp_path, act)


@pytest.mark.parametrize("gone", [False, True], ids=["bits flipped", "gone"])
def test_the_next_checkpoint_after_a_start_mends_what_was_damaged(tmp_path: Path, gone: bool) -> None:
    """Also parts that did not change since."""

    async def act(desk: Desk) -> None:
        await three_checkpoints(desk)
        if gone:
            change_store(tmp_path, "DELETE FROM checkpoint_parts")
        else:
            change_store(tmp_path, "UPDATE checkpoint_parts SET data = x'00'")
        watch = await desk.watch()
        await watch.checkpoint()
        back = await recalled(desk.journal, desk.store)
        assert (back.checkpoint, back.damaged) == (8, ())
        await watch.checkpoint()
        assert (await recalled(desk.journal, desk.store)).checkpoint == 8

    at_a_desk(tmp_path, act)


# --- more than a page ------------------------------------------------------------------------------


async def many_changes(desk: Desk) -> None:
    """A rule that was edited more often than a page has rows, another that is new, and prices in between."""
    await desk.price(90)

    def edit(tx: Tx) -> None:
        for number in range(PAGE + 5):
            spec = RuleSpec(name="mine", pairs=("a/usd",), when="price >= 100", cooldown=f"{number + 1}s")
            tx.save_rule(OWNER, spec, head=1, now=desk.clock.wall)

    await desk.store.run(edit)
    await desk.rule(name="other", when="price >= 105")  # on the next page
    watch = await desk.watch()
    await desk.price(90, 110)
    await to_the_head(watch)
    await desk.rule(when="price >= 200")
    await desk.price(106, 210)  # the other one stays inside
    await to_the_head(watch)


def test_changes_are_taken_up_page_by_page_and_before_the_journal_begins_only_what_became_of_them(
    tmp_path: Path,
) -> None:
    """Where records are gone, what a rule was before it was edited matters no more."""

    async def act(desk: Desk) -> None:
        await many_changes(desk)
        assert await desk.alerts() == [3, 3, 5]
        written = await all_records(desk.journal)
        back = await recalled(desk.journal, desk.store)
        assert (back.checkpoint, back.last_change) == (0, PAGE + 7)
        assert said(back.watcher) == await straight(desk.store, written, candles=True)
        await desk.journal.trim(4)
        watch = await desk.watch()
        await desk.price(100, 220)
        await to_the_head(watch)
        assert await desk.alerts() == [3, 3, 5, 7, 7]
        taken = await desk.store.run(lambda tx: tx.taken_changes(0, EVER, EVER, settled=4))
        assert [change.number for change, _ in taken] == [PAGE + 6, PAGE + 7]

    at_a_desk(tmp_path, act)
