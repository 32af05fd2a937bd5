"""Signals are scored once, from the candles that were kept, and never by a guess."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from cryptowatcher.domain.alerts import Advice, Alert, AlertKind, alert_id
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.signals import Signal
from cryptowatcher.pipeline.score import AT_ONCE, EVERY, Scorer
from cryptowatcher.ports import Cursor, Step, Store, Tx
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.store_case import sample_alert, sample_price
from tests.pipeline.inline import Hands, opened

PAIR = "a/usd"
MINUTE, HOUR, DAY = MS["m"], MS["h"], MS["d"]
BEGIN = virtual_time.START_MS - virtual_time.START_MS % DAY


def signal_at(
    at: int, *, advice: Advice = "buy", gap_ms: int = 0, price: float = 100.0, pair: str = PAIR
) -> Alert:
    """A signal that was known at that time."""
    kind: AlertKind = "gap" if gap_ms else "edge"
    return msgspec.structs.replace(
        sample_alert(1, pair=pair),
        id=alert_id(rule="r1", version=1, pair=pair, kind=kind, event_time=at - gap_ms),
        kind=kind,
        event_time=at - gap_ms,
        gap_ms=gap_ms,
        advice=advice,
        price=price,
    )


def minute(end: int, close: float, pair: str = PAIR) -> Candle:
    """A minute that ends then."""
    return Candle(
        pair=pair, interval=MINUTE, start=end - MINUTE, open=1.0, high=1e6, low=0.1, close=close, volume_24h=None,
        ticks=1, observed_ms=MINUTE,
    )  # fmt: skip


class Desk:
    """A store with what watch would write."""

    def __init__(self, store: Store, clock: Hands) -> None:
        self.store = store
        self.clock = clock
        self.scorer = Scorer(store, clock)

    async def watched(
        self, *alerts: Alert, candles: Sequence[Candle] = (), seen: int | None = None, pair: str = PAIR
    ) -> None:
        """These alerts and candles, and a newest price at `seen`."""
        price = msgspec.structs.replace(sample_price(pair, None), observed_at=seen or 0)

        def commit(tx: Tx) -> None:
            step = Step(
                cursor=Cursor("j", 1, 1),
                alerts=alerts,
                candles=candles,
                prices=[price] if seen is not None else [],
            )
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())

        await self.store.run(commit)
        self.clock.wall = max(self.clock.wall, seen or 0)

    async def scored(self) -> list[Signal]:
        """What is kept after a round."""
        await self.scorer.score()
        return await self.store.run(lambda tx: tx.signals("r1", 1))


def at_a_desk(folder: Path, main: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Hands(BEGIN)
        async with opened(folder, clock) as (store, _):
            await main(Desk(store, clock))

    virtual_time.run(run)


def test_a_signal_is_scored_when_its_horizon_has_passed_and_then_again_at_the_next(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        at = BEGIN + 30_000
        await desk.watched(signal_at(at), candles=[minute(BEGIN + HOUR, 110.0)], seen=at + HOUR - 1)
        assert await desk.scored() == []
        await desk.watched(seen=at + HOUR)
        (first,) = await desk.scored()
        assert (first.horizon, first.at, first.price, first.later) == (HOUR, at, 100.0, 110.0)
        assert (first.move, first.move_after_fees) == pytest.approx((0.1, 0.1 - 0.001 * 2.1))
        assert first.scored_at == at + HOUR
        await desk.watched(candles=[minute(BEGIN + DAY, 90.0)], seen=at + DAY)
        assert [(row.horizon, row.later) for row in await desk.scored()] == [(HOUR, 110.0), (DAY, 90.0)]

    at_a_desk(tmp_path, main)


def test_who_sells_gains_by_a_fall(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.watched(
            signal_at(BEGIN, advice="sell"), candles=[minute(BEGIN + HOUR, 90.0)], seen=BEGIN + HOUR
        )
        (row,) = await desk.scored()
        assert (row.move, row.move_after_fees) == pytest.approx((-0.1, 0.1 - 0.001 * 1.9))

    at_a_desk(tmp_path, main)


def test_alerts_without_advice_are_not_scored(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.watched(
            signal_at(BEGIN, advice="info"), candles=[minute(BEGIN + HOUR, 90.0)], seen=BEGIN + HOUR
        )
        assert await desk.scored() == []

    at_a_desk(tmp_path, main)


def test_what_stands_is_never_written_again(tmp_path: Path) -> None:
    """Also when the candle changes afterwards: what was published stays."""

    async def main(desk: Desk) -> None:
        await desk.watched(signal_at(BEGIN), candles=[minute(BEGIN + HOUR, 90.0)], seen=BEGIN + HOUR)
        before = await desk.scored()
        await desk.watched(candles=[minute(BEGIN + HOUR, 50.0)], seen=BEGIN + 2 * HOUR)
        assert await desk.scored() == before

    at_a_desk(tmp_path, main)


def test_only_prices_up_to_the_horizon_count(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        candles = [minute(BEGIN + HOUR + step * MINUTE, 100.0 + step) for step in range(-3, 20)]
        await desk.watched(signal_at(BEGIN + 1), candles=candles, seen=BEGIN + 2 * HOUR)
        (row,) = await desk.scored()
        assert row.later == 100.0

    at_a_desk(tmp_path, main)


def test_a_price_that_was_not_observed_is_not_guessed_and_may_come_later(tmp_path: Path) -> None:
    """Nothing was seen around the horizon. Once history is filled in, there is a price, and then a score."""

    async def main(desk: Desk) -> None:
        await desk.watched(
            signal_at(BEGIN), candles=[minute(BEGIN + HOUR - 16 * MINUTE, 90.0)], seen=BEGIN + 5 * HOUR
        )
        assert await desk.scored() == []
        await desk.watched(candles=[minute(BEGIN + HOUR - 15 * MINUTE, 95.0)], seen=BEGIN + 5 * HOUR)
        assert [row.later for row in await desk.scored()] == [95.0]

    at_a_desk(tmp_path, main)


def test_a_pair_that_fell_silent_before_the_horizon_waits_while_others_are_seen(tmp_path: Path) -> None:
    """Its last candle may be within the tolerance: a newer one may still come, or be filled in."""

    async def main(desk: Desk) -> None:
        await desk.watched(signal_at(BEGIN), candles=[minute(BEGIN + HOUR, 90.0)], seen=BEGIN + HOUR - 1)
        await desk.watched(seen=BEGIN + 3 * HOUR, pair="b/usd")
        assert await desk.scored() == []
        await desk.watched(seen=BEGIN + 3 * HOUR)
        assert len(await desk.scored()) == 1

    at_a_desk(tmp_path, main)


def test_a_clock_that_is_ahead_ends_no_horizon(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.watched(signal_at(BEGIN), candles=[minute(BEGIN + 30 * MINUTE, 90.0)], seen=BEGIN + 40 * MINUTE)
        desk.clock.wall = BEGIN + 400 * DAY
        assert await desk.scored() == []
        await desk.watched(candles=[minute(BEGIN + HOUR, 80.0)], seen=BEGIN + HOUR)
        assert [row.later for row in await desk.scored()] == [80.0]

    at_a_desk(tmp_path, main)


def test_a_signal_from_a_gap_counts_from_when_it_was_known(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        known = BEGIN + 10 * HOUR
        candles = [minute(BEGIN + HOUR, 50.0), minute(known + HOUR, 120.0)]
        await desk.watched(signal_at(known, gap_ms=10 * HOUR), candles=candles, seen=known + HOUR)
        (row,) = await desk.scored()
        assert (row.at, row.later) == (known, 120.0)

    at_a_desk(tmp_path, main)


def test_everything_is_caught_up_after_a_long_stop(tmp_path: Path) -> None:
    """More signals than one transaction takes; nothing ran for two months."""

    async def main(desk: Desk) -> None:
        ats = [BEGIN + number * MINUTE for number in range(AT_ONCE + 30)]
        candles = [minute(at + HOUR, 101.0) for at in ats] + [minute(at + 7 * DAY, 102.0) for at in ats]
        await desk.watched(*map(signal_at, ats), candles=candles, seen=BEGIN + 60 * DAY)
        rows = await desk.scored()
        assert {horizon: sum(row.horizon == horizon for row in rows) for horizon in (HOUR, DAY, 7 * DAY)} == {
            HOUR: len(ats),
            DAY: 0,
            7 * DAY: len(ats),
        }

    at_a_desk(tmp_path, main)


def test_those_that_cannot_be_scored_do_not_stand_before_the_others(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        blind = [signal_at(BEGIN + number, pair="gone/usd") for number in range(AT_ONCE + 1)]
        await desk.watched(
            *blind, signal_at(BEGIN + HOUR), candles=[minute(BEGIN + 2 * HOUR, 90.0)], seen=BEGIN + 2 * HOUR
        )
        assert [row.pair for row in await desk.scored()] == [PAIR]

    at_a_desk(tmp_path, main)


def test_it_goes_round_by_itself(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        running = asyncio.create_task(desk.scorer.run())
        await asyncio.sleep(1)
        await desk.watched(signal_at(BEGIN), candles=[minute(BEGIN + HOUR, 90.0)], seen=BEGIN + HOUR)
        await asyncio.sleep(EVERY)
        assert len(await desk.store.run(lambda tx: tx.signals("r1", 1))) == 1
        running.cancel()

    at_a_desk(tmp_path, main)
