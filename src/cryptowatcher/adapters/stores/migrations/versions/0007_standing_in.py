"""Deliveries that another channel stands in for, and messages that tell of several alerts.

A step spells out what it does: it must mean the same after `tables.py` has moved on. Every column has a default,
because the release before goes on writing rows without it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_BUNDLED = sa.text("bundle != ''")


def upgrade() -> None:
    for name in ("bundle", "fallback", "fallback_of"):
        op.add_column("deliveries", sa.Column(name, _Text, nullable=False, server_default=sa.text("''")))
    for table in ("alerts", "deliveries"):
        urgent = sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.text("false"))
        op.add_column(table, urgent)
    op.create_index(
        "deliveries_bundle", "deliveries", ["bundle"], sqlite_where=_BUNDLED, postgresql_where=_BUNDLED
    )
