"""`replay` runs files through the watch and prints what would have been sent."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cryptowatcher.replay import ReplayResult
from tests.cli.terminal import MINUTE, START, Terminal, json_of, something

CLOSES = [100.0, 100.0, 100.0, 89.0, 88.0, 100.0, 101.0, 85.0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "candles.parquet"
    times = [START + number * MINUTE for number in range(len(CLOSES))]
    pl.DataFrame({"ts": times, "close": CLOSES, "pair": ["bitcoin/usd"] * len(CLOSES)}).write_parquet(path)
    return path


def test_ad_hoc_conditions_are_rules_for_all_pairs(terminal: Terminal, file: Path) -> None:
    result = terminal.run("replay", file, "--when", "change(2m) <= -10%", "--when", "price > 100.5")
    assert result.exit_code == 0
    rows = result.stdout.splitlines()[1:]
    assert [("price > 100.5" in row, "change(2m) <= -10%" in row) for row in rows] == [
        (False, True),
        (True, False),
        (False, True),
    ]
    assert "8 ticks of 1 pair in" in result.stderr
    assert "3 alerts" in result.stderr


def test_for_programs_the_result_is_one_document(terminal: Terminal, file: Path) -> None:
    result = json_of(terminal.run("replay", file, "-w", "price < 90", "--json"), ReplayResult)
    assert isinstance(result, ReplayResult)
    assert [alert.price for alert in result.alerts] == [89.0, 85.0]
    assert (result.ticks, result.pairs) == (8, 1)


def test_the_rules_of_the_configuration_are_used_when_none_are_given(terminal: Terminal, file: Path) -> None:
    terminal.write("cryptowatcher.toml", '[[rules]]\nname = "low"\npairs = ["bitcoin/usd"]\nwhen = "price < 89"\n')
    assert "low" in terminal.run("replay", file).stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "--when"),
        (("--when", "price is low"), "--when"),
        (("--when", "price < 1", "--for", "soon"), "--for"),
        (("--when", "price < 1", "nowhere.parquet"), "nowhere.parquet"),
    ],
)
def test_what_cannot_be_replayed_is_an_error(
    terminal: Terminal, file: Path, args: tuple[str, ...], words: str
) -> None:
    result = terminal.run("replay", file, *args)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_rule_that_names_none_of_the_pairs_is_said_so_and_none_that_does_is_an_error(
    terminal: Terminal, file: Path
) -> None:
    fits = '[[rules]]\nname = "low"\npairs = ["bitcoin/usd"]\nwhen = "price < 89"\n'
    idle = '[[rules]]\nname = "idle"\npairs = ["pepe/usd"]\nwhen = "price < 89"\n'
    terminal.write("cryptowatcher.toml", fits + idle)
    result = terminal.run("replay", file)
    assert result.exit_code == 0
    assert "rule 'idle' names none of the pairs: bitcoin/usd" in result.stderr
    assert "'low' names none" not in result.stderr
    terminal.write("cryptowatcher.toml", idle)
    result = terminal.run("replay", file)
    assert result.exit_code == 2
    assert "rule 'idle' names none of the pairs: bitcoin/usd" in result.stderr


def test_exported_candles_can_be_replayed(terminal: Terminal) -> None:
    terminal.store(something())
    terminal.run("export", "candles", "out.parquet")
    result = json_of(terminal.run("replay", "out.parquet", "-w", "price < 16", "--json"), ReplayResult)
    assert isinstance(result, ReplayResult)
    assert [(alert.pair, alert.price) for alert in result.alerts] == [("bitcoin/usd", 15.0)]
