"""Web push: against a push service that checks who sends, and reads as the browser would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.channels.webpush import Shown, WebPushConfig, fitting, kept_for, shown
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.pushing import MOST, Reader, from_text, new_push_key, private_key
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import AlertText
from cryptowatcher.errors import ConfigError, Error, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.ports.keys import PushKey
from cryptowatcher.testing.contracts.channel import ChannelContract, Outside, sample_alert, sample_message
from cryptowatcher.testing.fake_push import FakeBrowser, FakePush, decrypted
from cryptowatcher.testing.wire import Reply, Request, Sending, json_reply

KEY = new_push_key()


def settings(timeout: str = "30s") -> WebPushConfig:
    return WebPushConfig(
        name="ops",
        endpoint_variable="endpoint",
        p256dh_variable="p256dh",
        auth_variable="auth",
        timeout=timeout,
    )


def deps(secrets: dict[str, str], key: PushKey = KEY) -> Deps:
    def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
        return secrets.get(variable or "")

    async def push_key() -> PushKey:
        return key

    here = Outbound(allow=("127.0.0.0/8",))
    return Deps(clock=SystemClock(), secret=secret, random=Random(1), outbound=here, push_key=push_key)


def subscription(browser: FakeBrowser) -> dict[str, str]:
    return {"endpoint": browser.endpoint, "p256dh": browser.p256dh, "auth": browser.auth}


class Pushed:
    def __init__(self, channel: Channel, service: FakePush, browser: FakeBrowser) -> None:
        self.channel = channel
        self.service = service
        self.browser = browser

    async def arrived(self) -> list[str]:
        told = [msgspec.json.decode(each, type=Shown) for each in self.browser.read]
        return [f"{each.title}\n{each.body}" for each in told]

    async def break_down(self) -> None:
        self.service.down = True


@asynccontextmanager
async def pushed(patience: str = "30s", key: PushKey = KEY) -> AsyncIterator[Pushed]:
    async with FakePush() as service:
        browser = service.subscribe(KEY.public)
        async with settings(patience).open(deps(subscription(browser), key)) as channel:
            yield Pushed(channel, service, browser)


class TestWebPush(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]:
        return pushed()


def send(*replies: Reply, timeout: str = "30s", key: PushKey = KEY) -> Request:
    """What was asked."""

    async def main() -> Request:
        async with pushed(timeout, key) as outside:
            outside.service.next(*replies)
            await outside.channel.send(sample_message(sample_alert()))
            return outside.service.requests[-1]

    return asyncio.run(main())


def test_the_published_example_is_encrypted_to_the_bit_and_read_again() -> None:
    """RFC 8291, section 5 and appendix A."""
    browser = private_key(from_text("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
    p256dh = from_text("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
    auth = from_text("BTBZMqHH6r4Tts7J_aSIgg")
    body = from_text(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK"
        "6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    words = b"When I grow up, I want to be a watermelon"
    salt = from_text("DGv6ra1nlYgDCS1FRnbzlw")
    once = private_key(from_text("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
    assert Reader(p256dh, auth).encrypted(words, salt=salt, once=once) == body
    assert decrypted(body, browser, auth) == words


def test_the_longest_message_fills_what_push_services_take() -> None:
    reader = Reader(from_text(FakeBrowser("", "").p256dh), bytes(16))
    assert len(reader.encrypted(bytes(MOST))) == 4_096


def test_the_same_words_never_look_the_same() -> None:
    reader = Reader(from_text(FakeBrowser("", "").p256dh), bytes(16))
    first, second = reader.encrypted(b"words"), reader.encrypted(b"words")
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Refused, "client_error"),
        (403, Refused, "unauthorized"),
        (404, Refused, "not_found"),
        (410, Refused, "gone"),
        (413, Refused, "client_error"),
        (429, Unavailable, "rate_limited"),
        (500, Unavailable, "server_error"),
        (302, Unavailable, "redirect"),
    ],
)
def test_what_an_answer_means(status: int, kind: type[Error], reason: str) -> None:
    with pytest.raises(kind) as caught:
        send(json_reply({}, status=status))
    assert getattr(caught.value, "reason", None) == reason


def test_a_push_service_that_is_asked_too_much_says_for_how_long() -> None:
    with pytest.raises(Unavailable) as caught:
        send(json_reply({}, status=429, headers=(("Retry-After", "77"),)))
    assert caught.value.retry_after == 77


@pytest.mark.parametrize("sending", [Sending.CLOSE, Sending.RESET, Sending.CUT_HEAD, Sending.HANG])
def test_half_an_answer_is_none(sending: Sending) -> None:
    with pytest.raises(Unavailable):
        send(Reply(body=b"ok", sending=sending), timeout="1s")


def test_a_browser_that_is_gone_is_said_with_what_to_do() -> None:
    async def main() -> None:
        async with pushed() as outside:
            outside.service.leave(outside.browser)
            await outside.channel.send(sample_message(sample_alert()))

    with pytest.raises(Refused, match=r"no longer takes messages \(HTTP 410\): .*press Enable again"):
        asyncio.run(main())


def test_a_browser_that_subscribed_with_another_key_is_said_with_what_to_do() -> None:
    with pytest.raises(Refused, match=r"by another key .*press Enable again"):
        send(key=new_push_key())


def test_a_word_of_who_sends_that_was_changed_is_not_believed() -> None:
    """That the fake is as strict as a real one: the signature is looked at, not only there."""
    other = new_push_key()
    with pytest.raises(Refused, match="by another key"):
        send(key=PushKey(private=other.private, public=KEY.public))


def test_what_is_told_again_takes_the_place_of_the_first() -> None:
    async def main() -> None:
        async with pushed() as outside:
            for number in (0, 0, 1):
                await outside.channel.send(sample_message(sample_alert(number)))
            assert len(outside.browser.read) == 3
            assert len(outside.browser.waiting) == 2

    asyncio.run(main())


def test_a_message_waits_for_a_browser_no_longer_than_it_is_worth_telling() -> None:
    message = sample_message(sample_alert())
    assert kept_for(message, "1h") == 3_599, "it is a second old"
    assert kept_for(message, "1s") == 0
    assert kept_for(message, "365d") == 28 * 86_400
    assert send().headers["ttl"] == str(24 * 3600 - 1)


def test_a_tap_leads_to_the_alert_or_to_all_of_them() -> None:
    alert = sample_alert()
    message = sample_message(alert)
    assert shown(message).path == f"/alerts/{alert.id}"
    several = msgspec.structs.replace(message, alerts=(alert, sample_alert(1)), kind="bundle")
    assert shown(several).path == "/alerts"
    assert shown(msgspec.structs.replace(message, kind="test")).path == "/channels"


@given(title=st.text(max_size=300), body=st.text(max_size=6_000))
def test_what_is_too_long_is_cut_to_what_push_services_take(title: str, body: str) -> None:
    told = shown(_saying(title, body))
    data = fitting(told, MOST)
    assert len(data) <= MOST
    read = msgspec.json.decode(data, type=Shown)
    assert read == told or read.body.endswith("…")


def test_the_longest_message_is_taken() -> None:
    async def main() -> None:
        async with pushed() as outside:
            await outside.channel.send(_saying("t" * 300, "ü" * 9_000))
            (request,) = outside.service.requests
            assert 4_000 < len(request.body) <= 4_096

    asyncio.run(main())


def _saying(title: str, body: str) -> Message:
    return msgspec.structs.replace(sample_message(sample_alert()), text=AlertText(title, body))


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "push.example"},
        {"p256dh": "AAAA"},
        {"p256dh": "not base64!"},
        {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAjw4"
        },  # not a point
        {"auth": "AAAA"},
        {"auth": ""},
    ],
)
def test_what_is_no_subscription_is_said_before_anything_is_sent(wrong: dict[str, str]) -> None:
    async def main() -> None:
        async with FakePush() as service:
            right = subscription(service.subscribe(KEY.public))
            async with settings().open(deps(right | wrong)):
                pass

    with pytest.raises(ConfigError, match="subscription"):
        asyncio.run(main())


def test_a_private_address_is_not_asked() -> None:
    async def main() -> None:
        async with FakePush() as service:
            secrets = subscription(service.subscribe(KEY.public))
            guarded = msgspec.structs.replace(deps(secrets), outbound=Outbound())
            async with settings().open(guarded) as channel:
                with pytest.raises(Refused) as caught:
                    await channel.send(sample_message(sample_alert()))
            assert caught.value.reason == "forbidden_address"
            assert not service.requests

    asyncio.run(main())


def test_whom_to_turn_to_is_an_address() -> None:
    with pytest.raises(ConfigError, match="nobody to turn to"):
        msgspec.structs.replace(settings(), contact="me")
