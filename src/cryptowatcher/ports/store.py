"""Rows that are effects of the journal, and the transactions of each part of the program over them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from cryptowatcher.domain.alerts import Advice, Alert, AlertKind, NoticeKind
from cryptowatcher.domain.candles import Candle, CandleColumns
from cryptowatcher.domain.copies import Copies
from cryptowatcher.domain.deliveries import Delivery, DeliveryState
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.rules.model import (
    Firing,
    Lifecycle,
    LifecycleState,
    Rule,
    RuleChange,
    RuleOrigin,
    RuleSpec,
    RuleState,
    TakeUp,
)
from cryptowatcher.domain.rules.watchlists import Watchlist
from cryptowatcher.domain.status import Price, SourceStatus
from cryptowatcher.domain.ticks import Ints
from cryptowatcher.ports.accounts import AccountTx
from cryptowatcher.ports.chats import ChatTx
from cryptowatcher.ports.keys import KeyTx
from cryptowatcher.ports.reaching import ReachingTx
from cryptowatcher.ports.rule_facts import RuleFactsTx
from cryptowatcher.ports.scores import ScoreTx
from cryptowatcher.ports.summaries import SummaryTx
from cryptowatcher.ports.tidy import TidyTx

T = TypeVar("T")


class Cursor(msgspec.Struct, frozen=True):
    """How far watch has come. `at` is the journal time of that record."""

    journal: str
    seq: int
    at: int


class Fenced(Exception):
    """Someone else moved the cursor or took the lease: this writer must stop at once."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """All effects of some journal records, committed with the cursor or not at all. `together`: more of them, of
    many rules that did the same."""

    cursor: Cursor
    alerts: Sequence[Alert] = ()
    deliveries: Sequence[Delivery] = ()
    lifecycle: Sequence[Lifecycle] = ()
    at_rest: Sequence[tuple[str, str]] = ()
    firings: Sequence[Firing] = ()
    candles: Sequence[Candle] = ()
    prices: Sequence[Price] = ()
    take_ups: Sequence[TakeUp] = ()
    together: Sequence[Copies[Alert] | Copies[Delivery] | Copies[Lifecycle] | Copies[Firing]] = ()


class WatchTx(Protocol):
    """What watch does inside a transaction."""

    def new_epoch(self, role: str) -> int:
        """Take a role over: every older epoch is fenced from now on."""
        ...

    def cursor(self) -> Cursor | None: ...

    def commit_step(self, step: Step, *, epoch: int, before: Cursor | None) -> None:
        """Write a step. Raises Fenced when the stored cursor is not `before` or the epoch is not current.
        Alerts and deliveries that are there already stay as they are. Lifecycle, firings and prices replace
        what stood for their (rule, pair) or pair; `at_rest` (rule, pair) rows are removed; candles replace. A step
        into another journal forgets the take-ups in the one before."""
        ...

    def rule_changes(self, after: int, limit: int | None = None, *, newest: bool = False) -> list[RuleChange]:
        """The first `limit` changes with number > after, in order. `newest`: without those that are known to have
        a later one of the same rule behind them."""
        ...

    def take_ups(self) -> list[TakeUp]: ...

    def taken_changes(self, after: int, upto: int, limit: int, *, settled: int) -> list[tuple[RuleChange, TakeUp]]:
        """The first `limit` changes with after < number <= upto that were taken up, in order; without those that
        are known to have a later one of the same rule behind them, which was taken up at `settled` or before."""
        ...

    def last_take_up(self) -> int:
        """Number of the last change that was taken up, 0 for none."""
        ...

    def lifecycle(
        self,
        rule: str | None = None,
        *,
        state: LifecycleState | None = None,
        after: tuple[str, str] = ("", ""),
        limit: int | None = None,
    ) -> list[Lifecycle]:
        """Of a rule and in a state, or of all, in order of (rule, pair): the first `limit` that come after one."""
        ...

    def firings(
        self, rule: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> list[Firing]:
        """Of a rule or of all, in order of (rule, pair): the first `limit` that come after one."""
        ...

    def missing_parts(self, names: Collection[str]) -> set[str]:
        """Of these parts of a checkpoint, those that are not here."""
        ...

    def put_parts(self, parts: Mapping[str, bytes]) -> None:
        """Parts for the checkpoint that is saved next: one that does not name them forgets them. What is here
        already is written anew."""
        ...

    def parts(self, names: Collection[str]) -> dict[str, bytes]:
        """Those of them that are here."""
        ...

    def save_checkpoint(self, cursor: Cursor, schema: int, head: bytes, parts: Collection[str] = ()) -> bool:
        """Keep the newest two of this journal and schema, none of another journal, and no part that none of them
        names. `parts`: names of all that belong to it; False, with nothing done, when one of them is not here."""
        ...

    def checkpoint(self, journal: str, schema: int, upto: int) -> tuple[Cursor, bytes] | None:
        """The newest of this journal and schema with seq <= upto, and its head."""
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
        claims never return the same one. Deliveries of deleted or paused rules are cancelled instead,
        with the reason in their receipt, and those whose alert is not there are given up.
        `only` these channels and not those in `skip`: so that one slow channel never stands before another."""
        ...

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Replace rows that are still leased to the delivery's holder; others stay as they are."""
        ...

    def queue(self, deliveries: Sequence[Delivery]) -> None:
        """Add them. What is there already stays as it is."""
        ...

    def form_bundles(self, channel: str, *, now: int, least: int, late: int) -> None:
        """Note which deliveries that are due and were never tried go out in one message: those that were held,
        those older than `late` (epoch ms; 0: none), and `least` or more of one position of the journal. Of one
        owner, alerts apart from reminders, never urgent ones or notices, and no more than BUNDLE_MOST in one.
        What was noted stays so. Only what a claim of up to BUNDLE_MOST would take next needs to be noted: before
        each claim this is called again."""
        ...

    def overdue(self, channel: str, *, since: int, now: int, after: tuple[int, str], limit: int) -> list[Delivery]:
        """Up to `limit` deliveries that are due and have waited for this channel since that time (epoch ms) or
        longer, and have no stand-in, in (due_at, id) order, from `after` on; after these the rest of their
        bundles."""
        ...

    def note_fallback(self, ids: Sequence[str], channel: str) -> None:
        """Another channel stands in for these, if they are not finished."""
        ...

    def states(self, ids: Collection[str]) -> dict[str, DeliveryState]:
        """Of those deliveries that are there."""
        ...

    def send_again(self, owner: str, *, ids: Collection[str] | None, now: int, limit: int) -> int:
        """Queue deliveries that were given up once more, these or (None) the oldest `limit` of all; how many."""
        ...

    def waiting_channels(self) -> list[str]:
        """Those that something unfinished waits for, in order: few, however many there are."""
        ...

    def next_due(self, only: Collection[str] | None = None, skip: Collection[str] = ()) -> int | None:
        """When the earliest unfinished delivery is due (a leased one: when its lease ends), among the channels
        in `only` and not in `skip`. None: nothing."""
        ...

    def quiet(self, rules: Collection[str]) -> dict[str, Quiet]:
        """Of those rules that are there, by id: when they may speak, and how often."""
        ...

    def ending(self, upto: int, limit: int) -> list[Rule]:
        """Up to `limit` rules, of which the owner is to be told by that time (epoch ms) that they end. Not those
        that are paused."""
        ...

    def announce(self, notice: Alert, deliveries: Sequence[Delivery], *, next_at: int) -> None:
        """Queue a notice that a rule ends, and note when the next one is due (0: never). What is there already
        stays as it is."""
        ...


class RulesTx(Protocol):
    """Rules as owners see them: the newest change of each."""

    def rules(self, owner: str | None = None, ids: Sequence[str] | None = None) -> list[Rule]:
        """In order of name. `ids`: only these, as far as they are there. Of many, a part is in order,
        not the whole."""
        ...

    def rule(self, owner: str, rule: str) -> Rule | None:
        """By id or by name."""
        ...

    def save_rule(self, owner: str, spec: RuleSpec, *, head: int, now: int, origin: RuleOrigin = "owner") -> Rule:
        """Add or change the owner's rule of that name. The same spec and origin again change nothing. Another end
        is another one to be told of; other active hours count for what is held already. ConfigError when it is on
        a list that is not there."""
        ...

    def save_rules(
        self, owner: str, specs: Sequence[tuple[RuleSpec, RuleOrigin]], *, head: int, now: int
    ) -> list[Rule]:
        """The same for several whose names differ, in a fraction of the time."""
        ...

    def remove_rule(self, owner: str, rule: str, *, head: int, now: int, origin: RuleOrigin = "owner") -> bool:
        """By id or name. False when there was none. `origin`: who removes it."""
        ...

    def remove_rules(
        self, owner: str, ids: Sequence[str], *, head: int, now: int, origin: RuleOrigin = "owner"
    ) -> list[Rule]:
        """The same for several, by id: those that were there."""
        ...

    def removed_by(self, owner: str, name: str) -> RuleOrigin | None:
        """Who removed the rule of that name. None when it is there, or never was."""
        ...

    def snooze(self, owner: str, rule: str, until: int) -> None:
        """Silence a rule (by id) until that time, epoch ms, whatever was said before."""
        ...

    def wake(self, owner: str, rule: str) -> bool:
        """End the silence of a rule (by id). False when there was none."""
        ...

    def snoozes(self, owner: str) -> dict[str, int]:
        """Rule (id) → until when it is or was snoozed. A rule that was removed is not."""
        ...

    def rule_counts(self) -> dict[RuleState, int]:
        """Of all owners but the watcher itself; both states, those without rules too."""
        ...


class WatchlistTx(Protocol):
    """Owners' lists of pairs."""

    def watchlists(self, owner: str) -> list[Watchlist]:
        """In order of name."""
        ...

    def save_watchlist(
        self, owner: str, name: str, pairs: Sequence[str], *, head: int, now: int, origin: RuleOrigin = "owner"
    ) -> Watchlist:
        """Add or replace a list that has passed check_list. Other pairs are a change of each rule on it, but not a
        new version. The same again changes nothing."""
        ...

    def remove_watchlist(self, owner: str, name: str) -> bool:
        """False when there was none. ConfigError, with their names, while rules are on it."""
        ...

    def rules_on(self, owner: str, name: str) -> list[Rule]:
        """The rules on that list, in order of name."""
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

    def candle_columns(self, pair: str, interval: int, *, start: int, end: int) -> CandleColumns:
        """The same stored candles, all of them, as columns."""
        ...

    def watched(self, pair: str, interval: int, *, start: int, end: int) -> tuple[Ints, Ints]:
        """Of the same stored candles when they began, and how much of each was observed (ms); in any order."""
        ...

    def oldest_candle(self, pair: str, interval: int, *, start: int) -> int | None:
        """When the oldest stored candle begins that does not begin before `start`; None: there is none."""
        ...

    def newest_observation(self) -> int:
        """When the newest of all prices was observed, by its source's time (epoch ms); 0: none."""
        ...

    def alerts(
        self,
        owner: str,
        *,
        limit: int,
        before: str | None = None,
        since: str | None = None,
        rule: str | None = None,
        pair: str | None = None,
        advice: Collection[Advice] | None = None,
        kinds: Collection[AlertKind | NoticeKind] | None = None,
        acknowledged: bool | None = None,
    ) -> list[Alert]:
        """Newest first by id; only since <= id < before. Notices are left out, unless their `kinds` are asked for;
        None asks for everything but them."""
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


class Tx(
    WatchTx,
    OutboxTx,
    RulesTx,
    WatchlistTx,
    TidyTx,
    SourceTx,
    ReadTx,
    ScoreTx,
    ChatTx,
    SummaryTx,
    AccountTx,
    ReachingTx,
    RuleFactsTx,
    KeyTx,
    Protocol,
):
    """Everything at once: what a store hands to the function it runs."""


class Store(Protocol):
    """Rows that are effects. `run` gives one synchronous function one transaction."""

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """Commit when fn returns, roll back when it raises (and raise the same). Durable when it returns.
        Transactions are serialised, in the order of the calls. An unknown outcome of a commit ends the process."""
        ...
