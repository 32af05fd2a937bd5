"""/api/v1/channels and /api/v1/preferences: channels that people add, and what they want of all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from cryptowatcher.adding import check_stored, try_stored
from cryptowatcher.config.kinds import Kinds
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.reaching import MOST_CHANNELS, Heard, Setting, Wishes
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.ports import Deps
from tests.adapters.loopback import Request, serving
from tests.web.people import by_cookie, guarded, owner_of, person
from tests.web.world import NOW, World, alert, delivery, rule, world

SECRET = "tk_only_the_channel_may_know"
NTFY = {"kind": "ntfy", "settings": {"server": "https://ntfy.example"}, "secrets": {"topic": SECRET}}
PEOPLE = {"kind": "ntfy", "settings": {}, "secrets": {"topic": "anna"}}


async def draw(*_: object) -> bytes:
    return b""


async def resolve(host: str) -> Sequence[str]:
    """Nobody is asked: names here lead inside, or nowhere."""
    known = {"inside.test": "10.0.0.7", "metadata.test": "169.254.169.254", "0x7f.1": "127.0.0.1"}
    if host in known or host == "localhost":
        return [known.get(host, "127.0.0.1")]
    raise OSError


def given(here: World, outbound: Outbound) -> dict[str, Any]:
    """What the application is built from, so that channels can be added."""

    def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
        raise AssertionError("a secret of the machine was asked for")

    kinds = Kinds()
    deps = Deps(clock=here.clock, secret=secret, random=Random(1), outbound=outbound, resolve=resolve)
    return {
        "kinds": kinds,
        "setting": Setting(needs=kinds.needs, wishes=Wishes(time_zone="Europe/Berlin", group_from=7)),
        "try_stored": partial(try_stored, kinds, deps, draw),
        "check_channel": partial(check_stored, kinds, deps),
    }


@asynccontextmanager
async def adding(
    folder: Path, outbound: Outbound = Outbound(),  # noqa: B008  it is frozen
) -> AsyncIterator[tuple[World, httpx.AsyncClient]]:  # fmt: skip
    async with world(folder) as here, here.client(**given(here, outbound)) as client:
        yield here, client


def play(folder: Path, story: Callable[[World, httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with adding(folder) as (here, client):
            await story(here, client)

    asyncio.run(main())


def items(answer: httpx.Response) -> dict[str, Any]:
    return {each["name"]: each for each in answer.json()["items"]}


def paths(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [each["path"] for each in answer.json()["errors"]]


def test_a_channel_that_is_added_is_listed_first_and_a_rule_may_name_it(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert (await client.post("/api/v1/rules", json=rule(channels=["mine"]))).status_code == 422
        saved = await client.put("/api/v1/channels/mine", json=NTFY)
        assert saved.status_code == 200, saved.text
        listed = items(await client.get("/api/v1/channels"))
        assert [*listed] == ["mine", "ops", "phone"]
        assert listed["mine"] == saved.json()
        assert (listed["mine"]["origin"], listed["mine"]["target"]) == ("owner", "ntfy.example")
        assert listed["mine"]["secrets"] == ["topic"]
        assert listed["mine"]["state"]["status"] == "unused"
        assert listed["ops"]["origin"] == "config"
        assert (await client.post("/api/v1/rules", json=rule(channels=["mine", "ops"]))).status_code == 201

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("name", "body", "path"),
    [
        ("mine", {"kind": "ntfi"}, "kind"),
        ("mine", {"kind": "console"}, "kind"),
        ("mine", {"kind": "ping"}, "kind"),
        ("mi.ne", NTFY, "name"),
        ("mine", {"kind": "ntfy"}, "secrets.topic"),
        ("mine", {"kind": "ntfy", "secrets": {"topic": "not a topic"}}, "secrets.topic"),
        ("mine", {"kind": "ntfy", "secrets": {"topic": "t", "password": "x"}}, "secrets.password"),
        ("mine", {**PEOPLE, "settings": {"server": "ftp://x"}}, "settings.server"),
        ("mine", {**PEOPLE, "settings": {"priority": "very"}}, "settings.priority"),
        ("mine", {**PEOPLE, "settings": {"timeout": "1h"}}, "settings.timeout"),
        ("mine", {**PEOPLE, "settings": {"quiet": "soon"}}, "settings.quiet"),
        ("mine", {**PEOPLE, "settings": {"fallback": "nobody"}}, "settings.fallback"),
        ("mine", {"kind": "email", "settings": {"sender": "a@b.example", "to": "a@b.example"}}, "settings.server"),
        ("mine", {"kind": "webhook"}, "secrets.url"),
        ("mine", {"kind": "webhook", "settings": {"url": "https://x.example"}}, "settings.url"),
    ],
)
def test_what_cannot_be_says_which_field_is_wrong(
    tmp_path: Path, name: str, body: dict[str, Any], path: str
) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert paths(await client.put(f"/api/v1/channels/{name}", json=body)) == [path]
        assert paths(await client.post("/api/v1/channels/try", json={"name": name, **body})) == [path]
        assert "mine" not in items(await client.get("/api/v1/channels"))

    play(tmp_path, story)


def test_no_added_channel_reads_a_file_or_a_variable_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`given` refuses each look at the machine's own secrets."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    monkeypatch.setenv("TOPIC", SECRET)

    async def story(here: World, client: httpx.AsyncClient) -> None:
        for kind in Kinds().kinds("admin"):
            for name in [field.name for field in kind.fields if field.type == "secret"]:
                for place, value in (("file", str(file)), ("variable", "TOPIC")):
                    body = {"kind": kind.name, "settings": {f"{name}_{place}": value}}
                    refused = await client.put("/api/v1/channels/mine", json=body)
                    assert paths(refused) == [f"settings.{name}_{place}"]
            for text in (str(file), "TOPIC", f"file:{file}", "$TOPIC", "~/secret"):
                secrets = {field.name: text for field in kind.fields if field.type == "secret"}
                answer = await client.put("/api/v1/channels/mine", json={"kind": kind.name, "secrets": secrets})
                assert SECRET not in answer.text
        stored = await here.store.run(lambda tx: tx.reach(Setting()).stored)
        assert SECRET not in repr([each.secrets for each in stored])

    play(tmp_path, story)
    assert os.environ["TOPIC"] == SECRET


INSIDE = ("127.0.0.1", "169.254.169.254", "[::1]", "inside.test", "metadata.test", "0x7f.1", "localhost")


@pytest.mark.parametrize("kind", ["ntfy", "webhook", "slack", "telegram", "email"])
def test_a_channel_that_leads_inside_is_refused_in_the_same_words_wherever_it_leads(
    tmp_path: Path, kind: str
) -> None:
    def body(host: str) -> dict[str, Any]:
        url = f"http://{host}:8080"
        mail = {"server": host.strip("[]"), "port": 2525, "sender": "a@b.example", "to": "a@b.example"}
        return {
            "ntfy": {"kind": "ntfy", "settings": {"server": url}, "secrets": {"topic": "t"}},
            "webhook": {"kind": "webhook", "secrets": {"url": f"{url}/hook"}},
            "slack": {"kind": "slack", "secrets": {"url": f"{url}/services/x"}},
            "telegram": {
                "kind": "telegram",
                "settings": {"server": url, "chats": ["1"]},
                "secrets": {"token": f"1:{'a' * 30}"},
            },
            "email": {"kind": "email", "settings": mail},
        }[kind]

    async def story(here: World, client: httpx.AsyncClient) -> None:
        said = set()
        for host in INSIDE:
            for way in ("unsaved", "saved"):
                if way == "unsaved":
                    answer = await client.post("/api/v1/channels/try", json={"name": "mine", **body(host)})
                else:
                    saved = await client.put("/api/v1/channels/mine", json=body(host))
                    assert saved.status_code == 200, saved.text
                    answer = await client.post("/api/v1/channels/mine/test")
                    await client.delete("/api/v1/channels/mine")
                assert answer.status_code == 200, answer.text
                tried = answer.json()
                said.add((tried["outcome"], tried["reason"], tried["answer"].replace(host.strip("[]"), "HOST")))
        assert len(said) == 1, said
        [(outcome, _, answer_)] = said
        assert outcome == "refused"
        assert "private" in answer_

    play(tmp_path, story)


async def refusing(request: Request, writer: asyncio.StreamWriter) -> None:
    """What was sent comes back: other sides may say anything."""
    body = f"you sent {request.headers.get('authorization')} to {request.target}".encode()
    writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def test_no_answer_no_error_and_no_line_of_the_log_ever_holds_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    async def look(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await client.request(method, f"/api/v1/{path}", json=body)
        said.append(f"{answer.text}{answer.headers}")
        return answer

    async def main() -> None:
        here_too = Outbound(allow=("127.0.0.1",))
        async with serving(refusing) as there, adding(tmp_path, here_too) as (here, client):
            server = {"server": there.url}
            full = {"kind": "ntfy", "settings": server, "secrets": {"topic": SECRET, "token": f"{SECRET}_2"}}
            await look(client, "POST", "channels/try", {"name": "mine", **full})
            await look(client, "PUT", "channels/mine", full)
            await look(client, "PUT", "channels/mine", {**full, "settings": {**server, "fallback": SECRET[:5]}})
            await look(client, "PUT", "channels/mine", {**full, "secrets": {"topic": f"{SECRET} \n"}})
            await look(client, "PUT", "channels/mine", {**full, "secrets": {"topic": f"!{SECRET}"}})
            await look(client, "PUT", "channels/mine", {**full, "kind": "slack"})
            for kind in ("webhook", "slack", "discord", "apprise", "telegram"):
                for value in (SECRET, f"https://x.example/{SECRET}", f"1:{SECRET}", f"gotify://{SECRET}/x"):
                    secrets = {"telegram": "token"}.get(kind, "url")
                    await look(client, "PUT", f"channels/{kind}", {"kind": kind, "secrets": {secrets: value}})
            for name in ("mine", "webhook", "slack"):
                await look(client, "POST", f"channels/{name}/preview", {})
            tried = await look(client, "POST", "channels/mine/test")
            assert tried.json()["outcome"] == "refused"
            assert len(there.requests) == 2
            for path in ("channels", "preferences", "rules", "deliveries", "summary", "channel-kinds"):
                await look(client, "GET", path)
            await look(client, "DELETE", "channels/mine")
            stored = await here.store.run(lambda tx: tx.reach(Setting()).stored)
            assert stored
            said.append(repr(stored))

    asyncio.run(main())
    captured = capsys.readouterr()
    assert SECRET not in "".join(said)
    assert SECRET not in captured.out + captured.err


def test_a_secret_that_is_left_out_stays_and_an_empty_one_is_removed(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        async def secrets() -> dict[str, str]:
            [one] = await here.store.run(lambda tx: tx.reach(Setting()).stored)
            return dict(one.secrets)

        first = {**NTFY, "secrets": {"topic": "t", "token": "u"}}
        assert (await client.put("/api/v1/channels/mine", json=first)).status_code == 200
        same = {"kind": "ntfy", "settings": {**NTFY["settings"], "priority": "high"}}  # type: ignore[dict-item]  # a dict
        assert (await client.put("/api/v1/channels/mine", json=same)).json()["secrets"] == ["token", "topic"]
        assert await secrets() == {"topic": "t", "token": "u"}
        await client.put("/api/v1/channels/mine", json={**same, "secrets": {"token": ""}})
        assert await secrets() == {"topic": "t"}
        assert paths(await client.put("/api/v1/channels/mine", json={**same, "secrets": {"topic": ""}})) == [
            "secrets.topic"
        ]

    play(tmp_path, story)


def test_a_secret_does_not_go_to_another_server_than_it_was_given_for(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.put("/api/v1/channels/mine", json=NTFY)
        moved = {"kind": "ntfy", "settings": {"server": "https://elsewhere.example"}}
        assert paths(await client.put("/api/v1/channels/mine", json=moved)) == ["secrets.topic"]
        assert paths(await client.post("/api/v1/channels/try", json={"name": "mine", **moved})) == [
            "secrets.topic"
        ]
        again = {**moved, "secrets": {"topic": "new"}}
        assert (await client.put("/api/v1/channels/mine", json=again)).status_code == 200

    play(tmp_path, story)


def test_one_that_rules_name_is_removed_by_force_only(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.put("/api/v1/channels/mine", json=NTFY)
        await client.put("/api/v1/channels/other", json={**NTFY, "settings": {"fallback": "mine"}})
        await client.post("/api/v1/rules", json=rule(name="drops", channels=["mine"]))
        refused = await client.delete("/api/v1/channels/mine")
        assert refused.status_code == 409
        assert "the rule 'drops', the channel 'other'" in refused.json()["detail"]
        assert (await client.delete("/api/v1/channels/mine?force=true")).status_code == 204
        assert (await client.delete("/api/v1/channels/mine")).status_code == 404
        assert (await client.delete("/api/v1/channels/ops")).status_code == 404

    play(tmp_path, story)


def test_a_name_of_the_configuration_and_one_too_many_are_refused(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        assert (await client.put("/api/v1/channels/ops", json=NTFY)).status_code == 409
        for number in range(MOST_CHANNELS):
            assert (await client.put(f"/api/v1/channels/c{number}", json=NTFY)).status_code == 200
        assert (await client.put("/api/v1/channels/more", json=NTFY)).status_code == 409
        assert (await client.put("/api/v1/channels/c0", json=NTFY)).status_code == 200

    play(tmp_path, story)


def test_the_state_says_how_a_channel_is_and_since_when(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await client.put("/api/v1/channels/mine", json=NTFY)

        async def state() -> dict[str, Any]:
            found: dict[str, Any] = items(await client.get("/api/v1/channels"))["mine"]["state"]
            return found

        def heard(at: int, error: str = "") -> Heard:
            return Heard(channel=f"mine@{LOCAL_OWNER}", at=at, error=error)

        await here.store.run(lambda tx: tx.note_heard([heard(5)]))
        assert (await state())["status"] == "ok"
        await here.store.run(lambda tx: tx.note_heard([heard(7, "HTTP 503")]))
        failing = await state()
        assert (failing["status"], failing["failing_since_ms"], failing["last_sent_ms"]) == ("failing", 7, 5)
        assert failing["last_error"] == "HTTP 503"

    play(tmp_path, story)


def test_deliveries_name_the_channel_as_its_owner_does(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        await here.healthy()
        fired = alert(NOW)
        one: Delivery = delivery(fired, f"mine@{LOCAL_OWNER}")
        await here.watched(alerts=[fired], deliveries=[one])
        [found] = (await client.get("/api/v1/deliveries")).json()["items"]
        assert found["channel"] == "mine"

    play(tmp_path, story)


def test_everybody_has_channels_and_preferences_of_their_own_and_no_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here, guarded(here, **given(here, Outbound())) as client:
            anna, ben = by_cookie(await owner_of(here)), by_cookie(await person(here, "ben", "user"))
            for who, topic in ((anna, "annas"), (ben, "bens")):
                body = {**PEOPLE, "secrets": {"topic": topic}}
                assert (await client.put("/api/v1/channels/mine", json=body, headers=who)).status_code == 200
            listed = {
                name: items(await client.get("/api/v1/channels", headers=who))
                for name, who in (("a", anna), ("b", ben))
            }
            assert ([*listed["a"]], [*listed["b"]]) == (["mine", "ops", "phone"], ["mine"])
            kinds = [items(await client.get("/api/v1/channel-kinds", headers=who)) for who in (anna, ben)]
            assert ("apprise" in kinds[0], "apprise" in kinds[1]) == (True, False)
            risky = {"kind": "apprise", "secrets": {"url": "gotify://x.example/y"}}
            assert paths(await client.put("/api/v1/channels/more", json=risky, headers=ben)) == ["kind"]
            quiet = {"quiet": "22:00-07:00", "channels": ["mine"]}
            assert (await client.put("/api/v1/preferences", json=quiet, headers=ben)).status_code == 200
            theirs = (await client.get("/api/v1/preferences", headers=anna)).json()
            assert (theirs["quiet"], theirs["channels"]) == ("", [])
            wrong = {"channels": ["ops"]}
            assert paths(await client.put("/api/v1/preferences", json=wrong, headers=ben)) == ["channels[0]"]
            await client.delete("/api/v1/channels/mine", headers=ben)
            assert "mine" in items(await client.get("/api/v1/channels", headers=anna))

    asyncio.run(main())


def test_what_is_left_open_is_as_the_file_says_and_says_so(tmp_path: Path) -> None:
    async def story(here: World, client: httpx.AsyncClient) -> None:
        before = (await client.get("/api/v1/preferences")).json()
        assert (before["time_zone"], before["group_from"], len(before["from_file"])) == ("Europe/Berlin", 7, 6)
        after = (await client.put("/api/v1/preferences", json={"group_from": 3, "summary": "daily 08:00"})).json()
        assert after == (await client.get("/api/v1/preferences")).json()
        assert (after["group_from"], after["summary"], after["time_zone"]) == (3, "daily 08:00", "Europe/Berlin")
        assert set(after["from_file"]) == {"time_zone", "quiet", "summary_to", "channels"}
        for field, value in (("time_zone", "Europa/Berlin"), ("quiet", "x"), ("summary", "x")):
            assert paths(await client.put("/api/v1/preferences", json={field: value})) == [field]

    play(tmp_path, story)


def test_what_there_is_to_fill_in_follows_from_the_kinds_themselves() -> None:
    kinds = {each.name: each for each in Kinds().kinds("user")}
    fields = {field.name: field for field in kinds["ntfy"].fields}
    assert (fields["topic"].type, fields["topic"].required) == ("secret", True)
    assert (fields["priority"].type, fields["priority"].default) == ("choice", "default")
    assert "max" in fields["priority"].choices
    assert fields["timeout"].advanced
    assert not fields["server"].advanced
    for kind in kinds.values():
        assert kind.help
        assert not {"name", "kind"} & {field.name for field in kind.fields}
        assert not [field.name for field in kind.fields if field.name.endswith(("_file", "_variable"))]
        assert not [f"{kind.name}.{field.name}" for field in kind.fields if not field.help]
