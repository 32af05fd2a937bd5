"""What the pipeline needs from outside, as small promises. Adapters keep them; contract suites check them.

Longer than 400 lines because the promises of the whole house are read, and held against each other, on one page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.deliveries import Delivery, DeliveryState
from cryptowatcher.domain.records import Draft, Record
from cryptowatcher.domain.rules.model import (
    Firing,
    Lifecycle,
    Rule,
    RuleChange,
    RuleOrigin,
    RuleSpec,
    RuleState,
    TakeUp,
)
from cryptowatcher.domain.status import Price, SourceStatus

T = TypeVar("T")


class Clock(Protocol):
    """Time. Sleeping and time-outs are asyncio's; wall time comes only from here."""

    def now(self) -> int:
        """Wall time, epoch ms, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, from an arbitrary start."""
        ...


class Secret(Protocol):
    """Reads a secret that configuration names but never contains."""

    def __call__(self, *, file: str | None, variable: str | None, where: str) -> str | None:
        """The text of the file (relative to the configuration's folder) or the environment variable; None when
        neither is named. ConfigError when what is named cannot be read."""
        ...


class Deps(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter's settings get to open it with."""

    clock: Clock
    secret: Secret
    random: Random
    data_dir: Path = Path("data")


# --- sources ---------------------------------------------------------------------------------------


class Observations(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One answer of a source, translated but not judged. A price that the source did not give as a finite
    number > 0 is absent: its pair stands in `unseen` with a stable word for the reason.

    pairs:       n distinct pair names, one instant
    price:       n floats, finite and > 0
    volume:      n floats, NaN unknown
    market_cap:  n floats, NaN unknown
    observed_at: n source times, epoch ms; 0 where the source gave none
    unseen:      (pair, reason) of what was asked for and not given
    received_at: epoch ms
    """

    pairs: tuple[str, ...]
    price: NDArray[np.float64]
    volume: NDArray[np.float64]
    market_cap: NDArray[np.float64]
    observed_at: NDArray[np.int64]
    unseen: tuple[tuple[str, str], ...] = ()
    received_at: int


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a source may be asked.

    every:      seconds between rounds that the owner wishes
    valid_for:  ms for which an observation counts as current
    per_minute: calls a minute at most
    per_month:  counted answers a calendar month (UTC) at most, None for no such limit
    """

    every: float
    valid_for: int
    per_minute: int
    per_month: int | None = None


class Source(Protocol):
    """Somewhere prices come from, asked in rounds of `pages` calls. Never asks by itself: collect paces it."""

    @property
    def name(self) -> str: ...

    @property
    def pace(self) -> Pace: ...

    @property
    def pages(self) -> int:
        """Calls that one round takes. May change between rounds."""
        ...

    async def fetch(self, page: int) -> Observations:
        """One call. Ends within the source's deadline. Raises Unavailable (with retry_after where the other
        side named one) or Refused; nothing else, whatever comes back."""
        ...


# --- journal ---------------------------------------------------------------------------------------


class Trimmed(Exception):
    """The record after the asked position is gone; `oldest` is the first that still stands."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the journal begins at {oldest}")
        self.oldest = oldest


class Journal(Protocol):
    """One totally ordered, durable, append-only log. Sequence numbers are dense and start at 1.

    A record's time is max(the time of the record before, the clock): it never decreases. Where the clock is hours
    behind the record before, because it was far ahead for a while, time goes on from there with the steady clock.
    """

    @property
    def id(self) -> str:
        """Changes when the log is recreated. Positions of another id mean nothing here."""
        ...

    async def append(self, drafts: Sequence[Draft]) -> int:
        """All or nothing, in order; durable when it returns the new head. A draft whose (writer, number) is
        not above the writer's last is ignored. Concurrent appends are serialised, never interleaved."""
        ...

    async def read(self, after: int, limit: int = 1000) -> Sequence[Record]:
        """Up to `limit` records after `after`, in order; empty at the head. Raises Trimmed."""
        ...

    async def head(self) -> int:
        """The last sequence number, 0 when empty."""
        ...

    async def wait(self, after: int) -> None:
        """Returns once the head is beyond `after`. May return early; never misses an append."""
        ...

    async def seek(self, at: int) -> int:
        """The last position whose record's time is < `at` (epoch ms): reading after it gives all since."""
        ...

    async def last_number(self, writer: str) -> int:
        """The highest draft number this writer has appended, 0 if none."""
        ...

    async def renew(self) -> None:
        """Take a new id: what cursors of the old id mean is not what stands here (a restored older copy)."""
        ...

    async def trim(self, upto: int) -> int:
        """Forget records with seq <= upto; how many they were. The head stays known."""
        ...

    async def fit(self, size: int) -> int:
        """How far to trim for what stands to take `size` bytes at most; 0 when it does. Looks at a bounded stretch
        only: trim, and ask again."""
        ...


# --- store -----------------------------------------------------------------------------------------


class Cursor(msgspec.Struct, frozen=True):
    """How far watch has come. `at` is the journal time of that record."""

    journal: str
    seq: int
    at: int


class Fenced(Exception):
    """Someone else moved the cursor or took the lease: this writer must stop at once."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """All effects of some journal records, committed with the cursor or not at all."""

    cursor: Cursor
    alerts: Sequence[Alert] = ()
    deliveries: Sequence[Delivery] = ()
    lifecycle: Sequence[Lifecycle] = ()
    at_rest: Sequence[tuple[str, str]] = ()
    firings: Sequence[Firing] = ()
    candles: Sequence[Candle] = ()
    prices: Sequence[Price] = ()
    take_ups: Sequence[TakeUp] = ()


class WatchTx(Protocol):
    """What watch does inside a transaction."""

    def new_epoch(self, role: str) -> int:
        """Take a role over: every older epoch is fenced from now on."""
        ...

    def cursor(self) -> Cursor | None: ...

    def commit_step(self, step: Step, *, epoch: int, before: Cursor | None) -> None:
        """Write a step. Raises Fenced when the stored cursor is not `before` or the epoch is not current.
        Alerts and deliveries that are there already stay as they are. Lifecycle, firings and prices replace
        what stood for their (rule, pair) or pair; `at_rest` (rule, pair) rows are removed; candles replace."""
        ...

    def rule_changes(self, after: int) -> list[RuleChange]:
        """Changes with number > after, in order."""
        ...

    def take_ups(self) -> list[TakeUp]: ...

    def lifecycle(self, rule: str | None = None) -> list[Lifecycle]: ...

    def firings(self, rule: str | None = None) -> list[Firing]: ...

    def save_checkpoint(self, cursor: Cursor, schema: int, state: bytes) -> None:
        """Keep the newest two."""
        ...

    def checkpoint(self, journal: str, schema: int, upto: int) -> tuple[Cursor, bytes] | None:
        """The newest of this journal and schema with seq <= upto."""
        ...


class OutboxTx(Protocol):
    """What notify does inside a transaction."""

    def claim(
        self,
        *,
        now: int,
        holder: str,
        lease: int,
        limit: int,
        only: Collection[str] | None = None,
        skip: Collection[str] = (),
    ) -> list[tuple[Delivery, Alert]]:
        """Lease due deliveries in (due_at, id) order: queued or retrying ones whose time has come, and leased
        ones whose lease has run out. They are invisible to other claims until `now + lease`. Two concurrent
        claims never return the same one. Deliveries of deleted or paused rules are cancelled instead.
        `only` these channels and not those in `skip`: so that one slow channel never stands before another."""
        ...

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Replace rows that are still leased to the delivery's holder; others stay as they are."""
        ...

    def next_due(self, only: Collection[str] | None = None, skip: Collection[str] = ()) -> int | None:
        """When the earliest unfinished delivery is due (a leased one: when its lease ends), among the channels
        in `only` and not in `skip`. None: nothing."""
        ...


class RulesTx(Protocol):
    """Rules as owners see them: the newest change of each."""

    def rules(self, owner: str | None = None) -> list[Rule]:
        """In order of name."""
        ...

    def rule(self, owner: str, rule: str) -> Rule | None:
        """By id or by name."""
        ...

    def save_rule(self, owner: str, spec: RuleSpec, *, head: int, now: int, origin: RuleOrigin = "owner") -> Rule:
        """Add or change the owner's rule of that name. The same spec and origin again change nothing."""
        ...

    def remove_rule(self, owner: str, rule: str, *, head: int, now: int) -> bool:
        """By id or name. False when there was none."""
        ...

    def rule_counts(self) -> dict[RuleState, int]:
        """Of all owners but the watcher itself; both states, those without rules too."""
        ...


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a long work, so that others come in between.

    gone: rows that were forgotten
    upto: where the next slice goes on
    more: whether there may be a next one
    """

    gone: int
    upto: str
    more: bool


class TidyTx(Protocol):
    """What tidy does inside a transaction, a slice at a time."""

    def trim_candles(self, interval: int, before: int, *, after: str = "", limit: int = 1000) -> Slice:
        """Forget up to `limit` candles of an interval that start before that time (epoch ms), of pairs that come
        after `after`."""
        ...

    def trim_alerts(self, before: int, *, after: str = "", limit: int = 500, owner: str | None = None) -> Slice:
        """Look at up to `limit` alerts with id > `after` whose event came before that time (epoch ms), and forget
        those of this owner (None: of all) that have no unfinished delivery, with their deliveries."""
        ...


class SourceTx(Protocol):
    """What collect keeps over restarts."""

    def source_statuses(self) -> list[SourceStatus]: ...

    def save_source_status(self, status: SourceStatus) -> None: ...

    def forget_sources(self, keep: Collection[str]) -> None:
        """Drop the statuses of all other sources: they are not configured any more. Budgets stay."""
        ...

    def budget(self, source: str) -> bytes | None: ...

    def save_budget(self, source: str, state: bytes) -> None: ...


class ReadTx(Protocol):
    """What people and programs ask."""

    def prices(self, pairs: Sequence[str] | None = None) -> list[Price]:
        """All, or the named ones that are known; by market cap, largest first, unknown last, then name."""
        ...

    def candles(self, pair: str, interval: int, *, start: int, end: int, limit: int) -> list[Candle]:
        """Stored candles with start <= candle.start < end, oldest first, the newest `limit` of them."""
        ...

    def alerts(
        self,
        owner: str,
        *,
        limit: int,
        before: str | None = None,
        rule: str | None = None,
        pair: str | None = None,
    ) -> list[Alert]:
        """Newest first by id; only ids < before."""
        ...

    def deliveries(
        self,
        owner: str,
        *,
        limit: int,
        before: str | None = None,
        state: DeliveryState | None = None,
        alert: str | None = None,
    ) -> list[Delivery]:
        """Newest first by id; only ids < before."""
        ...

    def outbox_counts(self) -> dict[DeliveryState, int]: ...

    def alert_count(self) -> int: ...


class Tx(WatchTx, OutboxTx, RulesTx, TidyTx, SourceTx, ReadTx, Protocol):
    """Everything at once: what a store hands to the function it runs."""


class Store(Protocol):
    """Rows that are effects. `run` gives one synchronous function one transaction."""

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """Commit when fn returns, roll back when it raises (and raise the same). Durable when it returns.
        Transactions are serialised. An unknown outcome of a commit ends the process."""
        ...


# --- channels --------------------------------------------------------------------------------------


class Channel(Protocol):
    """Where an owner is reached."""

    @property
    def name(self) -> str: ...

    async def send(self, delivery: Delivery, alert: Alert) -> str:
        """Deliver; returns the receipt (what the other side said). Unavailable: try again, perhaps after
        `retry_after`. Refused: never. After any exception the message may or may not have arrived."""
        ...


# --- traces ----------------------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True):
    """What a trace is about: one answer of a source. `received_at` is epoch ms."""

    source: str
    received_at: int


class Traces(Protocol):
    """Tells how long things took, each part of the program for itself. Never blocks, never raises."""

    def span(
        self,
        name: str,
        answer: Answer,
        began: int,
        ended: int,
        said: Mapping[str, str | int | float] | None = None,
        *,
        root: bool = False,
        error: str = "",
    ) -> None:
        """Something that was done for an answer. Times are epoch ms; `said` are attributes, `root` is what all the
        other spans of the answer lie under; `error` is a stable word for why it failed."""
        ...
