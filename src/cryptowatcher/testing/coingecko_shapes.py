"""CoinGecko's documents, made from a tape: field for field what the real API answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cryptowatcher.testing.coins import Coin
from cryptowatcher.testing.market import DAY_MS, Floats, Snapshot, Tape

PER_PAGE_MOST = 250
PER_PAGE = 100

# What one dollar costs. Bitcoin and ether come from the tape.
_FIAT = {
    "usd": 1.0, "eur": 0.92, "gbp": 0.79, "jpy": 157.0, "chf": 0.89, "cny": 7.25, "inr": 83.4,
    "krw": 1378.0, "brl": 5.4, "aud": 1.5, "cad": 1.37, "pln": 3.97, "rub": 88.0, "try": 32.6,
}  # fmt: skip
_COIN_CURRENCIES = {"btc": "bitcoin", "eth": "ethereum", "bnb": "binancecoin", "xrp": "ripple", "sol": "solana"}
_GENESIS = "2013-07-06T00:00:00.000Z"

Row = dict[str, Any]
Round = Callable[[float], float | int | None]


class Scenery(msgspec.Struct, frozen=True, eq=False):
    """The market at one time in one currency. `order` holds places in `coins`, largest market cap first."""

    coins: tuple[Coin, ...]
    now: Snapshot
    cap: Floats
    order: NDArray[np.int64]
    rate: float

    def rank(self) -> dict[int, int]:
        known = (place for place in self.order.tolist() if self.cap[place] > 0)
        return {place: rank for rank, place in enumerate(known, start=1)}


def currencies() -> list[str]:
    return sorted([*_FIAT, *_COIN_CURRENCIES])


def rate_of(currency: str, coins: tuple[Coin, ...], now: Snapshot) -> float | None:
    """What one dollar costs in the currency; None for one that is not known."""
    if currency in _FIAT:
        return _FIAT[currency]
    wanted = _COIN_CURRENCIES.get(currency)
    return next((1 / float(now.price[n]) for n, coin in enumerate(coins) if coin.id == wanted), None)


def scenery(coins: tuple[Coin, ...], now: Snapshot, rate: float = 1.0) -> Scenery:
    cap = now.price * np.array([coin.supply for coin in coins])
    order = np.argsort(-np.nan_to_num(cap, nan=-1.0), kind="stable")
    return Scenery(coins, now, cap, order, rate)


def rounding(precision: str | None) -> Round:
    """`full` gives all digits, a number so many decimals; without it large prices lose theirs, as in reality."""

    def show(value: float) -> float | int | None:
        if not math.isfinite(value):
            return None
        if precision == "full":
            return value
        if precision is not None and precision.isdigit():
            return round(value, int(precision))
        return _whole(value) if abs(value) >= 10_000 else float(f"{value:.6g}")

    return show


def _whole(value: float) -> int | None:
    return round(value) if math.isfinite(value) else None


def _percent(now: float, before: float) -> float | None:
    change = (now / before - 1) * 100 if before else math.nan
    return round(change, 5) if math.isfinite(change) else None


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- /simple/price -----------------------------------------------------------------------------------


def simple_price(
    coins: tuple[Coin, ...], now: Snapshot, places: Iterable[int], query: Mapping[str, str]
) -> dict[str, Row]:
    """Currencies that are not known are left out, as unknown ids are."""
    show = rounding(query.get("precision"))
    names = query["vs_currencies"].lower().split(",")
    rates = [(name, rate) for name in names if (rate := rate_of(name, coins, now)) is not None]
    extras = [name for name in _EXTRAS if query.get(name) == "true"]
    stamp = {"last_updated_at": now.at // 1000} if query.get("include_last_updated_at") == "true" else {}
    document = {}
    for place in places:
        row: Row = {}
        for currency, rate in rates:
            row[currency] = show(float(now.price[place]) * rate)
            row.update({currency + _EXTRAS[name][0]: _EXTRAS[name][1](coins, now, place, rate) for name in extras})
        document[coins[place].id] = row | stamp
    return document


def _market_cap(coins: tuple[Coin, ...], now: Snapshot, place: int, rate: float) -> float | None:
    return _number(float(now.price[place]) * coins[place].supply * rate)


def _volume(coins: tuple[Coin, ...], now: Snapshot, place: int, rate: float) -> float | None:
    return _number(float(now.volume[place]) * rate)


def _day_change(coins: tuple[Coin, ...], now: Snapshot, place: int, rate: float) -> float | None:
    return _percent(float(now.price[place]), float(now.day_ago[place]))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


_EXTRAS: dict[str, tuple[str, Callable[[tuple[Coin, ...], Snapshot, int, float], float | None]]] = {
    "include_market_cap": ("_market_cap", _market_cap),
    "include_24hr_vol": ("_24h_vol", _volume),
    "include_24hr_change": ("_24h_change", _day_change),
}


# --- /coins/markets ----------------------------------------------------------------------------------


def arranged(scene: Scenery, order: str) -> list[int]:
    """Places in the wanted order; an order that is not known counts as market_cap_desc."""
    by_cap: list[int] = scene.order.tolist()
    match order:
        case "market_cap_asc":
            return by_cap[::-1]
        case "volume_desc" | "volume_asc":
            volume = np.nan_to_num(scene.now.volume, nan=-1.0)
            return sorted(by_cap, key=lambda place: volume[place], reverse=order == "volume_desc")
        case "id_asc" | "id_desc":
            return sorted(by_cap, key=lambda place: scene.coins[place].id, reverse=order == "id_desc")
    return by_cap


def market_rows(scene: Scenery, places: Iterable[int], *, tape: Tape, query: Mapping[str, str]) -> list[Row]:
    show, ranks = rounding(query.get("precision")), scene.rank()
    windows = [name for name in query.get("price_change_percentage", "").split(",") if name in _WINDOWS]
    rows = []
    for place in places:
        row = _market_row(scene, place, rank=ranks.get(place), show=show)
        now = float(scene.now.price[place])
        if query.get("sparkline") == "true":
            row["sparkline_in_7d"] = {"price": _back(tape, place, scene.now.at, 7 * DAY_MS, points=168)}
        for name in windows:
            (before,) = _back(tape, place, scene.now.at, _WINDOWS[name], points=1)
            row[f"price_change_percentage_{name}_in_currency"] = _percent(now, before)
        rows.append(row)
    return rows


_WINDOWS = {
    "1h": DAY_MS // 24, "24h": DAY_MS, "7d": 7 * DAY_MS, "14d": 14 * DAY_MS, "30d": 30 * DAY_MS,
    "200d": 200 * DAY_MS, "1y": 365 * DAY_MS,
}  # fmt: skip


def _back(tape: Tape, place: int, at: int, span: int, *, points: int) -> list[float]:
    times = at - span + np.arange(points, dtype=np.int64) * (span // points)
    prices: list[float] = tape.chart(place, times).tolist()
    return prices


def _market_row(scene: Scenery, place: int, *, rank: int | None, show: Round) -> Row:
    coin, now, rate = scene.coins[place], scene.now, scene.rate
    price, day_ago = float(now.price[place]) * rate, float(now.day_ago[place]) * rate
    supply, most = coin.supply, coin.max_supply
    ath, atl = coin.price * 3.1 * rate, coin.price * 0.02 * rate
    return {
        "id": coin.id,
        "symbol": coin.symbol,
        "name": coin.name,
        "image": f"https://assets.coingecko.com/coins/images/{place + 1}/large/{coin.id}.png",
        "current_price": show(price),
        "market_cap": _whole(price * supply),
        "market_cap_rank": rank,
        "fully_diluted_valuation": None if most is None else _whole(price * most),
        "total_volume": _whole(float(now.volume[place]) * rate),
        "high_24h": show(float(now.high[place]) * rate),
        "low_24h": show(float(now.low[place]) * rate),
        "price_change_24h": _number(price - day_ago),
        "price_change_percentage_24h": _percent(price, day_ago),
        "market_cap_change_24h": _number((price - day_ago) * supply),
        "market_cap_change_percentage_24h": _percent(price, day_ago),
        "circulating_supply": _number(supply),
        "total_supply": _number(supply) if most is None else most,
        "max_supply": most,
        "ath": show(max(ath, price)),
        "ath_change_percentage": _percent(price, max(ath, price)),
        "ath_date": "2021-11-10T14:24:11.849Z",
        "atl": show(min(atl, price)),
        "atl_change_percentage": _percent(price, min(atl, price)),
        "atl_date": _GENESIS,
        "roi": {"times": 45.8, "currency": "btc", "percentage": 4580.1} if coin.id == "ethereum" else None,
        "last_updated": iso(now.at),
    }


# --- charts ------------------------------------------------------------------------------------------

_MINUTE = 60_000
OHLC_DAYS = (1, 7, 14, 30, 90, 180, 365)


def market_chart(tape: Tape, place: int, at: int, *, days: int, daily: bool, rate: float) -> dict[str, Any]:
    """Five-minutely up to a day, hourly up to 90, then daily, on the grid; the last point is now, off the grid."""
    step = DAY_MS if daily or days > 90 else 60 * _MINUTE if days > 1 else 5 * _MINUTE
    first = (at - days * DAY_MS) // step + 1
    times = np.append(np.arange(first, at // step + 1, dtype=np.int64) * step, at)
    prices = tape.chart(place, times) * rate
    now = tape.at(at)
    prices[-1] = now.price[place] * rate
    volume = float(now.volume[place]) * rate
    return {
        "prices": _points(times, prices),
        "market_caps": _points(times, prices * tape.coins[place].supply),
        "total_volumes": _points(times, np.full(len(times), volume)),
    }


def _points(times: NDArray[np.int64], values: Floats) -> list[list[float | None]]:
    return [[ms, _number(value)] for ms, value in zip(times.tolist(), values.tolist(), strict=True)]


def ohlc(tape: Tape, place: int, at: int, *, days: int, rate: float) -> list[list[float]]:
    """[close time, open, high, low, close]: half-hourly, four-hourly or four-daily, each of six samples."""
    step = 30 * _MINUTE if days <= 2 else 240 * _MINUTE if days <= 30 else 4 * DAY_MS
    closes = np.arange((at - days * DAY_MS) // step + 1, at // step + 1, dtype=np.int64) * step
    samples = (closes[:, None] - step + np.arange(7) * (step // 6)).ravel()
    prices = (tape.chart(place, samples) * rate).reshape(-1, 7)
    columns = (closes, prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1])
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True) if row[1] == row[1]]
