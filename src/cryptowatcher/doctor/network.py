"""What is reached over sockets: the page's port, sources, channels, and somebody else's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from random import Random
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from cryptowatcher.adapters.http import open_http
from cryptowatcher.config import name_of
from cryptowatcher.config.reaching import Reached, is_forbidden, reached, what_to_do
from cryptowatcher.doctor.findings import Case, Finding, ok, warning, wrong
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.status import SourceStatus
from cryptowatcher.errors import Error, Unavailable
from cryptowatcher.listening import asked_at, listen
from cryptowatcher.ports import Deps
from cryptowatcher.supervise import is_watched

WITHIN = 10.0
LARGEST = 256 * 1024
FEW_SECONDS = 5.0
MANY_SECONDS = 60.0
SOMEBODY = "https://api.coingecko.com"
"""Asked for the time where no source names an address."""


class _Live(msgspec.Struct):
    """What is used of the page's answer."""

    version: str


def page(case: Case) -> Iterator[Finding]:
    """Nothing to say where a free port is taken."""
    web = case.config.web
    if not web.port:
        return
    watched = case.there and is_watched(case.folder)
    version = asyncio.run(_page_version(web.host, web.port))
    if version:
        whose = "" if watched else ", though no watcher holds this folder"
        found = f"cryptowatcher {version} answers on port {web.port}{whose}"
        yield (
            ok(found) if not whose else warning(found, "is another one running? then this one needs another port")
        )
    else:
        listen(web.host, web.port, patience=0).close()
        if watched:
            yield warning(f"a watcher runs, and nothing answers on port {web.port}", "was its port changed since?")
        else:
            yield ok(f"port {web.port} on {web.host} is free")


async def _page_version(host: str, port: int) -> str:
    """Of the cryptowatcher that answers there; "" when none does."""
    host = asked_at(host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/health/live"
    try:
        async with open_http() as http:
            answer = await http.request(
                "GET", url, headers={"host": "localhost"}, deadline=WITHIN, max_bytes=LARGEST
            )
        return msgspec.json.decode(answer.body, type=_Live).version
    except (Error, msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def clock(case: Case) -> Iterator[Finding]:
    """Compared with what a source's server says of the time. Its address is asked, not its API: no call counts."""
    address = next(filter(None, (getattr(source, "base_url", "") for source in case.config.sources)), SOMEBODY)
    parts = urlsplit(address)
    try:
        theirs, ours = asyncio.run(_time_at(case, urlunsplit((parts.scheme, parts.netloc, "/", "", ""))))
    except Unavailable as error:
        yield warning(f"cannot be compared with {parts.hostname}'s: {error}", "is this machine online?")
        return
    if theirs is None:
        yield ok(f"{parts.hostname} does not tell its time")
        return
    ahead = (ours - theirs) / 1000
    said = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {parts.hostname}'s"
    set_it = "set it and keep it set: timedatectl set-ntp true; in a container it is the machine's"
    if abs(ahead) > MANY_SECONDS:
        yield wrong(said, set_it)
    elif abs(ahead) > FEW_SECONDS:
        yield warning(said, set_it)
    else:
        yield ok(f"agrees with {parts.hostname}'s")


async def _time_at(case: Case, url: str) -> tuple[float | None, float]:
    """The server's time and ours in the middle of asking; epoch ms."""
    async with open_http() as http:
        before = case.clock.now()
        answer = await http.request("HEAD", url, deadline=WITHIN, max_bytes=LARGEST)
        ours = (before + case.clock.now()) / 2
    try:
        # It names whole seconds: on the average half a one ago.
        return parsedate_to_datetime(answer.headers.get("date", "")).timestamp() * 1000 + 500, ours
    except (ValueError, TypeError):
        return None, ours


def sources(case: Case) -> Iterator[Finding]:
    """From what a running watcher knows; else each is asked once, which counts as a call."""
    known = asyncio.run(_known(case)) if case.there and is_watched(case.folder) else {}
    for settings in case.config.sources:
        name = name_of(settings)
        status = known.get(name)
        if status is None:
            yield asyncio.run(_ask(case, settings, name))
        elif status.state in ("ok", "limited"):
            yield ok(f"{name}: {status.state}, {status.pairs} pairs")
        elif status.state == "starting":
            yield warning(f"{name} has not answered yet", "wait: it is asked again by itself")
        else:
            why = ", ".join(filter(None, (status.reason, status.detail)))
            yield wrong(f"{name} is {status.state}: {why}", "it is asked again by itself; is this machine online?")


async def _known(case: Case) -> dict[str, SourceStatus]:
    """By name; empty where it cannot be had."""
    with suppress(Error):
        async with case.config.store.open(_deps(case), readonly=True) as store:
            return {status.source: status for status in await store.run(lambda tx: tx.source_statuses())}
    return {}


async def _ask(case: Case, settings: object, name: str) -> Finding:
    todo = "is this machine online, and may it go there? else wait: `cryptowatcher check --online` asks again"
    try:
        async with settings.open(_deps(case)) as source:  # type: ignore[attr-defined]  # SourceSettings, as configured
            seen = await source.fetch(0)
    except Error as error:
        return wrong(f"{name}: {error}", todo)
    if not seen.pairs:
        return wrong(f"{name} answers, and gives no price", "check its settings")
    return ok(f"{name} answers with {len(seen.pairs)} pairs")


def channels(case: Case) -> Iterator[Finding]:
    """Connected to and let go again: nothing is sent."""
    for each in reached(case.config, case.config.secret_reader(case.environ)):
        yield asyncio.run(_reach(each, case.config.outbound))


async def _reach(channel: Reached, outbound: Outbound) -> Finding:
    name, host, port = channel.name, channel.host, channel.port
    if channel.scheme in getproxies() and not proxy_bypass(host):
        return ok(f"{name}: {host} is reached by a proxy, so it is not tried")
    try:
        async with asyncio.timeout(WITHIN):
            if await is_forbidden(host, outbound, ask=True):
                said = f"{name}: {host} is an address of a private network, so nothing is sent there"
                return wrong(said, what_to_do(host))
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError) as error:
        why = (
            "no answer in time"
            if isinstance(error, TimeoutError)
            else getattr(error, "strerror", None) or str(error)
        )
        return wrong(f"{name}: {host} port {port} cannot be reached: {why}", "check its address, and the network")
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ok(f"{name}: {host} port {port} can be reached")


def _deps(case: Case) -> Deps:
    return Deps(
        clock=case.clock,
        secret=case.config.secret_reader(case.environ),
        random=Random(),
        data_dir=case.folder,
    )
