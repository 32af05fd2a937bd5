"""GET /api/v1/alerts/{id}: one alert with all that is known of it: what was compared, how well the pair was
observed before, what happened after, and after the last ones."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.words import Words
from cryptowatcher.domain.texts import is_about_price, observed_at
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.alerts import AlertId, OutcomeAnswer, existing, outcomes_by_id
from cryptowatcher.web.answers import AlertInList, Millis, listed_alert
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented

_EARLIER = 10
_STRETCHES = ((MS["h"], MS["m"]), (24 * MS["h"], 5 * MS["m"]))
"""Of which it is said how much was observed, and the candles that say it."""


class ComparedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison when the rule fired. `value` null: it was unknown; `previous`: the observation before, null
    where it is not known. `price`: in the pair's currency; `percent`: fractions."""

    text: str
    value: float | None
    previous: float | None
    constant: float
    unit: Literal["price", "percent", "number"]


class ObservedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the last `of_ms` before the alert was observed, by closed candles. Of what is forgotten there is
    none of these."""

    of_ms: int
    observed_ms: int


class EarlierAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the same rule for the same pair. Its condition may have been another, in an earlier version."""

    id: str
    version: int
    condition: str
    event_time_ms: Millis
    price: float
    value: float
    outcomes: list[OutcomeAnswer]


class RuleNow(msgspec.Struct, frozen=True, kw_only=True):
    """The rule as it stands now. Another `version` than the alert's: its condition was changed since."""

    version: int
    when: str
    paused: bool
    snoozed_until_ms: Millis | None
    remind: str
    escalate: tuple[str, ...]


class AlertInFull(AlertInList, frozen=True, kw_only=True):
    """`words`: what its rule waits for; empty where the condition cannot be read any more. `observed_at_ms`: when
    the observation was made that proves it. `observed`: how well the pair was seen before. `outcomes`: what the
    price did an hour, a day and a week after. `earlier`: the last times, newest first, 10 at most. `rule_now`:
    null where the rule was removed."""

    words: str
    observed_at_ms: Millis
    compared: list[ComparedAnswer]
    observed: list[ObservedAnswer]
    outcomes: list[OutcomeAnswer]
    earlier: list[EarlierAlert]
    rule_now: RuleNow | None


@get(
    "/alerts/{alert:str}",
    needs="viewer",
    responses=documented(400, 404),
    summary="One alert",
    description="With what was compared, what the price did after, and the alerts of the same rule for the same "
    "pair that came before it: what happened the last times.",
    tags=["alerts"],
)
async def one_alert(deps: Deps, alert: AlertId) -> AlertInFull:
    now = deps.clock.now()

    def read(tx: Tx) -> AlertInFull:
        this = existing(tx, deps.owner, alert)
        earlier = tx.alerts(deps.owner, limit=_EARLIER, before=this.id, rule=this.rule, pair=this.pair)
        after = outcomes_by_id(tx, [this, *earlier], now)
        rule = tx.rule(deps.owner, this.rule)
        snoozed = tx.snoozes(deps.owner).get(this.rule, 0)
        return AlertInFull(
            **msgspec.structs.asdict(listed_alert(this, tx.acknowledged([this.id]))),
            words=_words(this),
            observed_at_ms=observed_at(this),
            compared=_compared(this),
            observed=[
                _observed(tx, this, stretch, interval)
                for stretch, interval in _STRETCHES
                if interval > MS["m"] or observed_at(this) - stretch > now - deps.keep.minutes
            ],
            outcomes=after[this.id],
            earlier=[_earlier(each, after[each.id]) for each in earlier],
            # By id: a removed rule's id may be another's name.
            rule_now=_rule_now(rule, snoozed if snoozed > now else None)
            if rule and rule.id == this.rule
            else None,
        )

    return await deps.asked.run(read)


def _words(alert: Alert) -> str:
    try:
        return f"{Words(catalogue()).when(parse(alert.condition), (alert.pair,))}."
    except ConfigError:  # of a release that had other features
        return ""


def _compared(alert: Alert) -> list[ComparedAnswer]:
    if alert.parts:
        return [_one(part.text, part.value, None, part.constant) for part in alert.parts]
    return [_one(alert.condition, alert.value, alert.previous, alert.constant)]


def _one(text: str, value: float | None, previous: float | None, constant: float) -> ComparedAnswer:
    unit: Literal["price", "percent", "number"] = "percent" if "%" in text else "number"
    return ComparedAnswer(
        text=text,
        value=value,
        previous=previous,
        constant=constant,
        unit="price" if is_about_price(text) else unit,
    )


def _observed(tx: Tx, alert: Alert, stretch: int, interval: int) -> ObservedAnswer:
    end = observed_at(alert) // interval * interval
    _, observed = tx.watched(alert.pair, interval, start=end - stretch, end=end)
    return ObservedAnswer(of_ms=stretch, observed_ms=min(int(observed.sum()), stretch))


def _earlier(alert: Alert, after: list[OutcomeAnswer]) -> EarlierAlert:
    return EarlierAlert(
        id=alert.id,
        version=alert.version,
        condition=alert.condition,
        event_time_ms=alert.event_time,
        price=alert.price,
        value=alert.value,
        outcomes=after,
    )


def _rule_now(rule: Rule, snoozed_until: int | None) -> RuleNow:
    return RuleNow(
        version=rule.version,
        when=rule.spec.when,
        paused=rule.spec.paused,
        snoozed_until_ms=snoozed_until,
        remind=rule.spec.remind,
        escalate=rule.spec.escalate,
    )
