"""Alerts through the Apprise library, which knows many services more than there are channels here.

    url = "gotify://push.example.org/AbCdEf"        in the file that url_file names: an address is a secret

The library runs in a process of its own (apprise_worker), which is started with the first message, ends with the
channel, and is killed when an answer takes too long. It does not say much about what went wrong, and never for how
long to wait: where a service has a channel of its own here (ntfy, Discord, Slack, e-mail), that one is better.
Nothing keeps a repeat from being shown twice: a message in flight when the watcher dies may come twice.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from cryptowatcher.adapters.channels.apprise_worker import Done, Job
from cryptowatcher.domain.addresses import Outbound
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.texts import plain
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Channel, Deps
from cryptowatcher.ports.channel_settings import ChannelSettings

WELL_KNOWN: Final = (
    "discord", "gotify", "gotifys", "mailto", "mailtos", "matrix", "matrixs", "mmost", "mmosts", "mqtt", "mqtts",
    "ntfy", "ntfys", "pbul", "pover", "prowl", "rocket", "rockets", "signal", "signals", "slack", "tgram",
    "threema", "twilio", "webex", "wxteams", "zulip",
)  # fmt: skip
"""Services that carry messages to people, each by one known way."""
NEVER: Final = frozenset({
    "attach", "blink1", "config", "dbus", "file", "glib", "gnome", "http", "https", "include", "kde", "macosx",
    "qt", "syslog", "windows",
})  # fmt: skip
"""What acts on this machine, reads its files, or leads to further addresses."""

_SCHEME: Final = re.compile(r"[a-z][a-z0-9]{1,30}")
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What the process may know of this one's variables: among the others are secrets."""
_LONGEST_ANSWER: Final = 1_000


class AppriseConfig(ChannelSettings, frozen=True, kw_only=True, tag="apprise", tag_field="kind"):
    """Sends each alert through one service of Apprise's.

    url_file, url_variable: where its address is, as Apprise writes it: gotify://push.example.org/AbCdEf
    schemes: which kinds of addresses may be used; `json`, `xml` and others stand for any request, so they are not
             among those by default
    """

    url_file: str | None = None
    url_variable: str | None = None
    schemes: tuple[str, ...] = WELL_KNOWN
    timeout: str = "30s"
    rate: str = "20/m"

    AT_ONCE = 1
    ADDED_BY = "admin"
    NEEDS = ("url",)

    def __post_init__(self) -> None:
        ChannelSettings.__post_init__(self)
        where = f"{self.where}.schemes"
        for scheme in self.schemes:
            if _SCHEME.fullmatch(scheme) is None:
                hint = "write what stands before ://, in small letters"
                raise ConfigError(f"{scheme[:40]!r} is not a scheme", where=where, hint=hint)
            if scheme in NEVER:
                hint = "use a channel of this program, or another service"
                message = f"{scheme!r} acts on this machine or leads elsewhere"
                raise ConfigError(message, where=where, hint=hint)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Channel]:
        url = (self.secret("url", deps) or "").strip()
        channel = Apprise(self, self._checked(url), deps.outbound)
        try:
            yield channel
        finally:
            await channel.end()

    def _checked(self, url: str) -> str:
        scheme, colon, rest = url.partition("://")
        if not (colon and rest and url.isprintable() and " " not in url and _SCHEME.fullmatch(scheme.lower())):
            hint = "write it as Apprise does: gotify://push.example.org/token"
            raise ConfigError("not an address of Apprise's", where=f"{self.where}.url", hint=hint)
        if scheme.lower() not in self.schemes:
            hint = f"these may: {', '.join(self.schemes)}"
            raise ConfigError(f"{scheme.lower()}:// may not be used", where=f"{self.where}.schemes", hint=hint)
        return url


class Apprise:
    """One message at a time, each answered by the process before the next."""

    def __init__(
        self, config: AppriseConfig, url: str, outbound: Outbound, *, command: tuple[str, ...] = ()
    ) -> None:
        """`command`: what is started to speak; empty: apprise_worker."""
        self._config = config
        self._url = url
        self._outbound = outbound
        self._command = command or (sys.executable, "-P", "-m", "cryptowatcher.adapters.channels.apprise_worker")
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return self._config.name

    async def send(self, message: Message) -> str:
        async with self._turn:
            done = await self._ask(self._job(message))
        words = f"{self._scheme}: {done.reason}"
        if done.outcome == "refused":
            if done.reason == "forbidden_address":
                words = f"{self._scheme}: leads into a private network"
            raise Refused(words, reason=done.reason)
        if done.outcome == "unavailable":
            raise Unavailable(words, reason=done.reason)
        return f"{self._scheme}: accepted"

    async def end(self) -> None:
        """Leave no process behind."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        _close(process)
        await process.wait()

    @property
    def _scheme(self) -> str:
        return self._url.partition("://")[0].lower()

    def _job(self, message: Message) -> bytes:
        job = Job(
            url=self._url,
            title=plain(message.text.title),
            body="\n".join(map(plain, message.text.body.split("\n"))),
            seconds=self._config.seconds,
            outbound=self._outbound,
            mail=self._scheme.startswith("mailto"),
        )
        return msgspec.json.encode(job) + b"\n"

    async def _ask(self, job: bytes) -> Done:
        """Whatever ends this before an answer ends the process as well: nobody knows what it is at."""
        try:
            async with asyncio.timeout(self._config.seconds):
                process = await self._started()
                line = await _talk(process, job)
        except TimeoutError as error:
            await self.end()
            words = f"{self._scheme}: no answer within {self._config.seconds:g} s"
            raise Unavailable(words, reason="timeout") from error
        except OSError as error:  # memory, files or processes are used up
            await self.end()
            raise Unavailable(f"{self._scheme}: no process can be started", reason="crashed") from error
        except BaseException:
            await self.end()
            raise
        try:
            done = msgspec.json.decode(line, type=Done)
        except msgspec.DecodeError:
            await self.end()
            raise Unavailable(f"{self._scheme}: the process that speaks ended", reason="crashed") from None
        if done.last:
            await self.end()
        return done

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            await self.end()
            known = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=known,
                start_new_session=True,
                limit=_LONGEST_ANSWER,
            )
        return self._process


async def _talk(process: asyncio.subprocess.Process, job: bytes) -> bytes:
    """What it answers; nothing, or half a line, when it ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(job)
        await process.stdin.drain()
        return await process.stdout.readline()
    except (ConnectionError, ValueError):  # it ended, or says more than an answer has
        return b""


def _close(process: asyncio.subprocess.Process) -> None:
    """The pipes: with one that was not read to its end, asyncio waits for the process for ever."""
    process._transport.close()  # type: ignore[attr-defined]  # there is no public way


SETTINGS = AppriseConfig
