"""Live = replay = preview: the same observations and rules give the same alerts, over all that was recorded.

All three are given the closes of candles as ticks. A preview of candles by itself also knows their highest and
lowest prices and lets a plain price threshold be touched inside one; a tick has no inside, so here it is not told.

Not compared, because replay and preview refuse them: rules on `rank`, `top(n)` and `age`, which one pair's past
does not tell (tests/domain/oracle.py is what they are held against), and conditions on shorter candles than were
recorded. Nor rules that end (a preview asks what they would do if they went on), paused ones, and edits, which
neither of the two knows. Nor a preview over the candles that a watcher itself has stored: there a close stands at
its candle's end and not when it was observed, so a window may begin an observation earlier or later.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import structlog

from cryptowatcher.domain.alerts import Alert, is_condition
from cryptowatcher.domain.defaults import DEFAULT_RULES
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec, rule_id
from cryptowatcher.domain.rules.tree import Condition, calls
from cryptowatcher.domain.strategies import STRATEGIES
from tests.replay.tapes import CANDLES, DATA, TAPES, Tape, names_in_manifest, names_on_tapes, part, tape
from tests.replay.ways import contents, digest, live, previewed, replayed, same, seen_once

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="no recorded data")


@pytest.fixture(autouse=True)
def quiet() -> None:
    """A line of the log for each alert would take longer than the alert."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


ISSUE = (
    *("price crosses above 70000", "change(5m) <= -5%", "abs(change(1h)) > 3 * volatility(1d)"),
    *("rsi(14, 1h) < 30 and price > sma(200, 1d)", "ema(12, 1h) crosses above ema(26, 1h)", "price >= high(30d)"),
    *("drawdown(24h) > 10%", "volume(1h) > 3 * average(volume(1h), 7d)", "abs(price - 1) > 0.5%"),
    "change_since(60000) >= 10%",
)
"""The examples of what must work, but `rank` and `age`."""
MORE = (
    *("change(1m) < -0.02%", "change(10m) <= -1%", "change(4h) >= 3%", "change(7d) > 15%", "rally(1d) >= 8%"),
    *("range(6h) > 6%", "zscore(1d) > 3", "not (abs(zscore(7d)) < 2)", "volume crosses above average(volume, 3d)"),
    *("rsi(14, 1h) crosses below 25", "macd(12, 26, 9, 1h) crosses above macd_signal(12, 26, 9, 1h)"),
    *("price < bollinger_lower(20, 2, 1h)", "price > bollinger_upper(20, 2, 1h) and rsi(14, 5m) > 70"),
    *("stochastic_k(14, 1h) > 95 and stochastic_d(14, 3, 1h) > 90", "price - sma(20, 1h) > 3 * atr(14, 1h)"),
    *("change(15m) > 1% or drawdown(1h) > 2%", "price crosses above 1.01 * low(1h) and not change(1h) < 0%"),
    *("change(10s) > 0.005%", "price crosses below 0.9999 * high(5s)"),
    *("max(change(1h), change(4h)) > 4% and volatility(1d) < 2%", "ema(9, 5m) < ema(21, 5m) and change(2h) < -2%"),
)
LIVES = (
    *({"for_": "15m"}, {"for_": "2h", "rearm": "5%"}, {"cooldown": "6h", "rearm": "0%"}, {"cooldown": "30m"}),
    *({"repeat": "once", "for_": "1h"}, {"repeat": "once"}, {"fire_if_already_true": True, "rearm": "20%"}),
    {"fire_if_already_true": True, "for_": "30m", "cooldown": "1h"},
)
"""Every way to live, each with every one of these conditions."""
ENDS = ({"resolved": True, "cooldown": "2h"}, {"resolved": True, "for_": "15m", "rearm": "5%"})
"""Ways to tell that it is over. They come last and have a hash of their own, so that of the others can be compared
with those of releases that did not know them."""
LIVED = ("change(1h) <= -1%", "price > {middle}", "change(30m) > 0.7% or zscore(1d) > 2.5")


def rules(tape: Tape) -> list[RuleSpec]:
    """A broad set, on all pairs where nothing else is said. Prices are those of the middle pair."""
    batch = tape.batch
    pair = batch.pairs[len(batch.pairs) // 2]
    middle = float(np.median(batch.price[batch.pair == batch.pairs.index(pair)]))
    conditions = [
        *ISSUE,
        *MORE,
        *(f"price crosses {way} {middle * by!r}" for way in ("above", "below") for by in (0.95, 1, 1.05)),
        *(f"price {op} {middle * 0.99!r}" for op in ("<=", ">")),
        f"change_since({middle!r}) <= -3%",
        *(f"ratio({pair}) crosses {way} {by}" for way, by in (("above", 1.001), ("below", 20))),
    ]
    lived, ending = (
        [
            msgspec.structs.replace(RuleSpec(name="", pairs=("all",), when=when.format(middle=middle)), **life)
            for when in LIVED
            for life in lives
        ]
        for lives in (LIVES, ENDS)
    )
    defaults = [msgspec.structs.replace(spec, pairs=("all",)) for spec in DEFAULT_RULES]
    specs = [
        *(RuleSpec(name="", pairs=("all",), when=when) for when in conditions),
        *(
            RuleSpec(name="", pairs=("list(mine)",), when=when, rearm="1%")
            for when in ("change(1h) > 1%", ISSUE[4])
        ),
        *(RuleSpec(name="", pairs=(pair,), when=when, cooldown="1h") for when in ("change(20m) < -0.3%", MORE[9])),
        *(spec for strategy in STRATEGIES for spec in strategy.rules(("all",))),
        *lived,
        *defaults,
        *ending,
    ]
    return [
        msgspec.structs.replace(spec, name=f"{number} {spec.when}"[:80])
        for number, spec in enumerate(specs)
        if not on_shorter_candles(parse(spec.when), tape.every)
    ]


def on_shorter_candles(condition: Condition, every: int) -> bool:
    """Whether most of the candles that it looks at would be empty."""
    return any(
        parameter.kind == "interval" and isinstance(arg, int) and arg < every
        for call in calls(condition)
        for parameter, arg in zip(catalogue()[call.name].parameters, call.args, strict=True)
    )


def three_ways(tape: Tape, folder: Path, *, seed: int) -> list[Alert]:
    """The alerts, which are the same whichever way. They are told from one another by one hash."""
    specs = rules(tape)
    lists = {"mine": tape.batch.pairs[::3]}
    one = replayed(specs, tape.batch, lists=lists)
    same(contents(live(specs, tape.batch, folder, lists=lists, seed=seed)), contents(one))
    once = seen_once(tape.batch)
    fired = [each for each in one if each.pair not in once and is_condition(each.kind)]
    same(contents(previewed(specs, tape, lists=lists)), contents(fired))
    return one


def say(tape: Tape, alerts: Sequence[Alert]) -> None:
    """What was compared."""
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(each.kind for each in alerts).items()))
    fired = len({alert.rule for alert in alerts})
    ending = {rule_id(LOCAL_OWNER, spec.name) for spec in rules(tape) if spec.resolved}
    ends, others = ([each for each in alerts if (each.rule in ending) == ends] for ends in (True, False))
    sys.stdout.write(
        f"\n{tape.name}: {len(tape.batch)} observations of {len(tape.batch.pairs)} pairs, {fired} of "
        f"{len(rules(tape))} rules fired, {len(alerts)} alerts ({kinds}), three times {digest(contents(others))}; "
        f"of those that tell when it is over {digest(contents(ends))}\n"
    )


def test_every_file_that_was_recorded_is_on_a_tape() -> None:
    assert names_on_tapes() == names_in_manifest()


QUICK = {
    "panel of 2024": (4_600, 50, 45, 50),
    "bitcoin in October 2025": (4_450, 80, 1, 30),
    "bitcoin by the hour": (20_000, 80, 1, 30),
    "hourly": (0, 80, 1, 30),
    "COINBASE": (200, 200, 1, 5),
}
"""Tape → first instant, number of instants, each so manieth pair, alerts at least."""


@pytest.mark.parametrize("name", QUICK)
def test_live_replay_and_preview_agree_on_a_part_of_what_was_recorded(name: str, tmp_path: Path) -> None:
    first, instants, every, least = QUICK[name]
    some = part(tape(name), first, instants, every=every)
    alerts = three_ways(some, tmp_path, seed=1)
    say(some, alerts)
    assert len(alerts) >= least


@pytest.mark.chaos
@pytest.mark.parametrize("name", TAPES)
def test_live_replay_and_preview_agree_on_all_that_was_recorded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tape(name)
    alerts = three_ways(whole, tmp_path, seed=2)
    with capsys.disabled():
        say(whole, alerts)
    if name in CANDLES:
        assert len(alerts) > 1_000
        assert len({alert.rule for alert in alerts}) > 50
