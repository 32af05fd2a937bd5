"""What a command of a chat does, inside one transaction, and what is said of it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from cryptowatcher.domain import chat_words as words
from cryptowatcher.domain.alerts import Alert, first_id_at
from cryptowatcher.domain.chat import (
    Acknowledge,
    Add,
    Ask,
    Change,
    Command,
    Help,
    ListRules,
    Mute,
    Press,
    Snooze,
    Start,
    Test,
    asked_rule,
    named,
    parse_end,
)
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.rules.model import Rule, RuleSpec, origin_after_edit
from cryptowatcher.domain.rules.why import asked_pair
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx

_LATELY = MS["d"]
_MOST_SEEN = 1_000
"""Alerts that one word acknowledges."""
_SAME_END = MS["m"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Why this rule has not fired for this pair. `snoozed_until`: epoch ms."""

    rule: Rule
    pair: str
    snoozed_until: int | None


class Reply(msgspec.Struct, frozen=True):
    """What to say. `why`: a question whose answer is to be said instead."""

    text: str
    why: Asked | None = None


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command counts.

    owner: whose rules are meant
    head:  the journal's head: a change counts from there
    now:   epoch ms
    zone:  where tomorrow begins in the morning
    """

    tx: Tx
    owner: str
    head: int
    now: int
    zone: ZoneInfo

    @property
    def rules(self) -> list[Rule]:
        """All rules of the owner."""
        return self.tx.rules(self.owner)


def obey(scene: Scene, command: Command) -> Reply:
    """ConfigError when it cannot be done; nothing is then to be kept of the transaction."""
    match command:
        case Start():
            return Reply(words.LINKED)
        case Help():
            return Reply(words.say_help())
        case Test():
            return Reply(words.TEST)
        case ListRules():
            snoozes = scene.tx.snoozes(scene.owner)
            return Reply(words.say_rules(scene.rules, snoozes, now=scene.now, zone=scene.zone))
        case Add(spec):
            return _add(scene, spec)
        case Change(verb, name):
            return _change(scene, verb, named(scene.rules, name))
        case Snooze(name, until):
            return _snooze(scene, named(scene.rules, name), until)
        case Mute(until):
            return _mute(scene, until)
        case Ask(asked):
            rule, pair = asked_rule(scene.rules, asked)
            return _why(scene, rule, asked_pair(rule.spec, pair))
        case Acknowledge():
            return _acknowledge(scene)
        case Press():
            return pressed(scene, command)


def pressed(scene: Scene, press: Press) -> Reply:
    """A button under an alert. What is gone meanwhile is said, and is no error."""
    alert = _alert(scene, press.alert)
    if alert is None:
        return Reply("This alert is not kept any more.")
    if press.action == "ack":
        return Reply(words.say_seen(scene.tx.acknowledge(scene.owner, [alert.id], scene.now)))
    rule = scene.tx.rule(scene.owner, alert.rule)
    if rule is None:
        return Reply("The rule was removed.")
    if press.action == "why":
        return _why(scene, rule, alert.pair)
    return _snooze(scene, rule, "1h" if press.action == "hour" else "tomorrow")


def _alert(scene: Scene, alert: str) -> Alert | None:
    # Ids are of one length, and "~" sorts after all that is in them.
    found = scene.tx.alerts(scene.owner, limit=1, before=f"{alert}~")
    return found[0] if found and found[0].id == alert else None


def _add(scene: Scene, spec: RuleSpec) -> Reply:
    before = next((rule for rule in scene.rules if rule.spec.name == spec.name), None)
    if before is not None and before.spec != spec:
        raise ConfigError(
            f"there is a rule {spec.name!r} already", hint=f"/remove {spec.name}, or take another name"
        )
    if before is None:
        scene.tx.save_rule(scene.owner, spec, head=scene.head, now=scene.now)
    return Reply(words.say_added(spec))


def _change(scene: Scene, verb: str, rule: Rule) -> Reply:
    name = rule.spec.name
    match verb:
        case "remove":
            scene.tx.remove_rule(scene.owner, rule.id, head=scene.head, now=scene.now)
            return Reply(f"{name}: removed.")
        case "wake":
            silent = scene.tx.wake(scene.owner, rule.id)
            return Reply(f"{name}: it speaks again." if silent else f"{name}: it was not silent.")
    spec = msgspec.structs.replace(rule.spec, paused=verb == "pause")
    if spec != rule.spec:
        origin = origin_after_edit(rule, spec)
        scene.tx.save_rule(scene.owner, spec, head=scene.head, now=scene.now, origin=origin)
    return Reply(f"{name}: paused." if spec.paused else f"{name}: it is judged.")


def _snooze(scene: Scene, rule: Rule, until: str) -> Reply:
    end = _silence(scene, rule, parse_end(until, now=scene.now, zone=scene.zone), scene.tx.snoozes(scene.owner))
    return Reply(words.say_silent(rule.spec.name, end, scene.zone))


def _mute(scene: Scene, until: str) -> Reply:
    rules, snoozes = scene.rules, scene.tx.snoozes(scene.owner)
    if not until:
        woken = sum(scene.tx.wake(scene.owner, rule.id) for rule in rules)
        return Reply(f"Rules that speak again: {woken:,}.")
    end = parse_end(until, now=scene.now, zone=scene.zone)
    for rule in rules:
        # Whoever wants more silence of one rule than of all keeps it.
        if snoozes.get(rule.id, 0) < end:
            _silence(scene, rule, end, snoozes)
    return Reply(words.say_silent(f"All {len(rules):,} rules", end, scene.zone))


def _silence(scene: Scene, rule: Rule, end: int, snoozes: dict[str, int]) -> int:
    """When it ends: the same, where the same was said a moment ago."""
    stands = snoozes.get(rule.id, 0)
    if 0 <= end - stands < _SAME_END:
        return stands
    scene.tx.snooze(scene.owner, rule.id, end)
    return end


def _why(scene: Scene, rule: Rule, pair: str) -> Reply:
    return Reply("", Asked(rule=rule, pair=pair, snoozed_until=scene.tx.snoozes(scene.owner).get(rule.id)))


def _acknowledge(scene: Scene) -> Reply:
    first = first_id_at(max(scene.now - _LATELY, 0))
    found = scene.tx.alerts(scene.owner, limit=_MOST_SEEN)
    recent = [alert.id for alert in found if alert.id > first]
    return Reply(words.say_seen(scene.tx.acknowledge(scene.owner, recent, scene.now)))
