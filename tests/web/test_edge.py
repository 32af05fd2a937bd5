"""Which requests are let in, whoever sends them, and how errors look. Who may do what: test_access.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.errors import Unavailable
from cryptowatcher.web.api import Limits
from cryptowatcher.web.edge import host_allowed, refusal
from tests.web.world import Broken, World, alert, price, rule, world

ALERT = alert()

ROUTES = {
    ("GET", "/"): ("/", 200),
    ("GET", "/docs"): ("/docs", 200),
    ("GET", "/docs/openapi.json"): ("/docs/openapi.json", 200),
    ("GET", "/docs/{path:str}"): ("/docs/nothing", 404),
    ("GET", "/health/live"): ("/health/live", 200),
    ("GET", "/health/ready"): ("/health/ready", 200),
    ("GET", "/metrics"): ("/metrics", 200),
    ("GET", "/api/v1/prices"): ("/api/v1/prices", 200),
    ("GET", "/api/v1/prices/{asset:str}/{currency:str}"): ("/api/v1/prices/bitcoin/usd", 200),
    ("GET", "/api/v1/candles/{asset:str}/{currency:str}"): ("/api/v1/candles/bitcoin/usd", 200),
    ("GET", "/api/v1/alerts"): ("/api/v1/alerts", 200),
    ("GET", "/api/v1/alerts/{alert:str}"): (f"/api/v1/alerts/{ALERT.id}", 200),
    ("GET", "/api/v1/deliveries"): ("/api/v1/deliveries", 200),
    ("POST", "/api/v1/deliveries/{delivery:str}/retry"): ("/api/v1/deliveries/none/retry", 404),
    ("GET", "/api/v1/channels"): ("/api/v1/channels", 200),
    ("POST", "/api/v1/channels/{name:str}/test"): ("/api/v1/channels/nobody/test", 404),
    ("POST", "/api/v1/channels/{name:str}/preview"): ("/api/v1/channels/ops/preview", 200),
    ("GET", "/api/v1/sources"): ("/api/v1/sources", 200),
    ("GET", "/api/v1/stream"): ("/api/v1/stream", 503),
    ("GET", "/api/v1/rules"): ("/api/v1/rules", 200),
    ("POST", "/api/v1/rules"): ("/api/v1/rules", 201),
    ("GET", "/api/v1/rules/{rule:str}"): ("/api/v1/rules/{id}", 200),
    ("PUT", "/api/v1/rules/{rule:str}"): ("/api/v1/rules/{id}", 200),
    ("DELETE", "/api/v1/rules/{rule:str}/snooze"): ("/api/v1/rules/{id}/snooze", 204),
    ("DELETE", "/api/v1/rules/{rule:str}"): ("/api/v1/rules/{id}", 204),
    ("POST", "/api/v1/rules/{rule:str}/pause"): ("/api/v1/rules/{id}/pause", 200),
    ("POST", "/api/v1/rules/{rule:str}/resume"): ("/api/v1/rules/{id}/resume", 200),
    ("GET", "/api/v1/watchlists"): ("/api/v1/watchlists", 200),
    ("PUT", "/api/v1/watchlists/{name:str}"): ("/api/v1/watchlists/mine", 200),
    ("DELETE", "/api/v1/watchlists/{name:str}"): ("/api/v1/watchlists/mine", 204),
    ("POST", "/api/v1/rules/preview"): ("/api/v1/rules/preview", 200),
    ("GET", "/api/v1/rules/{rule:str}/preview"): ("/api/v1/rules/{id}/preview?pair=bitcoin/usd", 200),
    ("GET", "/api/v1/rules/{rule:str}/score"): ("/api/v1/rules/{id}/score", 200),
    ("GET", "/api/v1/rules/{rule:str}/why"): ("/api/v1/rules/{id}/why?pair=bitcoin/usd", 200),
    ("POST", "/api/v1/rules/{rule:str}/renew"): ("/api/v1/rules/{id}/renew", 422),
    ("POST", "/api/v1/rules/{rule:str}/snooze"): ("/api/v1/rules/{id}/snooze", 200),
}
"""Routes, an address of each, and how it answers in a healthy world whose streams have just been closed."""

CHANGING = [key for key in ROUTES if key[0] != "GET"]


async def filled(here: World, client: httpx.AsyncClient) -> str:
    """A world in which every address of the table exists; the id of its rule."""
    await here.healthy()
    await here.append()
    await here.watched(alerts=[ALERT], prices=[price("bitcoin/usd", 1.0)])
    here.hub.close()
    return str((await client.post("/api/v1/rules", json=rule())).json()["id"])


def test_every_route_answers_as_the_table_says_with_safe_headers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            known = await filled(here, client)
            for (method, route), (path, status) in sorted(ROUTES.items(), key=lambda row: row[0][0] == "DELETE"):
                bodies: dict[str, object] = {
                    "pause": None,
                    "resume": None,
                    "renew": {"for": "30d"},
                    "snooze": {"for": "1h"},
                    "preview": {"when": "price > 1", "pair": "bitcoin/usd"},
                    "mine": {"pairs": []},
                    "/api/v1/channels/ops/preview": {},
                }
                said = bodies.get(path, bodies.get(path.rpartition("/")[2], rule()))
                body = said if method in ("POST", "PUT") else None
                answer = await client.request(method, path.replace("{id}", known), json=body)
                assert answer.status_code == status, (method, route, answer.text)
                safe(answer)

    asyncio.run(scenario())


def safe(answer: httpx.Response) -> None:
    """What every answer must carry."""
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "frame-ancestors 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers


def ask(tmp_path: Path, method: str, path: str, *, deps: dict[str, Any] | None = None, **request: Any) -> Any:
    """One request to an empty world."""

    async def scenario() -> httpx.Response:
        async with world(tmp_path) as here, here.client(**(deps or {})) as client:
            return await client.request(method, path, **request)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/api/v1/nothing", 404, "Not Found"),
        ("GET", "/%00/<script>", 404, "Not Found"),
        ("DELETE", "/api/v1/prices", 405, "Method Not Allowed"),
        ("BREW", "/api/v1/prices", 405, "Method Not Allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_too(
    tmp_path: Path, method: str, path: str, status: int, title: str
) -> None:
    answer = ask(tmp_path, method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["title"], body["type"]) == (status, title, "about:blank")
    safe(answer)


def test_a_bug_shows_nothing_of_the_inside(tmp_path: Path) -> None:
    answer = ask(tmp_path, "GET", "/api/v1/prices", deps={"store": Broken(ValueError("password=hunter2"))})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text
    assert "ValueError" not in answer.text
    safe(answer)


def test_a_store_that_cannot_answer_now_is_a_503_that_says_when(tmp_path: Path) -> None:
    busy = Broken(Unavailable("locked by /secret/path", reason="busy", retry_after=7))
    answer = ask(tmp_path, "GET", "/api/v1/prices", deps={"store": busy})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_that_was_made_to_point_here_is_not_answered(tmp_path: Path, host: str) -> None:
    answer = ask(tmp_path, "GET", "/api/v1/prices", headers={"host": host})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    safe(answer)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000", "192.168.1.7:8000"])
def test_this_machine_and_plain_addresses_are_answered(tmp_path: Path, host: str) -> None:
    assert ask(tmp_path, "GET", "/api/v1/prices", headers={"host": host}).status_code == 200


def test_a_configured_name_is_answered(tmp_path: Path) -> None:
    headers = {"host": "Watch.Home:8000"}
    assert (
        ask(tmp_path, "GET", "/api/v1/prices", deps={"hosts": ("watch.home",)}, headers=headers).status_code == 200
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"origin": "http://localhost:8000.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_sites_page_changes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            known = await filled(here, client)
            before = await here.store.run(lambda tx: tx.rule_changes(0))
            for method, route in CHANGING:
                path = ROUTES[method, route][0].replace("{id}", known)
                answer = await client.request(method, path, headers=headers, json=rule(name="other"))
                assert answer.status_code == 403, (method, route)
            assert await here.store.run(lambda tx: tx.rule_changes(0)) == before

    asyncio.run(scenario())


def test_the_own_page_may_change_rules(tmp_path: Path) -> None:
    headers = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    assert ask(tmp_path, "POST", "/api/v1/rules", headers=headers, json=rule(name="two")).status_code == 201


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_cannot_pass_for_json(tmp_path: Path, media_type: str) -> None:
    answer = ask(tmp_path, "POST", "/api/v1/rules", headers={"content-type": media_type}, content=b'{"name": "x"}')
    assert answer.status_code == 415


def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    limits = Limits(body_bytes=1000)
    answer = ask(tmp_path, "POST", "/api/v1/rules", deps={"limits": limits}, json=rule(name="x" * 2000))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


@given(st.text(max_size=60))
def test_any_host_header_is_decided_without_an_error(host: str) -> None:
    assert host_allowed(host, frozenset()) in (True, False)


@given(st.text(max_size=60))
def test_any_origin_header_is_decided_without_an_error(origin: str) -> None:
    decided = refusal("POST", {"host": "localhost", "origin": origin}, frozenset())
    assert (decided is None) == (origin.lower() in ("http://localhost", "https://localhost")) or "//" in origin
