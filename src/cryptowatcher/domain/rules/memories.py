"""What rules remember of pairs: when they fired. It survives edits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from cryptowatcher.domain.copies import FEW, Copies
from cryptowatcher.domain.rules.model import Firing
from cryptowatcher.domain.rules.moves import Place


class Memories:
    """By rule and pair, and what of it somebody has to write down."""

    def __init__(self) -> None:
        self._firings: dict[Place, Firing] = {}
        self._fired: set[Place] = set()
        self._together: list[tuple[int, Copies[Firing]]] = []  # the pair's column, and rules that fired together

    def __bool__(self) -> bool:
        """Whether there is something to write down."""
        return bool(self._fired or self._together)

    def get(self, place: Place) -> Firing | None:
        """A rule's memory for a pair."""
        return self._firings.get(place)

    def of_many(self, rules: Sequence[str], col: int) -> list[Firing | None]:
        """The same of many for one pair."""
        return [self._firings.get((rule, col)) for rule in rules]

    def put(self, place: Place, firing: Firing) -> None:
        """Write it down, to be stored."""
        self._firings[place] = firing
        self._fired.add(place)

    def put_alike(self, first: Firing, rules: list[str], col: int) -> None:
        """Each of these rules, which are on this pair alone, remembers the same."""
        if len(rules) < FEW:
            for rule in rules:
                self.put((rule, col), msgspec.structs.replace(first, rule=rule))
            return
        firings = Copies(first, {"rule": rules})
        self._firings.update(zip([(rule, col) for rule in rules], firings, strict=True))
        self._together.append((col, firings))

    def recall(self, place: Place, firing: Firing) -> None:
        """It is stored already."""
        self._firings[place] = firing

    def __iter__(self) -> Iterator[Firing]:
        """All, in an order that does not tell how they came about."""
        return (self._firings[place] for place in sorted(self._firings))

    def clear(self) -> None:
        """Everything is written."""
        self._fired.clear()
        self._together.clear()

    def take(self, *, together: bool) -> tuple[list[Firing], list[Copies[Firing]]]:
        """Since the last call, in order of rules and columns. `together`: those that fired together by themselves,
        unless one of them did so twice."""
        if not (together and self._are_apart()):
            self._fired.update((rule, col) for col, fired in self._together for rule in fired.own["rule"])
            self._together.clear()
        firings = [self._firings[place] for place in sorted(self._fired)]
        copies = [fired for _, fired in self._together]
        self.clear()
        return firings, copies

    def _are_apart(self) -> bool:
        rules = {rule for rule, _ in self._fired}.union(*(fired.own["rule"] for _, fired in self._together))
        return len(rules) == len({rule for rule, _ in self._fired}) + sum(
            len(fired) for _, fired in self._together
        )
