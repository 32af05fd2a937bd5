"""What users type never becomes a connection to a private address: counted where it would arrive, not by what is
raised."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random

import msgspec
import pytest

from cryptowatcher.adapters.channels.apprise_worker import Done, Job
from cryptowatcher.adapters.channels.discord import DiscordConfig
from cryptowatcher.adapters.channels.email import EmailConfig
from cryptowatcher.adapters.channels.ntfy import NtfyConfig
from cryptowatcher.adapters.channels.slack import SlackConfig
from cryptowatcher.adapters.channels.webhook import WebhookConfig
from cryptowatcher.adapters.channels.webpush import WebPushConfig
from cryptowatcher.adapters.clock import SystemClock
from cryptowatcher.adapters.pushing import new_push_key
from cryptowatcher.config.canary import Canary
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Deps
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.ports.keys import PushKey
from cryptowatcher.testing.contracts.channel import sample_alert, sample_message
from cryptowatcher.testing.fake_push import FakeBrowser
from tests.adapters.payloads import disguises, hosts

OPEN = "127.0.0.9"
"""The one address that may be asked here."""
TRAPS = ("127.0.0.1", "127.0.0.2", "::1")
ONLY_OPEN = Outbound(allow=(OPEN,))
ALL = Outbound(allow=("127.0.0.0/8", "::1"))


class Names:
    """A resolver: numbers as this machine reads them, and names of its own. A name has several answers where it
    changes them from look-up to look-up."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.known: dict[str, list[list[str]]] = {
            "localhost": [["127.0.0.1", "::1"]],
            "sub.localhost": [["127.0.0.1"]],
            "loopback.test": [["127.0.0.2"]],
            "six.test": [["::1"]],
            "mixed.test": [[OPEN, "127.0.0.1"]],
            "mixed-six.test": [["::1", OPEN]],
            "metadata.test": [["169.254.169.254"]],
            "xn--bcher-kva.test": [["127.0.0.1"]],
            "rebinding.test": [[OPEN], ["127.0.0.1"]],
            "backwards.test": [["127.0.0.1"], [OPEN]],
        }

    async def __call__(self, host: str) -> Sequence[str]:
        name = host.lower().removesuffix(".")
        self.asked[name] += 1
        if answers := self.known.get(name):
            return answers[min(self.asked[name], len(answers)) - 1]
        with suppress(UnicodeError):
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            return [str(each[4][0]) for each in found]
        raise socket.gaierror


class Ground:
    """The traps and the open address listen on one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connected: Counter[str] = Counter()
        self.speaks = True
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"

    def deps(self, names: Names, outbound: Outbound, secret: str) -> Deps:
        return Deps(
            clock=SystemClock(), secret=lambda **named: secret, random=Random(1), outbound=outbound, resolve=names
        )

    @property
    def trapped(self) -> dict[str, int]:
        return {host: count for host, count in self.connected.items() if host != OPEN}

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected[writer.get_extra_info("sockname")[0]] += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if self.speaks:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    async with AsyncExitStack() as servers:
        for _ in range(20):  # what is free at one address may be taken at another: others test here too
            with suppress(OSError):
                here = await _stand(servers)
                break
        else:
            pytest.fail("no port is free at all of the addresses")
        yield here


async def _stand(servers: AsyncExitStack) -> Ground:
    """One port at every address, as long as `servers` stands; OSError where one of them is taken."""
    with socket.socket() as free:
        free.bind((OPEN, 0))
        here = Ground(free.getsockname()[1])
    async with AsyncExitStack() as tried:
        for host in (OPEN, *TRAPS):
            tried.callback((await asyncio.start_server(here.meet, host, here.port)).close)
        servers.push_async_exit(tried.pop_all())
    return here


Send = Callable[[str, Deps], Awaitable[object]]
"""Sends to what stands between the scheme and the path."""


def by(make: Callable[[str], ChannelSettings]) -> Send:
    async def send(host: str, deps: Deps) -> object:
        async with make(host).open(deps) as channel:
            return await channel.send(sample_message(sample_alert()))

    return send


async def ping(host: str, deps: Deps) -> object:
    canary = Canary(url=f"http://{host}/ping")
    async with canary.open_channel(deps, since=0, on_round_trip=lambda *_: None) as channel:
        now = deps.clock.now()
        return await channel.send(sample_message(msgspec.structs.replace(sample_alert(), received_at=now, at=now)))


async def push(host: str, deps: Deps) -> object:
    """To a browser with keys of its own: only where it is reached is what somebody typed."""
    browser, key = FakeBrowser(f"http://{host}", ""), new_push_key()
    secrets = {"endpoint": browser.endpoint, "p256dh": browser.p256dh, "auth": browser.auth}

    async def push_key() -> PushKey:
        return key

    deps = msgspec.structs.replace(deps, secret=lambda **named: secrets[named["file"]], push_key=push_key)
    config = WebPushConfig(name="ops", endpoint_file="endpoint", p256dh_file="p256dh", auth_file="auth")
    async with config.open(deps) as channel:
        return await channel.send(sample_message(sample_alert()))


def mail(host: str) -> EmailConfig:
    name, _, port = host.rpartition(":")
    return EmailConfig(
        name="ops",
        server=name.strip("[]"),
        port=int(port),
        security="none",
        sender="a@b.c",
        to="d@e.f",
        timeout="1s",
    )


SINKS: dict[str, Send] = {
    "webhook": by(lambda host: WebhookConfig(name="ops", url=f"http://{host}/hook")),
    "webhook by TLS": by(lambda host: WebhookConfig(name="ops", url=f"https://{host}/hook")),
    "ntfy": by(lambda host: NtfyConfig(name="ops", server=f"http://{host}", topic_file="topic")),
    "discord": by(lambda host: DiscordConfig(name="ops", url_file="url")),
    "slack": by(lambda host: SlackConfig(name="ops", url_file="url")),
    "email": by(mail),
    "ping": ping,
    "webpush": push,
}


SILENT = ("email", "webhook by TLS")
"""To these a server that speaks plain HTTP has nothing to say."""


def secret_for(sink: str, host: str) -> str:
    return "prices" if sink == "ntfy" else f"http://{host}/api/webhooks/1/x"


async def attempt(here: Ground, names: Names, sink: str, host: str, outbound: Outbound) -> str:
    """`sent`, or why not."""
    here.speaks = sink not in SILENT
    try:
        await SINKS[sink](host, here.deps(names, outbound, secret_for(sink, host)))
    except (Refused, Unavailable) as error:
        return error.reason
    except (ConfigError, ValueError):
        return "not taken"
    return "sent"


@pytest.mark.parametrize("sink", SINKS)
def test_no_spelling_of_a_private_address_is_connected_to(sink: str) -> None:
    async def main() -> None:
        async with ground() as here:
            outcomes: Counter[str] = Counter()
            for number, host in enumerate(hosts()):
                outbound = ONLY_OPEN if number % 2 else Outbound()
                outcomes[await attempt(here, Names(), sink, f"{host}:{here.port}", outbound)] += 1
            assert not here.connected
            assert set(outcomes) <= {"forbidden_address", "bad_url", "dns", "not taken"}, outcomes
            assert outcomes["forbidden_address"] > 100, outcomes

    assert len(hosts()) >= 200
    asyncio.run(main())


@pytest.mark.parametrize("sink", SINKS)
def test_the_same_payloads_do_arrive_where_they_are_allowed(sink: str) -> None:
    """So that the traps can be trusted."""

    async def main() -> None:
        async with ground() as here:
            spelled = [
                "127.0.0.1",
                "127.0.0.2",
                "[::1]",
                "localhost",
                "six.test",
                "loopback.test",
                "[::ffff:127.0.0.1]",
            ]
            if sink != "email":
                spelled += ["2130706433", "0x7f.1", "127.1", "127。0。0。1"]
            for number, host in enumerate(spelled, start=1):
                await attempt(here, Names(), sink, f"{host}:{here.port}", ALL)
                assert here.trapped
                assert sum(here.trapped.values()) == number, host

    asyncio.run(main())


@pytest.mark.parametrize("sink", [each for each in SINKS if each != "email"])
def test_no_disguise_of_a_host_leads_two_parsers_to_two_places(sink: str) -> None:
    async def main() -> None:
        async with ground() as here:
            for trap in ("127.0.0.1", "[::1]", "localhost"):
                for host in disguises(f"{trap}:{here.port}", f"{OPEN}:{here.port}"):
                    await attempt(here, Names(), sink, host, ONLY_OPEN)
                    assert not here.trapped, host

    asyncio.run(main())


@pytest.mark.parametrize("sink", SINKS)
def test_a_name_that_changes_its_address_after_it_was_judged_is_asked_at_the_judged_one(sink: str) -> None:
    async def main() -> None:
        async with ground() as here:
            names = Names()
            await attempt(here, names, sink, f"rebinding.test:{here.port}", ONLY_OPEN)
            assert here.connected == {OPEN: 1}
            assert names.asked["rebinding.test"] == 1
            assert (
                await attempt(here, names, sink, f"rebinding.test:{here.port}", ONLY_OPEN) == "forbidden_address"
            )
            assert (
                await attempt(here, names, sink, f"backwards.test:{here.port}", ONLY_OPEN) == "forbidden_address"
            )
            assert here.connected == {OPEN: 1}

    asyncio.run(main())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("sink", ["webhook", "ntfy", "discord", "slack", "ping"])
def test_a_redirect_into_a_private_network_is_not_followed(sink: str, status: int) -> None:
    async def main() -> None:
        async with ground() as here:
            for where in (
                f"http://127.0.0.1:{here.port}/",
                f"//[::1]:{here.port}/",
                f"http://localhost:{here.port}",
            ):
                here.answer = f"HTTP/1.1 {status} Go\r\nlocation: {where}\r\ncontent-length: 0\r\n\r\n".encode()
                assert await attempt(here, Names(), sink, f"{OPEN}:{here.port}", ONLY_OPEN) == "redirect"
            assert here.connected == {OPEN: 3}

    asyncio.run(main())


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("port", [0, 22, 110])
def test_ports_of_other_services_are_not_asked(sink: str, port: int) -> None:
    async def main() -> str:
        async with ground() as here:
            return await attempt(here, Names(), sink, f"{OPEN}:{port}", ONLY_OPEN)

    if sink == "email" and port == 0:
        pytest.skip("0 stands for the usual port there")
    assert asyncio.run(main()) in {"bad_url", "not taken"}


async def worker(jobs: Sequence[Job]) -> list[Done]:
    """What the process of Apprise makes of them: as many processes one after the other as it takes."""
    done: list[Done] = []
    while len(done) < len(jobs):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "cryptowatcher.adapters.channels.apprise_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        lines = b"".join(msgspec.json.encode(job) + b"\n" for job in jobs[len(done) :])
        out, _ = await process.communicate(lines)
        found = [msgspec.json.decode(line, type=Done) for line in out.splitlines()]
        assert found
        done += found
    return done


def job(url: str, outbound: Outbound) -> Job:
    mail = url.startswith("mailto")
    return Job(url=url, title="t", body="b", seconds=20, outbound=outbound, mail=mail)


def numeric(host: str) -> bool:
    """Whether it is no name: what this suite's own resolver knows, the process does not."""
    return not host.rstrip(".").endswith(".test")


def test_the_process_of_apprise_connects_to_none_of_them_either() -> None:
    async def main() -> None:
        async with ground() as here:
            jobs = [job(f"gotify://{host}:{here.port}/AppToken", Outbound()) for host in hosts() if numeric(host)]
            assert len(jobs) >= 200
            for host in ("127.0.0.1", "[::1]", "localhost", "2130706433"):
                jobs += [
                    job(url, Outbound())
                    for url in (
                        f"ntfy://{host}:{here.port}/topic",
                        f"matrix://user:word@{host}:{here.port}/#room",
                        f"mmost://{host}:{here.port}/3ccdd113474722377935511fc85d3dd4",
                        f"rocket://user:word@{host}:{here.port}/#room",
                        f"signal://{host}:{here.port}/15551234567/15557654321",
                        f"json://{host}:{here.port}/",
                        f"xml://{host}:{here.port}/",
                        f"mailto://user:word@{host}:{here.port}?from=a@b.c&to=d@e.f",
                        f"gotifys://{host}:{here.port}/AppToken",
                        f"mqtt://{host}:{here.port}/topic",
                    )
                ]
            done = await worker(jobs)
            assert not here.connected
            assert not any(each.outcome == "sent" for each in done)
            assert sum(each.reason == "forbidden_address" for each in done) > 100, Counter(
                each.reason for each in done
            )

    asyncio.run(main())


def test_the_process_of_apprise_is_not_led_away_by_redirects_disguises_or_proxies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with ground() as here:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{here.port}")
            monkeypatch.setenv("NO_PROXY", OPEN)
            here.answer = (
                f"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{here.port}/\r\ncontent-length: 0\r\n\r\n".encode()
            )
            jobs = [job(f"gotify://{OPEN}:{here.port}/AppToken?redirect=yes", ONLY_OPEN)]
            jobs += [
                job(f"gotify://{host}/AppToken", ONLY_OPEN)
                for host in disguises(f"127.0.0.1:{here.port}", f"{OPEN}:{here.port}")
            ]
            jobs += [job(f"gotify://127.0.0.1:{here.port}/AppToken", ALL)]
            done = await worker(jobs[:-1])
            assert done[0].reason == "redirect"
            assert here.connected[OPEN]
            assert not here.trapped
            await worker(jobs[-1:])
            assert here.trapped, "so that the trap can be trusted"

    asyncio.run(main())
