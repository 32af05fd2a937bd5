"""Summaries that are told once, and what they ask for by itself.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SIGHTED = sa.text("kind IN ('blind', 'back')")
_GIVEN_UP = sa.text("state = 'given_up'")


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("owner", _Text, primary_key=True, autoincrement=False),
        sa.Column("plan", _Text, nullable=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    _index("alerts_sighted", "alerts", "id", _SIGHTED)
    _index("deliveries_given_up", "deliveries", "finished_at", _GIVEN_UP)


def _index(name: str, table: str, column: str, where: sa.TextClause) -> None:
    op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
