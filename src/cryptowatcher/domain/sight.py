"""What a source can see, in words for its owner: which pairs, since when not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from cryptowatcher.domain.status import BlindPair, SourceState, SourceStatus

_FROZEN_AFTER = 3
"""Rounds without any newer observation, spread over at least `_FROZEN_MS`, before a source counts as frozen:
its own cache may be slower than our rounds."""
_FROZEN_MS = 150_000
_FORGET_MS = 24 * 3_600_000


class Sight:
    """Fold answers and failures; ask `status`. Times are epoch ms."""

    def __init__(self, source: str, *, valid_for: int, now: int) -> None:
        self._source = source
        self._valid_for = valid_for
        self._seen_at: dict[str, int] = {}  # pair → when its last accepted observation came in
        self._spoken_at: dict[str, int] = {}  # pair → when an answer last spoke of it
        self._reason: dict[str, tuple[str, int]] = {}  # pair → why not, since when
        self._trouble: tuple[str, str] = ("", "")  # reason, detail
        self._last_ok = 0
        self._idle_rounds = 0
        self._held = 0
        self._some = False
        self._unseen: Counter[str] = Counter()
        self._state: SourceState = "starting"
        self._since = now
        self._newest = now  # time we were told

    def failed(self, reason: str, detail: str) -> None:
        """A call brought nothing."""
        self._trouble = (reason, detail)

    def saw(self, accepted: Iterable[str], unseen: Iterable[tuple[str, str]], *, held: int, now: int) -> None:
        """One answer: pairs with an accepted observation, and (pair, reason) for the others it spoke of."""
        self._follow_clock(now)
        for pair in accepted:
            self._some = True
            self._seen_at[pair] = self._spoken_at[pair] = now
            self._reason.pop(pair, None)
        for pair, reason in unseen:
            self._unseen[reason] += 1
            known = self._reason.get(pair)
            if known is None or known[0] != reason:
                self._reason[pair] = (reason, now)
            self._spoken_at[pair] = now
        self._held = held

    def round_over(self, now: int) -> None:
        """All calls of a round were answered: only now it shows whether anything in it could be used."""
        self._follow_clock(now)
        some, unseen = self._some, self._unseen
        self._some, self._unseen = False, Counter()
        if some:
            self._last_ok, self._idle_rounds, self._trouble = now, 0, ("", "")
            return
        self._idle_rounds += 1
        worst = unseen.most_common(1)[0][0] if unseen else "empty"
        if worst != "unchanged":
            self._trouble = (worst, f"no usable price in the last answer, mostly `{worst}`")
        elif self._idle_rounds >= _FROZEN_AFTER and now - self._last_ok > _FROZEN_MS:
            self._trouble = ("frozen", "the answers repeat: no newer observation in them")

    def status(self, now: int) -> SourceStatus:
        """How it stands now. `since` is when the state was entered."""
        self._follow_clock(now)
        state = self._state_at(now)
        if state != self._state:
            self._state, self._since = state, now
        reason, detail = self._trouble
        return SourceStatus(
            source=self._source,
            state=state,
            reason="" if state == "ok" else reason,
            detail="" if state == "ok" else detail,
            since=self._since,
            last_ok_at=self._last_ok,
            pairs=sum(now - seen <= self._valid_for for seen in self._seen_at.values()),
            held=self._held,
            blind_pairs=tuple(self._blind(now)),
        )

    def _follow_clock(self, now: int) -> None:
        """What is remembered goes back with a clock that is set back: else nothing would grow old until it is
        there again, and a source that is blind would look well."""
        back, self._newest = self._newest - now, now
        if back <= 0:
            return
        self._seen_at = {pair: time - back for pair, time in self._seen_at.items()}
        self._spoken_at = {pair: time - back for pair, time in self._spoken_at.items()}
        self._reason = {pair: (why, since - back) for pair, (why, since) in self._reason.items()}
        self._since -= back
        if self._last_ok:
            self._last_ok -= back

    def _state_at(self, now: int) -> SourceState:
        if not self._last_ok and not self._trouble[0]:
            return "starting"
        if now - self._last_ok > self._valid_for:
            return "blind"
        return "limited" if self._trouble[0] else "ok"

    def _blind(self, now: int) -> list[BlindPair]:
        """Pairs without a current observation, in order of name. One that no answer speaks of any more (it left
        the list) is forgotten after a day."""
        for pair in [pair for pair, spoken in self._spoken_at.items() if now - spoken > _FORGET_MS]:
            for known in (self._spoken_at, self._seen_at, self._reason):
                known.pop(pair, None)
        there = self._seen_at.keys() | self._reason.keys()
        gone = [pair for pair in there if now - self._seen_at.get(pair, 0) > self._valid_for]
        return [
            BlindPair(pair, *self._reason.get(pair, ("not_listed", self._seen_at.get(pair, 0))))
            for pair in sorted(gone)
        ]


def with_budget(
    status: SourceStatus,
    *,
    next_call_at: int,
    minute: tuple[int, int],
    month: tuple[int, int | None],
) -> SourceStatus:
    """The status with its budget beside it: (calls, limit) of this minute and month."""
    return msgspec.structs.replace(
        status,
        next_call_at=next_call_at,
        calls_this_minute=minute[0],
        calls_per_minute=minute[1],
        calls_this_month=month[0],
        calls_per_month=month[1],
    )
