"""Takes up what people change of their channels and preferences, while everything goes on.

Once a second it asks for the number of the last change. When there was one, channels that are new or changed are
opened and handed to the notifier, and those that are gone are taken from it. A channel is held open by a task of
its own until the last send that uses it has ended: what is in flight goes on as it was. Nothing of this is written
down: after a crash the store says what there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, Protocol

import msgspec
import structlog

from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.reaching import Reach, Setting, StoredChannel
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Store, Tx

LOOK_EVERY: Final = 1.0
"""Seconds."""

OPENED_AT_ONCE: Final = 4
"""Opening one takes some milliseconds: with a thousand of them others must come to it in between."""

OPEN_AGAIN: Final = 5.0
"""Seconds until a channel is opened again that something away was needed for."""

log = structlog.get_logger()


class Directory:
    """Who is reached where, as of the transaction that asks."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.newest = Reach(setting=setting, number=-1)
        """As it was seen last."""

    def at(self, tx: Tx) -> Reach:
        if tx.reach_number() != self.newest.number:
            self.newest = tx.reach(self._setting)
        return self.newest


class Opener(Protocol):
    """Makes channels of what is stored."""

    def policy(self, channel: StoredChannel) -> ChannelPolicy:
        """ConfigError when its settings cannot be (any more)."""
        ...

    def open(self, channel: StoredChannel) -> AbstractAsyncContextManager[Channel]:
        """ConfigError when it cannot be opened."""
        ...


class Lanes(Protocol):
    """Who sends."""

    def put_lane(self, address: str, channel: Channel, policy: ChannelPolicy, unused: Callable[[], None]) -> None:
        """From now on this is what stands at that address. `unused`: called when nothing is in flight through it
        any more, and nothing more will be."""
        ...

    def drop_lane(self, address: str) -> None:
        """Nothing more goes there."""
        ...

    def wake(self) -> None: ...


class Switchboard:
    """One for a process. `changed`: called after something was taken up."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        opener: Opener,
        lanes: Lanes,
        *,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._opener = opener
        self._lanes = lanes
        self._changed = changed
        self._number = -1
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self._blind = False  # the store was away when it was asked last
        self._there: dict[str, tuple[int, str]] = {}  # address → version, and the channel that stands in for it

    async def run(self) -> None:
        """Until cancelled; then the channels close. Whoever sends must have ended before."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._look(group)
                await asyncio.sleep(LOOK_EVERY)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        """What is open stays open while the store is away."""
        try:
            reach = await self._store.run(self._directory.at)
        except Unavailable as error:
            if not self._blind:
                log.warning("channels_unseen", reason=error.reason, why=str(error))
            self._blind = True
            return
        self._blind = False
        if reach.number != self._number:
            self._take_up(reach, group)
            self._number = reach.number
            self._lanes.wake()
            self._changed()

    def _take_up(self, reach: Reach, group: asyncio.TaskGroup) -> None:
        wanted = {each.address: each for each in reach.stored if reach.may_have(each)}
        for address in [*self._there.keys() - wanted.keys()]:
            self._lanes.drop_lane(address)
            del self._there[address]
            log.info("channel_closed", channel=address)
        for address, channel in wanted.items():
            named = str(channel.settings.get("fallback") or "")
            fallback = reach.address(channel.owner, named) if named else ""
            if self._there.get(address) != (channel.version, fallback):
                self._there[address] = (channel.version, fallback)
                group.create_task(self._hold(channel, fallback))

    async def _hold(self, channel: StoredChannel, fallback: str) -> None:
        """Open until nothing uses it. Whatever goes wrong is that channel's own trouble."""
        try:
            while self._is_wanted(channel, fallback):
                if await self._held(channel, fallback):
                    return
                await asyncio.sleep(OPEN_AGAIN)
        except ConfigError as error:
            self._say_instead(channel, fallback, error.message)
        except Exception as error:
            # Neither its words nor where it happened: both may show what is secret.
            self._say_instead(channel, fallback, f"this is a bug in cryptowatcher ({type(error).__name__})")

    async def _held(self, channel: StoredChannel, fallback: str) -> bool:
        """False where it cannot be opened now: the store is away that keeps its key, for example."""
        unused = asyncio.Event()
        try:
            policy = msgspec.structs.replace(self._opener.policy(channel), fallback=fallback)
            async with AsyncExitStack() as stack:
                async with self._opening:
                    opened = await stack.enter_async_context(self._opener.open(channel))
                if self._is_wanted(channel, fallback):
                    self._lanes.put_lane(channel.address, _Apart(opened), policy, unused.set)
                    log.info("channel_opened", channel=channel.address, kind=channel.kind)
                    await unused.wait()
        except Unavailable:
            return False
        return True

    def _is_wanted(self, channel: StoredChannel, fallback: str) -> bool:
        """Whether nothing else stands there since."""
        return self._there.get(channel.address) == (channel.version, fallback)

    def _say_instead(self, channel: StoredChannel, fallback: str, why: str) -> None:
        """What waits for it, and who looks, is told why it does not come."""
        log.warning("channel_cannot_be_opened", channel=channel.address, why=why)
        if self._is_wanted(channel, fallback):
            policy = ChannelPolicy(fallback=fallback)
            self._lanes.put_lane(channel.address, _Unopened(channel.name, why), policy, lambda: None)


class _Apart:
    """A channel that somebody added. What goes wrong in it that must not is its own trouble: it must not end the
    program for all others, again and again."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def name(self) -> str:
        return self._channel.name

    async def send(self, message: Message) -> str:
        try:
            return await self._channel.send(message)
        except (Refused, Unavailable, TimeoutError):
            raise
        except Exception as error:
            # Neither its words nor where it happened: both may show what is secret.
            log.error("a channel failed in a way that it must not", channel=self.name, error=type(error).__name__)
            raise Refused(f"this is a bug in cryptowatcher ({type(error).__name__})", reason="bug") from None


class _Unopened:
    """Stands for a channel that cannot be opened as it is set: after an update, perhaps."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    async def send(self, message: Message) -> str:
        raise Unavailable(f"it cannot be opened: {self._why}", reason="settings")
