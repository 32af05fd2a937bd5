"""Checkpoints that share what did not change, and which change of a rule is its newest.

A step spells out what it does: it must mean the same after `tables.py` has moved on. Both columns have a default,
because the release before goes on writing rows without them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("parts", _Text, nullable=False, server_default=sa.text("''")))
    op.add_column("rules", sa.Column("change", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.create_table(
        "checkpoint_parts",
        sa.Column("name", _Text, primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
