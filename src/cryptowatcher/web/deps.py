"""What the HTTP face is built from: all of it is handed in, nothing is looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.messages import Wording
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.status import Pulse
from cryptowatcher.domain.summary import Plan, daily
from cryptowatcher.ports import Clock, Journal, Store
from cryptowatcher.trying import Tried
from cryptowatcher.web.accounts.passwords import Passwords
from cryptowatcher.web.files import BUILT
from cryptowatcher.web.live import Hub


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


class WebDeps(msgspec.Struct, frozen=True, kw_only=True):
    """The serve process's view of the world.

    store:    where rule changes are written
    reads:    the same store opened read-only, so that asking never waits for a writer; None: ask `store`
    journal:  read only
    channels: names a rule may use
    try_channel: sends a test message through one of them, now
    wordings: how the messages of each are written
    plan:     the stretches that are summed up
    data_dir: where the files are, for what /metrics tells of them; None: nothing
    store_file: the store's file, in data_dir unless absolute; None where it is no file
    pulse:    the newest pulse of the pipeline; None before there is one, and where nobody sends any
    pulse_age: seconds since that came, by this process's steady clock
    page_dir: what `frontend/` was built to
    loop_lag: the longest hold-up of this process's event loop lately, in seconds
    hosts:    names under which the page may be reached besides loopback and plain addresses
    owner:    whose rows are asked for: a route is given that of whoever asks, and this one for who asks from this
              machine without an account
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
    try_channel: Callable[[str], Awaitable[Tried]] | None = None
    wordings: Mapping[str, Wording] = MappingProxyType({})
    plan: Plan = msgspec.field(default_factory=daily)
    hosts: tuple[str, ...] = ()
    limits: Limits = Limits()
    data_dir: Path | None = None
    store_file: str | None = "store.db"
    page_dir: Path = BUILT
    pulse: Callable[[], Pulse | None] = lambda: None
    pulse_age: Callable[[], float] = lambda: 0.0
    loop_lag: Callable[[], float] = lambda: 0.0
    open: bool = False
    passwords: Passwords = msgspec.field(default_factory=Passwords)

    @property
    def asked(self) -> Store:
        """The store for questions."""
        return self.reads or self.store


Deps = NamedDependency[SkipValidation[WebDeps]]
"""How a route handler names what it needs: `deps: Deps`."""
