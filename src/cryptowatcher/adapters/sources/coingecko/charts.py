"""CoinGecko's charts as the past of a pair. Points may be null, text, unsorted, there twice, or none at all.

`/coins/{id}/market_chart` gives three lists of [epoch ms, value]: five-minutely for a day, hourly up to 90 days,
daily beyond. The last point is of now, off that grid. Hourly points come some seconds after the hour, daily ones
at 00:00.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from cryptowatcher.adapters.sources.coingecko.failures import complaint
from cryptowatcher.adapters.sources.coingecko.reading import UNREADABLE, not_the_shape, slowly
from cryptowatcher.domain.past import Past, Reach
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import Unavailable

_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
DAY: Final = 24 * _HOUR

REACHES: Final = (Reach(5 * _MINUTE, DAY), Reach(_HOUR, 90 * DAY), Reach(DAY, 365 * DAY))
"""What keyless and demo plans may ask for; the API makes the points as far apart as that by itself."""

_LATE: Final = 0.1
"""Share of an interval after a full hour or day within which a point is meant to be of that moment."""


class _Chart(msgspec.Struct):
    prices: list[tuple[float, float | None]]
    market_caps: list[tuple[float, float | None]]
    total_volumes: list[tuple[float, float | None]]


_chart = msgspec.json.Decoder(_Chart)


def read_chart(body: bytes, pair: str, reach: Reach, now: int) -> Past:
    """The points of a chart, of `reach` before `now` (epoch ms). Raises Unavailable or Refused when it is not
    one."""
    prices, caps, volumes = _lists(body)
    time, price = _columns(prices)
    known = np.isfinite(price) & (price > 0) & (time <= now) & (time > now - reach.back - reach.interval)
    time, price = time[known], price[known]
    time, first = np.unique(time, return_index=True)
    price = price[first]
    end = len(time) - _ends_now(time, reach.interval, now)
    time, price = time[:end], price[:end]
    return Past(
        pair=pair,
        interval=reach.interval,
        observed_at=_on_the_hour(time, reach.interval),
        price=price,
        volume=_beside(time, volumes),
        market_cap=_beside(time, caps, least=math.ulp(0.0)),
        dropped=len(prices) - end,
        received_at=now,
    )


def _lists(body: bytes) -> tuple[Sequence[object], Sequence[object], Sequence[object]]:
    """Points of prices, of capitalisations and of volumes."""
    try:
        chart = _chart.decode(body)
    except UNREADABLE:
        return _slow_lists(slowly(body))
    return chart.prices, chart.market_caps, chart.total_volumes


def _slow_lists(parsed: object) -> tuple[list[object], list[object], list[object]]:
    """The same out of any JSON."""
    if not isinstance(parsed, dict) or complaint(parsed) or not isinstance(parsed.get("prices"), list):
        raise not_the_shape(parsed)
    lists = [parsed.get(name) for name in ("prices", "market_caps", "total_volumes")]
    prices, caps, volumes = (each if isinstance(each, list) else [] for each in lists)
    if prices and not any(map(_is_point, prices)):
        raise Unavailable("CoinGecko answered a list, but not of points", reason="wrong_shape")
    return prices, caps, volumes


def _is_point(raw: object) -> bool:
    return (
        isinstance(raw, list | tuple)
        and len(raw) == 2
        and isinstance(raw[0], float)
        and 0 < raw[0] < 1e15
        and (raw[1] is None or isinstance(raw[1], float))
    )


def _columns(points: Iterable[object]) -> tuple[Ints, Floats]:
    """Times (epoch ms) and values (NaN for null) of what are points, in the order they came in."""
    table = np.asarray([point for point in points if _is_point(point)], np.float64).reshape(-1, 2)
    return table[:, 0].astype(np.int64), table[:, 1]


def _ends_now(time: Ints, interval: int, now: int) -> bool:
    """Whether the last point is the one of now, off the grid."""
    if not len(time):
        return False
    return bool(now - time[-1] < 5 * _MINUTE or np.diff(time[-2:]).sum() < (1 - _LATE) * interval)


def _on_the_hour(time: Ints, interval: int) -> Ints:
    """A price taken some seconds after a full hour closes the hour before, not the next one."""
    after = time % interval
    before = np.concatenate([np.zeros(1, np.int64), time])[:-1]
    return np.where(
        (interval >= _HOUR) & (after <= _LATE * interval) & (time - after > before), time - after, time
    )


def _beside(time: Ints, points: Iterable[object], least: float = 0.0) -> Floats:
    """The values at exactly these times, NaN where there is none of at least `least`."""
    found_at, value = _columns(points)
    known = dict(zip(found_at[::-1].tolist(), value[::-1].tolist(), strict=True))
    column = np.asarray([known.get(at, math.nan) for at in time.tolist()], np.float64)
    column[~np.isfinite(column) | (column < least)] = math.nan
    return column
