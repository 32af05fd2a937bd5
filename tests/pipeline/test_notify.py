"""From the outbox to channels: on virtual time, over the real store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.deliveries import FINAL, ChannelPolicy, Delivery, RetryPolicy, delivery_id
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.reaching import Setting, Wishes
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.claiming import LEASE_MARGIN
from cryptowatcher.pipeline.lanes import HAND, TRIP
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.notify import LONGEST_SLEEP, Notifier
from cryptowatcher.pipeline.pictures import Pictures
from cryptowatcher.pipeline.switchboard import Directory
from cryptowatcher.ports import Channel, Cursor, Step, Store, Tx
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.channel import sample_alert
from cryptowatcher.testing.virtual_time import START_MS, VirtualClock

Answer = Callable[[Delivery], Awaitable[str]]
POLICY = ChannelPolicy(deadline=10.0, at_once=8)


class Crash(BaseException):
    """The process dies here."""


class Call(msgspec.Struct, frozen=True):
    at: float
    delivery: str
    rule: str


class Recorder:
    """A channel that remembers its calls and answers what the test says."""

    def __init__(self, answer: Answer, name: str = "ops") -> None:
        self.name = name
        self.answer = answer
        self.calls: list[Call] = []
        self.accepted: list[str] = []
        self.in_flight: Counter[str] = Counter()
        self.most_at_once = 0
        self.overlapped = False

    async def send(self, message: Message) -> str:
        delivery = message.delivery
        assert delivery.alert == message.alert.id
        self.calls.append(Call(asyncio.get_running_loop().time(), delivery.id, delivery.rule))
        self.overlapped |= self.in_flight[delivery.rule] > 0
        self.in_flight[delivery.rule] += 1
        self.most_at_once = max(self.most_at_once, self.in_flight.total())
        try:
            receipt = await self.answer(delivery)
        finally:
            self.in_flight[delivery.rule] -= 1
        self.accepted.append(delivery.id)
        return receipt


async def accept(delivery: Delivery) -> str:
    await asyncio.sleep(0.01)
    return "HTTP 200"


async def hang(delivery: Delivery) -> str:
    await asyncio.Event().wait()
    return "never"


def fail(retry_after: float | None = None) -> Answer:
    async def answer(delivery: Delivery) -> str:
        await asyncio.sleep(0.01)
        raise Unavailable("HTTP 503", reason="server_error", retry_after=retry_after)

    return answer


async def refuse(delivery: Delivery) -> str:
    raise Refused("HTTP 410", reason="gone")


class Outbox:
    """A store with an outbox that tests fill and read."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock
        self._number = 0

    async def queue(self, count: int = 1, *, channel: str = "ops", rules: int = 1, at: int | None = None) -> None:
        """As watch does: alerts of `rules` rules in turn, with deliveries, in one step at journal time `at`."""
        now = self.clock.now() if at is None else at
        alerts, deliveries = [], []
        for index in range(count):
            self._number += 1
            rule = f"r{index % rules}"
            alert = msgspec.structs.replace(
                sample_alert(self._number), id=f"{self._number:011x}-00", rule=rule, at=now
            )
            alerts.append(alert)
            deliveries.append(
                Delivery(
                    id=delivery_id(alert.id, channel),
                    alert=alert.id,
                    owner=LOCAL_OWNER,
                    rule=rule,
                    channel=channel,
                    created_at=now,
                    due_at=now,
                )
            )

        def save(tx: Tx) -> None:
            before = tx.cursor()
            cursor = Cursor("j", before.seq + 1 if before else 1, now)
            step = Step(cursor=cursor, alerts=alerts, deliveries=deliveries)
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=before)

        await self.store.run(save)

    async def deliveries(self) -> list[Delivery]:
        """All, oldest first."""
        found = await self.store.run(lambda tx: tx.deliveries(LOCAL_OWNER, limit=1_000_000))
        return found[::-1]

    async def states(self) -> Counter[str]:
        return Counter(delivery.state for delivery in await self.deliveries())

    def notifier(
        self,
        *channels: Channel,
        policy: ChannelPolicy = POLICY,
        policies: Mapping[str, ChannelPolicy] | None = None,
        holder: str = "me",
        grace: float = 10.0,
        seed: int = 1,
        meters: Meters | None = None,
        defaults: Sequence[str] | None = None,
        kindness: Kindness | None = None,
        pictures: Pictures | None = None,
    ) -> Notifier:
        wishes = Wishes(**msgspec.structs.asdict(kindness or Kindness()))
        names = tuple((channel.name for channel in channels) if defaults is None else defaults)
        return Notifier(
            self.store,
            {channel.name: channel for channel in channels},
            clock=self.clock,
            random=Random(seed),
            holder=holder,
            policies={channel.name: policy for channel in channels} | dict(policies or {}),
            grace=grace,
            meters=meters,
            directory=Directory(Setting(channels=names, wishes=wishes)),
            pictures=pictures,
        )


@asynccontextmanager
async def an_outbox(folder: Path, inline: Inline | None = None) -> AsyncIterator[Outbox]:
    async with open_sqlite_store(folder / "store.db", inline=inline or Inline()) as store:
        yield Outbox(store, VirtualClock())


@asynccontextmanager
async def running(notifier: Notifier) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(notifier.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def play(folder: Path, story: Callable[[Outbox], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with an_outbox(folder) as outbox:
            await story(outbox)

    virtual_time.run(main)


def test_what_is_accepted_is_sent_with_its_receipt(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue()
        async with running(outbox.notifier(Recorder(accept))):
            await asyncio.sleep(1)
            [delivery] = await outbox.deliveries()
        assert (delivery.state, delivery.receipt, delivery.attempts) == ("sent", "HTTP 200", 1)
        assert delivery.finished_at == START_MS + 10

    play(tmp_path, story)


def test_a_thousand_deliveries_are_each_sent_exactly_once(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(accept)
        await outbox.queue(1_000, rules=20)
        most_claimed = 0
        async with running(outbox.notifier(channel)):
            while (states := await outbox.states())["sent"] < 1_000:
                most_claimed = max(most_claimed, states["leased"])
                await asyncio.sleep(0.05)
            assert asyncio.get_running_loop().time() < 2  # 1,000 · 0.01 s, eight at once, is 1.25
        assert Counter(channel.accepted) == Counter(delivery.id for delivery in await outbox.deliveries())
        assert channel.most_at_once == POLICY.at_once
        assert 0 < most_claimed <= 2 * HAND  # in hand, and answered but not yet written down

    play(tmp_path, story)


def test_a_storm_does_not_wait_for_its_receipts(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        async def quickly(delivery: Delivery) -> str:
            await asyncio.sleep(0.001)
            return "ok"

        channel = Recorder(quickly)
        await outbox.queue(1_000, rules=20)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(0.3)  # one after another in groups of a hand, with a pause each, would be 1.5
            assert len(channel.accepted) == 1_000

    play(tmp_path, story)


def test_the_deliveries_of_a_rule_go_out_one_after_another_in_order(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        random = Random(3)

        async def answer(delivery: Delivery) -> str:
            await asyncio.sleep(random.uniform(0.01, 1))
            return "ok"

        channel = Recorder(answer)
        await outbox.queue(120, rules=4)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(120)
        assert len(channel.calls) == 120
        assert not channel.overlapped
        assert channel.most_at_once == 4
        for rule in ("r0", "r1", "r2", "r3"):
            mine = [call.delivery for call in channel.calls if call.rule == rule]
            assert mine == sorted(mine)

    play(tmp_path, story)


def test_a_wake_up_sends_at_once_and_without_one_it_takes_some_seconds(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(accept)
        notifier = outbox.notifier(channel)
        async with running(notifier):
            await asyncio.sleep(1.5)
            await outbox.queue()
            notifier.wake()
            await asyncio.sleep(2)
            await outbox.queue()
            await asyncio.sleep(LONGEST_SLEEP + 0.001)
        assert channel.calls[0].at == 1.5
        assert len(channel.calls) == 2

    play(tmp_path, story)


def test_a_crash_after_sending_and_before_writing_it_down_repeats_the_same_id(tmp_path: Path) -> None:
    async def main() -> None:
        channel = Recorder(accept)

        async def die_once() -> None:
            if channel.accepted:
                raise Crash

        async with an_outbox(tmp_path, Inline(before_commit=die_once)) as outbox:
            await outbox.queue()
            with pytest.raises(BaseExceptionGroup):
                await outbox.notifier(channel, holder="first life").run()
        async with an_outbox(tmp_path) as outbox:
            async with running(outbox.notifier(channel, holder="second life")):
                await asyncio.sleep(120)
            [delivery] = await outbox.deliveries()
        first, second = channel.calls
        assert first.delivery == second.delivery == delivery.id
        assert second.at >= POLICY.deadline + LEASE_MARGIN  # while the lease of the dead lasts, nobody sends
        assert second.at <= POLICY.deadline + LEASE_MARGIN + LONGEST_SLEEP
        assert delivery.state == "sent"

    virtual_time.run(main)


def test_a_hanging_channel_holds_up_no_other(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        stuck, fine = Recorder(hang, "stuck"), Recorder(accept, "ops")
        await outbox.queue(500, channel="stuck", rules=50)
        notifier = outbox.notifier(stuck, fine)
        async with running(notifier):
            await asyncio.sleep(3)
            for _ in range(10):
                await outbox.queue()
                notifier.wake()
                asked_at = asyncio.get_running_loop().time()
                await asyncio.sleep(7)
                assert fine.calls[-1].at == asked_at
        assert len(fine.accepted) == 10
        assert stuck.most_at_once == POLICY.at_once

    play(tmp_path, story)


def test_a_send_that_does_not_end_is_tried_again(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(hang)
        await outbox.queue()
        async with running(outbox.notifier(channel, grace=0)):
            await asyncio.sleep(POLICY.deadline + 0.5)
            [delivery] = await outbox.deliveries()
            channel.answer = accept
            await asyncio.sleep(30)
            [again] = await outbox.deliveries()
        assert (delivery.state, delivery.attempts) == ("retrying", 1)
        assert delivery.last_error == "timeout: no answer within 10 s"
        assert (again.state, again.attempts) == ("sent", 2)

    play(tmp_path, story)


def test_retries_wait_longer_each_time_and_end_with_the_age(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        retry = RetryPolicy(first=1_000, cap=60_000, give_up_after=600_000)
        channel = Recorder(fail())
        await outbox.queue()
        async with running(outbox.notifier(channel, policy=ChannelPolicy(retry=retry))):
            await asyncio.sleep(1_200)
            [delivery] = await outbox.deliveries()
        assert delivery.state == "given_up"
        assert delivery.last_error == "server_error: HTTP 503"
        assert delivery.attempts == len(channel.calls) > 8
        waits = [b.at - a.at for a, b in zip(channel.calls, channel.calls[1:], strict=False)]
        assert min(waits) >= 1
        assert max(waits) > 10
        assert 600_000 - 60_000 - LONGEST_SLEEP * 1000 <= delivery.finished_at - delivery.created_at < 600_000

    play(tmp_path, story)


def test_what_grew_too_old_while_nobody_ran_is_given_up_unless_it_was_never_tried(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(fail())
        await outbox.queue()
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(2)
        await outbox.queue()
        outbox.clock.step(48 * 3_600_000)
        channel.answer = accept
        async with running(outbox.notifier(channel, holder="next")):
            await asyncio.sleep(2)
            tried, untried = await outbox.deliveries()
        assert (tried.state, tried.attempts) == ("given_up", 1)
        assert tried.last_error == "not accepted within 1d: server_error: HTTP 503"
        assert untried.state == "sent"

    play(tmp_path, story)


def test_a_refusal_is_not_tried_again_and_does_not_stop_the_channel(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(refuse)
        await outbox.queue(3 * TRIP)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(2)
            assert await outbox.states() == {"given_up": 3 * TRIP}
            channel.answer = accept
            await outbox.queue()
            await asyncio.sleep(LONGEST_SLEEP + 1)
            refused, *_, last = await outbox.deliveries()
        assert refused.last_error == "gone: HTTP 410"
        assert last.state == "sent"
        assert len(channel.calls) == 3 * TRIP + 1

    play(tmp_path, story)


def test_deliveries_to_a_removed_channel_are_given_up_and_say_why(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue(600, channel="old")
        await outbox.queue()
        async with running(outbox.notifier(Recorder(accept))):
            await asyncio.sleep(2)
        found = await outbox.deliveries()
        assert Counter((d.channel, d.state) for d in found) == {("old", "given_up"): 600, ("ops", "sent"): 1}
        assert "channel removed" in found[0].last_error
        assert found[0].attempts == 0

    play(tmp_path, story)


def test_a_channel_that_is_down_is_only_probed_and_catches_up_when_it_is_back(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(fail())
        await outbox.queue(300, rules=30)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(60)
            down_at = len(channel.calls)
            channel.most_at_once = 0
            await asyncio.sleep(3_600)
            probes = len(channel.calls) - down_at
            assert channel.most_at_once == 1
            assert 60 <= probes <= 3_600 / 5
            channel.answer = accept
            await asyncio.sleep(120)
            assert len(channel.accepted) > 200
            await asyncio.sleep(900)
            assert await outbox.states() == {"sent": 300}

    play(tmp_path, story)


def test_retry_after_pauses_the_whole_channel(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(fail(retry_after=100.0))
        await outbox.queue(50)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(99)
            assert len(channel.calls) == 1
            assert (await outbox.states())["leased"] == 0
            channel.answer = accept
            await asyncio.sleep(10)
            assert channel.calls[1].at >= 100
            assert await outbox.states() == {"sent": 50}

    play(tmp_path, story)


@pytest.mark.parametrize("hours", [-1, -8_760])
def test_a_clock_that_is_set_back_delays_nothing(tmp_path: Path, hours: int) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(fail())
        await outbox.queue()
        notifier = outbox.notifier(channel)
        async with running(notifier):
            await asyncio.sleep(1)
            journal_time = outbox.clock.now()
            outbox.clock.step(hours * 3_600_000)
            channel.answer = accept
            await outbox.queue(at=journal_time)  # the journal's time stands still until the clock has caught up
            notifier.wake()
            await asyncio.sleep(1)
            assert len(channel.accepted) == 1
            await asyncio.sleep(20)
            assert await outbox.states() == {"sent": 2}

    play(tmp_path, story)


def test_a_start_with_a_clock_behind_the_journal_delays_nothing(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue(at=outbox.clock.now() + 8_760 * 3_600_000)
        channel = Recorder(accept)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(1)
            assert await outbox.states() == {"sent": 1}

    play(tmp_path, story)


def test_a_clock_that_jumps_over_a_lease_does_not_send_twice(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        async def slowly(delivery: Delivery) -> str:
            await asyncio.sleep(8)
            return "ok"

        channel = Recorder(slowly)
        await outbox.queue(3, rules=3)
        notifier = outbox.notifier(channel)
        async with running(notifier):
            await asyncio.sleep(1)
            outbox.clock.step(7 * 86_400_000)
            notifier.wake()
            await asyncio.sleep(120)
            assert await outbox.states() == {"sent": 3}
        assert len(channel.calls) == 3

    play(tmp_path, story)


def test_ending_lets_what_is_in_flight_end_and_puts_the_rest_back(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        async def slowly(delivery: Delivery) -> str:
            await asyncio.sleep(4)
            return "ok"

        channel = Recorder(slowly)
        await outbox.queue(20, rules=2)
        task = asyncio.create_task(outbox.notifier(channel).run())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 4
        assert await outbox.states() == {"sent": 2, "queued": 18}
        assert all(d.leased_until == 0 for d in await outbox.deliveries())

    play(tmp_path, story)


def test_ending_does_not_wait_for_ever_and_what_hangs_comes_again_after_its_lease(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        channel = Recorder(hang)
        await outbox.queue()
        task = asyncio.create_task(outbox.notifier(channel, grace=5).run())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 6
        assert await outbox.states() == {"leased": 1}
        channel.answer = accept
        async with running(outbox.notifier(channel, holder="next")):
            await asyncio.sleep(60)
            assert await outbox.states() == {"sent": 1}
        assert len({call.delivery for call in channel.calls}) == 1

    play(tmp_path, story)


@pytest.mark.parametrize("bug", [ZeroDivisionError("a bug"), TimeoutError("the channel's own")])
def test_an_error_that_no_channel_may_raise_ends_it_and_keeps_what_others_did(
    tmp_path: Path, bug: Exception
) -> None:
    async def story(outbox: Outbox) -> None:
        async def broken(delivery: Delivery) -> str:
            await asyncio.sleep(0.05)
            raise bug

        fine = Recorder(accept)
        await outbox.queue()
        await outbox.queue(channel="broken")
        with pytest.raises(ExceptionGroup) as caught:
            await outbox.notifier(fine, Recorder(broken, "broken")).run()
        assert caught.value.exceptions == (bug,)
        assert await outbox.states() == {"sent": 1, "leased": 1}

    play(tmp_path, story)


def test_while_the_store_cannot_be_written_nothing_is_forgotten_or_sent_twice(tmp_path: Path) -> None:
    async def main() -> None:
        broken_until = 30.0
        channel = Recorder(accept)

        async def full_disk() -> None:
            if channel.accepted and asyncio.get_running_loop().time() < broken_until:
                raise Unavailable("disk full", reason="full")

        async with an_outbox(tmp_path, Inline(before_commit=full_disk)) as outbox:
            await outbox.queue(200, rules=20)
            async with running(outbox.notifier(channel)):
                await asyncio.sleep(60)
                assert await outbox.states() == {"sent": 200}
            assert len(channel.calls) == 200

    virtual_time.run(main)


def test_two_processes_share_the_work_and_never_send_the_same(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        async def slowly(delivery: Delivery) -> str:
            await asyncio.sleep(9)
            return "ok"

        channel = Recorder(slowly)
        await outbox.queue(80, rules=80)
        one = ChannelPolicy(deadline=10.0, at_once=1)
        async with (
            running(outbox.notifier(channel, policy=one, holder="one")),
            running(outbox.notifier(channel, policy=one, holder="two")),
        ):
            await asyncio.sleep(80 * 9 * 2)
            assert await outbox.states() == {"sent": 80}
        assert len(channel.calls) == 80
        assert channel.most_at_once == 2

    play(tmp_path, story)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_channels_and_crashes_do_every_delivery_ends_and_the_sent_ones_arrived(
    tmp_path: Path, seed: int
) -> None:
    async def main() -> None:
        random = Random(seed)
        channel = Recorder(moody(random))

        async def maybe_die() -> None:
            if random.random() < 0.01:
                raise Crash

        async with an_outbox(tmp_path) as outbox:
            await outbox.queue(150, rules=12)
        finished: dict[str, int] = {}  # delivery → calls when it was first seen finished
        for life in range(200):
            inline = Inline(before_commit=maybe_die, after_commit=maybe_die) if life < 100 else Inline()
            async with an_outbox(tmp_path, inline) as outbox:
                await live(outbox.notifier(channel, holder=f"life {life}", grace=2), random.uniform(60, 600))
            async with an_outbox(tmp_path) as outbox:
                found = await outbox.deliveries()
            calls = Counter(call.delivery for call in channel.calls)
            for delivery in found:
                if delivery.state in FINAL:
                    assert finished.setdefault(delivery.id, calls[delivery.id]) == calls[delivery.id]
            if len(finished) == len(found):
                break
        assert len(finished) == 150
        assert {delivery.id for delivery in found if delivery.state == "sent"} <= set(channel.accepted)
        assert {delivery.state for delivery in found} == {"sent", "given_up"}
        assert not channel.overlapped

    virtual_time.run(main)


def moody(random: Random) -> Answer:
    """Sometimes slow, failing, refusing, hanging, or accepting without saying so."""

    async def answer(delivery: Delivery) -> str:
        await asyncio.sleep(random.expovariate(2))
        match random.choices(("ok", "fail", "refuse", "hang"), (66, 24, 6, 4))[0]:
            case "ok":
                return "ok"
            case "refuse":
                raise Refused("no", reason="gone")
            case "hang":
                return await hang(delivery)
        wait = random.uniform(0, 30) if random.random() < 0.3 else None
        raise Unavailable("not now", reason="server_error", retry_after=wait)

    return answer


async def live(notifier: Notifier, seconds: float) -> None:
    """Run it that long, or until it crashes; nothing else may end it."""
    try:
        async with asyncio.timeout(seconds):
            await notifier.run()
    except TimeoutError:
        return
    except BaseExceptionGroup as group:
        _, rest = group.split(Crash)
        if rest is not None:
            raise rest from None
