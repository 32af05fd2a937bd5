"""Every route, and who may use it. A route without a row fails here, and so does a row without a route."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from cryptowatcher.domain.accounts import IDLE, LONGEST_SESSION, Role
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.web.accounts.access import check_routes
from cryptowatcher.web.api import build
from tests.web.people import Person, by_cookie, by_token, guarded, owner_of, person
from tests.web.world import World, alert, delivery, price, rule, world

ANYONE, VIEWER, USER, ADMIN = range(4)
IN_PERSON = "not by a token"

Row = tuple[int, str, Any]
"""The least role, a path ({rule} and {alert} are those of the first account), and the body that is sent."""

MATRIX: dict[tuple[str, str], Row] = {
    ("GET", "/"): (ANYONE, "/", None),
    ("GET", "/docs"): (VIEWER, "/docs", None),
    ("GET", "/docs/openapi.json"): (VIEWER, "/docs/openapi.json", None),
    ("GET", "/docs/{path:str}"): (VIEWER, "/docs/nothing", None),
    ("GET", "/health/live"): (ANYONE, "/health/live", None),
    ("GET", "/health/ready"): (ANYONE, "/health/ready", None),
    ("GET", "/metrics"): (ANYONE, "/metrics", None),
    ("GET", "/api/v1/prices"): (VIEWER, "/api/v1/prices", None),
    ("GET", "/api/v1/prices/{asset:str}/{currency:str}"): (VIEWER, "/api/v1/prices/bitcoin/usd", None),
    ("GET", "/api/v1/candles/{asset:str}/{currency:str}"): (VIEWER, "/api/v1/candles/bitcoin/usd", None),
    ("GET", "/api/v1/series/{asset:str}/{currency:str}"): (VIEWER, "/api/v1/series/bitcoin/usd?value=price", None),
    ("GET", "/api/v1/moves/{asset:str}/{currency:str}"): (VIEWER, "/api/v1/moves/bitcoin/usd", None),
    ("GET", "/api/v1/market"): (VIEWER, "/api/v1/market", None),
    ("GET", "/api/v1/sources"): (VIEWER, "/api/v1/sources", None),
    ("GET", "/api/v1/system"): (VIEWER, "/api/v1/system", None),
    ("GET", "/api/v1/doctor"): (ADMIN, "/api/v1/doctor", None),
    ("GET", "/api/v1/coverage"): (VIEWER, "/api/v1/coverage", None),
    ("GET", "/api/v1/stream"): (VIEWER, "/api/v1/stream", None),
    ("GET", "/api/v1/alerts"): (VIEWER, "/api/v1/alerts", None),
    ("GET", "/api/v1/alerts/{alert:str}"): (VIEWER, "/api/v1/alerts/{alert}", None),
    ("POST", "/api/v1/alerts/{alert:str}/ack"): (USER, "/api/v1/alerts/{alert}/ack", None),
    ("POST", "/api/v1/alerts/ack"): (USER, "/api/v1/alerts/ack", {"alerts": []}),
    ("GET", "/api/v1/scores"): (VIEWER, "/api/v1/scores", None),
    ("GET", "/api/v1/strategies"): (VIEWER, "/api/v1/strategies", None),
    ("GET", "/api/v1/summary"): (VIEWER, "/api/v1/summary", None),
    ("GET", "/api/v1/deliveries"): (VIEWER, "/api/v1/deliveries", None),
    ("POST", "/api/v1/deliveries/{delivery:str}/retry"): (USER, "/api/v1/deliveries/{alert}~ops/retry", None),
    ("GET", "/api/v1/push/key"): (USER, "/api/v1/push/key", None),
    ("GET", "/api/v1/channels"): (VIEWER, "/api/v1/channels", None),
    ("GET", "/api/v1/channel-kinds"): (VIEWER, "/api/v1/channel-kinds", None),
    ("PUT", "/api/v1/channels/{name:str}"): (USER, "/api/v1/channels/mine", {"kind": "ntfy"}),
    ("DELETE", "/api/v1/channels/{name:str}"): (USER, "/api/v1/channels/mine", None),
    ("POST", "/api/v1/channels/try"): (USER, "/api/v1/channels/try", {"name": "mine", "kind": "ntfy"}),
    ("GET", "/api/v1/preferences"): (VIEWER, "/api/v1/preferences", None),
    ("PUT", "/api/v1/preferences"): (USER, "/api/v1/preferences", {}),
    ("POST", "/api/v1/channels/{name:str}/test"): (USER, "/api/v1/channels/ops/test", None),
    ("POST", "/api/v1/channels/{name:str}/preview"): (USER, "/api/v1/channels/ops/preview", {}),
    ("GET", "/api/v1/rules"): (VIEWER, "/api/v1/rules", None),
    ("POST", "/api/v1/rules"): (USER, "/api/v1/rules", rule(channels=[])),
    ("GET", "/api/v1/rules/overview"): (VIEWER, "/api/v1/rules/overview", None),
    ("POST", "/api/v1/rules/many"): (USER, "/api/v1/rules/many", {"do": "pause", "ids": []}),
    ("GET", "/api/v1/rules/export"): (VIEWER, "/api/v1/rules/export", None),
    ("POST", "/api/v1/rules/import"): (USER, "/api/v1/rules/import", {"rules": [rule(channels=[])]}),
    ("GET", "/api/v1/rules/{rule:str}"): (VIEWER, "/api/v1/rules/{rule}", None),
    ("PUT", "/api/v1/rules/{rule:str}"): (USER, "/api/v1/rules/{rule}", rule(channels=[])),
    ("DELETE", "/api/v1/rules/{rule:str}"): (USER, "/api/v1/rules/{rule}", None),
    ("POST", "/api/v1/rules/{rule:str}/pause"): (USER, "/api/v1/rules/{rule}/pause", None),
    ("POST", "/api/v1/rules/{rule:str}/resume"): (USER, "/api/v1/rules/{rule}/resume", None),
    ("POST", "/api/v1/rules/{rule:str}/renew"): (USER, "/api/v1/rules/{rule}/renew", {"for": "30d"}),
    ("POST", "/api/v1/rules/{rule:str}/snooze"): (USER, "/api/v1/rules/{rule}/snooze", {"for": "1h"}),
    ("DELETE", "/api/v1/rules/{rule:str}/snooze"): (USER, "/api/v1/rules/{rule}/snooze", None),
    ("GET", "/api/v1/rules/{rule:str}/preview"): (VIEWER, "/api/v1/rules/{rule}/preview?pair=bitcoin/usd", None),
    ("GET", "/api/v1/rules/{rule:str}/score"): (VIEWER, "/api/v1/rules/{rule}/score", None),
    ("GET", "/api/v1/rules/{rule:str}/why"): (VIEWER, "/api/v1/rules/{rule}/why?pair=bitcoin/usd", None),
    ("GET", "/api/v1/language"): (VIEWER, "/api/v1/language", None),
    ("POST", "/api/v1/rules/check"): (VIEWER, "/api/v1/rules/check", rule(channels=[])),
    ("POST", "/api/v1/rules/preview"): (USER, "/api/v1/rules/preview", {"when": "price > 1", "pair": "a/usd"}),
    ("GET", "/api/v1/watchlists"): (VIEWER, "/api/v1/watchlists", None),
    ("PUT", "/api/v1/watchlists/{name:str}"): (USER, "/api/v1/watchlists/mine", {"pairs": []}),
    ("DELETE", "/api/v1/watchlists/{name:str}"): (USER, "/api/v1/watchlists/theirs", None),
    ("GET", "/api/v1/session"): (ANYONE, "/api/v1/session", None),
    ("POST", "/api/v1/session"): (ANYONE, "/api/v1/session", {"name": "nobody", "password": "?"}),
    ("DELETE", "/api/v1/session"): (ANYONE, "/api/v1/session", None),
    ("DELETE", "/api/v1/sessions"): (VIEWER, "/api/v1/sessions", IN_PERSON),
    ("GET", "/api/v1/sessions"): (VIEWER, "/api/v1/sessions", IN_PERSON),
    ("DELETE", "/api/v1/sessions/{session:str}"): (VIEWER, "/api/v1/sessions/none", IN_PERSON),
    ("PUT", "/api/v1/password"): (VIEWER, "/api/v1/password", IN_PERSON),
    ("GET", "/api/v1/tokens"): (VIEWER, "/api/v1/tokens", IN_PERSON),
    ("POST", "/api/v1/tokens"): (VIEWER, "/api/v1/tokens", IN_PERSON),
    ("DELETE", "/api/v1/tokens/{token:str}"): (VIEWER, "/api/v1/tokens/none", IN_PERSON),
    ("POST", "/api/v1/links/look"): (ANYONE, "/api/v1/links/look", {"token": "?"}),
    ("POST", "/api/v1/links/use"): (ANYONE, "/api/v1/links/use", {"token": "?", "password": "?"}),
    ("GET", "/api/v1/invitations"): (ADMIN, "/api/v1/invitations", IN_PERSON),
    ("POST", "/api/v1/invitations"): (ADMIN, "/api/v1/invitations", IN_PERSON),
    ("DELETE", "/api/v1/invitations/{invitation:str}"): (ADMIN, "/api/v1/invitations/none", IN_PERSON),
    ("GET", "/api/v1/users"): (ADMIN, "/api/v1/users", IN_PERSON),
    ("PUT", "/api/v1/users/{user:str}"): (ADMIN, "/api/v1/users/none", IN_PERSON),
    ("DELETE", "/api/v1/users/{user:str}"): (ADMIN, "/api/v1/users/none", IN_PERSON),
    ("POST", "/api/v1/users/{user:str}/reset"): (ADMIN, "/api/v1/users/none/reset", IN_PERSON),
}
BODIES = {
    ("PUT", "/api/v1/password"): {"current": "?", "new": "correct horse battery"},
    ("POST", "/api/v1/tokens"): {"name": "mine"},
    ("POST", "/api/v1/invitations"): {},
    ("PUT", "/api/v1/users/{user:str}"): {"role": "user", "disabled": False},
}
PAGES = (
    "/assets/",
    "/static/",
    "/sw.js",
    "/coin/",
    "/rules",
    "/alerts",
    "/signals",
    "/channels",
    "/system",
    "/account",
    "/setup",
    "/login",
)
"""What the page is made of. It is the same for everybody and anybody may have it."""
THEIRS = ("{rule}", "{alert}", "theirs", "/channels/ops/preview")
"""In a path: what belongs to the first account."""
ALERT = alert()


def routes_of(app: Litestar) -> set[tuple[str, str]]:
    assert all(isinstance(route, HTTPRoute) for route in app.routes)
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    }


def is_page(route: str) -> bool:
    return route.startswith(PAGES)


def test_every_route_has_a_row(tmp_path: Path) -> None:
    async def scenario() -> set[tuple[str, str]]:
        async with world(tmp_path) as here:
            return routes_of(build(here.deps()))

    routes = asyncio.run(scenario())
    assert {(method, path) for method, path in routes if not is_page(path)} == set(MATRIX)
    assert {method for method, path in routes if is_page(path)} <= {"GET"}


def test_a_route_that_does_not_say_who_may_use_it_is_not_served() -> None:
    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "everything"

    with pytest.raises(RuntimeError, match="/forgotten"):
        check_routes(Litestar([forgotten], openapi_config=None))


async def filled(here: World) -> tuple[Person, str]:
    """The first account, and its rule; an alert, a delivery and a list of it too. Streams end at once."""
    anna = await owner_of(here)
    await here.healthy()
    await here.append()
    given_up = delivery(ALERT, state="failed", finished_at=1)
    await here.watched(alerts=[ALERT], deliveries=[given_up], prices=[price("bitcoin/usd", 1.0)])
    here.hub.close()
    async with guarded(here) as client:
        made = await client.post("/api/v1/rules", json=rule(), headers=by_cookie(anna))
        listed = await client.put("/api/v1/watchlists/theirs", json={"pairs": []}, headers=by_cookie(anna))
    assert (made.status_code, listed.status_code) == (201, 200)
    return anna, made.json()["id"]


LAST = ("/api/v1/sessions", "/api/v1/session")
"""What ends the session that asks."""


async def statuses(client: httpx.AsyncClient, rule_id: str, headers: dict[str, str]) -> dict[tuple[str, str], int]:
    """How each route answers; those that take something away are asked last."""
    found = {}
    for key in sorted(
        MATRIX, key=lambda key: (key[0] == "DELETE", key[0] == "DELETE" and key[1] in LAST, -len(key[1]))
    ):
        _, path, body = MATRIX[key]
        body = BODIES.get(key) if body == IN_PERSON else body
        address = path.replace("{rule}", rule_id).replace("{alert}", ALERT.id)
        answer = await client.request(key[0], address, json=body, headers=headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.status_code < 500 or answer.status_code == 503, (key, answer.text)
        found[key] = answer.status_code
    return found


def assert_as_in_the_matrix(
    who: str, found: dict[tuple[str, str], int], role: int, *, token: bool = False
) -> None:
    for key, (needs, _, body) in MATRIX.items():
        if role < needs:
            assert found[key] == (403 if role else 401), (who, key)
        elif token and body == IN_PERSON:
            assert found[key] == 403, (who, key)
        elif key in WRONG_PASSWORD:
            assert found[key] in (401, 429), (who, key)
        else:
            assert found[key] not in (401, 403), (who, key)


WRONG_PASSWORD = {("POST", "/api/v1/session"), ("PUT", "/api/v1/password")}


# --- proofs that are not good (any more) -----------------------------------------------------------


async def nobody(here: World, who: Person) -> dict[str, str]:
    return {"origin": "http://localhost:8000"}


async def ended(here: World, who: Person) -> dict[str, str]:
    await here.store.run(lambda tx: tx.end_session(who.session))
    return by_cookie(who)


async def revoked(here: World, who: Person) -> dict[str, str]:
    await here.store.run(lambda tx: tx.end_tokens(who.user.id))
    return by_token(who)


async def over(here: World, who: Person) -> dict[str, str]:
    now = here.clock.now()

    def end(tx: Any) -> None:
        (mine,) = tx.tokens(who.user.id)
        tx.end_tokens(who.user.id)
        tx.add_token(msgspec.structs.replace(mine, expires_at=now))

    await here.store.run(end)
    return by_token(who)


async def disabled(here: World, who: Person) -> dict[str, str]:
    await here.store.run(lambda tx: tx.change_user(msgspec.structs.replace(who.user, disabled=True)))
    return by_cookie(who)


async def disabled_token(here: World, who: Person) -> dict[str, str]:
    await disabled(here, who)
    return by_token(who)


async def made_up(here: World, who: Person) -> dict[str, str]:
    return {"authorization": "Bearer cw_made-up"}


async def session_as_token(here: World, who: Person) -> dict[str, str]:
    return {"authorization": f"Bearer {who.cookie}"}


async def hash_as_cookie(here: World, who: Person) -> dict[str, str]:
    return {"cookie": f"cryptowatcher={who.session}"}


async def idle(here: World, who: Person) -> dict[str, str]:
    here.clock.at += IDLE
    return by_cookie(who)


async def expired(here: World, who: Person) -> dict[str, str]:
    """It was used until the end."""
    here.clock.at = who.user.created_at + LONGEST_SESSION
    await here.store.run(lambda tx: tx.touch_session(who.session, here.clock.at - 1))
    return by_cookie(who)


SHUT_OUT = (
    nobody, ended, revoked, over, disabled, disabled_token, made_up, session_as_token, hash_as_cookie,
    idle, expired,
)  # fmt: skip


def test_without_a_proof_that_is_good_only_public_routes_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here) as client:
            _, rule_id = await filled(here)
            before = await here.store.run(lambda tx: tx.rule_changes(0))
            for number, proof in enumerate(SHUT_OUT):
                headers = await proof(here, await person(here, f"p{number}", "admin"))
                assert_as_in_the_matrix(proof.__name__, await statuses(client, rule_id, headers), ANYONE)
            assert await here.store.run(lambda tx: tx.rule_changes(0)) == before

    asyncio.run(scenario())


def test_a_role_may_do_what_its_row_says_and_no_more(tmp_path: Path) -> None:
    roles: tuple[tuple[int, Role], ...] = ((VIEWER, "viewer"), (USER, "user"), (ADMIN, "admin"))

    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here) as client:
            _, rule_id = await filled(here)
            for number, role in roles:
                who = await person(here, role, role)
                by_program = await statuses(client, rule_id, by_token(who))
                assert_as_in_the_matrix(role, by_program, number, token=True)
                assert_as_in_the_matrix(role, await statuses(client, rule_id, by_cookie(who)), number)
            fallen = await person(here, "fallen", "admin")
            less = msgspec.structs.replace(fallen.user, role="viewer")
            await here.store.run(lambda tx: tx.change_user(less))
            by_program = await statuses(client, rule_id, by_token(fallen))
            assert_as_in_the_matrix("a token of one who was admin", by_program, VIEWER, token=True)

    asyncio.run(scenario())


def test_what_belongs_to_another_is_not_there_and_to_its_owner_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here) as client:
            anna, rule_id = await filled(here)
            others = await statuses(client, rule_id, by_cookie(await person(here, "ben", "user")))
            mine = await statuses(client, rule_id, by_cookie(anna))
        for key, (_, path, _) in MATRIX.items():
            if any(name in path for name in THEIRS):
                assert (others[key], mine[key] in (404, 401, 403)) == (404, False), key

    asyncio.run(scenario())


def test_everybody_sees_and_changes_their_own_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here) as client:
            anna, _ = await filled(here)
            ben = by_cookie(await person(here, "ben", "user"))
            before = await here.store.run(lambda tx: (tx.rules(LOCAL_OWNER), tx.watchlists(LOCAL_OWNER)))
            for path in ("rules", "alerts", "deliveries", "watchlists", "channels"):
                assert (await client.get(f"/api/v1/{path}", headers=ben)).json()["items"] == [], path
                mine = await client.get(f"/api/v1/{path}", headers=by_cookie(anna))
                assert mine.json()["items"], path
            same = await client.post("/api/v1/rules", headers=ben, json=rule(channels=[]))
            listed = await client.put("/api/v1/watchlists/theirs", headers=ben, json={"pairs": ["a/usd"]})
            assert (same.status_code, listed.status_code) == (201, 200)
            gone = await client.delete(f"/api/v1/rules/{same.json()['id']}", headers=ben)
            assert gone.status_code == 204
            assert await here.store.run(lambda tx: (tx.rules(LOCAL_OWNER), tx.watchlists(LOCAL_OWNER))) == before
            assert (await client.get("/api/v1/prices", headers=ben)).json()["items"]

    asyncio.run(scenario())


def test_the_operators_channels_are_not_for_others_rules(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here) as client:
            ben = by_cookie(await person(here, "ben", "user"))
            refused = await client.post("/api/v1/rules", headers=ben, json=rule(channels=["ops"]))
            assert refused.status_code == 422
            assert "ops" not in refused.json()["errors"][0]["hint"]
            eve = await person(here, "eve", "admin")
            other = by_cookie(eve)
            made = await client.post("/api/v1/rules", headers=other, json=rule())
            assert made.status_code == 201
            await here.store.run(lambda tx: tx.change_user(msgspec.structs.replace(eve.user, role="user")))
            path = f"/api/v1/rules/{made.json()['id']}"
            assert (await client.post(f"{path}/pause", headers=other)).status_code == 200
            for again, body in (("resume", None), ("renew", {"for": "30d"})):
                refused = await client.post(f"{path}/{again}", headers=other, json=body)
                assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "channels[0]"), again

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("headers", "address", "status"),
    [
        ({}, "127.0.0.1", 200),
        ({}, "::1", 200),
        ({}, "::ffff:127.0.0.1", 200),
        ({}, "192.168.1.5", 401),
        ({}, "", 401),
        ({"x-forwarded-for": "203.0.113.9"}, "127.0.0.1", 401),
        ({"forwarded": "for=203.0.113.9"}, "127.0.0.1", 401),
        ({"x-forwarded-proto": "https"}, "127.0.0.1", 401),
        ({"cf-connecting-ip": "203.0.113.9"}, "127.0.0.1", 401),
        ({"true-client-ip": "203.0.113.9"}, "127.0.0.1", 401),
        ({"x-client-ip": "203.0.113.9"}, "127.0.0.1", 401),
        ({"x-real-ip": "203.0.113.9"}, "127.0.0.1", 401),
        ({"authorization": "Bearer cw_made-up"}, "127.0.0.1", 401),
    ],
)
def test_an_open_page_is_open_to_this_machine_alone(
    tmp_path: Path, headers: dict[str, str], address: str, status: int
) -> None:
    async def scenario() -> int:
        async with world(tmp_path) as here:
            transport = httpx.ASGITransport(app=here.app(open=True), client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
                return (await client.get("/api/v1/users", headers=headers)).status_code

    assert asyncio.run(scenario()) == status


NASTY = "<script>alert(1)</script>'\"><img src=x onerror=alert(2)>"


def test_script_that_is_stored_or_sent_back_stays_text_in_json(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here) as client:
            anna = by_cookie(await owner_of(here))
            await here.healthy()
            answers = [
                await client.post("/api/v1/rules", headers=anna, json=rule(name=NASTY)),
                await client.post("/api/v1/rules", headers=anna, json=rule(when=NASTY)),
                await client.post("/api/v1/tokens", headers=anna, json={"name": NASTY[:64]}),
                await client.post("/api/v1/links/use", json={"token": NASTY, "name": NASTY, "password": NASTY}),
                await client.post("/api/v1/session", json={"name": NASTY, "password": NASTY}),
                await client.get("/api/v1/rules", headers=anna),
                await client.get("/api/v1/tokens", headers=anna),
                *[
                    await client.request(method, path.replace(mark, NASTY.replace("/", "%2F")), headers=anna)
                    for (method, path), row in MATRIX.items()
                    if row[0] != ANYONE and method in ("GET", "DELETE") and "{" in path
                    for mark in [path[path.index("{") : path.index("}") + 1]]
                ],
            ]
            for answer in answers:
                kind = answer.headers.get("content-type", "application/json")
                assert "json" in kind or answer.status_code == 404, answer.request.url
                assert "html" not in kind or "<script>" not in answer.text
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answers[5].json()["items"][0]["spec"]["name"] == NASTY

    asyncio.run(scenario())
