"""A summary is formed once, whatever dies, and goes the way of alerts: on virtual time, over the real store. It
begins on Monday, 2024-01-01, 00:00 UTC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert, Part, first_id_at
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.reaching import Setting, Wishes
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.summary import Mark, Plan, plan_of
from cryptowatcher.pipeline.summary import Summaries, Summarizer
from cryptowatcher.pipeline.switchboard import Directory
from cryptowatcher.ports import Store, Tx
from cryptowatcher.summarizing import summarize
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.channel import sample_alert
from cryptowatcher.testing.contracts.store_case import sample_candle, sample_delivery, sample_price
from cryptowatcher.testing.virtual_time import START_MS, VirtualClock
from tests.pipeline.test_kindness import WITH_MAIL, House, Reader, seconds
from tests.pipeline.test_notify import Crash, fail, running

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
DUE = 30 * MINUTE
T = TypeVar("T")


def plan(text: str = "daily 00:30", zone: str = "UTC", channels: tuple[str, ...] = ()) -> Plan:
    found = plan_of(text, zone, channels)
    assert found is not None
    return found


class Office(House):
    """An outbox, and who sums up what is in it."""

    def summarizer(
        self, text: str = "daily 00:30", *, store: Store | None = None, owner: str = LOCAL_OWNER, **more: Any
    ) -> Summarizer:
        return Summarizer(
            store or self.store, self.clock, plan(text, **more), owner=owner, channels=("ops", "mail")
        )

    def summing(
        self, text: str = "daily 00:30", *, zone: str = "UTC", channels: tuple[str, ...] = ("ops", "mail")
    ) -> Summaries:
        wishes = Wishes(summary=text, time_zone=zone)
        return Summaries(self.store, self.clock, Directory(Setting(channels=channels, wishes=wishes)))

    async def fire(self, count: int, *, owner: str = LOCAL_OWNER, at: int | None = None, **said: Any) -> None:  # type: ignore[override]  # of no rule here
        """Alerts at that time, now if none is said, each with a delivery that is in this state."""
        now = self.clock.now() if at is None else at
        alerts = []
        for _ in range(count):
            self.made += 1
            id_ = f"{first_id_at(now)}-{self.made:020x}"
            alerts.append(
                msgspec.structs.replace(sample_alert(1), id=id_, owner=owner, event_time=now, at=now, late=False)
            )
        state = {"state": "sent", "created_at": now, "finished_at": now} | said
        deliveries = [msgspec.structs.replace(sample_delivery(alert), **state) for alert in alerts]
        await self._commit(alerts=alerts, deliveries=deliveries)

    async def until(self, second: float, *, watched: bool = True) -> None:
        """Wait until so many seconds after the beginning; then watch has come so far, too."""
        await asyncio.sleep(max(second - seconds(), 0))
        if watched:
            await self._commit()

    async def summaries(self, owner: str = LOCAL_OWNER) -> list[Delivery]:
        found = await self.store.run(lambda tx: tx.deliveries(owner, limit=99))
        return [delivery for delivery in found if delivery.kind == "summary"]

    async def notice(self, owner: str = LOCAL_OWNER) -> Alert:
        """The only one that there is."""
        (id_,) = {delivery.alert for delivery in await self.summaries(owner)}
        return (await self.store.run(lambda tx: tx.alerts_named([id_])))[id_]


@asynccontextmanager
async def working(*summarizers: Summaries) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in summarizers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def play(folder: Path, story: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with open_sqlite_store(folder / "store.db", inline=Inline()) as store:
            await story(Office(store, VirtualClock()))

    virtual_time.run(main)


def titles(messages: list[Message]) -> list[str]:
    return [message.text.title for message in messages if message.kind == "summary"]


# --- in the ordinary -------------------------------------------------------------------------------


def test_at_its_time_an_owner_is_told_once_what_each_day_brought(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        ops, mail = Reader(), Reader(name="mail")
        async with working(office.summing()):
            for day in range(2):
                await office.until(day * DAY + MINUTE)
                await office.fire(3)
                await office.until(day * DAY + DUE - 1)
                assert len(await office.summaries()) == 2 * day
                await office.fire(1 + day)
                await office.until(day * DAY + DUE)
                await office.fire(1)
                await office.fire(2, owner="bob")
                await office.until(day * DAY + DUE + 1)
                async with running(office.notifier(ops, mail)):
                    await asyncio.sleep(10)
                for minutes in range(10, 60, 10):
                    await office.until(day * DAY + DUE + minutes * MINUTE)
        assert {each.state for each in await office.summaries()} == {"sent"}
        mark = await office.store.run(lambda tx: tx.summary_mark(LOCAL_OWNER))
        assert mark == Mark("daily 00:30 UTC", START_MS + (DAY + DUE) * 1000)
        words = ["Daily summary: 4 alerts, 4 signals", "Daily summary: 6 alerts, 6 signals"]
        assert titles(ops.read) == words
        assert titles(mail.read) == words
        bodies = [message.text.body for message in mail.read]
        assert bodies[0].startswith("From 2023-12-31 00:30 UTC to 2024-01-01 00:30 UTC.\n")
        assert "Late:" not in "".join(bodies)

    play(tmp_path, story)


def test_it_says_what_moved_what_was_given_up_and_who_was_not_seen(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        end, five = START_MS + DUE * 1000, 5 * 60_000
        begin = end - DAY * 1000
        await office.rule("mine")
        await office.store.run(lambda tx: tx.mark_summary(LOCAL_OWNER, Mark("daily 00:30 UTC", START_MS)))
        await office._commit(
            prices=[sample_price("bitcoin/usd", 9e12), sample_price("unknown/usd", None)],
            candles=[
                sample_candle("bitcoin/usd", five, begin - five, 50_000.0),
                sample_candle("bitcoin/usd", five, end - five, 47_500.0),
            ],
        )
        back = msgspec.structs.replace(
            sample_alert(1),
            id=f"{end - 1000:011x}-back",
            owner=LOCAL_OWNER,
            kind="back",
            event_time=end - 1000,
            at=end - 1000,
            value=1.0,
            gap_ms=2 * HOUR * 1000,
            parts=(Part("bitcoin/usd", None, 0.0),),
        )
        await office._commit(alerts=[back])
        await office.fire(1, state="given_up", finished_at=end - 1)
        await office.fire(1, finished_at=end - 1)
        await office.until(DUE + 1)
        assert await office.summarizer().look()
        notice = await office.notice()
        assert notice.condition.splitlines()[-4:] == [
            "Moved most: bitcoin/usd -5% to 47,500.",
            "Given up: 1 message (ops 1). `cryptowatcher deliveries --state given_up` says why.",
            "Not seen: bitcoin/usd for 2 hours.",
            "Also: 1 message sent late.",
        ]

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("named", "moved"),
    [
        ((), ["bitcoin/usd", "small/usd"]),
        (("small/usd",), ["small/usd"]),
        (("small/usd", "all"), ["bitcoin/usd", "small/usd"]),
        (("list(mine)",), ["small/usd"]),
    ],
)
def test_what_moved_is_of_the_pairs_that_rules_name_or_of_the_largest(
    tmp_path: Path, named: tuple[str, ...], moved: list[str]
) -> None:
    async def story(office: Office) -> None:
        five, caps = 5 * 60_000, {"bitcoin/usd": 9e12, "small/usd": 1.0}
        candles = [
            sample_candle(pair, five, at - five, at / 1e12)
            for pair in caps
            for at in (START_MS, START_MS + DAY * 1000)
        ]
        await office._commit(prices=[sample_price(pair, cap) for pair, cap in caps.items()], candles=candles)
        await office.store.run(lambda tx: tx.save_watchlist(LOCAL_OWNER, "mine", ["small/usd"], head=0, now=0))
        for number, pair in enumerate(named):
            spec = RuleSpec(name=f"r{number}", pairs=(pair,), when="price > 1")
            await office.store.run(lambda tx, spec=spec: tx.save_rule(LOCAL_OWNER, spec, head=0, now=0))  # type: ignore[misc]  # a default binds it
        found = await summarize(office.store, LOCAL_OWNER, START_MS, START_MS + DAY * 1000)
        assert [each.pair for each in found.moves] == moved

    play(tmp_path, story)


def test_it_waits_until_all_of_its_stretch_was_watched(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        async with working(office.summing()):
            await office.until(DUE - 2)
            await office.until(DUE + 5 * MINUTE, watched=False)
            assert await office.summaries() == []
            await office.fire(3, at=START_MS + DUE * 1000 - 1)  # watch has been behind, and now is not
            await asyncio.sleep(2)
        assert (await office.notice()).condition.startswith("Daily summary: 3 alerts")

    play(tmp_path, story)


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 8), ("Asia/Kathmandu", 2.25)])
def test_it_comes_by_its_owners_clock(tmp_path: Path, zone: str, hours: float) -> None:
    async def story(office: Office) -> None:
        async with working(office.summing("daily 08:00", zone=zone)):
            await office.until(1)
            await office.until(hours * HOUR + 1)
            await asyncio.sleep(2)
        assert (await office.notice()).event_time == START_MS + hours * HOUR * 1000

    play(tmp_path, story)


# --- the way of alerts -----------------------------------------------------------------------------


def test_it_goes_where_it_should_and_waits_for_the_end_of_quiet_hours(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        ops, mail = Reader(), Reader(name="mail")
        # 08:00 in Kathmandu is 02:15 UTC; its quiet hours name no place and are those of that clock.
        night = Kindness(quiet="07:00-09:00", time_zone="Asia/Kathmandu")
        summing = office.summing("daily 08:00", zone="Asia/Kathmandu", channels=("mail",))
        async with working(summing):
            await office.until(1)
            await office.until(2.25 * HOUR + 1)
            await asyncio.sleep(2)
        await office.until(3 * HOUR)
        async with running(office.notifier(ops, mail, kindness=night)):
            await office.until(3.25 * HOUR - 1)
            [held] = await office.summaries()
            assert held.is_held
            assert not mail.handed
            await asyncio.sleep(7)
        assert not ops.handed
        [message] = mail.read
        assert message.text.body.endswith("\nLate: sent 60 minutes after its end.")

    play(tmp_path, story)


def test_another_channel_stands_in_when_one_does_not_take_it(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        ops, mail = Reader(fail()), Reader(name="mail")
        policies = {"ops": WITH_MAIL}
        async with working(office.summing(channels=("ops",))):
            await office.until(1)
            await office.until(DUE + 1)
            await asyncio.sleep(2)
        async with running(office.notifier(ops, mail, policies=policies)):
            await asyncio.sleep(15 * MINUTE)
        assert len(ops.handed) > 1
        assert len({message.id for message in ops.handed}) == 1
        assert titles(mail.read) == ["Daily summary: no alerts"]

    play(tmp_path, story)


# --- away, and new ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "away", "told"), [
    ("daily 00:30", 2, ["2 hours"]),
    ("daily 00:30", 23, ["23 hours"]),
    ("daily 00:30", 24 + 2, ["2 hours"]),
    ("weekly mon 00:30", 23, ["23 hours"]),
    ("weekly mon 00:30", 24, []),
])  # fmt: skip
def test_one_whose_time_nobody_was_there_for_is_told_late_if_it_is_no_day_old(
    tmp_path: Path, text: str, away: int, told: list[str]
) -> None:
    async def story(office: Office) -> None:
        ops = Reader()
        async with working(office.summing(text, channels=("ops",))):
            await office.until(1)
        await office.until(DUE + away * HOUR)
        for _ in range(3):
            async with working(office.summing(text, channels=("ops",))), running(office.notifier(ops)):
                await asyncio.sleep(MINUTE)
        late = [message.text.body.rpartition("Late: sent ")[2] for message in ops.read]
        assert late == [f"{each} after its end." for each in told]

    play(tmp_path, story)


def test_a_plan_that_is_new_tells_nothing_of_the_time_before_it(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.until(DUE + HOUR)
        async with working(office.summing()):
            await office.until(DUE + 2 * HOUR)
        async with working(office.summing("daily 02:00")):
            await office.until(3 * HOUR)
        async with working(office.summing("daily 04:00")):
            await office.until(3.5 * HOUR)
            assert await office.summaries() == []
            await office.until(4 * HOUR + 1)
            await asyncio.sleep(2)
        assert len(await office.summaries()) == 2, "one for each channel"

    play(tmp_path, story)


def test_a_clock_that_was_ahead_for_a_while_silences_no_summary(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        ahead = Mark(plan().words, START_MS + 400 * DAY * 1000)
        await office.store.run(lambda tx: tx.mark_summary(LOCAL_OWNER, ahead))
        async with working(office.summing()):
            await office.until(1)
            await office.until(DUE + 1)
            await asyncio.sleep(2)
        assert len(await office.summaries()) == 2

    play(tmp_path, story)


# --- deaths ----------------------------------------------------------------------------------------


class Mortal:
    """A store whose process dies at its n-th transaction: before it, or after it was committed. 0: never."""

    def __init__(self, store: Store, *, dies_at: int = 0, after: bool = False) -> None:
        self._store = store
        self._dies_at = dies_at
        self._after = after
        self.count = 0

    async def run(self, fn: Callable[[Tx], T]) -> T:
        self.count += 1
        if self.count == self._dies_at and not self._after:
            raise Crash
        found = await self._store.run(fn)
        if self.count == self._dies_at:
            raise Crash
        return found


def _begun(owner: str, tx: Tx) -> None:
    tx.mark_summary(owner, Mark(plan().words, START_MS))


@pytest.mark.parametrize("after", [False, True])
def test_whenever_it_dies_there_is_one_summary_with_all_its_deliveries(tmp_path: Path, after: bool) -> None:
    async def story(office: Office) -> None:
        await office.until(DUE + 1)
        lives = Mortal(office.store)
        await office.store.run(partial(_begun, "immortal"))
        await office.summarizer(store=lives, owner="immortal").look()
        # All before and behind the reading, which is the same many times.
        for number in (1, 2, 3, lives.count // 2, *range(lives.count - 3, lives.count + 1)):
            owner = f"owner {number}"
            await office.store.run(partial(_begun, owner))
            await office.fire(number % 3, owner=owner, at=START_MS + MINUTE)
            mortal = Mortal(office.store, dies_at=number, after=after)
            with pytest.raises(Crash):
                await office.summarizer(store=mortal, owner=owner).look()
            for _ in range(2):
                assert await office.summarizer(owner=owner).look()
            told = await office.summaries(owner)
            notice = await office.notice(owner)
            assert sorted(each.id for each in told) == [f"{notice.id}~mail", f"{notice.id}~ops"]
            assert notice.value == number % 3

    play(tmp_path, story)


def test_two_that_sum_up_at_once_tell_it_once(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        async with working(office.summing(), office.summing(channels=("phone",))):
            await office.until(1)
            await office.until(DUE + 1)
            await asyncio.sleep(5)
        told = await office.summaries()
        assert [each.channel for each in told] in (["ops", "mail"], ["phone"])

    play(tmp_path, story)
