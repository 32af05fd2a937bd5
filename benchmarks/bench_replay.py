"""Replay of 133 coins over 21 days of 5-minute candles: ticks a second with 1 and with 1,000 rules.

    python benchmarks/bench_replay.py [FILE]

Beside it, in the same run: the watcher stepping a part of the same instants one by one, as the live program does,
with the same rules. FILE is a recorded panel; without one a market of the same size is made up. Of the 1,000 rules
980 are on one pair each and 20 on all of them; "busy" has 100 on all, and then time goes by alerts, not by ticks.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence, Sized
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.rules.series import run_series
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.replay import read_candles, records, rules_of

GOAL = 2e6  # ticks a second, with 1,000 rules
GOAL_PREVIEW_MS = 100.0
RECORDED = Path(__file__).parents[2] / "shared/data/candles/panel_binance_5m_2024_events_MIT.parquet"
STEPPED = 600  # instants, for a comparison with stepping
ROUNDS = 7
# window, and a change within it (in percent) that happens now and then
WINDOWS = (("5m", 3), ("15m", 4), ("1h", 6), ("4h", 10), ("24h", 15), ("7d", 30))


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. `gives`: alerts, or ticks read; `seconds`: wall clock; `cpu`: of this process, seconds."""

    what: str
    ticks: int
    gives: int
    seconds: float
    cpu: float


def many(pairs: tuple[str, ...], *, on_all: int, count: int = 1_000) -> list[RuleSpec]:
    """Rules with constants that all differ, half of them rising, some of them on all pairs."""
    every = count // on_all
    return [_spec(number, ALL if number % every == 0 else pairs[number % len(pairs)]) for number in range(count)]


def _spec(number: int, pair: str) -> RuleSpec:
    window, usual = WINDOWS[number % len(WINDOWS)]
    percent = usual * (1 + number / 1_000)
    when = f"change({window}) >= {percent:.3f}%" if number % 4 < 2 else f"change({window}) <= -{percent:.3f}%"
    return RuleSpec(name=f"rule {number}", pairs=(pair,), when=when, cooldown="1h")


def stepped(rules: list[Rule], batch: TickBatch) -> Sequence[Alert]:
    """The alerts, by stepping."""
    watcher = Watcher(candles=False)
    for number, rule in enumerate(rules, start=1):
        change = RuleChange(number=number, rule_id=rule.id, owner=rule.owner, head=0, saved_at=0, rule=rule)
        watcher.take_up(change, 0)
    for record in records(batch):
        watcher.step(record)
    return watcher.effects().alerts


def tail(batch: TickBatch, instants: int) -> TickBatch:
    """The last instants of a long batch."""
    first = int(batch.starts[-instants])
    return msgspec.structs.replace(batch.rows(slice(first, None)), starts=batch.starts[-instants:] - first)


def made_up(path: Path, pairs: int = 133, candles: int = 6_048) -> Path:
    """A file of random walks."""
    chance = np.random.default_rng(1)
    steps = chance.standard_t(3, (pairs, candles)) * 0.002
    times = 1_704_153_600_000 + 300_000 * np.arange(candles)
    table = {
        "symbol": np.repeat([f"C{number}USDT" for number in range(pairs)], candles),
        "ts": np.tile(times, pairs),
        "close": np.exp(np.cumsum(steps, axis=1)).ravel(),
    }
    pl.DataFrame(table).write_parquet(path)
    return path


def best(what: str, ticks: int, run: Callable[[], Sized], rounds: int = ROUNDS) -> Row:
    """The quickest of some rounds: on a machine that does other things too, it is the code's own."""
    rows = []
    for _ in range(rounds):
        started, cpu = time.perf_counter(), time.process_time()
        gives = len(run())
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
        rows.append(Row(what=what, ticks=ticks, gives=gives, seconds=seconds, cpu=used))
    return min(rows, key=lambda row: row.seconds)


def minutes() -> TickBatch:
    """90 days of one coin, a candle a minute."""
    n = 129_600
    steps = np.random.default_rng(2).standard_t(3, n) * 0.0005
    return TickBatch(
        source="replay",
        pairs=("coin/usd",),
        pair=np.zeros(n, np.int64),
        price=np.exp(np.cumsum(steps)),
        volume=np.full(n, np.nan),
        market_cap=np.full(n, np.nan),
        observed_at=1_704_153_600_000 + 60_000 * np.arange(n),
        starts=np.arange(n),
        received_at=0,
        valid_for=180_000,
    )


def measure(file: Path) -> list[Row]:
    """Reading, both forms with both numbers of rules, and one coin for a preview."""
    batch = read_candles([file])
    part = tail(batch, STEPPED)
    one = rules_of([RuleSpec(name="one", pairs=(ALL,), when="change(1h) <= -10%")])
    thousand, busy = (rules_of(many(batch.pairs, on_all=on_all)) for on_all in (20, 100))
    coin, preview = minutes(), rules_of([RuleSpec(name="one", pairs=(ALL,), when="change(1h) <= -1%")])
    return [
        best("read the file", len(batch), lambda: read_candles([file])),
        best("series, 1 rule", len(batch), lambda: run_series(one, batch)),
        best("series, 1,000 rules", len(batch), lambda: run_series(thousand, batch)),
        best("series, 1,000 rules, busy", len(batch), lambda: run_series(busy, batch)),
        best("a part: series, 1 rule", len(part), lambda: run_series(one, part)),
        best("a part: series, 1,000", len(part), lambda: run_series(thousand, part)),
        best("a part: stepped, 1 rule", len(part), lambda: stepped(one, part), rounds=2),
        best("a part: stepped, 1,000", len(part), lambda: stepped(thousand, part), rounds=2),
        best("one coin, 90 d of minutes", len(coin), lambda: run_series(preview, coin)),
        best("one coin, 2 d: stepped", 2_880, lambda: stepped(preview, tail(coin, 2_880)), rounds=2),
    ]


def main() -> None:
    file = Path(sys.argv[1]) if sys.argv[0].endswith("bench_replay.py") and len(sys.argv) > 1 else RECORDED
    with tempfile.TemporaryDirectory() as folder:
        if not file.exists():
            file = made_up(Path(folder) / "made_up.parquet")
        rows = measure(file)
    print(f"{file.name}: best of {ROUNDS} rounds, one core\n")
    print(f"{'':27}{'ticks':>9}{'gives':>9}{'ms':>9}{'CPU ms':>9}{'M ticks/s':>11}{'by CPU':>9}")
    for row in rows:
        rates = f"{row.ticks / row.seconds / 1e6:11.2f}{row.ticks / row.cpu / 1e6:9.2f}"
        print(f"{row.what:27}{row.ticks:9,}{row.gives:9,}{row.seconds * 1e3:9.1f}{row.cpu * 1e3:9.1f}{rates}")
    by_name = {row.what: row for row in rows}
    thousand = by_name["series, 1,000 rules"]
    rate = thousand.ticks / thousand.seconds
    ratios = [
        by_name[f"a part: stepped, {n}"].seconds / by_name[f"a part: series, {n}"].seconds
        for n in ("1 rule", "1,000")
    ]
    preview = by_name["one coin, 90 d of minutes"].seconds * 1e3
    print(f"\n1,000 rules: {rate / 1e6:.2f} M ticks/s   goal >= 2: {'held' if rate >= GOAL else 'MISSED'}")
    print(f"             {ratios[0]:.0f} x stepping with 1 rule, {ratios[1]:.0f} x with 1,000")
    verdict = "held" if preview <= GOAL_PREVIEW_MS else "MISSED"
    print(f"preview:     {preview:.0f} ms   goal <= {GOAL_PREVIEW_MS:.0f}: {verdict}")


if __name__ == "__main__":
    main()
