"""`cryptowatcher explain`, over the files that a watcher left."""

from __future__ import annotations

import asyncio
import time

import pytest

from cryptowatcher import app as program
from cryptowatcher.config import load
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.moves import PairMove
from cryptowatcher.ports import Cursor, Step
from tests.cli.terminal import Terminal, json_of, price

HOUR = 3_600_000
NOW = time.time_ns() // 1_000_000
FIRST = NOW // HOUR * HOUR - 90 * HOUR


def watched(terminal: Terminal) -> None:
    """Hours in which the price doubled, and a journal in which nothing stands."""
    candles = [
        Candle(
            pair="bitcoin/usd",
            interval=HOUR,
            start=FIRST + number * HOUR,
            open=close,
            high=close,
            low=close,
            close=close,
            volume_24h=None,
            ticks=60,
            observed_ms=HOUR,
        )
        for number, close in enumerate([100.0] * 45 + [200.0] * 45)
    ]
    prices = [price("bitcoin/usd", 200.0, observed_at=NOW)]
    terminal.store(Step(cursor=Cursor("j", 1, NOW), candles=candles, prices=prices))

    async def make_journal() -> None:
        async with program.open_journal(load(None, {})):
            pass

    asyncio.run(make_journal())


def test_a_move_is_told_in_sentences(terminal: Terminal) -> None:
    watched(terminal)
    result = terminal.run("explain", "bitcoin", "--last", "48h")
    assert result.exit_code == 0
    times, moved, *rest = result.stdout.splitlines()
    assert times.endswith("UTC")
    assert len(rest) > 4
    assert moved == "bitcoin/usd rose 100% in 2 days, from 100 to 200 USD."


def test_programs_get_what_the_api_gives_and_it_may_be_some_time_ago(terminal: Terminal) -> None:
    watched(terminal)
    found = json_of(terminal.run("explain", "bitcoin", "--last", "30h", "--ago", "50h", "--json"), PairMove)
    assert isinstance(found, PairMove)
    assert (found.begin, found.end, found.change) == (100.0, 100.0, 0.0)
    assert found.to_ms - found.from_ms == 30 * HOUR


@pytest.mark.parametrize("last", ["5s", "forever", "9000d"])
def test_a_length_that_is_none_is_refused(terminal: Terminal, last: str) -> None:
    result = terminal.run("explain", "bitcoin", "--last", last)
    assert result.exit_code == 2
    assert "--last" in result.stderr


def test_a_pair_that_is_not_watched_is_named(terminal: Terminal) -> None:
    watched(terminal)
    result = terminal.run("explain", "bitcorn")
    assert result.exit_code == 1
    assert "bitcorn/usd" in result.stderr


def test_before_the_first_run_there_is_nothing_and_nothing_is_made(terminal: Terminal) -> None:
    result = terminal.run("explain", "bitcoin")
    assert result.exit_code == 1
    assert "cryptowatcher run" in result.stderr
    assert list(terminal.folder.iterdir()) == []
