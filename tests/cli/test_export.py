"""`export` writes what is stored, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl
import pytest

from cryptowatcher.cli.export import write
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.status import Price
from tests.cli.terminal import Terminal, alert, candle, something


def test_candles_come_back_as_they_are_stored(terminal: Terminal) -> None:
    terminal.store(something())
    assert terminal.run("export", "candles", "out.parquet", "--pair", "bitcoin").exit_code == 0
    rows = pl.read_parquet(terminal.folder / "out.parquet").to_dicts()
    assert msgspec.convert(rows, list[Candle]) == list(something().candles)
    assert sorted(path.name for path in terminal.folder.iterdir()) == ["data", "out.parquet"]


def test_all_pairs_are_written_when_none_is_named(terminal: Terminal) -> None:
    terminal.store(something())
    terminal.run("export", "prices", "out.parquet")
    rows = pl.read_parquet(terminal.folder / "out.parquet").to_dicts()
    assert msgspec.convert(rows, list[Price]) == list(something().prices)


def test_alerts_go_into_csv_with_a_header(terminal: Terminal) -> None:
    terminal.store(something())
    terminal.run("export", "alerts", "out.csv")
    rows = pl.read_csv(terminal.folder / "out.csv").to_dicts()
    assert [row["id"] for row in rows] == [alert(1).id, alert(0).id]
    assert [row["price"] for row in rows] == [49_000.0, 49_000.0]


def test_blocks_with_and_without_unknown_values_fit_together(tmp_path: Path) -> None:
    known = msgspec.structs.replace(candle(1, 1, 2), volume_24h=5.0)
    assert write(tmp_path / "a.parquet", Candle, iter([[candle(0, 1, 2)], [], [known]])) == 2
    assert pl.read_parquet(tmp_path / "a.parquet")["volume_24h"].to_list() == [None, 5.0]


def test_a_failure_on_the_way_leaves_the_old_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("old")

    def blocks() -> object:
        yield [candle(0, 1, 2)]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write(file, Candle, blocks())  # type: ignore[arg-type]  # a generator of one block and a failure
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_to_write_is_not_ok_and_writes_nothing(terminal: Terminal) -> None:
    terminal.store(something())
    result = terminal.run("export", "candles", "out.parquet", "--pair", "pepe")
    assert result.exit_code == 1
    assert not (terminal.folder / "out.parquet").exists()


@pytest.mark.parametrize("file", ["out.xlsx", "nowhere/out.csv"])
def test_a_file_that_cannot_be_is_an_error(terminal: Terminal, file: str) -> None:
    assert terminal.run("export", "prices", file).exit_code == 2


def test_a_file_that_is_a_folder_is_an_error(terminal: Terminal) -> None:
    terminal.store(something())
    (terminal.folder / "out.csv").mkdir()
    result = terminal.run("export", "prices", "out.csv")
    assert result.exit_code == 2
    assert "out.csv is a folder" in result.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_to_is_an_error(terminal: Terminal) -> None:
    terminal.store(something())
    result = terminal.run("export", "prices", "/proc/self/out.csv")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
