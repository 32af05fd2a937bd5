"""The way to the page and the owner's clock, as each channel shows them."""

from __future__ import annotations

import asyncio
import io
from email.message import EmailMessage
from html import unescape
from random import Random

import msgspec
import pytest

from cryptowatcher.adapters.channels import discord, ntfy, slack, telegram, webhook
from cryptowatcher.adapters.channels.console import ConsoleConfig
from cryptowatcher.adapters.channels.email import as_mail
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.messages import Message, wording_of, write
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.ports import Deps
from cryptowatcher.testing.contracts.channel import sample_alert, sample_delivery

ALERT = sample_alert(rule_name="<b>@everyone</b> [x](https://evil.example) {price}")
ADDRESS = f"https://watch.example.org/alerts/{ALERT.id}"
HERE = Kindness(time_zone="Europe/Berlin", link="https://watch.example.org")
USUAL = ChannelPolicy()


def message(policy: ChannelPolicy = USUAL, kindness: Kindness = HERE) -> Message:
    rows = [(sample_delivery(ALERT), ALERT)]
    return write(rows, now=ALERT.at + 1_000, wording=wording_of(policy, kindness))


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body(preferencelist=(kind,))
    assert body is not None
    content = body.get_content()
    assert isinstance(content, str)
    return content


def printed(said: Message) -> str:
    def no_secret(*, file: str | None, variable: str | None, where: str) -> str | None:
        raise AssertionError(where)

    async def main() -> str:
        stream = io.StringIO()
        deps = Deps(clock=SystemClock(), secret=no_secret, random=Random(1))
        async with ConsoleConfig().open(deps, stream) as channel:
            await channel.send(said)
        return stream.getvalue()

    return asyncio.run(main())


def heard(name: str) -> str:
    """What the other side gets of the message through a channel of that kind."""
    said, place = message(), {"sender": "a@example.org", "to": "b@example.org"}
    match name:
        case "console":
            return printed(said)
        case "discord":
            return msgspec.json.encode(discord.post(said)).decode().replace("\\\\", "")
        case "slack":
            return msgspec.json.encode(slack.post(said)).decode().replace("&lt;", "<").replace("&gt;", ">")
        case "ntfy":
            return msgspec.json.encode(ntfy.notification(said, "topic", "default")).decode()
        case "telegram":
            return unescape(telegram.written(said))
        case "webhook":
            return webhook.encode(said).decode()
    mail = as_mail(said, **place)
    return f"{mail['Subject']}\n{unescape(part(mail, name))}"


@pytest.mark.parametrize("name", ["console", "discord", "slack", "ntfy", "telegram", "webhook", "plain", "html"])
def test_every_channel_says_all_that_there_is_to_say(name: str) -> None:
    said = heard(name)
    for words in (
        "bitcoin/usd",
        "Price 50,123.5 usd.",
        "-5.23%",
        "Advice: buy.",
        "change(5m) <= -5%: now -5.23%, before -4.1%.",
        "Observed 2024-08-05 08:15:00 CEST by coingecko.",
        ADDRESS,
    ):
        assert words in said, f"{name} does not say {words!r}: {said}"


def test_discord_s_title_is_the_link() -> None:
    (embed,) = discord.post(message()).embeds
    assert embed.url == ADDRESS
    (here,) = discord.post(message(kindness=Kindness(link="http://localhost:8000"))).embeds
    assert here.url == ""
    assert "localhost" in here.description
    assert b'"url"' not in msgspec.json.encode(discord.post(message(kindness=Kindness())))


def test_slack_s_id_is_the_link() -> None:
    (origin,) = slack.post(message()).blocks[-1].elements
    assert origin.text.startswith(f"<{ADDRESS}|")
    assert origin.text.endswith(">")
    (without,) = slack.post(message(kindness=Kindness())).blocks[-1].elements
    assert "<" not in without.text


def test_a_tap_on_ntfy_s_notification_leads_there() -> None:
    assert ntfy.notification(message(), "topic", "default").click == ADDRESS
    without = ntfy.notification(message(kindness=Kindness()), "topic", "default")
    assert b'"click"' not in msgspec.json.encode(without)


def test_a_mail_has_one_link_and_no_other() -> None:
    html = part(as_mail(message(), sender="a@example.org", to="b@example.org"), "html")
    assert html.count("<a ") == 1
    assert f'<a href="{ADDRESS}">{ADDRESS}</a>' in html
    assert "<b>" not in html
    without = as_mail(message(kindness=Kindness()), sender="a@example.org", to="b@example.org")
    assert "<a " not in part(without, "html")


def test_all_of_them_have_the_address_in_their_words() -> None:
    said = message()
    mail = part(as_mail(said, sender="a@example.org", to="b@example.org"), "plain")
    for shown in (printed(said), webhook.encode(said).decode(), mail):
        assert ADDRESS in shown


def test_the_console_s_own_time_is_of_the_owner_s_clock() -> None:
    assert printed(message()).startswith("2024-08-05 08:15:01 CEST  ")
    assert printed(message(kindness=Kindness())).startswith("2024-08-05 06:15:01 UTC  ")


def test_an_owner_s_words_are_text_for_every_channel() -> None:
    said = message(ChannelPolicy(title="<i>{rule}</i>", body="**{coin}** <@1> {{x}} {rule}\n{price}"))
    (embed,) = discord.post(said).embeds
    assert embed.description.startswith("\\*\\*bitcoin\\*\\* \\<\\@1\\>")
    assert "<i>" not in slack.post(said).text
    assert slack.post(said).text.startswith("&lt;i&gt;")
    html = part(as_mail(said, sender="a@example.org", to="b@example.org"), "html")
    assert "&lt;@1&gt; {x} &lt;b&gt;" in html
    assert "{price}" in html  # of the rule's name
    assert "50,123.5" in html
    assert ntfy.notification(said, "topic", "default").title == f"<i>{ALERT.rule_name}</i>"
