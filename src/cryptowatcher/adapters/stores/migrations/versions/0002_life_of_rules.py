"""The life that surrounds a rule's firing: parts and suppressed crossings of an alert, deliveries that are held,
the end of a rule, and snoozes.

A step spells out what it does: it must mean the same after `tables.py` has moved on. Every column has a default,
because the release before goes on writing rows without it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_HAS_NOTICE = sa.text("notice_at > 0")


def upgrade() -> None:
    _add("alerts", "parts", _Text, "'[]'")
    _add("alerts", "suppressed", sa.Integer, "0")
    _add("deliveries", "kind", _Text, "'alert'")
    _add("deliveries", "held_until", sa.BigInteger, "0")
    _add("deliveries", "held", _Text, "''")
    _add("rules", "notice_at", sa.BigInteger, "0")
    op.create_index("rules_notice", "rules", ["notice_at"], sqlite_where=_HAS_NOTICE, postgresql_where=_HAS_NOTICE)
    op.create_table(
        "snoozes",
        sa.Column("rule", _Text, primary_key=True, autoincrement=False),
        sa.Column("owner", _Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _add(table: str, name: str, kind: Any, default: str) -> None:
    op.add_column(table, sa.Column(name, kind, nullable=False, server_default=sa.text(default)))
