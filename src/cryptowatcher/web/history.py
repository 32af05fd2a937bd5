"""GET /api/v1/alerts, /deliveries and /sources: what happened, who was told, and what can be seen."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import PathParameter, QueryParameter

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import (
    AlertInList,
    Alerts,
    Deliveries,
    Millis,
    Sources,
    delivery_answer,
    listed_alert,
    source_answer,
)
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import bad_parameter, documented, not_found

Limit = Annotated[int, QueryParameter(ge=1, le=1_000, description="rows at most")]
Before = Annotated[
    str | None, QueryParameter(max_length=300, description="only ids before this one: the last page's `next`")
]
RuleFilter = Annotated[str | None, QueryParameter(max_length=300, description="a rule's id or name")]
PairFilter = Annotated[str | None, QueryParameter(max_length=300, description="asset/currency")]
AlertFilter = Annotated[str | None, QueryParameter(max_length=300, description="an alert's id")]
StateFilter = Annotated[DeliveryState | None, QueryParameter(name="state", description="only these")]
AlertId = Annotated[str, PathParameter(description="an alert's id")]

_EARLIER = 10
_ALERT_ID = re.compile(r"[0-9a-f]{11}-[0-9a-f]{20}")
_DELIVERY_ID = re.compile(_ALERT_ID.pattern + r"~.+")


class EarlierAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the same rule for the same pair. Its condition may have been another, in an earlier version."""

    id: str
    version: int
    condition: str
    event_time_ms: Millis
    price: float
    value: float


class AlertInFull(AlertInList, frozen=True, kw_only=True):
    """`earlier`: what happened the last times, newest first, 10 at most."""

    earlier: list[EarlierAlert]


@get("/alerts", needs="viewer", responses=documented(400), summary="Alerts, newest first", tags=["alerts"])
async def alerts(
    deps: Deps,
    limit: Limit = 100,
    before: Before = None,
    rule: RuleFilter = None,
    pair: PairFilter = None,
) -> Alerts:
    _check_id("before", before, _ALERT_ID)
    if pair is not None:
        _check_pair_filter(pair)

    def read(tx: Tx) -> tuple[list[Alert], dict[str, int]]:
        named = tx.rule(deps.owner, rule) if rule else None
        # A removed rule is no longer known, but its alerts are, by its id.
        id_ = named.id if named else rule
        found = tx.alerts(deps.owner, limit=limit, before=before, rule=id_, pair=pair)
        if rule is not None and not (named or found or before):
            raise bad_parameter("rule", f"there is no rule {rule!r}", hint="GET /api/v1/rules lists them")
        return found, tx.acknowledged([alert.id for alert in found])

    found, seen = await deps.asked.run(read)
    return Alerts(
        items=[listed_alert(alert, seen) for alert in found],
        next=found[-1].id if len(found) == limit else None,
    )


@get(
    "/alerts/{alert:str}",
    needs="viewer",
    responses=documented(400, 404),
    summary="One alert",
    description="With the alerts of the same rule for the same pair that came before it: what happened the last "
    "times.",
    tags=["alerts"],
)
async def one_alert(deps: Deps, alert: AlertId) -> AlertInFull:
    def read(tx: Tx) -> tuple[AlertInList, list[Alert]]:
        this = _existing(tx, deps.owner, alert)
        earlier = tx.alerts(deps.owner, limit=_EARLIER, before=this.id, rule=this.rule, pair=this.pair)
        return listed_alert(this, tx.acknowledged([this.id])), earlier

    this, earlier = await deps.asked.run(read)
    return AlertInFull(
        **msgspec.structs.asdict(this),
        earlier=[
            EarlierAlert(
                id=each.id,
                version=each.version,
                condition=each.condition,
                event_time_ms=each.event_time,
                price=each.price,
                value=each.value,
            )
            for each in earlier
        ],
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
        this = _existing(tx, deps.owner, alert)
        tx.acknowledge(deps.owner, [this.id], now)
        return listed_alert(this, tx.acknowledged([this.id]))

    return await deps.store.run(write)


@get(
    "/deliveries",
    needs="viewer",
    responses=documented(400),
    summary="Deliveries with their receipts, newest first",
    tags=["alerts"],
)
async def deliveries(
    deps: Deps,
    limit: Limit = 100,
    before: Before = None,
    delivery_state: StateFilter = None,
    alert: AlertFilter = None,
) -> Deliveries:
    _check_id("before", before, _DELIVERY_ID)
    _check_id("alert", alert, _ALERT_ID)
    found = await deps.asked.run(
        lambda tx: tx.deliveries(deps.owner, limit=limit, before=before, state=delivery_state, alert=alert)
    )
    return Deliveries(
        items=[delivery_answer(delivery) for delivery in found],
        next=found[-1].id if len(found) == limit else None,
    )


@get(
    "/sources",
    needs="viewer",
    responses=documented(400),
    summary="What each source can see, and its budget",
    tags=["market"],
)
async def sources(deps: Deps) -> Sources:
    found = await deps.asked.run(lambda tx: tx.source_statuses())
    return Sources(items=[source_answer(status) for status in sorted(found, key=lambda status: status.source)])


def _existing(tx: Tx, owner: str, alert: str) -> Alert:
    # `!` sorts before all that an id consists of: the newest id before `id!` is this one or it is not there
    found = tx.alerts(owner, limit=1, before=f"{alert}!") if _ALERT_ID.fullmatch(alert) else []
    if not found or found[0].id != alert:
        raise not_found(f"there is no alert {alert!r}")
    return found[0]


def _check_id(name: str, text: str | None, shape: re.Pattern[str]) -> None:
    """A 400 for what no id can look like: as a place in a list it would silently mean another one."""
    if text is not None and not shape.fullmatch(text):
        kind = "an alert's" if shape is _ALERT_ID else "a delivery's"
        raise bad_parameter(name, f"{text!r} is not {kind} id", hint="take it from `id` or `next` of an answer")


def _check_pair_filter(pair: str) -> None:
    """A 400 that says how one is written."""
    try:
        check_pair(pair)
    except ConfigError as error:
        hint = error.hint if "/" in pair or not pair else f"did you mean {pair + '/usd'!r}? {error.hint}"
        raise bad_parameter("pair", error.message, hint=hint) from None
