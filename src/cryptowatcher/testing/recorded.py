"""Recorded candles played as a market: real crashes and real calm, at any speed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.coins import Coin, known_by_symbol
from cryptowatcher.testing.market import DAY_MS, Floats, Snapshot

if TYPE_CHECKING:
    import polars as pl

Times = NDArray[np.int64]

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD")
_IN_FILE_NAME = re.compile(r"(?:^|_)([A-Z0-9]{2,}(?:" + "|".join(_QUOTES) + r"))(?:_|\.|$)")
_NEEDED = ("ts", "open", "high", "low", "close", "volume")


class _Candles(msgspec.Struct, frozen=True, eq=False):
    """One coin. `opens_at` ascending epoch ms; `turnover` is the running sum of close * volume."""

    opens_at: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    turnover: Floats
    width: int


class RecordedMarket:
    """Plays parquet files of candles from wall time `start_ms` on, again from the beginning after the end.

    Columns: ts or start (datetime or epoch ms, the opening), open, high, low, close, volume (in coins) or
    volume_24h (in the currency), and `symbol` or `pair` when a file holds several; otherwise the symbol stands in
    the file's name (`…_BTCUSDT_5m.parquet`). What `cryptowatcher export candles` writes is such a file.
    """

    def __init__(
        self, files: Sequence[Path], *, start_ms: int, speed: float = 1.0, begin: int | None = None
    ) -> None:
        """`begin`: the recorded time (epoch ms) to play first; by default the first candle."""
        tapes = _read(files)
        known = known_by_symbol()
        known |= {coin.id: coin for coin in known.values()}
        self.coins = tuple(_coin(symbol, candles, known) for symbol, candles in tapes.items())
        self.speed = speed
        self._tapes = tuple(tapes.values())
        self._start = start_ms
        self._first = min(int(tape.opens_at[0]) for tape in self._tapes)
        self._last = max(int(tape.opens_at[-1]) + tape.width for tape in self._tapes)
        self._begin = self._first if begin is None else begin

    def recorded_at(self, ms: int) -> int:
        """The recorded time that is played at a wall time."""
        played = self._begin - self._first + int((ms - self._start) * self.speed)
        return self._first + played % (self._last - self._first)

    def at(self, ms: int) -> Snapshot:
        then = self.recorded_at(ms)
        columns = np.array([_day(tape, then) for tape in self._tapes]).T
        price, volume, day_ago, high, low = columns
        return Snapshot(at=ms, price=price, volume=volume, day_ago=day_ago, high=high, low=low)

    def chart(self, coin: int, times: Times) -> Floats:
        return np.array([_price(self._tapes[coin], self.recorded_at(ms)) for ms in times.tolist()])


def _day(tape: _Candles, then: int) -> tuple[float, float, float, float, float]:
    """price, 24 h volume, price 24 h before, 24 h high and low at a recorded time."""
    now = int(np.searchsorted(tape.opens_at, then, side="right"))
    since = int(np.searchsorted(tape.opens_at, then - DAY_MS, side="right"))
    price = _price(tape, then)
    if now == since:
        return price, np.nan, np.nan, price, price
    closed = slice(since, max(now - 1, since + 1))  # the forming candle's high and low are still to come
    volume = tape.turnover[now - 1] - tape.turnover[since]
    high, low = np.fmax(tape.high[closed].max(), price), np.fmin(tape.low[closed].min(), price)
    return price, float(volume), float(tape.open[since]), float(high), float(low)


def _price(tape: _Candles, then: int) -> float:
    """Inside a candle the price goes open, nearer extreme, other extreme, close; NaN where no candle is."""
    place = int(np.searchsorted(tape.opens_at, then, side="right")) - 1
    if place < 0 or then >= tape.opens_at[place] + tape.width:
        return np.nan
    opened, high, low, closed = (column[place] for column in (tape.open, tape.high, tape.low, tape.close))
    first, second = (low, high) if closed >= opened else (high, low)
    part = (then - int(tape.opens_at[place])) / tape.width
    return float(np.interp(part, (0.0, 1 / 3, 2 / 3, 1.0), (opened, first, second, closed)))


def _read(files: Sequence[Path]) -> dict[str, _Candles]:
    import polars as pl  # large: only who plays recordings pays for it

    tapes: dict[str, _Candles] = {}
    for file in files:
        try:
            frame = _as_recorded(pl.read_parquet(file))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ConfigError(f"cannot be read: {error}".splitlines()[0], where=str(file)) from None
        missing = [name for name in _NEEDED if name not in frame.columns]
        if missing:
            raise ConfigError(f"no column {', '.join(missing)}", where=str(file))
        if frame["ts"].dtype.is_temporal():
            frame = frame.with_columns(pl.col("ts").dt.epoch("ms"))
        width = _width(frame["ts"].unique().sort().to_numpy())
        name = next((name for name in ("symbol", "pair") if name in frame.columns), None)
        groups = frame.partition_by(name, as_dict=True) if name else {(_symbol_of(file),): frame}
        for (symbol,), group in groups.items():
            table = group.sort("ts").select(pl.col("ts").cast(pl.Int64), pl.col(_NEEDED[1:]).cast(pl.Float64))
            tapes[str(symbol)] = _candles(*(table[column].to_numpy() for column in _NEEDED), width=width)
    if not tapes:
        raise ConfigError("no candles to play", hint="name at least one parquet file with candles in it")
    return dict(sorted(tapes.items()))


def _as_recorded(frame: pl.DataFrame) -> pl.DataFrame:
    """Exported candles with the columns of recorded ones; a candle gets its part of the day's volume."""
    import polars as pl

    if "ts" not in frame.columns and "start" in frame.columns:
        frame = frame.rename({"start": "ts"})
    if "interval" in frame.columns and "pair" in frame.columns and frame["interval"].dtype.is_integer():
        frame = frame.filter(pl.col("interval") == pl.col("interval").min().over("pair"))
        if "volume" not in frame.columns and "volume_24h" in frame.columns:
            coins_a_day = pl.col("volume_24h") / pl.col("close")
            frame = frame.with_columns((coins_a_day * pl.col("interval") / DAY_MS).alias("volume"))
    return frame


def _candles(
    ts: Times, opened: Floats, high: Floats, low: Floats, closed: Floats, volume: Floats, *, width: int
) -> _Candles:
    turnover = np.cumsum(np.nan_to_num(closed * volume))
    return _Candles(ts, opened, high, low, closed, turnover, width)


def _width(times: Times) -> int:
    """How long a candle is: the shortest step in the file, because gaps only make steps longer."""
    return int(np.diff(times).min()) if len(times) > 1 else 60_000


def _symbol_of(file: Path) -> str:
    found = _IN_FILE_NAME.search(file.stem)
    if found is None:
        raise ConfigError(
            "which coin is this?", where=str(file), hint="put the symbol into the name: my_BTCUSDT_5m.parquet"
        )
    return found.group(1)


def _coin(symbol: str, candles: _Candles, known: dict[str, Coin]) -> Coin:
    """`BTCUSDT` → bitcoin; an unknown symbol becomes its own id and has no known supply."""
    quote = next((quote for quote in _QUOTES if symbol.upper().endswith(quote)), "")
    base = symbol[: len(symbol) - len(quote)].strip("/-_").lower()
    price, volume = float(candles.close[0]), float(candles.turnover[0])
    if base in known:
        return msgspec.structs.replace(known[base], price=price, volume=volume)
    return Coin(base, base, base.upper(), price, supply=np.nan, volume=volume, volatility=0.05, beta=1.0)
