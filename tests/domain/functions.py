"""Functions of every shape a family can have, for tests of the language. They compute nothing."""

from __future__ import annotations

from typing import Any

from cryptowatcher.domain.features import Args, Function, Parameter, Unit
from cryptowatcher.domain.features.bounds import ANYTHING
from cryptowatcher.domain.rules.language import Language
from cryptowatcher.errors import ConfigError

HOUR = 3_600_000
WINDOW = Parameter("window", "window")
INTERVAL = Parameter("interval", "interval", HOUR)
COUNT = Parameter("count", "count", low=2, high=500)


def _never(*_: Any) -> Any:
    raise AssertionError("the language computes nothing")


def _a(name: str, *parameters: Parameter, unit: Unit, says: str, example: str = "", **more: Any) -> Function:
    return Function(name=name, parameters=parameters, unit=unit, says=says, example=example or name, step=_never,
                    series=None, **more)  # fmt: skip


def _fast_before_slow(args: Args) -> None:
    if args[0] >= args[1]:
        raise ConfigError("the fast period is shorter than the slow one")


FUNCTIONS = {
    function.name: function
    for function in (
        _a("price", Parameter("pair", "pair", ""), unit="price", says="the price"),
        _a("volume", Parameter("window", "window", 24 * HOUR), unit="money", says="the volume traded in {window}"),
        _a("market_cap", unit="money", says="the market cap"),
        _a("age", unit="time", says="the age of the newest price"),
        _a("rank", unit="number", says="the rank by market cap"),
        _a("ratio", Parameter("pair", "pair"), unit="number", says="the price in units of {pair}",
           example="ratio(bitcoin/usd)"),
        _a("change", WINDOW, unit="fraction", says="the change within {window}", example="change(5m)",
           bounds=ANYTHING, needs=lambda args: int(args[0])),
        _a("change_since", Parameter("price", "price"), unit="fraction", says="the change since {price}",
           example="change_since(60000)", bounds=ANYTHING),
        _a("high", WINDOW, unit="price", says="the highest price within {window}", example="high(30d)",
           needs=lambda args: int(args[0])),
        _a("drawdown", WINDOW, unit="fraction", says="the fall from the highest price within {window}",
           example="drawdown(24h)"),
        _a("volatility", WINDOW, INTERVAL, unit="fraction",
           says="the usual size of a move of {interval} within {window}", example="volatility(1d)"),
        _a("sma", COUNT, INTERVAL, unit="price", says="the average of {count} closes of {interval}",
           example="sma(200, 1d)"),
        _a("ema", COUNT, INTERVAL, unit="price", says="the moving average of {count} closes of {interval}",
           example="ema(12, 1h)"),
        _a("rsi", Parameter("count", "count", 14), INTERVAL, unit="number",
           says="the RSI of {count} candles of {interval}", example="rsi(14, 1h)"),
        _a("bollinger", COUNT, Parameter("width", "number", 2.0, low=0.1, high=10.0), INTERVAL, unit="price",
           says="the band of width {width} over {count} closes of {interval}", example="bollinger(20, 2, 1h)"),
        _a("macd", Parameter("fast", "count", 12), Parameter("slow", "count", 26), INTERVAL, unit="number",
           says="the MACD of {fast} and {slow} closes of {interval}", example="macd(12, 26, 1h)",
           check=_fast_before_slow, bounds=ANYTHING),
        _a("average", Parameter("feature", "feature"), WINDOW, unit="number",
           says="the average over {window} of {feature}", example="average(volume(1h), 7d)"),
    )
}  # fmt: skip

READER = Language(FUNCTIONS)
"""The language over these functions."""
