"""Tidy forgets what nobody needs any more, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.records import Beat
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.pipeline.tidy import Tidier
from cryptowatcher.ports import Cursor, Journal, Step, Store, Trimmed, Tx
from cryptowatcher.testing import virtual_time
from tests.pipeline.inline import Hands, opened, put

DAY = 86_400.0


class House:
    """A journal of a record a day, and a store."""

    def __init__(self, store: Store, journal: Journal, clock: Hands) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock

    async def days(self, count: int) -> None:
        for _ in range(count):
            await put(self.journal, Beat())
            self.clock.pass_by(DAY)

    async def watched(
        self, upto: int, *, checkpoints: tuple[int, ...] = (), schema: int = CHECKPOINT_SCHEMA
    ) -> None:
        """Watch has come this far, and has kept its state there."""

        def save(tx: Tx) -> None:
            for seq in checkpoints:
                tx.save_checkpoint(Cursor(self.journal.id, seq, 0), schema, b"state")
            step = Step(cursor=Cursor(self.journal.id, upto, 0))
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())

        await self.store.run(save)

    async def tidy(self) -> None:
        await Tidier(self.journal, self.store, self.clock).tidy()

    async def oldest(self) -> int:
        """The first record that still stands."""
        try:
            return (await self.journal.read(0))[0].seq
        except Trimmed as gone:
            return gone.oldest


def in_a_house(
    folder: Path, main: Callable[[House], Awaitable[None]], *, journal_file: str = "journal.db"
) -> None:
    async def run() -> None:
        clock = Hands(virtual_time.START_MS)
        async with opened(folder, clock, journal_file=journal_file) as (store, journal):
            await main(House(store, journal, clock))

    virtual_time.run(run)


def test_what_is_older_than_seven_days_goes(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))
        await house.tidy()
        # Now is the 21st day: record 14 is seven days old, not older.
        assert await house.oldest() == 14
        assert await house.journal.head() == 20

    in_a_house(tmp_path, main)


def test_what_the_newest_checkpoint_needs_stays(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(12, checkpoints=(3, 6))
        await house.tidy()
        assert await house.oldest() == 7

    in_a_house(tmp_path, main)


def test_a_checkpoint_beyond_the_cursor_does_not_count(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(5, checkpoints=(4, 9))
        await house.tidy()
        assert await house.oldest() == 5

    in_a_house(tmp_path, main)


def test_nothing_goes_before_watch_has_come_anywhere(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, main)


@pytest.mark.parametrize("checkpoints", [(), (15,)], ids=["none", "of another schema"])
def test_nothing_goes_where_no_checkpoint_can_be_read(tmp_path: Path, checkpoints: tuple[int, ...]) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=checkpoints, schema=CHECKPOINT_SCHEMA + 1)
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, main)


def test_nothing_goes_of_a_journal_that_watch_has_not_met(tmp_path: Path) -> None:
    async def before(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))

    async def after(house: House) -> None:
        await house.days(20)
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, before)
    in_a_house(tmp_path, after, journal_file="another.db")


def test_tidying_twice_is_tidying_once(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))
        await house.tidy()
        await house.tidy()
        assert await house.oldest() == 14
        await house.days(1)
        assert await house.journal.head() == 21

    in_a_house(tmp_path, main)


def test_everything_may_go_and_the_positions_go_on(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(3)
        await house.watched(3, checkpoints=(3,))
        house.clock.pass_by(30 * DAY)
        await house.tidy()
        assert await house.journal.read(3) == []
        assert await put(house.journal, Beat()) == 4
        assert await house.oldest() == 4

    in_a_house(tmp_path, main)


def test_minute_candles_go_after_ninety_days_and_coarser_ones_never(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        start = house.clock.wall // MS["d"] * MS["d"]
        candles = [a_candle(interval, start) for interval in INTERVALS.values()]

        def save(tx: Tx) -> None:
            step = Step(cursor=Cursor(house.journal.id, 0, 0), candles=candles)
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None)

        await house.store.run(save)
        house.clock.pass_by(90 * DAY)
        await house.tidy()
        assert await stored(house) == set(INTERVALS.values())
        house.clock.pass_by(60)
        await house.tidy()
        assert await stored(house) == set(INTERVALS.values()) - {MS["m"]}

    in_a_house(tmp_path, main)


def a_candle(interval: int, start: int) -> Candle:
    return Candle(
        pair="a/usd",
        interval=interval,
        start=start,
        open=1.0,
        high=1.0,
        low=1.0,
        close=1.0,
        volume_24h=None,
        ticks=1,
        observed_ms=0,
    )


async def stored(house: House) -> set[int]:
    """Intervals of which a candle stands."""

    def read(tx: Tx) -> set[int]:
        return {
            interval
            for interval in INTERVALS.values()
            if tx.candles("a/usd", interval, start=0, end=2**62, limit=9)
        }

    return await house.store.run(read)


def test_run_tidies_at_once_and_every_hour(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))
        tidying = asyncio.create_task(Tidier(house.journal, house.store, house.clock).run())
        await asyncio.sleep(1)
        assert await house.oldest() == 14
        house.clock.pass_by(3 * DAY)
        await asyncio.sleep(3_600)
        assert await house.oldest() == 17
        tidying.cancel()
        await asyncio.wait([tidying])
        assert tidying.cancelled()

    in_a_house(tmp_path, main)
