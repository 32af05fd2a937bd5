"""/health/live: the program lives, page and pipeline. /health/ready: it watches, or which part does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from cryptowatcher.domain.status import Pulse, SourceStatus
from cryptowatcher.web.deps import Deps, Limits
from cryptowatcher.web.facts import Facts, Recent, gather

_IN_WORDS = {
    "disk_full": "the disk is full: free some space; nothing is lost, it goes on by itself",
    "disk_error": "the disk fails: see `cryptowatcher doctor`; nothing is accepted until it works again",
    "busy": "another process holds the file for too long: is one copying or checking it?",
    "store_unreachable": "the database does not answer: is it running? it goes on by itself",
}
"""What a person can do about the reasons of the files; a reason that is not here stands for itself."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold. `value` and `limit` are in `unit`; a check without `limit` never fails."""

    name: str
    ok: bool
    detail: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`ok` when all checks are."""

    status: Literal["ok", "failing"]
    version: str
    checks: list[Check]


@get(
    "/health/live",
    needs="anyone",
    summary="The program lives: 200, or 503 when only a start over can help",
    responses={503: ResponseSpec(Health, generate_examples=False, description="the pipeline hangs")},
    tags=["health"],
)
async def live(deps: Deps) -> Response[Health]:
    """A disk that is full or a source that is blind is not told here: a start over would not help."""
    age = deps.pulse_age() if deps.pulse() else 0.0
    if age <= deps.limits.hang_seconds:
        return Response(Health(status="ok", version=deps.version, checks=[]))
    hangs = Check(
        name="pipeline",
        ok=False,
        detail="has said nothing for too long: it hangs",
        value=age,
        limit=deps.limits.hang_seconds,
        unit="seconds",
    )
    return Response(Health(status="failing", version=deps.version, checks=[hangs]), status_code=503)


@get(
    "/health/ready",
    needs="anyone",
    summary="The watcher watches: 200, or 503 with the check that failed",
    responses={503: ResponseSpec(Health, generate_examples=False, description="a check failed")},
    tags=["health"],
)
async def ready(deps: Deps, recent: Recent) -> Response[Health]:
    checks = list(checks_of(await gather(deps, recent), deps.limits))
    ok = all(check.ok for check in checks)
    health = Health(status="ok" if ok else "failing", version=deps.version, checks=checks)
    return Response(health, status_code=200 if ok else 503)


def checks_of(facts: Facts, limits: Limits) -> Iterator[Check]:
    """Every check, red or green."""
    if facts.pulse is not None:
        yield _pipeline(facts, facts.pulse, limits)
    yield _store(facts)
    yield _journal(facts, limits)
    yield _watch(facts, limits)
    if facts.store is None:
        return
    if not facts.store.sources:
        yield Check(name="sources", ok=False, detail="no source has reported yet")
    yield from (_source(status, facts.now) for status in facts.store.sources)
    yield _outbox(facts)


def _pipeline(facts: Facts, pulse: Pulse, limits: Limits) -> Check:
    """Red long before the journal's silence shows: what cannot be written is said each second."""
    detail = "is there"
    if facts.pulse_age > limits.pulse_seconds:
        detail = "has not been heard of for too long: is its process running?"
    elif troubles := [f"{job}: {_IN_WORDS.get(why, why)}" for job, why in _that_stop_it(facts, pulse)]:
        detail = "; ".join(troubles)
    return Check(
        name="pipeline",
        ok=detail == "is there",
        detail=detail,
        value=facts.pulse_age,
        limit=limits.pulse_seconds,
        unit="seconds",
    )


def _that_stop_it(facts: Facts, pulse: Pulse) -> list[tuple[str, str]]:
    """Troubles of the jobs that write the journal or judge it. A message that cannot be sent, or an old record
    that cannot be forgotten, must not take the watcher out of service."""
    sources = {status.source for status in facts.store.sources} if facts.store else set()
    return [(job, why) for job, why in pulse.troubles.items() if job in ("beat", "watch") or job in sources]


def _store(facts: Facts) -> Check:
    if facts.store is None:
        return Check(name="store", ok=False, detail=f"cannot be read: {facts.errors.get('store', 'failed')}")
    return Check(name="store", ok=True, detail="readable")


def _journal(facts: Facts, limits: Limits) -> Check:
    limit = limits.silence_ms / 1000
    if facts.journal is None:
        detail = f"cannot be read: {facts.errors.get('journal', 'failed')}"
        return Check(name="journal", ok=False, detail=detail, limit=limit, unit="seconds")
    if facts.journal.newest_at is None:
        return Check(name="journal", ok=False, detail="nothing stands in it", limit=limit, unit="seconds")
    # Both: after the wall clock was ahead for a moment, records bear that time until it is reached again.
    silent = max(0, facts.now - facts.journal.newest_at, facts.journal.still_ms or 0) / 1000
    ok = silent <= limit
    detail = "is being written" if ok else "nothing was written for too long: is the pipeline running?"
    return Check(name="journal", ok=ok, detail=detail, value=silent, limit=limit, unit="seconds")


def _watch(facts: Facts, limits: Limits) -> Check:
    limit = limits.lag_ms / 1000
    records, lag = facts.lag_records, facts.lag_ms
    if lag is None:
        detail = "its position is not known" if records is None else f"has not begun; {records} records wait"
        return Check(name="watch", ok=False, detail=detail, limit=limit, unit="seconds")
    detail = f"{records} records behind the journal"
    return Check(
        name="watch", ok=lag <= limits.lag_ms, detail=detail, value=lag / 1000, limit=limit, unit="seconds"
    )


def _source(status: SourceStatus, now: int) -> Check:
    ok = status.state in ("ok", "limited")
    age = (now - status.last_ok_at) / 1000 if status.last_ok_at else None
    words = ": ".join(filter(None, (status.state, status.reason, status.detail)))
    return Check(
        name=f"source:{status.source}",
        ok=ok,
        detail="; ".join(filter(None, (words, status.history))),
        value=age,
        unit="" if age is None else "seconds",
    )


def _outbox(facts: Facts) -> Check:
    """For information: a channel that is down must not take the watcher out of service."""
    assert facts.store is not None
    waiting = sum(facts.store.counts.outbox.get(state, 0) for state in ("queued", "leased", "retrying"))
    due = facts.store.next_due
    overdue = max(0, facts.now - due) / 1000 if due is not None else 0.0
    return Check(name="outbox", ok=True, detail=f"{waiting} deliveries wait", value=overdue, unit="seconds")
