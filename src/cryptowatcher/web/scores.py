"""GET /api/v1/rules/{id}/score: what a rule's signals were worth."""

from __future__ import annotations

import msgspec
from litestar import get

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.scoring import Score
from cryptowatcher.domain.signals import RuleScore, rule_score
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented, not_found
from cryptowatcher.web.rules import RuleId


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
        signals = tx.signals(found.id, found.version)
        return rule_score(found.id, found.version, found.spec.advice, signals, tx.closes)

    return _answer(await deps.asked.run(read))


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
