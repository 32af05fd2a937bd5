"""python -m tools.signals FOLDER: scores the starter strategies on the recorded candles in a folder.

Writes the part of docs/signals.md between its two marks, and prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from cryptowatcher.domain.hindsight import Hindsight, History
from cryptowatcher.domain.intervals import show_duration
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.scoring import HORIZONS, Score, Track, judge, moves_after
from cryptowatcher.domain.strategies import STRATEGIES, Strategy
from cryptowatcher.domain.texts import observed_at
from cryptowatcher.errors import ConfigError
from cryptowatcher.replay import VALID_INTERVALS, read_candles, rules_of

PAGE = Path(__file__).parents[2] / "docs/signals.md"
BEGIN, END = "<!-- scores: begin -->\n", "<!-- scores: end -->\n"
SETS = (
    ("six coins, 5-minute candles, January to September 2024", "binance_*USDT_5m_2024-01_2024-09.parquet"),
    ("bitcoin, hourly candles, 2018 to 2022", "neurotrader_BTCUSDT_1h_2018_2022.parquet"),
)
HEAD = (
    "| condition | advice | after | firings (apart) | mean move | all moments | after fees | hits | all moments "
    "| chance | clear | verdict |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def main() -> None:
    folder = Path(sys.argv[1])
    text = "\n".join(section(title, sorted(folder.glob(files))) for title, files in SETS)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    sys.stdout.write(text)


def section(title: str, files: Sequence[Path]) -> str:
    """The scores of all strategies on these files, as a table."""
    pasts = [
        History(batch, candles=batch.valid_for // VALID_INTERVALS)
        for batch in (read_candles([file], pair=f"{file.stem.split('_')[1].lower()}/usd") for file in files)
    ]
    rows = [row for strategy in STRATEGIES for row in lines(strategy, pasts)]
    return f"### {title[0].upper()}{title[1:]}\n\n{HEAD}{''.join(rows)}"


def lines(strategy: Strategy, pasts: Sequence[History]) -> Iterable[str]:
    """A line for each of its rules and each horizon."""
    for spec in strategy.rules(("all",)):
        try:
            scores, unknown = scored(spec, pasts)
        except ConfigError as error:
            scores, unknown = [], error.message.splitlines()[0]
        if unknown:
            yield f"| `{spec.when}` | {spec.advice} | | | | | | | | | | not scored: {unknown} |\n"
        yield from (line(spec, each) for each in scores)


def scored(spec: RuleSpec, pasts: Sequence[History]) -> tuple[list[Score], str]:
    """Its scores over all these pairs together, or why there are none."""
    (rule,) = rules_of([spec])
    held = [Hindsight(rule, past, past.batch.pairs[0]) for past in pasts]
    unknown = next((each.unknown for each in held if each.unknown), "")
    if unknown or not held:
        return [], unknown or "there are no files"
    moments = np.unique(np.concatenate([each.line.time for each in held]))
    fired = [np.array([observed_at(alert) for alert in each.alerts()], np.int64) for each in held]
    return [_score(held, moments, fired, spec, horizon) for horizon in HORIZONS], ""


def _score(
    held: Sequence[Hindsight], moments: np.ndarray, fired: Sequence[np.ndarray], spec: RuleSpec, horizon: int
) -> Score:
    tracks = [
        Track(
            moves_after(each.line.time, each.line.price, moments, horizon=horizon, tolerance=each.line.valid_for),
            np.searchsorted(moments, times),
        )
        for each, times in zip(held, fired, strict=True)
    ]
    return judge(moments, tracks, advice=spec.advice, horizon=horizon)


def line(spec: RuleSpec, score: Score) -> str:
    """A row of the table."""
    cells = (
        f"`{spec.when}`",
        spec.advice,
        show_duration(score.horizon),
        f"{score.firings} ({score.apart})",
        _percent(score.mean),
        _percent(score.holding),
        _percent(score.mean_after_fees),
        _percent(score.hit_rate, sign="", digits=0),
        _percent(score.usual_hit_rate, sign="", digits=0),
        "–" if score.chance is None else f"{score.chance:.4f}" if score.chance >= 0.0001 else "< 0.0001",
        "–" if score.clearness is None else f"{score.clearness:.1f}",
        score.label,
    )
    return f"| {' | '.join(cells)} |\n"


def _percent(value: float | None, *, sign: str = "+", digits: int = 2) -> str:
    return "–" if value is None else f"{100 * value:{sign}.{digits}f} %"


if __name__ == "__main__":
    main()
