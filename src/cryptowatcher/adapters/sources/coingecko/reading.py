"""CoinGecko's bodies as observations. Anything may be null, absent, zero, text or nonsense, each coin on its own.

The quick way decodes a whole page into typed structs. If one coin is not as documented, the page is read
again slowly, as plain objects, so that this coin alone is lost. Both ways end in `observations`, which judges
each value by what it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final

import msgspec
import numpy as np

from cryptowatcher.adapters.sources.coingecko.failures import complaint, not_prices, said_with_200
from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Observations

Row = tuple[str, object, object, object, object]
"""Asset, price, 24 h volume, market capitalisation, time: as they stood in the body."""

ASSET: Final = re.compile(r"[^\s/,\x00-\x1f\x7f\ud800-\udfff]{1,128}")
"""What can be the name of an asset: a CoinGecko id."""

_ABSENT: Final = object()
_MISSING: Final = object()
_FIRST_MS = 1e11
"""Numbers from here on are milliseconds: as seconds this would be the year 5138, as milliseconds it is 1973."""
_LAST_MS = 1e14
UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a strict decoder raises for a body that is not as documented: `slowly` may still read it."""


class _Coin(msgspec.Struct):
    """What is needed of an object of /coins/markets."""

    id: str
    current_price: float | None
    total_volume: float | None
    market_cap: float | None
    last_updated: Annotated[datetime, msgspec.Meta(tz=True)] | None


_page = msgspec.json.Decoder(list[_Coin])
_prices = msgspec.json.Decoder(dict[str, dict[str, float | None]])


def read_markets(body: bytes) -> list[Row]:
    """The coins of a /coins/markets page, in its order. Raises Unavailable or Refused when it is not one."""
    try:
        coins = _page.decode(body)
    except UNREADABLE:
        return _slow_markets(slowly(body))
    return [(c.id, c.current_price, c.total_volume, c.market_cap, c.last_updated) for c in coins]


def _slow_markets(page: object) -> list[Row]:
    if not isinstance(page, list):
        raise not_the_shape(page)
    coins = [coin for coin in page if isinstance(coin, dict) and isinstance(coin.get("id"), str)]
    if page and not coins:
        raise Unavailable("CoinGecko answered a list, but not of coins", reason="wrong_shape")
    return [
        (
            coin["id"],
            coin.get("current_price", _ABSENT),
            coin.get("total_volume"),
            coin.get("market_cap"),
            coin.get("last_updated"),
        )
        for coin in coins
    ]


def read_simple(body: bytes, ids: Sequence[str], currency: str) -> list[Row]:
    """The asked coins of a /simple/price answer, in the order asked. Raises Unavailable or Refused."""
    coins: object
    try:
        coins = _prices.decode(body)
    except UNREADABLE:
        coins = slowly(body)
    if not isinstance(coins, dict) or complaint(coins):
        raise not_the_shape(coins)
    return [_simple_row(asset, coins.get(asset, _MISSING), currency) for asset in ids]


def _simple_row(asset: str, coin: object, currency: str) -> Row:
    if coin is _MISSING:
        return (asset, _MISSING, None, None, None)
    if not isinstance(coin, dict):
        return (asset, _ABSENT, None, None, None)
    volume, cap = coin.get(f"{currency}_24h_vol"), coin.get(f"{currency}_market_cap")
    return (asset, coin.get(currency, _ABSENT), volume, cap, coin.get("last_updated_at"))


def slowly(body: bytes) -> object:
    """Any JSON and a little more (NaN, 1e400, bad UTF-8): numbers are floats."""
    try:
        return json.loads(body.decode("utf-8-sig", "replace"), parse_int=float)
    except (ValueError, RecursionError):
        raise not_prices(body) from None


def not_the_shape(parsed: object) -> Exception:
    """The error for JSON that is something else than what was asked for."""
    said = complaint(parsed)
    if said:
        return said_with_200(said)
    return Unavailable("CoinGecko answered JSON, but not prices", reason="wrong_shape")


def observations(rows: Iterable[Row], currency: str, received_at: int) -> Observations:
    """What the rows say. Of two rows for one asset the first with a price counts."""
    seen: dict[str, tuple[float, float, float, int]] = {}
    unseen: dict[str, str] = {}
    for asset, raw_price, raw_volume, raw_cap, raw_time in rows:
        pair = _pair(asset, currency)
        if pair is None or pair in seen:
            continue
        price, time = _price(raw_price), _time(raw_time)
        if isinstance(price, float) and isinstance(time, int):
            seen[pair] = (price, _amount(raw_volume), _amount(raw_cap) or math.nan, time)
        else:
            unseen.setdefault(pair, price if isinstance(price, str) else str(time))
    columns = list(zip(*seen.values(), strict=True)) or [()] * 4
    return Observations(
        pairs=tuple(seen),
        price=np.array(columns[0], np.float64),
        volume=np.array(columns[1], np.float64),
        market_cap=np.array(columns[2], np.float64),
        observed_at=np.array(columns[3], np.int64),
        unseen=tuple((pair, reason) for pair, reason in unseen.items() if pair not in seen),
        received_at=received_at,
    )


@lru_cache(maxsize=32_768)
def _pair(asset: str, currency: str) -> str | None:
    """Every round names the same coins: a name is looked at once. None: not one that a pair can have."""
    return pair_of(asset, currency) if ASSET.fullmatch(asset) else None


def _price(raw: object) -> float | str:
    """The price, or the stable word for why there is none."""
    if isinstance(raw, float):
        if 0 < raw < math.inf:
            return raw
        return "not_positive" if math.isfinite(raw) else "not_finite"
    if raw is None:
        return "null_price"
    if raw is _MISSING:
        return "missing"
    return "no_price" if raw is _ABSENT else "not_a_number"


def _amount(raw: object) -> float:
    """A volume or capitalisation, NaN when it is not one. (A capitalisation of 0 means unknown.)"""
    return raw if isinstance(raw, float) and 0 <= raw < math.inf else math.nan


def _time(raw: object) -> int | str:
    """Epoch ms of seconds, milliseconds or ISO-8601, however long ago; or the stable word for why not."""
    date = _iso(raw) if isinstance(raw, str) else raw
    if isinstance(date, datetime):
        time = round(date.timestamp() * 1000)
        return time if time > 0 else "bad_time"
    if raw is None or raw == 0:
        return "no_time"
    if not isinstance(raw, float) or not 0 < raw < _LAST_MS:
        return "bad_time"
    return round(raw if raw >= _FIRST_MS else raw * 1000)


def _iso(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
