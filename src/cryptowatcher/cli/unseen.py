"""Pairs that somebody names and no source has shown: perhaps they are misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from cryptowatcher.cli.output import note
from cryptowatcher.domain.rules.check import is_pair
from cryptowatcher.ports import Tx


def observed(tx: Tx) -> list[str]:
    """The pairs that have a price."""
    return [price.pair for price in tx.prices()]


def note_unseen(pairs: Iterable[str], observed: Sequence[str], *, named_by: str) -> None:
    """Name those that have no price, where others have one. `named_by`: "rule 'btc drops'"."""
    for pair in pairs if observed else ():
        if not is_pair(pair) or pair in observed:
            continue
        same_asset = [other for other in observed if other.partition("/")[0] == pair.partition("/")[0]]
        near = (same_asset or difflib.get_close_matches(pair, observed, n=1, cutoff=0.75))[:1]
        meant = f"; did you mean {near[0]}?" if near else ""
        note(f"no source has shown {pair} yet ({named_by}){meant}")
