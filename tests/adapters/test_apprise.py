"""The channel that speaks through the Apprise library, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import msgspec
import psutil
import pytest

from cryptowatcher.adapters.channels.apprise import NEVER, WELL_KNOWN, Apprise, AppriseConfig
from cryptowatcher.adapters.channels.apprise_worker import Gate, Job
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.errors import ConfigError, Error, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.testing.contracts.channel import ChannelContract, Outside, sample_alert, sample_message
from cryptowatcher.testing.push_services import PushService, gotify
from cryptowatcher.testing.wire import Reply, Sending, json_reply

HERE = Outbound(allow=("127.0.0.0/8",))
TOKEN = "AppSecret"


def deps(url: str, outbound: Outbound = HERE) -> Deps:
    return Deps(clock=SystemClock(), secret=lambda **named: url, random=Random(1), outbound=outbound)


def address(service: PushService, query: str = "") -> str:
    return f"{service.origin.replace('http', 'gotify')}/{TOKEN}{query}"


class Spoken:
    def __init__(self, channel: Channel, service: PushService) -> None:
        self.channel = channel
        self.service = service

    async def arrived(self) -> list[str]:
        return list(self.service.taken)

    async def break_down(self) -> None:
        self.service.down = True


@asynccontextmanager
async def spoken(patience: str = "30s", query: str = "", outbound: Outbound = HERE) -> AsyncIterator[Spoken]:
    async with (
        PushService(gotify) as service,
        AppriseConfig(name="ops", url_file="x", timeout=patience).open(
            deps(address(service, query), outbound)
        ) as channel,
    ):
        yield Spoken(channel, service)


class TestApprise(ChannelContract):
    def outside(self) -> AbstractAsyncContextManager[Outside]:
        return spoken()


def workers() -> list[psutil.Process]:
    return [
        each for each in psutil.Process().children(recursive=True) if "apprise_worker" in " ".join(each.cmdline())
    ]


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110  what is waited for happens in other processes
        await asyncio.sleep(0.01)


def test_one_process_speaks_and_ends_with_the_channel() -> None:
    async def main() -> None:
        before = workers()
        async with spoken() as outside:
            assert workers() == before, "it is started with the first message"
            for number in range(3):
                await outside.channel.send(sample_message(sample_alert(number)))
            assert len(workers()) == len(before) + 1
        assert workers() == before

    asyncio.run(main())


def test_what_an_answer_means_and_no_secret_is_told() -> None:
    expected = {
        400: (Refused, "client_error"),
        401: (Refused, "unauthorized"),
        404: (Refused, "not_found"),
        408: (Unavailable, "timeout"),
        429: (Unavailable, "rate_limited"),
        500: (Unavailable, "server_error"),
        302: (Unavailable, "redirect"),
    }

    async def main() -> None:
        async with spoken(query="?redirect=yes&optional=yes&retry=3") as outside:
            for number, (status, (kind, reason)) in enumerate(expected.items()):
                location = (("Location", f"{outside.service.origin}/elsewhere"),)
                outside.service.next(json_reply({}, status=status, headers=location))
                with pytest.raises(kind) as caught:
                    await outside.channel.send(sample_message(sample_alert(number)))
                assert getattr(caught.value, "reason", None) == reason
                assert TOKEN not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
            assert len(outside.service.requests) == len(expected), "nothing is followed or tried again"

    asyncio.run(main())


def test_a_service_that_hangs_costs_the_deadline_and_the_process() -> None:
    async def main() -> None:
        before = workers()
        async with spoken("4s") as outside:
            outside.service.next(Reply(sending=Sending.HANG))
            with pytest.raises(Unavailable) as caught:
                await outside.channel.send(sample_message(sample_alert()))
            assert caught.value.reason == "timeout"
            assert TOKEN not in f"{caught.value} {caught.value.__cause__!r}"
            assert workers() == before
            assert await outside.channel.send(sample_message(sample_alert(1)))

    asyncio.run(main())


def test_a_process_that_is_killed_fails_one_message_and_is_started_again() -> None:
    async def main() -> None:
        before = workers()
        async with spoken() as outside:
            outside.service.next(Reply(sending=Sending.HANG))
            sending = asyncio.create_task(outside.channel.send(sample_message(sample_alert())))
            await until(lambda: outside.service.requests)
            [worker] = [each for each in workers() if each not in before]
            worker.kill()
            with pytest.raises(Unavailable) as caught:
                await sending
            assert caught.value.reason == "crashed"
            assert await outside.channel.send(sample_message(sample_alert(1)))

    asyncio.run(main())


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.stdin.readline()",
        "import sys; sys.stdin.readline(); print('{\"outcome\"')",
        "import sys; sys.stdin.readline(); print('x' * 100_000, flush=True); sys.stdin.readline()",
        "raise SystemExit(1)",
    ],
)
def test_a_process_that_does_not_answer_sensibly_is_unavailable(program: str) -> None:
    async def main() -> None:
        before = psutil.Process().children()
        config = AppriseConfig(name="ops", url_file="x")
        channel = Apprise(config, "gotify://a/b", HERE, command=(sys.executable, "-c", program))
        with pytest.raises(Unavailable) as caught:
            await channel.send(sample_message(sample_alert()))
        assert caught.value.reason == "crashed"
        assert psutil.Process().children() == before

    asyncio.run(main())


def test_the_process_knows_no_variable_that_it_needs_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "hunter2")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    program = (
        "import os, sys; sys.stdin.readline();"
        """print('{"outcome":"unavailable","reason":"%s"}' % sorted(os.environ), flush=True)"""
    )

    async def main() -> None:
        config = AppriseConfig(name="ops", url_file="x")
        channel = Apprise(config, "gotify://a/b", HERE, command=(sys.executable, "-c", program))
        with pytest.raises(Unavailable) as caught:
            await channel.send(sample_message(sample_alert()))
        await channel.end()
        assert "PATH" in caught.value.reason
        assert "SOME_PASSWORD" not in caught.value.reason
        assert "PROXY" not in caught.value.reason

    asyncio.run(main())


@pytest.mark.parametrize(
    "make",
    [
        lambda: AppriseConfig(name="ops"),
        lambda: AppriseConfig(name="ops", url_file="a", url_variable="b"),
        lambda: AppriseConfig(name="ops", url_file="a", schemes=("Gotify",)),
        lambda: AppriseConfig(name="ops", url_file="a", schemes=("gotify://",)),
        *(lambda scheme=scheme: AppriseConfig(name="ops", url_file="a", schemes=(scheme,)) for scheme in NEVER),
    ],
)
def test_settings_that_make_no_sense_say_so(make: Callable[[], AppriseConfig]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.where.startswith("channels.ops")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "://secret",
        "gotify://",
        "json://example.org/secret",
        "xml://example.org/secret",
        "dbus://",
        "DBUS://secret",
        "file:///etc/secret",
        "syslog://secret",
        "https://discord.com/api/webhooks/secret",
        "gotify://example.org/secret dbus://",
        "gotify://example.org/secret\ndbus://",
    ],
)
def test_only_listed_kinds_of_addresses_are_taken_and_none_is_quoted(url: str) -> None:
    async def main() -> None:
        async with AppriseConfig(name="ops", url_file="x").open(deps(url)):
            pass

    with pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    assert "secret" not in str(caught.value)


def test_an_operator_may_list_another_kind() -> None:
    async def main() -> None:
        config = AppriseConfig(name="ops", url_file="x", schemes=(*WELL_KNOWN, "json"))
        async with config.open(deps("json://example.org/hook")) as channel:
            assert channel.name == "ops"

    asyncio.run(main())


def test_every_well_known_kind_is_one_that_the_library_knows() -> None:
    asked = (
        "import json; from apprise.manager_plugins import NotificationManager as Known;"
        "print(json.dumps([kind for kind in {!r} if kind in Known()]))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", asked.format([*WELL_KNOWN])],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert sorted(msgspec.json.decode(found.stdout)) == sorted(WELL_KNOWN)


@contextmanager
def trap() -> Iterator[tuple[int, Callable[[], int]]]:
    """A port on 127.0.0.1, and how many have connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def connected() -> int:
            count = 0
            try:
                while True:
                    server.accept()[0].close()
                    count += 1
            except BlockingIOError:
                return count

        yield server.getsockname()[1], connected


TRICKS = """
import asyncio, ctypes, http.client, io, json, os, socket, subprocess, sys, urllib.request
import requests
from cryptowatcher.adapters.channels.apprise_worker import Gate, Job
from cryptowatcher.domain.addresses import Outbound

port, folder = int(sys.argv[1]), sys.argv[2]
asked = []
real = socket.getaddrinfo

def rebinding(host, port, *rest, **named):
    asked.append(host)
    return real("127.0.0.1" if host.endswith(".test") else host, port, *rest, **named)

socket.getaddrinfo = rebinding
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
command = f"echo > /dev/tcp/127.0.0.1/{port}"
here = f"http://127.0.0.1:{port}/"
tricks = {
    "connect": lambda: socket.create_connection(("127.0.0.1", port)),
    "connect_ex": lambda: socket.socket().connect_ex(("127.0.0.1", port)),
    "name": lambda: socket.socket().connect(("localhost", port)),
    "short": lambda: socket.socket().connect(("127.1", port)),
    "nothing": lambda: socket.socket().connect(("", port)),
    "unix": lambda: socket.socket(socket.AF_UNIX).connect(folder + "/socket"),
    "sendto": lambda: udp.sendto(b"x", ("127.0.0.1", port)),
    "sendmsg": lambda: udp.sendmsg([b"x"], [], 0, ("127.0.0.1", port)),
    "http": lambda: http.client.HTTPConnection("127.0.0.1", port).request("GET", "/"),
    "urllib": lambda: urllib.request.urlopen(here),
    "requests": lambda: requests.get(here),
    "rebinding": lambda: requests.get(f"http://name.test:{port}/"),
    "asyncio": lambda: asyncio.run(asyncio.open_connection("127.0.0.1", port)),
    "subprocess": lambda: subprocess.run(["bash", "-c", command]),
    "system": lambda: os.system(f"bash -c '{command}'"),
    "popen": lambda: os.popen(command),
    "spawn": lambda: os.posix_spawn("/bin/bash", ["bash", "-c", command], {}),
    "exec": lambda: os.execv("/bin/bash", ["bash", "-c", command]),
    "fork": lambda: os.fork(),
    "ctypes": lambda: ctypes.CDLL(None),
    "read": lambda: open("/etc/passwd"),
    "read low": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "up": lambda: open(sys.prefix + "/../../../../../../../../etc/passwd"),
    "write": lambda: open(folder + "/written", "w"),
    "write low": lambda: os.open(folder + "/written", os.O_WRONLY | os.O_CREAT),
}
gate = Gate()
gate.begin(Job(url="", title="", body="", seconds=1.0, outbound=Outbound()))
sys.addaudithook(gate)
went = []
for name, trick in tricks.items():
    try:
        trick()
    except OSError:
        continue
    went.append(name)
assert "name.test" in asked and gate.forbidden
sys.stdout.write(json.dumps(went))
"""


def test_the_gate_lets_nothing_by_that_a_library_may_try(tmp_path: Path) -> None:
    with trap() as (port, connected), socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "socket"))
        local.listen()
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", TRICKS, str(port), str(tmp_path)],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        assert msgspec.json.decode(ran.stdout) == []
        assert connected() == 0
    assert not (tmp_path / "written").exists()


def job(outbound: Outbound, *, mail: bool = False) -> Job:
    return Job(url="", title="", body="", seconds=1.0, outbound=outbound, mail=mail)


@pytest.mark.parametrize(
    ("target", "mail", "may"),
    [
        (("8.8.8.8", 443), False, True),
        (("2606:4700::1111", 443, 0, 0), False, True),
        (("8.8.8.8", 22), False, False),
        (("8.8.8.8", 25), False, False),
        (("8.8.8.8", 587), True, True),
        (("8.8.8.8", 80), True, False),
        (("192.168.1.7", 8080), False, True),
        (("192.168.2.7", 8080), False, False),
        (("fe80::1%eth0", 8080, 0, 2), False, False),
        (("example.org", 443), False, False),
        ("path", False, False),
        (b"path", False, False),
        ((), False, False),
        (None, False, False),
    ],
)
def test_the_gate_judges_addresses_and_ports(target: object, mail: bool, may: bool) -> None:
    gate = Gate()
    gate.begin(job(Outbound(allow=("192.168.1.0/24",)), mail=mail))
    with socket.socket() as connection:
        try:
            gate("socket.connect", (connection, target))
        except PermissionError:
            assert not may
            assert gate.forbidden
        else:
            assert may


def test_a_library_may_connect_a_socket_to_its_own_and_to_no_other() -> None:
    gate = Gate()
    gate.begin(job(Outbound()))
    with trap() as (foreign, _), socket.socket() as own, socket.socket() as connection:
        gate("socket.bind", (own, ("127.0.0.1", 0)))
        own.bind(("127.0.0.1", 0))
        gate("socket.connect", (connection, own.getsockname()))
        with pytest.raises(PermissionError):
            gate("socket.connect", (connection, ("127.0.0.1", foreign)))
        port = own.getsockname()[1]
        own.close()
        with pytest.raises(PermissionError):
            gate("socket.connect", (connection, ("127.0.0.1", port)))


def test_a_private_address_is_refused_unless_it_is_listed() -> None:
    async def main() -> None:
        async with spoken(outbound=Outbound()) as outside:
            with pytest.raises(Refused) as caught:
                await outside.channel.send(sample_message(sample_alert()))
            assert caught.value.reason == "forbidden_address"
            assert not outside.service.requests

    asyncio.run(main())


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Mosquitto on a port of its own."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs Debian's package mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def subscribed(port: int, topic: str, heard: list[str]) -> AbstractContextManager[object]:
    """Collects what is published on the topic."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    ready = threading.Event()

    def subscribe(*_: object) -> None:
        client.subscribe(topic, qos=1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _, __, message: heard.append(message.payload.decode())

    @contextmanager
    def going() -> Iterator[None]:
        for _ in range(500):  # the broker begins to listen some time after it was started
            try:
                client.connect("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        client.loop_start()
        try:
            assert ready.wait(30)
            yield
        finally:
            client.disconnect()
            client.loop_stop()

    return going()


def test_a_real_mqtt_broker_passes_it_on_and_no_connection_stays(tmp_path: Path) -> None:
    heard: list[str] = []

    async def main(port: int) -> None:
        url = f"mqtt://127.0.0.1:{port}/prices?qos=1"
        async with AppriseConfig(name="ops", url_file="x").open(deps(url)) as channel:
            for number in range(2):
                assert await channel.send(sample_message(sample_alert(number)))
            assert not [each for worker in workers() for each in worker.net_connections()], "none stays"
            async with asyncio.timeout(30):
                await until(lambda: len(heard) == 2)
        async with AppriseConfig(name="ops", url_file="x").open(deps(url, Outbound())) as strict:
            with pytest.raises(Error) as caught:
                await strict.send(sample_message(sample_alert()))
            assert getattr(caught.value, "reason", "") == "forbidden_address"

    with broker(tmp_path) as port, subscribed(port, "prices", heard):
        asyncio.run(main(port))
    assert all("bitcoin/usd" in message for message in heard)
    assert len(heard) == 2
