"""Channels that people add, what they prefer of all channels, how channels are, and keys of the installation.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _table(
        "channels",
        _key("owner"),
        _key("name"),
        _col("kind"),
        _col("settings"),
        _col("secrets"),
        _ms("changed_at"),
        _ms("version"),
    )
    _table("preferences", _key("owner"), _col("wanted"))
    _table("channel_states", _key("channel"), _ms("sent_at"), _ms("failing_since"), _col("error"))
    _table("keys", _key("name"), _col("value"))


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False)


def _key(name: str) -> sa.Column[object]:
    return sa.Column(name, _Text, primary_key=True, autoincrement=False)


def _col(name: str) -> sa.Column[object]:
    return sa.Column(name, _Text, nullable=False)


def _ms(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)
