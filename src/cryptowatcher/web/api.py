"""The HTTP face as one Litestar application. No part of it is found by import: all routes stand here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Litestar, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Reference, SecurityScheme

from cryptowatcher.web import (
    alerts,
    channels,
    coverage,
    exchange,
    health,
    history,
    language,
    market,
    metrics,
    moves,
    one_alert,
    overview,
    preferences,
    preview,
    push,
    rule_list,
    rules,
    scores,
    series,
    stream,
    summary,
    system,
    watchlists,
    why,
)
from cryptowatcher.web.accounts import cookies, links, sessions, tokens, users
from cryptowatcher.web.accounts.access import Access, Who, check_routes
from cryptowatcher.web.accounts.cookies import Connection
from cryptowatcher.web.deps import Limits, WebDeps
from cryptowatcher.web.describing import PlainDocs
from cryptowatcher.web.disk import DiskLook
from cryptowatcher.web.edge import Door, Edge
from cryptowatcher.web.facts import RecentCounts
from cryptowatcher.web.page import Page, asset, page, service_worker, static
from cryptowatcher.web.problems import HANDLERS
from cryptowatcher.web.requests import ApiRequest, known_parameters_only

__all__ = ["Kept", "Limits", "WebDeps", "build", "over"]

API = (
    market.prices,
    market.price,
    market.candles,
    series.series,
    moves.move,
    overview.market,
    rule_list.rules_in_short,
    rule_list.change_several,
    exchange.export_rules,
    exchange.import_rules,
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
    language.what_is_spoken,
    language.check_rule,
    preview.preview_rule,
    preview.preview_saved,
    why.why_not,
    scores.score,
    scores.scores,
    scores.strategies,
    alerts.alerts,
    one_alert.one_alert,
    alerts.acknowledge_alert,
    alerts.acknowledge_alerts,
    history.deliveries,
    channels.channels,
    channels.channel_kinds,
    channels.put_channel,
    channels.remove_channel,
    channels.try_channel,
    push.push_key,
    channels.test_channel,
    channels.preview_message,
    channels.retry_delivery,
    preferences.preferences,
    preferences.put_preferences,
    history.sources,
    system.system,
    system.doctor,
    coverage.coverage,
    summary.summary_so_far,
    stream.stream,
    sessions.session,
    sessions.log_in,
    sessions.log_out,
    sessions.log_out_everywhere,
    sessions.sessions,
    sessions.end_session,
    sessions.change_password,
    tokens.tokens,
    tokens.make_token,
    tokens.end_token,
    links.look_at_link,
    links.use_link,
    links.invitations,
    links.invite,
    links.remove_invitation,
    users.users,
    users.change_user,
    users.remove_user,
    users.reset_password,
)

_DESCRIPTION = (
    "Prices, rules and alerts. A pair is written asset/currency with CoinGecko ids (bitcoin/usd); in a path it is "
    "two segments. Times are epoch milliseconds, UTC. Errors are RFC 9457 problem details. Programs send a token; "
    "rules, lists, alerts and deliveries are those of whoever asks."
)

_SCHEMES: dict[str, SecurityScheme | Reference] = {
    "token": SecurityScheme(type="http", scheme="bearer", description="a token of an account: cw_…"),
    "session": SecurityScheme(
        type="apiKey", name=cookies.NAME, security_scheme_in="cookie", description="set by logging in"
    ),
}


class Kept:
    """What one application keeps beside its routes, for as long as it runs."""

    def __init__(self, deps: WebDeps) -> None:
        self.access = Access(deps)
        self.meter = metrics.Meter()
        self.door = Door.to(deps.hosts, meter=self.meter, clock=deps.clock)
        self.recent = RecentCounts()
        self.look = DiskLook()
        self.overview = overview.Overview()
        self.standing = system.System()
        self.covered = coverage.Coverages()
        self.built = Page(deps.page_dir)
        self.recollection = why.Recollection()
        self.book = scores.ScoreBook()
        self.turns = preview.Turns()
        self.looks = preview.Turns()


def build(deps: WebDeps) -> Litestar:
    """The application. Its jobs (following the journal, ending streams) belong to the program, not to it."""
    kept = Kept(deps)
    return over(lambda: kept, version=deps.version, body_bytes=deps.limits.body_bytes)


def over(kept: Callable[[], Kept], *, version: str, body_bytes: int) -> Litestar:
    """The routes over whatever is kept when something is asked: reading them takes longer than most answers."""

    async def let_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        await kept().access.let_in(connection, handler)

    async def given(request: Connection) -> WebDeps:
        return await kept().access.given(request)

    def asking(request: Connection) -> Who:
        return kept().access.asking(request)

    app = Litestar(
        route_handlers=[
            Router("/api/v1", route_handlers=API, guards=[known_parameters_only]),
            health.live,
            health.ready,
            metrics.metrics,
            page,
            asset,
            static,
            service_worker,
        ],
        dependencies={
            "deps": Provide(given),
            "who": Provide(asking, sync_to_thread=False),
            "meter": _given(lambda: kept().meter),
            "recent": _given(lambda: kept().recent),
            "look": _given(lambda: kept().look),
            "overview": _given(lambda: kept().overview),
            "standing": _given(lambda: kept().standing),
            "covered": _given(lambda: kept().covered),
            "built": _given(lambda: kept().built),
            "recollection": _given(lambda: kept().recollection),
            "book": _given(lambda: kept().book),
            "turns": _given(lambda: kept().turns),
            "looks": _given(lambda: kept().looks),
        },
        guards=[let_in],
        exception_handlers=HANDLERS,
        openapi_config=_described(version),
        request_class=ApiRequest,
        request_max_body_size=body_bytes,
        logging_config=None,
    )
    check_routes(app)
    app.asgi_handler = Edge(app.asgi_handler, lambda: kept().door)
    return app


def _described(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="cryptowatcher",
        version=version,
        description=_DESCRIPTION,
        openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, opt={"needs": "viewer"}),
        operation_id_creator=lambda handler, *_: handler.handler_name,
        components=Components(security_schemes=_SCHEMES),
        render_plugins=[PlainDocs(), JsonRenderPlugin()],
    )


def _given(kept: Callable[[], Any]) -> Provide:
    """The same object for every request of an application."""
    return Provide(kept, sync_to_thread=False)
