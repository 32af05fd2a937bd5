"""What a rule would have done, as a person looks at it: words, a picture, and tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

import numpy as np
from rich.text import Text

from cryptowatcher.cli.chart import draw
from cryptowatcher.cli.output import age, console, counted, moment, note, table
from cryptowatcher.cli.score import percent, show_scores
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.hindsight import History
from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.preview import Fired, Preview
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.numbers import is_fraction
from cryptowatcher.domain.rules.tree import Call, Comparison, Number
from cryptowatcher.domain.suggestion import Suggestion
from cryptowatcher.domain.texts import show_percent, show_price
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.previewing import Trial

HEIGHT = 8
NEWEST = 10
"""Firings that are listed."""
_MARKS = {1: "▲", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6", 7: "7", 8: "8", 9: "9"}


def show(trial: Trial, history: History) -> None:
    """All of it. What is doubtful goes to standard error."""
    seen, out = trial.preview, console()
    out.print(trial.words, markup=False, soft_wrap=True)
    if seen.unknown:
        out.print(f"\nNobody can say: {seen.unknown}.", markup=False, soft_wrap=True)
        return
    out.print(f"\n{_stretch(trial)}", markup=False, soft_wrap=True)
    width = max(10, shutil.get_terminal_size().columns - 16)
    out.print(picture(history, seen, width=width))
    out.print(f"\n{_how_often(seen)}", markup=False, soft_wrap=True)
    if seen.firings:
        _show_firings(seen)
        out.print()
        show_scores(seen.scores)
        if seen.scores[0].advice == "info":
            note("with --advice buy or sell it is judged whether it finds better moments than chance")
    if trial.suggestion is not None:
        out.print(f"\n{_suggested(trial.suggestion)}", markup=False, soft_wrap=True)
    for warning in seen.warnings:
        note(warning)


def _stretch(trial: Trial) -> str:
    seen = trial.preview
    return (
        f"{seen.pair}   {moment(seen.start)} … {moment(seen.end)} UTC, {age(seen.end - seen.start)} of "
        f"{show_duration(trial.candles)} candles, {100 * seen.observed:.4g} % of the time observed"
    )


def _how_often(seen: Preview) -> str:
    if not seen.firings or seen.a_week is None:
        return "It would not have fired."
    silence = "" if seen.longest_silence is None else f" The longest silence was {age(seen.longest_silence)}."
    often = f": {_number(seen.a_week)} a week" if seen.end - seen.start >= MS["d"] else ""
    return f"It would have fired {counted(len(seen.firings), 'time')}{often}.{silence}"


def _number(a_week: float) -> str:
    return f"{a_week:,.0f}" if a_week >= 10 else f"{a_week:.2g}"


def _show_firings(seen: Preview) -> None:
    """The newest of them."""
    compared = _compared(seen.when)
    columns = ["Newest (UTC)", "Price", *compared, *(f"{show_duration(each)} later" for each in seen.horizons)]
    newest = seen.firings[: -NEWEST - 1 : -1]
    table(columns, (_row(fired, [*compared.values()]) for fired in newest), right=columns[1:])


def _row(fired: Fired, says: Sequence[Callable[[float], str]]) -> list[str | Text]:
    values = [say(fired.value) for say in says]
    return [moment(fired.time), show_price(fired.price), *values, *map(_moved, fired.after)]


def _moved(move: float | None) -> Text:
    return Text(percent(move), style="dim" if move is None else "green" if move > 0 else "red")


def _compared(when: str) -> dict[str, Callable[[float], str]]:
    """What the only comparison looks at, and how its value is said. Nothing where that is the price, and where it
    is no single thing: there are several comparisons, or two sides that move."""
    condition = parse(when)
    if not isinstance(condition, Comparison) or condition.left == Call("price"):
        return {}
    if not isinstance(condition.right, Number):
        return {}
    return {str(condition.left): show_percent if is_fraction(condition.left) else show_price}


def _suggested(found: Suggestion) -> str:
    if found.when is None or found.a_week is None:
        return f"No number can be suggested: {found.reason}."
    return f"For about so many a week: {found.when}   ({_number(found.a_week)} a week)"


# --- the picture -----------------------------------------------------------------------------------


def picture(history: History, seen: Preview, *, width: int) -> Text:
    """The price, and below it where the rule fired: a triangle, or how many times; + for ten and more."""
    batch = history.batch
    rows = np.flatnonzero(batch.pair == batch.pairs.index(seen.pair))
    times, price = batch.observed_at[rows], batch.price[rows]
    high, low = (history.extremes.high[rows], history.extremes.low[rows]) if history.extremes else (price, price)
    width = min(width, len(rows))
    step = (seen.end - seen.start) / width
    edges = seen.start + step * np.arange(1, width)
    columns = _columns(np.searchsorted(times, edges).tolist(), int(step) or 1, price, high, low, times)
    chart = draw(columns, height=HEIGHT, label=show_price)
    fired = np.bincount(
        np.searchsorted(edges, [each.time for each in seen.firings], side="right"), minlength=width
    )
    marks = "".join(" " if count == 0 else _MARKS.get(count, "+") for count in fired.tolist())
    if seen.firings:
        chart.append(f"\n{marks}", style="bold yellow")
        chart.append("  ▲ fired")
    return chart


def _columns(
    cuts: Sequence[int], step: int, price: Floats, high: Floats, low: Floats, times: Ints
) -> list[Candle]:
    """A candle for each column; one without observations is not drawn."""
    columns: list[Candle] = []
    for first, end in zip([0, *cuts], [*cuts, len(price)], strict=True):
        part = slice(first, end) if end > first else slice(max(0, end - 1), max(1, end))
        columns.append(
            Candle(
                pair="",
                interval=step,
                start=times.item(part.start),
                open=price.item(max(0, part.start - 1)),
                high=float(high[part].max()),
                low=float(low[part].min()),
                close=price.item(part.stop - 1),
                volume_24h=None,
                ticks=end - first,
                observed_ms=step if end > first else 0,
            )
        )
    return columns
