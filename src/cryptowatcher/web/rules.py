"""/api/v1/rules: what the owner wants to be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from cryptowatcher.domain.hours import parse_until, renewed
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rules.check import check_channels, check_spec, is_pair
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleSpec, origin_after_edit
from cryptowatcher.domain.rules.watchlists import pairs_of
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import RuleAnswer, Rules, rule_answer
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import Problem, documented, not_found

Spec = JSONBody[RuleSpec]
RuleId = Annotated[str, PathParameter(description="a rule's id")]
OfPair = Annotated[str | None, QueryParameter(max_length=300, description="asset/currency")]


class Renewal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """How long the rule goes on from now: 30d."""

    for_: str


class Snooze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """One of them: how long from now (1h, 2d), or until when (2027-01-31T12:00Z)."""

    for_: str = ""
    until: str = ""


RenewalBody = JSONBody[Renewal]
SnoozeBody = JSONBody[Snooze]


@get(
    "/rules",
    needs="viewer",
    responses=documented(400),
    summary="All rules",
    description="With `pair` only those that look at it, or may: the ones on `all` and `top(n)` too.",
    tags=["rules"],
)
async def rules(deps: Deps, pair: OfPair = None) -> Rules:
    now = deps.clock.now()
    if pair is not None:
        return await deps.asked.run(
            lambda tx: Rules(items=[_answer(tx, rule, now) for rule in _on(tx, deps.owner, pair)])
        )

    def read(tx: Tx) -> tuple[list[Rule], list[Lifecycle], list[Firing], set[str], dict[str, int]]:
        found = tx.rules(deps.owner)
        return found, tx.lifecycle(), tx.firings(), _unwatched(tx, found), _snoozes(tx, deps.owner, now)

    found, lifecycle, firings, unwatched, snoozes = await deps.asked.run(read)
    states: defaultdict[str, list[Lifecycle]] = defaultdict(list)
    fired: defaultdict[str, list[Firing]] = defaultdict(list)
    for row in lifecycle:
        states[row.rule].append(row)
    for firing in firings:
        fired[firing.rule].append(firing)
    return Rules(
        items=[
            rule_answer(rule, states[rule.id], fired[rule.id], unwatched, snoozes.get(rule.id)) for rule in found
        ]
    )


@post(
    "/rules",
    needs="user",
    responses=documented(400, 409, 422),
    summary="Add a rule",
    description="The name identifies a rule: the same again changes nothing, another of that name is a 409. "
    "Durations are text: 30s, 5m, 24h, 7d. A pair that no source has shown yet is accepted and named in the "
    "answer's `unwatched_pairs`.",
    tags=["rules"],
)
async def add_rule(deps: Deps, data: Spec) -> Response[RuleAnswer]:
    check(data, deps.channels)
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> RuleAnswer:
        before = _named(tx, deps.owner, data.name)
        if before is not None and before.spec != data:
            raise Problem(409, f"there is a rule {data.name!r} already; PUT /api/v1/rules/{before.id} replaces it")
        origin = origin_after_edit(before, data)
        return _answer(tx, tx.save_rule(deps.owner, data, head=head, now=now, origin=origin), now)

    saved = await deps.store.run(write)
    return Response(saved, headers={"location": f"/api/v1/rules/{saved.id}"})


@get(
    "/rules/{rule:str}", needs="viewer", responses=documented(400, 404), summary="One rule, by id", tags=["rules"]
)
async def one_rule(deps: Deps, rule: RuleId) -> RuleAnswer:
    now = deps.clock.now()
    return await deps.asked.run(lambda tx: _answer(tx, _existing(tx, deps.owner, rule), now))


@put(
    "/rules/{rule:str}",
    needs="user",
    responses=documented(400, 404, 422),
    summary="Replace a rule",
    description="The name stays: it identifies the rule. A pair that no source has shown yet is accepted and "
    "named in the answer's `unwatched_pairs`.",
    tags=["rules"],
)
async def replace_rule(deps: Deps, rule: RuleId, data: Spec) -> RuleAnswer:
    check(data, deps.channels)
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> RuleAnswer:
        before = _existing(tx, deps.owner, rule)
        if before.spec.name != data.name:
            hint = "add a rule of the new name and delete this one"
            raise ConfigError(f"the name identifies the rule: {before.spec.name!r}", where="name", hint=hint)
        return _answer(tx, _saved(tx, before, data, head=head, now=now), now)

    return await deps.store.run(write)


@delete("/rules/{rule:str}", needs="user", responses=documented(400, 404), summary="Delete a rule", tags=["rules"])
async def remove_rule(deps: Deps, rule: RuleId) -> None:
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> None:
        tx.remove_rule(deps.owner, _existing(tx, deps.owner, rule).id, head=head, now=now)

    await deps.store.run(write)


@post(
    "/rules/{rule:str}/pause",
    needs="user",
    status_code=200,
    responses=documented(400, 404),
    summary="Pause a rule",
    tags=["rules"],
)
async def pause_rule(deps: Deps, rule: RuleId) -> RuleAnswer:
    return await _change(deps, rule, lambda spec, now: msgspec.structs.replace(spec, paused=True))


@post(
    "/rules/{rule:str}/resume",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 422),
    summary="Resume a rule",
    description="Its channels are looked at as when it is saved: 422 when you may not use one of them.",
    tags=["rules"],
)
async def resume_rule(deps: Deps, rule: RuleId) -> RuleAnswer:
    def change(spec: RuleSpec, now: int) -> RuleSpec:
        check_channels(spec, deps.channels)
        return msgspec.structs.replace(spec, paused=False)

    return await _change(deps, rule, change)


@post(
    "/rules/{rule:str}/renew",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 422),
    summary="Renew a rule that expires",
    description="It then ends that long from now, or as before where that is later. It goes on where it stood.",
    tags=["rules"],
)
async def renew_rule(deps: Deps, rule: RuleId, data: RenewalBody) -> RuleAnswer:
    lasting = parse_duration(data.for_, where="for")

    def change(spec: RuleSpec, now: int) -> RuleSpec:
        check_channels(spec, deps.channels)
        return renewed(spec, now=now, lasting=lasting)

    return await _change(deps, rule, change)


@post(
    "/rules/{rule:str}/snooze",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 422),
    summary="Silence a rule for a while",
    description="It is judged as before and its alerts are recorded, but nothing is sent. Again replaces the end.",
    tags=["rules"],
)
async def snooze_rule(deps: Deps, rule: RuleId, data: SnoozeBody) -> RuleAnswer:
    now = deps.clock.now()
    if bool(data.for_) == bool(data.until):
        raise ConfigError("one of `for` and `until` is needed", where="for", hint='{"for": "1h"}, for example')
    until = parse_until(data.until or data.for_, now=now, where="until" if data.until else "for")

    def write(tx: Tx) -> RuleAnswer:
        found = _existing(tx, deps.owner, rule)
        tx.snooze(deps.owner, found.id, until)
        return _answer(tx, found, now)

    return await deps.store.run(write)


@delete(
    "/rules/{rule:str}/snooze",
    needs="user",
    responses=documented(400, 404),
    summary="Wake a rule up",
    tags=["rules"],
)
async def wake_rule(deps: Deps, rule: RuleId) -> None:
    await deps.store.run(lambda tx: tx.wake(deps.owner, _existing(tx, deps.owner, rule).id))


def check(spec: RuleSpec, channels: Sequence[str]) -> None:
    """ConfigError with the field's path when the rule cannot be watched or told."""
    check_spec(spec)
    check_channels(spec, channels)


async def _change(deps: WebDeps, rule: str, change: Callable[[RuleSpec, int], RuleSpec]) -> RuleAnswer:
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> RuleAnswer:
        before = _existing(tx, deps.owner, rule)
        spec = change(before.spec, now)
        return _answer(tx, _saved(tx, before, spec, head=head, now=now), now)

    return await deps.store.run(write)


def _saved(tx: Tx, before: Rule, spec: RuleSpec, *, head: int, now: int) -> Rule:
    return tx.save_rule(before.owner, spec, head=head, now=now, origin=origin_after_edit(before, spec))


def _named(tx: Tx, owner: str, name: str) -> Rule | None:
    """By name alone: another rule's id may look like this name."""
    return next((rule for rule in tx.rules(owner) if rule.spec.name == name), None)


def _existing(tx: Tx, owner: str, rule: str) -> Rule:
    """By id alone: names are not addresses."""
    found = tx.rule(owner, rule)
    if found is None or found.id != rule:
        raise not_found(f"there is no rule {rule!r}")
    return found


def _on(tx: Tx, owner: str, pair: str) -> list[Rule]:
    """The rules that look at a pair, or may, as the market goes."""
    return [
        rule for rule in tx.rules(owner) if any(named == pair or not is_pair(named) for named in pairs_of(rule))
    ]


def _answer(tx: Tx, rule: Rule, now: int) -> RuleAnswer:
    snoozed = _snoozes(tx, rule.owner, now).get(rule.id)
    return rule_answer(rule, tx.lifecycle(rule.id), tx.firings(rule.id), _unwatched(tx, [rule]), snoozed)


def _snoozes(tx: Tx, owner: str, now: int) -> dict[str, int]:
    """Those that are not over."""
    return {rule: until for rule, until in tx.snoozes(owner).items() if until > now}


def _unwatched(tx: Tx, among: Iterable[Rule]) -> set[str]:
    """The pairs these rules name whose price has never been seen."""
    named = {pair for rule in among for pair in pairs_of(rule) if is_pair(pair)}
    return named - {price.pair for price in tx.prices(sorted(named))} if named else named
