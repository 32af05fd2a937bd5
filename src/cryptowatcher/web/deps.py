"""What the HTTP face is built from: all of it is handed in, nothing is looked up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Never

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.canary import CanaryRounds
from cryptowatcher.domain.findings import Told
from cryptowatcher.domain.messages import Wording
from cryptowatcher.domain.reaching import Setting, StoredChannel
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.status import Pulse
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Clock, Journal, Store
from cryptowatcher.ports.channel_kinds import ChannelKinds
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.ports.keys import PushKey
from cryptowatcher.ports.world import keyless
from cryptowatcher.trying import Tried
from cryptowatcher.web.accounts.passwords import Passwords
from cryptowatcher.web.files import BUILT
from cryptowatcher.web.live import Hub
from cryptowatcher.web.past_hour import PastHour


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where health turns red, and how much callers may take.

    silence_ms:    the newest record of the journal may be this old (a beat comes each second)
    pulse_seconds: the newest pulse of the pipeline may be this old (one comes each second)
    hang_seconds:  a pipeline that has been silent for longer must be started over
    lag_ms:        watch may be this far behind the journal's newest record
    check_seconds: store and journal must answer within this
    body_bytes:    a request's body at most
    streams:       clients on the live stream at most
    price_metrics: pairs whose prices /metrics tells, the largest by market cap
    """

    silence_ms: int = 10_000
    pulse_seconds: float = 5.0
    hang_seconds: float = 60.0
    lag_ms: int = 10_000
    check_seconds: float = 3.0
    body_bytes: int = 65_536
    streams: int = 5_000
    price_metrics: int = 20


async def _nobody_adds(channel: StoredChannel) -> Never:
    raise ConfigError("channels are not added here", where="kind")


class WebDeps(msgspec.Struct, frozen=True, kw_only=True):
    """The serve process's view of the world.

    store:    where rule changes are written
    reads:    the same store opened read-only, so that asking never waits for a writer; None: ask `store`
    journal:  read only
    channels: names a rule may use: those of the configuration, and for a change those of whoever asks
    setting:  what the configuration says of reaching people
    configured: the channels of the configuration, as they may be shown
    kinds:    of channels that can be added; None: none
    try_channel: sends a test message through a channel of the configuration, now
    try_stored: the same through one that somebody has added, or would
    check_channel: what such a one is opened by. ConfigError with `where` = `kind`, `settings.x` or `secrets.x`
    trying:   owner → how many test messages of theirs are on their way
    push_key: what push services know this installation by
    wordings: how the messages of each channel of the configuration are written
    data_dir: where the files are, for what /metrics tells of them; None: nothing
    store_file: the store's file, in data_dir unless absolute; None where it is no file
    pulse:    the newest pulse of the pipeline; None before there is one, and where nobody sends any
    past_hour: what the pipeline's metrics grew by
    pulse_age: seconds since that came, by this process's steady clock
    page_dir: what `frontend/` was built to
    loop_lag: the longest hold-up of this process's event loop lately, in seconds
    hosts:    names under which the page may be reached besides loopback and plain addresses
    owner:    whose rows are asked for: a route is given that of whoever asks, and this one for who asks from this
              machine without an account
    keep:     how long what is kept
    canary:   how often the canary goes round and whether anybody outside is told; None: it does not
    versions: of what the program is made of, by name
    examine:  what `cryptowatcher doctor --offline` finds now; blocks for a moment. None: nobody can look
    open:     who asks from this machine needs no account
    passwords: hashes them
    """

    store: Store
    journal: Journal
    clock: Clock
    hub: Hub
    version: str
    reads: Store | None = None
    owner: str = LOCAL_OWNER
    channels: tuple[str, ...] = ()
    setting: Setting = Setting()
    configured: tuple[StoredChannel, ...] = ()
    kinds: ChannelKinds | None = None
    try_channel: Callable[[str], Awaitable[Tried]] | None = None
    try_stored: Callable[[StoredChannel], Awaitable[Tried]] = _nobody_adds
    check_channel: Callable[[StoredChannel], Awaitable[ChannelSettings]] = _nobody_adds
    trying: Counter[str] = msgspec.field(default_factory=Counter)
    push_key: Callable[[], Awaitable[PushKey]] = keyless
    wordings: Mapping[str, Wording] = MappingProxyType({})
    hosts: tuple[str, ...] = ()
    limits: Limits = Limits()
    data_dir: Path | None = None
    store_file: str | None = "store.db"
    page_dir: Path = BUILT
    pulse: Callable[[], Pulse | None] = lambda: None
    past_hour: PastHour = msgspec.field(default_factory=PastHour)
    pulse_age: Callable[[], float] = lambda: 0.0
    loop_lag: Callable[[], float] = lambda: 0.0
    keep: Retention = Retention()
    canary: CanaryRounds | None = None
    versions: Mapping[str, str] = MappingProxyType({})
    examine: Callable[[], list[Told]] | None = None
    open: bool = False
    passwords: Passwords = msgspec.field(default_factory=Passwords)

    @property
    def asked(self) -> Store:
        """The store for questions."""
        return self.reads or self.store


Deps = NamedDependency[SkipValidation[WebDeps]]
"""How a route handler names what it needs: `deps: Deps`."""
