"""Signed requests to a real server on loopback that answers whatever the test says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
import structlog

from cryptowatcher.adapters.channels.webhook import SETTINGS, WebhookConfig, encode, headers, signing_key
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.expiry import expiry_notice
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.errors import ConfigError, Error, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.testing.contracts.channel import (
    OBSERVED,
    ChannelContract,
    Outside,
    sample_alert,
    sample_delivery,
    sample_message,
)
from tests.adapters.loopback import Behaviour, Loopback, Request, answering, serving

HERE = Outbound(allow=("127.0.0.0/8",))

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NOW = OBSERVED + 1_999


class StoppedClock:
    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def secret_is(text: str | None) -> Deps:
    def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
        return text

    return Deps(clock=StoppedClock(), secret=secret, random=Random(1), outbound=HERE)


def status(code: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    """An ordinary answer without a body."""
    return answering(code, b"", headers)


def only(sent: bytes) -> Behaviour:
    """These bytes, then the connection ends."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        raise ConnectionAbortedError

    return behave


async def silence(request: Request, writer: asyncio.StreamWriter) -> None:
    """Takes the request and never answers."""
    await asyncio.Event().wait()


class Hooked:
    """A webhook and its receiver, for the contract."""

    def __init__(self) -> None:
        self.channel: Channel
        self.receiver: Loopback
        self.behave = status(200)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await self.behave(request, writer)

    async def arrived(self) -> list[str]:
        messages = [msgspec.json.decode(request.body)["data"] for request in self.receiver.requests]
        return [f"{message['title']}\n{message['text']}" for message in messages]

    async def break_down(self) -> None:
        self.behave = only(b"")


class TestWebhook(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]:
        return hooked()


@asynccontextmanager
async def hooked() -> AsyncIterator[Outside]:
    outside = Hooked()
    async with serving(outside.answer) as outside.receiver, opened(outside.receiver) as outside.channel:
        yield outside


@asynccontextmanager
async def opened(
    receiver: Loopback, *, secret: str | None = SECRET, patience: str = "10s"
) -> AsyncIterator[Channel]:
    config = WebhookConfig(name="ops", url=f"{receiver.url}/hook", secret_file="hook.key", timeout=patience)
    async with config.open(secret_is(secret)) as channel:
        yield channel


def one_send(
    answer: Behaviour, *, secret: str | None = SECRET, patience: str = "10s", alert: Alert | None = None
) -> tuple[str, list[Request]]:
    """Opens, sends once, closes: the receipt and what arrived. Raises what send raises."""
    alert = sample_alert() if alert is None else alert

    async def main() -> tuple[str, list[Request]]:
        async with serving(answer) as receiver, opened(receiver, secret=secret, patience=patience) as channel:
            return await channel.send(sample_message(alert)), receiver.requests

    return asyncio.run(main())


def test_the_request_is_what_standard_webhooks_says() -> None:
    receipt, [request] = one_send(status(200))
    assert receipt == "HTTP 200"
    assert (request.method, request.target) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == sample_delivery(sample_alert()).id
    assert request.headers["webhook-timestamp"] == str(NOW // 1000)
    body = msgspec.json.decode(request.body)
    assert list(body) == ["type", "timestamp", "data"]
    assert (body["type"], body["timestamp"]) == ("alert", "2024-08-05T06:15:00Z")


def test_the_body_carries_every_field_of_the_alert_and_its_words() -> None:
    _, [request] = one_send(status(200))
    data = msgspec.json.decode(request.body)["data"]
    words = {"title": data.pop("title"), "text": data.pop("text")}
    assert msgspec.convert(data, Alert) == sample_alert()
    assert words["title"] == "Buy: bitcoin/usd -5.23% (btc drops)"
    assert "Observed 2024-08-05 06:15:00 UTC by coingecko." in words["text"]


@pytest.mark.parametrize(
    ("secret", "key"), [(SECRET, KEY), (SECRET + "\n", KEY), ("just some words", b"just some words")]
)
def test_a_receiver_can_verify_the_signature_with_nothing_but_the_secret(secret: str, key: bytes) -> None:
    _, [request] = one_send(status(200), secret=secret)
    version, _, signature = request.headers["webhook-signature"].partition(",")
    signed = b".".join(
        (request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode(), request.body)
    )
    assert version == "v1"
    assert base64.b64decode(signature) == hmac.digest(key, signed, hashlib.sha256)


def test_the_signature_is_the_one_that_openssl_computes() -> None:
    # printf '%s' 'msg_1.1674087231.{"a":1}' | openssl dgst -sha256 -hmac 'key' -binary | base64
    signed = headers("msg_1", 1674087231, b'{"a":1}', b"key")
    assert signed["webhook-signature"] == "v1,XNzK7a+XYmaTBAlyAslUpkDvvQc4BSPA1wsy/Jp1ODg="


def test_without_a_secret_it_is_sent_unsigned_and_that_is_said_once() -> None:
    with structlog.testing.capture_logs() as logs:
        _, [request] = one_send(status(200), secret=None)
    assert "webhook-signature" not in request.headers
    assert "webhook-id" in request.headers
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_a_retry_has_the_same_id_and_body_and_its_own_time_and_signature() -> None:
    async def main() -> list[Request]:
        async with serving(status(200)) as receiver:
            for later in (0, 5_000):
                deps = msgspec.structs.replace(secret_is(SECRET), clock=LaterClock(later))
                async with WebhookConfig(name="ops", url=receiver.url).open(deps) as channel:
                    await channel.send(sample_message(sample_alert()))
            return receiver.requests

    first, second = asyncio.run(main())
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    times = [int(request.headers["webhook-timestamp"]) for request in (first, second)]
    assert times[1] - times[0] == 5
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


class LaterClock(StoppedClock):
    def __init__(self, later: int) -> None:
        self.later = later

    def now(self) -> int:
        return NOW + self.later


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_is_accepted(code: int) -> None:
    receipt, _ = one_send(status(code))
    assert receipt == f"HTTP {code}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, "client_error"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "not_found"),
        (405, "client_error"),
        (410, "gone"),
        (413, "client_error"),
        (422, "client_error"),
        (451, "client_error"),
    ],
)
def test_a_4xx_that_would_be_the_same_again_is_refused(code: int, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        one_send(status(code))
    assert caught.value.reason == reason
    assert str(code) in str(caught.value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (301, "redirect"),
        (302, "redirect"),
        (304, "redirect"),
        (308, "redirect"),
        (408, "timeout"),
        (409, "conflict"),
        (425, "too_early"),
        (429, "rate_limited"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "server_error"),
        (504, "server_error"),
        (599, "server_error"),
    ],
)
def test_what_may_be_otherwise_later_is_unavailable(code: int, reason: str) -> None:
    with pytest.raises(Unavailable) as caught:
        one_send(status(code, {"location": "http://127.0.0.1:9/other"}))
    assert caught.value.reason == reason
    assert caught.value.retry_after is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"Retry-After": "0"}, 0.0),
        ({"retry-after": "Mon, 05 Aug 2024 06:16:01 GMT", "date": "Mon, 05 Aug 2024 06:15:01 GMT"}, 60.0),
        ({"retry-after": "Mon, 05 Aug 2024 06:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_passed_on_in_every_form(code: int, headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(Unavailable) as caught:
        one_send(status(code, headers))
    assert caught.value.retry_after == seconds


def test_a_receiver_that_never_answers_is_unavailable_after_the_timeout() -> None:
    with pytest.raises(Unavailable) as caught:
        one_send(silence, patience="50ms")
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "cut"),
        (b"220 mail.example.org ESMTP\r\n\r\n", "protocol"),
    ],
)
def test_half_an_answer_is_no_answer(sent: bytes, reason: str) -> None:
    with pytest.raises(Unavailable) as caught:
        one_send(only(sent))
    assert caught.value.reason == reason


def test_an_answer_without_end_is_cut_off() -> None:
    with pytest.raises(Unavailable) as caught:
        one_send(answering(200, b"x" * 1_000_001))
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    "answer", [status(200), status(400), status(500), status(302), only(b""), only(b"nonsense\r\n\r\n"), silence]
)
def test_neither_secret_nor_path_nor_query_stands_in_errors_receipts_or_logs(answer: Behaviour) -> None:
    hidden = ("token=abc123", "s3cr3t-path", "pass-word", SECRET, SECRET[6:], KEY.decode("latin-1"))

    async def main() -> str:
        async with serving(answer) as receiver:
            url = receiver.url.replace("://", "://user:pass-word@") + "/s3cr3t-path?token=abc123"
            config = WebhookConfig(name="ops", url=url, secret_variable="HOOK", timeout="50ms")
            async with config.open(secret_is(SECRET)) as channel:
                try:
                    said = await channel.send(sample_message(sample_alert()))
                except Error as error:
                    said = f"{error} {error!r} {error.__cause__} {error.__cause__!r}"
            return f"{said} {config!r} {channel!r}"

    with structlog.testing.capture_logs() as logs:
        said = asyncio.run(main())
    assert not any(word in f"{said} {logs}" for word in hidden)


@pytest.mark.parametrize("secret", ["", "  \n", "whsec_", "whsec_not base64!", "whsec_abc", "whsec_ü"])
def test_a_secret_that_cannot_be_used_is_the_owners_to_correct_and_is_not_quoted(secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        signing_key(secret, where="channels.ops")
    assert caught.value.where == "channels.ops"
    assert caught.value.__cause__ is None
    if secret.strip() not in ("", "whsec_"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"url": "ftp://example.org/s3cret"}, "channels.ops.url"),
        ({"url": "example.org/s3cret"}, "channels.ops.url"),
        ({"url": "https://"}, "channels.ops.url"),
        ({"url": "https://example.org:s3cret/"}, "channels.ops.url"),
        ({"url": "https://[::1/s3cret"}, "channels.ops.url"),
        ({"timeout": "s3cret"}, "channels.ops.timeout"),
        ({"give_up_after": "0s"}, "channels.ops.give_up_after"),
        ({"secret_file": "a", "secret_variable": "b"}, "channels.ops"),
    ],
)
def test_wrong_settings_say_where(wrong: dict[str, Any], where: str) -> None:
    settings = {"kind": "webhook", "name": "ops", "url": "https://example.org/hook"} | wrong
    with pytest.raises(ConfigError) as caught:
        msgspec.convert(settings, SETTINGS)
    assert caught.value.where == where
    if "url" in wrong:
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ö", "a\r\nx: y", "x" * 65])
def test_a_name_that_could_not_stand_in_a_header_is_not_one(name: str) -> None:
    with pytest.raises(ConfigError):
        WebhookConfig(name=name, url="https://example.org/hook")


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="secrt_file"):
        msgspec.convert({"kind": "webhook", "name": "ops", "url": "https://e.org", "secrt_file": "x"}, SETTINGS)


def test_the_policy_follows_the_settings() -> None:
    policy = WebhookConfig(name="ops", url="https://e.org", timeout="3s", give_up_after="2h").policy()
    assert policy.retry.give_up_after == 2 * 3_600_000
    assert policy.deadline > 3.0


def test_the_end_of_a_rule_is_not_sent_as_an_alert() -> None:
    spec = RuleSpec(name="btc drops", pairs=("all",), when="price > 1", expires="2027-01-31")
    notice = expiry_notice(Rule(id="r1", owner="local", version=1, spec=spec), now=1_801_267_200_000)
    body = msgspec.json.decode(encode(sample_message(notice)))
    assert (body["type"], body["timestamp"]) == ("expiry", "2027-01-30T00:00:00Z")
    assert (body["data"]["kind"], body["data"]["title"]) == ("expiring", 'Rule "btc drops" ends soon')
