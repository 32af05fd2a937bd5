"""`fake-coingecko` says what it cannot do."""

from __future__ import annotations

import socket

import msgspec
from numpy.testing import assert_allclose

from cryptowatcher.ports import Cursor, Step
from cryptowatcher.testing.recorded import RecordedMarket
from tests.cli.terminal import MINUTE, START, Terminal, candle, price


def test_a_port_that_is_taken_is_an_error_that_names_it(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = terminal.run("fake-coingecko", "--port", str(port))
    assert result.exit_code == 2
    assert f"--port: cannot listen on 127.0.0.1:{port}" in result.stderr


def test_a_mistyped_misbehaviour_is_answered_with_the_one_that_was_meant(terminal: Terminal) -> None:
    result = terminal.run("fake-coingecko", "-m", "spkie:times=3")
    assert result.exit_code == 2
    assert "did you mean spike?" in result.stderr
    assert "--list" in terminal.run("fake-coingecko", "-m", "zzz").stderr


def test_a_recording_that_cannot_be_read_is_an_error_that_names_it(terminal: Terminal) -> None:
    terminal.write("garbage.parquet", "no parquet")
    for file in ("garbage.parquet", "absent.parquet"):
        result = terminal.run("fake-coingecko", "--play", file)
        assert result.exit_code == 2
        assert f"{file}: cannot be read" in result.stderr


def test_exported_candles_can_be_played(terminal: Terminal) -> None:
    known = [msgspec.structs.replace(candle(n, 10, 20), volume_24h=1440.0 * 20) for n in range(3)]
    prices = [price("bitcoin/usd", 20.0), price("pepe/usd", 1.0)]
    terminal.store(Step(cursor=Cursor("j", 3, START), prices=prices, candles=known))
    terminal.run("export", "candles", "out.parquet")
    tape = RecordedMarket([terminal.folder / "out.parquet"], start_ms=START)
    assert [coin.id for coin in tape.coins] == ["bitcoin"]
    assert tape.at(START).price[0] == 10.0
    # A candle of a minute has its part of what is traded in a day: 20 a candle.
    assert_allclose(tape.at(START + 2 * MINUTE).volume[0], 40.0)
