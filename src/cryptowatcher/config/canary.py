"""`[canary]`: whether the canary goes round, how often, and who outside is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from cryptowatcher.adapters.channels.ping import OnRoundTrip, Ping, Rounds, check_ping_url, ping_policy
from cryptowatcher.adapters.http import open_http
from cryptowatcher.adapters.sources.canary import CanarySource
from cryptowatcher.domain import canary
from cryptowatcher.domain.canary import SYSTEM_OWNER, CanaryRounds
from cryptowatcher.domain.deliveries import ChannelPolicy
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.model import RuleSpec, rule_id
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Channel, Deps, Source, WatchTx

SHORTEST_MS = 1_000
_NOT_COMMITTED_MS = 60_000
"""By so much at most the canary had gone on beyond what is known of it when the program died."""


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price and a rule of the watcher's own that go the whole way from source to channel, again and again. After
    each round a service outside can be told that all is well; it raises the alarm when it is not told any more.

    enabled: whether it goes round at all
    every:   time between two rounds; rounds that take twice as long do not count
    url:     what is asked (GET) after each round, nothing when empty. Who knows it can silence the alarm:
             better name one of the next two
    url_file, url_variable: where that address stands instead
    """

    enabled: bool = True
    every: str = "1m"
    url: str = ""
    url_file: str | None = None
    url_variable: str | None = None

    def __post_init__(self) -> None:
        if self.every_ms < SHORTEST_MS:
            raise ConfigError("must be 1s or longer", where="canary.every")
        if sum(map(bool, (self.url, self.url_file, self.url_variable))) > 1:
            hint = "name one of url, url_file and url_variable"
            raise ConfigError("the address is given twice", where="canary", hint=hint)
        if self.url:
            check_ping_url(self.url, where="canary.url")

    def __repr__(self) -> str:
        return f"Canary(enabled={self.enabled}, every={self.every!r}, tells={self._tells})"

    @property
    def _tells(self) -> bool:
        return bool(self.url or self.url_file or self.url_variable)

    @property
    def every_ms(self) -> int:
        return parse_duration(self.every, where="canary.every")

    @property
    def rules(self) -> tuple[RuleSpec, ...]:
        """What its owner (SYSTEM_OWNER) has for rules."""
        return (canary.RULE,) if self.enabled else ()

    def rounds(self) -> CanaryRounds | None:
        """For whoever tells how it goes; None where it does not."""
        return CanaryRounds(self.every_ms, self._tells) if self.enabled else None

    def check_name(self, name: str, *, where: str) -> None:
        """ConfigError when somebody's source or channel is called like the canary's: lists leave that one out."""
        if name == canary.NAME:
            hint = 'give it another one: name = "…"'
            raise ConfigError(f"{name!r} is the watcher's own name for its canary", where=where, hint=hint)

    def policy(self) -> ChannelPolicy:
        """Of the channel at the end of its way."""
        return ping_policy(self.every_ms)

    def open_source(self, deps: Deps, *, since: int) -> Source:
        """`since`: when this life of the program begins, by `life_begins`."""
        return CanarySource(deps.clock, every=self.every_ms // 2, since=since)

    @asynccontextmanager
    async def open_channel(self, deps: Deps, *, since: int, on_round_trip: OnRoundTrip) -> AsyncIterator[Channel]:
        """`since`: as for the source. ConfigError when the address cannot be read or asked."""
        rounds = Rounds(every=self.every_ms, since=since)
        url = self._address(deps)
        if url is None:
            yield Ping(None, rounds=rounds, clock=deps.clock, on_round_trip=on_round_trip)
            return
        async with open_http(outbound=deps.outbound, resolve=deps.resolve) as http:
            yield Ping((http, url), rounds=rounds, clock=deps.clock, on_round_trip=on_round_trip)

    def _address(self, deps: Deps) -> str | None:
        if self.url:
            return self.url
        where = "canary.url_file" if self.url_file else "canary.url_variable"
        text = deps.secret(file=self.url_file, variable=self.url_variable, where=where)
        if text is None:
            return None
        check_ping_url(text.strip(), where=where)
        return text.strip()


def life_begins(tx: WatchTx, now: int) -> int:
    """When a life of the program begins that is opened now (epoch ms): all that the canary observed before is
    older, and all that it will observe is newer. Usually that is now; not so where the clock was set back."""
    cursor = tx.cursor()
    known = [firing.last_fired_at for firing in tx.firings(rule_id(SYSTEM_OWNER, canary.NAME))]
    newest = max([*known, cursor.at if cursor else 0])
    return now if now > newest else newest + _NOT_COMMITTED_MS
