"""GET /api/v1/alerts, /deliveries and /sources: what happened, who was told, and what can be seen."""

from __future__ import annotations

import re
from typing import Annotated

from litestar import get
from litestar.params import PathParameter, QueryParameter

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.web.answers import (
    AlertAnswer,
    Alerts,
    Deliveries,
    Sources,
    alert_answer,
    delivery_answer,
    source_answer,
)
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented, not_found

Limit = Annotated[int, QueryParameter(ge=1, le=1_000, description="rows at most")]
Before = Annotated[
    str | None, QueryParameter(max_length=300, description="only ids before this one: the last page's `next`")
]
RuleFilter = Annotated[str | None, QueryParameter(max_length=300, description="a rule's id")]
PairFilter = Annotated[str | None, QueryParameter(max_length=300, description="asset/currency")]
AlertFilter = Annotated[str | None, QueryParameter(max_length=300, description="an alert's id")]
StateFilter = Annotated[DeliveryState | None, QueryParameter(name="state", description="only these")]
AlertId = Annotated[str, PathParameter(description="an alert's id")]

_ALERT_ID = re.compile(r"[0-9a-f]{11}-[0-9a-f]{20}")


@get("/alerts", responses=documented(400), summary="Alerts, newest first", tags=["alerts"])
async def alerts(
    deps: Deps,
    limit: Limit = 100,
    before: Before = None,
    rule: RuleFilter = None,
    pair: PairFilter = None,
) -> Alerts:
    found = await deps.asked.run(
        lambda tx: tx.alerts(deps.owner, limit=limit, before=before, rule=rule, pair=pair)
    )
    return Alerts(
        items=[alert_answer(alert) for alert in found],
        next=found[-1].id if len(found) == limit else None,
    )


@get("/alerts/{alert:str}", responses=documented(404), summary="One alert", tags=["alerts"])
async def one_alert(deps: Deps, alert: AlertId) -> AlertAnswer:
    if not _ALERT_ID.fullmatch(alert):
        raise not_found(f"there is no alert {alert!r}")
    # `!` sorts before all that an id consists of: the newest id before `id!` is this one or it is not there
    found = await deps.asked.run(lambda tx: tx.alerts(deps.owner, limit=1, before=f"{alert}!"))
    if not found or found[0].id != alert:
        raise not_found(f"there is no alert {alert!r}")
    return alert_answer(found[0])


@get(
    "/deliveries",
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
    found = await deps.asked.run(
        lambda tx: tx.deliveries(deps.owner, limit=limit, before=before, state=delivery_state, alert=alert)
    )
    return Deliveries(
        items=[delivery_answer(delivery) for delivery in found],
        next=found[-1].id if len(found) == limit else None,
    )


@get("/sources", summary="What each source can see, and its budget", tags=["market"])
async def sources(deps: Deps) -> Sources:
    found = await deps.asked.run(lambda tx: tx.source_statuses())
    return Sources(items=[source_answer(status) for status in sorted(found, key=lambda status: status.source)])
