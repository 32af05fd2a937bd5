"""What owners are told of pairs that their active rules look at and that are not seen any more, or are again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from cryptowatcher.domain.alerts import Alert, NoticeKind, Part, alert_id
from cryptowatcher.domain.blindness import Sighted
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.rules.concerned import Concern

_NAMED: Final = 20


class Absence(NamedTuple):
    """Since when a pair is, or was, not seen (epoch ms), and for how long it is seen again (ms, 0: it is not)."""

    since: int
    seen: int


def absences(sighted: Sighted, names: Sequence[str]) -> dict[str, Absence]:
    """By pair, of those that people know."""
    rows = zip(sighted.cols.tolist(), sighted.since.tolist(), sighted.seen.tolist(), strict=True)
    return {names[col]: Absence(since, seen) for col, since, seen in rows if names[col] != CANARY}


def notices(
    kind: NoticeKind,
    sighted: Sighted,
    missed: Mapping[str, Absence],
    concerns: Sequence[Concern],
    *,
    seq: int,
    at: int,
) -> Iterator[Alert]:
    """One for each owner, `blind` or `back`, by the record at this position and journal time. Whoever has rules on
    all pairs is told of all of them, but only where that is most of what is watched."""
    for concern in concerns:
        all_of_it = sighted.market and concern.everywhere
        pairs = sorted(missed) if all_of_it else concern.pairs
        if pairs and concern.owner != SYSTEM_OWNER:
            yield _notice(kind, concern, pairs, missed, of=sighted.of if all_of_it else 0, seq=seq, at=at)


def _notice(
    kind: NoticeKind,
    concern: Concern,
    pairs: Sequence[str],
    missed: Mapping[str, Absence],
    *,
    of: int,
    seq: int,
    at: int,
) -> Alert:
    """Its event is when the first of the pairs was last seen, or that they are back. It names up to 20 of them."""
    began = min(missed[pair].since for pair in pairs)
    longest = max(at - missed[pair].since - missed[pair].seen for pair in pairs)
    event = began if kind == "blind" else at
    pair = pairs[0] if len(pairs) == 1 else ""
    return Alert(
        id=alert_id(rule=f"owner {concern.owner}", version=0, pair=" ".join(pairs), kind=kind, event_time=event),
        owner=concern.owner,
        rule="",
        rule_name="",
        version=0,
        pair=pair,
        kind=kind,
        event_time=event,
        at=at,
        seq=seq,
        condition="",
        value=float(len(pairs)),
        constant=float(of),
        previous=None,
        price=0.0,
        source="",
        received_at=at,
        gap_ms=max(longest, 0),
        advice="info",
        channels=concern.channels,
        parts=tuple(Part(pair, None, 0.0) for pair in pairs[:_NAMED]),
    )
