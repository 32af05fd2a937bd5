"""What people do not want to hear is kept back and not lost, and the end of a rule is told: on virtual time, over
the real store. It begins on Monday, 2024-01-01, 00:00 UTC."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.hours import parse_moment, renewed
from cryptowatcher.domain.messages import Message
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.courtesy import ENDINGS_AT_ONCE, ENDINGS_EVERY
from cryptowatcher.pipeline.notify import LONGEST_SLEEP
from cryptowatcher.ports import Cursor, Step, Tx
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.contracts.channel import sample_alert
from cryptowatcher.testing.contracts.store_case import sample_delivery, sample_price
from cryptowatcher.testing.virtual_time import START_MS, VirtualClock
from tests.pipeline.test_notify import Crash, Outbox, Recorder, accept, live, running

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
FROM_TEN_PAST = "00:10-23:00"


class Home(Outbox):
    """An outbox with rules in it."""

    async def rule(self, name: str = "drops", *, now: int | None = None, **said: Any) -> Rule:
        spec = RuleSpec(name=name, pairs=("all",), when="price > 1", **said)
        at = self.clock.now() if now is None else now
        return await self.store.run(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=0, now=at))

    async def fire(self, rule: Rule, count: int = 1, *, first: int = 1) -> None:
        """Alerts of the rule with a delivery each, due now."""
        now = self.clock.now()
        numbers = range(first, first + count)
        alerts = [
            msgspec.structs.replace(sample_alert(number), id=f"{rule.id}{number:09x}", rule=rule.id, at=now)
            for number in numbers
        ]
        deliveries = [
            msgspec.structs.replace(sample_delivery(alert), created_at=now, due_at=now) for alert in alerts
        ]
        await self._commit(alerts=alerts, deliveries=deliveries)

    async def observe(self, at: int) -> None:
        """A price of that time."""
        await self._commit(prices=[msgspec.structs.replace(sample_price("a/usd", None), observed_at=at)])

    async def _commit(self, **effects: Any) -> None:
        now = self.clock.now()

        def save(tx: Tx) -> None:
            before = tx.cursor()
            cursor = Cursor("j", before.seq + 1 if before else 1, max(now, before.at if before else 0))
            tx.commit_step(Step(cursor=cursor, **effects), epoch=tx.new_epoch("watch"), before=before)

        await self.store.run(save)

    async def snooze(self, rule: Rule, until: int) -> None:
        await self.store.run(lambda tx: tx.snooze(LOCAL_OWNER, rule.id, until))

    async def only_delivery(self) -> Delivery:
        (delivery,) = await self.deliveries()
        return delivery


class Reader(Recorder):
    """Remembers what it was told, too."""

    def __init__(self) -> None:
        super().__init__(accept)
        self.told: list[Alert] = []

    async def send(self, message: Message) -> str:
        self.told.append(message.alert)
        return await super().send(message)

    @property
    def kinds(self) -> list[str]:
        return [alert.kind for alert in self.told]


def play(folder: Path, story: Callable[[Home], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with open_sqlite_store(folder / "store.db", inline=Inline()) as store:
            await story(Home(store, VirtualClock()))

    virtual_time.run(main)


# --- active hours ----------------------------------------------------------------------------------


def test_what_comes_outside_the_active_hours_waits_for_them_and_says_so(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        await home.fire(await home.rule(active=FROM_TEN_PAST))
        async with running(home.notifier(channel)):
            await asyncio.sleep(1)
            held = await home.only_delivery()
            assert (held.state, held.is_held, held.held_until, held.attempts) == (
                "queued",
                True,
                START_MS + 10 * MINUTE,
                0,
            )
            assert held.held == f"active hours {FROM_TEN_PAST}"
            await asyncio.sleep(598)
            assert channel.calls == []
            await asyncio.sleep(2)
            sent = await home.only_delivery()
        assert channel.calls[0].at == 600
        assert (sent.state, sent.is_held, sent.held_until) == ("sent", False, held.held_until)

    play(tmp_path, story)


def test_in_the_active_hours_it_goes_out_at_once(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        await home.fire(await home.rule(active="mon 00:00-00:10"))
        async with running(home.notifier(channel)):
            await asyncio.sleep(1)
        assert (await home.only_delivery()).held_until == 0
        assert channel.calls[0].at == 0

    play(tmp_path, story)


def test_other_hours_free_what_is_held(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        await home.fire(await home.rule(active=FROM_TEN_PAST))
        async with running(home.notifier(channel)):
            await asyncio.sleep(10)
            await home.rule(active="00:01-23:00")
            await asyncio.sleep(LONGEST_SLEEP)
            assert (await home.only_delivery()).held_until == START_MS + MINUTE
            await home.rule(active="")
            await asyncio.sleep(LONGEST_SLEEP + 1)
            assert len(channel.accepted) == 1

    play(tmp_path, story)


def test_hours_are_those_of_the_wall_even_while_the_outbox_is_ahead_of_it(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        rule = await home.rule(active=FROM_TEN_PAST)
        notifier = home.notifier(channel)
        async with running(notifier):
            await asyncio.sleep(300)
            await home.observe(home.clock.now())
            home.clock.step(-5 * MINUTE)
            await home.fire(rule)
            notifier.wake()
            await asyncio.sleep(599)
            assert channel.calls == []
            await asyncio.sleep(2)
            assert channel.calls[0].at == 900

    play(tmp_path, story)


def test_what_fails_in_its_hours_waits_for_the_next_ones_and_is_not_too_old_then(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        async def down(delivery: Delivery) -> str:
            raise Unavailable("HTTP 503", reason="server_error")

        channel = Recorder(down)
        await home.fire(await home.rule(active="mon 00:00-00:01; thu 00:00-00:01"))
        async with running(home.notifier(channel)):
            await asyncio.sleep(600)
            held = await home.only_delivery()
            tried = len(channel.calls)
        assert (held.state, held.is_held, held.attempts) == ("retrying", True, tried)
        assert held.held_until == START_MS + 3 * DAY
        home.clock.step(3 * DAY - 605_000)
        channel.answer = accept
        async with running(home.notifier(channel, holder="next")):
            await asyncio.sleep(30)
            assert (await home.only_delivery()).state == "sent"

    play(tmp_path, story)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_held_survives_every_crash_and_comes_in_its_hours(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        random = Random(seed)
        channel = Recorder(accept)

        async def maybe_die() -> None:
            if random.random() < 0.03:
                raise Crash

        clock = VirtualClock()
        async with open_sqlite_store(tmp_path / "store.db", inline=Inline()) as store:
            home = Home(store, clock)
            await home.fire(await home.rule(active=FROM_TEN_PAST), 100)
            silent = await home.rule("silent")
            await home.snooze(silent, START_MS + 5 * MINUTE)
            await home.fire(silent, 100)
        for life_number in range(200):
            inline = Inline(before_commit=maybe_die, after_commit=maybe_die)
            async with open_sqlite_store(tmp_path / "store.db", inline=inline) as store:
                notifier = Home(store, clock).notifier(channel, holder=f"life {life_number}", grace=1)
                await live(notifier, random.uniform(10, 120))
            if clock.now() > START_MS + 25 * MINUTE:
                break
        async with open_sqlite_store(tmp_path / "store.db", inline=Inline()) as store:
            assert await Home(store, clock).states() == {"sent": 100, "snoozed": 100}
        assert life_number > 10
        assert len(set(channel.accepted)) == 100
        assert round(min(call.at for call in channel.calls), 3) >= 600

    virtual_time.run(main)


# --- snooze ----------------------------------------------------------------------------------------


def test_a_snoozed_rule_sends_nothing_and_the_rows_say_why(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        rule = await home.rule()
        await home.snooze(rule, START_MS + MINUTE)
        await home.fire(rule, 3)
        async with running(home.notifier(channel)):
            await asyncio.sleep(62)
            assert await home.states() == {"snoozed": 3}
            await home.fire(rule, first=4)
            await asyncio.sleep(LONGEST_SLEEP + 1)
        *silent, sent = await home.deliveries()
        assert {(each.state, each.receipt, each.attempts) for each in silent} == {
            ("snoozed", "snoozed until 2024-01-01T00:01Z", 0)
        }
        assert sent.state == "sent"
        assert len(channel.calls) == 1
        assert len(await home.store.run(lambda tx: tx.alerts(LOCAL_OWNER, limit=9))) == 4

    play(tmp_path, story)


def test_a_rule_that_is_woken_speaks_again(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        rule = await home.rule()
        await home.snooze(rule, START_MS + DAY)
        await home.store.run(lambda tx: tx.wake(LOCAL_OWNER, rule.id))
        await home.fire(rule)
        async with running(home.notifier(channel)):
            await asyncio.sleep(1)
        assert (await home.only_delivery()).state == "sent"

    play(tmp_path, story)


def test_a_storm_of_a_silent_rule_holds_up_nobody(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Recorder(accept)
        silent, loud = await home.rule("a silent one"), await home.rule("loud")
        await home.snooze(silent, START_MS + DAY)
        await home.fire(silent, 1_000)
        await home.fire(loud)
        async with running(home.notifier(channel)):
            await asyncio.sleep(2)
        assert await home.states() == {"snoozed": 1_000, "sent": 1}
        assert channel.calls[0].rule == loud.id

    play(tmp_path, story)


def test_what_is_in_flight_is_what_becomes_of_it(tmp_path: Path) -> None:
    """Its lease ran out in our own hands, and its rule was silenced meanwhile: it is sent, and once."""

    async def story(home: Home) -> None:
        async def slowly(delivery: Delivery) -> str:
            await asyncio.sleep(8)
            return "ok"

        channel = Recorder(slowly)
        rule = await home.rule()
        await home.fire(rule)
        notifier = home.notifier(channel)
        async with running(notifier):
            await asyncio.sleep(1)
            home.clock.step(7 * DAY)
            await home.snooze(rule, home.clock.now() + DAY)
            notifier.wake()
            await asyncio.sleep(60)
            assert (await home.only_delivery()).state == "sent"
        assert len(channel.calls) == 1

    play(tmp_path, story)


# --- the end of a rule -----------------------------------------------------------------------------


def test_the_end_of_a_rule_is_told_a_day_before_and_when_it_comes_and_once_each(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Reader()
        await home.rule(expires="2024-01-02T00:01Z")
        await home.rule("for ever")
        async with running(home.notifier(channel)):
            await home.observe(START_MS + MINUTE - 1)
            await asyncio.sleep(2 * ENDINGS_EVERY)
            assert channel.kinds == []
            await home.observe(START_MS + MINUTE)
            await asyncio.sleep(ENDINGS_EVERY + LONGEST_SLEEP)
            assert channel.kinds == ["expiring"]
        home.clock.step(DAY)
        for life_number in range(3):
            async with running(home.notifier(channel, holder=f"life {life_number}")):
                await home.observe(START_MS + DAY + MINUTE)
                await asyncio.sleep(ENDINGS_EVERY + LONGEST_SLEEP)
        assert channel.kinds == ["expiring", "expired"]
        assert {(each.kind, each.state) for each in await home.deliveries()} == {("expiry", "sent")}
        assert {alert.event_time for alert in channel.told} == {parse_moment("2024-01-02T00:01Z")}

    play(tmp_path, story)


def test_a_clock_that_is_a_year_ahead_ends_no_rule(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Reader()
        await home.rule(expires="2024-03-01")
        await home.observe(START_MS)
        home.clock.step(365 * DAY)
        async with running(home.notifier(channel)):
            await asyncio.sleep(2 * ENDINGS_EVERY)
        assert channel.told == []
        home.clock.step(-365 * DAY)
        await home.observe(START_MS + 365 * DAY)  # nor does a source whose clock is
        async with running(home.notifier(channel)):
            await asyncio.sleep(2 * ENDINGS_EVERY)
        assert channel.told == []

    play(tmp_path, story)


def test_an_end_that_came_while_nobody_ran_is_told_as_one(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Reader()
        await home.rule(expires="2024-03-01")
        home.clock.step(100 * DAY)
        await home.observe(home.clock.now())
        async with running(home.notifier(channel)):
            await asyncio.sleep(2 * ENDINGS_EVERY)
        assert channel.kinds == ["expired"]

    play(tmp_path, story)


def test_many_ends_at_once_are_all_told_and_to_the_channels_of_their_rules(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        ops, mail = Reader(), Reader()
        mail.name = "mail"
        many = 2 * ENDINGS_AT_ONCE + 3
        for number in range(many):
            await home.rule(
                f"rule {number}", expires="2024-01-01T00:01Z", channels=("mail",) if number % 2 else ()
            )
        await home.observe(START_MS + MINUTE)
        home.clock.step(MINUTE)
        notifier = home.notifier(ops, mail, defaults=("ops",))
        async with running(notifier):
            await asyncio.sleep(2)
            notifier.wake()
            await asyncio.sleep(10)
        assert Counter(ops.kinds) == {"expired": many // 2 + 1}
        assert Counter(mail.kinds) == {"expired": many // 2}

    play(tmp_path, story)


def test_a_notice_that_is_no_longer_true_is_not_sent(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Reader()
        rule = await home.rule(expires="2024-01-02T00:00:01Z", active=FROM_TEN_PAST)
        await home.observe(START_MS + MINUTE)
        home.clock.step(MINUTE)
        async with running(home.notifier(channel)):
            await asyncio.sleep(1)
            assert (await home.only_delivery()).is_held
            longer = renewed(rule.spec, now=home.clock.now(), lasting=30 * DAY)
            await home.rule(**{name: getattr(longer, name) for name in ("expires", "active")})
            await asyncio.sleep(600)
        assert channel.told == []
        (gone,) = await home.deliveries()
        assert (gone.state, gone.receipt) == ("cancelled", "the end of the rule was changed")

    play(tmp_path, story)


def test_the_end_of_a_snoozed_rule_is_told(tmp_path: Path) -> None:
    async def story(home: Home) -> None:
        channel = Reader()
        rule = await home.rule(expires="2024-01-01T00:01Z")
        await home.snooze(rule, START_MS + DAY)
        await home.observe(START_MS + MINUTE)
        home.clock.step(MINUTE)
        async with running(home.notifier(channel)):
            await asyncio.sleep(1)
        assert channel.kinds == ["expired"]

    play(tmp_path, story)
