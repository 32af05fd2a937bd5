"""What leaves is in the owner's words: from the settings to the channel, on virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.quiet import Kindness
from tests.pipeline.test_notify import Outbox, Recorder, accept, play, running


def test_a_channel_is_given_the_owner_s_words_times_and_link(tmp_path: Path) -> None:
    given: list[Message] = []

    class Hearing(Recorder):
        async def send(self, message: Message) -> str:
            given.append(message)
            return await super().send(message)

    async def story(outbox: Outbox) -> None:
        await outbox.queue()
        policy = ChannelPolicy(title="{coin}", body="{time} {link}")
        kindness = Kindness(time_zone="Europe/Berlin", link="https://watch.example.org")
        async with running(outbox.notifier(Hearing(accept), policy=policy, kindness=kindness)):
            await asyncio.sleep(1)

    play(tmp_path, story)
    (message,) = given
    assert message.text.title == message.alert.pair.split("/")[0]
    assert message.text.body.endswith(f" https://watch.example.org/alerts/{message.alert.id}")
    assert message.text.body.split()[2] in ("CET", "CEST")
