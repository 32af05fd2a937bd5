"""How long things took, for whoever wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What a trace is about: one answer of a source. `received_at` is epoch ms."""

    source: str
    received_at: int


class Traces(Protocol):
    """Tells how long things took, each part of the program for itself. Never blocks, never raises."""

    def span(
        self,
        name: str,
        answer: Answer,
        began: int,
        ended: int,
        said: Mapping[str, str | int | float] | None = None,
        *,
        root: bool = False,
        error: str = "",
    ) -> None:
        """Something that was done for an answer. Times are epoch ms; `said` are attributes, `root` is what all the
        other spans of the answer lie under; `error` is a stable word for why it failed."""
        ...
