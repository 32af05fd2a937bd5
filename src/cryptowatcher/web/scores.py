"""GET /api/v1/scores and /api/v1/rules/{id}/score: what the signals of rules were worth."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Never

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.words import Words
from cryptowatcher.domain.scoring import Score
from cryptowatcher.domain.signals import RuleScore, rule_score
from cryptowatcher.domain.strategies import STRATEGIES, Strategy
from cryptowatcher.ports import Tx
from cryptowatcher.ports.scores import Scored
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import documented, not_found
from cryptowatcher.web.rules import RuleId

MOST_KEPT = 1_000


class ScoreAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the signals were worth one horizon later. Moves are fractions of the price; null: not known.

    firings:         signals that could be judged: the price a horizon later was observed
    apart:           how many of them lie at least a horizon apart; 20 are needed to say anything
    hit_rate:        share that was worth more than nothing after fees
    usual_hit_rate:  the same of all moments
    mean, median:    of the moves after the signals
    holding:         the mean move after all moments
    mean_after_fees: of what following the advice gave, a fee paid when going in and when going out
    chance:          share of places in time at which the same pattern of signals would have been worth as much
    clearness:       Student's t of the signals that lie apart against the usual move
    beats_random:    whether it beat random moments; null: too little to say
    label:           the same in words
    """

    horizon_ms: int
    fee: float
    firings: int
    apart: int
    hit_rate: float | None
    usual_hit_rate: float | None
    mean: float | None
    median: float | None
    holding: float | None
    mean_after_fees: float | None
    chance: float | None
    clearness: float | None
    beats_random: bool | None
    label: str


class RuleScoreAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The signals of a rule's version, scored an hour, a day and a week later."""

    rule: str
    version: int
    advice: Advice
    first_signal_ms: Millis | None
    last_signal_ms: Millis | None
    scores: list[ScoreAnswer]


class ScoredRule(RuleScoreAnswer, frozen=True, kw_only=True):
    """With what the rule is: its name, condition, pairs as it names them, and whether it is paused."""

    name: str
    when: str
    pairs: tuple[str, ...]
    paused: bool


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Of all rules that say buy or sell, in order of name."""

    items: list[ScoredRule]


class StrategyRule(msgspec.Struct, frozen=True, kw_only=True):
    """A condition, in words too, and the advice it gives. `name`: what a rule of it may be called."""

    name: str
    when: str
    advice: Advice
    cooldown: str
    words: str


class StrategyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A few rules to begin with, and why somebody believes in them."""

    name: str
    why: str
    rules: list[StrategyRule]


class Strategies(msgspec.Struct, frozen=True, kw_only=True):
    items: list[StrategyAnswer]


class ScoreBook:
    """Scores that were worked out, each until more is known of its rule: some take long. One for an
    application."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, Advice], tuple[Scored, RuleScore]] = {}
        self._turn = asyncio.Lock()

    async def __call__(self, deps: WebDeps, rule: Rule, known: Scored | None) -> RuleScore:
        """`known`: how much there is to score; None: nothing, and then nobody is asked."""
        if known is None:
            await asyncio.sleep(0)  # of many such rules in a row none would let others come in between
            return rule_score(rule.id, rule.version, rule.spec.advice, (), _no_closes)
        key = (rule.id, rule.version, rule.spec.advice)
        async with self._turn:  # one at a time: others may ask for the same
            before = self._kept.pop(key, None)
            if before is None or before[0] != known:
                before = (known, await deps.asked.run(partial(_score, rule)))
            self._kept[key] = before  # at the end: those nobody asks for come to the front
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return before[1]


Book = NamedDependency[SkipValidation[ScoreBook]]
"""How a route handler names it: `book: Book`."""


@get(
    "/scores",
    needs="viewer",
    responses=documented(400),
    summary="What the signals of all rules were worth",
    description="Of the rules that say buy or sell, each as it stands. See the score of one rule.",
    tags=["rules"],
)
async def scores(deps: Deps, book: Book) -> Scores:
    def read(tx: Tx) -> tuple[list[Rule], dict[str, Scored]]:
        return [rule for rule in tx.rules(deps.owner) if rule.spec.advice != "info"], tx.scored(deps.owner)

    rules, known = await deps.asked.run(read)
    return Scores(items=[_scored(rule, await book(deps, rule, known.get(rule.id))) for rule in rules])


@get(
    "/strategies",
    needs="viewer",
    responses=documented(400),
    summary="A starter set of rules that say buy or sell",
    description="Simple strategies, each with why somebody believes in it. What they were worth on recorded "
    "prices stands in docs/signals.md: mostly nothing.",
    tags=["rules"],
)
async def strategies() -> Strategies:
    return Strategies(items=[_strategy(each) for each in STRATEGIES])


@get(
    "/rules/{rule:str}/score",
    needs="viewer",
    responses=documented(400, 404),
    summary="What a rule's signals were worth",
    description="Alerts that say buy or sell are scored when an hour, a day and a week have passed. Only those of "
    "the rule as it stands count: a changed condition begins anew.",
    tags=["rules"],
)
async def score(deps: Deps, rule: RuleId) -> RuleScoreAnswer:
    def read(tx: Tx) -> RuleScore:
        found = tx.rule(deps.owner, rule)
        if found is None or found.id != rule:
            raise not_found(f"there is no rule {rule!r}")
        return _score(found, tx)

    return _answer(await deps.asked.run(read))


def _score(rule: Rule, tx: Tx) -> RuleScore:
    return rule_score(rule.id, rule.version, rule.spec.advice, tx.signals(rule.id, rule.version), tx.closes)


def _no_closes(pair: str, interval: int, start: int, end: int) -> Never:
    raise AssertionError("without signals no prices are looked at")


def _scored(rule: Rule, score: RuleScore) -> ScoredRule:
    return ScoredRule(
        **msgspec.structs.asdict(_answer(score)),
        name=rule.spec.name,
        when=rule.spec.when,
        pairs=rule.spec.pairs,
        paused=rule.spec.paused,
    )


def _strategy(strategy: Strategy) -> StrategyAnswer:
    return StrategyAnswer(
        name=strategy.name,
        why=strategy.why,
        rules=[
            StrategyRule(
                name=spec.name, when=spec.when, advice=spec.advice, cooldown=spec.cooldown, words=_words(spec.when)
            )
            for spec in strategy.rules([ALL])
        ],
    )


def _words(when: str) -> str:
    return f"{Words(catalogue()).when(parse(when), (ALL,))}."


def _answer(scored: RuleScore) -> RuleScoreAnswer:
    return RuleScoreAnswer(
        rule=scored.rule,
        version=scored.version,
        advice=scored.advice,
        first_signal_ms=scored.first,
        last_signal_ms=scored.last,
        scores=[score_answer(score) for score in scored.scores],
    )


def score_answer(score: Score) -> ScoreAnswer:
    fields = {name: getattr(score, name) for name in ScoreAnswer.__struct_fields__ if name != "horizon_ms"}
    return ScoreAnswer(horizon_ms=score.horizon, **fields)
