"""Trying a channel: one message through it now, beside the outbox, and exactly what the other side answered."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from cryptowatcher.domain.samples import sample_picture, test_message
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.ports import Deps
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.ports.pictures import Draw


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """outcome: `sent`, `unavailable` (it may work later) or `refused` (it will not, as it is set)
    reason:  a stable word, empty when it was sent
    answer:  what the other side said
    seconds: how long that took
    """

    channel: str
    outcome: Literal["sent", "unavailable", "refused"]
    reason: str
    answer: str
    seconds: float


async def try_channel(settings: ChannelSettings, deps: Deps, *, owner: str, draw: Draw) -> Tried:
    """With a picture where its messages have one. ConfigError when it cannot be opened as it is set.

    draw: who draws it
    """
    began = deps.clock.monotonic()

    def tried(outcome: Literal["sent", "unavailable", "refused"], answer: str, reason: str = "") -> Tried:
        seconds = deps.clock.monotonic() - began
        return Tried(channel=settings.name, outcome=outcome, reason=reason, answer=answer, seconds=seconds)

    async with settings.open(deps) as channel:
        message = test_message(settings.name, owner=owner, now=deps.clock.now())
        policy = settings.policy()
        sample = sample_picture(message.alert) if policy.picture else None
        if sample:
            message = msgspec.structs.replace(message, picture=await draw(sample))
        try:
            async with asyncio.timeout(policy.deadline):
                return tried("sent", await channel.send(message))
        except Unavailable as error:
            return tried("unavailable", str(error), error.reason)
        except Refused as error:
            return tried("refused", str(error), error.reason)
        except TimeoutError:
            return tried("unavailable", f"no answer within {policy.deadline:g} s", "timeout")
