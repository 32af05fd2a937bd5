"""The real Watch on the real journal and store: whatever happens to it, the same records give the same alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.sqlite_file import connect
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.records import Ticks
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.watch import CHECKPOINT_EVERY, Watch
from cryptowatcher.ports import Fenced
from cryptowatcher.testing import virtual_time
from tests.domain.journals import Journey, examples, journeys
from tests.memory import short_lived
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.inline import Reading, nothing, put
from tests.pipeline.lives import CHANNELS, EVER, OWNER, Killed, live


def lived(journey: Journey, seed: int, *, trouble: float) -> None:
    """Whatever became of its processes, the store holds what one straight run makes of the journal."""
    with short_lived() as folder:
        there, expected = virtual_time.run(lambda: live(journey, Random(seed), folder, trouble=trouble))
    assert there == expected


@examples(8)
@given(journeys(records=30), st.integers(0, 2**32))
def test_cuts_restarts_and_edits_while_watch_lags_change_no_byte(journey: Journey, seed: int) -> None:
    lived(journey, seed, trouble=0.0)


@examples(15)
@given(journeys(records=30), st.integers(0, 2**32))
def test_failing_and_dying_anywhere_changes_no_byte(journey: Journey, seed: int) -> None:
    lived(journey, seed, trouble=0.08)


# --- one at a time ---------------------------------------------------------------------------------


def once(error: BaseException) -> Callable[[], Awaitable[None]]:
    """A hook that raises this the first time."""
    errors = [error]

    async def fail() -> None:
        if errors:
            raise errors.pop()

    return fail


async def just_before_the_crossing(desk: Desk) -> Watch:
    """A watch whose next record fires the rule."""
    await desk.rule()
    await desk.price(90, 91)
    watch = await desk.watch()
    await to_the_head(watch)
    await desk.price(110)
    return watch


def test_a_watch_that_follows_fires_and_queues_to_every_channel(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        watch = await just_before_the_crossing(desk)
        await to_the_head(watch)
        assert await desk.alerts() == [3]
        deliveries = await desk.store.run(lambda tx: tx.deliveries(OWNER, limit=EVER))
        assert {delivery.channel for delivery in deliveries} == set(CHANNELS)

    at_a_desk(tmp_path, main)


def test_what_is_claimed_as_a_commit_begins_is_there_when_it_ends(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        claims: list[asyncio.Task[list[tuple[Delivery, Alert]]]] = []
        asked: list[int] = []

        def claim() -> None:
            now = desk.clock.wall
            work = desk.store.run(lambda tx: tx.claim(now=now, holder="me", lease=1_000, limit=9))
            claims.append(asyncio.create_task(work))

        async def note() -> None:
            asked.append(len(claims))

        await desk.rule()
        await desk.price(90, 91)
        watch = desk.new_watch(queueing=claim)
        await watch.recover()
        await to_the_head(watch)
        assert not claims, "nothing was to be told"
        await desk.price(110)
        desk.around.before = note
        await to_the_head(watch)
        assert asked[-1] == 1, "asked for before the commit was durable"
        assert {delivery.channel for delivery, _ in await claims[0]} == set(CHANNELS)


def test_the_usual_channels_are_the_operators_and_what_others_name_is_their_own(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule(owner="another")
        await desk.rule(owner="a third", channels=[CHANNELS[0]])
        watch = await just_before_the_crossing(desk)
        await to_the_head(watch)
        for owner, told in ((OWNER, set(CHANNELS)), ("another", set()), ("a third", {f"{CHANNELS[0]}@a third"})):
            read = partial(
                lambda tx, whose: (tx.alerts(whose, limit=9), tx.deliveries(whose, limit=9)), whose=owner
            )
            alerts, deliveries = await desk.store.run(read)
            assert len(alerts) == 1
            assert {delivery.channel for delivery in deliveries} == told

    at_a_desk(tmp_path, main)


@pytest.mark.parametrize("reads", [0, 1, 2])
def test_a_stop_in_the_middle_of_recovery_leaves_the_cursor_where_it_was(tmp_path: Path, reads: int) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule()
        await desk.price(90, 91, 92)
        await to_the_head(await desk.watch())
        await desk.price(93, 110)
        before = await desk.cursor()

        slow = Reading(desk.journal)
        slow.most = lambda: 1
        left = [None] * reads

        async def stopped() -> None:
            if not left:
                raise asyncio.CancelledError
            left.pop()

        slow.before_read = stopped
        watch = desk.new_watch(slow)
        with pytest.raises(asyncio.CancelledError):
            await watch.recover()
        await watch.close()
        assert await desk.cursor() == before
        await desk.caught_up()
        assert await desk.alerts() == [5]

    at_a_desk(tmp_path, main)


def test_a_watch_that_never_recovered_closes_without_a_trace(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.new_watch().close()
        assert await desk.cursor() is None

    at_a_desk(tmp_path, main)


@pytest.mark.parametrize("error", [Unavailable("busy", reason="busy"), asyncio.CancelledError(), Killed()])
def test_closing_after_a_failed_commit_commits_nothing(tmp_path: Path, error: BaseException) -> None:
    async def main(desk: Desk) -> None:
        watch = await just_before_the_crossing(desk)
        before = await desk.cursor()
        with pytest.raises(type(error)):
            await failing_commit(desk, watch, error)
        await watch.close()
        assert await desk.cursor() == before
        await desk.caught_up()
        assert await desk.alerts() == [3]

    at_a_desk(tmp_path, main)


async def failing_commit(desk: Desk, watch: Watch, error: BaseException) -> None:
    """Advance over a record that fires; the commit of it fails, and nothing before."""
    failing = once(error)

    async def at_the_commit() -> None:
        desk.around.before = failing

    asked = desk.around.before
    desk.around.after = at_the_commit  # the look for rule changes is the transaction before
    try:
        await watch.advance()
    finally:
        desk.around.before, desk.around.after = asked, nothing


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Killed()])
def test_a_commit_whose_outcome_was_not_seen_counts_once(tmp_path: Path, error: BaseException) -> None:
    async def main(desk: Desk) -> None:
        watch = await just_before_the_crossing(desk)
        transactions = [None, error]  # the look for rule changes, and the commit

        async def after() -> None:
            if transactions and (found := transactions.pop(0)) is not None:
                raise found

        desk.around.after = after
        with pytest.raises(type(error)):
            await watch.advance()
        await watch.close()
        assert await desk.alerts() == [3]
        await desk.price(90, 110)
        await desk.caught_up()
        assert await desk.alerts() == [3, 5]

    at_a_desk(tmp_path, main)


def test_whoever_was_replaced_is_fenced(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        first = await just_before_the_crossing(desk)
        second = await desk.watch()
        with pytest.raises(Fenced):
            await first.advance()
        await first.close()
        assert await desk.alerts() == []
        await to_the_head(second)
        assert await desk.alerts() == [3]

    at_a_desk(tmp_path, main)


def test_a_checkpoint_of_another_schema_is_passed_over(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule()
        await desk.price(90, 110)
        await to_the_head(await desk.watch())
        cursor = await desk.cursor()
        assert cursor is not None
        await desk.store.run(lambda tx: tx.save_checkpoint(cursor, CHECKPOINT_SCHEMA + 1, b"unreadable"))
        await desk.price(111, 90, 110)
        await desk.caught_up()
        assert await desk.alerts() == [2, 5]

    at_a_desk(tmp_path, main)


def test_a_checkpoint_is_kept_now_and_then_and_a_restart_reads_only_what_came_after(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule()
        await desk.price(90, 91)
        watch = await desk.watch()
        desk.clock.pass_by(CHECKPOINT_EVERY)
        await to_the_head(watch)
        await desk.journal.trim(2)
        await desk.price(110)
        await desk.caught_up()
        assert await desk.alerts() == [3]

    at_a_desk(tmp_path, main)


def test_a_kill_anywhere_in_a_checkpoint_leaves_the_one_before_and_no_part_for_ever(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        await desk.rule()
        watch = await desk.watch()
        await desk.price(90, 91)
        await to_the_head(watch)
        await watch.checkpoint()
        parts = stored_parts(tmp_path)
        for transactions in range(3):
            await desk.price(92)
            await to_the_head(watch)
            left = list(range(transactions))

            async def die(left: list[int] = left) -> None:
                if not left:
                    raise Killed
                left.pop()

            desk.around.before = die
            with pytest.raises(Killed):
                await watch.checkpoint()
            desk.around.before = nothing
            watch = await desk.watch()
        found = await desk.store.run(lambda tx: tx.checkpoint(desk.journal.id, CHECKPOINT_SCHEMA, EVER))
        assert found is not None
        assert found[0].seq == 2
        assert stored_parts(tmp_path) > parts, "what was put before the kill"
        for price in (93, 110):
            await desk.price(price)
            await to_the_head(watch)
            await watch.checkpoint()
        assert stored_parts(tmp_path) == named_parts(tmp_path)
        assert await desk.alerts() == [7]

    at_a_desk(tmp_path, act)


def stored_parts(folder: Path) -> set[str]:
    """Names of all that stand in the file."""
    with closing(connect(folder / "store.db", readonly=True)) as db:
        return {name for (name,) in db.execute("SELECT name FROM checkpoint_parts")}


def named_parts(folder: Path) -> set[str]:
    """Names of all that a checkpoint is made of."""
    with closing(connect(folder / "store.db", readonly=True)) as db:
        return {name for (names,) in db.execute("SELECT parts FROM checkpoints") for name in names.split()}


def test_what_lies_behind_the_cursor_is_judged_though_the_journal_was_trimmed(tmp_path: Path) -> None:
    """No checkpoint fits (another release wrote it), and the journal's beginning is gone."""

    async def main(desk: Desk) -> None:
        await desk.rule()
        await desk.price(90, 91, 92, 93)
        await to_the_head(await desk.watch())
        await desk.price(94, 110, 90, 111)
        await desk.journal.trim(2)
        await desk.caught_up()
        assert await desk.alerts() == [6, 8]

    at_a_desk(tmp_path, main)


def test_a_journal_trimmed_beyond_the_cursor_is_followed_from_where_it_begins(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule()
        await desk.price(90, 91)
        await to_the_head(await desk.watch())
        await desk.price(92, 93, 110, 90, 110)
        await desk.journal.trim(4)
        await desk.caught_up()
        assert (await desk.alerts())[-1] == 7
        cursor = await desk.cursor()
        assert cursor is not None
        assert cursor.seq == 7

    at_a_desk(tmp_path, main)


def test_rules_saved_before_the_first_start_count_from_their_head(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.price(90, 110, 90)
        await desk.rule()
        await desk.price(90, 110)
        await desk.caught_up()
        assert await desk.alerts() == [5]

    at_a_desk(tmp_path, main)


def test_run_follows_the_journal_until_it_is_cancelled(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule()
        watch = desk.new_watch()
        running = asyncio.create_task(watch.run())
        for price in (90, 110, 90, 110):
            await desk.price(price)
            await asyncio.sleep(0.01)
        assert watch.position == 4
        running.cancel()
        await asyncio.wait([running])
        await watch.close()
        assert await desk.alerts() == [2, 4]

    at_a_desk(tmp_path, main)


def test_a_checkpoint_never_runs_ahead_of_what_was_committed(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        watch = await desk.watch()
        await desk.price(90)
        await to_the_head(watch)  # committed: a minute has passed
        stands = await desk.cursor()
        later = one_instant({"a/usd": 91.0}, observed_at=desk.clock.wall + 1)
        await put(desk.journal, Ticks(later))
        await to_the_head(watch)  # nothing urgent, and no time has passed
        assert (await desk.cursor(), watch.position) == (stands, 2)
        await watch.checkpoint()
        await desk.caught_up()
        (price,) = await desk.store.run(lambda tx: tx.prices())
        assert price.price == 91

    at_a_desk(tmp_path, main)
