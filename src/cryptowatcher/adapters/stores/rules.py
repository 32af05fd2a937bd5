"""Rules as owners see them, and the append-only list of their changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import (
    CHANGES,
    UNFINISHED,
    counters,
    deliveries,
    insert_into,
    or_replace,
    rule_changes,
    rules,
    snoozes,
    watchlists,
)
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.expiry import first_notice
from cryptowatcher.domain.rules.model import (
    Rule,
    RuleChange,
    RuleOrigin,
    RuleSpec,
    RuleState,
    next_version,
    rule_id,
)
from cryptowatcher.domain.rules.watchlists import list_of, members_of

_MANY = 500


class Rules(Concern):
    """See ports.RulesTx."""

    def rules(self, owner: str | None = None, ids: Sequence[str] | None = None) -> list[Rule]:
        """Without an owner those of all people: not the watcher's own."""
        asked = sa.select(rules).where(rules.c.spec.is_not(None)).order_by(rules.c.name, rules.c.owner)
        asked = asked.where(rules.c.owner != SYSTEM_OWNER if owner is None else rules.c.owner == owner)
        if ids is None:
            return self._with_members(self._db.execute(asked).all())
        parts = (self._db.execute(asked.where(rules.c.id.in_(part))).all() for part in _parts(ids))
        return self._with_members(row for part in parts for row in part)

    def rule(self, owner: str, rule: str) -> Rule | None:
        by_id = rules.c.id == rule
        asked = sa.select(rules).where(
            rules.c.owner == owner, rules.c.spec.is_not(None), by_id | (rules.c.name == rule)
        )
        # A rule may be named like another one's id: the id goes first.
        found = self._with_members(self._db.execute(asked.order_by(by_id.desc()).limit(1)).all())
        return found[0] if found else None

    def save_rule(self, owner: str, spec: RuleSpec, *, head: int, now: int, origin: RuleOrigin = "owner") -> Rule:
        return self.save_rules(owner, [(spec, origin)], head=head, now=now)[0]

    def save_rules(
        self, owner: str, specs: Sequence[tuple[RuleSpec, RuleOrigin]], *, head: int, now: int
    ) -> list[Rule]:
        number = self._next_change()
        there = self._rows([rule_id(owner, spec.name) for spec, _ in specs])
        lists = self._lists(owner) if any(list_of(spec) for spec, _ in specs) else {}
        saved, changes = [], []
        for spec, origin in specs:
            identity = rule_id(owner, spec.name)
            row = there.get(identity)
            before = rule_of(row) if row and row.spec is not None else None
            if row and before and (before.spec, before.origin) == (spec, origin):
                saved.append(self._with_members([row])[0])
                continue
            version = row.version + 1 if row and before is None else next_version(before, spec)
            rule = Rule(
                id=identity,
                owner=owner,
                version=version,
                spec=spec,
                origin=origin,
                members=members_of(spec, lists) if list_of(spec) else (),
            )
            same_end = before is not None and before.spec.expires == spec.expires
            notice = row.notice_at if row and same_end else first_notice(spec, now)
            changes.append(Change(rule, spec, notice, row.change if row else 0))
            saved.append(rule)
            if before is not None and before.spec.active != spec.active:
                self._look_again(identity, now)
        self._write(changes, number, head=head, now=now)
        return saved

    def remove_rule(self, owner: str, rule: str, *, head: int, now: int, origin: RuleOrigin = "owner") -> bool:
        found = self.rule(owner, rule)
        return found is not None and bool(self.remove_rules(owner, [found.id], head=head, now=now, origin=origin))

    def remove_rules(
        self, owner: str, ids: Sequence[str], *, head: int, now: int, origin: RuleOrigin = "owner"
    ) -> list[Rule]:
        number = self._next_change()
        found = self.rules(owner, ids)
        for part in _parts([rule.id for rule in found]):
            self._db.execute(sa.delete(snoozes).where(snoozes.c.rule.in_(part)))
        there = self._rows([rule.id for rule in found])
        gone = [
            Change(msgspec.structs.replace(rule, origin=origin), None, 0, there[rule.id].change) for rule in found
        ]
        self._write(gone, number, head=head, now=now)
        return found

    def removed_by(self, owner: str, name: str) -> RuleOrigin | None:
        removed = (rules.c.id == rule_id(owner, name), rules.c.spec.is_(None))
        row = self._db.execute(sa.select(rules.c.origin).where(*removed)).one_or_none()
        return row.origin if row else None

    def rule_counts(self) -> dict[RuleState, int]:
        paused = rules.c.paused
        people = (rules.c.spec.is_not(None), rules.c.owner != SYSTEM_OWNER)
        asked = sa.select(paused, sa.func.count().label("n")).where(*people).group_by(paused)
        counted = {bool(row.paused): row.n for row in self._db.execute(asked)}
        return {"active": counted.get(False, 0), "paused": counted.get(True, 0)}

    def snooze(self, owner: str, rule: str, until: int) -> None:
        row = {"rule": rule, "owner": owner, "until": until}
        self._db.execute(or_replace(insert_into(snoozes, self._db.dialect.name), snoozes), row)

    def wake(self, owner: str, rule: str) -> bool:
        gone = sa.delete(snoozes).where(snoozes.c.rule == rule, snoozes.c.owner == owner)
        return self._db.execute(gone).rowcount > 0

    def snoozes(self, owner: str) -> dict[str, int]:
        rows = self._db.execute(sa.select(snoozes.c.rule, snoozes.c.until).where(snoozes.c.owner == owner))
        return {row.rule: row.until for row in rows}

    def _lists(self, owner: str) -> dict[str, tuple[str, ...]]:
        """The pairs of an owner's lists, by name."""
        asked = sa.select(watchlists.c.name, watchlists.c.pairs).where(watchlists.c.owner == owner)
        rows = self._db.execute(asked)
        return {row.name: msgspec.json.decode(row.pairs, type=tuple[str, ...]) for row in rows}

    def _with_members(self, rows: Iterable[sa.Row[Any]]) -> list[Rule]:
        """Rows of `rules` that have a spec. A list that changes is a change of each rule on it in the same
        transaction, so the members of a rule are those that its list has now."""
        lists: dict[str, dict[str, tuple[str, ...]]] = {}
        found = []
        for rule in map(rule_of, rows):
            name = list_of(rule.spec)
            if name is None:
                found.append(rule)
                continue
            if rule.owner not in lists:
                lists[rule.owner] = self._lists(rule.owner)
            found.append(msgspec.structs.replace(rule, members=lists[rule.owner].get(name, ())))
        return found

    def _look_again(self, rule: str, now: int) -> None:
        """What is held by active hours that have changed is due at once; notify holds it again if need be."""
        d = deliveries.c
        held = (d.rule == rule, UNFINISHED, d.held_until > 0, d.due_at == d.held_until, d.due_at > now)
        self._db.execute(sa.update(deliveries).where(*held).values(due_at=now))

    def _next_change(self) -> int:
        """Holds the row, so that changes become visible in the order of their numbers."""
        last = sa.select(counters.c.value).where(counters.c.name == CHANGES).with_for_update()
        return int(self._db.execute(last).scalar_one()) + 1

    def _rows(self, ids: Sequence[str]) -> dict[str, sa.Row[Any]]:
        """By id, also of rules that are gone."""
        asked = sa.select(rules)
        parts = (self._db.execute(asked.where(rules.c.id.in_(part))).all() for part in _parts(ids))
        return {row.id: row for part in parts for row in part}

    def _write(self, changes: Sequence[Change], first: int, *, head: int, now: int) -> None:
        """The rules as they are from now on, and the changes with numbers from `first` on."""
        if not changes:
            return
        rows = [change.row(number) for number, change in enumerate(changes, first)]
        self._db.execute(or_replace(insert_into(rules, self._db.dialect.name), rules), rows)
        self._append(changes, first, head=head, now=now)

    def _again(self, changed: Sequence[Rule], *, head: int, now: int) -> None:
        """A change of rules that are themselves as they were: what they look at is not."""
        first, there = self._next_change(), self._rows([rule.id for rule in changed])
        again = [Change(rule, rule.spec, 0, there[rule.id].change) for rule in changed]
        self._append(again, first, head=head, now=now)
        for number, rule in enumerate(changed, first):
            self._db.execute(sa.update(rules).where(rules.c.id == rule.id).values(change=number))

    def _append(self, changes: Sequence[Change], first: int, *, head: int, now: int) -> None:
        if not changes:
            return
        rows = [change.appended(number, head=head, now=now) for number, change in enumerate(changes, first)]
        self._db.execute(sa.insert(rule_changes), rows)
        last = first + len(changes) - 1
        self._db.execute(sa.update(counters).where(counters.c.name == CHANGES).values(value=last))


class Change(NamedTuple):
    """A rule as it is from now on; `spec` None: it is gone. `before`: number of its change before, 0 for none."""

    rule: Rule
    spec: RuleSpec | None
    notice_at: int
    before: int

    def row(self, number: int) -> dict[str, Any]:
        """Of `rules`."""
        rule = self.rule
        return {
            "id": rule.id,
            "owner": rule.owner,
            "name": rule.spec.name,
            "version": rule.version,
            "origin": rule.origin,
            "paused": rule.spec.paused,
            "spec": None if self.spec is None else _text(self.spec),
            "notice_at": self.notice_at,
            "change": number,
        }

    def appended(self, number: int, *, head: int, now: int) -> dict[str, Any]:
        """Of `rule_changes`."""
        return {
            "number": number,
            "rule_id": self.rule.id,
            "owner": self.rule.owner,
            "head": head,
            "saved_at": now,
            "rule": None if self.spec is None else _text(self.rule),
            "before": self.before,
        }


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    """Databases bound the parameters of a statement."""
    return [ids[start : start + _MANY] for start in range(0, len(ids), _MANY)]


def change_of(row: sa.Row[Any]) -> RuleChange:
    """A row of `rule_changes`."""
    rule = None if row.rule is None else msgspec.json.decode(row.rule, type=Rule)
    return RuleChange(
        number=row.number, rule_id=row.rule_id, owner=row.owner, head=row.head, saved_at=row.saved_at, rule=rule
    )


def rule_of(row: sa.Row[Any]) -> Rule:
    """A row of `rules` that has a spec, without the members of its list."""
    spec = msgspec.json.decode(row.spec, type=RuleSpec)
    return Rule(id=row.id, owner=row.owner, version=row.version, spec=spec, origin=row.origin)


_NEWER = ("expires", "active", "urgent", "remind", "escalate", "resolved")
"""Fields that the release before does not know, and refuses where it finds them."""


def _text(value: Rule | RuleSpec) -> str:
    """Without the newer fields where they say nothing, and with no origin that the release before does not know,
    so that it can read what it understands. (The origin that counts stands in a column of its own.)"""
    plain = msgspec.to_builtins(value)
    if isinstance(value, Rule) and not value.members:
        del plain["members"]
    if isinstance(value, Rule) and value.origin == "default":
        plain["origin"] = "owner"
    spec = plain["spec"] if isinstance(value, Rule) else plain
    for name in _NEWER:
        if not spec[name]:
            del spec[name]
    return msgspec.json.encode(plain).decode()
