"""The real program under a supervisor and under observation: what it shows, how its health is, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

import msgspec

from cryptowatcher.domain.records import Ticks, Verdict
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from tests.chaos.test_kill import (
    SECRET,
    ShownPrices,
    encoded,
    fall_silent,
    free_port,
    implied,
    read_all,
    running,
    running_module,
    write_config,
)

ROOT = Path(__file__).parents[2]
PATIENCE = 420.0
T = TypeVar("T")


class Look(msgspec.Struct, frozen=True):
    """One look at the health: when (monotonic), whether all is well, and what is not. No answer is not well."""

    at: float
    ok: bool
    failing: tuple[str, ...]


class Watched:
    """A program that is started again half a second after it ended, and looked at five times a second."""

    def __init__(self, command: Sequence[str], page: int, env: Mapping[str, str], log: Path) -> None:
        self.exits: list[int] = []
        self.looks: list[Look] = []
        self.seen: dict[str, set[tuple[int, float]]] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._page = page
        self._env = {"CRYPTOWATCHER_LOG__LEVEL": "info", **env}
        self._log = log
        self._over = Event()
        self._threads = [Thread(target=self._supervise), Thread(target=self._observe)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self._over.set()
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.end()

    def end(self) -> None:
        self._over.set()
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    @property
    def last(self) -> Look:
        return self.looks[-1] if self.looks else Look(0.0, False, ("nothing",))

    @property
    def prices(self) -> int:
        """How many prices were ever shown."""
        return sum(map(len, self.seen.values()))

    def until(self, wanted: Callable[[], bool], what: str) -> float:
        """Seconds until it is so."""
        began = time.monotonic()
        while not wanted():
            if time.monotonic() - began > PATIENCE:
                raise AssertionError(f"never: {what}; exits {self.exits}, {self.looks[-3:]}")
            time.sleep(0.05)
        return time.monotonic() - began

    def until_red(self) -> float:
        began = time.monotonic()
        return self.until(lambda: self.last.at > began and not self.last.ok, "red")

    def until_green(self) -> float:
        """Well, and new prices are shown."""
        began, known = time.monotonic(), self.prices
        return self.until(lambda: self.last.at > began and self.last.ok and self.prices > known, "green")

    def _supervise(self) -> None:
        while not self._over.is_set():
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env=os.environ | self._env,
                    start_new_session=True,
                    stdout=log,
                    stderr=log,
                )
            code = self.process.wait()
            if not self._over.is_set():
                self.exits.append(code)
            self._over.wait(0.5)

    def _observe(self) -> None:
        while not self._over.is_set():
            for price in shown(self._page):
                self.seen.setdefault(price[0], set()).add(price[1:])
            began = time.monotonic()
            status, body = ask(self._page, "/health/ready")
            checks = json.loads(body)["checks"] if status in (200, 503) else []
            failing = tuple(check["name"] for check in checks if not check["ok"])
            self.looks.append(Look(began, status == 200, failing or (() if status == 200 else ("no answer",))))
            self._over.wait(0.2)


def ask(page: int, path: str) -> tuple[int, bytes]:
    """Status and body of whatever is answered; (0, b"") for no answer."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", page, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def shown(page: int) -> Iterator[tuple[str, int, float]]:
    status, body = ask(page, "/api/v1/prices")
    if status == 200:
        for price in msgspec.json.decode(body, type=ShownPrices).items:
            yield price.pair, price.observed_at_ms, price.price


class Scene(msgspec.Struct, frozen=True):
    """A watched program, its market and its receiver."""

    program: Watched
    folder: Path
    fake: int
    page: int
    log: Path

    def settle(self) -> None:
        """Everything delivered, stopped in order, and nothing lost or invented: what was shown and what arrived
        stands in the files, and the alerts are those that the journal implies."""
        fall_silent(self.fake)
        self.program.until(lambda: all(nothing_waits(self.page) for _ in range(6)), "an empty outbox")
        assert self.program.stop() == 0
        records, changes, take_ups, alerts, deliveries = asyncio.run(read_all(self.folder / "data"))
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        journaled: set[tuple[str, int, float]] = set()
        for record in records:
            body = record.body
            if isinstance(body, Ticks) or (isinstance(body, Verdict) and body.accepted):
                batch = body.batch
                rows = zip(batch.names(), batch.observed_at.tolist(), batch.price.tolist(), strict=True)
                journaled.update(rows)
        assert self.program.prices > 100
        assert {(pair, *price) for pair, prices in self.program.seen.items() for price in prices} <= journaled
        meant = [alert for alert in implied(records, changes, take_ups) if alert.owner == LOCAL_OWNER]
        assert encoded(alerts) == encoded(meant)
        expected = {f"{alert.id}~ops" for alert in alerts}
        assert {delivery.id for delivery in deliveries} == expected
        arrived = {json.loads(line)["id"] for line in self.log.read_text().splitlines()}
        assert not arrived - expected, "arrived, and is not stored"
        assert not expected - arrived, "stored, and never arrived"


def nothing_waits(page: int) -> bool:
    """For half a second nothing is on its way."""
    time.sleep(0.5)
    for state in ("queued", "leased", "retrying"):
        status, body = ask(page, f"/api/v1/deliveries?state={state}&limit=1")
        if status != 200 or json.loads(body)["items"]:
            return False
    return True


@contextmanager
def scene(
    folder: Path, *, before: Sequence[str] = ("cryptowatcher",), env: Mapping[str, str] = {}
) -> Iterator[Scene]:
    """A market at thirty times the speed, two rules, a signed webhook. `before`: the module that is run and its
    first arguments."""
    with ExitStack() as stack:
        fake, hook, page = free_port(), free_port(), free_port()
        log = folder / "received.jsonl"
        log.touch()
        stack.enter_context(running("fake-coingecko", "--port", str(fake), "--seed", "3", "--speed", "30"))
        receiver = ("cryptowatcher.testing.receiver", "--port", str(hook), "--log", str(log), "--secret", SECRET)
        stack.enter_context(running_module(*receiver))
        config = write_config(folder, fake=fake, hook=hook, page=page)
        command = [sys.executable, "-m", *before, "run", "--config", str(config)]
        program = Watched(command, page, env, folder / "program.log")
        stack.callback(program.end)
        program.start()
        program.until_green()
        yield Scene(program, folder, fake, page, log)


def say(what: str) -> None:
    """Figures for whoever reads the output."""
    sys.stderr.write(f"\n{what}\n")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs there, as long as it lasts. RuntimeError where this may not be done."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        raise RuntimeError(mounted.stderr.decode().strip())
    try:
        yield
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(folder)], check=True)
