"""What the parts of the store's contract share: how a store is opened, and rows to put into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.deliveries import Delivery, DeliveryState, delivery_id
from cryptowatcher.domain.status import Price
from cryptowatcher.ports import Cursor, Fenced, Step, Store, Tx

START = Cursor("j1", 1, 1000)
HOUR = 3_600_000


def sample_alert(number: int, *, rule: str = "r1", pair: str = "bitcoin/usd", owner: str = "local") -> Alert:
    """Another number is another event, a second later."""
    event_time = 1_722_838_500_000 + number * 1000
    return Alert(
        id=alert_id(rule=rule, version=1, pair=pair, kind="edge", event_time=event_time),
        owner=owner,
        rule=rule,
        rule_name="btc drops",
        version=1,
        pair=pair,
        kind="edge",
        event_time=event_time,
        at=event_time + 700,
        seq=12 + number,
        condition="change(5m) <= -5%",
        value=-0.1 - number / 3,
        constant=-0.05,
        previous=None if number % 2 else 0.1,
        price=50_123.456,
        source="coingecko",
        received_at=event_time + 500,
        gap_ms=0,
        advice="buy",
        channels=("ops", "mail ☂"),
        late=number % 3 == 0,
    )


def sample_delivery(alert: Alert, channel: str = "ops", *, due_at: int = 100) -> Delivery:
    return Delivery(
        id=delivery_id(alert.id, channel),
        alert=alert.id,
        owner=alert.owner,
        rule=alert.rule,
        channel=channel,
        created_at=50,
        due_at=due_at,
    )


def sample_price(pair: str, market_cap: float | None, price: float = 1.5) -> Price:
    return Price(
        pair=pair,
        price=price,
        volume_24h=None,
        market_cap=market_cap,
        observed_at=1,
        received_at=2,
        valid_until=3,
        source="coingecko",
        seq=4,
    )


def sample_candle(pair: str, interval: int, start: int, close: float = 2.0) -> Candle:
    return Candle(
        pair=pair,
        interval=interval,
        start=start,
        open=1.0,
        high=3.0,
        low=0.5,
        close=close,
        volume_24h=None,
        ticks=3,
        observed_ms=60_000,
        complete=False,
    )


class StoreCase:
    """Subclasses say how to open the store of one test; opening it again opens the same rows."""

    def opening(self) -> AbstractAsyncContextManager[Store]:
        raise NotImplementedError

    def in_store(self, *jobs: Callable[[Tx], Any]) -> list[Any]:
        """Each job in a transaction of its own."""

        async def main() -> list[Any]:
            async with self.opening() as store:
                return [await store.run(job) for job in jobs]

        return asyncio.run(main())

    def begin(self, tx: Tx) -> int:
        """The first cursor; the epoch."""
        epoch = tx.new_epoch("watch")
        tx.commit_step(Step(cursor=START), epoch=epoch, before=None)
        return epoch

    def commit(self, tx: Tx, step: Step) -> None:
        tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())

    def queue(self, tx: Tx, count: int, due_at: tuple[int, ...] = (100,)) -> None:
        alerts = [sample_alert(number) for number in range(count)]
        deliveries = [
            sample_delivery(alert, due_at=due_at[number % len(due_at)]) for number, alert in enumerate(alerts)
        ]
        self.commit(tx, Step(cursor=Cursor("j1", 2, 2), alerts=alerts, deliveries=deliveries))

    def settle_as(self, tx: Tx, state: DeliveryState) -> None:
        for delivery, _ in tx.claim(now=100, holder="h", lease=10, limit=99):
            tx.settle([msgspec.structs.replace(delivery, state=state, finished_at=105)])

    def is_fenced(self, job: Callable[[Tx], None]) -> None:
        async def main() -> None:
            async with self.opening() as store:
                with pytest.raises(Fenced):
                    await store.run(job)
                assert await store.run(lambda tx: (tx.cursor(), tx.alert_count())) == (None, 0)

        asyncio.run(main())
