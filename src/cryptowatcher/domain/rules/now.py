"""What one line of a list says of a rule: in which state it is, by what the store keeps of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from cryptowatcher.domain.hours import expired, parse_expires
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.check import is_pair
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.watchlists import pairs_of

StateNow = Literal[
    "broken", "paused", "expired", "done", "snoozed", "cooling", "holding", "rearming", "unknown", "watching"
]


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """For how many pairs a rule is in which state of its life-cycle, and since when the newest of them is: epoch
    ms, by the source."""

    unarmed: int = 0
    pending: int = 0
    inside: int = 0
    done: int = 0
    since: int = 0


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """All firings of a rule, whatever the pair. Epoch ms."""

    last_at: int
    times: int


class RuleNow(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a rule, the first of these that is so.

    state:   `broken`: it cannot be judged or told, `problem` says why · `paused` · `expired` · `done`: it was to
             fire once, and did · `snoozed`: nothing is sent · `cooling`: silent after it fired · `holding`: its
             condition is so, and must stay so for a while · `rearming`: it fired, or found its condition true at
             first sight, and waits until that is over · `unknown`: nothing that it needs was observed yet ·
             `watching`: none of these
    since:   of that state, by the source; `until`: when it ends. Epoch ms, 0 where that is not known
    holding, rearming: for how many pairs
    """

    state: StateNow
    since: int = 0
    until: int = 0
    holding: int = 0
    rearming: int = 0
    problem: str = ""


def rule_now(
    rule: Rule,
    standings: Standings,
    fired: Fired | None,
    *,
    snoozed_until: int,
    unseen: bool,
    problem: str,
    now: int,
) -> RuleNow:
    """`snoozed_until`: epoch ms, 0 for never; `unseen`: no pair of it was ever observed; `problem`: why it cannot
    be judged or told."""
    state, since, until = _state(
        rule, standings, fired, snoozed_until=snoozed_until, unseen=unseen, broken=bool(problem), now=now
    )
    return RuleNow(
        state=state,
        since=since,
        until=until,
        holding=standings.pending,
        rearming=standings.inside,
        problem=problem,
    )


def _state(
    rule: Rule,
    standings: Standings,
    fired: Fired | None,
    *,
    snoozed_until: int,
    unseen: bool,
    broken: bool,
    now: int,
) -> tuple[StateNow, int, int]:
    """With since and until."""
    spec, named = rule.spec, _named(rule)
    cools = fired.last_at + parse_duration(spec.cooldown) if fired and named == 1 else 0
    cases: tuple[tuple[bool, tuple[StateNow, int, int]], ...] = (
        (broken, ("broken", 0, 0)),
        (spec.paused, ("paused", 0, 0)),
        (expired(spec, now), ("expired", 0, parse_expires(spec.expires) or 0)),
        (0 < named <= standings.done, ("done", standings.since, 0)),
        (snoozed_until > now, ("snoozed", 0, snoozed_until)),
        (cools > now, ("cooling", 0, cools)),
        (standings.pending > 0, ("holding", standings.since, 0)),
        (0 < named <= standings.inside, ("rearming", standings.since, 0)),
        (unseen or 0 < named <= standings.unarmed, ("unknown", 0, 0)),
    )
    return next((then for so, then in cases if so), ("watching", 0, 0))


def _named(rule: Rule) -> int:
    """How many pairs it looks at; 0 where that is up to the market."""
    pairs = pairs_of(rule)
    return len(pairs) if all(map(is_pair, pairs)) else 0
