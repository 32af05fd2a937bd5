"""`[history]`: whether what was not watched is asked for afterwards, and what that may take."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cryptowatcher.domain.backfill import Terms


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the watcher did not see itself: prices from before it was started and while it was away, asked of
    sources that have them. Only with calls that the rounds of prices leave over: no round ever begins later for
    it.

    enabled: whether to ask at all
    share:   of the calls that rounds leave over in a minute, more than 0 and at most 1
    credits: a month, where a plan counts them, that may be used for history although the rounds could use them
    all;
             the rounds are then that much slower
    all_pairs: whether to ask also for pairs that no rule looks at, so that a rule of tomorrow knows them
    """

    enabled: bool = True
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    credits: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0
    all_pairs: bool = True

    def terms(self) -> Terms | None:
        """What may be used; None: nothing."""
        return Terms(share=self.share, credits=self.credits, all_pairs=self.all_pairs) if self.enabled else None
