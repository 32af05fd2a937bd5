"""The end of the canary's way: notes how long a round took, and tells an outside service that all is well.

Such a service (a dead-man's switch) is asked with GET after each round and raises the alarm when it is not. A ping
must therefore never stand for a time that is over: a round that took too long, or began before this process did,
is refused without a ping.

    2xx                 it was told
    429 5xx             not now, and not before Retry-After
    no answer           not now
    anything else       not before the next round: a person must see to the address, and one call a round is enough

It is no choice of the configuration's `[[channels]]`; `[canary]` opens it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from cryptowatcher.adapters.http import MOST_ANSWER, Answer, Http, can_be_asked, retry_after
from cryptowatcher.domain.canary import NAME
from cryptowatcher.domain.deliveries import ChannelPolicy, RetryPolicy
from cryptowatcher.domain.messages import Message
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Clock

log = structlog.get_logger()

WENT_ROUND: Final = "went round"
"""The receipt where nobody outside is told."""

_DEADLINE: Final = 10.0
"""Seconds for one call."""

OnRoundTrip = Callable[[float, int], None]
"""Is told of each round in time: seconds from the observation to here, and when it ended (epoch ms)."""


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """Which rounds count, all in ms.

    every:   between two rounds
    since:   epoch ms; a round that began earlier is of another life of the program
    """

    every: int
    since: int

    @property
    def max_age(self) -> int:
        """A round that took longer is over."""
        return 2 * self.every


class Ping:
    """A ports.Channel for the canary's alerts only."""

    name = NAME

    def __init__(
        self, outside: tuple[Http, str] | None, *, rounds: Rounds, clock: Clock, on_round_trip: OnRoundTrip
    ) -> None:
        """`outside`: a client and the address to ask with it; None where nobody outside is told."""
        self._outside = outside
        self._rounds = rounds
        self._clock = clock
        self._on_round_trip = on_round_trip
        self._reached: bool | None = None

    async def send(self, message: Message) -> str:
        now, alert = self._clock.now(), message.alert
        self._check_age(alert.received_at, now)
        if not message.delivery.attempts:
            self._on_round_trip(max(now - alert.received_at, 0) / 1000, now)
        if self._outside is None:
            return WENT_ROUND
        http, url = self._outside
        try:
            answer = await http.request("GET", url, deadline=_DEADLINE, max_bytes=MOST_ANSWER)
            receipt = self._receipt(answer)
        except Unavailable as error:
            self._note(reached=False, why=f"{error.reason}: {error}")
            raise
        except Refused as error:
            self._note(reached=False, why=f"{error.reason}: {error}")
            raise self._next_round(str(error), error.reason) from error
        self._note(reached=True)
        return receipt

    def _check_age(self, began: int, now: int) -> None:
        """By the observation's time, not the alert's: that may be the start of a gap. Where the wall clock was set
        back the age is not known, and counts as none: silence would be a false alarm for as long."""
        if began <= self._rounds.since:
            raise Refused("this round began before the program did", reason="late")
        if now - began > self._rounds.max_age:
            raise Refused(f"this round took {(now - began) / 1000:.0f} s", reason="late")

    def _receipt(self, answer: Answer) -> str:
        words = f"HTTP {answer.status}"
        if 200 <= answer.status < 300:
            return words
        if answer.status == 429 or answer.status >= 500:
            reason = "rate_limited" if answer.status == 429 else "server_error"
            asked = retry_after(answer.headers, self._clock.now())
            raise Unavailable(words, reason=reason, retry_after=asked)
        if 300 <= answer.status < 400:
            raise self._next_round(f"{words}: redirects are not followed", "redirect")
        raise self._next_round(words, "client_error")

    def _next_round(self, words: str, reason: str) -> Unavailable:
        return Unavailable(words, reason=reason, retry_after=self._rounds.every / 1000)

    def _note(self, *, reached: bool, why: str = "") -> None:
        """Says it once when it changes, and nothing of a first success."""
        before, self._reached = self._reached, reached
        if not reached and before is not False:
            log.warning("the dead-man's switch cannot be reached", why=why)
        elif reached and before is False:
            log.info("the dead-man's switch is reached again")


def ping_policy(every: int) -> ChannelPolicy:
    """`every`: ms between two rounds. Tried some times, until the round is too old to stand for anything."""
    retry = RetryPolicy(first=every // 12, cap=every // 3, give_up_after=2 * every)
    return ChannelPolicy(retry=retry, deadline=_DEADLINE + 5, at_once=1)


def check_ping_url(url: str, *, where: str) -> None:
    """ConfigError unless it can be asked. It is not quoted: who knows it can silence the alarm."""
    if not can_be_asked(url) or not url.isprintable() or " " in url:
        hint = "write the whole address that the service shows: https://hc-ping.com/…"
        raise ConfigError("not an http or https URL", where=where, hint=hint)
