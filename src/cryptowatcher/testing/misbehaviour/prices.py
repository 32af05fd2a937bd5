"""200, well-formed, and wrong: prices, ids and time stamps that cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from cryptowatcher.testing.misbehaviour.model import Answer, Misbehaviour, Scene, kind

Row = dict[str, Any]
_NO_PRICE = ("_market_cap", "_24h_vol", "_24h_change", "last_updated_at")
_YEAR = 365 * 86_400.0


def _rows(answer: Answer, how: Misbehaviour) -> Iterator[tuple[str, Row]]:
    """(id, row) of the concerned coins of /simple/price or /coins/markets; nothing for other documents."""
    document = answer.document
    if isinstance(document, dict):
        rows = [(coin, row) for coin, row in document.items() if isinstance(row, dict)]
    elif isinstance(document, list):
        rows = [(row["id"], row) for row in document if isinstance(row, dict) and "current_price" in row]
    else:
        rows = []
    yield from ((coin, row) for coin, row in rows if not how.coins or coin in how.coins)


def _price_names(row: Row) -> list[str]:
    if "current_price" in row:
        return ["current_price"]
    return [name for name in row if not name.endswith(_NO_PRICE)]


def _reprice(answer: Answer, how: Misbehaviour, price: Callable[[float], object]) -> Answer:
    """`price(honest)` becomes the price. A coin that has none honestly stays as it is."""
    for _, row in _rows(answer, how):
        for name in _price_names(row):
            if row[name] is not None:
                row[name] = price(row[name])
    return answer


def _restamp(answer: Answer, how: Misbehaviour, seconds: float) -> Answer:
    for _, row in _rows(answer, how):
        if row.get("last_updated_at") is not None:
            row["last_updated_at"] = int(row["last_updated_at"] + seconds)
        if row.get("last_updated") is not None:
            row["last_updated"] = shift_iso(row["last_updated"], seconds)
    return answer


def shift_iso(stamp: str, seconds: float) -> str:
    moved = datetime.fromisoformat(stamp) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _without(answer: Answer, gone: set[str]) -> Answer:
    document = answer.document
    if isinstance(document, dict):
        return Answer(answer.reply, {coin: row for coin, row in document.items() if coin not in gone})
    if isinstance(document, list):
        return Answer(answer.reply, [row for row in document if row["id"] not in gone])
    return answer


@kind
def null_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is null."""
    return _reprice(answer, how, lambda _: None)


@kind
def zero_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is 0."""
    return _reprice(answer, how, lambda _: 0)


@kind
def negative_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price has a minus sign."""
    return _reprice(answer, how, lambda honest: -honest)


@kind
def nan_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is the bare word NaN, which is not JSON."""
    return _reprice(answer, how, lambda _: msgspec.Raw(b"NaN"))


@kind
def infinite_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is the bare word Infinity, which is not JSON."""
    return _reprice(answer, how, lambda _: msgspec.Raw(b"Infinity"))


@kind
def overflow_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is 1e400, which is JSON and more than a float holds."""
    return _reprice(answer, how, lambda _: msgspec.Raw(b"1e400"))


@kind
def text_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is a string."""
    return _reprice(answer, how, str)


@kind
def true_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is `true`."""
    return _reprice(answer, how, lambda _: True)


@kind
def object_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is `{}`, as migrated coins have had it."""
    return _reprice(answer, how, lambda _: {})


@kind
def spike(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is `value` (40,000) times the honest one."""
    return _reprice(answer, how, lambda honest: honest * how.number(40_000))


@kind
def collapse(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The price is the honest one divided by `value` (40,000)."""
    return _reprice(answer, how, lambda honest: honest / how.number(40_000))


@kind
def absurd(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Every price is some power of ten off, each time another (10^±2 to 10^±8)."""

    def off(honest: float) -> float:
        return float(honest * 10 ** (scene.random.choice((-1, 1)) * scene.random.uniform(2, 8)))

    return _reprice(answer, how, off)


@kind
def stuck_price(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Prices stand still while the time stamps go on."""
    for coin, row in _rows(answer, how):
        for name in _price_names(row):
            row[name] = scene.memory.setdefault(f"{coin} {name}", row[name])
    return answer


@kind
def old(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The time stamps are `value` seconds (5 years) too old."""
    return _restamp(answer, how, -how.number(5 * _YEAR))


@kind
def future(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The time stamps are `value` seconds (a year) ahead."""
    return _restamp(answer, how, how.number(_YEAR))


@kind
def no_time(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The time stamps are null."""
    for _, row in _rows(answer, how):
        row.update({name: None for name in ("last_updated", "last_updated_at") if name in row})
    return answer


@kind
def millisecond_time(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """`last_updated_at` comes in milliseconds instead of seconds (only /simple/price has it)."""
    for _, row in _rows(answer, how):
        if row.get("last_updated_at") is not None:
            row["last_updated_at"] *= 1000
    return answer


@kind
def missing_ids(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The coins are not in the answer."""
    return _without(answer, {coin for coin, _ in _rows(answer, how)})


@kind
def missing_fields(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The coins are there, but with nothing about them except id, symbol and name."""
    for _, row in _rows(answer, how):
        for name in row.keys() - {"id", "symbol", "name"}:
            del row[name]
    return answer


@kind
def all_null(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The coins are there with every field null except id, symbol and name."""
    for _, row in _rows(answer, how):
        row.update(dict.fromkeys(row.keys() - {"id", "symbol", "name"}))
    return answer


@kind
def strangers(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """A coin that nobody asked for is in the answer."""
    if isinstance(answer.document, dict):
        answer.document["unasked-coin"] = {"usd": 1.0, "last_updated_at": scene.request.at // 1000}
    elif isinstance(answer.document, list) and answer.document:
        answer.document.append({**answer.document[0], "id": "unasked-coin"})
    return answer


@kind
def duplicates(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Coins come twice, the second time 1 % dearer (only /coins/markets can)."""
    if isinstance(answer.document, list):
        rows = [row for _, row in _rows(answer, how) if row["current_price"] is not None]
        answer.document.extend({**row, "current_price": row["current_price"] * 1.01} for row in rows)
    return answer
