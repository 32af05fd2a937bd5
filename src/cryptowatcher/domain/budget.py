"""How often a source may be asked: calls a minute, credits a month, and a gate that failures shut.

A `Budget` is what is remembered; pure functions move it on. Times are epoch ms (UTC), from the caller.

- Every call counts for the minute. A credit of the month is charged when the answer arrives, and until then
  the call is `pending`; one that was never settled (a crash) is charged, so a crash never forgets a call.
  It is charged to the month in which it began.
- The month's credits are spread evenly over what is left of the month, recomputed from what is left.
- The gate shuts after a failure, longer each time, and opens with the first good answer.
- A *side call* is one that no round needs. It may be made only while the rounds lose nothing by it: see `spare`.
- When the wall clock steps back, everything remembered moves back with it: the step neither opens the gate
  nor keeps it shut for longer than it would have been.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec

MINUTE = 60_000

Severity = Literal["", "passing", "limited", "lasting"]
"""How long failures of a kind last: a hiccup · too many calls · a ban, or something a person must change."""

FREE_OF_CHARGE = frozenset(
    {"rate_limited", "banned", "user_agent", "forbidden", "server_error", "redirected", "unexpected_status"}
    | {"connect", "dns", "tls", "proxy"}
)
"""Failures that surely cost no credit: the other side was not reached, or its status was not 200."""

LASTING = frozenset({"banned", "forbidden", "user_agent"})
"""Failures that trying again makes worse."""


class Allowance(Protocol):
    """What a source allows and its owner wishes: see ports.Pace."""

    @property
    def every(self) -> float: ...

    @property
    def per_minute(self) -> int: ...

    @property
    def per_month(self) -> int | None: ...


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """
    seen:         the newest wall time this budget knows
    minute:       when the calls of the last minute began, oldest first
    started_at:   when the last call began, 0 never
    round_at:     when the last round began, 0 when the next may begin at once
    pending:      calls (0 or 1) whose answer is still to come
    month:        months since year 0 of the month that `used` counts
    used:         credits charged in that month
    charged_at:   when the last charged call began, 0 never
    closed_until: nobody calls before, 0 open
    closed_by:    the stable word for why, "" open
    severity:     of that reason
    failures:     failures of this severity in a row
    """

    seen: int = 0
    minute: tuple[int, ...] = ()
    started_at: int = 0
    round_at: int = 0
    pending: int = 0
    month: int = 0
    used: int = 0
    charged_at: int = 0
    closed_until: int = 0
    closed_by: str = ""
    severity: Severity = ""
    failures: int = 0


class _Backoff(msgspec.Struct, frozen=True):
    """Seconds of the first wait, and of the longest that doubling leads to."""

    first: float
    longest: float


_BACKOFF: dict[Severity, _Backoff] = {
    "passing": _Backoff(5.0, 300.0),
    "limited": _Backoff(60.0, 900.0),
    "lasting": _Backoff(600.0, 3600.0),
}
_JITTER = 0.2


def at(budget: Budget, now: int) -> Budget:
    """The budget at this moment: after a step back of the wall clock, or in a new month."""
    back = budget.seen - now
    if back > 0:
        budget = shifted(budget, -back)
    month = _month(now)
    if month > budget.month:
        return msgspec.structs.replace(budget, seen=now, month=month, used=0, pending=0)
    # A clock that stepped back into an earlier month must not bring its credits back.
    return msgspec.structs.replace(budget, seen=now, month=month)


def shifted(budget: Budget, step: int) -> Budget:
    """The same waits on a wall clock that jumped by `step` ms."""

    def moved(time: int) -> int:
        return max(time + step, 0) if time else 0

    return msgspec.structs.replace(
        budget,
        seen=moved(budget.seen),
        minute=tuple(moved(time) for time in budget.minute),
        started_at=moved(budget.started_at),
        round_at=moved(budget.round_at),
        charged_at=moved(budget.charged_at),
        closed_until=moved(budget.closed_until),
    )


def next_call_at(budget: Budget, pace: Allowance, now: int, *, first: bool = True) -> int:
    """When the next call may begin: `now` or later. `first`: whether it begins a round."""
    budget = at(budget, now)
    times = [now, budget.closed_until, _minute_allows(budget, pace), _month_allows(budget, pace, now)]
    if first and budget.round_at:
        times.append(budget.round_at + round(pace.every * 1000))
    return max(times)


def _minute_allows(budget: Budget, pace: Allowance) -> int:
    if len(budget.minute) < pace.per_minute:
        return 0
    return budget.minute[-pace.per_minute] + MINUTE


def _month_allows(budget: Budget, pace: Allowance, now: int) -> int:
    if pace.per_month is None:
        return 0
    start, end = _month_start(budget.month), _month_start(budget.month + 1)
    left = pace.per_month - budget.used - budget.pending
    if left <= 0:
        return end
    last = budget.started_at if budget.pending else budget.charged_at
    return last + (end - last) // left if start <= last <= now else 0


def after_call_started(budget: Budget, now: int, *, first: bool = True) -> Budget:
    """A call begins. To be made durable before it does."""
    budget = _charge(at(budget, now))
    recent = tuple(time for time in budget.minute if time > now - MINUTE)
    return msgspec.structs.replace(
        budget,
        minute=(*recent, now),
        started_at=now,
        pending=1,
        round_at=now if first else budget.round_at,
    )


def after_answer(budget: Budget, now: int, *, ok: bool) -> Budget:
    """An answer with status 200 came, which costs a credit. Only a usable one (`ok`) ends the back-off."""
    budget = _charge(at(budget, now))
    if not ok:
        return budget
    return msgspec.structs.replace(budget, closed_until=0, closed_by="", severity="", failures=0)


def after_failure(
    budget: Budget,
    reason: str,
    now: int,
    *,
    retry_after: float | None = None,
    jitter: float = 0.0,
    refused: bool = False,
) -> Budget:
    """The call failed: shut the gate. `retry_after` in seconds as the other side asked, `jitter` in 0..1,
    `refused` when a person must act. The round may begin again as soon as the gate opens."""
    budget = at(budget, now)
    free = refused or reason in FREE_OF_CHARGE
    budget = msgspec.structs.replace(budget, pending=0) if free else _charge(budget)
    severity = _severity(reason, refused=refused)
    failures = budget.failures + 1 if severity == budget.severity else 1
    wait = _wait(severity, failures, retry_after) * (1 + _JITTER * jitter)
    return msgspec.structs.replace(
        budget,
        closed_until=now + round(wait * 1000),
        closed_by=reason,
        severity=severity,
        failures=failures,
        round_at=0,
    )


def spare(budget: Budget, pace: Allowance, now: int, *, pages: int, allowed: int = 0) -> bool:
    """Whether a side call now costs the rounds nothing: rounds of `pages` calls, each answered at once, begin and
    end in the next minute as they would without it, and the month has more credits than rounds need to its end.
    Never while the gate is shut or a round is due or under way.

    allowed: credits of the month that side calls may take although the rounds could use them
    """
    budget = at(budget, now)
    if budget.closed_until > now or budget.failures or budget.pending or not budget.round_at:
        return False
    if not month_to_spare(budget, pace, now, pages=pages, allowed=allowed):
        return False
    recent = sum(time > now - MINUTE for time in budget.minute)
    rounds = MINUTE // max(round(pace.every * 1000), 1) + 2
    if recent + 1 + rounds * pages <= pace.per_minute:
        return True
    if recent >= pace.per_minute:
        return False
    return _rounds(after_side_call(budget, now), pace, now, pages) == _rounds(budget, pace, now, pages)


def month_to_spare(budget: Budget, pace: Allowance, now: int, *, pages: int, allowed: int = 0) -> bool:
    """Whether the month has a credit for a side call: more than rounds need to its end, or one of those
    `allowed`."""
    budget = at(budget, now)
    if pace.per_month is None:
        return True
    left = pace.per_month - budget.used - 1
    rounds = -(-(_month_start(budget.month + 1) - now) // max(round(pace.every * 1000), 1))
    return left >= rounds * pages or (allowed > 0 and left >= 0)


class _NoMonth(msgspec.Struct, frozen=True):
    """The same allowance without an end of the month."""

    every: float
    per_minute: int
    per_month: None = None


def _rounds(budget: Budget, pace: Allowance, now: int, pages: int) -> list[int]:
    """When the calls of the next rounds would begin, those within a minute."""
    plain, times, time = _NoMonth(pace.every, pace.per_minute), list[int](), now
    while True:
        for page in range(pages):
            time = next_call_at(budget, plain, time, first=page == 0)
            if time > now + MINUTE:
                return times
            budget = after_answer(after_call_started(budget, time, first=page == 0), time, ok=True)
            times.append(time)


def after_side_call(budget: Budget, now: int) -> Budget:
    """A side call begins, and is charged. To be made durable before it does."""
    budget = at(budget, now)
    recent = tuple(time for time in budget.minute if time > now - MINUTE)
    return msgspec.structs.replace(budget, minute=(*recent, now), used=budget.used + 1)


def after_free_side_call(budget: Budget, now: int) -> Budget:
    """It turned out to cost no credit."""
    budget = at(budget, now)
    return msgspec.structs.replace(budget, used=max(budget.used - 1, 0))


def _severity(reason: str, *, refused: bool) -> Severity:
    if refused or reason in LASTING:
        return "lasting"
    return "limited" if reason == "rate_limited" else "passing"


def _wait(severity: Severity, failures: int, asked: float | None) -> float:
    """Seconds. Whoever is told to wait waits that long, and never less than after a hiccup: a server that
    goes on answering `Retry-After: 0` is not asked faster and faster."""
    if asked is None:
        return _doubled(_BACKOFF[severity], failures)
    least = _BACKOFF["lasting" if severity == "lasting" else "passing"]
    return max(asked, _doubled(least, failures))


def _doubled(backoff: _Backoff, failures: int) -> float:
    return min(backoff.first * 2.0 ** min(failures - 1, 32), backoff.longest)


def _charge(budget: Budget) -> Budget:
    """The pending call, if any, costs its credit."""
    if not budget.pending:
        return budget
    used = budget.used + budget.pending
    return msgspec.structs.replace(budget, used=used, charged_at=budget.started_at, pending=0)


def _month(time: int) -> int:
    date = datetime.fromtimestamp(time / 1000, UTC)
    return date.year * 12 + date.month - 1


def _month_start(month: int) -> int:
    return round(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
