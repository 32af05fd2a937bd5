"""What GET /api/v1/system and GET /api/v1/doctor answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.domain.findings import State
from cryptowatcher.domain.rules.model import RuleState
from cryptowatcher.web.answers import Millis, PairName, SourceAnswer
from cryptowatcher.web.past_hour import Duration

VerdictKind = Literal[
    "watched", "starting", "limited", "unsent", "room", "pairs_blind", "blind", "silent", "broken"
]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The one thing to know.

    kind:   watched: every pair; starting: no source has answered yet; limited: a source gives no new prices, and
            the last ones count; unsent: messages wait too long; room: the disk is nearly full; pairs_blind:
            `count` pairs are not seen; blind: none is; silent: the pipeline says nothing; broken: a check of
            health failed
    detail: why, in words; empty where there is nothing to say
    todo:   what to do, in words
    """

    kind: VerdictKind
    count: int = 0
    since_ms: Millis | None = None
    detail: str = ""
    todo: str = ""


class SystemCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One of those of /health/ready. `todo`: what to do, where it failed."""

    name: str
    ok: bool
    detail: str
    value: float | None
    limit: float | None
    unit: str
    todo: str


class SourceHere(msgspec.Struct, frozen=True, kw_only=True):
    """A source. `blind_pairs` of `status` is empty here: they are in `blind` of the answer.

    age_p50_ms, age_p99_ms: of its newest prices, how old they were when they came; null: it has none
    journaled: how long it took from an answer to its place in the journal, in the last hour
    asked:     how its calls of the last hour ended: `ok`, or why not → how often
    rejected:  observations of the last hour that did not count, by why
    todo:      what to do, where it is not ok
    """

    status: SourceAnswer
    age_p50_ms: int | None
    age_p99_ms: int | None
    journaled: Duration | None
    asked: dict[str, int]
    rejected: dict[str, int]
    todo: str


class BlindAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that cannot be seen now; `why` in words."""

    pair: PairName
    since_ms: Millis
    source: str
    reason: str
    why: str


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """Now, in ms (null: not known): journal, since its newest record; watch, how far behind that; notify, how long
    the earliest due message waits. And of the last hour: `journaled` from an answer to the journal, `stepped` a
    block of records through the rules, `stored` a commit, `sent` from an alert to its receipt, `whole_way` the
    canary's round."""

    journal_ms: int | None
    watch_ms: int | None
    watch_records: int | None
    notify_ms: int
    journaled: Duration | None
    stepped: Duration | None
    stored: Duration | None
    sent: Duration | None
    whole_way: Duration | None


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes; null: not known. `files`: with what was not yet copied into them. `store_a_day`: as it grew since
    this was first asked; `full_at_ms` null: not at this pace. `keep_…`: how long what is kept."""

    files: dict[str, int]
    free: int | None
    size: int | None
    store_a_day: float | None
    full_at_ms: Millis | None
    oldest_record_ms: Millis | None
    keep_journal_ms: int
    keep_journal_bytes: int
    keep_minutes_ms: int
    keep_alerts_ms: int
    backup_at_ms: Millis | None


class DeadMan(msgspec.Struct, frozen=True, kw_only=True):
    """The canary goes the whole way every `every_ms`. `tells`: a service outside is told of each round; `ended`:
    how the last hour's rounds did. `ok` null: it is not known yet."""

    every_ms: int
    tells: bool
    last_round_ms: Millis | None
    ok: bool | None
    ended: dict[str, int]


class SystemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`blind`: at most 500 of `blind_count`, the longest first. `left`: pairs that are not listed any more.
    `dead_man` null: no canary goes round. `started_at_ms` null: the pipeline has not said."""

    at_ms: Millis
    verdict: Verdict
    checks: list[SystemCheck]
    sources: list[SourceHere]
    current: int
    blind: list[BlindAnswer]
    blind_count: int
    left: int
    held: int
    lags: Lags
    rules: dict[RuleState, int]
    alerts: int
    deliveries: dict[DeliveryState, int]
    troubles: dict[str, str]
    restarts: dict[str, int]
    storage: Storage
    dead_man: DeadMan | None
    versions: dict[str, str]
    started_at_ms: Millis | None


class FindingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of `cryptowatcher doctor`. `todo`: what to do about it; empty when it is ok."""

    section: str
    name: str
    state: State
    said: str
    todo: str


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of the checks."""

    items: list[FindingAnswer]
