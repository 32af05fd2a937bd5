"""How commands answer: a table for people, JSON for programs, a note on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.texts import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def now() -> int:
    """Wall time, epoch ms."""
    return int(time.time() * 1000)


def console() -> Console:
    """Standard output; as wide as it takes when it is not a terminal, so that nothing is cut in a file."""
    from rich.console import Console  # the page's process says a sentence at most, and does without

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def note(text: str) -> None:
    """A sentence for the person, not part of the answer."""
    print("\n".join(map(plain, text.split("\n"))), file=sys.stderr)


def as_json(answer: Any) -> None:
    """One JSON document, written as the API writes it."""
    print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, right: Sequence[str] = ()) -> None:
    """A table; the columns named in `right` hold numbers. What cells say is shown as it is: no control characters,
    no markup."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(_cell, row))
    console().print(grid)


def _cell(said: str | Text) -> Text:
    from rich.text import Text

    return Text(plain(said)) if isinstance(said, str) else Text(plain(said.plain), style=said.style)


def counted(number: int, thing: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def moment(at: int) -> str:
    """Epoch ms → `2026-11-22 11:26:18` (UTC)."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def age(ms: int) -> str:
    """How long ago, in its two largest units: `42s`, `3h12m`."""
    for unit, finer in (("d", "h"), ("h", "m"), ("m", "s"), ("s", "s")):
        if ms >= MS[unit]:
            return show_duration(ms // MS[finer] * MS[finer])
    return "now"


def large(number: float | None) -> str:
    """1234567890 → `1.23 B`; unknown is a dash."""
    if number is None:
        return "–"
    for unit, letter in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{letter}" if number < 1000 * unit else f"{number / unit:,.0f}{letter}"
    return f"{number:.3g}"
