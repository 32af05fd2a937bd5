"""GET /api/v1/alerts: what happened, newest first, as it is asked for; and that somebody has seen it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Annotated, Any, Literal, get_args

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from cryptowatcher.domain.alerts import (
    NOTICES,
    SIGHTINGS,
    Advice,
    Alert,
    AlertKind,
    NoticeKind,
    first_id_at,
    is_condition,
)
from cryptowatcher.domain.outcomes import Outcome, OutcomeState, outcomes_of
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.texts import alert_text
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import AlertInList, Millis, listed_alert
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.market import parse_instant
from cryptowatcher.web.problems import bad_parameter, documented, not_found

Limit = Annotated[int, QueryParameter(ge=1, le=1_000, description="rows at most")]
Before = Annotated[
    str | None, QueryParameter(max_length=300, description="only ids before this one: the last page's `next`")
]
RuleFilter = Annotated[str | None, QueryParameter(max_length=300, description="a rule's id or name")]
PairFilter = Annotated[str | None, QueryParameter(max_length=300, description="asset/currency")]
AdviceName = Literal["buy", "sell", "info", "signal"]
AdviceFilter = Annotated[AdviceName | None, QueryParameter(description="signal: buy or sell")]
KindName = Literal["alert", "sight", "expiry", "summary", "resolved", "all"]
KindFilter = Annotated[
    KindName,
    QueryParameter(
        description="alert: conditions that turned true · sight: pairs that are not seen, or are again · expiry: "
        "rules that end · summary · resolved: what an alert told is over · all of these"
    ),
]
AckFilter = Annotated[
    bool | None, QueryParameter(description="true: only what was acknowledged; false: only what was not")
]
Moment = Annotated[
    str | None,
    QueryParameter(name="from", max_length=64, description="ISO 8601 (UTC where it names no zone) or epoch ms"),
]
Until = Annotated[str | None, QueryParameter(name="to", max_length=64, description="before this; as `from`")]
WithOutcomes = Annotated[bool, QueryParameter(description="say what the price did after each")]
AlertId = Annotated[str, PathParameter(description="an alert's id")]

ALERT_ID = re.compile(r"[0-9a-f]{11}-[0-9a-f]{20}")
AT_ONCE = 1_000
"""Alerts that are acknowledged in one transaction: whoever else writes comes in between."""
OUTCOMES_AT_ONCE = 50
"""Alerts of which it is looked up in one transaction what came after: whoever else asks comes in between."""

_CONDITIONS: tuple[AlertKind, ...] = get_args(AlertKind)
_EXPIRY: tuple[NoticeKind, ...] = ("expiring", "expired")
_KINDS: dict[KindName, tuple[AlertKind | NoticeKind, ...]] = {
    "alert": _CONDITIONS,
    "sight": SIGHTINGS,
    "expiry": _EXPIRY,
    "summary": ("summary",),
    "resolved": ("resolved",),
    "all": (*_CONDITIONS, *NOTICES),
}


class OutcomeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The price `after_ms` after an alert, which is at `at_ms`. `waiting`: that time has not come; `unknown`: the
    pair was not observed then, or its minutes are forgotten. `move` is a fraction of the alert's price; `worth`
    what following its advice gave, after fees; null where there is none."""

    after_ms: int
    at_ms: Millis
    state: OutcomeState
    price: float | None
    move: float | None
    worth: float | None


class AlertWithOutcomes(AlertInList, frozen=True, kw_only=True):
    """`outcomes`: what the price did an hour, a day and a week after; empty unless asked for."""

    outcomes: list[OutcomeAnswer]


class NoticeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes the way of alerts and is none, in words: that pairs are not seen (`blind`) or are again (`back`),
    that a rule ends (`expiring`, `expired`), what a day or a week brought (`summary`), that what an alert told is
    over (`resolved`). Its id is the `alert` of its deliveries. `rule` is empty where it is not about one."""

    id: str
    kind: NoticeKind
    event_time_ms: Millis
    at_ms: Millis
    rule: str
    rule_name: str
    title: str
    body: str


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `notices` are empty unless their `kind` is asked for; then they belong between the alerts of
    the same page, in order of id. `next` is the `before` of the page after this one, null at the end."""

    items: list[AlertWithOutcomes]
    notices: list[NoticeAnswer]
    next: str | None


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was seen: these alerts, or all up to one.

    alerts: ids · upto: an id: this one and all before it
    """

    alerts: Annotated[list[str], msgspec.Meta(max_length=AT_ONCE)] = []
    upto: str | None = None


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """How many were acknowledged now that were not before."""

    acknowledged: int


SeenBody = JSONBody[Seen]


@get("/alerts", needs="viewer", responses=documented(400), summary="Alerts, newest first", tags=["alerts"])
async def alerts(
    deps: Deps,
    limit: Limit = 100,
    before: Before = None,
    rule: RuleFilter = None,
    pair: PairFilter = None,
    advice: AdviceFilter = None,
    kind: KindFilter = "alert",
    acknowledged: AckFilter = None,
    begin: Moment = None,
    until: Until = None,
    outcomes: WithOutcomes = False,
) -> Alerts:
    check_id("before", before, ALERT_ID)
    if pair is not None:
        _check_pair_filter(pair)
    wanted: dict[str, Any] = {
        "before": _earlier(before, until),
        "since": None if begin is None else first_id_at(parse_instant(begin, "from")),
        "pair": pair,
        "advice": None if advice is None else _advice(advice),
        # A notice advises nothing and cannot be acknowledged.
        "kinds": _CONDITIONS if advice is not None or acknowledged is not None else _KINDS[kind],
        "acknowledged": acknowledged,
    }

    def read(tx: Tx) -> tuple[list[Alert], dict[str, int], tzinfo]:
        named = tx.rule(deps.owner, rule) if rule else None
        # A removed rule is no longer known, but its alerts are, by its id.
        found = tx.alerts(deps.owner, limit=limit, rule=named.id if named else rule, **wanted)
        if rule is not None and not (named or found or before):
            raise bad_parameter("rule", f"there is no rule {rule!r}", hint="GET /api/v1/rules lists them")
        zone = tx.reach(deps.setting, owner=deps.owner).wishes(deps.owner).zone
        return found, tx.acknowledged([alert.id for alert in found]), zone

    found, seen, zone = await deps.asked.run(read)
    fired = [alert for alert in found if is_condition(alert.kind)]
    after: dict[str, list[OutcomeAnswer]] = {}
    for begins in range(0, len(fired) if outcomes else 0, OUTCOMES_AT_ONCE):
        some, now = fired[begins : begins + OUTCOMES_AT_ONCE], deps.clock.now()
        after |= await deps.asked.run(partial(outcomes_by_id, found=some, now=now))
    return Alerts(
        items=[_listed(alert, seen, after) for alert in fired],
        notices=[_notice(alert, zone) for alert in found if not is_condition(alert.kind)],
        next=found[-1].id if len(found) == limit else None,
    )


@post(
    "/alerts/{alert:str}/ack",
    needs="user",
    status_code=200,
    responses=documented(400, 404),
    summary="Acknowledge an alert",
    description="You have seen it: there are no more reminders of it. Again changes nothing.",
    tags=["alerts"],
)
async def acknowledge_alert(deps: Deps, alert: AlertId) -> AlertInList:
    now = deps.clock.now()

    def write(tx: Tx) -> AlertInList:
        this = existing(tx, deps.owner, alert)
        tx.acknowledge(deps.owner, [this.id], now)
        return listed_alert(this, tx.acknowledged([this.id]))

    return await deps.store.run(write)


@post(
    "/alerts/ack",
    needs="user",
    status_code=200,
    responses=documented(400),
    summary="Acknowledge several alerts",
    description="Those named, or all up to one of them. Others' alerts and unknown ids are passed over.",
    tags=["alerts"],
)
async def acknowledge_alerts(deps: Deps, data: SeenBody) -> Acknowledged:
    check_id("upto", data.upto, ALERT_ID)
    now = deps.clock.now()
    new = await deps.store.run(lambda tx: tx.acknowledge(deps.owner, data.alerts, now)) if data.alerts else 0
    before = f"{data.upto}~" if data.upto else None  # `~` sorts behind all that an id consists of
    while before:
        some = await deps.store.run(partial(_acknowledge, owner=deps.owner, before=before, now=now))
        new += len(some)
        before = some[-1] if len(some) == AT_ONCE else None
    return Acknowledged(acknowledged=new)


def existing(tx: Tx, owner: str, alert: str) -> Alert:
    """Problem (404) where there is none."""
    found = tx.alerts_named([alert]).get(alert) if ALERT_ID.fullmatch(alert) else None
    if found is None or found.owner != owner or not is_condition(found.kind):
        raise not_found(f"there is no alert {alert!r}")
    return found


def outcomes_by_id(tx: Tx, found: Sequence[Alert], now: int) -> dict[str, list[OutcomeAnswer]]:
    """What the price did after each of these, by their ids."""
    seen = {price.pair: price.observed_at for price in tx.prices(sorted({alert.pair for alert in found}))}
    return {
        alert: [outcome_answer(each) for each in after]
        for alert, after in outcomes_of(found, tx.closes, seen=seen, now=now).items()
    }


def outcome_answer(outcome: Outcome) -> OutcomeAnswer:
    return OutcomeAnswer(
        after_ms=outcome.after,
        at_ms=outcome.at,
        state=outcome.state,
        price=outcome.price,
        move=outcome.move,
        worth=outcome.worth,
    )


def check_id(name: str, text: str | None, shape: re.Pattern[str]) -> None:
    """A 400 for what no id can look like: as a place in a list it would silently mean another one."""
    if text is not None and not shape.fullmatch(text):
        kind = "an alert's" if shape is ALERT_ID else "a delivery's"
        raise bad_parameter(name, f"{text!r} is not {kind} id", hint="take it from `id` or `next` of an answer")


def _listed(alert: Alert, seen: Mapping[str, int], after: Mapping[str, list[OutcomeAnswer]]) -> AlertWithOutcomes:
    return AlertWithOutcomes(**msgspec.structs.asdict(listed_alert(alert, seen)), outcomes=after.get(alert.id, []))


def _notice(notice: Alert, zone: tzinfo) -> NoticeAnswer:
    text = alert_text(notice, now=notice.at, zone=zone)
    return NoticeAnswer(
        id=notice.id,
        kind=next(kind for kind in NOTICES if kind == notice.kind),
        event_time_ms=notice.event_time,
        at_ms=notice.at,
        rule=notice.rule,
        rule_name=notice.rule_name,
        title=text.title,
        body=text.body,
    )


def _acknowledge(tx: Tx, *, owner: str, before: str, now: int) -> list[str]:
    """The newest so many before that id which were not acknowledged, and are now."""
    found = tx.alerts(owner, limit=AT_ONCE, before=before, acknowledged=False)
    ids = [alert.id for alert in found]
    tx.acknowledge(owner, ids, now)
    return ids


def _advice(named: AdviceName) -> tuple[Advice, ...]:
    return ("buy", "sell") if named == "signal" else (named,)


def _earlier(before: str | None, until: str | None) -> str | None:
    """Both say where the list begins: whichever is earlier."""
    end = None if until is None else first_id_at(parse_instant(until, "to"))
    return min((each for each in (before, end) if each is not None), default=None)


def _check_pair_filter(pair: str) -> None:
    """A 400 that says how one is written."""
    try:
        check_pair(pair)
    except ConfigError as error:
        hint = error.hint if "/" in pair or not pair else f"did you mean {pair + '/usd'!r}? {error.hint}"
        raise bad_parameter("pair", error.message, hint=hint) from None
