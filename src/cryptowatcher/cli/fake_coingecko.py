"""`cryptowatcher fake-coingecko`: a simulated market behind CoinGecko's paths, for trying things out."""

from __future__ import annotations

import asyncio
import difflib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptowatcher.cli.options import new_app
from cryptowatcher.cli.output import note, table
from cryptowatcher.cli.process import until_stopped
from cryptowatcher.errors import ConfigError

if TYPE_CHECKING:
    from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
    from cryptowatcher.testing.market import Tape

app = new_app()


@app.command()
def fake_coingecko(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8099,
    coins: Annotated[int, typer.Option("--coins", min=1, max=20_000, help="How many.")] = 300,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another market.")] = 1,
    speed: Annotated[float, typer.Option("--speed", min=0.001, help="Market seconds in a second.")] = 1.0,
    play: Annotated[
        list[Path] | None, typer.Option("--play", metavar="FILE", help="Recorded candles (Parquet); repeatable.")
    ] = None,
    per_minute: Annotated[int | None, typer.Option("--per-minute", min=1, help="Refuse calls beyond.")] = None,
    misbehave: Annotated[
        list[str] | None, typer.Option("--misbehave", "-m", metavar="KIND", help="Repeatable; see --list.")
    ] = None,
    list_kinds: Annotated[bool, typer.Option("--list", help="List what it can do wrong, and stop.")] = False,
) -> None:
    """Serve a simulated market, or recorded candles, behind the paths and shapes of CoinGecko's API.

    Point a source at it with base_url. While it runs, POST to /_control/misbehave makes it misbehave.
    """
    from cryptowatcher.testing.misbehaviour import MISBEHAVIOURS, parse_misbehaviour
    from cryptowatcher.testing.serve_fake import serve

    if list_kinds:
        table(("Kind", "What it does"), MISBEHAVIOURS.items())
        return
    for text in misbehave or ():
        _check_kind(text.partition(":")[0], MISBEHAVIOURS)
    wrongs = [parse_misbehaviour(text) for text in misbehave or ()]
    tape = _tape(play or [], seed, coins, speed)

    async def work(stop: asyncio.Event) -> None:
        serving = serve(host, port, tape, seed=seed, per_minute=per_minute, misbehaviours=wrongs, ready=announce)
        try:
            await _until(stop, asyncio.create_task(serving))
        except OSError as error:
            message = f"cannot listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}"
            raise ConfigError(message, where="--port", hint="another one, or 0 for a free one") from None

    until_stopped(work)


def _check_kind(kind: str, known: Iterable[str]) -> None:
    if kind not in known:
        near = difflib.get_close_matches(kind, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see --list"
        raise ConfigError(f"there is no kind {kind!r}", where="--misbehave", hint=hint)


def announce(fake: FakeCoinGecko) -> None:
    """Where it is and how to use it."""
    note(f'A fake CoinGecko: {fake.url}\nUse it as a source: base_url = "{fake.url}"\nCtrl-C stops.')


def _tape(files: list[Path], seed: int, coins: int, speed: float) -> Tape:
    if files:
        from cryptowatcher.testing.recorded import RecordedMarket

        return RecordedMarket(files, start_ms=int(time.time() * 1000), speed=speed)
    from cryptowatcher.testing.market import Market

    return Market(seed, coins, speed=speed)


async def _until(stop: asyncio.Event, serving: asyncio.Task[None]) -> None:
    """Serve until asked to stop; what serving raises comes out here."""
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        await serving
    serving.cancel()
    await asyncio.wait((serving,))
