"""What an engine's state says, whatever slots its rules happen to be in."""

from __future__ import annotations

from typing import Any

from cryptowatcher.domain.rules.book import Book
from cryptowatcher.domain.rules.engine import EngineState
from cryptowatcher.domain.rules.enrolment import RuleState


def rules_of(state: EngineState) -> list[RuleState]:
    """All rules by their ids; at the end those that are not understood.

    In which order they came decides nothing, and a watcher that learns of several edits as one gives a rule its
    slot later than one that learns of each.
    """
    book = Book()
    book.restore(state.book)
    slots = [slot for slot in book.all_slots if book.alive[slot]]
    rules = [RuleState(book.plain(s), book.start(s), book.standings(s), book.joined(s)) for s in slots]
    return [*sorted(rules, key=lambda state: state.rule.id), *state.unreadable]


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
