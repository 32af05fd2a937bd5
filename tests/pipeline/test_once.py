"""A rule that fires once: every channel tells it, and until they have, however long that takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cryptowatcher.testing.virtual_time import VirtualClock
from tests.pipeline.desk import Desk, at_a_desk
from tests.pipeline.lives import CHANNELS, EVER, OWNER
from tests.pipeline.test_notify import Outbox, Recorder, accept, fail, running


def test_what_fires_once_is_told_by_every_channel_though_the_rule_is_done(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule(repeat="once")
        await desk.price(90, 110, 90, 110)
        await desk.caught_up()
        (alert,) = await desk.store.run(lambda tx: tx.alerts(OWNER, limit=EVER))
        (stands,) = await desk.store.run(lambda tx: tx.lifecycle())
        assert (alert.seq, stands.state) == (2, "done"), "there is nothing left for the rule to do"

        clock = VirtualClock()
        clock.step(desk.clock.now() - clock.now())
        outbox = Outbox(desk.store, clock)
        well, down = (Recorder(answer, name) for answer, name in zip((accept, fail()), CHANNELS, strict=True))
        async with running(outbox.notifier(well, down)):
            await asyncio.sleep(600)
            assert (len(well.accepted), len(down.accepted)) == (1, 0)
            down.answer = accept
            await asyncio.sleep(600)
        assert {(each.alert, each.channel, each.state) for each in await outbox.deliveries()} == {
            (alert.id, name, "sent") for name in CHANNELS
        }
        assert (len(well.accepted), len(down.accepted)) == (1, 1)

    at_a_desk(tmp_path, main)
