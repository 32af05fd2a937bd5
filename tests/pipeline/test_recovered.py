"""The moment at which a pipeline stands where it stood."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from cryptowatcher.ports import Cursor
from cryptowatcher.program import Pipeline
from tests.pipeline.desk import Desk, at_a_desk


def test_it_is_told_once_and_watch_goes_on(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.price(90, 91)
        await desk.caught_up()
        await desk.price(92)
        stop, ready = asyncio.Event(), list[bool]()

        def recovered() -> None:
            ready.append(pipeline.ready)
            stop.set()

        pipeline = Pipeline(
            store=desk.store,
            journal=desk.journal,
            channels={},
            policies={},
            sources=(),
            clock=desk.clock,
            random=Random(1),
            holder="me",
            recovered=recovered,
        )
        assert not pipeline.ready
        await pipeline.run(stop)
        assert ready == [True]
        assert await desk.cursor() == Cursor(desk.journal.id, 3, desk.clock.wall)

    at_a_desk(tmp_path, main)
