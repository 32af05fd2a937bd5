"""Many short lives of the pipeline over the same files, each ended by kill -9, without paying for its imports.

    python -m tests.chaos.forked CONFIG --kills 1000 --seed 7
    python -m tests.chaos.forked CONFIG --until-dry

This process imports the program once, by a life in a folder of its own, and holds nothing open. For each life it
forks. The child locks the data folder, opens journal and store, recovers, collects from the configured source,
watches and sends through the configured channels, all as `cryptowatcher run` does it (app.open_pipeline,
Pipeline.run). It gets a SIGKILL from here at a random moment, also while it starts. What is not real: there is no
page beside it, the interpreter does not start anew, and what failed is tried again after parts of a second instead
of after five. With `--until-dry` it is one life, which stops in order when nothing is on its way any more.

FOLDER/kills.jsonl gets a line a kill: when (monotonic), and how long the life was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from cryptowatcher import app
from cryptowatcher.config import Config, load
from cryptowatcher.domain.deliveries import ChannelPolicy, DeliveryState, RetryPolicy
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.logs import set_up
from cryptowatcher.ports import Channel, Deps, Tx
from cryptowatcher.ports.channel_settings import ChannelSettings
from cryptowatcher.supervise import only_instance

SHORTEST, LONGEST = 0.05, 1.6
"""Seconds that a life is, from the moment that it stands where the one before stood."""

IN_THE_START = 0.2
"""Which part of the lives is killed before that, within START_TAKES seconds after the fork."""
START_TAKES = 0.5

AT_MOST = 30.0
"""Seconds until a life stands there, on whatever machine."""

DRY_LOOKS = 4
"""So many looks in a row, half a second apart, find nothing that waits."""

UNFINISHED: tuple[DeliveryState, ...] = ("queued", "leased", "retrying")


class Hasty:
    """A channel's settings, with less patience between attempts."""

    def __init__(self, settings: ChannelSettings) -> None:
        self.name = settings.name
        self._settings = settings

    def open(self, deps: Deps) -> AbstractAsyncContextManager[Channel]:
        return self._settings.open(deps)

    def policy(self) -> ChannelPolicy:
        policy = self._settings.policy()
        quick: RetryPolicy = msgspec.structs.replace(policy.retry, first=200, cap=3_000)
        return msgspec.structs.replace(policy, retry=quick)


def hasty(path: Path) -> Config:
    config = load(path, {})
    return msgspec.structs.replace(config, channels=tuple(map(Hasty, config.channels)))


async def live(config: Config, stop: asyncio.Event, stands: Callable[[], object] = bool) -> None:
    """stands: called when watch stands where it stood"""

    async def tell() -> None:
        while not pipeline.ready:  # noqa: ASYNC110  the pipeline tells nobody
            await asyncio.sleep(0.02)
        stands()

    async with app.open_pipeline(config, loop_lag=lambda: 0.0) as pipeline:
        await pipeline.run(stop, beside=[tell])


async def warm_up(config: Config, folder: Path) -> None:
    """A life elsewhere, until it has seen prices: much of the program is imported when it is first used."""
    config = msgspec.structs.replace(config, data_dir=folder)
    stop = asyncio.Event()

    async def look() -> None:
        async with app.open_store(config) as store:
            while not await store.run(lambda tx: tx.prices()):  # noqa: ASYNC110  the pipeline tells nobody
                await asyncio.sleep(0.1)
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(live(config, stop))
        group.create_task(look())


def acknowledge(tx: Tx, newest: int) -> None:
    ids = [alert.id for alert in tx.alerts(LOCAL_OWNER, limit=newest)]
    tx.acknowledge(LOCAL_OWNER, ids, time.time_ns() // 1_000_000)


async def run_dry(config: Config) -> None:
    """A life until nothing waits. What there is has been acknowledged, so that reminders come to an end."""
    stop = asyncio.Event()

    async def look() -> None:
        dry = 0
        async with app.open_store(config) as store:
            await store.run(partial(acknowledge, newest=1_000_000))
            while dry < DRY_LOOKS:
                await asyncio.sleep(0.5)
                await store.run(partial(acknowledge, newest=500))  # the last records lead to alerts too
                counts = await store.run(lambda tx: tx.outbox_counts())
                dry = 0 if any(counts.get(state) for state in UNFINISHED) else dry + 1
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(live(config, stop))
        group.create_task(look())


def fork(config: Config) -> tuple[int, int]:
    """The number of a new life, and where it writes a byte when it stands."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        with only_instance(config.data_dir):
            asyncio.run(live(config, asyncio.Event(), lambda: os.write(writing, b".")))
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
    os._exit(1)  # whatever happened: it never becomes a second parent


def kill_many(config: Config, chance: Random, kills: int, log: Path) -> None:
    """RuntimeError when a life ended by itself."""
    with log.open("a", buffering=1) as lines:
        for _ in range(kills):
            began = time.monotonic()
            child, standing = fork(config)
            if chance.random() < IN_THE_START:
                time.sleep(chance.uniform(0.0, START_TAKES))
            else:
                select.select([standing], [], [], AT_MOST)
                time.sleep(chance.uniform(SHORTEST, LONGEST))
            os.kill(child, signal.SIGKILL)
            at = time.monotonic()
            _, status = os.waitpid(child, 0)
            os.close(standing)
            if not os.WIFSIGNALED(status):
                raise RuntimeError(f"a life ended by itself: {os.waitstatus_to_exitcode(status)}")
            lines.write(json.dumps({"at": at, "took": time.monotonic() - began}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until-dry", action="store_true")
    asked = parser.parse_args()
    config = hasty(asked.config)
    set_up(format="json", level=config.log.level)
    if asked.kills:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(warm_up(config, Path(folder)))
        kill_many(config, Random(asked.seed), asked.kills, asked.config.parent / "kills.jsonl")
    if asked.until_dry:
        with only_instance(config.data_dir):
            asyncio.run(run_dry(config))


if __name__ == "__main__":
    main()
