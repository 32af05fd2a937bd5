"""Who draws."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cryptowatcher.domain.pictures import Picture

Draw = Callable[[Picture], Awaitable[bytes]]
"""A picture as PNG, of less than 60 KB. The same one gives the same bytes. It may raise anything: who asks goes on
without."""
