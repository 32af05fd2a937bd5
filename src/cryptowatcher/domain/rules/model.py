"""Rules as their owners write them, and how changes to them are kept: append-only, by position."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from cryptowatcher.domain.alerts import Advice

LOCAL_OWNER = "local"
"""The one built-in owner until accounts come."""

MOST_REMINDERS = 10
"""Of one alert to one channel."""

Repeat = Literal["once", "every"]
RuleOrigin = Literal["owner", "config", "default"]
"""Who looks after a rule: its owner by page, API or command line, the configuration file, or nobody: one that
comes with the program (domain/defaults.py) and was never touched."""
RuleState = Literal["active", "paused"]
LifecycleState = Literal["unarmed", "pending", "inside", "done"]


class RuleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """What an owner asks for. Durations are text like "30s", "5m", "24h", "7d"; "0s" is none.

    name:    unique for its owner
    pairs:   "bitcoin/usd"; or alone "all", "top(100)", "list(mine)"
    when:    `price >= 70000`, `change(5m) <= -5%`, `price crosses above 70000`
    for:     how long the condition must hold, in observed time, before it fires
    rearm:   how far back the value must go before the rule can fire again, as a fraction of the constant
    repeat:  `every` edge, or `once` for each pair
    fire_if_already_true: also fire at the first observation (otherwise that one only arms)
    cooldown: how long the rule is silent for a pair after it has fired
    advice:  `info`, `buy` or `sell`: what the owner thinks an alert means
    channels: names of the channels that are told; none named: all of them
    paused:  keep the rule, but do not judge it
    expires: when it ends: 2027-01-31, or 2027-01-31T12:00Z; empty: never
    active:  when it may send, "mon-fri 08:00-22:00 Europe/Berlin": what it has to say outside waits; empty: always
    urgent:  what it has to say comes in quiet hours too, and never together with others
    remind:  how long after it was told it is told again, until somebody acknowledges it, ten times at most, "10m";
             empty: never
    escalate: channels that are told too, the first with the first reminder, the second with the second
    resolved: also tell when what an alert told is over: the value went back by the re-arm band
    """

    name: str
    pairs: tuple[str, ...]
    when: str
    for_: str = "0s"
    rearm: str = "0.1%"
    cooldown: str = "0s"
    repeat: Repeat = "every"
    fire_if_already_true: bool = False
    advice: Advice = "info"
    channels: tuple[str, ...] = ()
    paused: bool = False
    expires: str = ""
    active: str = ""
    urgent: bool = False
    remind: str = ""
    escalate: tuple[str, ...] = ()
    resolved: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it stands after a change. `version` grows when condition, pairs, `for` or re-arm band change.

    members: the pairs of the list that it is on; none for other rules
    """

    id: str
    owner: str
    version: int
    spec: RuleSpec
    origin: RuleOrigin = "owner"
    members: tuple[str, ...] = ()


class RuleChange(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the append-only list. `rule` is None when the rule was deleted.

    number:   place in the list, from 1
    head:     the journal's head when it was saved: it counts from there, or from the watch cursor that
              takes it up, whichever is later
    saved_at: epoch ms
    """

    number: int
    rule_id: str
    owner: str
    head: int
    saved_at: int
    rule: Rule | None


class TakeUp(msgspec.Struct, frozen=True):
    """A change that watch has taken up: it counts for records after `seq`. Committed with that step."""

    number: int
    seq: int


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a rule stands for a pair, when it is not simply armed and waiting (at rest: no row).

    unarmed: nothing known was observed yet · pending: true, `for` is running · inside: has fired or was
    already true, waits to re-arm · done: a `once` rule that has fired
    since: event time of the state, epoch ms
    """

    rule: str
    version: int
    pair: str
    state: LifecycleState
    since: int


class Firing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule's memory for a pair that survives edits.

    last_fired_at: the source's time of its last alert, epoch ms
    fired:         how many alerts there were
    suppressed:    crossings that were held back since: by cooldown, or because it fired too often
    busy_until:    how far ahead of time its alerts are: see lifecycle.record_firing
    price, version: when it fired last, told or held back, where the rule counts from that; else 0
    """

    rule: str
    pair: str
    last_fired_at: int
    fired: int
    suppressed: int
    busy_until: int = 0
    price: float = 0.0
    version: int = 0


def rule_id(owner: str, name: str) -> str:
    """A rule is its owner and its name: adding it twice is adding it once."""
    return "r" + hashlib.blake2b(f"{owner}\x1f{name}".encode(), digest_size=6).hexdigest()


def origin_after_edit(before: Rule | None, spec: RuleSpec) -> RuleOrigin:
    """Whose a rule is once its owner has saved it: a default that was changed is the owner's from then on."""
    if before is None:
        return "owner"
    return "owner" if before.origin == "default" and before.spec != spec else before.origin


def next_version(before: Rule | None, spec: RuleSpec) -> int:
    """Only condition, pairs, `for`, re-arm band and first-observation choice make a new version."""
    if before is None:
        return 1
    old = before.spec
    same = (old.when, old.pairs, old.for_, old.rearm, old.fire_if_already_true) == (
        spec.when, spec.pairs, spec.for_, spec.rearm, spec.fire_if_already_true)  # fmt: skip
    return before.version if same else before.version + 1
