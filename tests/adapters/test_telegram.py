"""Alerts through a Telegram bot, and what is heard there, against a server that speaks as the Bot API does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.channels.telegram import Telegram, TelegramConfig, written
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.domain import samples
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.chat import read_press
from cryptowatcher.domain.messages import Message, write
from cryptowatcher.domain.texts import AlertText
from cryptowatcher.errors import ConfigError, Error, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.ports.chats import ChatLine, Heard
from cryptowatcher.testing.contracts.channel import (
    PICTURE,
    Gallery,
    PictureContract,
    sample_alert,
    sample_message,
)
from cryptowatcher.testing.fake_telegram import TOKEN, FakeTelegram, flooded
from cryptowatcher.testing.wire import Reply, Sending, json_reply

ME = 7_123_456_789
GROUP = -1_001_234_567_890


def deps(token: str = TOKEN, linked: Sequence[int] = ()) -> Deps:
    async def chats(channel: str) -> Sequence[int]:
        return linked if channel == "ops" else ()

    return Deps(
        clock=SystemClock(),
        secret=lambda *, file, variable, where: token,
        random=Random(1),
        outbound=Outbound(allow=("127.0.0.0/8",)),
        linked=chats,
    )


def settings(origin: str, **more: Any) -> TelegramConfig:
    return TelegramConfig(**{"name": "ops", "server": origin, "token_file": "token", "chats": (ME,), **more})


class Bot:
    def __init__(self, channel: Channel, server: FakeTelegram) -> None:
        assert isinstance(channel, Telegram)
        self.channel: Telegram = channel
        self.server = server

    async def arrived(self) -> list[str]:
        return [message.text for message in self.server.sent]

    async def break_down(self) -> None:
        self.server.down = True

    async def pictures(self) -> list[bytes]:
        return [message.picture for message in self.server.sent if message.picture]

    async def refuse_pictures(self) -> None:
        self.server.wordy.add(ME)


@asynccontextmanager
async def bot(linked: Sequence[int] = (), token: str = TOKEN, **more: Any) -> AsyncIterator[Bot]:
    async with (
        FakeTelegram() as server,
        settings(server.origin, **more).open(deps(token, linked)) as channel,
    ):
        server.chats.add(ME)
        yield Bot(channel, server)


class TestTelegram(PictureContract):
    def outside(self) -> AbstractAsyncContextManager[Gallery]:
        return bot()


def with_bot(work: Callable[[Bot], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        async with bot(**more) as opened:
            await work(opened)

    asyncio.run(main())


def failure(*replies: Reply, **more: Any) -> Error:
    """What sending raises when this is the answer."""
    errors: list[Error] = []

    async def work(bot: Bot) -> None:
        bot.server.next("sendMessage", *replies)
        with pytest.raises(Error) as caught:
            await bot.channel.send(sample_message(sample_alert()))
        errors.append(caught.value)

    with_bot(work, **more)
    return errors[0]


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Refused, "chat"),
        (401, Refused, "unauthorized"),
        (403, Refused, "chat"),
        (404, Refused, "not_found"),
        (409, Unavailable, "conflict"),
        (429, Unavailable, "rate_limited"),
        (500, Unavailable, "server_error"),
        (502, Unavailable, "server_error"),
        (302, Unavailable, "redirect"),
        (200, Unavailable, "protocol"),
    ],
)
@pytest.mark.parametrize("body", [b'{"ok":false,"description":"some words"}', b"<html>nginx</html>", b""])
def test_what_an_answer_means(status: int, kind: type[Error], reason: str, body: bytes) -> None:
    error = failure(Reply(status=status, body=body))
    assert isinstance(error, kind)
    # What is not Telegram's own answer does not say that it is about this chat.
    expected = {400: "client_error", 403: "unauthorized"}.get(status, reason) if body[:1] != b"{" else reason
    assert getattr(error, "reason", "") == expected
    if body.startswith(b"{") and status != 302:
        assert "some words" in str(error)


@pytest.mark.parametrize(
    "sending", [Sending.CLOSE, Sending.RESET, Sending.CUT_HEAD, Sending.CUT_BODY, Sending.HANG]
)
def test_half_an_answer_is_none(sending: Sending) -> None:
    error = failure(Reply(body=b'{"ok": true, "result": {"message_id": 1}}', sending=sending), timeout="1s")
    assert isinstance(error, Unavailable)
    assert error.reason in {"cut", "timeout", "protocol"}


def test_it_waits_as_long_as_it_is_asked_to_in_the_body_or_in_a_header() -> None:
    in_body, in_header = failure(flooded(17)), failure(Reply(status=429, headers=(("Retry-After", "7"),)))
    assert isinstance(in_body, Unavailable)
    assert isinstance(in_header, Unavailable)
    assert (in_body.retry_after, in_header.retry_after) == (17, 7)


def test_a_group_that_has_moved_says_where_to() -> None:
    said = {"ok": False, "description": "group upgraded", "parameters": {"migrate_to_chat_id": GROUP}}
    assert str(GROUP) in str(failure(json_reply(said, status=400)))


def test_no_secret_is_told() -> None:
    for reply in (
        json_reply({}, status=401),
        Reply(sending=Sending.CLOSE),
        Reply(sending=Sending.RAW, body=b"nonsense"),
        Reply(status=302, headers=(("Location", "https://example.com/bot"),)),
    ):
        error = failure(reply)
        assert TOKEN.partition(":")[2] not in f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"


def test_another_token_is_refused_and_one_that_is_none_is_not_quoted() -> None:
    assert isinstance(failure(token="123456:another_token_altogether"), Refused)
    with pytest.raises(ConfigError) as caught:
        with_bot(lambda bot: asyncio.sleep(0), token="my secret")
    assert "my secret" not in str(caught.value)


def test_what_people_write_is_text_and_never_markup() -> None:
    async def work(bot: Bot) -> None:
        name = '<b>bold</b> <a href="http://evil">&amp; </pre>'
        await bot.channel.send(sample_message(sample_alert(rule_name=name)))
        (message,) = bot.server.sent
        assert name in message.text
        assert "<a" not in message.raw

    with_bot(work)


def test_a_repeat_can_be_told_by_its_short_id_and_another_message_has_another() -> None:
    def last_line(alert: Alert) -> str:
        return written(sample_message(alert)).splitlines()[-1]

    assert last_line(sample_alert(1)) == last_line(sample_alert(1)) != last_line(sample_alert(2))


@given(title=st.text(max_size=500), body=st.text(max_size=5_000))
def test_no_text_is_too_long_or_breaks_the_markup(title: str, body: str) -> None:
    server = FakeTelegram()
    server.chats.add(ME)
    text = AlertText(title, body + "🚀" * 3_000)
    message = msgspec.structs.replace(sample_message(sample_alert()), text=text)
    asked = {"chat_id": ME, "parse_mode": "HTML", "text": written(message)}
    assert msgspec.json.decode(server._send(msgspec.json.decode(msgspec.json.encode(asked))).body)["ok"]


def pictured(alert: Alert | None = None) -> Message:
    return msgspec.structs.replace(sample_message(alert or sample_alert()), picture=PICTURE)


def test_words_that_do_not_fit_under_a_picture_go_out_without_it() -> None:
    async def work(bot: Bot) -> None:
        await bot.channel.send(msgspec.structs.replace(pictured(), text=AlertText("title", "word " * 250)))
        await bot.channel.send(pictured(sample_alert(1)))
        assert [bool(each.picture) for each in bot.server.sent] == [False, True]
        assert [method for method, _ in bot.server.calls] == ["sendMessage", "sendPhoto"]
        assert set(bot.server.sent[1].buttons) == {"Why", "Acknowledge", "Snooze 1 h", "Until tomorrow"}

    with_bot(work)


def test_a_chat_where_nobody_may_send_pictures_gets_the_words_and_the_other_both() -> None:
    async def work(bot: Bot) -> None:
        bot.server.chats.add(GROUP)
        bot.server.wordy.add(GROUP)
        await bot.channel.send(pictured())
        assert [(each.chat, bool(each.picture)) for each in bot.server.sent] == [(ME, True), (GROUP, False)]

    with_bot(work, chats=(ME, GROUP))


@pytest.mark.parametrize("answer", [Reply(status=503), Reply(sending=Sending.CLOSE), flooded(3)])
def test_a_picture_that_may_have_arrived_is_not_followed_by_its_words(answer: Reply) -> None:
    async def work(bot: Bot) -> None:
        bot.server.next("sendPhoto", answer)
        with pytest.raises(Unavailable):
            await bot.channel.send(pictured())
        assert [method for method, _ in bot.server.calls] == ["sendPhoto"]

    with_bot(work)


def test_buttons_stand_under_an_alert_and_under_nothing_else() -> None:
    async def work(bot: Bot) -> None:
        alert = sample_alert()
        await bot.channel.send(sample_message(alert))
        await bot.channel.send(samples.test_message("ops", owner="local", now=1))
        reminder = msgspec.structs.replace(
            sample_message(alert).delivery, id=f"{alert.id}~ops~r1", kind="reminder"
        )
        await bot.channel.send(write([(reminder, alert)], now=alert.at))
        first, second, third = bot.server.sent
        assert third.buttons == first.buttons
        assert list(first.buttons) == ["Why", "Acknowledge", "Snooze 1 h", "Until tomorrow"]
        presses = [read_press(data) for data in first.buttons.values()]
        assert [press and press.action for press in presses] == ["why", "ack", "hour", "day"]
        assert {press.alert for press in presses if press} == {alert.id}
        assert not second.buttons

    with_bot(work)


def test_linked_chats_get_what_the_configured_ones_get_each_once() -> None:
    async def work(bot: Bot) -> None:
        bot.server.chats.add(GROUP)
        receipt = await bot.channel.send(sample_message(sample_alert()))
        assert [message.chat for message in bot.server.sent] == [ME, GROUP]
        assert receipt == "HTTP 200: message 1, 2"

    with_bot(work, linked=(GROUP, ME))


def test_without_a_chat_it_waits_until_one_is_linked() -> None:
    error = failure(chats=())
    assert isinstance(error, Unavailable)
    assert "telegram link" in str(error)


def test_a_chat_that_blocked_the_bot_keeps_no_other_from_being_told() -> None:
    async def work(bot: Bot) -> None:
        bot.server.chats.add(GROUP)
        bot.server.blocked.add(ME)
        receipt = await bot.channel.send(sample_message(sample_alert()))
        assert [message.chat for message in bot.server.sent] == [GROUP]
        assert "blocked" in receipt
        bot.server.blocked.add(GROUP)
        with pytest.raises(Refused, match="blocked"):
            await bot.channel.send(sample_message(sample_alert(1)))

    with_bot(work, linked=(GROUP,))


def test_the_next_attempt_goes_on_with_the_chats_that_lack_it() -> None:
    async def work(bot: Bot) -> None:
        bot.server.chats.add(GROUP)
        message = sample_message(sample_alert())
        taken = {"ok": True, "result": {"message_id": 41, "chat": {"id": ME}}}
        bot.server.next("sendMessage", json_reply(taken), flooded(3))
        with pytest.raises(Unavailable):
            await bot.channel.send(message)
        assert await bot.channel.send(message) == "HTTP 200: message 41, 1"
        assert [sent.chat for sent in bot.server.sent] == [GROUP]

    with_bot(work, linked=(GROUP,))


def test_what_is_written_and_pressed_is_heard_in_order_and_again_until_it_is_confirmed() -> None:
    async def work(bot: Bot) -> None:
        assert isinstance(bot.channel, ChatLine)
        await bot.channel.send(sample_message(sample_alert()))
        await bot.server.write(ME, "/list")
        await bot.server.press(bot.server.sent[0], "Why")
        first = await bot.channel.hear(None)
        assert [(each.chat, each.text) for each in first] == [(ME, "/list"), (ME, f"why:{sample_alert().id}")]
        assert [bool(each.press) for each in first] == [False, True]
        assert await bot.channel.hear(None) == first
        assert await bot.channel.hear(first[0].update) == first[1:]
        await bot.channel.nod(first[1].press, "yes " * 100)
        assert bot.server.nods[0][1].startswith("yes yes")
        with pytest.raises(Refused):
            await bot.channel.nod(first[1].press, "again")

    with_bot(work)


def test_what_is_not_understood_has_its_number_and_no_words() -> None:
    async def work(bot: Bot) -> None:
        strange_ones: tuple[dict[str, Any], ...] = (
            {"my_chat_member": {}},
            {"message": {"chat": {"id": "seven"}}},
            {"message": {"message_id": 1, "chat": {"id": ME}, "photo": []}},
            {"callback_query": {"id": "1", "inline_message_id": "2"}},
        )
        for strange in strange_ones:
            await bot.server.update(strange)
        heard = await bot.channel.hear(None)
        assert heard == [Heard(update=500_000_001 + number) for number in range(4)]
        bot.server.next("getUpdates", json_reply({"ok": True, "result": {"what": 1}}))
        with pytest.raises(Unavailable):
            await bot.channel.hear(None)

    with_bot(work)


def test_of_two_listeners_one_is_told_that_there_is_another() -> None:
    async def work(bot: Bot) -> None:
        first = asyncio.create_task(bot.channel.hear(None))
        await bot.server.listened_to()
        second = asyncio.create_task(bot.channel.hear(None))
        with pytest.raises(Unavailable, match="other getUpdates"):
            await first
        await bot.server.write(ME, "hello")
        assert [each.text for each in await second] == ["hello"]

    with_bot(work)


def test_an_answer_keeps_the_columns_of_what_is_indented() -> None:
    async def work(bot: Bot) -> None:
        await bot.channel.say(ME, "wrong <here>\n    prce > 1\n    ^ column 1\nhint")
        await bot.channel.say(ME, "")
        first, second = bot.server.sent
        assert "<pre>    prce &gt; 1\n    ^ column 1</pre>" in first.raw
        assert "wrong <here>" in first.text
        assert second.text

    with_bot(work)


@pytest.mark.parametrize(
    "more",
    [
        {"token_file": None},
        {"token_variable": "TOKEN"},
        {"server": "api.telegram.org"},
        {"server": "https://api.telegram.org/bot"},
        {"rate": "fast"},
    ],
)
def test_settings_that_make_no_sense_say_so(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("http://127.0.0.1:1", **more)
    assert caught.value.where.startswith("channels.ops")


def test_a_private_address_is_refused_unless_it_is_listed() -> None:
    async def main() -> None:
        async with FakeTelegram() as server:
            strict = msgspec.structs.replace(deps(), outbound=Outbound())
            async with settings(server.origin).open(strict) as channel:
                with pytest.raises(Refused) as caught:
                    await channel.send(sample_message(sample_alert()))
            assert caught.value.reason == "forbidden_address"
            assert not server.calls

    asyncio.run(main())
