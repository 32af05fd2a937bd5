"""Nobody is woken for what can wait, nor told the same thing thirty-seven times, and nothing is lost by that: on
virtual time, over the real store. It begins on Monday, 2024-01-01, 00:00 UTC."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.deliveries import BUNDLE_MOST, ChannelPolicy, Delivery
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.rates import Rate
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule
from cryptowatcher.pipeline.lanes import HAND
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.channel import sample_alert
from cryptowatcher.testing.contracts.store_case import sample_delivery
from cryptowatcher.testing.virtual_time import START_MS, VirtualClock
from tests.pipeline.test_courtesy import Home
from tests.pipeline.test_notify import Answer, Crash, Recorder, accept, fail, live, refuse, running

MINUTE = 60
HOUR = 60 * MINUTE
QUIET = 15 * MINUTE
NIGHT = Kindness(quiet="23:00-00:15")
TOGETHER = ChannelPolicy(deadline=10.0, at_once=8, bundle=True)
EACH = msgspec.structs.replace(TOGETHER, bundle=False)
WITH_MAIL = msgspec.structs.replace(TOGETHER, fallback="mail", fallback_after=10 * 60_000)


class Reader(Recorder):
    """Keeps every message it was handed, and which of them it accepted."""

    def __init__(self, answer: Answer = accept, name: str = "ops") -> None:
        super().__init__(answer, name)
        self.handed: list[Message] = []
        self.read: list[Message] = []

    async def send(self, message: Message) -> str:
        self.handed.append(message)
        receipt = await super().send(message)
        self.read.append(message)
        return receipt

    @property
    def sizes(self) -> list[int]:
        return [len(message.alerts) for message in self.read]

    @property
    def told(self) -> Counter[str]:
        return Counter(alert.id for message in self.read for alert in message.alerts)


class House(Home):
    """An outbox that whole markets move in."""

    made = 0

    async def move(
        self,
        pairs: int = 37,
        *,
        rule: Rule | None = None,
        at: int | None = None,
        owner: str = LOCAL_OWNER,
        **said: Any,
    ) -> None:
        """Alerts of one position of the journal, each of another pair, all for the channel ops."""
        now = self.clock.now() if at is None else at
        alerts, deliveries = [], []
        for _ in range(pairs):
            self.made += 1
            alert = msgspec.structs.replace(
                sample_alert(self.made),
                id=f"{self.made:011x}-{self.made:020x}",
                rule=rule.id if rule else "r",
                pair=f"coin-{self.made}/usd",
                owner=owner,
                at=now,
                event_time=now,
            )
            alerts.append(alert)
            delivery = sample_delivery(alert)
            deliveries.append(msgspec.structs.replace(delivery, created_at=now, due_at=now, **said))
        await self._commit(alerts=alerts, deliveries=deliveries)

    async def all_sent(self, channel: str = "ops") -> bool:
        found = [each for each in await self.everything() if each.channel == channel]
        return bool(found) and all(each.state == "sent" for each in found)

    async def everything(self) -> list[Delivery]:
        return await self.store.run(lambda tx: tx.deliveries(LOCAL_OWNER, limit=100_000))


def play(folder: Path, story: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with open_sqlite_store(folder / "store.db", inline=Inline()) as store:
            await story(House(store, VirtualClock()))

    virtual_time.run(main)


def seconds() -> float:
    """Since it began."""
    return (VirtualClock().now() - START_MS) / 1000


# --- quiet hours -----------------------------------------------------------------------------------


def test_what_comes_in_quiet_hours_comes_in_one_message_at_their_end(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        async with running(house.notifier(ops, policy=TOGETHER, kindness=NIGHT)):
            for wait, pairs in ((1, 3), (2 * MINUTE, 37), (3 * MINUTE, 1), (MINUTE, 70)):
                await asyncio.sleep(wait)
                await house.move(pairs)
            await asyncio.sleep(QUIET - seconds() - 1)
            assert not ops.handed
            held = (await house.everything())[0]
            await asyncio.sleep(7)
            [message] = ops.read
            assert await house.all_sent()
        assert (held.held, held.held_until, held.is_held) == (
            "quiet hours 23:00-00:15",
            START_MS + QUIET * 1000,
            True,
        )
        assert len(message.alerts) == 111
        assert message.text.title == "While it was quiet: 111 alerts"
        assert "Held for quiet hours 23:00-00:15" in message.text.body

    play(tmp_path, story)


def test_a_channel_that_does_not_bundle_gets_each_at_the_end_of_quiet_hours(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        await house.move(37)
        async with running(house.notifier(ops, policy=EACH, kindness=NIGHT)):
            await asyncio.sleep(QUIET - 1)
            assert not ops.handed
            await asyncio.sleep(10)
        assert ops.sizes == [1] * 37

    play(tmp_path, story)


def test_a_channel_has_quiet_hours_of_its_own_instead(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        early = msgspec.structs.replace(TOGETHER, quiet="23:00-00:05")
        await house.move(3)
        async with running(house.notifier(ops, policy=early, kindness=NIGHT)):
            await asyncio.sleep(5 * MINUTE - 1)
            assert not ops.handed
            await asyncio.sleep(7)
            assert ops.sizes == [3]
            await house.move(1)
            await asyncio.sleep(7)
        assert ops.sizes == [3, 1]

    play(tmp_path, story)


def test_urgent_ones_come_at_once_and_each_by_itself(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        async with running(house.notifier(ops, policy=TOGETHER, kindness=NIGHT)):
            await house.move(37, urgent=True)
            await house.move(2)
            await asyncio.sleep(7)
            assert ops.sizes == [1] * 37
            await asyncio.sleep(QUIET)
        assert ops.sizes == [1] * 37 + [2]

    play(tmp_path, story)


def test_the_watchers_own_canary_knows_no_quiet_hours(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        await house.move(1, owner=SYSTEM_OWNER)
        async with running(house.notifier(ops, policy=TOGETHER, kindness=NIGHT)):
            await asyncio.sleep(7)
        assert ops.sizes == [1]

    play(tmp_path, story)


def test_what_was_tried_before_quiet_hours_comes_again_under_its_own_id_after_them(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader(fail())
        await house.move(37)
        async with running(house.notifier(ops, policy=TOGETHER, kindness=Kindness(quiet="00:01-00:15"))):
            await asyncio.sleep(2 * MINUTE)
            tried = ops.handed[0]
            await house.move(3)
            await asyncio.sleep(MINUTE)
            await house.move(2)
            ops.answer = accept
            await asyncio.sleep(QUIET)
        assert {message.id for message in ops.handed[:-2]} == {tried.id}
        assert sorted(ops.sizes) == [5, 37]
        assert tried.id in [message.id for message in ops.read]

    play(tmp_path, story)


def test_who_wants_active_hours_leaves_the_message_of_the_others(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        daily = await house.rule("daily", active="00:15-23:00")
        always = await house.rule("always")
        await house.move(10, rule=daily)
        await house.move(10, rule=always, at=START_MS)
        async with running(house.notifier(ops, policy=TOGETHER)):
            await asyncio.sleep(7)
            assert ops.sizes == [10]
            await asyncio.sleep(QUIET)
        first, second = ops.read
        assert {alert.rule for alert in first.alerts} == {always.id}
        assert {alert.rule for alert in second.alerts} == {daily.id}
        assert first.id != second.id, "the other side would take it for the same"

    play(tmp_path, story)


# --- many at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "sizes"), [(TOGETHER, [37]), (EACH, [1] * 37)])
def test_a_move_of_the_whole_market_is_one_message_where_the_channel_bundles(
    tmp_path: Path, policy: ChannelPolicy, sizes: list[int]
) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        async with running(house.notifier(ops, policy=policy)):
            await house.move(37)
            await asyncio.sleep(7)
            found = await house.everything()
        assert ops.sizes == sizes
        assert {(each.state, each.receipt, each.attempts) for each in found} == {("sent", "HTTP 200", 1)}
        assert set(ops.told.values()) == {1}

    play(tmp_path, story)


@pytest.mark.parametrize(("pairs", "sizes"), [(4, [1] * 4), (5, [5])])
def test_few_at_once_come_each_by_itself(tmp_path: Path, pairs: int, sizes: list[int]) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        await house.move(pairs)
        async with running(house.notifier(ops, policy=TOGETHER, kindness=Kindness(group_from=5))):
            await asyncio.sleep(7)
        assert ops.sizes == sizes

    play(tmp_path, story)


def test_more_than_go_into_a_message_are_as_few_messages_as_can_be_and_not_all_in_hand(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        count = 4 * BUNDLE_MOST + 500
        await house.move(count)
        most = 0
        async with running(house.notifier(ops, policy=msgspec.structs.replace(TOGETHER, at_once=1))):
            while sum(ops.sizes) < count:
                most = max(most, (await house.store.run(lambda tx: tx.outbox_counts()))["leased"])
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)
            assert await house.all_sent()
        assert sorted(ops.sizes) == [500, 1000, 1000, 1000, 1000]
        assert set(ops.told.values()) == {1}
        assert most <= 3 * BUNDLE_MOST + HAND, "in flight, in hand, and answered but not yet written down"

    play(tmp_path, story)


def test_what_the_channel_does_not_take_comes_again_as_it_was(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader(fail())
        await house.move(37)
        async with running(house.notifier(ops, policy=TOGETHER)):
            await asyncio.sleep(3 * MINUTE)
            await house.move(6, at=START_MS)  # of the same position, written later
            await asyncio.sleep(MINUTE)
            ops.answer = accept
            await asyncio.sleep(15 * MINUTE)
            assert await house.all_sent()
        tries = [message for message in ops.handed if message.id == ops.handed[0].id]
        assert len(tries) > 2
        assert {tuple(alert.id for alert in message.alerts) for message in tries} == {
            tuple(alert.id for alert in tries[0].alerts)
        }
        assert sorted(ops.sizes) == [6, 37]

    play(tmp_path, story)


def test_a_refusal_counts_for_all_and_sending_again_by_hand_is_one_message(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader(refuse)
        await house.move(37)
        async with running(house.notifier(ops, policy=TOGETHER)):
            await asyncio.sleep(7)
            assert {each.state for each in await house.everything()} == {"given_up"}
            ops.answer = accept
            now = house.clock.now()
            await house.store.run(lambda tx: tx.send_again(LOCAL_OWNER, ids=None, now=now, limit=99))
            await asyncio.sleep(7)
        assert ops.sizes == [37]
        assert ops.read[0].text.title == "Sent again: 37 alerts"

    play(tmp_path, story)


# --- late ones -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("digest", "sizes"), [(True, [1, 46]), (False, [1] * 10 + [37])])
def test_late_ones_come_together_where_that_is_asked_for(tmp_path: Path, digest: bool, sizes: list[int]) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        for minutes in range(9):  # the watcher was away for hours, and found these in the journal
            await house.move(1, at=START_MS - (60 + minutes) * 60_000)
        await house.move(37, at=START_MS - 40 * 60_000)
        await house.move(1)
        async with running(house.notifier(ops, policy=msgspec.structs.replace(TOGETHER, digest_late=digest))):
            await asyncio.sleep(7)
        assert sorted(ops.sizes) == sizes
        if digest:
            [late] = [message for message in ops.read if len(message.alerts) == 46]
            assert late.text.title == "46 alerts since 2023-12-31 22:52:00 UTC"
            assert late.text.body.endswith("Late: the first was observed 68 minutes ago.")

    play(tmp_path, story)


# --- crashes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrived", [False, True])
def test_a_crash_makes_the_same_message_come_again_under_the_same_id(tmp_path: Path, arrived: bool) -> None:
    async def story(house: House) -> None:
        async def die(delivery: Delivery) -> str:
            raise Crash

        async def arrive_and_die(delivery: Delivery) -> str:
            ops.read.append(ops.handed[-1])
            raise Crash

        ops = Reader(arrive_and_die if arrived else die)
        await house.move(37)
        await live(house.notifier(ops, policy=TOGETHER, holder="first", grace=0), 10)
        await house.move(20, at=START_MS)
        ops.answer = accept
        async with running(house.notifier(ops, policy=TOGETHER, holder="second")):
            await asyncio.sleep(2 * MINUTE)
            assert await house.all_sent()
        first, again = [message for message in ops.handed if len(message.alerts) == 37]
        assert (first.id, first.alerts) == (again.id, again.alerts)
        assert set(ops.told.values()) == ({1, 2} if arrived else {1})
        assert [len(message.alerts) for message in ops.handed].count(20) == 1

    play(tmp_path, story)


def test_a_message_that_may_have_arrived_before_quiet_hours_is_not_cut_anew(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        async def die(delivery: Delivery) -> str:
            raise Crash

        ops = Reader(die)
        night = Kindness(quiet="00:01-00:15")
        await house.move(37)
        await asyncio.sleep(50)
        await live(house.notifier(ops, policy=TOGETHER, kindness=night, holder="first", grace=0), 10)
        await asyncio.sleep(MINUTE)
        await house.move(4)
        ops.answer = accept
        async with running(house.notifier(ops, policy=TOGETHER, kindness=night, holder="second")):
            await asyncio.sleep(QUIET)
        assert sorted(ops.sizes) == [4, 37]
        assert ops.handed[0].id in [message.id for message in ops.read]

    play(tmp_path, story)


def test_lives_that_end_at_any_moment_send_no_message_in_two_cuts(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops = Reader()
        for number in range(25):
            await house.move(3 + 5 * (number % 4))
            notifier = house.notifier(ops, policy=TOGETHER, holder=f"life {number}", grace=0)
            async with running(notifier):
                await asyncio.sleep((number % 7) * 0.004)
            if number % 3:
                await asyncio.sleep(50)
        async with running(house.notifier(ops, policy=TOGETHER, holder="last")):
            await asyncio.sleep(5 * MINUTE)
            assert await house.all_sent()
        cuts: dict[str, set[tuple[str, ...]]] = {}
        for message in ops.handed:
            cuts.setdefault(message.id, set()).add(tuple(sorted(alert.id for alert in message.alerts)))
        assert {len(each) for each in cuts.values()} == {1}
        assert len(ops.handed) > len(cuts), "some came twice"

    play(tmp_path, story)


# --- another channel stands in ---------------------------------------------------------------------


@pytest.mark.parametrize(("mail", "sizes"), [(TOGETHER, [37]), (EACH, [1] * 37)])
@pytest.mark.parametrize("answer", [fail(), refuse])
def test_what_goes_out_in_one_message_is_told_by_the_other_channel_in_one(
    tmp_path: Path, answer: Answer, mail: ChannelPolicy, sizes: list[int]
) -> None:
    async def story(house: House) -> None:
        ops, other = Reader(answer), Reader(name="mail")
        await house.move(37)
        async with running(house.notifier(ops, other, policies={"ops": WITH_MAIL, "mail": mail})):
            await asyncio.sleep(20 * MINUTE)
            states = Counter((each.channel, each.state) for each in await house.everything())
        assert other.sizes == sizes
        assert set(other.told.values()) == {1}
        ended = "cancelled" if answer is not refuse else "given_up"
        assert states == {("ops", ended): 37, ("mail", "sent"): 37}

    play(tmp_path, story)


def test_a_queue_of_bundles_that_waits_too_long_is_told_by_the_other_channel_as_it_is(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops, mail = Reader(), Reader(name="mail")
        slow = msgspec.structs.replace(WITH_MAIL, rate=Rate(1, 3_600_000))
        for number in range(4):
            await house.move(300, at=START_MS - number)
        async with running(house.notifier(ops, mail, policies={"ops": slow, "mail": TOGETHER})):
            await asyncio.sleep(12 * MINUTE)
        assert ops.sizes == [300]
        assert mail.sizes == [300] * 3
        assert set((ops.told + mail.told).values()) == {1}

    play(tmp_path, story)


def test_late_ones_of_different_ages_are_passed_on_together(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        ops, mail = Reader(fail()), Reader(name="mail")
        late = msgspec.structs.replace(
            WITH_MAIL, digest_late=True, fallback_after=60 * 60_000, fallback_failures=99
        )
        for minutes in (20, 40, 50, 58):
            await house.move(1, at=START_MS - minutes * 60_000)
        async with running(house.notifier(ops, mail, policies={"ops": late, "mail": TOGETHER})):
            await asyncio.sleep(20 * MINUTE)
        assert mail.sizes == [4]
        assert mail.read[0].text.title.startswith("4 alerts since ")

    play(tmp_path, story)
