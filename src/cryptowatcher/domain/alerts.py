"""Alerts: the durable record of a rule's condition turning true, with ids computed from content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple, TypeGuard

import msgspec

from cryptowatcher.domain.copies import Copies, each_of

Advice = Literal["buy", "sell", "info"]
AlertKind = Literal["edge", "gap", "already"]
NoticeKind = Literal["expiring", "expired", "blind", "back", "summary", "resolved"]
"""Of what goes the way of alerts and is none: it tells of a rule, of what is not seen, of a day, or that what was
told is over. Lists of alerts leave it out."""

NOTICES: tuple[NoticeKind, ...] = ("expiring", "expired", "blind", "back", "summary", "resolved")
SIGHTINGS: tuple[NoticeKind, ...] = ("blind", "back")


def alert_id(*, rule: str, version: int, pair: str, kind: AlertKind | NoticeKind, event_time: int) -> str:
    """The same event always has the same id, and ids sort by time: 11 hex digits of epoch ms, 20 of a hash."""
    return alert_ids(pair=pair, kind=kind, event_time=event_time)(rule, version)


def alert_ids(*, pair: str, kind: AlertKind | NoticeKind, event_time: int) -> Callable[[str, int], str]:
    """For one event the id by rule and version: in a storm many rules have the same one."""
    begin, rest, hashed = f"{first_id_at(event_time)}-", f"\x1f{pair}\x1f{kind}\x1f{event_time}", hashlib.blake2b
    return lambda rule, version: begin + hashed(f"{rule}\x1f{version}{rest}".encode(), digest_size=10).hexdigest()


def first_id_at(event_time: int) -> str:
    """A text that sorts before the ids of all alerts from then on, and after those before."""
    return f"{event_time:011x}"


class Part(msgspec.Struct, frozen=True):
    """One comparison of a composite rule when it fired.

    text:     as it stands in the condition
    value:    what was compared, `constant` what with; None when it was unknown
    """

    text: str
    value: float | None
    constant: float


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's condition turned true for a pair at a position of the journal.

    kind:       `edge`: between two accepted observations; `gap`: somewhere in a stretch that was not
                observed; `already`: true at the first observation and the rule asked to be told;
                `expiring`, `expired`: a notice about the rule itself, without pair and values;
                `blind`, `back`: a notice that pairs are not seen any more, or again, without a rule: `parts` names
                up to 20 of them, `value` says how many they are, `constant` of how many (0: not of the market),
                `gap_ms` for how long they were not seen by then. A channel "" stands for those of rules without
                any. `summary`: what a day or a week brought, without rule and pair: `condition` has its words, the
                title in the first line, and the event is the end of that stretch. `resolved`: what an alert told
                is over, the value went back by the re-arm band: `constant` is where that is, `gap_ms` for how long
                it had been so, with what `for` asked, `late` that it ended in a stretch that was not observed
    event_time: the source's time of the observation, epoch ms (for `gap` the start of the gap)
    at:         the journal's time of the record, epoch ms
    seq:        the position in the journal that proves it
    value:      what was compared, `constant` what with (fractions, not percent, for `change`)
    previous:   the value at the observation before, NaN-free: None when it was unknown
    gap_ms:     how long the pair was not observed before, 0 when it was
    late:       found while history was back-filled
    parts:      the comparisons of a composite rule, in order; empty for a rule of one
    suppressed: crossings that were held back since the alert before
    urgent:     its rule's owner wants to hear of it at any time
    """

    id: str
    owner: str
    rule: str
    rule_name: str
    version: int
    pair: str
    kind: AlertKind | NoticeKind
    event_time: int
    at: int
    seq: int
    condition: str
    value: float
    constant: float
    previous: float | None
    price: float
    source: str
    received_at: int
    gap_ms: int
    advice: Advice
    channels: tuple[str, ...]
    late: bool = False
    parts: tuple[Part, ...] = ()
    suppressed: int = 0
    urgent: bool = False


class Raised(NamedTuple):
    """What one look at the rules brought: alerts, and many of rules that fired together, which are alike."""

    alerts: Sequence[Alert]
    together: Sequence[Copies[Alert]] = ()

    def __bool__(self) -> bool:
        return bool(self.alerts or self.together)

    def each(self) -> Sequence[Alert]:
        """All in (rule, pair) order."""
        if not self.together:
            return self.alerts
        return sorted([*self.alerts, *each_of(self.together)], key=attrgetter("rule", "pair"))


def is_condition(kind: AlertKind | NoticeKind) -> TypeGuard[AlertKind]:
    """Whether a condition turned true; otherwise it is a notice."""
    return kind not in NOTICES
