"""ntfy, Discord and Slack, against servers that speak as they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.channels import discord as discord_channel
from cryptowatcher.adapters.channels import slack as slack_channel
from cryptowatcher.adapters.channels.discord import DiscordConfig
from cryptowatcher.adapters.channels.ntfy import NtfyConfig, shortened
from cryptowatcher.adapters.channels.slack import SlackConfig
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import AlertText
from cryptowatcher.errors import ConfigError, Error, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.testing.contracts.channel import (
    PICTURE,
    ChannelContract,
    Gallery,
    Outside,
    PictureContract,
    sample_alert,
    sample_message,
)
from cryptowatcher.testing.push_services import PushService, Rules, discord, ntfy, slack
from cryptowatcher.testing.wire import Reply, Request, Sending, form_of, json_reply

SECRETS = {"topic": "prices", "token": "tk_secret"}


def deps(origin: str, **other: str) -> Deps:
    secrets = SECRETS | {
        "discord": f"{origin}/api/webhooks/1/secret",
        "slack": f"{origin}/services/T/B/secret",
    } | other  # fmt: skip

    def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
        return None if file is None else secrets[file]

    return Deps(clock=SystemClock(), secret=secret, random=Random(1), outbound=Outbound(allow=("127.0.0.0/8",)))


def settings(rules: Rules, origin: str, timeout: str = "30s") -> ChannelSettings:
    if rules is ntfy:
        return NtfyConfig(name="ops", server=origin, topic_file="topic", token_file="token", timeout=timeout)
    if rules is discord:
        return DiscordConfig(name="ops", url_file="discord", timeout=timeout)
    return SlackConfig(name="ops", url_file="slack", timeout=timeout)


class Pushed:
    def __init__(self, channel: Channel, service: PushService) -> None:
        self.channel = channel
        self.service = service

    async def arrived(self) -> list[str]:
        return list(self.service.taken)

    async def break_down(self) -> None:
        self.service.down = True

    async def pictures(self) -> list[bytes]:
        return list(self.service.pictures)

    async def refuse_pictures(self) -> None:
        self.service.no_files = True


@asynccontextmanager
async def pushed(rules: Rules, patience: str = "30s") -> AsyncIterator[Pushed]:
    async with (
        PushService(rules) as service,
        settings(rules, service.origin, patience).open(deps(service.origin)) as channel,
    ):
        yield Pushed(channel, service)


class TestNtfy(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]:
        return pushed(ntfy)


class TestDiscord(PictureContract):
    def outside(self) -> AbstractAsyncContextManager[Gallery]:
        return pushed(discord)


class TestSlack(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]:
        return pushed(slack)


ALL = pytest.mark.parametrize("rules", [ntfy, discord, slack])


def send(
    rules: Rules, *replies: Reply, alert: Alert | None = None, timeout: str = "30s"
) -> tuple[str, list[Request]]:
    async def main() -> tuple[str, list[Request]]:
        async with pushed(rules, timeout) as outside:
            outside.service.next(*replies)
            receipt = await outside.channel.send(sample_message(alert or sample_alert()))
            return receipt, outside.service.requests

    return asyncio.run(main())


@ALL
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Refused, "client_error"),
        (401, Refused, "unauthorized"),
        (403, Refused, "unauthorized"),
        (404, Refused, "not_found"),
        (410, Refused, "gone"),
        (408, Unavailable, "timeout"),
        (429, Unavailable, "rate_limited"),
        (500, Unavailable, "server_error"),
        (503, Unavailable, "server_error"),
        (302, Unavailable, "redirect"),
        (507, Unavailable, "server_error"),
    ],
)
def test_what_an_answer_means(rules: Rules, status: int, kind: type[Error], reason: str) -> None:
    with pytest.raises(kind) as caught:
        send(rules, json_reply({}, status=status))
    assert getattr(caught.value, "reason", None) == reason


@ALL
@pytest.mark.parametrize(
    "sending", [Sending.CLOSE, Sending.RESET, Sending.CUT_HEAD, Sending.CUT_BODY, Sending.HANG]
)
def test_half_an_answer_is_none(rules: Rules, sending: Sending) -> None:
    with pytest.raises(Unavailable) as caught:
        send(rules, Reply(body=b"ok" * 50, sending=sending), timeout="1s")
    assert caught.value.reason in {"cut", "timeout", "protocol"}


@ALL
def test_it_waits_as_long_as_it_is_asked_to(rules: Rules) -> None:
    with pytest.raises(Unavailable) as caught:
        send(rules, Reply(status=429, headers=(("Retry-After", "7"),)))
    assert caught.value.retry_after == 7


def test_discord_says_in_its_body_how_long() -> None:
    with pytest.raises(Unavailable) as caught:
        send(discord, json_reply({"message": "You are being rate limited.", "retry_after": 0.64}, status=429))
    assert caught.value.retry_after == 0.64


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"retry_after": "soon"}', b'{"retry_after": -3}', b"[1]"])
def test_a_limit_without_a_sensible_wait_is_a_limit(body: bytes) -> None:
    with pytest.raises(Unavailable) as caught:
        send(discord, Reply(status=429, body=body))
    assert not caught.value.retry_after


@ALL
def test_no_secret_is_told(rules: Rules) -> None:
    for reply in (json_reply({}, status=403), Reply(sending=Sending.CLOSE), Reply(sending=Sending.RAW, body=b"x")):
        with pytest.raises(Error) as caught:
            send(rules, reply)
        said = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        assert "secret" not in said
        assert "prices" not in said


def test_slack_s_word_for_what_is_wrong_is_passed_on() -> None:
    with pytest.raises(Refused, match="HTTP 403: action_prohibited"):
        send(slack, Reply(status=403, body=b"action_prohibited"))
    with pytest.raises(Refused) as caught:
        send(slack, Reply(status=403, body=b"<script>alert(1)</script>"))
    assert "script" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_no_that_is_not_about_the_picture_is_asked_for_once(status: int) -> None:
    async def main() -> int:
        async with pushed(discord) as outside:
            outside.service.next(Reply(status=status), Reply(status=status))
            with pytest.raises(Refused):
                await outside.channel.send(
                    msgspec.structs.replace(sample_message(sample_alert()), picture=PICTURE)
                )
            return len(outside.service.requests)

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("answer", [Reply(status=503), Reply(sending=Sending.CLOSE), Reply(status=429)])
def test_a_picture_that_may_have_arrived_is_not_followed_by_its_words(answer: Reply) -> None:
    async def main() -> list[Request]:
        async with pushed(discord) as outside:
            outside.service.next(answer)
            with pytest.raises(Unavailable):
                await outside.channel.send(
                    msgspec.structs.replace(sample_message(sample_alert()), picture=PICTURE)
                )
            return outside.service.requests

    (request,) = asyncio.run(main())
    assert request.query == {"wait": "true"}
    assert set(form_of(request)) == {"payload_json", "files[0]"}


def test_nobody_is_mentioned_and_nothing_is_markup() -> None:
    alert = sample_alert(rule_name="@everyone <!channel> **bold** [link](http://evil) `code`")
    _, [to_discord] = send(discord, alert=alert)
    body = msgspec.json.decode(to_discord.body)
    assert body["allowed_mentions"] == {"parse": []}
    assert "\\@everyone" in body["embeds"][0]["title"]
    assert "](http" not in body["embeds"][0]["title"]
    _, [to_slack] = send(slack, alert=alert)
    assert b"<!channel>" not in to_slack.body


def test_the_same_message_has_the_same_sequence_for_ntfy_and_another_has_another() -> None:
    def sequence(alert: Alert) -> str:
        _, [request] = send(ntfy, alert=alert)
        return str(msgspec.json.decode(request.body)["sequence_id"])

    assert sequence(sample_alert(1)) == sequence(sample_alert(1)) != sequence(sample_alert(2))


@given(title=st.text(min_size=1, max_size=600), body=st.text(max_size=6_000))
def test_no_text_is_too_long_or_broken(title: str, body: str) -> None:
    message = msgspec.structs.replace(sample_message(sample_alert()), text=AlertText(title, body))
    posted = discord_channel.post(message).embeds[0]
    assert len(posted.title) <= 256
    assert len(posted.description) <= 4_096
    header, section, _ = slack_channel.post(message).blocks
    assert header.text is not None
    assert section.text is not None
    assert len(header.text.text) <= 150
    assert len(shortened(body, 4_000).encode(errors="replace")) <= 4_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: NtfyConfig(name="ops"),
        lambda: NtfyConfig(name="ops", topic_file="a", topic_variable="b"),
        lambda: NtfyConfig(name="ops", topic_file="a", server="https://ntfy.sh/topic"),
        lambda: NtfyConfig(name="ops", topic_file="a", server="ntfy.sh"),
        lambda: NtfyConfig(name="ops", topic_file="a", token_file="b", token_variable="c"),
        lambda: DiscordConfig(name="ops"),
        lambda: SlackConfig(name="ops", url_file="a", url_variable="b"),
        lambda: SlackConfig(name="o p s", url_file="a"),
        lambda: SlackConfig(name="ops", url_file="a", rate="fast"),
        lambda: SlackConfig(name="ops", url_file="a", fallback="ops"),
    ],
)
def test_settings_that_make_no_sense_say_so(make: Callable[[], ChannelSettings]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.where.startswith("channels.")


@pytest.mark.parametrize(
    ("config", "secret"),
    [
        (NtfyConfig(name="ops", topic_file="topic"), {"topic": "no topic"}),
        (NtfyConfig(name="ops", topic_file="topic", token_file="token"), {"token": "two words"}),
        (DiscordConfig(name="ops", url_file="discord"), {"discord": "https://discord.com/channels/1"}),
        (SlackConfig(name="ops", url_file="slack"), {"slack": "hooks.slack.com/services"}),
    ],
)
def test_a_secret_that_is_none_is_not_quoted(config: ChannelSettings, secret: dict[str, str]) -> None:
    async def main() -> None:
        async with config.open(deps("http://127.0.0.1:1", **secret)):
            pass

    with pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    assert next(iter(secret.values())) not in str(caught.value)


def test_a_private_address_is_refused_unless_it_is_listed() -> None:
    async def main() -> Message:
        async with PushService(slack) as service:
            strict = msgspec.structs.replace(deps(service.origin), outbound=Outbound())
            async with settings(slack, service.origin).open(strict) as channel:
                with pytest.raises(Refused) as caught:
                    await channel.send(sample_message(sample_alert()))
            assert caught.value.reason == "forbidden_address"
            assert not service.requests
        return sample_message(sample_alert())

    asyncio.run(main())
