"""Telling again what nobody has acknowledged, inside notify's own transactions: the next reminder is queued with
what became of the one before, and is not sent when somebody has acknowledged the alert meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import FINAL, Delivery, cancel
from cryptowatcher.domain.hours import show_moment
from cryptowatcher.domain.quiet import Quiet
from cryptowatcher.domain.reaching import Reach
from cryptowatcher.domain.reminders import next_reminders
from cryptowatcher.ports import Tx


def queue_reminders(tx: Tx, results: Sequence[Delivery], reach: Reach, *, now: int) -> None:
    """What is due next after those of these that are finished: sent, told through another channel, or given up."""
    finished = [each for each in results if each.state in FINAL and each.kind in ("alert", "reminder")]
    quiet = tx.quiet({each.rule for each in finished})
    wanted = [each for each in finished if each.rule in quiet and quiet[each.rule].remind]
    if not wanted:
        return
    seen = tx.acknowledged({each.alert for each in wanted})
    open_ = [each for each in wanted if each.alert not in seen]
    tx.queue([new for each in open_ for new in next_reminders(each, *_where(each, quiet, reach), now=now)])


def _where(finished: Delivery, quiet: Mapping[str, Quiet], reach: Reach) -> tuple[Quiet, tuple[str, ...]]:
    """What its rule says, with addresses in the place of names; and those of rules that name none."""
    owner, said = finished.owner, quiet[finished.rule]
    if reach.is_silent(owner):
        return msgspec.structs.replace(said, remind=""), ()
    channels, escalate = (
        tuple(reach.address(owner, name) for name in names) for names in (said.channels, said.escalate)
    )
    return msgspec.structs.replace(said, channels=channels, escalate=escalate), reach.usual(owner)


def only_unseen(
    tx: Tx, claimed: Sequence[tuple[Delivery, Alert]], *, in_hand: Collection[str], now: int
) -> list[tuple[Delivery, Alert]]:
    """Those of one channel that are no reminders, and the newest reminder of each alert that nobody has
    acknowledged; the others are cancelled.

    in_hand: ids whose send may be in flight: they are what becomes of it
    """
    reminders = [each for each, _ in claimed if each.kind == "reminder" and each.id not in in_hand]
    if not reminders:
        return list(claimed)
    seen = tx.acknowledged({each.alert for each in reminders})
    newest = {each.alert: each.id for each in sorted(reminders, key=lambda each: each.reminder)}
    over: dict[str, Delivery] = {}
    for each in reminders:
        if each.alert in seen:
            over[each.id] = cancel(each, f"acknowledged {show_moment(seen[each.alert])}", now=now)
        elif each.id != newest[each.alert]:  # held for as long as that one
            over[each.id] = cancel(each, "a later reminder says the same", now=now)
    tx.settle(list(over.values()))
    return [row for row in claimed if row[0].id not in over]
