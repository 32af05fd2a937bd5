"""When a channel does not take what it is given, another one tells it: on virtual time, over the real store."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, RetryPolicy
from cryptowatcher.domain.rates import Rate
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.pipeline.meters import Meters
from tests.pipeline.test_notify import Answer, Outbox, Recorder, accept, fail, hang, play, refuse, running

MINUTE = 60.0
POLICY = ChannelPolicy(deadline=10.0, at_once=8, fallback="mail", fallback_after=10 * 60_000, fallback_failures=3)


def told(channel: Recorder) -> Counter[str]:
    """Alert → how often it was accepted."""
    return Counter(delivery.split("~")[0] for delivery in channel.accepted)


def by_channel(found: list[Delivery], channel: str) -> list[Delivery]:
    return [delivery for delivery in found if delivery.channel == channel]


@pytest.mark.parametrize("answer", [fail(), hang])
def test_after_some_failures_the_other_channel_tells_it(tmp_path: Path, answer: Answer) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(answer), Recorder(accept, "mail")
        await outbox.queue()
        async with running(outbox.notifier(ops, mail, policies={"ops": POLICY})):
            await asyncio.sleep(30 * MINUTE)
            found = await outbox.deliveries()
        [original], [instead] = by_channel(found, "ops"), by_channel(found, "mail")
        assert (instead.state, instead.fallback_of, instead.alert) == ("sent", "ops", original.alert)
        assert (original.state, original.receipt) == ("cancelled", "told through mail")
        assert len(ops.calls) == 3

    play(tmp_path, story)


def test_what_is_refused_is_told_by_the_other_channel_at_once(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(refuse), Recorder(accept, "mail")
        await outbox.queue()
        async with running(outbox.notifier(ops, mail, policies={"ops": POLICY})):
            await asyncio.sleep(1)
            found = await outbox.deliveries()
        [original], [instead] = by_channel(found, "ops"), by_channel(found, "mail")
        assert (original.state, original.fallback, instead.state) == ("given_up", "mail", "sent")

    play(tmp_path, story)


def test_a_long_queue_of_a_channel_that_is_down_is_told_by_the_other_each_once(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(fail()), Recorder(accept, "mail")
        await outbox.queue(300, rules=300)
        async with running(outbox.notifier(ops, mail, policies={"ops": POLICY})):
            await asyncio.sleep(9 * MINUTE)
            assert len(mail.accepted) < 100, "those that were not tried yet have time"
            await asyncio.sleep(3 * MINUTE)
            assert len(told(mail)) == 300
            await asyncio.sleep(60 * MINUTE)
            states = Counter((each.channel, each.state) for each in await outbox.deliveries())
        assert states == {("mail", "sent"): 300, ("ops", "cancelled"): 300}
        assert set(told(mail).values()) == {1}

    play(tmp_path, story)


def test_a_channel_with_too_much_to_say_for_its_rate_is_helped(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(accept), Recorder(accept, "mail")
        slow = msgspec.structs.replace(POLICY, rate=Rate(6, 60_000))
        await outbox.queue(100, rules=100)
        async with running(outbox.notifier(ops, mail, policies={"ops": slow})):
            await asyncio.sleep(60 * MINUTE)
            states = Counter(each.state for each in await outbox.deliveries())
        assert states["sent"] == 100
        assert set((told(ops) + told(mail)).values()) == {1}
        assert 60 <= len(ops.accepted) <= 75

    play(tmp_path, story)


def test_one_that_comes_back_in_time_tells_it_itself_and_the_other_does_not(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(fail()), Recorder(hang, "mail")
        await outbox.queue()
        async with running(outbox.notifier(ops, mail, policies={"ops": POLICY})):
            await asyncio.sleep(2 * MINUTE)
            assert mail.calls
            ops.answer = mail.answer = accept
            await asyncio.sleep(60 * MINUTE)
            states = Counter((each.channel, each.state) for each in await outbox.deliveries())
        assert states in (
            {("ops", "sent"): 1, ("mail", "cancelled"): 1},
            {("ops", "cancelled"): 1, ("mail", "sent"): 1},
        )

    play(tmp_path, story)


def test_two_that_stand_in_for_one_another_tell_it_once_and_come_to_an_end(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(fail()), Recorder(fail(), "mail")
        retry = RetryPolicy(give_up_after=2 * 3_600_000)
        both = {
            "ops": msgspec.structs.replace(POLICY, retry=retry),
            "mail": msgspec.structs.replace(POLICY, retry=retry, fallback="ops"),
        }
        await outbox.queue(3, rules=3)
        async with running(outbox.notifier(ops, mail, policies=both)):
            await asyncio.sleep(3 * 60 * MINUTE)
            states = Counter((each.channel, each.state) for each in await outbox.deliveries())
        assert states == {("ops", "given_up"): 3, ("mail", "given_up"): 3}

    play(tmp_path, story)


def test_a_crash_between_forgets_no_stand_in(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, mail = Recorder(fail()), Recorder(accept, "mail")
        await outbox.queue(5, rules=5)
        for life in range(40):  # each is ended after some seconds, with the grace of none
            async with running(
                outbox.notifier(ops, mail, policies={"ops": POLICY}, holder=f"life {life}", grace=0)
            ):
                await asyncio.sleep(17)
            await asyncio.sleep(60)
        states = Counter((each.channel, each.state) for each in await outbox.deliveries())
        assert states == {("ops", "cancelled"): 5, ("mail", "sent"): 5}

    play(tmp_path, story)


def test_what_was_given_up_is_sent_again_when_somebody_asks(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops = Recorder(refuse)
        await outbox.queue(3, rules=3)
        async with running(outbox.notifier(ops)):
            await asyncio.sleep(1)
            assert await outbox.states() == {"given_up": 3}
            ops.answer = accept
            first = (await outbox.deliveries())[0].id
            now = outbox.clock.now()
            again = lambda tx: tx.send_again(LOCAL_OWNER, ids=[first], now=now, limit=10)  # noqa: E731
            assert await outbox.store.run(again) == 1
            assert await outbox.store.run(lambda tx: tx.send_again("other", ids=None, now=now, limit=10)) == 0
            await asyncio.sleep(10)
            assert await outbox.states() == {"given_up": 2, "sent": 1}
            assert await outbox.store.run(lambda tx: tx.send_again(LOCAL_OWNER, ids=None, now=now, limit=10)) == 2
            assert await outbox.store.run(again) == 0, "what was sent is not sent again"
            await asyncio.sleep(10)
            assert await outbox.states() == {"sent": 3}

    play(tmp_path, story)


def test_a_rate_holds_over_a_long_queue(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        ops, meters = Recorder(accept), Meters()
        slow = ChannelPolicy(rate=Rate(30, 60_000), at_once=8)
        await outbox.queue(200, rules=200)
        async with running(outbox.notifier(ops, policy=slow, meters=meters)):
            await asyncio.sleep(10 * MINUTE)
        times = [call.at for call in ops.calls]
        assert len(times) == 200
        for first in range(0, 170, 10):
            window = [at for at in times if times[first] <= at < times[first] + 60]
            assert len(window) <= 60, "thirty at once after a rest, then thirty a minute"
        assert times[-1] - times[0] == pytest.approx(340, abs=20)

    play(tmp_path, story)
