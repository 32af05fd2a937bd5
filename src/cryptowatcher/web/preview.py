"""POST /api/v1/rules/preview and GET /api/v1/rules/{id}/preview: where a rule would have fired."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter, SkipValidation
from msgspec import Meta

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.features import Unit, catalogue
from cryptowatcher.domain.hindsight import WEEK, History, threshold_of
from cryptowatcher.domain.intervals import MS, parse_duration, show_duration
from cryptowatcher.domain.outline import Outline, outline
from cryptowatcher.domain.pairs import check_pair
from cryptowatcher.domain.rules.check import check_spec, parse_percent
from cryptowatcher.domain.rules.model import Repeat, RuleSpec
from cryptowatcher.domain.rules.tree import Call, Comparison, Number, show
from cryptowatcher.domain.rules.why import asked_pair
from cryptowatcher.domain.scoring import FEE
from cryptowatcher.errors import ConfigError
from cryptowatcher.previewing import Trial, rule_on, stored_history, try_rule
from cryptowatcher.web.answers import Millis, PairName
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import Problem, bad_parameter, documented, not_found
from cryptowatcher.web.rules import RuleId
from cryptowatcher.web.scores import ScoreAnswer, score_answer

T = TypeVar("T")

AT_ONCE = 2
"""Previews that are computed at the same time. More of them would not be done sooner."""
PATIENCE = 10.0
"""Seconds that a request waits for its turn."""
LONGEST = 400 * MS["d"]
"""ms that one may look back."""
MOST_FIRINGS = 1_000
MOST_BARS = 1_000
MOST_A_WEEK = WEEK // MS["m"]

Since = Annotated[str, Meta(description="how far back: 7d, 90d; at most 400d")]
Fee = Annotated[str, Meta(description="of what is bought or sold, each time: 0.1%")]
Bars = Annotated[int, Meta(ge=0, le=MOST_BARS, description="candles of a chart to answer with, at most; 0: none")]
AWeek = Annotated[float, Meta(gt=0, le=MOST_A_WEEK, description="alerts a week to suggest a number for")]


class PreviewRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}
):
    """A rule that need not be saved, and the past it is tried on. The rule's fields are those of a rule."""

    when: str
    pair: PairName
    for_: str = "0s"
    rearm: str = "0.1%"
    cooldown: str = "0s"
    repeat: Repeat = "every"
    fire_if_already_true: bool = False
    advice: Advice = "info"
    since: Since = "90d"
    fee: Fee = "0.1%"
    a_week: AWeek | None = None
    bars: Bars = 0


class FiredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One firing. `after` has the move of the price after each of `horizons_ms`, null: not known (yet)."""

    at_ms: Millis
    price: float
    value: float
    after: tuple[float | None, ...]


class SuggestionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The condition with a number that would have fired `a_week` times a week; null: `reason` says why not."""

    when: str | None
    constant: float | None
    a_week: float | None
    reason: str


class ThresholdAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The number that the whole condition compares something with: `name` reaches `constant`, from below where it
    `rises`. `unit` as in the language's functions; of arithmetic it is null."""

    name: str
    constant: float
    rises: bool
    unit: Unit | None


class ChartAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The candles it was run over, several in one, and what was compared in each: where it came nearest to firing.
    Entry i of every list is of the candle that begins at start_ms[i]. Null: not known. `value` is empty where
    there is not one number that is compared, or it is the price."""

    interval_ms: int
    start_ms: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    value: list[float | None]


class PreviewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule would have done on this pair.

    when, words:        the condition as the program writes it, the rule in plain words
    unknown:            why nothing can be said; empty where something can. Then there are no firings and no scores
    fired, a_week:      how many times, and for each week of observed time
    longest_silence_ms: between two firings, or to an end of the data
    firings:            the newest thousand, oldest first
    from_ms, to_ms:     first and last observation; null where there is none
    warm_up_ms:         at the beginning, in which it could not fire
    candles_ms:         how long the candles are that it was run over
    observed:           share of the time that was observed
    warnings:           what is doubtful, in words
    threshold:          null where the condition is more than one comparison with a number
    """

    pair: PairName
    when: str
    words: str
    unknown: str
    fired: int
    a_week: float | None
    longest_silence_ms: int | None
    firings: list[FiredAnswer]
    horizons_ms: tuple[int, ...]
    scores: list[ScoreAnswer]
    from_ms: Millis | None
    to_ms: Millis | None
    warm_up_ms: int
    candles_ms: int
    observed: float
    observations: int
    warnings: tuple[str, ...]
    suggestion: SuggestionAnswer | None
    threshold: ThresholdAnswer | None
    chart: ChartAnswer | None


class Turns:
    """A few previews at once, so that those who ask for them cannot take all there is from the others. One for an
    application."""

    def __init__(self, *, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._patience = patience

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Problem (503) when its turn does not come. Work is done even if its caller goes away, because a thread
        cannot be stopped, and holds its place until then."""
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise Problem(503, "many previews are asked for; try again", retry_after=5) from None
        task = asyncio.ensure_future(work())
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._free.release()
        if not task.cancelled():
            task.exception()  # else it is complained of when nobody waits any more


GivenTurns = NamedDependency[SkipValidation[Turns]]
"""How a route handler names it: `turns: GivenTurns`; and `looks: GivenTurns` for looks at much that is kept, which
are many and short: they do not wait for previews."""


@post(
    "/rules/preview",
    needs="user",
    status_code=200,
    responses=documented(400, 422, 503),
    summary="Where a rule would have fired",
    description="A rule that need not be saved is run over the stored candles of one pair: when it would have "
    "fired, how often, what the price did afterwards, and with `a_week` which number would fire about so often. "
    "Nothing is saved.",
    tags=["rules"],
)
async def preview_rule(deps: Deps, turns: GivenTurns, data: JSONBody[PreviewRequest]) -> PreviewAnswer:
    spec = RuleSpec(
        name="preview",
        pairs=(check_pair(data.pair, where="pair"),),
        when=data.when,
        for_=data.for_,
        rearm=data.rearm,
        cooldown=data.cooldown,
        repeat=data.repeat,
        fire_if_already_true=data.fire_if_already_true,
        advice=data.advice,
    )
    return await _tried(
        deps, turns, spec, data.pair, since=data.since, fee=data.fee, a_week=data.a_week, bars=data.bars
    )


@get(
    "/rules/{rule:str}/preview",
    needs="viewer",
    responses=documented(400, 404, 422, 503),
    summary="Where a saved rule would have fired",
    description="As for a rule that is not saved, by the stored candles: not what it did, but what it would have "
    "done had it been there all the time.",
    tags=["rules"],
)
async def preview_saved(
    deps: Deps,
    turns: GivenTurns,
    rule: RuleId,
    pair: Annotated[
        str | None,
        QueryParameter(max_length=300, description="asset/currency; may be left out for a rule on one pair alone"),
    ] = None,
    since: Annotated[
        str, QueryParameter(max_length=40, description="how far back: 7d, 90d; at most 400d")
    ] = "90d",
    fee: Annotated[str, QueryParameter(max_length=40, description="of what is bought or sold: 0.1%")] = "0.1%",
    a_week: Annotated[
        float | None, QueryParameter(gt=0, le=MOST_A_WEEK, description="alerts a week to suggest a number for")
    ] = None,
    bars: Annotated[
        int, QueryParameter(ge=0, le=MOST_BARS, description="candles of a chart to answer with, at most; 0: none")
    ] = 0,
) -> PreviewAnswer:
    found = await deps.asked.run(lambda tx: tx.rule(deps.owner, rule))
    if found is None or found.id != rule:
        raise not_found(f"there is no rule {rule!r}")
    try:
        asked = asked_pair(found.spec, pair)
        return await _tried(deps, turns, found.spec, asked, since=since, fee=fee, a_week=a_week, bars=bars)
    except ConfigError as error:
        raise bad_parameter(error.where or "pair", error.message, hint=error.hint) from None


async def _tried(
    deps: WebDeps,
    turns: Turns,
    spec: RuleSpec,
    pair: str,
    *,
    since: str,
    fee: str,
    a_week: float | None,
    bars: int,
) -> PreviewAnswer:
    condition, paid = check_spec(spec), parse_percent(fee, where="fee")
    back = parse_duration(since, where="since")
    if not 0 < back <= LONGEST:
        raise ConfigError(f"must be above 0s, and at most {show_duration(LONGEST)}", where="since")

    async def work() -> PreviewAnswer:
        history = await stored_history(deps.asked, condition, pair, since=back, now=deps.clock.now())
        return await asyncio.to_thread(answer_over, history, spec, pair, fee=paid, a_week=a_week, bars=bars)

    return await turns(work)


def answer_over(
    history: History, spec: RuleSpec, pair: str, *, fee: float = FEE, a_week: float | None = None, bars: int = 0
) -> PreviewAnswer:
    """What is answered of a rule over this history of the pair. ConfigError for a rule that is wrong."""
    condition = check_spec(spec)
    trial = try_rule(spec, history, pair, fee=fee, a_week=a_week)
    drawn = outline(rule_on(spec, pair), history, pair, most=bars) if bars else None
    return _answer(trial, drawn, threshold_of(condition))


def _answer(trial: Trial, drawn: Outline | None, threshold: tuple[Comparison, Number] | None) -> PreviewAnswer:
    seen, suggested = trial.preview, trial.suggestion
    return PreviewAnswer(
        pair=seen.pair,
        when=seen.when,
        words=trial.words,
        unknown=seen.unknown,
        fired=len(seen.firings),
        a_week=seen.a_week,
        longest_silence_ms=seen.longest_silence,
        firings=[
            FiredAnswer(at_ms=each.time, price=each.price, value=each.value, after=each.after)
            for each in seen.firings[-MOST_FIRINGS:]
        ],
        horizons_ms=seen.horizons,
        scores=[score_answer(score) for score in seen.scores],
        from_ms=seen.start if seen.observations else None,
        to_ms=seen.end if seen.observations else None,
        warm_up_ms=seen.warm_up,
        candles_ms=trial.candles,
        observed=seen.observed,
        observations=seen.observations,
        warnings=seen.warnings,
        suggestion=SuggestionAnswer(**msgspec.structs.asdict(suggested)) if suggested else None,
        threshold=_threshold_answer(*threshold) if threshold else None,
        chart=_chart_answer(drawn) if drawn else None,
    )


def _threshold_answer(comparison: Comparison, number: Number) -> ThresholdAnswer:
    left = comparison.left
    unit = catalogue()[left.name].unit if isinstance(left, Call) else None
    return ThresholdAnswer(name=show(left), constant=number.value, rises=comparison.rises, unit=unit)


def _chart_answer(drawn: Outline) -> ChartAnswer:
    values = [] if drawn.value is None else drawn.value.tolist()
    return ChartAnswer(
        interval_ms=drawn.width,
        start_ms=drawn.start.tolist(),
        open=drawn.open.tolist(),
        high=drawn.high.tolist(),
        low=drawn.low.tolist(),
        close=drawn.close.tolist(),
        value=[value if math.isfinite(value) else None for value in values],
    )
