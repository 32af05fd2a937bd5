"""Channels that people add while the program runs: checked, tried, and opened by what is stored of them alone."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from cryptowatcher.config import Config
from cryptowatcher.config.kinds import Kinds
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.reaching import Setting, StoredChannel
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.ports.pictures import Draw
from cryptowatcher.trying import Tried, try_channel


def setting_of(config: Config, kinds: Kinds) -> Setting:
    """What a configuration says of reaching people."""
    names = tuple(channel.name for channel in config.channels)
    return Setting(channels=names, wishes=config.owner.wishes(), needs=kinds.needs)


async def check_stored(kinds: Kinds, deps: Deps, channel: StoredChannel) -> ChannelSettings:
    """What it is opened by, after it was once: only that tells whether its secrets can be any. ConfigError with
    `where` = `kind`, `settings.x` or `secrets.x`."""
    settings = kinds.settings(channel)
    try:
        async with settings.open(kinds.deps(deps, channel)):
            return settings
    except ConfigError as error:
        raise kinds.placed(error, channel.kind) from None


async def try_stored(kinds: Kinds, deps: Deps, draw: Draw, channel: StoredChannel) -> Tried:
    """One message through it, now. ConfigError as above."""
    try:
        settings = kinds.settings(channel)
        return await try_channel(settings, kinds.deps(deps, channel), owner=channel.owner, draw=draw)
    except ConfigError as error:
        raise kinds.placed(error, channel.kind) from None


class Opening:
    """Makes channels of what is stored. Keeps pipeline's `Opener`."""

    def __init__(self, kinds: Kinds, deps: Deps) -> None:
        self._kinds = kinds
        self._deps = deps

    def policy(self, channel: StoredChannel) -> ChannelPolicy:
        return self._kinds.settings(channel).policy()

    def open(self, channel: StoredChannel) -> AbstractAsyncContextManager[Channel]:
        return self._kinds.settings(channel).open(self._kinds.deps(self._deps, channel))
