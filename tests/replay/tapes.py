"""Everything that was recorded, as batches of observations: candles, charts of CoinGecko, messages of exchanges.

A candle is its close, observed when it ends. What the batches hold is all that the three ways are given: 24 h
volume is computed from the candles, because in a journal that is what a tick says of what was traded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zstandard

from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch
from cryptowatcher.replay import read_recorded

DATA = Path(__file__).parents[3] / "shared/data"
DAY = 86_400_000
CHARTS = {"minutely": 5 * 60_000, "hourly": 3_600_000, "daily": DAY}
EXCHANGES = ("BINANCE", "BITSTAMP", "COINBASE", "GEMINI", "KRAKEN", "OKX")
CANDLES = {
    "panel of 2024": ("panel_binance_5m_2024_events_MIT.parquet",),
    "six coins of 2024": tuple(
        f"binance_{coin}USDT_5m_2024-01_2024-09.parquet" for coin in ("BTC", "DOGE", "ETH", "PEPE", "SHIB", "SOL")
    ),
    "bitcoin in October 2025": ("binance_BTCUSDT_5m_2025-09-25_10-25_MIT.parquet",),
    "bitcoin by the hour": ("neurotrader_BTCUSDT_1h_2018_2022.parquet",),
}
"""Names of the tapes of candles, and their files."""


class Tape(msgspec.Struct, frozen=True, eq=False):
    """One recording.

    candle: how long the candles are whose closes it holds, ms; 0 for observations as they came
    every:  how far apart a pair's observations usually are, ms
    """

    name: str
    batch: TickBatch
    candle: int
    every: int


def names_in_manifest() -> set[str]:
    """The files that hold prices over time, as the MANIFEST lists them."""
    files = {each["file"] for each in json.loads((DATA / "MANIFEST.json").read_text())["files"]}
    return {file for file in files if not file.startswith("coingecko/") or "ly_historical_prices" in file}


def names_on_tapes() -> set[str]:
    """The files that `tape` reads."""
    candles = {f"candles/{file}" for files in CANDLES.values() for file in files}
    charts = {f"coingecko/{name}_historical_prices_for_one_coin.json" for name in CHARTS}
    return candles | charts | {f"exchange_messages/cryptofeed_jsonl_{name}.jsonl.zst" for name in EXCHANGES}


TAPES = (*CANDLES, *CHARTS, *EXCHANGES)


def tape(name: str) -> Tape:
    """One of TAPES."""
    if name in CANDLES:
        return _of_candles(name)
    return _of_chart(name) if name in CHARTS else _of_messages(name)


def part(tape: Tape, first: int, instants: int, *, every: int = 1) -> Tape:
    """Some instants of it, and of its pairs only each so manieth."""
    batch = tape.batch
    starts = np.append(batch.starts, len(batch))[first : first + instants + 1]
    rows = np.arange(starts[0], starts[-1])
    rows = rows[batch.pair[rows] % every == 0]
    at = np.searchsorted(starts, rows, side="right")  # which instant
    fewer = msgspec.structs.replace(batch.rows(rows), starts=np.flatnonzero(np.diff(at, prepend=0)))
    return msgspec.structs.replace(tape, batch=fewer.compact())


def _of_candles(name: str) -> Tape:
    files = [DATA / "candles" / file for file in CANDLES[name]]
    # A file without a column for it is one pair; its name says which, with a word before and after.
    parts = [read_recorded([file], pair=_pair_in(file.name)) for file in files]
    pairs = tuple(dict.fromkeys(pair for each in parts for pair in each.batch.pairs))
    code = np.concatenate([np.array([pairs.index(pair) for pair in p.batch.pairs])[p.batch.pair] for p in parts])
    at = np.concatenate([each.batch.observed_at for each in parts])
    traded = np.concatenate([np.nan_to_num(each.traded * each.batch.price) for each in parts])
    price = np.concatenate([each.batch.price for each in parts])
    order = np.lexsort((code, at))
    candle = parts[0].candle
    volume = _of_a_day(code[order], at[order], traded[order], len(pairs))
    batch = _batch(name, pairs, code[order], price[order], at[order], 3 * candle, volume=volume)
    return Tape(name, batch, candle, candle)


def _pair_in(file: str) -> str | None:
    """`binance_BTCUSDT_5m_….parquet` → `btc/usdt`; None for the panel, whose rows say it."""
    symbol = file.split("_")[1]
    return f"{symbol.removesuffix('USDT').lower()}/usdt" if symbol.endswith("USDT") else None


def _of_a_day(code: Ints, at: Ints, traded: Floats, pairs: int) -> Floats:
    """What was traded in the 24 hours before each row; NaN where nothing is known of it."""
    volume = np.full(len(at), np.nan)
    for pair in range(pairs):
        rows = np.flatnonzero(code == pair)
        total = np.concatenate([[0.0], np.cumsum(traded[rows])])
        since = np.searchsorted(at[rows], at[rows] - DAY, side="right")
        volume[rows] = total[1:] - total[since]
    return np.where(volume > 0, volume, np.nan)


def _of_chart(name: str) -> Tape:
    """90 days by the day, 30 by the hour, one by five minutes of bitcoin, at CoinGecko's own irregular times."""
    text = (DATA / f"coingecko/{name}_historical_prices_for_one_coin.json").read_text()
    body = json.loads(text)[0]["body"]
    columns = [np.array(body[key], np.float64) for key in ("prices", "total_volumes", "market_caps")]
    at = columns[0][:, 0].astype(np.int64)
    price, volume, cap = (column[:, 1] for column in columns)
    code = np.zeros(len(at), np.int64)
    batch = _batch(name, ("bitcoin/usd",), code, price, at, 3 * CHARTS[name], volume=volume, market_cap=cap)
    return Tape(name, batch, 0, CHARTS[name])


def _of_messages(name: str) -> Tape:
    """All prices in the messages of half a minute: several in a millisecond, some older than those before."""
    path = DATA / f"exchange_messages/cryptofeed_jsonl_{name}.jsonl.zst"
    with path.open("rb") as file:
        lines = zstandard.ZstdDecompressor().stream_reader(file).read().decode().splitlines()
    seen = [
        (round(line["ts"] * 1000), *found)
        for line in map(json.loads, lines)
        if line["t"] == "recv"
        for found in _prices(json.loads(line["data"]))
    ]
    pairs = tuple(dict.fromkeys(pair for _, pair, _, _ in seen))
    # An instant holds a pair once: each message's price is one of its own.
    at = np.array([said or received for received, _, said, _ in seen], np.int64)
    code = np.array([pairs.index(pair) for _, pair, _, _ in seen], np.int64)
    price = np.array([price for *_, price in seen])
    return Tape(name, _batch(name, pairs, code, price, at, 5_000, alone=True), 0, 1_000)


def _prices(message: Any) -> Iterator[tuple[str, int | None, float]]:
    """(pair, the exchange's time in epoch ms, price) of every trade and ticker in a message."""
    if isinstance(message, list):
        yield from _prices_of_kraken(message)
        for part in message:
            yield from _prices(part)
    elif isinstance(message, dict):
        channel = str(message.get("channel", ""))
        if channel.startswith("live_trades_"):  # Bitstamp's trades do not say their pair
            message = message["data"] | {"symbol": channel.removeprefix("live_trades_")}
        symbol = next((message[key] for key in ("product_id", "symbol", "instId", "s") if key in message), None)
        price = next((message[key] for key in ("price", "last", "px", "p", "c") if key in message), None)
        if isinstance(symbol, str) and (found := _price(price)):
            yield pair_of(symbol.replace("/", "-").lower(), "usd"), _time(message), found
        for part in message.values():
            yield from _prices(part)


def _prices_of_kraken(message: Sequence[Any]) -> Iterator[tuple[str, int | None, float]]:
    match message:
        case [_, {"c": [price, *_]}, "ticker", str() as symbol]:
            yield pair_of(symbol.replace("/", "-").lower(), "usd"), None, float(price)
        case [_, [*trades], "trade", str() as symbol]:
            for price, _, seconds, *_ in trades:
                yield pair_of(symbol.replace("/", "-").lower(), "usd"), int(float(seconds) * 1000), float(price)


def _price(said: Any) -> float:
    """0 where it is not one."""
    try:
        price = float(said)
    except (TypeError, ValueError):
        return 0.0
    return price if 0 < price < math.inf else 0.0


def _time(message: dict[str, Any]) -> int | None:
    """In epoch ms, where the message says it in a way that is known here."""
    said = next(
        (message[key] for key in ("T", "E", "ts", "time", "microtimestamp", "timestamp") if key in message), None
    )
    if isinstance(said, str) and "-" in said:
        return int(datetime.fromisoformat(said[:26].rstrip("Z") + "+00:00").timestamp() * 1000)
    if said is None:
        return None
    number = int(said)
    return number if number < 10**14 else number // 1000


def _batch(
    source: str,
    pairs: Iterable[str],
    code: Ints,
    price: Floats,
    at: Ints,
    valid_for: int,
    *,
    volume: Floats | None = None,
    market_cap: Floats | None = None,
    alone: bool = False,
) -> TickBatch:
    """`alone`: each row is an instant of its own."""
    unsaid = np.full(len(at), np.nan)
    return TickBatch(
        source=source,
        pairs=tuple(pairs),
        pair=code.astype(np.int64),
        price=price,
        volume=unsaid if volume is None else volume,
        market_cap=unsaid if market_cap is None else market_cap,
        observed_at=at,
        starts=np.arange(len(at)) if alone else np.flatnonzero(np.diff(at, prepend=at[:1] - 1)),
        received_at=int(at.max()),
        valid_for=valid_for,
    )
