"""python -m tools.defaults FOLDER: how often "significant move" fires on the recorded candles in a folder.

Writes the part of docs/defaults.md between its two marks, and prints it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.defaults import DEFAULT_RULES
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.series import run_series
from cryptowatcher.domain.texts import observed_at, show_time
from cryptowatcher.domain.ticks import Floats, Ints, TickBatch
from cryptowatcher.replay import Recorded, read_recorded, rules_of

PAGE = Path(__file__).parents[2] / "docs/defaults.md"
BEGIN, END = "<!-- noise: begin -->\n", "<!-- noise: end -->\n"
SIX = "binance_*USDT_5m_2024-01_2024-09.parquet"
PANEL = "panel_binance_5m_2024_events_MIT.parquet"
CRASH = "binance_BTCUSDT_5m_2025-09-25_10-25_MIT.parquet"
MOVES = DEFAULT_RULES[0]
OTHERS = (
    "abs(change(1h)) > 10% or abs(change(1h)) > max(3.5 * atr(6, 1h) / price, 3%)",
    "abs(change(1h)) > 10% or abs(change(1h)) > max(5 * atr(6, 1h) / price, 3%)",
    "abs(change(1h)) > 10% or abs(change(1h)) > max(4 * atr(24, 1h) / price, 3%)",
    "abs(change(1h)) > 10% or abs(change(1h)) > max(4 * volatility(1d), 3%)",
    "abs(change(1h)) > 10% or abs(change(1h)) > max(5 * volatility(7d), 3%)",
    "abs(change(1h)) > 5%",
)
WILD_DAYS = 20


def main() -> None:
    folder = Path(sys.argv[1])
    six = [read_recorded([file], pair=_pair(file)) for file in sorted(folder.glob(SIX))]
    text = f"{_where(folder, six)}\n{_forms(six)}"
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    sys.stdout.write(text)


def _pair(file: Path) -> str:
    return f"{file.stem.split('_')[1].removesuffix('USDT').lower()}/usd"


def fired(when: str, batch: TickBatch) -> list[Alert]:
    """What the default rule would have said with this condition, of any pair."""
    spec = msgspec.structs.replace(MOVES, pairs=("all",), when=when)
    return run_series(rules_of([spec]), batch)


# --- where ---------------------------------------------------------------------------------------------


def _where(folder: Path, six: Sequence[Recorded]) -> str:
    head = (
        "| recorded | coins | alerts a coin and week | most in one hour |\n"
        "|---|---|---|---|\n"
    )  # fmt: skip
    rows = [_row("January to September 2024", [each.batch for each in six])]
    for number, weeks in enumerate(_weeks([each.batch for each in six])):
        rows.append(f"| · its {('quietest', 'median', 'wildest')[number]} week | 6 | {weeks} | |\n")
    rows += [_row(f"· {each.batch.pairs[0].partition('/')[0]} alone", [each.batch]) for each in six]
    panel = read_recorded([folder / PANEL]).batch
    rows += [_row(_days(part), [part]) for part in _stretches(panel)]
    rows.append(_row("25 September to 25 October 2025", [read_recorded([folder / CRASH], pair="btc/usd").batch]))
    return head + "".join(rows)


def _row(title: str, batches: Sequence[TickBatch]) -> str:
    alerts = [alert for batch in batches for alert in fired(MOVES.when, batch)]
    coins = sum(len(batch.pairs) for batch in batches)
    weeks = sum(len(batch.pairs) * _length(batch) / (7 * MS["d"]) for batch in batches)
    hours = Counter(observed_at(alert) // MS["h"] for alert in alerts)
    worst, count = max(hours.items(), key=lambda item: item[1], default=(0, 0))
    when = f"{count} of {coins} coins, {show_time(worst * MS['h'])[:16]}" if coins > 1 and count else "–"
    return f"| {title} | {coins} | {len(alerts) / weeks:.1f} | {when} |\n"


def _length(batch: TickBatch) -> int:
    return int(batch.observed_at.max() - batch.observed_at.min())


def _weeks(batches: Sequence[TickBatch]) -> list[str]:
    """The quietest, the median and the wildest whole week, in alerts a coin."""
    first = max(int(batch.observed_at.min()) for batch in batches)
    last = min(int(batch.observed_at.max()) for batch in batches)
    alerts = [alert for batch in batches for alert in fired(MOVES.when, batch)]
    counted = np.zeros((last - first) // (7 * MS["d"]))
    for alert in alerts:
        week = (observed_at(alert) - first) // (7 * MS["d"])
        if 0 <= week < len(counted):
            counted[week] += 1
    told = np.sort(counted) / len(batches)
    return [f"{each:.1f}" for each in (told[0], np.median(told), told[-1])]


def _stretches(batch: TickBatch) -> Iterable[TickBatch]:
    """Parts with less than a day between their candles."""
    at = batch.observed_at
    cuts = np.flatnonzero(np.diff(at) > MS["d"]) + 1
    for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(at)], strict=True):
        yield _part(batch, begin, end)


def _part(batch: TickBatch, begin: int, end: int) -> TickBatch:
    starts: Ints = batch.starts[(batch.starts >= begin) & (batch.starts < end)] - begin
    columns = {name: getattr(batch, name)[begin:end] for name in _COLUMNS}
    return msgspec.structs.replace(batch, **columns, starts=starts)


_COLUMNS = ("pair", "price", "volume", "market_cap", "observed_at")


def _days(batch: TickBatch) -> str:
    ends = show_time(int(batch.observed_at[0]))[:10], show_time(int(batch.observed_at[-1]) - 1)[:10]
    return " to ".join(ends)


# --- which form ----------------------------------------------------------------------------------------


def _forms(six: Sequence[Recorded]) -> str:
    """The condition that was chosen beside others, on the six coins."""
    head = (
        "| condition | alerts a coin and week | fewest to most of a coin | with extremes | wild days told |\n"
        "|---|---|---|---|---|\n"
    )
    return head + "".join(_form(when, six) for when in (MOVES.when, *OTHERS))


def _form(when: str, six: Sequence[Recorded]) -> str:
    closes = [fired(when, each.batch) for each in six]
    inside = [fired(when, _with_extremes(each)) for each in six]
    weeks = [_length(each.batch) / (7 * MS["d"]) for each in six]
    each_coin = sorted(len(alerts) / length for alerts, length in zip(closes, weeks, strict=True))
    told = [
        len(wild_days(each.batch) & {observed_at(alert) // MS["d"] for alert in alerts}) / WILD_DAYS
        for each, alerts in zip(six, closes, strict=True)
    ]
    cells = (
        f"`{when}`",
        f"{sum(map(len, closes)) / sum(weeks):.1f}",
        f"{each_coin[0]:.1f} to {each_coin[-1]:.1f}",
        f"{sum(map(len, inside)) / sum(weeks):.1f}",
        f"{np.mean(told):.0%}",
    )
    return f"| {' | '.join(cells)} |\n"


def wild_days(batch: TickBatch) -> set[int]:
    """The days with the largest moves of an hour, of this coin."""
    hour = MS["h"] // int(np.diff(batch.observed_at).min())
    moves: Floats = np.abs(batch.price[hour:] / batch.price[:-hour] - 1)
    day = batch.observed_at[hour:] // MS["d"]
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    largest = np.maximum.reduceat(moves, first)
    return set(day[first[np.argsort(-largest)[:WILD_DAYS]]].tolist())


def _with_extremes(recorded: Recorded) -> TickBatch:
    """Each candle as three observations: its low and its high at a third and two thirds of it, then its close."""
    batch, third = recorded.batch, recorded.candle // 3
    rose = batch.price >= np.concatenate([batch.price[:1], batch.price[:-1]])
    first, second = np.where(rose, recorded.low, recorded.high), np.where(rose, recorded.high, recorded.low)
    n = 3 * len(batch)
    return msgspec.structs.replace(
        batch,
        pair=np.zeros(n, np.int64),
        price=np.stack([first, second, batch.price], axis=1).ravel(),
        volume=np.full(n, np.nan),
        market_cap=np.full(n, np.nan),
        observed_at=(batch.observed_at[:, None] - np.array([2 * third, third, 0])).ravel(),
        starts=np.arange(n),
    )


if __name__ == "__main__":
    main()
