"""The stores against a plain model: whatever is done in whatever order, they answer as dictionaries would."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.postgres import open_postgres_store
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.adapters.stores.tables import metadata
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.rules.model import Lifecycle, Rule, RuleSpec, next_version, rule_id
from cryptowatcher.ports import Cursor, Fenced, Step, Store, Tx
from cryptowatcher.testing.contracts.store_case import sample_alert, sample_delivery

T = TypeVar("T")

NAMES = ("drops", "rises", "Äther")
CHANNELS = ("mail", "ops")
HOLDERS = ("a", "b")
PARTS = ("p1", "p2", "p3", "p4")
UNFINISHED = ("queued", "retrying", "leased")


class Model:
    """A store as it would be if nothing could fail."""

    def __init__(self) -> None:
        self.epoch = 0
        self.cursor: Cursor | None = None
        self.alerts: dict[str, Alert] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.lifecycle: dict[tuple[str, str], Lifecycle] = {}
        self.rules: dict[str, Rule] = {}
        self.versions: dict[str, int] = {}
        self.changes: list[tuple[str, Rule | None]] = []
        self.parts: set[str] = set()
        self.checkpoints: dict[tuple[str, int, int], frozenset[str]] = {}

    def commit(self, step: Step, epoch: int, before: Cursor | None) -> bool:
        if epoch != self.epoch or epoch == 0 or before != self.cursor:
            return False
        self.cursor = step.cursor
        for alert in step.alerts:
            self.alerts.setdefault(alert.id, alert)
        for delivery in step.deliveries:
            self.deliveries.setdefault(delivery.id, delivery)
        for key in step.at_rest:
            self.lifecycle.pop(key, None)
        for row in step.lifecycle:
            self.lifecycle[row.rule, row.pair] = row
        return True

    def save_checkpoint(self, at: Cursor, schema: int, names: frozenset[str]) -> bool:
        if names - self.parts:
            return False
        self.checkpoints = {key: parts for key, parts in self.checkpoints.items() if key[0] == at.journal}
        self.checkpoints[at.journal, schema, at.seq] = names
        for old in sorted(key for key in self.checkpoints if key[1] == schema)[:-2]:
            del self.checkpoints[old]
        self.parts &= set().union(*self.checkpoints.values())
        return True

    def claim(
        self, now: int, holder: str, lease: int, limit: int, only: set[str] | None
    ) -> list[tuple[Delivery, Alert]]:
        claimed: list[tuple[Delivery, Alert]] = []
        for each in sorted(self.deliveries.values(), key=lambda row: (row.due_at, row.id)):
            free = each.state in ("queued", "retrying") or (each.state == "leased" and each.leased_until <= now)
            if not free or each.due_at > now or (only is not None and each.channel not in only):
                continue
            if len(claimed) == limit:
                break
            if self.is_stopped(each.rule):
                new = msgspec.structs.replace(each, state="cancelled", finished_at=now, leased_until=0)
            else:
                new = msgspec.structs.replace(each, state="leased", holder=holder, leased_until=now + lease)
                claimed.append((new, self.alerts[each.alert]))
            self.deliveries[each.id] = new
        return claimed

    def is_stopped(self, identity: str) -> bool:
        if identity not in self.versions:
            return False
        return identity not in self.rules or self.rules[identity].spec.paused

    def settle(self, delivery: Delivery) -> None:
        stored = self.deliveries[delivery.id]
        if stored.state == "leased" and stored.holder == delivery.holder:
            self.deliveries[delivery.id] = delivery

    def next_due(self) -> int | None:
        rows = [row for row in self.deliveries.values() if row.state in UNFINISHED]
        return min((row.leased_until if row.state == "leased" else row.due_at for row in rows), default=None)

    def save_rule(self, spec: RuleSpec) -> Rule:
        identity = rule_id("local", spec.name)
        before = self.rules.get(identity)
        if before is not None and before.spec == spec:
            return before
        version = next_version(before, spec) if before else self.versions.get(identity, 0) + 1
        rule = Rule(id=identity, owner="local", version=version, spec=spec)
        self.rules[identity], self.versions[identity] = rule, version
        self.changes.append((identity, rule))
        return rule

    def remove_rule(self, name: str) -> bool:
        identity = rule_id("local", name)
        if self.rules.pop(identity, None) is None:
            return False
        self.changes.append((identity, None))
        return True


class StoreMachine(RuleBasedStateMachine):
    """Each rule does the same to the store and to the model."""

    new_place: ClassVar[Callable[[], str]]
    opening: ClassVar[Callable[[str], AbstractAsyncContextManager[Store]]]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).new_place()
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.now = 100
        self.claimed: list[Delivery] = []
        self.open()

    def open(self) -> None:
        self.context = type(self).opening(self.place)
        self.store = self.loop.run_until_complete(self.context.__aenter__())

    def run(self, job: Callable[[Tx], T]) -> T:
        return self.loop.run_until_complete(self.store.run(job))

    @rule()
    def take_over(self) -> None:
        epoch = self.run(lambda tx: tx.new_epoch("watch"))
        assert epoch > self.model.epoch
        self.model.epoch = epoch

    @rule(
        numbers=st.lists(st.integers(0, 12), max_size=5),
        names=st.sampled_from(NAMES),
        stale_epoch=st.sampled_from([0, 0, 0, 1]),
        right_cursor=st.sampled_from([True, True, True, False]),
        inside=st.booleans(),
    )
    def commit(self, numbers: list[int], names: str, stale_epoch: int, right_cursor: bool, inside: bool) -> None:
        identity = rule_id("local", names)
        alerts = [sample_alert(number, rule=identity) for number in numbers]
        due = [self.now + number * 7 for number in numbers]
        deliveries = [
            sample_delivery(alert, channel, due_at=at)
            for alert, at in zip(alerts, due, strict=True)
            for channel in CHANNELS
        ]
        at = Cursor("j", (self.model.cursor.seq if self.model.cursor else 0) + 1, self.now)
        key = (identity, "p/usd")
        step = Step(
            cursor=at,
            alerts=alerts,
            deliveries=deliveries,
            lifecycle=[Lifecycle(rule=key[0], version=1, pair=key[1], state="inside", since=at.seq)]
            if inside
            else [],
            at_rest=[] if inside else [key],
        )
        epoch = self.model.epoch - stale_epoch
        before = self.model.cursor if right_cursor else Cursor("j", 999_999, 0)
        if self.model.commit(step, epoch, before):
            self.run(lambda tx: tx.commit_step(step, epoch=epoch, before=before))
        else:
            with pytest.raises(Fenced):
                self.run(lambda tx: tx.commit_step(step, epoch=epoch, before=before))

    @rule(
        holder=st.sampled_from(HOLDERS),
        lease=st.integers(1, 40),
        limit=st.integers(1, 6),
        only=st.none() | st.sets(st.sampled_from([*CHANNELS, "none"])),
    )
    def claim(self, holder: str, lease: int, limit: int, only: set[str] | None) -> None:
        found = self.run(lambda tx: tx.claim(now=self.now, holder=holder, lease=lease, limit=limit, only=only))
        assert found == self.model.claim(self.now, holder, lease, limit, only)
        self.claimed += [delivery for delivery, _ in found]

    @rule(which=st.integers(0, 99), state=st.sampled_from(["sent", "given_up", "retrying"]))
    def settle(self, which: int, state: Any) -> None:
        if not self.claimed:
            return
        delivery = self.claimed[which % len(self.claimed)]
        over = state != "retrying"
        new = msgspec.structs.replace(
            delivery,
            state=state,
            attempts=delivery.attempts + 1,
            leased_until=0,
            due_at=delivery.due_at if over else self.now + 30,
            finished_at=self.now if over else 0,
        )
        self.run(lambda tx: tx.settle([new]))
        self.model.settle(new)

    @rule(
        name=st.sampled_from(NAMES),
        when=st.sampled_from(["price > 1", "price > 2"]),
        cooldown=st.sampled_from(["0s", "5m"]),
        paused=st.booleans(),
    )
    def save_rule(self, name: str, when: str, cooldown: str, paused: bool) -> None:
        spec = RuleSpec(name=name, pairs=("all",), when=when, cooldown=cooldown, paused=paused)
        assert self.run(lambda tx: tx.save_rule("local", spec, head=0, now=self.now)) == self.model.save_rule(spec)

    @rule(name=st.sampled_from(NAMES))
    def remove_rule(self, name: str) -> None:
        removed = self.run(lambda tx: tx.remove_rule("local", name, head=0, now=self.now))
        assert removed == self.model.remove_rule(name)

    @rule(names=st.sets(st.sampled_from(PARTS)))
    def put_parts(self, names: set[str]) -> None:
        self.run(lambda tx: tx.put_parts({name: name.encode() for name in names}))
        self.model.parts |= names

    @rule(
        names=st.frozensets(st.sampled_from(PARTS), max_size=3),
        journal=st.sampled_from(["j", "j", "j", "other"]),
        schema=st.integers(2, 3),
        seq=st.integers(1, 5),
    )
    def save_checkpoint(self, names: frozenset[str], journal: str, schema: int, seq: int) -> None:
        at = Cursor(journal, seq, 0)
        saved = self.run(lambda tx: tx.save_checkpoint(at, schema, b"%d" % seq, sorted(names)))
        assert saved == self.model.save_checkpoint(at, schema, names)

    @rule(ms=st.integers(1, 60))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def a_job_that_raises(self) -> None:
        def fail(tx: Tx) -> None:
            tx.claim(now=self.now + 10_000, holder="nobody", lease=1, limit=99)
            tx.remove_rule("local", NAMES[0], head=0, now=0)
            raise LookupError

        with pytest.raises(LookupError):
            self.run(fail)

    @rule()
    def open_again(self) -> None:
        self.close()
        self.open()

    @invariant()
    def they_agree(self) -> None:
        self.run(self.compare)

    def compare(self, tx: Tx) -> None:
        model = self.model
        assert tx.cursor() == model.cursor
        assert {alert.id: alert for alert in tx.alerts("local", limit=999)} == model.alerts
        assert {each.id: each for each in tx.deliveries("local", limit=999)} == model.deliveries
        assert {(row.rule, row.pair): row for row in tx.lifecycle()} == model.lifecycle
        assert tx.next_due() == model.next_due()
        assert tx.parts(PARTS) == {name: name.encode() for name in model.parts}
        for journal, schema, seq in model.checkpoints:
            assert tx.checkpoint(journal, schema, seq) == (Cursor(journal, seq, 0), b"%d" % seq)
        assert {rule.id: rule for rule in tx.rules("local")} == model.rules
        assert [(change.rule_id, change.rule) for change in tx.rule_changes(0)] == model.changes

    def close(self) -> None:
        self.loop.run_until_complete(self.context.__aexit__(None, None, None))

    def teardown(self) -> None:
        self.close()
        self.loop.close()


def _check(
    new_place: Callable[[], str], opening: Callable[[str], AbstractAsyncContextManager[Store]], examples: int
) -> None:
    machine = type(
        "Machine", (StoreMachine,), {"new_place": staticmethod(new_place), "opening": staticmethod(opening)}
    )
    chosen = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(machine, settings=chosen)


def test_sqlite_answers_as_the_model(tmp_path: Path) -> None:
    numbers = itertools.count()

    async def make_tables() -> None:
        async with open_sqlite_store(tmp_path / "empty.db", inline=Inline()):
            pass

    def new_place() -> str:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(tmp_path / "empty.db", path)
        return str(path)

    asyncio.run(make_tables())
    _check(new_place, lambda path: open_sqlite_store(Path(path), inline=Inline()), examples=20)


def test_postgres_answers_as_the_model(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    tables = ", ".join(table.name for table in metadata.sorted_tables)

    def new_place() -> str:
        with engine.begin() as db:
            db.exec_driver_sql(f"TRUNCATE {tables}")
            db.exec_driver_sql("INSERT INTO counters VALUES ('rule changes', 0)")
        return url

    _check(new_place, lambda url: open_postgres_store(url, inline=Inline()), examples=8)
