"""A change of a rule knows the one before, so that tidy finds it by its key. Of those there are it is unknown.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("rule_changes", sa.Column("before", sa.BigInteger, nullable=False, server_default=sa.text("0")))
