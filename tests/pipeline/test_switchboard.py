"""Channels come, change and go while everything runs: nothing in flight is dropped, nothing goes astray.

Longer than 400 lines because all of it happens in one house.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
import pytest

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.accounts import Role, User
from cryptowatcher.domain.alerts import first_id_at
from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.reaching import Person, Preferences, Reach, Setting, StoredChannel, Wishes
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.pipeline.notify import Notifier
from cryptowatcher.pipeline.switchboard import Directory, Switchboard
from cryptowatcher.pipeline.watch import deliveries_of
from cryptowatcher.ports import Channel, Cursor, Step, Store, Tx
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.channel import sample_alert
from cryptowatcher.testing.virtual_time import VirtualClock

SETTING = Setting(channels=("ops",), needs={"fake": "user", "risky": "admin"}, wishes=Wishes(group_from=100))
Answer = Callable[[], Awaitable[str]]
T = TypeVar("T")


class House:
    """A store, people, channels of theirs, and who opens them: each message is written down with where it went."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.told: list[str] = []  # `address` or `address/place`
        self.open_: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.broken = ""
        self.faults: list[Exception] = []  # that the next openings raise
        self.away = False  # the store, for the jobs at work
        self.wake: Callable[[], None] = lambda: None
        self._made = 0

    def policy(self, channel: StoredChannel) -> ChannelPolicy:
        return ChannelPolicy(deadline=20.0, quiet=str(channel.settings.get("quiet", "")))

    @asynccontextmanager
    async def open(self, channel: StoredChannel) -> AsyncIterator[Channel]:
        where = f"{channel.address}/{channel.settings.get('place', '')}".rstrip("/")
        if channel.address == self.broken:
            raise ConfigError("it cannot be", where="settings")
        if self.faults:
            raise self.faults.pop(0)
        self.open_.append(where)
        yield self.hearing(channel.name, where)
        self.open_.remove(where)

    def hearing(self, name: str, where: str) -> Channel:
        house = self

        class Hearing:
            @property
            def name(self) -> str:
                return name

            async def send(self, message: Message) -> str:
                house.told.append(where)
                return await house.answers[where]() if where in house.answers else "taken"

        return Hearing()

    @asynccontextmanager
    async def at_work(self, holder: str = "me") -> AsyncIterator[None]:
        directory, store = Directory(SETTING), Leaving(self)
        notifier = Notifier(
            store,
            {"ops": self.hearing("ops", "ops")},
            clock=self.clock,
            random=Random(1),
            holder=holder,
            directory=directory,
        )
        self.wake = notifier.wake
        switchboard = Switchboard(store, directory, self, notifier)
        async with AsyncExitStack() as stack:
            for job in (switchboard.run, notifier.run):  # the last is ended first
                task = asyncio.create_task(job())
                stack.push_async_callback(ended, task)
            yield

    async def has(self, owner: str, name: str = "phone", *, kind: str = "fake", **settings: str) -> None:
        channel = StoredChannel(owner=owner, name=name, kind=kind, settings=settings, secrets={}, changed_at=0)
        await self.store.run(lambda tx: tx.save_channel(channel))

    async def lacks(self, owner: str, name: str = "phone") -> None:
        await self.store.run(lambda tx: tx.remove_channel(owner, name))

    async def person(self, owner: str, role: Role = "user", *, disabled: bool = False) -> None:
        user = User(id=owner, name=owner, role=role, owner=owner, password="", disabled=disabled, created_at=0)

        def put(tx: Tx) -> None:
            if not tx.add_user(user):
                tx.change_user(user)

        await self.store.run(put)

    async def fires(self, owner: str, *channels: str, remind: str = "", escalate: tuple[str, ...] = ()) -> None:
        """An alert, as watch commits it."""
        self._made += 1
        now = self.clock.now()
        spec = RuleSpec(
            name=f"rule {self._made}",
            pairs=("a/usd",),
            when="price > 1",
            channels=channels,
            remind=remind,
            escalate=escalate,
        )

        def commit(tx: Tx) -> None:
            rule = tx.save_rule(owner, spec, head=0, now=0)
            alert = msgspec.structs.replace(
                sample_alert(self._made),
                id=f"{first_id_at(now)}-{self._made:020x}",
                owner=owner,
                rule=rule.id,
                channels=channels,
                at=now,
                event_time=now,
            )
            before = tx.cursor()
            cursor = Cursor(journal="j", seq=(before.seq if before else 0) + 1, at=now)
            step = Step(cursor=cursor, alerts=[alert], deliveries=[*deliveries_of([alert], tx.reach(SETTING))])
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=before)

        await self.store.run(commit)
        self.wake()

    async def deliveries(self, owner: str) -> list[Delivery]:
        """Oldest first."""
        found = await self.store.run(lambda tx: tx.deliveries(owner, limit=1000))
        return found[::-1]

    async def states(self, owner: str) -> list[str]:
        return [each.state for each in await self.deliveries(owner)]


class Leaving:
    """The store, as the jobs have it: it is away for a while now and then."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def run(self, work: Callable[[Tx], T]) -> T:
        if self._house.away:
            raise Unavailable("the store is away", reason="connect")
        return await self._house.store.run(work)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def play(folder: Path, story: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with open_sqlite_store(folder / "store.db", inline=Inline()) as store:
            await story(House(store))

    virtual_time.run(main)


def test_a_channel_that_is_added_is_told_within_two_seconds_and_another_of_its_name_is_not(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.person("anna")
        await house.person("ben")
        async with house.at_work():
            await asyncio.sleep(5)
            await house.has("anna")
            await house.has("ben")
            await house.fires("anna", "phone")
            await house.fires("ben")
            await asyncio.sleep(2)
            assert sorted(house.told) == ["phone@anna", "phone@ben"]
            assert await house.states("anna") == await house.states("ben") == ["sent"]

    play(tmp_path, story)


def test_what_is_in_flight_goes_on_when_its_channel_changes_and_the_next_goes_the_new_way(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        async def slowly() -> str:
            await asyncio.sleep(6)
            return "slowly"

        house.answers["phone@local/old"] = slowly
        await house.has(LOCAL_OWNER, place="old")
        async with house.at_work():
            await asyncio.sleep(2)
            await house.fires(LOCAL_OWNER, "phone")
            await asyncio.sleep(1)
            await house.has(LOCAL_OWNER, place="new")
            await asyncio.sleep(2)
            await house.fires(LOCAL_OWNER, "phone")
            await asyncio.sleep(1)
            assert house.open_ == ["phone@local/old", "phone@local/new"], "the old one is still in use"
            await asyncio.sleep(5)
            assert house.open_ == ["phone@local/new"]
        assert house.told == ["phone@local/old", "phone@local/new"]
        assert [each.receipt for each in await house.deliveries(LOCAL_OWNER)] == ["slowly", "taken"]

    play(tmp_path, story)


def test_what_waits_for_a_channel_that_is_removed_is_given_up_with_the_reason(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        async def slowly() -> str:
            await asyncio.sleep(4)
            return "in the end"

        house.answers["phone@local"] = slowly
        await house.has(LOCAL_OWNER)
        async with house.at_work():
            await asyncio.sleep(2)
            for _ in range(10):  # eight at once
                await house.fires(LOCAL_OWNER, "phone")
            await asyncio.sleep(1)
            await house.lacks(LOCAL_OWNER)
            await house.fires(LOCAL_OWNER, "phone")
            await asyncio.sleep(2)
            found = [each for each in await house.deliveries(LOCAL_OWNER) if each.state == "given_up"]
            assert len(found) == 3
            assert {each.last_error for each in found} == {"channel removed: there is no channel 'phone'"} | {
                "channel removed: there is no channel 'phone' in the configuration"
            }
            await asyncio.sleep(4)
        assert (await house.states(LOCAL_OWNER)).count("sent") == 8, "what was in flight has its receipt"
        assert house.open_ == []

    play(tmp_path, story)


def test_an_admin_who_is_one_no_more_rings_the_channels_of_the_configuration_no_more(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.person("anna", "admin")
        await house.has("anna", "risky", kind="risky")
        await house.fires("anna", "ops", "risky")  # while nobody sends
        await house.person("anna", "user")
        await house.fires("anna", "ops", "risky")
        async with house.at_work():
            await asyncio.sleep(3)
        assert house.told == []
        deliveries = await house.deliveries("anna")
        assert {each.state for each in deliveries} == {"given_up"}
        assert len({each.last_error for each in deliveries}) == 3
        async with house.at_work("other"):
            await house.person("anna", "admin")
            await house.fires("anna", "ops", "risky")
            await asyncio.sleep(3)
        assert sorted(house.told) == ["ops", "risky@anna"]

    play(tmp_path, story)


def test_alerts_of_a_disabled_account_go_nowhere_and_those_of_the_first_go_on(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.person("anna", "admin")
        await house.has("anna")
        await house.fires("anna", "phone", "ops")
        for owner in ("anna", LOCAL_OWNER):
            await house.person(owner, "admin", disabled=True)
        await house.fires("anna", "phone", "ops")
        await house.fires(LOCAL_OWNER, "ops")
        async with house.at_work():
            await asyncio.sleep(3)
        assert house.told == ["ops"]
        assert [(each.state, each.last_error) for each in await house.deliveries("anna")] == [
            ("given_up", "the account is disabled")
        ] * 2
        assert await house.states(LOCAL_OWNER) == ["sent"]

    play(tmp_path, story)


def test_quiet_hours_are_those_of_whose_alert_it_is(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        for owner in ("anna", "ben"):
            await house.person(owner)
            await house.has(owner)
        night = Preferences(quiet="00:00-00:30")
        await house.store.run(lambda tx: tx.save_preferences("anna", night))
        async with house.at_work():
            for owner in ("anna", "ben"):
                await house.fires(owner)
            await asyncio.sleep(3)
            assert house.told == ["phone@ben"]
            await house.store.run(lambda tx: tx.save_preferences("anna", Preferences(quiet="")))
            await asyncio.sleep(31 * 60)
        assert house.told == ["phone@ben", "phone@anna"]

    play(tmp_path, story)


def test_a_channel_that_cannot_be_opened_or_does_what_it_must_not_harms_no_other(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        async def bug() -> str:
            raise ValueError("topic=secret")

        house.broken = "broken@local"
        house.answers["odd@local"] = bug
        for name in ("broken", "odd", "phone"):
            await house.has(LOCAL_OWNER, name)
        async with house.at_work():
            await house.fires(LOCAL_OWNER, "broken", "odd", "phone")
            await asyncio.sleep(3)
            found = {each.channel: each for each in await house.deliveries(LOCAL_OWNER)}
        assert found["phone@local"].state == "sent"
        assert (found["odd@local"].state, "secret" in found["odd@local"].last_error) == ("given_up", False)
        assert found["broken@local"].state == "retrying"
        assert "cannot be opened" in found["broken@local"].last_error

    play(tmp_path, story)


def test_channels_stay_open_and_go_on_when_the_store_was_away(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.has(LOCAL_OWNER)
        async with house.at_work():
            await asyncio.sleep(2)
            house.away = True
            await asyncio.sleep(10)
            assert house.open_ == ["phone@local"]
            house.away = False
            await house.has(LOCAL_OWNER, "mail")
            await house.fires(LOCAL_OWNER, "phone", "mail")
            await asyncio.sleep(3)
        assert sorted(house.told) == ["mail@local", "phone@local"]

    play(tmp_path, story)


def test_a_channel_whose_opening_fails_for_a_while_or_by_a_bug_harms_no_other(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.has(LOCAL_OWNER)
        house.faults = [Unavailable("the store of its key is away", reason="connect")]
        async with house.at_work():
            await house.fires(LOCAL_OWNER, "phone")
            await asyncio.sleep(10)
            assert house.told == ["phone@local"]
            house.faults = [ValueError("topic=secret")]
            await house.has(LOCAL_OWNER, "odd")
            await house.fires(LOCAL_OWNER, "phone", "odd")
            await asyncio.sleep(3)
            assert house.told == ["phone@local"] * 2
            odd = next(each for each in await house.deliveries(LOCAL_OWNER) if each.channel == "odd@local")
            assert (odd.state, "secret" in odd.last_error) == ("retrying", False)

    play(tmp_path, story)


def test_a_channel_that_can_be_opened_takes_the_place_of_an_older_one_that_failed_late(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.has(LOCAL_OWNER, place="old")
        house.faults = [Unavailable("away", reason="connect"), ConfigError("too late", where="settings")]
        async with house.at_work():
            await asyncio.sleep(0.5)
            house.faults = []
            await house.has(LOCAL_OWNER, place="new")
            await asyncio.sleep(10)
            await house.fires(LOCAL_OWNER, "phone")
            await asyncio.sleep(3)
        assert house.told == ["phone@local/new"]

    play(tmp_path, story)


def test_whoever_an_alert_escalates_to_is_told_though_its_channel_was_removed_a_moment_ago(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.person("anna")
        await house.has("anna")
        await house.has("anna", "mail")
        async with house.at_work():
            await asyncio.sleep(2)
            # In the same second, so that the lane is still there.
            await house.lacks("anna")
            await house.fires("anna", "phone", remind="10m", escalate=("mail",))
            await asyncio.sleep(11 * 60)
        assert house.told == ["mail@anna"]

    play(tmp_path, story)


def test_who_is_an_admin_does_not_reach_another_owners_channel_by_its_address() -> None:
    people = Person("anna", "admin"), Person("ben", "user")
    mine, theirs = (
        StoredChannel(owner=owner, name="phone", kind="fake", settings={}, secrets={}, changed_at=0)
        for owner in ("anna", "ben")
    )
    reach = Reach(setting=SETTING, people=people, stored=(mine, theirs))
    assert reach.refused("anna", "phone@anna") == ""
    assert reach.refused("anna", "phone@ben") == "channel removed: there is no channel 'phone'"


def test_an_own_channel_stands_in_for_another_by_the_name_that_its_owner_gave_it(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        async def refuse() -> str:
            raise ValueError

        await house.person("anna")
        house.answers["phone@anna"] = refuse
        await house.has("anna", fallback="mail")
        await house.has("anna", "mail")
        await house.has(LOCAL_OWNER, "mail")
        async with house.at_work():
            await house.fires("anna", "phone")
            await asyncio.sleep(4)
        assert house.told == ["phone@anna", "mail@anna"]

    play(tmp_path, story)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_changes_while_it_dies_and_lives_again_nothing_is_lost_doubled_or_goes_astray(
    tmp_path: Path, seed: int
) -> None:
    """Kills between a change and its take-up, and in the middle of sends; each alert ends once, at its owner's."""
    random = Random(seed)
    owners = ("anna", "ben", LOCAL_OWNER)

    async def story(house: House) -> None:
        for owner in owners[:2]:
            await house.person(owner)
        fired = 0
        for life in range(12):
            async with house.at_work(f"life {life}"):
                for _ in range(random.randrange(1, 8)):
                    owner = random.choice(owners)
                    if random.random() < 0.3:
                        await house.has(owner, place=str(random.randrange(3)))
                    elif random.random() < 0.15:
                        await house.lacks(owner)
                    else:
                        await house.fires(owner, "phone")
                        fired += 1
                    await asyncio.sleep(random.choice((0, 0.05, 0.3, 1.5)))
        async with house.at_work("last"):
            await asyncio.sleep(120)
        found = [each for owner in owners for each in await house.deliveries(owner)]
        assert len(found) == fired
        assert {each.state for each in found} <= {"sent", "given_up"}
        sent = [each.channel for each in found if each.state == "sent"]
        assert sorted(sent) == sorted(where.partition("/")[0] for where in house.told)
        assert all(each.channel in (f"phone@{each.owner}", "phone") for each in found)
        assert not any(each.state == "sent" and each.channel == "phone" for each in found)

    play(tmp_path, story)
