"""The first account, logging in and out, tokens, invitations, and what admins do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptowatcher.domain.accounts import IDLE, LONGEST_SESSION, LinkKind, Role, digest_of, link_to
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import Unavailable
from cryptowatcher.web.accounts.passwords import Cost, Passwords
from cryptowatcher.web.problems import Problem
from tests.web.people import OURS, PASSWORD, Person, by_cookie, by_token, guarded, owner_of, person
from tests.web.world import CHEAP, Broken, World, rule, world

Act = Callable[[World, httpx.AsyncClient], Awaitable[None]]
ANOTHER = "seven blue kettles"
HOUR, DAY = 3_600_000, 86_400_000


def play(tmp_path: Path, act: Act, **changes: Any) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, guarded(here, **changes) as client:
            await act(here, client)

    asyncio.run(scenario())


async def a_link(
    here: World, kind: LinkKind, secret: str = "secret", *, role: Role = "admin", user: str = ""
) -> None:
    link = link_to(kind, secret, here.clock.now(), role=role, user=user)
    await here.store.run(lambda tx: tx.add_link(link))


async def use(client: httpx.AsyncClient, **given: str) -> httpx.Response:
    body = {"token": "secret", "name": "Anna", "password": PASSWORD, **given}
    return await client.post("/api/v1/links/use", json=body)


async def log_in(
    client: httpx.AsyncClient, name: str = "anna", password: str = PASSWORD, **more: Any
) -> httpx.Response:
    return await client.post("/api/v1/session", json={"name": name, "password": password}, **more)


async def who(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> tuple[str, bool]:
    said = (await client.get("/api/v1/session", headers=headers)).json()
    return said["kind"], said["set_up"]


# --- one-time links --------------------------------------------------------------------------------


def test_the_first_link_makes_the_account_that_has_the_operators_rules_and_works_once(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        assert await who(client) == ("nobody", False)
        await a_link(here, "setup")
        looked = (await client.post("/api/v1/links/look", json={"token": "secret"})).json()
        assert (looked["kind"], looked["role"], looked["name"]) == ("setup", "admin", "")
        made = await use(client)
        assert (made.status_code, made.json()["name"], made.json()["role"]) == (200, "anna", "admin")
        assert await who(client) == ("session", True)
        (user,) = await here.store.run(lambda tx: tx.users())
        assert (user.owner, user.role) == (LOCAL_OWNER, "admin")
        assert PASSWORD not in user.password
        assert (await use(client, name="eve")).status_code == 404
        assert (await client.post("/api/v1/links/look", json={"token": "secret"})).status_code == 404

    play(tmp_path, act)


def test_a_first_link_is_good_for_nothing_once_there_is_an_account_or_a_day_has_passed(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await a_link(here, "setup", "late")
        here.clock.at += DAY
        assert (await use(client, token="late")).status_code == 404
        await a_link(here, "setup")
        await owner_of(here)
        assert (await use(client, name="eve")).status_code == 404
        assert len(await here.store.run(lambda tx: tx.users())) == 1

    play(tmp_path, act)


def test_of_two_that_use_a_link_at_once_one_gets_the_account(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await a_link(here, "setup")
        both = await asyncio.gather(use(client, name="anna"), use(client, name="eve"))
        assert sorted(answer.status_code for answer in both) == [200, 404]
        assert len(await here.store.run(lambda tx: tx.users())) == 1

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"password": "short"}, "password"),
        ({"password": "anna" * 5}, "password"),
        ({"name": "<script>"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "ben"}, "name"),
    ],
)
def test_a_name_or_password_that_will_not_do_leaves_the_link_good(
    tmp_path: Path, given: dict[str, str], path: str
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await person(here, "ben", "user")
        await a_link(here, "invite", role="user")
        refused = await use(client, **given)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, path)
        assert (await use(client)).status_code == 200

    play(tmp_path, act)


def test_who_is_invited_has_that_role_and_nothing_of_others(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        invited = await client.post("/api/v1/invitations", json={"role": "viewer"}, headers=by_cookie(anna))
        path, secret = invited.json()["path"].split("#")
        assert path == "/setup"
        listed = (await client.get("/api/v1/invitations", headers=by_cookie(anna))).text
        assert secret not in listed
        assert invited.json()["id"] in listed
        made = await use(client, token=secret, name="ben")
        assert (made.status_code, made.json()["role"]) == (200, "viewer")
        ben = await here.store.run(lambda tx: tx.user_named("ben"))
        assert ben is not None
        assert ben.owner == ben.id != LOCAL_OWNER
        assert (await client.get("/api/v1/invitations", headers=by_cookie(anna))).json()["items"] == []

    play(tmp_path, act)


def test_an_invitation_that_was_taken_back_is_good_for_nothing(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = by_cookie(await owner_of(here))
        invited = (await client.post("/api/v1/invitations", json={}, headers=anna)).json()
        assert (await client.delete(f"/api/v1/invitations/{invited['id']}", headers=anna)).status_code == 204
        assert (await use(client, token=invited["path"].split("#")[1], name="ben")).status_code == 404

    play(tmp_path, act)


def test_a_new_password_by_link_ends_sessions_and_tokens_and_the_old_one(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        made = await client.post(f"/api/v1/users/{ben.user.id}/reset", headers=by_cookie(anna))
        secret = made.json()["path"].split("#")[1]
        looked = (await client.post("/api/v1/links/look", json={"token": secret})).json()
        assert (looked["kind"], looked["name"]) == ("reset", "ben")
        assert await who(client, by_cookie(ben)) == ("session", True)
        assert (await use(client, token=secret, name="", password=ANOTHER)).status_code == 200
        client.cookies.clear()
        for proof in (by_cookie(ben), by_token(ben)):
            assert (await client.get("/api/v1/prices", headers=proof)).status_code == 401
        assert (await log_in(client, "ben")).status_code == 401
        assert (await log_in(client, "ben", ANOTHER)).status_code == 200

    play(tmp_path, act)


async def reset_of(client: httpx.AsyncClient, by: Person, of: Person) -> str:
    """The secret of a link that sets a password."""
    made = await client.post(f"/api/v1/users/{of.user.id}/reset", headers=by_cookie(by))
    return str(made.json()["path"].split("#")[1])


@pytest.mark.parametrize("disabled", [False, True])
def test_a_link_for_a_new_password_does_not_outlive_the_password_nor_being_disabled(
    tmp_path: Path, disabled: bool
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        secret = await reset_of(client, anna, ben)
        if disabled:
            assert await change(client, anna, ben, "user", disabled=True) == 200
            assert await change(client, anna, ben, "user") == 200
        else:
            body = {"current": PASSWORD, "new": ANOTHER}
            assert (await client.put("/api/v1/password", json=body, headers=by_cookie(ben))).status_code == 200
        assert (await use(client, token=secret, password="a third password")).status_code == 404

    play(tmp_path, act)


def test_a_change_of_role_leaves_a_link_for_a_new_password_good(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        secret = await reset_of(client, anna, ben)
        assert await change(client, anna, ben, "viewer") == 200
        assert (await use(client, token=secret, password=ANOTHER)).status_code == 200

    play(tmp_path, act)


@pytest.mark.parametrize("how", ["demoted", "disabled", "deleted"])
def test_an_invitation_does_not_outlive_the_admin_who_made_it(tmp_path: Path, how: str) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, eve = await owner_of(here), await person(here, "eve", "admin")
        made = [
            (await client.post("/api/v1/invitations", json={"role": "admin"}, headers=by_cookie(each))).json()
            for each in (anna, eve, eve)
        ]
        secrets = [each["path"].split("#")[1] for each in made]
        assert (await use(client, token=secrets[1], name="friend")).status_code == 200
        if how == "deleted":
            gone = await client.delete(f"/api/v1/users/{eve.user.id}", headers=by_cookie(anna))
            assert gone.status_code == 204
        else:
            assert (
                await change(client, anna, eve, "user" if how == "demoted" else "admin", how == "disabled") == 200
            )
        assert (await use(client, token=secrets[2], name="other")).status_code == 404
        assert (await use(client, token=secrets[0], name="other")).status_code == 200, "anna is still there"

    play(tmp_path, act)


def test_while_there_is_no_account_nobody_is_invited(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            refused = await client.post("/api/v1/invitations", json={})
            assert refused.status_code == 409
            assert "cryptowatcher users link" in refused.json()["detail"]
            await a_link(here, "invite")
            assert (await use(client)).status_code == 404, "who came first would not have the rules there are"
            await owner_of(here)
            assert (await client.post("/api/v1/invitations", json={})).status_code == 201

    asyncio.run(scenario())


def test_who_is_nobody_is_told_what_makes_the_first_account(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        first = await client.get("/api/v1/prices")
        assert (first.status_code, first.headers["www-authenticate"]) == (401, "Bearer")
        assert first.json()["detail"] == "nobody has an account yet: run `cryptowatcher users link`"
        await owner_of(here)
        assert "token" in (await client.get("/api/v1/prices")).json()["detail"]

    play(tmp_path, act)


# --- logging in ------------------------------------------------------------------------------------


def test_who_knows_the_password_gets_a_cookie_that_scripts_and_other_sites_cannot_use(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        answer = await log_in(client, " ANNA ")
        name, _, rest = answer.headers["set-cookie"].partition("=")
        assert name == "cryptowatcher"
        attributes = {part.strip().lower() for part in rest.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= attributes
        assert not {"secure"} & attributes
        assert not any(part.startswith("domain") for part in attributes)
        assert (await client.get("/api/v1/prices")).status_code == 200
        secret = rest.split(";")[0]
        sessions = (tmp_path / "store.db").read_bytes() + (tmp_path / "store.db-wal").read_bytes()
        assert secret.encode() not in sessions

    play(tmp_path, act)


def test_over_https_the_cookie_is_for_this_host_and_https_alone(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        answer = await log_in(client, headers={"origin": "https://localhost:8000"})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-cryptowatcher=")
        assert {"secure", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
        secret = cookie.partition("=")[2].partition(";")[0]
        client.cookies.clear()
        assert await who(client, {"cookie": f"__Host-cryptowatcher={secret}"}) == ("session", True)

    play(tmp_path, act)


def test_logging_in_ends_the_session_this_browser_had(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        assert (await log_in(client, headers=by_cookie(anna))).status_code == 200
        client.cookies.clear()
        assert await who(client, by_cookie(anna)) == ("nobody", True)

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("eve", PASSWORD), ("", "")]
)
def test_a_wrong_name_a_wrong_password_and_a_disabled_account_look_the_same_and_cost_a_hash(
    tmp_path: Path, name: str, password: str
) -> None:
    hashes: list[str | None] = []

    class Counting(Passwords):
        async def match(self, password: str, stored: str | None) -> bool:
            hashes.append(stored)
            return await super().match(password, stored)

    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        await person(here, "eve", "user", disabled=True)
        answer = await log_in(client, name, password)
        assert (answer.status_code, answer.json()["detail"]) == (401, "name or password is wrong")
        assert "set-cookie" not in answer.headers
        assert len(hashes) == 1

    play(tmp_path, act, passwords=Counting(CHEAP))


def test_after_some_failures_each_try_has_to_wait_longer_even_the_right_one(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        for _ in range(5):
            assert (await log_in(client, password="wrong")).status_code == 401
        refused = await log_in(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await log_in(client, "somebody else", "wrong")).status_code == 401
        here.clock.at += 1000
        assert (await log_in(client, password="wrong")).status_code == 401
        assert (await log_in(client)).headers["retry-after"] == "2"
        here.clock.at += 2000
        assert (await log_in(client)).status_code == 200
        assert (await log_in(client, password="wrong")).status_code == 401, "the account was forgiven"

    play(tmp_path, act)


def test_no_other_account_and_no_other_name_has_a_part_in_the_wait_of_an_account(tmp_path: Path) -> None:
    bucket = digest_of("anna")[:4]
    alike = next(name for name in map("n{}".format, range(10_000_000)) if digest_of(name)[:4] == bucket)

    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        for _ in range(5):
            assert (await log_in(client, alike, "wrong")).status_code == 401
        assert (await log_in(client, alike, "wrong")).status_code == 429
        assert (await log_in(client)).status_code == 200, "what was tried with another name does not count"
        await person(here, alike, "viewer")
        for _ in range(5):
            assert (await log_in(client, password="wrong")).status_code == 401
        assert (await log_in(client, alike)).status_code == 200
        assert (await log_in(client)).status_code == 429, "the success of another one forgives nothing"

    play(tmp_path, act)


def test_a_try_whose_turn_does_not_come_did_not_fail_and_forgives_nothing(tmp_path: Path) -> None:
    class Busy(Passwords):
        is_busy = False

        async def match(self, password: str, stored: str | None) -> bool:
            if self.is_busy:
                raise Problem(503, "many log in at once; try again", retry_after=2)
            return await super().match(password, stored)

    passwords = Busy(CHEAP)

    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        for _ in range(4):
            assert (await log_in(client, password="wrong")).status_code == 401
        before = await here.store.run(lambda tx: tx.failures(["account u-anna"]))
        here.clock.at += HOUR
        passwords.is_busy = True
        for _ in range(9):
            assert (await log_in(client)).status_code == 503
        passwords.is_busy = False
        assert await here.store.run(lambda tx: tx.failures(["account u-anna"])) == before
        assert (await log_in(client, password="wrong")).status_code == 401
        assert (await log_in(client)).status_code == 429

    play(tmp_path, act, passwords=passwords)


def test_many_tries_at_once_are_many(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        found = await asyncio.gather(*(log_in(client, password="wrong") for _ in range(20)))
        assert sorted(answer.status_code for answer in found) == [401] * 5 + [429] * 15

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        (["203.0.113.7"], True),
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"], True),
        (["2001:db8:1:2::1", "2001:db8:1:3::1"], False),
        (["127.0.0.1"], False),
    ],
)
def test_an_address_that_tries_many_names_has_to_wait_but_not_a_proxy_on_this_machine(
    tmp_path: Path, addresses: list[str], refused: bool
) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        app: Any = client._transport.app  # type: ignore[attr-defined]  # the same application, from elsewhere
        for number in range(21):
            transport = httpx.ASGITransport(app=app, client=(addresses[number % len(addresses)], 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as other:
                answer = await log_in(other, f"name{number}", "wrong")
                assert answer.status_code == (429 if refused and number == 20 else 401)

    play(tmp_path, act)


def test_logging_in_again_and_again_does_not_shut_an_address_out(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        app: Any = client._transport.app  # type: ignore[attr-defined]  # as above
        transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as other:
            for _ in range(25):
                assert (await log_in(other)).status_code == 200

    play(tmp_path, act)


def test_a_password_hashed_at_another_cost_is_hashed_anew_when_it_is_known(tmp_path: Path) -> None:
    costlier = Passwords(Cost(memory=16, passes=1))

    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        assert (await log_in(client)).status_code == 200
        user = await here.store.run(lambda tx: tx.user_named("anna"))
        assert user is not None
        assert "m=16," in user.password
        assert (await log_in(client)).status_code == 200

    play(tmp_path, act, passwords=costlier)


def test_as_shipped_a_hash_costs_what_owasp_advises() -> None:
    stored = asyncio.run(Passwords().hashed(PASSWORD))
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_hashes_wait_for_their_turn_and_not_for_ever() -> None:
    async def scenario() -> None:
        busy = Passwords(CHEAP, at_once=0, patience=0.0)
        with pytest.raises(Problem) as caught:
            await busy.match(PASSWORD, None)
        assert (caught.value.status, caught.value.retry_after) == (503, 2)

    asyncio.run(scenario())


# --- sessions --------------------------------------------------------------------------------------


def test_a_session_that_is_used_goes_on_until_its_longest(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        began = here.clock.at
        while here.clock.at < began + LONGEST_SESSION - IDLE // 2:
            here.clock.at += IDLE // 2
            assert (await who(client, by_cookie(anna)))[0] == "session"
        here.clock.at = began + LONGEST_SESSION
        assert (await who(client, by_cookie(anna)))[0] == "nobody"

    play(tmp_path, act)


def test_logging_out_ends_this_session_and_logging_out_everywhere_all(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        for path, left in (("session", "session"), ("sessions", "nobody")):
            assert (await log_in(client)).status_code == 200
            out = await client.delete(f"/api/v1/{path}", headers=OURS)
            assert out.status_code == 204
            assert "Max-Age=0" in out.headers["set-cookie"]
            assert (await who(client))[0] == "nobody"
            assert (await who(client, by_cookie(anna)))[0] == left

    play(tmp_path, act)


def test_somebody_sees_where_they_are_logged_in_and_logs_out_there(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        ben = await person(here, "ben", "user")
        here.clock.at += HOUR
        await log_in(client)
        new = {**OURS, "cookie": f"cryptowatcher={client.cookies['cryptowatcher']}"}
        client.cookies.clear()
        listed = (await client.get("/api/v1/sessions", headers=new)).json()["items"]
        assert [(each["this"], each["seen_at_ms"]) for each in listed] == [
            (True, here.clock.at),
            (False, here.clock.at - HOUR),
        ]
        path = f"/api/v1/sessions/{listed[1]['id']}"
        assert (await client.delete(path, headers=by_cookie(ben))).status_code == 404
        assert await who(client, by_cookie(anna)) == ("session", True)
        assert (await client.delete(path, headers=new)).status_code == 204
        assert await who(client, by_cookie(anna)) == ("nobody", True)
        assert await who(client, new) == ("session", True)
        assert (await client.delete(path, headers=new)).status_code == 404

    play(tmp_path, act)


def test_a_session_that_is_over_is_nowhere_one_is_logged_in(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        await owner_of(here)
        here.clock.at += IDLE
        await log_in(client)
        listed = (await client.get("/api/v1/sessions")).json()["items"]
        assert [each["this"] for each in listed] == [True]

    play(tmp_path, act)


def test_changing_the_password_takes_the_old_one_and_ends_all_other_sessions(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        assert (await log_in(client)).status_code == 200
        change = {"current": "wrong", "new": ANOTHER}
        assert (await client.put("/api/v1/password", json=change, headers=OURS)).status_code == 401
        change = {"current": PASSWORD, "new": "password1234"}
        weak = await client.put("/api/v1/password", json=change, headers=OURS)
        assert (weak.status_code, weak.json()["errors"][0]["path"]) == (422, "new")
        change = {"current": PASSWORD, "new": ANOTHER}
        assert (await client.put("/api/v1/password", json=change, headers=OURS)).status_code == 200
        assert (await who(client))[0] == "session"
        assert (await who(client, by_cookie(anna)))[0] == "nobody"
        assert (await who(client, by_token(anna)))[0] == "token"
        assert (await log_in(client, password=ANOTHER)).status_code == 200

    play(tmp_path, act)


def test_a_change_by_cookie_must_say_where_it_comes_from_and_by_token_need_not(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        cookie = {"cookie": by_cookie(anna)["cookie"]}
        for headers, status in (
            (cookie, 403),
            ({**cookie, "origin": "https://evil.example"}, 403),
            ({**cookie, "sec-fetch-site": "cross-site"}, 403),
            ({**cookie, "sec-fetch-site": "same-origin"}, 201),
            (by_token(anna), 201),
        ):
            answer = await client.post("/api/v1/rules", json=rule(), headers=headers)
            assert answer.status_code == status, headers
        assert (await client.get("/api/v1/rules", headers=cookie)).status_code == 200

    play(tmp_path, act)


# --- tokens ----------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        made = (await client.post("/api/v1/tokens", json={"name": "grafana"}, headers=by_cookie(anna))).json()
        assert made["token"].startswith("cw_")
        assert len(made["token"]) > 40
        listed = await client.get("/api/v1/tokens", headers=by_cookie(anna))
        assert made["token"] not in listed.text
        kept = (tmp_path / "store.db").read_bytes() + (tmp_path / "store.db-wal").read_bytes()
        assert made["token"].encode() not in kept
        here.clock.at += HOUR
        assert (
            await client.get("/api/v1/prices", headers={"authorization": f"Bearer {made['token']}"})
        ).is_success
        listed = await client.get("/api/v1/tokens", headers=by_cookie(anna))
        (mine,) = [each for each in listed.json()["items"] if each["id"] == made["id"]]
        assert (mine["used_at_ms"], mine["role"]) == (here.clock.at, "viewer")

    play(tmp_path, act)


def test_a_token_may_not_do_more_than_who_makes_it_and_ends_in_time(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        ben = await person(here, "ben", "user")
        too_much = {"name": "x", "role": "admin"}
        assert (await client.post("/api/v1/tokens", json=too_much, headers=by_cookie(ben))).status_code == 403
        body = {"name": "x", "role": "user", "days": 1}
        made = (await client.post("/api/v1/tokens", json=body, headers=by_cookie(ben))).json()
        proof = {"authorization": f"Bearer {made['token']}"}
        here.clock.at += DAY - 1
        assert (await client.post("/api/v1/rules", json=rule(channels=[]), headers=proof)).status_code == 201
        here.clock.at += 1
        assert (await client.get("/api/v1/rules", headers=proof)).status_code == 401

    play(tmp_path, act)


def test_a_token_is_ended_by_its_user_and_by_nobody_else(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        (mine,) = (await client.get("/api/v1/tokens", headers=by_cookie(ben))).json()["items"]
        path = f"/api/v1/tokens/{mine['id']}"
        assert (await client.delete(path, headers=by_cookie(anna))).status_code == 404
        assert (await client.delete(path, headers=by_cookie(ben))).status_code == 204
        assert (await client.get("/api/v1/rules", headers=by_token(ben))).status_code == 401

    play(tmp_path, act)


# --- what admins do --------------------------------------------------------------------------------


async def change(client: httpx.AsyncClient, by: Person, of: Person, role: str, disabled: bool = False) -> int:
    body = {"role": role, "disabled": disabled}
    return (await client.put(f"/api/v1/users/{of.user.id}", json=body, headers=by_cookie(by))).status_code


def test_the_last_admin_stays_admin_and_stays(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        assert await change(client, anna, anna, "user") == 409
        assert await change(client, anna, anna, "admin", disabled=True) == 409
        assert (await client.delete(f"/api/v1/users/{anna.user.id}", headers=by_cookie(anna))).status_code == 409
        assert await change(client, anna, ben, "admin") == 200
        assert await change(client, anna, anna, "user") == 200
        assert await change(client, ben, ben, "viewer") == 409
        assert (await client.delete(f"/api/v1/users/{ben.user.id}", headers=by_cookie(ben))).status_code == 409

    play(tmp_path, act)


def test_who_is_disabled_is_out_at_once_and_may_be_let_in_again(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        assert await change(client, anna, ben, "user", disabled=True) == 200
        for proof in (by_cookie(ben), by_token(ben)):
            assert (await client.get("/api/v1/prices", headers=proof)).status_code == 401
        assert (await log_in(client, "ben")).status_code == 401
        assert await change(client, anna, ben, "user") == 200
        assert (await client.get("/api/v1/prices", headers=by_cookie(ben))).status_code == 401, "it was ended"
        assert (await log_in(client, "ben")).status_code == 200

    play(tmp_path, act)


def test_with_an_account_go_its_rules_and_lists(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        listed = await client.put("/api/v1/watchlists/mine", json={"pairs": ["a/usd"]}, headers=by_cookie(ben))
        assert listed.is_success
        body = rule(pairs=["list(mine)"], channels=[])
        assert (await client.post("/api/v1/rules", json=body, headers=by_cookie(ben))).status_code == 201
        assert (await client.delete(f"/api/v1/users/{ben.user.id}", headers=by_cookie(anna))).status_code == 204
        left = await here.store.run(
            lambda tx: (tx.rules(ben.user.owner), tx.watchlists(ben.user.owner), tx.users())
        )
        assert left == ([], [], [anna.user])

    play(tmp_path, act)


def test_the_first_account_is_not_deleted_because_the_configuration_speaks_for_it(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "admin")
        assert (await client.delete(f"/api/v1/users/{anna.user.id}", headers=by_cookie(ben))).status_code == 409
        assert await change(client, ben, anna, "admin", disabled=True) == 200

    play(tmp_path, act)


def test_hashes_are_in_no_answer(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        await a_link(here, "invite")
        for path in ("session", "users", "tokens", "invitations"):
            said = (await client.get(f"/api/v1/{path}", headers=by_cookie(anna))).text
            for secret in (anna.user.password, anna.session, "argon2"):
                assert secret not in said

    play(tmp_path, act)


def test_a_full_disk_shuts_nobody_out_who_is_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            anna = await owner_of(here)
            full = Broken(Unavailable("full", reason="disk_full"))
            async with guarded(here, store=full, reads=here.store) as client:
                here.clock.at += HOUR
                assert (await client.get("/api/v1/prices", headers=by_cookie(anna))).status_code == 200
                assert (await client.get("/api/v1/prices", headers=by_token(anna))).status_code == 200

    asyncio.run(scenario())


def test_a_role_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    async def act(here: World, client: httpx.AsyncClient) -> None:
        anna = await owner_of(here)
        assert await change(client, anna, anna, "root") == 400
        assert anna.user == await here.store.run(lambda tx: tx.user_named("anna"))

    play(tmp_path, act)
