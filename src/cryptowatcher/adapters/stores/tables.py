"""The tables, once for SQLite and PostgreSQL.

Text sorts by code point on both, so that "in order of name" and "ids < before" mean the same. Keys come from
content and grow with time where there are many rows, so that rows go in at the end of their tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

metadata = sa.MetaData()

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Ms = sa.BigInteger
Float = sa.Double


def _table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, metadata, *parts, sqlite_with_rowid=False)


def _key(name: str, kind: Any = Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _col(name: str, kind: Any = Text, *, unknown: bool = False, default: str | None = None) -> sa.Column[Any]:
    """`default`: what stands there when the release before, which does not know the column, writes the row."""
    return sa.Column(name, kind, nullable=unknown, server_default=default and sa.text(default))


# Numbers that only grow: the epoch of each role, and the last rule change. A transaction that has counted
# holds the row until it ends, so numbers become visible in their order.
CHANGES = "rule changes"
SETTLED = "rule changes settled"
REACHING = "reaching"
counters = _table("counters", _key("name"), _col("value", Ms))

cursors = _table("cursors", _key("role"), _col("journal"), _col("seq", Ms), _col("at", Ms))

# No index by owner: with one owner it would repeat the key, and a storm would pay for it.
alerts = _table(
    "alerts",
    _key("id"),
    _col("owner"),
    _col("rule"),
    _col("rule_name"),
    _col("version", sa.Integer),
    _col("pair"),
    _col("kind"),
    _col("event_time", Ms),
    _col("at", Ms),
    _col("seq", Ms),
    _col("condition"),
    _col("value", Float),
    _col("constant", Float),
    _col("previous", Float, unknown=True),
    _col("price", Float),
    _col("source"),
    _col("received_at", Ms),
    _col("gap_ms", Ms),
    _col("advice"),
    _col("channels"),
    _col("late", sa.Boolean),
    _col("parts", default="'[]'"),
    _col("suppressed", sa.Integer, default="0"),
    _col("urgent", sa.Boolean, default="false"),
)

# Those of the first account, of which there may be millions, do not pay for the others' being found at once.
OTHERS_ALERTS = alerts.c.owner != sa.literal_column("'local'")

sa.Index(
    "alerts_others",
    alerts.c.owner,
    alerts.c.id,
    sqlite_where=OTHERS_ALERTS,
    postgresql_where=OTHERS_ALERTS,
)

# Few alerts are signals, and scoring looks for them among all.
ADVISED = alerts.c.advice != sa.literal_column("'info'")

sa.Index("alerts_advised", alerts.c.id, sqlite_where=ADVISED, postgresql_where=ADVISED)

# Notices of pairs that are not seen, or are again: few, and asked for by themselves.
SIGHTED = alerts.c.kind.in_([sa.literal_column(f"'{kind}'") for kind in ("blind", "back")])

sa.Index("alerts_sighted", alerts.c.id, sqlite_where=SIGHTED, postgresql_where=SIGHTED)

deliveries = _table(
    "deliveries",
    _key("id"),
    _col("alert"),
    _col("owner"),
    _col("rule"),
    _col("channel"),
    _col("state"),
    _col("created_at", Ms),
    _col("due_at", Ms),
    _col("attempts", sa.Integer),
    _col("leased_until", Ms),
    _col("holder"),
    _col("last_error"),
    _col("receipt"),
    _col("finished_at", Ms),
    _col("kind", default="'alert'"),
    _col("held_until", Ms, default="0"),
    _col("held", default="''"),
    _col("bundle", default="''"),
    _col("fallback", default="''"),
    _col("fallback_of", default="''"),
    _col("urgent", sa.Boolean, default="false"),
)

# Literals, not parameters: a partial index serves only queries that state its condition word for word.
UNFINISHED = deliveries.c.state.in_(
    [sa.literal_column(f"'{state}'") for state in ("queued", "retrying", "leased")]
)
LEASED = deliveries.c.state == sa.literal_column("'leased'")

sa.Index(
    "deliveries_due",
    deliveries.c.channel,
    deliveries.c.due_at,
    deliveries.c.id,
    sqlite_where=UNFINISHED,
    postgresql_where=UNFINISHED,
)
sa.Index(
    "deliveries_leased",
    deliveries.c.channel,
    deliveries.c.leased_until,
    sqlite_where=LEASED,
    postgresql_where=LEASED,
)

OTHERS_DELIVERIES = deliveries.c.owner != sa.literal_column("'local'")

sa.Index(
    "deliveries_others",
    deliveries.c.owner,
    deliveries.c.id,
    sqlite_where=OTHERS_DELIVERIES,
    postgresql_where=OTHERS_DELIVERIES,
)

# Few deliveries go out together with others.
BUNDLED = deliveries.c.bundle != sa.literal_column("''")

sa.Index("deliveries_bundle", deliveries.c.bundle, sqlite_where=BUNDLED, postgresql_where=BUNDLED)

# Nor are many given up.
GIVEN_UP = deliveries.c.state == sa.literal_column("'given_up'")

sa.Index("deliveries_given_up", deliveries.c.finished_at, sqlite_where=GIVEN_UP, postgresql_where=GIVEN_UP)

lifecycle = _table(
    "lifecycle", _key("rule"), _col("version", sa.Integer), _key("pair"), _col("state"), _col("since", Ms)
)

firings = _table(
    "firings",
    _key("rule"),
    _key("pair"),
    _col("last_fired_at", Ms),
    _col("fired", sa.Integer),
    _col("suppressed", sa.Integer),
    _col("busy_until", Ms, default="0"),
    _col("price", sa.Double, default="0"),
    _col("version", sa.Integer, default="0"),
)

# What signals were worth. A rule's score reads one stretch of it.
scores = _table(
    "scores",
    _key("rule"),
    _key("version", sa.Integer),
    _key("alert"),
    _key("horizon", Ms),
    _col("pair"),
    _col("advice"),
    _col("at", Ms),
    _col("price", Float),
    _col("later", Float),
    _col("move", Float),
    _col("move_after_fees", Float),
    _col("fee", Float),
    _col("scored_at", Ms),
)

candles = _table(
    "candles",
    _key("pair"),
    _key("interval", Ms),
    _key("start", Ms),
    _col("open", Float),
    _col("high", Float),
    _col("low", Float),
    _col("close", Float),
    _col("volume_24h", Float, unknown=True),
    _col("ticks", sa.Integer),
    _col("observed_ms", Ms),
    _col("complete", sa.Boolean),
)

prices = _table(
    "prices",
    _key("pair"),
    _col("price", Float),
    _col("volume_24h", Float, unknown=True),
    _col("market_cap", Float, unknown=True),
    _col("observed_at", Ms),
    _col("received_at", Ms),
    _col("valid_until", Ms),
    _col("source"),
    _col("seq", Ms),
)

take_ups = _table("take_ups", _key("number", Ms), _col("seq", Ms))

# The newest change of each rule. A deleted rule keeps its row without a spec, because its version must go on
# growing if a rule of that name comes again: ids of alerts are made of it. `change` is the number of that change.
# The release before does not write it, so it may be that of an older one, and 0 is unknown.
rules = _table(
    "rules",
    _key("id"),
    _col("owner"),
    _col("name"),
    _col("version", sa.Integer),
    _col("origin"),
    _col("paused", sa.Boolean),
    _col("spec", unknown=True),
    _col("notice_at", Ms, default="0"),
    _col("change", Ms, default="0"),
    sa.Index("rules_owner", "owner", "name", unique=True),
)

# When the owner is to be told next that a rule ends; 0 is never. Few rules have an end.
HAS_NOTICE = rules.c.notice_at > sa.literal_column("0")

sa.Index("rules_notice", rules.c.notice_at, sqlite_where=HAS_NOTICE, postgresql_where=HAS_NOTICE)

snoozes = _table("snoozes", _key("rule"), _col("owner"), _col("until", Ms))

# Chats whose word counts as their owner's, codes (hashed) by which one is linked, how far each account was heard.
chat_links = _table("chat_links", _key("channel"), _key("chat", Ms), _col("owner"), _col("linked_at", Ms))

chat_codes = _table("chat_codes", _key("digest"), _col("channel"), _col("owner"), _col("expires_at", Ms))

chat_marks = _table("chat_marks", _key("line"), _col("upto", Ms), _col("at", Ms))

# Alerts that their owner has seen. Few are: no column of `alerts`.
acks = _table("acks", _key("alert"), _col("owner"), _col("at", Ms))

# Up to when each owner was told in summaries of what happened, by which plan.
summaries = _table("summaries", _key("owner"), _col("plan"), _col("upto", Ms))

# Accounts. Secrets are hashed: long random ones by SHA-256, passwords by argon2id.
users = _table(
    "users",
    _key("id"),
    _col("name"),
    _col("role"),
    _col("owner"),
    _col("password"),
    _col("disabled", sa.Boolean),
    _col("created_at", Ms),
    sa.Index("users_name", "name", unique=True),
    sa.Index("users_owner", "owner", unique=True),
)

sessions = _table(
    "sessions",
    _key("digest"),
    _col("user"),
    _col("created_at", Ms),
    _col("seen_at", Ms),
    _col("expires_at", Ms),
    sa.Index("sessions_user", "user"),
)

tokens = _table(
    "tokens",
    _key("digest"),
    _col("user"),
    _col("name"),
    _col("role"),
    _col("created_at", Ms),
    _col("expires_at", Ms),
    _col("used_at", Ms),
    sa.Index("tokens_user", "user"),
)

links = _table(
    "links",
    _key("digest"),
    _col("kind"),
    _col("role"),
    _col("user"),
    _col("created_at", Ms),
    _col("expires_at", Ms),
)

# Channels that people have added, with their secrets as they are: the channel needs them. `version` is the number
# of the change, of those that who is reached where depends on.
channels = _table(
    "channels",
    _key("owner"),
    _key("name"),
    _col("kind"),
    _col("settings"),
    _col("secrets"),
    _col("changed_at", Ms),
    _col("version", Ms),
)

preferences = _table("preferences", _key("owner"), _col("wanted"))

# How a channel is, by its address: when it took a message last, since when it takes none and why. 0: never.
channel_states = _table(
    "channel_states", _key("channel"), _col("sent_at", Ms), _col("failing_since", Ms), _col("error")
)

# Of the installation itself, made once.
keys = _table("keys", _key("name"), _col("value"))

login_failures = _table("login_failures", _key("key"), _col("count", sa.Integer), _col("last_at", Ms))

watchlists = _table("watchlists", _key("owner"), _key("name"), _col("pairs"), _col("origin"))

# `before`: number of the change of the same rule before this one; 0 for none, or unknown: the release before does
# not write it. Of each rule the newest change stays for ever, of the others those that a start might ask for.
rule_changes = _table(
    "rule_changes",
    _key("number", Ms),
    _col("rule_id"),
    _col("owner"),
    _col("head", Ms),
    _col("saved_at", Ms),
    _col("rule", unknown=True),
    _col("before", Ms, default="0"),
)

checkpoints = _table(
    "checkpoints",
    _key("journal"),
    _key("schema", sa.Integer),
    _key("seq", Ms),
    _col("at", Ms),
    _col("state", sa.LargeBinary),
    _col("parts", default="''"),
)

# What checkpoints are made of, by the hash of its content; `checkpoints.parts` has the names, with blanks between.
# A row is long, so the names stand in an index of their own.
checkpoint_parts = sa.Table("checkpoint_parts", metadata, _key("name"), _col("data", sa.LargeBinary))

source_statuses = _table("source_statuses", _key("source"), _col("status"))

budgets = _table("budgets", _key("source"), _col("state", sa.LargeBinary))


# --- statements ------------------------------------------------------------------------------------


def insert_into(table: sa.Table, dialect: str) -> Any:
    """An INSERT that knows ON CONFLICT; both databases speak it alike."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def or_replace(statement: Any, table: sa.Table) -> Any:
    """… ON CONFLICT of the primary key, replace all other columns."""
    others = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=others)


def or_keep(statement: Any, table: sa.Table) -> Any:
    """… ON CONFLICT of the primary key, leave what stands."""
    return statement.on_conflict_do_nothing(index_elements=list(table.primary_key.columns))


Conflict = Callable[[Any, sa.Table], Any]
