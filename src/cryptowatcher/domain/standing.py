"""How the watcher stands: which pairs it cannot see now, and when its disk will be full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.retention import Retention
from cryptowatcher.domain.status import Price, SourceStatus

_MISSED_FOR: Final = MS["d"]
"""A pair that no source speaks of any more has left its list; for so long it is missed all the same."""
_LEAST_SPAN: Final = MS["h"]
"""From less nobody can tell how fast a file grows."""
_FAR_AWAY: Final = 3 * 365 * MS["d"]


class BlindNow(msgspec.Struct, frozen=True):
    """A pair without a price that counts. `since`: epoch ms of its newest observation, or since when the source
    has said why; `reason`: a stable word."""

    pair: str
    since: int
    reason: str
    source: str


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """blind: longest first. current: pairs whose price counts. left: pairs that are not listed any more"""

    blind: list[BlindNow]
    current: int
    left: int


def sighting(prices: Iterable[Price], statuses: Sequence[SourceStatus], now: int) -> Sighting:
    """Of all pairs that have a price or that a source names."""
    named = {blind.pair: (blind, status.source) for status in statuses for blind in status.blind_pairs}
    whole = {status.source: status.reason for status in statuses if status.state == "blind"}
    blind: list[BlindNow] = []
    current = left = 0
    for price in prices:
        found = named.pop(price.pair, None)
        if price.valid_until >= now:
            current += 1
        elif found is None and now - price.observed_at > _MISSED_FOR:
            left += 1
        else:
            reason = whole.get(price.source) or (found[0].reason if found else "") or "not_listed"
            blind.append(BlindNow(price.pair, price.observed_at, reason, price.source))
    blind += [BlindNow(each.pair, each.since, each.reason, source) for each, source in named.values()]
    blind.sort(key=lambda each: (each.since, each.pair))
    return Sighting(blind=blind, current=current, left=left)


def journal_to_come(size: int, span: int, keep: Retention) -> float:
    """Bytes by which the journal grows until it is as long or as large as it may be; 0 where that is not known.
    `span`: ms between its oldest and its newest record."""
    if span < _LEAST_SPAN:
        return 0.0
    return max(0.0, min(size * keep.journal / span, keep.journal_size) - size)


def full_in(free: int, *, journal: int, span: int, keep: Retention, store_a_day: float) -> int | None:
    """ms until the disk is full at this pace; None: not within three years, as far as is known."""
    to_come = journal_to_come(journal, span, keep)
    pace = journal / span if to_come else 0.0
    store_pace = max(0.0, store_a_day) / MS["d"]
    if pace and free <= (pace + store_pace) * (to_come / pace):
        return round(free / (pace + store_pace))
    if not store_pace:
        return None
    wait = (free - to_come) / store_pace
    return round(wait) if wait < _FAR_AWAY else None
