"""/health/live: this process answers. /health/ready: the watcher watches, or which part does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from cryptowatcher.domain.status import SourceStatus
from cryptowatcher.web.deps import Deps, Limits
from cryptowatcher.web.facts import Facts, Recent, gather


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


@get("/health/live", summary="This process answers", tags=["health"])
async def live(deps: Deps) -> Health:
    return Health(status="ok", version=deps.version, checks=[])


@get(
    "/health/ready",
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
    yield _store(facts)
    yield _journal(facts, limits)
    yield _watch(facts, limits)
    if facts.store is None:
        return
    if not facts.store.sources:
        yield Check(name="sources", ok=False, detail="no source has reported yet")
    yield from (_source(status, facts.now) for status in facts.store.sources)
    yield _outbox(facts)


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
    words = [status.state, status.reason, status.detail]
    return Check(
        name=f"source:{status.source}",
        ok=ok,
        detail=": ".join(word for word in words if word),
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
