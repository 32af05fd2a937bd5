"""GET /api/v1/deliveries and /sources: who was told, and what can be seen."""

from __future__ import annotations

import re
from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from cryptowatcher.domain.deliveries import DeliveryState
from cryptowatcher.web.alerts import ALERT_ID, Before, Limit, check_id
from cryptowatcher.web.answers import Deliveries, Sources, delivery_answer, source_answer
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented

AlertFilter = Annotated[str | None, QueryParameter(max_length=300, description="an alert's id")]
StateFilter = Annotated[DeliveryState | None, QueryParameter(name="state", description="only these")]

_DELIVERY_ID = re.compile(ALERT_ID.pattern + r"~.+")


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
    check_id("before", before, _DELIVERY_ID)
    check_id("alert", alert, ALERT_ID)
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
