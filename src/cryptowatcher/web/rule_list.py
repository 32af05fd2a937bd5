"""/api/v1/rules/overview and /many: a light list of all rules, and one thing done to several of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Literal, NamedTuple

import msgspec
from litestar import Response, get, post
from litestar.enums import MediaType
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from cryptowatcher.domain.alerts import Advice
from cryptowatcher.domain.hours import parse_expires, parse_until, renewed
from cryptowatcher.domain.intervals import MS, parse_duration
from cryptowatcher.domain.rules.check import check_channels, is_pair
from cryptowatcher.domain.rules.compiled import read
from cryptowatcher.domain.rules.model import Rule, RuleOrigin, RuleSpec, origin_after_edit
from cryptowatcher.domain.rules.now import Fired, Standings, StateNow, rule_now
from cryptowatcher.domain.rules.watchlists import pairs_of
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.exchange import MOST_BYTES
from cryptowatcher.web.preview import GivenTurns
from cryptowatcher.web.problems import documented

LATELY = 7 * MS["d"]
AT_ONCE = 100
"""Rules changed in one transaction: others come in between."""

What = Literal["pause", "resume", "snooze", "wake", "renew", "remove"]


class RuleInList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"for_": "for"}):
    """A rule as lists show it. What is 0 or empty is left out.

    origin:  who looks after it: its owner, the configuration file (`config`), or nobody: it came with the program
             (`default`) and was never changed
    state:   the first that is so: broken (`problem` says why), paused, expired, done (it was to fire once),
             snoozed, cooling (silent after it fired), holding (its condition is so, and must stay so for a while),
             rearming (waits until its condition is over), unknown (nothing that it needs was observed yet), or
             watching
    since_ms, until_ms: of that state
    pairs_holding, pairs_rearming: for how many pairs it is so
    alerts_week: how many alerts there were in the last 7 days
    """

    id: str
    name: str
    pairs: tuple[str, ...]
    when: str
    state: StateNow
    for_: str = "0s"
    advice: Advice = "info"
    channels: tuple[str, ...] = ()
    origin: RuleOrigin = "owner"
    problem: str = ""
    since_ms: Millis = 0
    until_ms: Millis = 0
    expires_at_ms: Millis = 0
    snoozed_until_ms: Millis = 0
    pairs_holding: int = 0
    pairs_rearming: int = 0
    last_fired_at_ms: Millis = 0
    fired: int = 0
    alerts_week: int = 0


class RulesInList(msgspec.Struct, frozen=True, kw_only=True):
    """In order of name. `at_ms`: when that was so."""

    at_ms: Millis
    items: list[RuleInList]


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """The same, as it is sent."""

    at_ms: Millis
    items: list[msgspec.Raw]


class Several(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """What is to be done to the rules of these ids. `snooze` needs one of `for` (1h, 2d) and `until`
    (2027-01-31T12:00Z), `renew` needs `for`."""

    do: What
    ids: tuple[str, ...]
    for_: str = ""
    until: str = ""


class NotDone(msgspec.Struct, frozen=True, kw_only=True):
    """A rule to which it was not done, and why."""

    id: str
    name: str
    problem: str


class SeveralDone(msgspec.Struct, frozen=True, kw_only=True):
    """`removed`: what was removed, so that it can be taken in again."""

    done: list[str]
    not_done: list[NotDone]
    removed: list[RuleSpec]


SeveralBody = JSONBody[Several]
Change = Callable[[RuleSpec], RuleSpec]
_encode = msgspec.json.Encoder().encode


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is read for a list, of one owner."""

    rules: list[Rule]
    standings: Mapping[str, Standings]
    fired: Mapping[str, Fired]
    snoozes: Mapping[str, int]
    lately: Mapping[str, int]
    seen: frozenset[str]
    channels: Sequence[str]


_SHORT = {
    200: ResponseSpec(RulesInList, generate_examples=False, description="Request fulfilled, document follows")
}


@get(
    "/rules/overview",
    needs="viewer",
    responses={**documented(400, 503), **_SHORT},
    summary="All rules, in short",
    description="In which state each is, when it last fired and how often lately: what the page lists.",
    tags=["rules"],
)
async def rules_in_short(deps: Deps, looks: GivenTurns) -> Response[bytes]:
    now = deps.clock.now()

    async def work() -> bytes:
        known = await deps.asked.run(lambda tx: _known(tx, deps, now))
        return await asyncio.to_thread(_written, known, now)

    return Response(await looks(work), media_type=MediaType.JSON)


def _written(known: Known, now: int) -> bytes:
    """Not on the loop: of conditions that were never read before, thousands take a second. And rule by rule:
    whoever writes all of them in one go lets nobody else run meanwhile."""
    items = [msgspec.Raw(_encode(_in_list(rule, known, now))) for rule in known.rules]
    return _encode(_Written(at_ms=now, items=items))


@post(
    "/rules/many",
    needs="user",
    status_code=200,
    responses=documented(400, 413, 422),
    request_max_body_size=MOST_BYTES,
    summary="Do one thing to several rules",
    description="Those to which it cannot be done are named with the reason; it is done to the others.",
    tags=["rules"],
)
async def change_several(deps: Deps, data: SeveralBody) -> SeveralDone:
    now, head = deps.clock.now(), await deps.journal.head()
    act = _act(deps, data, head=head, now=now)
    ids = list(dict.fromkeys(data.ids))
    parts = [
        await deps.store.run(partial(act, ids=ids[start : start + AT_ONCE]))
        for start in range(0, len(ids), AT_ONCE)
    ]
    return SeveralDone(
        done=[each for part in parts for each in part.done],
        not_done=[each for part in parts for each in part.not_done],
        removed=[each for part in parts for each in part.removed],
    )


def _act(deps: WebDeps, data: Several, *, head: int, now: int) -> Callable[..., SeveralDone]:
    """What is done to some rules in one transaction."""
    owner = deps.owner
    match data.do:
        case "remove":
            return partial(_removed, owner=owner, head=head, now=now)
        case "wake":
            return partial(_snoozed, owner=owner, until=None)
        case "snooze":
            if bool(data.for_) == bool(data.until):
                raise ConfigError(
                    "one of `for` and `until` is needed", where="for", hint='"for": "1h", for example'
                )
            until = parse_until(data.until or data.for_, now=now, where="until" if data.until else "for")
            return partial(_snoozed, owner=owner, until=until)
        case _:
            return partial(_saved, owner=owner, change=_change(deps, data, now), head=head, now=now)


def _change(deps: WebDeps, data: Several, now: int) -> Change:
    """ConfigError from what it gives where it cannot be done to a rule."""
    match data.do:
        case "pause":
            return lambda spec: msgspec.structs.replace(spec, paused=True)
        case "resume":
            return lambda spec: msgspec.structs.replace(_told(spec, deps.channels), paused=False)
        case _:
            lasting = parse_duration(data.for_, where="for")
            return lambda spec: renewed(_told(spec, deps.channels), now=now, lasting=lasting)


def _saved(tx: Tx, *, owner: str, ids: Sequence[str], change: Change, head: int, now: int) -> SeveralDone:
    found = _found(tx, owner, ids)
    wanted: list[tuple[RuleSpec, RuleOrigin]] = []
    done, not_done = [], found.not_done
    for rule in found.rules:
        try:
            spec = change(rule.spec)
        except ConfigError as error:
            not_done.append(NotDone(id=rule.id, name=rule.spec.name, problem=error.message))
        else:
            wanted.append((spec, origin_after_edit(rule, spec)))
            done.append(rule.id)
    tx.save_rules(owner, wanted, head=head, now=now)
    return SeveralDone(done=done, not_done=not_done, removed=[])


def _snoozed(tx: Tx, *, owner: str, ids: Sequence[str], until: int | None) -> SeveralDone:
    """None: awake."""
    found = _found(tx, owner, ids)
    for rule in found.rules:
        if until is None:
            tx.wake(owner, rule.id)
        else:
            tx.snooze(owner, rule.id, until)
    return SeveralDone(done=[rule.id for rule in found.rules], not_done=found.not_done, removed=[])


def _removed(tx: Tx, *, owner: str, ids: Sequence[str], head: int, now: int) -> SeveralDone:
    found = _found(tx, owner, ids)
    gone = tx.remove_rules(owner, ids, head=head, now=now)
    return SeveralDone(
        done=[rule.id for rule in gone], not_done=found.not_done, removed=[rule.spec for rule in gone]
    )


class _Found(NamedTuple):
    rules: list[Rule]
    not_done: list[NotDone]


def _found(tx: Tx, owner: str, ids: Sequence[str]) -> _Found:
    """The owner's rules among these ids, and those that are none."""
    rules = tx.rules(owner, ids)
    missing = set(ids) - {rule.id for rule in rules}
    gone = [NotDone(id=each, name="", problem="there is no such rule any more") for each in sorted(missing)]
    return _Found(rules, gone)


def _told(spec: RuleSpec, channels: Sequence[str]) -> RuleSpec:
    check_channels(spec, channels)
    return spec


def _known(tx: Tx, deps: WebDeps, now: int) -> Known:
    owner = deps.owner
    rules = tx.rules(owner)
    named = {pair for rule in rules for pair in pairs_of(rule) if is_pair(pair)}
    return Known(
        rules=rules,
        standings=tx.standings(owner),
        fired=tx.fired(owner),
        snoozes=tx.snoozes(owner),
        lately=tx.alerts_of_rules(owner, now - LATELY),
        seen=frozenset(price.pair for price in tx.prices(sorted(named))) if named else frozenset(),
        channels=(*tx.reach(deps.setting, owner=owner).own(owner), *deps.channels),
    )


def _in_list(rule: Rule, known: Known, now: int) -> RuleInList:
    spec, fired = rule.spec, known.fired.get(rule.id)
    snoozed = known.snoozes.get(rule.id, 0)
    pairs = pairs_of(rule)
    state = rule_now(
        rule,
        known.standings.get(rule.id, Standings()),
        fired,
        snoozed_until=snoozed,
        unseen=all(map(is_pair, pairs)) and known.seen.isdisjoint(pairs),
        problem=_problem(spec, known.channels),
        now=now,
    )
    return RuleInList(
        id=rule.id,
        name=spec.name,
        pairs=spec.pairs,
        when=spec.when,
        for_=spec.for_,
        advice=spec.advice,
        channels=spec.channels,
        origin=rule.origin,
        state=state.state,
        problem=state.problem,
        since_ms=state.since,
        until_ms=state.until,
        expires_at_ms=parse_expires(spec.expires) or 0,
        snoozed_until_ms=snoozed if snoozed > now else 0,
        pairs_holding=state.holding,
        pairs_rearming=state.rearming,
        last_fired_at_ms=fired.last_at if fired else 0,
        fired=fired.times if fired else 0,
        alerts_week=known.lately.get(rule.id, 0),
    )


def _problem(spec: RuleSpec, channels: Sequence[str]) -> str:
    """Why it cannot be judged or told; "" when it can. A rule is checked when it is saved, but channels go, and
    another release may have stored it."""
    try:
        check_channels(spec, channels)
    except ConfigError as error:
        return error.message
    return _unreadable(spec.when)


@lru_cache(20_000)
def _unreadable(when: str) -> str:
    """Why a condition cannot be read; "" when it can."""
    try:
        read(when)
    except ConfigError as error:
        return error.message.splitlines()[0]
    return ""
