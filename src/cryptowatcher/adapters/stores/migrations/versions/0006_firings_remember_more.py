"""What a rule remembers of its last alert for a pair: how often it fired lately, and the price it counts from.

A step spells out what it does: it must mean the same after `tables.py` has moved on. Every column has a default,
because the release before goes on writing rows without it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _add("busy_until", sa.BigInteger)
    _add("price", sa.Double)
    _add("version", sa.Integer)


def _add(name: str, kind: Any) -> None:
    op.add_column("firings", sa.Column(name, kind, nullable=False, server_default=sa.text("0")))
