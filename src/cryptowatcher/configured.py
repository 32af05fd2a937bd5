"""Rules and lists that the configuration or this release brings, made those of the store at each start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import structlog

from cryptowatcher.domain.rules.check import doubt_about
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.ports import Clock, Journal, Store, Tx

log = structlog.get_logger()


async def sync_rules(
    store: Store,
    journal: Journal,
    rules: Sequence[RuleSpec],
    clock: Clock,
    *,
    lists: Mapping[str, Sequence[str]] = MappingProxyType({}),
    owner: str = LOCAL_OWNER,
) -> None:
    """Make an owner's configured rules and lists of pairs those of the configuration: changed ones change, absent
    ones go. A list that other rules are on stays, and is the owner's from then on."""
    for spec in rules:
        if doubt := doubt_about(spec):
            log.warning("a rule of the configuration is doubtful", rule=spec.name, why=doubt)
    head = await journal.head()

    def save(tx: Tx) -> None:
        for name, pairs in lists.items():
            tx.save_watchlist(owner, name, pairs, head=head, now=clock.now(), origin="config")
        wanted = {rule.name for rule in rules}
        for rule in tx.rules(owner):
            if rule.origin == "config" and rule.spec.name not in wanted:
                tx.remove_rule(owner, rule.id, head=head, now=clock.now(), origin="config")
        for spec in rules:
            tx.save_rule(owner, spec, head=head, now=clock.now(), origin="config")
        for each in tx.watchlists(owner):
            if each.origin != "config" or each.name in lists:
                continue
            if tx.rules_on(owner, each.name):
                tx.save_watchlist(owner, each.name, each.pairs, head=head, now=clock.now())
            else:
                tx.remove_watchlist(owner, each.name)

    await store.run(save)


async def sync_defaults(store: Store, journal: Journal, rules: Sequence[RuleSpec], clock: Clock) -> None:
    """Make the default rules those of this release, but for the ones that their owner or the configuration has
    changed, and those that their owner removed."""
    head = await journal.head()

    def save(tx: Tx) -> None:
        wanted = {rule.name for rule in rules}
        there = {rule.spec.name: rule for rule in tx.rules(LOCAL_OWNER)}
        for name, rule in there.items():
            if rule.origin == "default" and name not in wanted:
                tx.remove_rule(LOCAL_OWNER, rule.id, head=head, now=clock.now(), origin="default")
        for spec in rules:
            before = there.get(spec.name)
            touched = before.origin != "default" if before else tx.removed_by(LOCAL_OWNER, spec.name) == "owner"
            if not touched:
                tx.save_rule(LOCAL_OWNER, spec, head=head, now=clock.now(), origin="default")

    await store.run(save)
