"""`cryptowatcher rules preview`: on a file of candles and on what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cryptowatcher.cli.output import now
from cryptowatcher.ports import Cursor, Step
from cryptowatcher.previewing import Trial
from tests.cli.terminal import MINUTE, Terminal, json_of, something
from tests.web.world import candle

PREVIEW = ("rules", "preview")
BEGIN = datetime(2024, 8, 5, tzinfo=UTC)
HOURS = 24 * 60
PRICES = [120.0 if number % 144 == 100 else 100.0 for number in range(HOURS)]
"""Hours: 120 in one of six days, ten times, else 100."""


def recorded(folder: Path, prices: list[float] = PRICES, **more: object) -> Path:
    """A file of ts, open, high, low, close, volume, as people have them."""
    n = len(prices)
    table = {
        "ts": [BEGIN + timedelta(hours=number) for number in range(n)],
        "open": prices,
        "high": [price + 1 for price in prices],
        "low": [price - 1 for price in prices],
        "close": prices,
        "volume": [5.0] * n,
    }
    path = folder / "recorded.parquet"
    pl.DataFrame({**table, **more}).write_parquet(path)
    return path


def test_where_a_rule_would_have_fired_is_shown(terminal: Terminal) -> None:
    file = recorded(terminal.folder)
    result = terminal.run(
        *PREVIEW, "--candles", file, "--pair", "bitcoin", "--when", "change(2h) >= 15%", "--advice", "buy"
    )
    assert result.exit_code == 0
    shown = result.stdout
    assert shown.startswith("When bitcoin/usd rises by 15% or more within 2h, it tells you.")
    assert "You take it as advice to buy." in shown
    assert "bitcoin/usd   2024-08-05 01:00:00 … 2024-10-04 00:00:00 UTC, 59d23h of 1h candles, 100 %" in shown
    (marks,) = [line for line in shown.splitlines() if line.endswith("▲ fired")]
    assert marks.count("▲") == 11, "ten, and what they mean"
    assert "It would have fired 10 times: 1.2 a week." in shown
    newest = next(line for line in shown.splitlines() if line.startswith("2024-"))
    assert newest.split()[:4] == ["2024-10-02", "05:00:00", "120", "+20%"]
    assert newest.split()[4:6] == ["-16.67", "%"]
    assert "10 firings, too few to say" in shown
    assert "only their closes count" in result.stderr
    assert [path.name for path in terminal.folder.iterdir()] == ["recorded.parquet"]


def test_that_it_would_not_have_fired_is_an_answer(terminal: Terminal) -> None:
    result = terminal.run(*PREVIEW, "--candles", recorded(terminal.folder), "-p", "bitcoin", "-w", "price > 500")
    assert result.exit_code == 0
    assert "It would not have fired." in result.stdout


def test_what_the_past_does_not_tell_is_not_ok(terminal: Terminal) -> None:
    file = recorded(terminal.folder)
    result = terminal.run(*PREVIEW, "--candles", file, "-p", "bitcoin", "-w", "change(1h) < -5%")
    assert result.exit_code == 1
    assert "Nobody can say: change(1h) cannot be judged on candles of 1h" in result.stdout
    never = terminal.run(*PREVIEW, "--candles", file, "-p", "bitcoin", "-w", "market_cap > 5")
    assert (never.exit_code, "market_cap was never known here" in never.stdout) == (1, True)


def test_volumes_of_a_file_count(terminal: Terminal) -> None:
    file = recorded(terminal.folder, volume=[90.0 if number % 500 == 400 else 5.0 for number in range(HOURS)])
    found = terminal.run(*PREVIEW, "--candles", file, "-w", "volume(1h) > 3 * average(volume(1h), 1d)")
    assert "It would have fired 3 times" in found.stdout


def test_highs_and_lows_of_a_file_count_for_a_plain_price(terminal: Terminal) -> None:
    file = recorded(terminal.folder)
    found = terminal.run(*PREVIEW, "--candles", file, "-w", "price >= 120.5")
    assert "It would have fired 10 times" in found.stdout
    assert "touches inside count" in found.stderr


def test_a_number_is_suggested(terminal: Terminal) -> None:
    found = terminal.run(
        *PREVIEW, "--candles", recorded(terminal.folder), "-w", "change(2h) >= 50%", "--a-week", "1.2"
    )
    assert "For about so many a week: change(2h) >= 2" in found.stdout
    assert "(1.2 a week)" in found.stdout
    once = terminal.run(
        *PREVIEW, "--candles", recorded(terminal.folder), "-w", "price > 1 and price < 2", "--a-week", "1"
    )
    assert "No number can be suggested: only one comparison" in once.stdout


def test_only_so_far_back_as_asked(terminal: Terminal) -> None:
    found = terminal.run(
        *PREVIEW, "--candles", recorded(terminal.folder), "-w", "price >= 120", "--since", "12d", "--json"
    )
    trial = json_of(found, Trial)
    assert isinstance(trial, Trial)
    assert len(trial.preview.firings) == 2
    assert trial.words.startswith("When the price of recorded/usd rises to 120 or above")


def test_what_is_stored_is_looked_back_on(terminal: Terminal) -> None:
    end = now() // MINUTE * MINUTE
    prices = [1.0] * 300 + [3.0] * 5 + [1.0] * 300
    candles = [candle(end - (605 - n) * MINUTE, ohlc=[price] * 4) for n, price in enumerate(prices)]
    terminal.store(Step(cursor=Cursor("j", 1, 1), candles=candles))
    found = terminal.run(*PREVIEW, "-p", "bitcoin", "-w", "price > 2", "--json")
    trial = json_of(found, Trial)
    assert isinstance(trial, Trial)
    assert (found.exit_code, len(trial.preview.firings), trial.candles) == (0, 1, MINUTE)
    unknown = terminal.run(*PREVIEW, "-p", "nobody", "-w", "price > 2")
    assert unknown.exit_code == 1
    assert "no candles of nobody/usd are stored" in unknown.stderr


def test_nothing_stored_yet_says_what_to_do(terminal: Terminal) -> None:
    result = terminal.run(*PREVIEW, "-p", "bitcoin", "-w", "price > 2")
    assert (result.exit_code, "--candles FILE" in result.stderr) == (1, True)


def test_a_mistake_in_the_condition_stands_under_its_column(terminal: Terminal) -> None:
    result = terminal.run(*PREVIEW, "-p", "bitcoin", "-w", "price => 5")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert "--when" in lines[0]
    assert lines[1].index("=") == lines[2].index("^")


@pytest.mark.parametrize(
    ("args", "where"),
    [
        ((), "--pair"),
        (("-p", "a b"), "--pair"),
        (("-p", "bitcoin", "--for", "soon"), "--for"),
        (("-p", "bitcoin", "--fee", "5"), "--fee"),
        (("-p", "bitcoin", "--since", "0s"), "--since"),
        (("-p", "bitcoin", "--a-week", "0"), "--a-week"),
        (("-p", "bitcoin", "--a-week", "nan"), "--a-week"),
        (("--candles", "nothing.parquet"), "--candles"),
    ],
)
def test_a_wrong_option_is_named(terminal: Terminal, args: tuple[str, ...], where: str) -> None:
    terminal.store(something())
    result = terminal.run(*PREVIEW, "-w", "price > 5", *args)
    assert (result.exit_code, f"{where}: " in result.stderr) == (2, True)


def test_which_pair_of_a_file_must_be_said_and_be_there(terminal: Terminal) -> None:
    file = recorded(terminal.folder, symbol=["BTCUSDT", "ETHUSDT"] * (HOURS // 2))
    which = terminal.run(*PREVIEW, "--candles", file, "-w", "price > 5")
    assert (which.exit_code, "they hold btc/usdt, eth/usdt" in which.stderr) == (2, True)
    other = terminal.run(*PREVIEW, "--candles", file, "-p", "bitcoin", "-w", "price > 5")
    assert (other.exit_code, "do not hold bitcoin/usd" in other.stderr) == (2, True)
    assert terminal.run(*PREVIEW, "--candles", file, "-p", "eth/usdt", "-w", "price > 5").exit_code == 0
