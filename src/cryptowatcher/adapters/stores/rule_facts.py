"""What lists of rules tell of each."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import OTHERS_ALERTS, alerts, firings, lifecycle, rules
from cryptowatcher.domain.alerts import NOTICES, first_id_at
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.rules.now import Fired, Standings


class RuleFacts(Concern):
    """See ports.RuleFactsTx."""

    def standings(self, owner: str) -> dict[str, Standings]:
        c = lifecycle.c
        asked = sa.select(c.rule, c.state, sa.func.count().label("pairs"), sa.func.max(c.since).label("since"))
        found: dict[str, dict[str, int]] = {}
        for row in self._db.execute(asked.where(_is_of(c.rule, owner)).group_by(c.rule, c.state)):
            told = found.setdefault(row.rule, {"since": 0})
            told[row.state] = row.pairs
            told["since"] = max(told["since"], row.since)
        return {rule: Standings(**told) for rule, told in found.items()}

    def fired(self, owner: str) -> dict[str, Fired]:
        c = firings.c
        last, times = sa.func.max(c.last_fired_at), sa.func.sum(c.fired)
        asked = sa.select(c.rule, last.label("last"), times.label("times")).where(
            _is_of(c.rule, owner), c.fired > 0
        )
        rows = self._db.execute(asked.group_by(c.rule))
        return {row.rule: Fired(last_at=row.last, times=int(row.times)) for row in rows}

    def alerts_of_rules(self, owner: str, since: int) -> dict[str, int]:
        c = alerts.c
        asked = sa.select(c.rule, sa.func.count().label("n")).where(
            c.owner == owner, c.id > first_id_at(max(since, 0)), c.kind.not_in(NOTICES)
        )
        if owner != LOCAL_OWNER:  # said word for word, so that their index serves
            asked = asked.where(OTHERS_ALERTS)
        return {row.rule: row.n for row in self._db.execute(asked.group_by(c.rule))}


def _is_of(rule: sa.Column[Any], owner: str) -> sa.ColumnElement[bool]:
    """Whether a rule, by id, is one of the owner's that are there."""
    there = sa.select(rules.c.id).where(rules.c.owner == owner, rules.c.spec.is_not(None))
    return rule.in_(there)
