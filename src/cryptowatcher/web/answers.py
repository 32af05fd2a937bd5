"""What the API answers. Times are epoch milliseconds (UTC) and their names end in `_ms`; prices and volumes are
in the pair's currency; a change is a fraction (-0.05 is -5 %)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cryptowatcher.domain.alerts import Advice, Alert, AlertKind, is_condition
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.channel_names import name_in
from cryptowatcher.domain.deliveries import Delivery, DeliveryKind, DeliveryState
from cryptowatcher.domain.hours import parse_expires
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleOrigin, RuleSpec
from cryptowatcher.domain.rules.watchlists import pairs_of
from cryptowatcher.domain.status import Price, SourceState, SourceStatus

Millis = Annotated[int, Meta(description="epoch milliseconds, UTC")]
PairName = Annotated[str, Meta(description="asset/currency", examples=["bitcoin/usd"])]
IntervalName = Literal["1m", "5m", "1h", "1d"]


class PriceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The newest accepted observation of a pair. After `valid_until_ms` the price is stale: unknown."""

    pair: PairName
    price: float
    volume_24h: float | None
    market_cap: float | None
    observed_at_ms: Millis
    received_at_ms: Millis
    valid_until_ms: Millis
    source: str


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Largest market capitalisation first."""

    at_ms: Millis
    items: list[PriceAnswer]


class CandleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """[start, start + interval). `observed_ms` of it were really watched; the last one may still be forming."""

    start_ms: Millis
    open: float
    high: float
    low: float
    close: float
    volume_24h: float | None
    ticks: int
    observed_ms: int
    complete: bool


class Candles(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; the newest `limit` of [from, to)."""

    pair: PairName
    interval: IntervalName
    from_ms: Millis
    to_ms: Millis
    items: list[CandleAnswer]


class LifecycleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """For how many pairs the rule is in which state; pairs not counted are armed and wait for the condition.

    unarmed: nothing known was observed yet · pending: true, `for` is running ·
    inside: fired or was already true, waits to re-arm · done: a `once` rule that has fired
    """

    unarmed: int = 0
    pending: int = 0
    inside: int = 0
    done: int = 0


class RuleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and where it stands. `origin`: who looks after it: its owner, the configuration file (`config`), or
    nobody: it came with the program (`default`) and was never changed. `suppressed` counts what was held back.
    `unwatched_pairs` are those it names that no source has shown yet: it waits for them, or they are misspelt.
    After `expires_at_ms` it does not fire; until `snoozed_until_ms` its alerts are recorded and not sent. Null:
    never, and not snoozed."""

    id: str
    version: int
    origin: RuleOrigin
    spec: RuleSpec
    lifecycle: LifecycleAnswer
    last_fired_at_ms: Millis | None
    last_fired_pair: PairName | None
    fired: int
    suppressed: int
    unwatched_pairs: list[PairName]
    expires_at_ms: Millis | None
    snoozed_until_ms: Millis | None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """In order of name."""

    items: list[RuleAnswer]


class PartAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a composite rule when it fired. `value` null: it was unknown."""

    text: str
    value: float | None
    constant: float


class AlertAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's condition turned true for a pair.

    kind:   `edge`: between two accepted observations; `gap`: in a stretch that was not observed;
            `already`: true at the first observation
    seq:    position in the journal that proves it
    value:  what was compared, `constant` what with, `previous` the value before
    gap_ms: how long the pair was not observed before
    late:   found while history was back-filled
    parts:  all comparisons of a composite rule; empty for a rule of one
    suppressed: crossings that were held back since the alert before, by cooldown or for firing too often
    """

    id: str
    rule: str
    rule_name: str
    version: int
    pair: PairName
    kind: AlertKind
    event_time_ms: Millis
    at_ms: Millis
    seq: int
    condition: str
    value: float
    constant: float
    previous: float | None
    price: float
    source: str
    received_at_ms: Millis
    gap_ms: int
    advice: Advice
    channels: tuple[str, ...]
    late: bool
    parts: list[PartAnswer]
    suppressed: int


class AlertInList(AlertAnswer, frozen=True, kw_only=True):
    """An alert, and when its owner said that they have seen it; null: not yet, and reminders go on if its rule has
    any."""

    acknowledged_at_ms: Millis | None


class DeliveryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is on its way to one channel; the row is the receipt. `kind`: an alert, a reminder of one that nobody
    has acknowledged, the notice that a rule ends (expiry), that pairs of your rules are not seen, or are again
    (sight, without a rule), or that what an alert told is over (resolved). `alert` of a notice is its id, which is
    not in the list of alerts. `created_at_ms` of a reminder is when it is due first. `due_at_ms`: not before this.
    One that is queued or retrying and due at `held_until_ms` is held until then; `held` says why, also afterwards.
    `snoozed`: the rule was silent, and it is not sent any more. `fallback`: the channel that stands in for this
    one; `fallback_of`: the one this stands in for; empty: none."""

    id: str
    kind: DeliveryKind
    alert: str
    rule: str
    channel: str
    state: DeliveryState
    created_at_ms: Millis
    due_at_ms: Millis
    attempts: int
    last_error: str
    receipt: str
    held_until_ms: Millis | None
    held: str
    fallback: str
    fallback_of: str
    finished_at_ms: Millis | None


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next` is the `before` of the page after this one, null at the end."""

    items: list[DeliveryAnswer]
    next: str | None


class BlindPairAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A pair the source cannot see now, and a stable word for why."""

    pair: PairName
    reason: str
    since_ms: Millis


class SourceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a source can see. `calls_per_month` null: no such limit. `held`: jumps waiting for a verdict.
    `history`: what of the past is still to be asked for, as a sentence; empty when nothing is."""

    source: str
    state: SourceState
    reason: str
    detail: str
    since_ms: Millis
    last_ok_at_ms: Millis | None
    next_call_at_ms: Millis | None
    pairs: int
    held: int
    calls_this_minute: int
    calls_per_minute: int
    calls_this_month: int
    calls_per_month: int | None
    blind_pairs: list[BlindPairAnswer]
    history: str


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """All sources, in order of name."""

    items: list[SourceAnswer]


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong at one place of the request: a field of the body (`pairs[0]`) or a parameter."""

    path: str
    message: str
    hint: str = ""


class ProblemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An error in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


def price_answer(price: Price) -> PriceAnswer:
    return PriceAnswer(
        pair=price.pair,
        price=price.price,
        volume_24h=price.volume_24h,
        market_cap=price.market_cap,
        observed_at_ms=price.observed_at,
        received_at_ms=price.received_at,
        valid_until_ms=price.valid_until,
        source=price.source,
    )


def candle_answer(candle: Candle) -> CandleAnswer:
    return CandleAnswer(
        start_ms=candle.start,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume_24h=candle.volume_24h,
        ticks=candle.ticks,
        observed_ms=candle.observed_ms,
        complete=candle.complete,
    )


def rule_answer(
    rule: Rule,
    lifecycle: Iterable[Lifecycle],
    firings: Sequence[Firing],
    unwatched: Container[str],
    snoozed_until: int | None,
) -> RuleAnswer:
    """`lifecycle` and `firings` are this rule's rows; `unwatched` has the pairs that no source has shown."""
    states = Counter(str(row.state) for row in lifecycle)
    last = max(firings, key=lambda firing: firing.last_fired_at, default=None)
    return RuleAnswer(
        id=rule.id,
        version=rule.version,
        origin=rule.origin,
        spec=rule.spec,
        lifecycle=LifecycleAnswer(**states),
        last_fired_at_ms=last.last_fired_at if last and last.fired else None,
        last_fired_pair=last.pair if last and last.fired else None,
        fired=sum(firing.fired for firing in firings),
        suppressed=sum(firing.suppressed for firing in firings),
        unwatched_pairs=[pair for pair in pairs_of(rule) if pair in unwatched],
        expires_at_ms=parse_expires(rule.spec.expires),
        snoozed_until_ms=snoozed_until,
    )


def alert_answer(alert: Alert) -> AlertAnswer:
    """Of an alert, not of a notice."""
    if not is_condition(alert.kind):
        raise ValueError(f"a notice is no alert: {alert.id}")
    return AlertAnswer(
        id=alert.id,
        rule=alert.rule,
        rule_name=alert.rule_name,
        version=alert.version,
        pair=alert.pair,
        kind=alert.kind,
        event_time_ms=alert.event_time,
        at_ms=alert.at,
        seq=alert.seq,
        condition=alert.condition,
        value=alert.value,
        constant=alert.constant,
        previous=alert.previous,
        price=alert.price,
        source=alert.source,
        received_at_ms=alert.received_at,
        gap_ms=alert.gap_ms,
        advice=alert.advice,
        channels=alert.channels,
        late=alert.late,
        parts=[PartAnswer(text=part.text, value=part.value, constant=part.constant) for part in alert.parts],
        suppressed=alert.suppressed,
    )


def listed_alert(alert: Alert, acknowledged: Mapping[str, int]) -> AlertInList:
    """`acknowledged`: alert (id) → when, of those that were."""
    return AlertInList(
        **msgspec.structs.asdict(alert_answer(alert)), acknowledged_at_ms=acknowledged.get(alert.id)
    )


def delivery_answer(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=delivery.id,
        kind=delivery.kind,
        alert=delivery.alert,
        rule=delivery.rule,
        channel=name_in(delivery.channel),
        state=delivery.state,
        created_at_ms=delivery.created_at,
        due_at_ms=delivery.due_at,
        attempts=delivery.attempts,
        last_error=delivery.last_error,
        receipt=delivery.receipt,
        held_until_ms=delivery.held_until or None,
        held=delivery.held,
        fallback=name_in(delivery.fallback),
        fallback_of=name_in(delivery.fallback_of),
        finished_at_ms=delivery.finished_at or None,
    )


def source_answer(status: SourceStatus) -> SourceAnswer:
    return SourceAnswer(
        source=status.source,
        state=status.state,
        reason=status.reason,
        detail=status.detail,
        since_ms=status.since,
        last_ok_at_ms=status.last_ok_at or None,
        next_call_at_ms=status.next_call_at or None,
        pairs=status.pairs,
        held=status.held,
        calls_this_minute=status.calls_this_minute,
        calls_per_minute=status.calls_per_minute,
        calls_this_month=status.calls_this_month,
        calls_per_month=status.calls_per_month,
        blind_pairs=[
            BlindPairAnswer(pair=blind.pair, reason=blind.reason, since_ms=blind.since)
            for blind in status.blind_pairs
        ],
        history=status.history,
    )
