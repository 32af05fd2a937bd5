"""Chats that are linked to an owner, and alerts that were acknowledged.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _table("chat_links", _key("channel"), _key("chat", sa.BigInteger), _col("owner"), _ms("linked_at"))
    _table("chat_codes", _key("digest"), _col("channel"), _col("owner"), _ms("expires_at"))
    _table("chat_marks", _key("line"), _ms("upto"), _ms("at"))
    _table("acks", _key("alert"), _col("owner"), _ms("at"))


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False)


def _key(name: str, kind: type[sa.BigInteger] | None = None) -> sa.Column[object]:
    return sa.Column(name, kind or _Text, primary_key=True, autoincrement=False)


def _col(name: str) -> sa.Column[object]:
    return sa.Column(name, _Text, nullable=False)


def _ms(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)
