"""/api/v1/rules: what the owner wants to be told."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import JSONBody, PathParameter

from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.language import check_spec
from cryptowatcher.domain.rules.model import Firing, Lifecycle, Rule, RuleSpec
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import RuleAnswer, Rules, rule_answer
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import Problem, documented, not_found

Spec = JSONBody[RuleSpec]
RuleId = Annotated[str, PathParameter(description="a rule's id")]


@get("/rules", responses=documented(400), summary="All rules", tags=["rules"])
async def rules(deps: Deps) -> Rules:
    def read(tx: Tx) -> tuple[list[Rule], list[Lifecycle], list[Firing], set[str]]:
        found = tx.rules(deps.owner)
        return found, tx.lifecycle(), tx.firings(), _unwatched(tx, found)

    found, lifecycle, firings, unwatched = await deps.asked.run(read)
    states: defaultdict[str, list[Lifecycle]] = defaultdict(list)
    fired: defaultdict[str, list[Firing]] = defaultdict(list)
    for row in lifecycle:
        states[row.rule].append(row)
    for firing in firings:
        fired[firing.rule].append(firing)
    return Rules(items=[rule_answer(rule, states[rule.id], fired[rule.id], unwatched) for rule in found])


@post(
    "/rules",
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
        origin = before.origin if before is not None else "owner"
        return _answer(tx, tx.save_rule(deps.owner, data, head=head, now=now, origin=origin))

    saved = await deps.store.run(write)
    return Response(saved, headers={"location": f"/api/v1/rules/{saved.id}"})


@get("/rules/{rule:str}", responses=documented(400, 404), summary="One rule, by id", tags=["rules"])
async def one_rule(deps: Deps, rule: RuleId) -> RuleAnswer:
    return await deps.asked.run(lambda tx: _answer(tx, _existing(tx, deps.owner, rule)))


@put(
    "/rules/{rule:str}",
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
        return _answer(tx, tx.save_rule(deps.owner, data, head=head, now=now, origin=before.origin))

    return await deps.store.run(write)


@delete("/rules/{rule:str}", responses=documented(400, 404), summary="Delete a rule", tags=["rules"])
async def remove_rule(deps: Deps, rule: RuleId) -> None:
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> None:
        tx.remove_rule(deps.owner, _existing(tx, deps.owner, rule).id, head=head, now=now)

    await deps.store.run(write)


@post(
    "/rules/{rule:str}/pause",
    status_code=200,
    responses=documented(400, 404),
    summary="Pause a rule",
    tags=["rules"],
)
async def pause_rule(deps: Deps, rule: RuleId) -> RuleAnswer:
    return await _set_paused(deps, rule, True)


@post(
    "/rules/{rule:str}/resume",
    status_code=200,
    responses=documented(400, 404),
    summary="Resume a rule",
    tags=["rules"],
)
async def resume_rule(deps: Deps, rule: RuleId) -> RuleAnswer:
    return await _set_paused(deps, rule, False)


def check(spec: RuleSpec, channels: Sequence[str]) -> None:
    """ConfigError with the field's path when the rule cannot be watched or told."""
    check_spec(spec)
    for number, name in enumerate(spec.channels):
        if name not in channels:
            close = difflib.get_close_matches(name, channels, n=1)
            known = f"channels are: {', '.join(channels)}" if channels else "no channels are configured"
            hint = f"did you mean {close[0]!r}?" if close else known
            raise ConfigError(f"there is no channel {name!r}", where=f"channels[{number}]", hint=hint)


async def _set_paused(deps: WebDeps, rule: str, paused: bool) -> RuleAnswer:
    head, now = await deps.journal.head(), deps.clock.now()

    def write(tx: Tx) -> RuleAnswer:
        before = _existing(tx, deps.owner, rule)
        spec = msgspec.structs.replace(before.spec, paused=paused)
        return _answer(tx, tx.save_rule(deps.owner, spec, head=head, now=now, origin=before.origin))

    return await deps.store.run(write)


def _named(tx: Tx, owner: str, name: str) -> Rule | None:
    """By name alone: another rule's id may look like this name."""
    return next((rule for rule in tx.rules(owner) if rule.spec.name == name), None)


def _existing(tx: Tx, owner: str, rule: str) -> Rule:
    """By id alone: names are not addresses."""
    found = tx.rule(owner, rule)
    if found is None or found.id != rule:
        raise not_found(f"there is no rule {rule!r}")
    return found


def _answer(tx: Tx, rule: Rule) -> RuleAnswer:
    return rule_answer(rule, tx.lifecycle(rule.id), tx.firings(rule.id), _unwatched(tx, [rule]))


def _unwatched(tx: Tx, among: Iterable[Rule]) -> set[str]:
    """The pairs these rules name whose price has never been seen."""
    named = {pair for rule in among for pair in rule.spec.pairs} - {ALL}
    return named - {price.pair for price in tx.prices(sorted(named))} if named else named
