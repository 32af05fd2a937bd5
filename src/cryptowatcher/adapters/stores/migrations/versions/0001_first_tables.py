"""The first tables.

A step spells out what it does: it must mean the same after `tables.py` has moved on.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_UNFINISHED = sa.text("state IN ('queued', 'retrying', 'leased')")
_LEASED = sa.text("state = 'leased'")


def upgrade() -> None:
    _small_tables()
    _alerts()
    _deliveries()
    _market()
    _rules()
    op.execute("INSERT INTO counters (name, value) VALUES ('rule changes', 0)")


def _small_tables() -> None:
    _table("counters", _key("name"), _ms("value"))
    _table("cursors", _key("role"), _text("journal"), _ms("seq"), _ms("at"))
    _table("take_ups", _key("number", sa.BigInteger), _ms("seq"))
    _table(
        "checkpoints",
        _key("journal"),
        _key("schema", sa.Integer),
        _key("seq", sa.BigInteger),
        _ms("at"),
        _col("state", sa.LargeBinary),
    )
    _table("source_statuses", _key("source"), _text("status"))
    _table("budgets", _key("source"), _col("state", sa.LargeBinary))


def _alerts() -> None:
    _table(
        "alerts",
        _key("id"),
        _text("owner"),
        _text("rule"),
        _text("rule_name"),
        _int("version"),
        _text("pair"),
        _text("kind"),
        _ms("event_time"),
        _ms("at"),
        _ms("seq"),
        _text("condition"),
        _float("value"),
        _float("constant"),
        _float("previous", unknown=True),
        _float("price"),
        _text("source"),
        _ms("received_at"),
        _ms("gap_ms"),
        _text("advice"),
        _text("channels"),
        _col("late", sa.Boolean),
    )


def _deliveries() -> None:
    _table(
        "deliveries",
        _key("id"),
        _text("alert"),
        _text("owner"),
        _text("rule"),
        _text("channel"),
        _text("state"),
        _ms("created_at"),
        _ms("due_at"),
        _int("attempts"),
        _ms("leased_until"),
        _text("holder"),
        _text("last_error"),
        _text("receipt"),
        _ms("finished_at"),
    )
    due, leased = ["channel", "due_at", "id"], ["channel", "leased_until"]
    op.create_index("deliveries_due", "deliveries", due, sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED)
    op.create_index("deliveries_leased", "deliveries", leased, sqlite_where=_LEASED, postgresql_where=_LEASED)


def _market() -> None:
    _table(
        "candles",
        _key("pair"),
        _key("interval", sa.BigInteger),
        _key("start", sa.BigInteger),
        _float("open"),
        _float("high"),
        _float("low"),
        _float("close"),
        _float("volume_24h", unknown=True),
        _int("ticks"),
        _ms("observed_ms"),
        _col("complete", sa.Boolean),
    )
    _table(
        "prices",
        _key("pair"),
        _float("price"),
        _float("volume_24h", unknown=True),
        _float("market_cap", unknown=True),
        _ms("observed_at"),
        _ms("received_at"),
        _ms("valid_until"),
        _text("source"),
        _ms("seq"),
    )


def _rules() -> None:
    _table(
        "rules",
        _key("id"),
        _text("owner"),
        _text("name"),
        _int("version"),
        _text("origin"),
        _col("paused", sa.Boolean),
        _text("spec", unknown=True),
    )
    op.create_index("rules_owner", "rules", ["owner", "name"], unique=True)
    _table(
        "rule_changes",
        _key("number", sa.BigInteger),
        _text("rule_id"),
        _text("owner"),
        _ms("head"),
        _ms("saved_at"),
        _text("rule", unknown=True),
    )
    _table("lifecycle", _key("rule"), _int("version"), _key("pair"), _text("state"), _ms("since"))
    _table("firings", _key("rule"), _key("pair"), _ms("last_fired_at"), _int("fired"), _int("suppressed"))


def _table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False)


def _key(name: str, kind: Any = _Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _col(name: str, kind: Any, *, unknown: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=unknown)


def _text(name: str, *, unknown: bool = False) -> sa.Column[Any]:
    return _col(name, _Text, unknown=unknown)


def _float(name: str, *, unknown: bool = False) -> sa.Column[Any]:
    return _col(name, sa.Double, unknown=unknown)


def _ms(name: str) -> sa.Column[Any]:
    return _col(name, sa.BigInteger)


def _int(name: str) -> sa.Column[Any]:
    return _col(name, sa.Integer)
