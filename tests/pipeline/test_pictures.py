"""Pictures for messages: from the store's candles, for those that want them, and never instead of a message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.pictures import Picture
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.pictures import WITHIN, Pictures
from cryptowatcher.ports import Cursor, Step, Store
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.channel import OBSERVED, sample_alert
from cryptowatcher.testing.contracts.store_case import sample_candle
from cryptowatcher.testing.virtual_time import VirtualClock
from tests.pipeline.test_notify import Outbox, Recorder, accept, running

PAIR, MINUTE = "bitcoin/usd", MS["m"]
PLAIN, PICTURED = ChannelPolicy(bundle=True), ChannelPolicy(bundle=True, picture=True)


class Easel:
    """Draws, or does what it is told to instead, and keeps what it was asked for."""

    def __init__(self, instead: Callable[[], Awaitable[bytes]] | None = None) -> None:
        self.asked: list[Picture] = []
        self.instead = instead

    async def draw(self, picture: Picture) -> bytes:
        self.asked.append(picture)
        return await self.instead() if self.instead else f"png {len(self.asked)}".encode()


class Wall(Recorder):
    """Remembers the pictures of the messages too."""

    def __init__(self, name: str = "ops", *, too_slow_for_them: bool = False) -> None:
        super().__init__(accept, name)
        self.pictures: list[bytes] = []
        self._too_slow_for_them = too_slow_for_them

    async def send(self, message: Message) -> str:
        self.pictures.append(message.picture)
        if message.picture and self._too_slow_for_them:
            raise Unavailable("no answer in time", reason="timeout")
        return await super().send(message)


async def broken() -> bytes:
    raise RuntimeError("no such font")


async def hanging() -> bytes:
    await asyncio.Event().wait()
    return b"never"


async def observed(store: Store, *, interval: int = MINUTE, count: int = 20, end: int = OBSERVED) -> None:
    """So many candles, the last of which ends then."""
    starts = [end - number * interval for number in range(count, 0, -1)]
    step = Step(
        cursor=Cursor("j", 1, 1), candles=[sample_candle(PAIR, interval, start, 50_000.0) for start in starts]
    )
    await store.run(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor()))


def with_outbox(folder: Path, work: Callable[[Outbox], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_sqlite_store(folder / "store.db", inline=Inline()) as store:
            await work(Outbox(store, VirtualClock()))

    virtual_time.run(main)


def shown(folder: Path, alert: Alert, *put: tuple[int, int, int]) -> list[Picture]:
    """What is drawn of an alert over candles (interval, count, end of the last)."""
    easel = Easel()

    async def work(outbox: Outbox) -> None:
        for interval, count, end in put:
            await observed(outbox.store, interval=interval, count=count, end=end)
        await Pictures(outbox.store, easel.draw).of(alert)

    with_outbox(folder, work)
    return easel.asked


def points(picture: Picture) -> int:
    return sum(map(len, picture.lines))


def test_it_shows_the_candles_that_ended_before_the_alert(tmp_path: Path) -> None:
    (picture,) = shown(tmp_path, sample_alert(), (MINUTE, 30, OBSERVED + 10 * MINUTE))
    assert points(picture) == 20 + 1  # and the alert itself


def test_where_few_fitting_ones_are_there_finer_ones_are_shown(tmp_path: Path) -> None:
    slow = msgspec.structs.replace(sample_alert(), condition="change(1h) <= -5%")
    (picture,) = shown(tmp_path, slow, (5 * MINUTE, 6, OBSERVED), (MINUTE, 30, OBSERVED))
    assert points(picture) == 30 + 1


def test_without_candles_there_is_none(tmp_path: Path) -> None:
    assert shown(tmp_path, sample_alert()) == []
    assert shown(tmp_path, msgspec.structs.replace(sample_alert(), pair="other/usd"), (MINUTE, 30, OBSERVED)) == []


def test_an_alert_that_is_told_again_has_the_same_picture(tmp_path: Path) -> None:
    async def work(outbox: Outbox) -> None:
        pictures = Pictures(outbox.store, Easel().draw)
        assert await pictures.of(sample_alert()) == b""  # nothing has been stored yet, but soon will
        await observed(outbox.store)
        first = await pictures.of(sample_alert())
        assert await pictures.of(sample_alert(1)) != first
        assert await pictures.of(sample_alert()) == first

    with_outbox(tmp_path, work)


def test_what_goes_wrong_costs_the_picture_and_little_time(tmp_path: Path) -> None:
    async def work(outbox: Outbox) -> None:
        await observed(outbox.store)
        for instead in (broken, hanging):
            easel = Easel(instead)
            pictures = Pictures(outbox.store, easel.draw)
            began = asyncio.get_running_loop().time()
            assert await pictures.of(sample_alert()) == b""
            assert asyncio.get_running_loop().time() - began <= WITHIN
            easel.instead = None
            assert await pictures.of(sample_alert())

    with_outbox(tmp_path, work)


def told(
    folder: Path,
    easel: Easel,
    *,
    count: int = 1,
    policy: ChannelPolicy = PICTURED,
    at: int = OBSERVED,
    wall: Wall | None = None,
) -> tuple[list[bytes], list[Delivery]]:
    """The pictures that a channel gets with its messages of so many alerts, and the receipts."""
    wall, receipts = wall or Wall(), list[Delivery]()

    async def work(outbox: Outbox) -> None:
        await observed(outbox.store)
        await outbox.queue(count)
        notifier = outbox.notifier(
            wall,
            policies={"ops": policy},
            kindness=Kindness(group_from=5),
            pictures=Pictures(outbox.store, easel.draw),
        )
        async with running(notifier):
            await asyncio.sleep(60)
        receipts.extend(await outbox.deliveries())

    with_outbox(folder, work)
    return wall.pictures, receipts


def test_a_channel_that_wants_it_gets_it_with_the_alert(tmp_path: Path) -> None:
    pictures, receipts = told(tmp_path, Easel())
    assert pictures == [b"png 1"]
    assert [receipt.state for receipt in receipts] == ["sent"]


def test_for_a_channel_that_does_not_nothing_is_drawn(tmp_path: Path) -> None:
    easel = Easel()
    assert told(tmp_path, easel, policy=PLAIN)[0] == [b""]
    assert easel.asked == []


def test_a_message_of_several_alerts_has_none(tmp_path: Path) -> None:
    easel = Easel()
    pictures, receipts = told(tmp_path, easel, count=7)
    assert pictures == [b""]
    assert len(receipts) == 7
    assert easel.asked == []


def test_what_is_tried_again_goes_out_in_words_alone(tmp_path: Path) -> None:
    """Else a way on which only pictures fail would cost the message."""
    pictures, receipts = told(tmp_path, Easel(), wall=Wall(too_slow_for_them=True))
    assert pictures == [b"png 1", b""]
    assert [(receipt.state, receipt.attempts) for receipt in receipts] == [("sent", 2)]


def test_no_message_is_lost_with_its_picture(tmp_path: Path) -> None:
    for number, instead in enumerate((broken, hanging)):
        folder = tmp_path / str(number)
        folder.mkdir()
        pictures, receipts = told(folder, Easel(instead))
        assert pictures == [b""]
        assert [(receipt.state, receipt.attempts) for receipt in receipts] == [("sent", 1)]
