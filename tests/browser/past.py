"""A past that a fresh program has not: previews are answered in its place, by the code that it runs itself."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np

from cryptowatcher.domain.hindsight import Extremes, History
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.errors import ConfigError
from cryptowatcher.web.preview import PreviewRequest, answer_over
from cryptowatcher.web.problems import problem

DAYS = 90
END = 1_795_392_000_000


def pretend_a_past(page: Any) -> list[PreviewRequest]:
    """From now on the page's previews are over 90 days of 5 minutes. What is asked for is noted."""
    asked: list[PreviewRequest] = []

    def answer(route: Any) -> None:
        request = msgspec.json.decode(route.request.post_data_buffer, type=PreviewRequest)
        asked.append(request)
        spec = RuleSpec(name="preview", pairs=(request.pair,), **_of_a_rule(request))
        try:
            found = answer_over(
                _history(request.pair), spec, request.pair, a_week=request.a_week, bars=request.bars
            )
        except ConfigError as error:
            route.fulfill(status=422, body=msgspec.json.encode(problem(422, error.message)))
            return
        route.fulfill(status=200, body=msgspec.json.encode(found), content_type="application/json")

    page.route("**/api/v1/rules/preview", answer)
    return asked


def _of_a_rule(request: PreviewRequest) -> dict[str, Any]:
    names = ("when", "for_", "rearm", "cooldown", "repeat", "fire_if_already_true", "advice")
    return {name: getattr(request, name) for name in names}


@functools.cache
def _history(pair: str) -> History:
    """A price that wanders around 60000, the same each time."""
    step, n = 5 * MS["m"], DAYS * 288
    rng = np.random.default_rng(7)
    swing = 0.04 * np.sin(np.arange(n) / 1_500)
    price = 60_000 * np.exp(swing + np.cumsum(rng.standard_t(4, n) * 0.0012) * 0.5)
    high, low = price * (1 + rng.random(n) * 0.001), price * (1 - rng.random(n) * 0.001)
    batch = TickBatch(
        source="history",
        pairs=(pair,),
        pair=np.zeros(n, np.int64),
        price=price,
        volume=np.full(n, np.nan),
        market_cap=np.full(n, np.nan),
        observed_at=END - step * np.arange(n, 0, -1) + step,
        starts=np.arange(n),
        received_at=END,
        valid_for=3 * step,
    )
    return History(batch, candles=step, extremes=Extremes(high, low))
