"""What every channel promises, whatever stands behind it. A test class joins by saying how to open one.

class TestPager(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]: ...
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.messages import Message, write
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Channel

OBSERVED = 1_722_838_500_000  # 2024-08-05 06:15:00 UTC


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 80
"""As long as one of a price, with every byte there is in it."""


class Outside(Protocol):
    """An open channel and the place where its messages arrive."""

    @property
    def channel(self) -> Channel: ...

    async def arrived(self) -> list[str]:
        """The messages that have come so far, as text, in order."""
        ...

    async def break_down(self) -> None:
        """From now on nothing can be accepted."""
        ...


class Gallery(Outside, Protocol):
    """An Outside where pictures are shown."""

    async def pictures(self) -> list[bytes]:
        """Those that have come so far, in order."""
        ...

    async def refuse_pictures(self) -> None:
        """From now on a message with a picture is refused."""
        ...


def sample_alert(number: int = 0, *, rule_name: str = "btc drops") -> Alert:
    """A plain alert; another number is another event."""
    event_time = OBSERVED + number * 1_000
    return Alert(
        id=alert_id(rule="r1", version=1, pair="bitcoin/usd", kind="edge", event_time=event_time),
        owner="local",
        rule="r1",
        rule_name=rule_name,
        version=1,
        pair="bitcoin/usd",
        kind="edge",
        event_time=event_time,
        at=event_time + 700,
        seq=12 + number,
        condition="change(5m) <= -5%",
        value=-0.05234,
        constant=-0.05,
        previous=-0.041,
        price=50_123.456,
        source="coingecko",
        received_at=event_time + 500,
        gap_ms=0,
        advice="buy",
        channels=("ops",),
    )


def sample_delivery(alert: Alert, channel: str = "ops") -> Delivery:
    """The alert on its way to a channel, claimed for the first time."""
    return Delivery(
        id=delivery_id(alert.id, channel),
        alert=alert.id,
        owner=alert.owner,
        rule=alert.rule,
        channel=channel,
        state="leased",
        created_at=alert.at,
        due_at=alert.at,
        leased_until=alert.at + 60_000,
        holder="test",
    )


def sample_message(alert: Alert, channel: str = "ops") -> Message:
    """What a channel is asked to say of it, a second after it came about."""
    return write([(sample_delivery(alert, channel), alert)], now=alert.at + 1_000)


class ChannelContract:
    """One test a promise."""

    def outside(self) -> AbstractAsyncContextManager[Outside]:
        raise NotImplementedError

    def test_what_is_accepted_has_a_receipt_and_arrives_once(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                receipt = await _send(outside.channel, sample_alert())
                messages = await outside.arrived()
            assert receipt
            assert receipt.isprintable()
            assert len(messages) == 1
            assert "bitcoin/usd" in messages[0]
            assert "-5.23%" in messages[0]

        asyncio.run(main())

    def test_a_picture_takes_nothing_from_the_words(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                for picture in (b"", PICTURE):
                    await outside.channel.send(_pictured(sample_alert(), outside.channel.name, picture))
                without, beside = await outside.arrived()
            assert without == beside

        asyncio.run(main())

    def test_sends_at_once_all_arrive(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                alerts = [sample_alert(number, rule_name=f"rule <{number}>") for number in range(20)]
                await asyncio.gather(*(_send(outside.channel, alert) for alert in alerts))
                messages = await outside.arrived()
            assert len(messages) == len(alerts)
            assert all(any(alert.rule_name in message for message in messages) for alert in alerts)

        asyncio.run(main())

    def test_what_people_write_arrives_and_breaks_nothing(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                alert = sample_alert(rule_name='Ünïcode "quotes" \\ {0} %s 🚀')
                await _send(outside.channel, alert)
                control = msgspec.structs.replace(sample_alert(1), rule_name="one\ntwo\x1b[2Jthree")
                await _send(outside.channel, control)
                messages = await outside.arrived()
            assert len(messages) == 2
            assert not any("\x1b" in message for message in messages)

        asyncio.run(main())

    def test_a_side_that_is_down_is_unavailable_and_nothing_else(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                await outside.break_down()
                for number in range(2):
                    assert await _reason(outside.channel, sample_alert(number)) not in ("", "accepted")

        asyncio.run(main())

    def test_the_channel_still_works_after_a_send_was_cancelled(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                first = asyncio.create_task(_send(outside.channel, sample_alert()))
                await asyncio.sleep(0)
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
                assert await _send(outside.channel, sample_alert(1, rule_name="after"))
                messages = await outside.arrived()
            assert any("after" in message for message in messages)

        asyncio.run(main())


class PictureContract(ChannelContract):
    """What a channel that shows pictures promises besides."""

    def outside(self) -> AbstractAsyncContextManager[Gallery]:
        raise NotImplementedError

    def test_a_picture_arrives_whole_and_once_beside_its_words(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                await outside.channel.send(_pictured(sample_alert(), outside.channel.name, PICTURE))
                assert await outside.pictures() == [PICTURE]
                assert len(await outside.arrived()) == 1
                await _send(outside.channel, sample_alert(1))
                assert await outside.pictures() == [PICTURE]

        asyncio.run(main())

    def test_where_a_picture_is_refused_the_words_arrive_alone(self) -> None:
        async def main() -> None:
            async with self.outside() as outside:
                await outside.refuse_pictures()
                assert await outside.channel.send(_pictured(sample_alert(), outside.channel.name, PICTURE))
                (words,) = await outside.arrived()
                assert "-5.23%" in words
                assert await outside.pictures() == []

        asyncio.run(main())


def _pictured(alert: Alert, channel: str, picture: bytes) -> Message:
    return msgspec.structs.replace(sample_message(alert, channel), picture=picture)


async def _send(channel: Channel, alert: Alert) -> str:
    return await channel.send(sample_message(alert, channel.name))


async def _reason(channel: Channel, alert: Alert) -> str:
    """Why it is unavailable, or that it is not."""
    try:
        await _send(channel, alert)
    except Unavailable as error:
        return error.reason
    return "accepted"
