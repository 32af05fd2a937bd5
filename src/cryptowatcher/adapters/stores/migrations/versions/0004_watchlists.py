"""Owners' lists of pairs.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "watchlists",
        sa.Column("owner", _Text, primary_key=True, autoincrement=False),
        sa.Column("name", _Text, primary_key=True, autoincrement=False),
        sa.Column("pairs", _Text, nullable=False),
        sa.Column("origin", _Text, nullable=False),
        sqlite_with_rowid=False,
    )
