"""The HTTP face as one Litestar application. No part of it is found by import: all routes stand here."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
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
from cryptowatcher.web.accounts.access import Access, check_routes
from cryptowatcher.web.deps import Limits, WebDeps
from cryptowatcher.web.describing import PlainDocs
from cryptowatcher.web.disk import DiskLook
from cryptowatcher.web.edge import Edge
from cryptowatcher.web.facts import RecentCounts
from cryptowatcher.web.page import Page, asset, page, service_worker, static
from cryptowatcher.web.problems import HANDLERS
from cryptowatcher.web.requests import ApiRequest, known_parameters_only

__all__ = ["Limits", "WebDeps", "build"]

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


def build(deps: WebDeps) -> Litestar:
    """The application. Its jobs (following the journal, ending streams) belong to the program, not to it."""
    meter, access = metrics.Meter(), Access(deps)
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
            "deps": Provide(access.given),
            "who": Provide(access.asking, sync_to_thread=False),
            "meter": _given(meter),
            "recent": _given(RecentCounts()),
            "look": _given(DiskLook()),
            "overview": _given(overview.Overview()),
            "standing": _given(system.System()),
            "covered": _given(coverage.Coverages()),
            "built": _given(Page(deps.page_dir)),
            "recollection": _given(why.Recollection()),
            "book": _given(scores.ScoreBook()),
            "turns": _given(preview.Turns()),
            "looks": _given(preview.Turns()),
        },
        guards=[access.let_in],
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(
            title="cryptowatcher",
            version=deps.version,
            description=_DESCRIPTION,
            openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, opt={"needs": "viewer"}),
            operation_id_creator=lambda handler, *_: handler.handler_name,
            components=Components(security_schemes=_SCHEMES),
            render_plugins=[PlainDocs(), JsonRenderPlugin()],
        ),
        request_class=ApiRequest,
        request_max_body_size=deps.limits.body_bytes,
        logging_config=None,
    )
    check_routes(app)
    app.asgi_handler = Edge(app.asgi_handler, hosts=deps.hosts, meter=meter, clock=deps.clock)
    return app


def _given(value: Any) -> Provide:
    """The same object for every request."""
    return Provide(lambda: value, sync_to_thread=False)
