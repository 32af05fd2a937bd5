"""A channel that is down for as long as its messages are tried, which is a day where nobody says otherwise: on
virtual time, over the real store. Here that is twenty minutes, because each costs real time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from cryptowatcher.domain.deliveries import RetryPolicy
from tests.pipeline.test_notify import POLICY, Outbox, Recorder, accept, fail, play, running

MINUTE = 60
PATIENCE = 20 * MINUTE


def test_a_channel_that_is_down_loses_only_what_had_its_time_and_holds_up_no_other(tmp_path: Path) -> None:
    retry = RetryPolicy(give_up_after=PATIENCE * 1000, cap=3 * MINUTE * 1000)
    policy = msgspec.structs.replace(POLICY, retry=retry)

    async def story(outbox: Outbox) -> None:
        down, well = Recorder(fail(), "down"), Recorder(accept, "well")
        began = outbox.clock.now()
        async with running(outbox.notifier(down, well, policy=policy)):
            for _ in range(10):
                await outbox.queue(6, channel="down", rules=6)
                await outbox.queue(6, channel="well", rules=6)
                await asyncio.sleep(PATIENCE / 10)
            at_the_end = await outbox.deliveries()
            down.answer = accept
            await asyncio.sleep(6 * MINUTE)
        told = [each for each in at_the_end if each.channel == "well"]
        assert len(told) == len(well.accepted) == 60
        assert max(each.finished_at - each.created_at for each in told) < 10_000
        found = [each for each in await outbox.deliveries() if each.channel == "down"]
        lost = [each for each in found if each.state != "sent"]
        assert len(set(down.accepted)) == len(down.accepted) == len(found) - len(lost) >= 54
        assert all(each.state == "given_up" and "503" in each.last_error for each in lost)
        assert all(
            each.created_at == began and each.finished_at >= began + (PATIENCE - 3 * MINUTE) * 1000
            for each in lost
        )

    play(tmp_path, story)
