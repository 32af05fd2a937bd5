"""The live stream: who comes late, is slow, leaves or comes back; and the hub behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.web.api import Limits
from cryptowatcher.web.live import NEWEST_ALERTS, Hub
from tests.processes import PATIENCE
from tests.web.people import Person, by_cookie, by_token, owner_of, person
from tests.web.serving import Event, Server, events, serving, until
from tests.web.world import NOW, World, alert, price, world

Act = Callable[[World, Server], Awaitable[None]]


def play(tmp_path: Path, act: Act, limits: Limits | None = None, *, guarded: bool = False) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here:
            app = here.app(limits=limits or Limits(), open=not guarded)
            if not guarded:
                here.hub.follow(LOCAL_OWNER, [])
            async with serving(app, here.hub) as server:
                await act(here, server)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def pairs(event: Event) -> dict[str, float]:
    return {item["pair"]: item["price"] for item in event.data["prices"]}


def test_who_comes_late_gets_everything_and_then_only_changes(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        here.hub.publish([price("a/usd", 1.0), price("b/usd", 2.0)], [alert()], at=NOW)
        here.hub.publish([price("b/usd", 3.0)], at=NOW + 1)
        async with server.client() as client, client.stream("GET", "/api/v1/stream") as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["x-content-type-options"] == "nosniff"
            async with aclosing(events(answer)) as live:
                first = await anext(live)
                assert (first.name, pairs(first)) == ("snapshot", {"a/usd": 1.0, "b/usd": 3.0})
                assert [item["id"] for item in first.data["alerts"]] == [alert().id]
                here.hub.publish([price("a/usd", 9.0)], [alert(NOW + 5)], at=NOW + 2)
                told, changed = await anext(live), await anext(live)
                assert (told.name, [item["id"] for item in told.data["alerts"]]) == ("alerts", [alert(NOW + 5).id])
                assert (changed.name, pairs(changed)) == ("prices", {"a/usd": 9.0})
                assert (told.id, changed.id) == ("", "test-3")

    play(tmp_path, act)


def test_who_comes_back_at_once_misses_nothing_and_gets_nothing_twice(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        here.hub.publish([price("a/usd", 1.0)], at=NOW)
        here.hub.publish([price("b/usd", 2.0)], at=NOW)
        async with server.client() as client:
            for last, name, known in (
                ("test-1", "prices", {"b/usd": 2.0}),
                ("test-0", "snapshot", {"a/usd": 1.0, "b/usd": 2.0}),
                ("another-1", "snapshot", {"a/usd": 1.0, "b/usd": 2.0}),
            ):
                headers = {"last-event-id": last}
                streaming = client.stream("GET", "/api/v1/stream", headers=headers)
                async with streaming as answer, aclosing(events(answer)) as live:
                    event = await anext(live)
                    assert (event.name, pairs(event)) == (name, known)

    play(tmp_path, act)


async def ask_without_reading(port: int) -> socket.socket:
    """A client with a small buffer that sends its request and then looks away."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, b"GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return sock


def test_a_slow_client_gets_the_newest_state_not_the_backlog(tmp_path: Path) -> None:
    frames = 300

    async def act(here: World, server: Server) -> None:
        many = [price(f"coin-{n}/usd", 1.0) for n in range(500)]
        with await ask_without_reading(server.port) as sock:
            await until(lambda: here.hub.clients)
            for number in range(frames):
                here.hub.publish([msgspec.structs.replace(p, price=float(number)) for p in many], at=NOW)
                await asyncio.sleep(0)
            received = await read_until(sock, f"id: test-{frames}\n".encode())
        ids = [line for line in received.split(b"\n") if line.startswith(b"id: ")]
        assert len(ids) < frames / 5
        last = received[received.rindex(b"event: ") :]
        assert last.startswith(b"event: snapshot\n")

    play(tmp_path, act)


async def read_until(sock: socket.socket, mark: bytes) -> bytes:
    received, loop = b"", asyncio.get_running_loop()
    while mark not in received:
        chunk = await loop.sock_recv(sock, 65536)
        assert chunk, "the stream ended early"
        received += chunk
    return received


def test_a_client_that_leaves_is_no_longer_counted(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        async with server.client() as client:
            async with client.stream("GET", "/api/v1/stream"):
                await until(lambda: here.hub.clients == 1)
            await until(lambda: here.hub.clients == 0)
        with await ask_without_reading(server.port):
            await until(lambda: here.hub.clients == 1)
        await until(lambda: here.hub.clients == 0)

    play(tmp_path, act)


def test_an_idle_client_gets_signs_of_life(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        with await ask_without_reading(server.port) as sock:
            await read_until(sock, b"event: snapshot")
            here.hub.pulse()
            assert b"event: " not in (await read_until(sock, b": still here\n\n")).partition(b": still here")[2]

    play(tmp_path, act)


def test_each_client_is_told_of_alerts_of_its_own_and_of_no_others(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        old = [alert(NOW, owner=anna.user.owner), alert(NOW + 1, owner=ben.user.owner)]
        await here.append()
        await here.watched(alerts=old)
        new = [alert(NOW + 2, owner=anna.user.owner), alert(NOW + 3, owner=ben.user.owner)]
        for who, mine in ((ben, 1), (anna, 0)):
            async with (
                server.client() as client,
                client.stream("GET", "/api/v1/stream", headers=by_token(who)) as answer,
                aclosing(events(answer)) as live,
            ):
                first = await anext(live)
                assert [item["id"] for item in first.data["alerts"]] == [old[mine].id]
                here.hub.publish([price("a/usd", 1.0)], [], at=NOW)
                assert (await anext(live)).name == "prices", "nothing is told twice"
                before = here.hub.alerts.get(who.user.owner)
                here.hub.publish([], new, at=NOW)
                told = await anext(live)
                assert (told.name, [item["id"] for item in told.data["alerts"]]) == ("alerts", [new[mine].id])
                here.hub.alerts[who.user.owner] = before or ()
            await until(lambda: here.hub.clients == 0)
        here.hub.pulse()
        assert here.hub.alerts == {}, "nobody looks any more"

    play(tmp_path, act, guarded=True)


@pytest.mark.parametrize("by", [by_cookie, by_token])
def test_a_stream_ends_with_the_session_or_token_that_let_it_in(
    tmp_path: Path, by: Callable[[Person], dict[str, str]]
) -> None:
    async def act(here: World, server: Server) -> None:
        anna, ben = await owner_of(here), await person(here, "ben", "user")
        async with server.client() as client:
            headers = by(ben)
            async with (
                client.stream("GET", "/api/v1/stream", headers=by_cookie(anna)) as admins,
                client.stream("GET", "/api/v1/stream", headers=headers) as answer,
                aclosing(events(answer)) as live,
                aclosing(events(admins)) as other,
            ):
                assert (await anext(live)).name == (await anext(other)).name == "snapshot"
                body = {"role": "user", "disabled": True}
                path = f"/api/v1/users/{ben.user.id}"
                assert (await client.put(path, json=body, headers=by_cookie(anna))).status_code == 200
                assert [event async for event in live] == []
                here.hub.publish([price("a/usd", 1.0)], at=NOW)
                assert (await anext(other)).name == "prices"
            assert (await client.get("/api/v1/stream", headers=headers)).status_code == 401

    play(tmp_path, act, guarded=True)


def test_at_shutdown_streams_end_cleanly(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        async with server.client() as client, client.stream("GET", "/api/v1/stream") as answer:
            live = events(answer)
            assert (await anext(live)).name == "snapshot"
            server.stop.set()
            assert [event async for event in live] == []
        await server.ended
        assert here.hub.clients == 0

    play(tmp_path, act)


def test_more_clients_than_allowed_are_told_to_come_back(tmp_path: Path) -> None:
    async def act(here: World, server: Server) -> None:
        async with server.client() as client:
            async with client.stream("GET", "/api/v1/stream"):
                await until(lambda: here.hub.clients == 1)
                refused = await client.get("/api/v1/stream")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
                assert refused.headers["content-type"] == "application/problem+json"
                assert (await client.get("/health/live")).status_code == 200
            await until(lambda: here.hub.clients == 0)
            async with client.stream("GET", "/api/v1/stream") as answer:
                assert answer.status_code == 200

    play(tmp_path, act, Limits(streams=1))


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(1, 9), max_size=3), max_size=12), st.data())
def test_whenever_a_client_looks_it_ends_up_knowing_every_price(
    frames: list[dict[str, float]], data: st.DataObject
) -> None:
    hub, seen, known = Hub("h"), -1, dict[str, float]()
    for frame in [*frames, {}]:
        hub.publish([price(pair, value) for pair, value in frame.items()], at=NOW)
        if not data.draw(st.booleans()) and frame:
            continue
        sent = hub.after(seen, LOCAL_OWNER)
        assert sent is not None
        body = msgspec.json.decode(sent.split(b"data: ")[-1])
        known = known if sent.startswith(b"event: prices") else {}
        known |= {item["pair"]: item["price"] for item in body["prices"]}
        seen = hub.seq
        assert known == {pair: held.price for pair, held in hub.prices.items()}
        assert hub.after(seen, LOCAL_OWNER) is None


@pytest.mark.parametrize("text", [None, "", "h", "h-", "h-x", "h-4", "h--1", "g-2", "h-²", "h-" + "9" * 40])
def test_an_event_id_that_is_not_ours_is_not_believed(text: str | None) -> None:
    hub = Hub("h")
    for _ in range(3):
        hub.publish([], at=NOW)
    assert hub.seen_by(text) == -1
    assert hub.seen_by("h-2") == 2


def test_all_clients_share_one_encoded_frame() -> None:
    hub = Hub("h")
    hub.publish([price("a/usd", 1.0)], at=NOW)
    assert hub.after(-1, "one") is hub.after(-1, "other")
    assert hub.after(0, "one") is hub.after(0, "other")


def test_a_snapshot_carries_the_newest_alerts_by_time() -> None:
    hub = Hub("h")
    hub.follow(LOCAL_OWNER, [])
    hub.publish([], [alert(NOW + n) for n in range(NEWEST_ALERTS)], at=NOW)
    hub.publish([], [alert(NOW - 1), alert(NOW + 1_000)], at=NOW)
    newest = hub.alerts[LOCAL_OWNER]
    assert len(newest) == NEWEST_ALERTS
    assert newest[0].id == alert(NOW + 1_000).id
    assert alert(NOW - 1).id not in {held.id for held in newest}
