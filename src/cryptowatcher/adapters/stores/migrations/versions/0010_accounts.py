"""Accounts: users, their sessions and tokens, links that are good once, log-ins that failed; and an index by which
alerts and deliveries of further users are found.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_OTHERS = sa.text("owner != 'local'")


def upgrade() -> None:
    _table(
        "users",
        _key("id"),
        _col("name"),
        _col("role"),
        _col("owner"),
        _col("password"),
        _col("disabled", sa.Boolean()),
        _ms("created_at"),
    )
    op.create_index("users_name", "users", ["name"], unique=True)
    op.create_index("users_owner", "users", ["owner"], unique=True)
    _table("sessions", _key("digest"), _col("user"), _ms("created_at"), _ms("seen_at"), _ms("expires_at"))
    op.create_index("sessions_user", "sessions", ["user"])
    times = (_ms("created_at"), _ms("expires_at"), _ms("used_at"))
    _table("tokens", _key("digest"), _col("user"), _col("name"), _col("role"), *times)
    op.create_index("tokens_user", "tokens", ["user"])
    _table("links", _key("digest"), _col("kind"), _col("role"), _col("user"), _ms("created_at"), _ms("expires_at"))
    _table("login_failures", _key("key"), _col("count", sa.Integer()), _ms("last_at"))
    for table in ("alerts", "deliveries"):
        op.create_index(f"{table}_others", table, ["owner", "id"], sqlite_where=_OTHERS, postgresql_where=_OTHERS)


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False)


def _key(name: str) -> sa.Column[object]:
    return sa.Column(name, _Text, primary_key=True, autoincrement=False)


def _col(name: str, kind: sa.Boolean | sa.Integer | None = None) -> sa.Column[object]:
    return sa.Column(name, kind or _Text, nullable=False)


def _ms(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)
