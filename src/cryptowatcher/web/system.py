"""GET /api/v1/system: what the watcher can see and what it cannot, and what to do about it, in one answer. And
GET /api/v1/doctor: what `cryptowatcher doctor` finds."""

from __future__ import annotations

import asyncio
import platform

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.findings import Told, about_check, about_pair, about_source
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.standing import Sighting, full_in, sighting
from cryptowatcher.domain.status import Price, SourceStatus
from cryptowatcher.web.answers import source_answer
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.disk import Disk, DiskLook, Look
from cryptowatcher.web.facts import Facts, Recent, RecentCounts, gather
from cryptowatcher.web.health import Check, checks_of
from cryptowatcher.web.problems import Problem, documented
from cryptowatcher.web.system_answers import (
    BlindAnswer,
    DeadMan,
    FindingAnswer,
    Findings,
    Lags,
    SourceHere,
    Storage,
    SystemAnswer,
    SystemCheck,
    Verdict,
    VerdictKind,
)

FRESH_MS = 1_000
MOST_BLIND = 500
LITTLE_ROOM = 500_000_000
"""Bytes."""
_LATE_MS = 60_000
"""A delivery that is due for longer is in trouble."""
_PACE_AFTER = MS["h"]


class System:
    """The newest answer, and how the store has grown since the first. One for an application."""

    def __init__(self) -> None:
        self._answer: SystemAnswer | None = None
        self._turn = asyncio.Lock()
        self._first: tuple[int, int] | None = None
        self.examining = asyncio.Lock()

    async def __call__(self, deps: WebDeps, recent: RecentCounts, look: DiskLook) -> SystemAnswer:
        async with self._turn:  # who comes while it is worked out waits for the same answer
            now = deps.clock.now()
            if self._answer is None or not 0 <= now - self._answer.at_ms < FRESH_MS:
                facts, disk = await asyncio.gather(gather(deps, recent), look(deps))
                self._answer = _told(deps, facts, disk, self.pace(disk, now))
            return self._answer

    def pace(self, disk: Disk | None, now: int) -> float | None:
        """Bytes a day by which the store has grown; None when that was not seen for long enough."""
        size = _bytes(disk).get("store")
        if size is None:
            return None
        self._first = self._first or (now, size)
        at, before = self._first
        return (size - before) / (now - at) * MS["d"] if now - at >= _PACE_AFTER else None


Standing = NamedDependency[SkipValidation[System]]
"""How a route handler names it: `standing: Standing`."""


@get(
    "/system",
    needs="viewer",
    responses=documented(400),
    summary="What the watcher sees, what it does not, and what to do",
    description="May be a second old, and what goes through whole tables five. "
    "Counts are of everybody's rules and messages; nothing of theirs is in it.",
    tags=["system"],
)
async def system(deps: Deps, recent: Recent, look: Look, standing: Standing) -> SystemAnswer:
    return await standing(deps, recent, look)


@get(
    "/doctor",
    needs="admin",
    responses=documented(400, 401, 403, 409),
    summary="What `cryptowatcher doctor --offline` finds",
    description="Files, disk, settings. Nothing is changed, and nobody outside is asked.",
    tags=["system"],
)
async def doctor(deps: Deps, standing: Standing) -> Findings:
    if deps.examine is None:
        raise Problem(409, "this page cannot look: run `cryptowatcher doctor` where the watcher runs")
    async with standing.examining:  # one at a time: it reads whole files
        found = await asyncio.to_thread(deps.examine)
    return Findings(items=[_finding(told) for told in found])


def _finding(told: Told) -> FindingAnswer:
    return FindingAnswer(section=told.section, name=told.name, state=told.state, said=told.said, todo=told.todo)


def _told(deps: WebDeps, facts: Facts, disk: Disk | None, pace: float | None) -> SystemAnswer:
    statuses = facts.store.sources if facts.store else []
    prices = facts.store.counts.prices if facts.store else []
    seen = sighting(prices, statuses, facts.now)
    checks = list(checks_of(facts, deps.limits))
    storage = _storage(deps, facts, disk, pace)
    started = deps.past_hour.latest("pipeline_start_timestamp_seconds")
    return SystemAnswer(
        at_ms=facts.now,
        verdict=_verdict(deps, facts, checks, seen, storage),
        checks=[_check(check) for check in checks],
        sources=[_source(deps, status, prices) for status in statuses],
        current=seen.current,
        blind=[
            BlindAnswer(
                pair=each.pair,
                since_ms=each.since,
                source=each.source,
                reason=each.reason,
                why=about_pair(each.reason),
            )
            for each in seen.blind[:MOST_BLIND]
        ],
        blind_count=len(seen.blind),
        left=seen.left,
        held=sum(status.held for status in statuses),
        lags=_lags(deps, facts),
        rules=facts.store.counts.rules if facts.store else {},
        alerts=facts.store.counts.alerts if facts.store else 0,
        deliveries=facts.store.counts.outbox if facts.store else {},
        troubles=facts.pulse.troubles if facts.pulse else {},
        restarts=deps.past_hour.grown("job_restarts_total"),
        storage=storage,
        dead_man=_dead_man(deps, facts.now),
        versions={"cryptowatcher": deps.version, "Python": platform.python_version(), **deps.versions},
        started_at_ms=None if started is None else round(started * 1000),
    )


def _verdict(deps: WebDeps, facts: Facts, checks: list[Check], seen: Sighting, storage: Storage) -> Verdict:
    if facts.pulse is not None and facts.pulse_age > deps.limits.pulse_seconds:
        since = facts.now - round(facts.pulse_age * 1000)
        return Verdict(kind="silent", since_ms=since, todo=about_check("pipeline"))
    for check in checks:
        if not check.ok and not check.name.startswith("source"):
            detail = f"{check.name}: {check.detail}"
            return Verdict(kind="broken", detail=detail, todo=about_check(check.name))
    statuses = facts.store.sources if facts.store else []
    worst = next((status for state in ("blind", "limited") for status in statuses if status.state == state), None)
    detail = f"{worst.source}: {worst.detail or worst.reason}" if worst else ""
    todo = about_source(worst.reason) if worst else ""
    if seen.blind or (worst is not None and worst.state == "blind"):
        first = seen.blind[0].since if seen.blind else worst.since if worst else None
        kind: VerdictKind = "pairs_blind" if seen.current and seen.blind else "blind"
        return Verdict(kind=kind, count=len(seen.blind), since_ms=first, detail=detail, todo=todo)
    if worst is not None:
        return Verdict(kind="limited", since_ms=worst.since, detail=detail, todo=todo)
    if not seen.current:
        return Verdict(kind="starting", todo="the first prices take some seconds")
    return _lesser(facts, seen, storage)


def _lesser(facts: Facts, seen: Sighting, storage: Storage) -> Verdict:
    """Everything is seen. Whether something else is to be known."""
    late = _overdue(facts)
    if late > _LATE_MS:
        todo = "the channels' page says which one fails, and why; it is tried again by itself"
        return Verdict(kind="unsent", since_ms=facts.now - late, todo=todo)
    if storage.free is not None and storage.free < LITTLE_ROOM:
        todo = "make room, or keep less: [keep] journal_size. When the disk is full nothing is accepted any more"
        return Verdict(kind="room", count=storage.free, todo=todo)
    return Verdict(kind="watched", count=seen.current)


def _check(check: Check) -> SystemCheck:
    reason = check.detail.partition(": ")[2].partition(":")[0]
    about = about_source(reason) if check.name.startswith("source:") else about_check(check.name)
    return SystemCheck(**msgspec.structs.asdict(check), todo="" if check.ok else about)


def _source(deps: WebDeps, status: SourceStatus, prices: list[Price]) -> SourceHere:
    ages = sorted(max(0, each.received_at - each.observed_at) for each in prices if each.source == status.source)
    return SourceHere(
        status=source_answer(msgspec.structs.replace(status, blind_pairs=())),
        age_p50_ms=ages[len(ages) // 2] if ages else None,
        age_p99_ms=ages[len(ages) * 99 // 100] if ages else None,
        journaled=deps.past_hour.duration("tick_lag_seconds", source=status.source),
        asked=deps.past_hour.grown("source_requests_total", source=status.source),
        rejected=deps.past_hour.grown("ticks_rejected_total", source=status.source),
        todo="" if status.state == "ok" else about_source(status.reason),
    )


def _lags(deps: WebDeps, facts: Facts) -> Lags:
    hour, journal = deps.past_hour, facts.journal
    silent = None if journal is None or journal.newest_at is None else max(0, facts.now - journal.newest_at)
    return Lags(
        journal_ms=silent,
        watch_ms=facts.lag_ms,
        watch_records=facts.lag_records,
        notify_ms=_overdue(facts),
        journaled=hour.duration("tick_lag_seconds"),
        stepped=hour.duration("watch_step_duration_seconds"),
        stored=hour.duration("commit_duration_seconds", file="store"),
        sent=hour.duration("alert_to_sent_seconds"),
        whole_way=hour.duration("canary_roundtrip_seconds"),
    )


def _overdue(facts: Facts) -> int:
    """ms for which the earliest due message waits."""
    due = facts.store.next_due if facts.store else None
    return max(0, facts.now - due) if due is not None else 0


def _storage(deps: WebDeps, facts: Facts, disk: Disk | None, pace: float | None) -> Storage:
    files, journal = _bytes(disk), facts.journal
    oldest = journal.oldest_at if journal else None
    span = journal.newest_at - oldest if journal and journal.newest_at and oldest else 0
    wait = None
    if disk is not None and disk.free is not None:
        journal_size = files.get("journal", 0)
        wait = full_in(disk.free, journal=journal_size, span=span, keep=deps.keep, store_a_day=pace or 0.0)
    return Storage(
        files=files,
        free=disk.free if disk else None,
        size=disk.size if disk else None,
        store_a_day=pace,
        full_at_ms=None if wait is None else facts.now + wait,
        oldest_record_ms=oldest,
        keep_journal_ms=deps.keep.journal,
        keep_journal_bytes=deps.keep.journal_size,
        keep_minutes_ms=deps.keep.minutes,
        keep_alerts_ms=deps.keep.alerts,
        backup_at_ms=disk.backup_at if disk else None,
    )


def _bytes(disk: Disk | None) -> dict[str, int]:
    return {name: sizes.file + sizes.wal for name, sizes in disk.files.items()} if disk else {}


def _dead_man(deps: WebDeps, now: int) -> DeadMan | None:
    if deps.canary is None:
        return None
    last = deps.past_hour.latest("canary_last_success_timestamp_seconds")
    since = last or deps.past_hour.latest("pipeline_start_timestamp_seconds")
    fresh = since is not None and now - since * 1000 < 3 * deps.canary.every
    return DeadMan(
        every_ms=deps.canary.every,
        tells=deps.canary.tells,
        last_round_ms=None if last is None else round(last * 1000),
        ok=None if last is None and (fresh or since is None) else fresh,
        ended=deps.past_hour.grown("delivery_attempts_total", channel="canary"),
    )
