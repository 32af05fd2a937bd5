"""Pictures for messages: what is shown comes from the store's candles.

What it promises:

- No message waits longer than WITHIN for its picture, and none fails because there is none.
- An alert that is told through another channel has the same picture, while it is among the newest KEPT.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, tzinfo
from typing import Final

import structlog

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.candles import CandleColumns
from cryptowatcher.domain.pictures import ENOUGH, picture, view
from cryptowatcher.ports import Store, Tx
from cryptowatcher.ports.pictures import Draw

log = structlog.get_logger()

WITHIN: Final = 2.0
"""Seconds that a message waits for its picture."""

KEPT: Final = 32


class Pictures:
    """draw: makes PNGs"""

    def __init__(self, store: Store, draw: Draw) -> None:
        self._store = store
        self._draw = draw
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._failed = False

    async def of(self, alert: Alert, zone: tzinfo = UTC) -> bytes:
        """Of the price up to the alert, as PNG; empty where there is nothing to show, or it cannot be drawn.

        zone: of the clocks that its owner looks at
        """
        if alert.id not in self._made:
            try:
                async with asyncio.timeout(WITHIN):
                    made = await self._make(alert, zone)
            # Whatever a library or a disk has against a picture: the words are what matters.
            except Exception as error:
                self._note(failed=True, why=f"{type(error).__name__}: {error}")
                return b""
            self._note(failed=False)
            if not made:
                return b""
            self._made[alert.id] = made
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        return self._made[alert.id]

    async def _make(self, alert: Alert, zone: tzinfo) -> bytes:
        candles, interval = await self._store.run(lambda tx: stretch(tx, alert))
        drawn = picture(alert, candles, interval, zone=zone)
        return b"" if drawn is None else await self._draw(drawn)

    def _note(self, *, failed: bool, why: str = "") -> None:
        """Once when it changes."""
        if failed and not self._failed:
            log.warning("no_pictures", why=why, hint="messages go out without")
        elif self._failed and not failed:
            log.info("pictures_again")
        self._failed = failed


def stretch(tx: Tx, alert: Alert) -> tuple[CandleColumns, int]:
    """The candles that show how it came to that, and their interval (ms). Only those that ended before it: what
    comes later changes no picture."""
    seen = view(alert)
    for interval in seen.intervals:
        found = tx.candle_columns(alert.pair, interval, start=seen.start, end=seen.end - interval + 1)
        if len(found) >= ENOUGH:
            break
    return found, interval
