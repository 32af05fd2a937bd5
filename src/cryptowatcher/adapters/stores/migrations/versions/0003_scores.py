"""What signals were worth.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ADVISED = sa.text("advice != 'info'")


def upgrade() -> None:
    op.create_table(
        "scores",
        _col("rule", _Text, key=True),
        _col("version", sa.Integer, key=True),
        _col("alert", _Text, key=True),
        _col("horizon", sa.BigInteger, key=True),
        _col("pair", _Text),
        _col("advice", _Text),
        _col("at", sa.BigInteger),
        _col("price", sa.Double),
        _col("later", sa.Double),
        _col("move", sa.Double),
        _col("move_after_fees", sa.Double),
        _col("fee", sa.Double),
        _col("scored_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("alerts_advised", "alerts", ["id"], sqlite_where=_ADVISED, postgresql_where=_ADVISED)


def _col(name: str, kind: Any, *, key: bool = False) -> sa.Column[Any]:
    if key:
        return sa.Column(name, kind, primary_key=True, autoincrement=False)
    return sa.Column(name, kind, nullable=False)
