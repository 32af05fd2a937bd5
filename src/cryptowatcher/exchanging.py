"""Taking an owner's rules out as text, and taking such text in: all that is to be taken, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from cryptowatcher.domain.rules.exchange import Document, Judged, judge, written
from cryptowatcher.domain.rules.model import origin_after_edit
from cryptowatcher.domain.rules.watchlists import list_of
from cryptowatcher.ports import Tx


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What was or would be done.

    done:    whether anything was written
    lists:   names of the lists of pairs that are made for it
    besides: settings in the text that have nothing to do with rules, and were passed over
    """

    done: bool
    rules: list[Judged]
    lists: list[str]
    besides: tuple[str, ...]

    def count(self, verdict: str) -> int:
        return sum(rule.verdict == verdict for rule in self.rules)


def take_out(tx: Tx, owner: str, wanted: Collection[str] = ()) -> str:
    """The rules of these names or ids as text, all where none is named; with the lists that they are on."""
    lists = {each.name: each.pairs for each in tx.watchlists(owner)}
    rules = [rule for rule in tx.rules(owner) if not wanted or rule.id in wanted or rule.spec.name in wanted]
    return written([rule.spec for rule in rules], lists)


def take_in(
    tx: Tx,
    owner: str,
    document: Document,
    *,
    channels: Sequence[str],
    head: int,
    now: int,
    write: bool,
    leave_out: bool = False,
) -> Taken:
    """Judge the rules of a document, and `write` those that can be taken; where some are refused, nothing, unless
    these are to be left out. A rule that is the same already is not written again."""
    there = {rule.spec.name: rule for rule in tx.rules(owner)}
    lists = {each.name: each.pairs for each in tx.watchlists(owner)}
    judged = judge(document, there.values(), channels=channels, lists=lists)
    specs = [rule.spec for rule in judged if rule.spec is not None and rule.verdict in ("added", "changed")]
    needed = sorted({name for spec in specs if (name := list_of(spec)) is not None} - set(lists))
    done = write and bool(specs) and (leave_out or all(rule.verdict != "refused" for rule in judged))
    if done:
        for name in needed:
            tx.save_watchlist(owner, name, document.lists[name], head=head, now=now)
        wanted = [(spec, origin_after_edit(there.get(spec.name), spec)) for spec in specs]
        tx.save_rules(owner, wanted, head=head, now=now)
    return Taken(done=done, rules=judged, lists=needed, besides=document.besides)
