"""Tidy forgets what nobody needs any more, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.intervals import INTERVALS, MS
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import Beat, Body, Ticks
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.rules.model import RuleSpec, TakeUp
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.pipeline.tidy import Tidier
from cryptowatcher.ports import Cursor, Journal, Step, Store, Trimmed, Tx
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.journal import random_batch
from cryptowatcher.testing.contracts.store_case import sample_alert, sample_delivery, sample_price
from tests.pipeline.inline import Hands, opened, put

DAY = 86_400.0
YEAR = 365 * DAY
KEEP = Retention()


class House:
    """A journal of a record a day, and a store."""

    def __init__(self, store: Store, journal: Journal, clock: Hands) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.gone: dict[str, int] = {}

    async def days(self, count: int, *, body: Callable[[int], Body] = lambda now: Beat()) -> None:
        """A record a day, which `body` makes of the time."""
        for _ in range(count):
            await put(self.journal, body(self.clock.wall))
            self.clock.pass_by(DAY)

    async def seen(self, at: int | None = None) -> None:
        """A price, observed now or then."""
        price = msgspec.structs.replace(sample_price("a/usd", None), observed_at=at or self.clock.wall)
        await self.commit(Step(cursor=Cursor(self.journal.id, 0, 0), prices=[price]))

    async def commit(self, step: Step) -> None:
        """With the cursor where it is."""

        def save(tx: Tx) -> None:
            here = tx.cursor()
            at = msgspec.structs.replace(step, cursor=here or step.cursor)
            tx.commit_step(at, epoch=tx.new_epoch("watch"), before=here)

        await self.store.run(save)

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

    async def tidy(self, keep: Retention = KEEP) -> None:
        await self.tidier(keep).tidy()

    def tidier(self, keep: Retention = KEEP) -> Tidier:
        def trimmed(what: str, count: int) -> None:
            assert count > 0
            self.gone[what] = self.gone.get(what, 0) + count

        return Tidier(self.journal, self.store, self.clock, keep=keep, trimmed=trimmed)

    async def store_an_alert(self, at: int, *, owner: str = "local", sent: bool = True) -> None:
        identity = alert_id(rule=f"r {owner}", version=1, pair="a/usd", kind="edge", event_time=at)
        alert = msgspec.structs.replace(sample_alert(1), id=identity, event_time=at, owner=owner)
        delivery = msgspec.structs.replace(sample_delivery(alert), state="sent" if sent else "queued")
        cursor = Cursor(self.journal.id, 0, 0)
        await self.commit(Step(cursor=cursor, alerts=[alert], deliveries=[delivery]))

    async def alerts(self, owner: str) -> list[int]:
        """Their ages in days, newest first; each with its delivery."""

        def read(tx: Tx) -> list[Alert]:
            alerts = tx.alerts(owner, limit=99)
            assert [each.alert for each in tx.deliveries(owner, limit=99)] == [alert.id for alert in alerts]
            return alerts

        return [(self.clock.wall - alert.event_time) // MS["d"] for alert in await self.store.run(read)]

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
        await house.seen()
        await house.tidy()
        # Now is the 21st day: record 14 is seven days old, not older.
        assert await house.oldest() == 14
        assert await house.journal.head() == 20

    in_a_house(tmp_path, main)


def test_what_the_newest_checkpoint_needs_stays(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(12, checkpoints=(3, 6))
        await house.seen()
        await house.tidy()
        assert await house.oldest() == 7

    in_a_house(tmp_path, main)


def test_a_checkpoint_beyond_the_cursor_does_not_count(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(5, checkpoints=(4, 9))
        await house.seen()
        await house.tidy()
        assert await house.oldest() == 5

    in_a_house(tmp_path, main)


def test_nothing_goes_before_watch_has_come_anywhere(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.seen()
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, main)


@pytest.mark.parametrize("checkpoints", [(), (15,)], ids=["none", "of another schema"])
def test_nothing_goes_where_no_checkpoint_can_be_read(tmp_path: Path, checkpoints: tuple[int, ...]) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=checkpoints, schema=CHECKPOINT_SCHEMA + 1)
        await house.seen()
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, main)


def test_nothing_goes_of_a_journal_that_watch_has_not_met(tmp_path: Path) -> None:
    async def before(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))

    async def after(house: House) -> None:
        await house.days(20)
        await house.seen()
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, before)
    in_a_house(tmp_path, after, journal_file="another.db")


def test_tidying_twice_is_tidying_once(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))
        await house.seen()
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
        await house.seen()
        await house.tidy()
        assert await house.journal.read(3) == []
        assert await put(house.journal, Beat()) == 4
        assert await house.oldest() == 4

    in_a_house(tmp_path, main)


# --- changes of rules ------------------------------------------------------------------------------


async def edits(house: House) -> None:
    """A rule that was edited each day for five days, and watch took each edit up at once."""
    for day in range(1, 6):
        spec = RuleSpec(name="mine", pairs=("all",), when=f"price > {day}")
        await house.store.run(lambda tx, spec=spec: tx.save_rule("local", spec, head=0, now=1))  # type: ignore[misc]  # mypy: lambda default
        place = Cursor(house.journal.id, day, 0)
        await house.commit(Step(cursor=place, take_ups=[TakeUp(day, day)]))


async def changes(house: House) -> list[int]:
    return [change.number for change in await house.store.run(lambda tx: tx.rule_changes(0))]


def test_what_a_rule_was_goes_an_hour_after_the_records_it_counted_for(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(12)
        await edits(house)
        await house.watched(12, checkpoints=(12,))
        await house.seen()
        await house.tidy()
        assert (await house.oldest(), await changes(house)) == (6, [1, 2, 3, 4, 5])
        await house.tidy()
        assert await changes(house) == [4, 5], "the edit of day 5 counts from the last record that is gone"
        assert house.gone == {"records": 5, "changes": 3}

    in_a_house(tmp_path, main)


def test_take_ups_of_a_journal_that_was_replaced_say_nothing(tmp_path: Path) -> None:
    async def before(house: House) -> None:
        await house.days(5)
        await edits(house)

    async def after(house: House) -> None:
        await house.days(20)
        await house.journal.trim(20)
        await house.tidy()
        assert await changes(house) == [1, 2, 3, 4, 5]

    in_a_house(tmp_path, before)
    in_a_house(tmp_path, after, journal_file="another.db")


# --- by size ---------------------------------------------------------------------------------------


def large(now: int) -> Body:
    """A record of some 35 KB."""
    return Ticks(random_batch(2_000, seed=now))


def test_too_large_a_journal_loses_its_oldest_records_however_new_they_are(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(5, body=large)
        house.clock.pass_by(-4 * DAY)
        await house.watched(5, checkpoints=(5,))
        await house.seen()
        await house.tidy(Retention(journal_size=120_000))
        assert 2 < await house.oldest() <= 5
        assert house.gone == {"records": await house.oldest() - 1}

    in_a_house(tmp_path, main)


def test_size_does_not_take_what_the_checkpoint_needs(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(5, body=large)
        await house.watched(5, checkpoints=(2,))
        await house.tidy(Retention(journal_size=1))
        assert await house.oldest() == 3

    in_a_house(tmp_path, main)


def test_what_was_freed_is_used_again(tmp_path: Path) -> None:
    """The file does not shrink, and does not grow."""

    async def main(house: House) -> None:
        for _ in range(10):  # three and a half megabytes in all
            await house.days(10, body=large)
            head = await house.journal.head()
            await house.watched(head, checkpoints=(head,))
            await house.seen()
            await house.tidy(Retention(journal_size=200_000))
        assert (tmp_path / "journal.db").stat().st_size < 1_500_000

    in_a_house(tmp_path, main)


# --- clocks that lie -------------------------------------------------------------------------------


def observed(now: int) -> Body:
    return Ticks(one_instant({"a/usd": 1.0}, observed_at=now))


def test_a_clock_a_year_ahead_makes_nothing_old(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(10, body=observed)
        await house.store_an_alert(house.clock.wall - 2 * MS["d"])
        await house.watched(10, checkpoints=(10,))
        await house.seen()
        house.clock.pass_by(YEAR)  # and no source agrees: nothing is seen
        await put(house.journal, Beat())
        await house.tidy(Retention(alerts=3 * MS["d"]))
        assert await house.oldest() == 4
        assert house.gone == {"records": 3}

    in_a_house(tmp_path, main)


def test_a_price_from_the_future_makes_nothing_old_once_the_clock_is_right(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(10)
        await house.watched(10, checkpoints=(10,))
        await house.seen(house.clock.wall + 365 * MS["d"])
        await house.tidy()
        assert await house.oldest() == 4

    in_a_house(tmp_path, main)


def test_a_clock_that_begins_in_1970_makes_nothing_old(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(10)
        await house.watched(10, checkpoints=(10,))
        await house.seen()
        house.clock.wall = 5
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, main)


def test_before_the_first_price_nothing_is_old(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.days(20)
        await house.watched(20, checkpoints=(20,))
        await house.tidy()
        assert await house.oldest() == 1

    in_a_house(tmp_path, main)


def test_records_with_a_time_that_is_still_to_come_go_by_what_they_observed(tmp_path: Path) -> None:
    """The clock was a year ahead for a moment: all that follows bears that time until it has come."""

    async def main(house: House) -> None:
        house.clock.pass_by(YEAR)
        await put(house.journal, Beat(), Ticks(one_instant({CANARY: 1.0}, observed_at=house.clock.wall)))
        house.clock.pass_by(-YEAR)
        await house.days(20, body=observed)
        await put(house.journal, Beat())
        head = await house.journal.head()
        await house.watched(head, checkpoints=(head,))
        await house.seen()
        await house.tidy()
        # Two records of the year ahead, then one a day: the 14th day is seven days old, not older.
        assert await house.oldest() == 2 + 14
        await house.tidy()
        assert await house.oldest() == 2 + 14

    in_a_house(tmp_path, main)


# --- rows of the store -----------------------------------------------------------------------------


def test_alerts_go_by_age_and_the_canarys_after_a_day(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        now = house.clock.wall
        for age in (800, 731, 729, 2, 0):
            await house.store_an_alert(now - age * MS["d"])
            await house.store_an_alert(now - age * MS["d"], owner=SYSTEM_OWNER)
        await house.seen()
        await house.tidy()
        assert await house.alerts("local") == [0, 2, 729]
        assert await house.alerts(SYSTEM_OWNER) == [0]
        assert house.gone == {"alerts": 6}

    in_a_house(tmp_path, main)


def test_canaries_that_grow_old_later_go_then(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        tidier = house.tidier()
        for _ in range(3):
            await house.store_an_alert(house.clock.wall, owner=SYSTEM_OWNER)
            house.clock.pass_by(DAY + 1)
            await house.seen()
            await tidier.tidy()
            assert await house.alerts(SYSTEM_OWNER) == []

    in_a_house(tmp_path, main)


def test_an_old_alert_that_is_still_on_its_way_stays(tmp_path: Path) -> None:
    async def main(house: House) -> None:
        await house.store_an_alert(house.clock.wall - 800 * MS["d"], sent=False)
        await house.seen()
        await house.tidy()
        assert await house.alerts("local") == [800]

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
        await house.seen()
        await house.tidy()
        assert await stored(house) == set(INTERVALS.values())
        house.clock.pass_by(60)
        await house.seen()
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
        await house.seen()
        tidying = asyncio.create_task(house.tidier().run())
        await asyncio.sleep(1)
        assert await house.oldest() == 14
        house.clock.pass_by(3 * DAY)
        await house.seen()
        await asyncio.sleep(3_600)
        assert await house.oldest() == 17
        tidying.cancel()
        await asyncio.wait([tidying])
        assert tidying.cancelled()

    in_a_house(tmp_path, main)
