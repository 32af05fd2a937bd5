"""The HTTP face as one Litestar application. No part of it is found by import: all routes stand here."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from cryptowatcher.web import (
    channels,
    health,
    history,
    market,
    metrics,
    preview,
    rules,
    scores,
    stream,
    watchlists,
    why,
)
from cryptowatcher.web.deps import Limits, WebDeps
from cryptowatcher.web.disk import DiskLook
from cryptowatcher.web.edge import Edge
from cryptowatcher.web.facts import RecentCounts
from cryptowatcher.web.page import PlainDocs, page
from cryptowatcher.web.problems import HANDLERS
from cryptowatcher.web.requests import ApiRequest, known_parameters_only

__all__ = ["Limits", "WebDeps", "build"]

API = (
    market.prices,
    market.price,
    market.candles,
    rules.rules,
    rules.add_rule,
    rules.one_rule,
    rules.replace_rule,
    rules.remove_rule,
    rules.pause_rule,
    rules.resume_rule,
    rules.renew_rule,
    rules.snooze_rule,
    rules.wake_rule,
    watchlists.watchlists,
    watchlists.put_watchlist,
    watchlists.remove_watchlist,
    preview.preview_rule,
    preview.preview_saved,
    why.why_not,
    scores.score,
    history.alerts,
    history.one_alert,
    history.deliveries,
    channels.channels,
    channels.test_channel,
    channels.preview_message,
    channels.retry_delivery,
    history.sources,
    stream.stream,
)

_DESCRIPTION = (
    "Prices, rules and alerts. A pair is written asset/currency with CoinGecko ids (bitcoin/usd); in a path it is "
    "two segments. Times are epoch milliseconds, UTC. Errors are RFC 9457 problem details."
)


def build(deps: WebDeps) -> Litestar:
    """The application. Its jobs (following the journal, ending streams) belong to the program, not to it."""
    meter = metrics.Meter()
    app = Litestar(
        route_handlers=[
            Router("/api/v1", route_handlers=API, guards=[known_parameters_only]),
            health.live,
            health.ready,
            metrics.metrics,
            page,
        ],
        dependencies={
            "deps": _given(deps),
            "meter": _given(meter),
            "recent": _given(RecentCounts()),
            "look": _given(DiskLook()),
            "recollection": _given(why.Recollection()),
            "turns": _given(preview.Turns()),
        },
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(
            title="cryptowatcher",
            version=deps.version,
            description=_DESCRIPTION,
            path="/docs",
            operation_id_creator=lambda handler, *_: handler.handler_name,
            render_plugins=[PlainDocs(), JsonRenderPlugin()],
        ),
        request_class=ApiRequest,
        request_max_body_size=deps.limits.body_bytes,
        logging_config=None,
    )
    app.asgi_handler = Edge(app.asgi_handler, hosts=deps.hosts, meter=meter, clock=deps.clock)
    return app


def _given(value: Any) -> Provide:
    """The same object for every request."""
    return Provide(lambda: value, sync_to_thread=False)
