"""Channels that people have added, what they prefer, and how channels are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cryptowatcher.adapters.stores.rows import Concern
from cryptowatcher.adapters.stores.tables import (
    GIVEN_UP,
    REACHING,
    UNFINISHED,
    channel_states,
    channels,
    counters,
    deliveries,
    insert_into,
    or_replace,
    preferences,
    users,
)
from cryptowatcher.domain.channel_names import own_address
from cryptowatcher.domain.reaching import (
    ChannelFacts,
    Heard,
    Person,
    Preferences,
    Reach,
    Setting,
    StoredChannel,
)

_C, _D, _S = channels.c, deliveries.c, channel_states.c
_NUMBER = sa.select(counters.c.value).where(counters.c.name == REACHING)


class Reaching(Concern):
    """See ports.ReachingTx."""

    def reach_number(self) -> int:
        return int(self._db.execute(_NUMBER).scalar() or 0)

    def reach(self, setting: Setting, *, owner: str | None = None) -> Reach:
        # The number first: what is changed meanwhile is read again.
        number = self.reach_number()
        people = sa.select(users.c.owner, users.c.role, users.c.disabled).order_by(users.c.owner)
        stored = sa.select(channels).order_by(_C.owner, _C.name)
        wanted = sa.select(preferences)
        if owner is not None:
            people, stored = people.where(users.c.owner == owner), stored.where(_C.owner == owner)
            wanted = wanted.where(preferences.c.owner == owner)
        return Reach(
            setting=setting,
            number=number,
            people=tuple(Person(*row) for row in self._db.execute(people)),
            stored=tuple(_channel_of(row) for row in self._db.execute(stored)),
            preferences={
                row.owner: msgspec.json.decode(row.wanted, type=Preferences) for row in self._db.execute(wanted)
            },
        )

    def save_channel(self, channel: StoredChannel) -> StoredChannel:
        saved = msgspec.structs.replace(channel, version=reaching_changed(self._db))
        row = msgspec.structs.asdict(saved)
        row |= {name: msgspec.json.encode(row[name]).decode() for name in ("settings", "secrets")}
        self._put(channels, row)
        return saved

    def remove_channel(self, owner: str, name: str) -> bool:
        reaching_changed(self._db)
        self._db.execute(sa.delete(channel_states).where(_S.channel == own_address(owner, name)))
        gone = sa.delete(channels).where(_C.owner == owner, _C.name == name)
        return self._db.execute(gone).rowcount > 0

    def save_preferences(self, owner: str, wanted: Preferences) -> None:
        reaching_changed(self._db)
        self._put(preferences, {"owner": owner, "wanted": msgspec.json.encode(wanted).decode()})

    def note_heard(self, heard: Sequence[Heard]) -> None:
        for each in sorted(heard, key=lambda each: each.channel):
            taken = not each.error
            row = {
                "channel": each.channel,
                "sent_at": each.at if taken else 0,
                "failing_since": 0 if taken else each.at,
                "error": each.error,
            }
            self._db.execute(_heard(self._db.dialect.name, taken=taken), row)

    def channel_facts(
        self, owner: str, channels: Collection[str], *, since: int, most: int
    ) -> dict[str, ChannelFacts]:
        asked = sa.select(channel_states).where(_S.channel.in_(sorted(channels)))
        states = {row.channel: row for row in self._db.execute(asked)}
        given_up = dict(self._given_up(owner, since, most))
        found = {}
        for channel in channels:
            queued = self._count(most, UNFINISHED, _D.channel == channel, _D.owner == owner)
            facts = ChannelFacts(queued=queued, given_up=given_up.get(channel, 0))
            if state := states.get(channel):
                facts = msgspec.structs.replace(
                    facts, sent_at=state.sent_at, failing_since=state.failing_since, error=state.error
                )
            found[channel] = facts
        return found

    def _given_up(self, owner: str, since: int, most: int) -> list[tuple[str, int]]:
        newest = sa.select(_D.channel).where(GIVEN_UP, _D.finished_at >= since, _D.owner == owner).limit(most)
        asked = newest.subquery()
        counted = sa.select(asked.c.channel, sa.func.count()).group_by(asked.c.channel)
        return [(channel, number) for channel, number in self._db.execute(counted)]

    def _count(self, most: int, *which: sa.ColumnElement[bool]) -> int:
        some = sa.select(_D.id).where(*which).limit(most).subquery()
        return int(self._db.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())

    def _put(self, table: sa.Table, row: dict[str, Any]) -> None:
        self._db.execute(or_replace(insert_into(table, self._db.dialect.name), table), row)


def reaching_changed(db: sa.Connection) -> int:
    """The number of the change that is made now. It holds the counter until the transaction ends."""
    new = insert_into(counters, db.dialect.name).values(name=REACHING, value=1)
    more = new.on_conflict_do_update(index_elements=[counters.c.name], set_={"value": counters.c.value + 1})
    return int(db.execute(more.returning(counters.c.value)).scalar_one())


def _heard(dialect: str, *, taken: bool) -> Any:
    """A message that was taken ends what went wrong before it; one that was not leaves when it began."""
    new = insert_into(channel_states, dialect)
    began = sa.case((_S.failing_since > 0, _S.failing_since), else_=new.excluded.failing_since)
    after = {
        "sent_at": new.excluded.sent_at if taken else _S.sent_at,
        "failing_since": new.excluded.failing_since if taken else began,
        "error": new.excluded.error,
    }
    return new.on_conflict_do_update(index_elements=[_S.channel], set_=after)


def _channel_of(row: sa.Row[Any]) -> StoredChannel:
    return StoredChannel(
        owner=row.owner,
        name=row.name,
        kind=row.kind,
        settings=msgspec.json.decode(row.settings),
        secrets=msgspec.json.decode(row.secrets, type=dict[str, str]),
        changed_at=row.changed_at,
        version=row.version,
    )
