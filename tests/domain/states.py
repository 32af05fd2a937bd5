"""What an engine's state says, whatever slots its rules happen to be in."""

from __future__ import annotations

from typing import Any

from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.engine import EngineState
from cryptowatcher.domain.rules.enrolment import RuleState


def rules_of(state: EngineState) -> list[RuleState]:
    """All rules, in the order in which they came; at the end those that are not understood."""
    book = Book()
    book.restore(state.book)
    slots = [slot for slot in book.all_slots if book.alive[slot]]
    rules = [RuleState(book.plain(s), book.start(s), book.standings(s), book.joined(s)) for s in slots]
    return [*rules, *state.unreadable]


def told(state: EngineState) -> dict[str, Any]:
    """Everything that a later step depends on."""
    numbers = [(watched.number, watched.known, watched.rules) for watched in state.watched]
    return {
        "memory": state.memory,
        "rules": rules_of(state),
        "firings": state.firings,
        "watched": numbers,
        "tops": state.tops,
    }
