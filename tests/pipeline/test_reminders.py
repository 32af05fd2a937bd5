"""What nobody acknowledges is told again, and to others too, each time once: on virtual time, over the real store.
It begins on Monday, 2024-01-01, 00:00 UTC."""

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
from cryptowatcher.domain.deliveries import FINAL, ChannelPolicy, Delivery, RetryPolicy
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.rules.model import LOCAL_OWNER, MOST_REMINDERS, Rule
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import START_MS, VirtualClock
from tests.pipeline.test_kindness import EACH, MINUTE, TOGETHER, House, Reader
from tests.pipeline.test_notify import Answer, Crash, accept, fail, live, moody, refuse, running

NIGHT = Kindness(quiet="00:02-00:04")
WITH_MAIL = msgspec.structs.replace(EACH, fallback="mail", fallback_after=2 * 60_000)


class Nagging(House):
    """An outbox with rules that remind every minute."""

    async def nagging(self, **said: Any) -> Rule:
        return await self.rule("drops", **{"remind": "1m", "channels": ("ops",)} | said)

    async def acknowledge(self) -> int:
        """Every alert."""

        def work(tx: Any) -> int:
            ids = [alert.id for alert in tx.alerts(LOCAL_OWNER, limit=1000)]
            return int(tx.acknowledge(LOCAL_OWNER, ids, self.clock.now()))

        return await self.store.run(work)

    async def also_to(self, channel: str) -> Delivery:
        """The one alert that there is."""
        [delivery] = await self.everything()
        other = msgspec.structs.replace(delivery, id=f"{delivery.alert}~{channel}", channel=channel)
        await self.store.run(lambda tx: tx.queue([other]))
        return other

    async def rows(self) -> dict[str, Delivery]:
        """By what follows the alert's id, of the one alert that there is."""
        return {each.id.partition("~")[2]: each for each in await self.everything()}


def play(folder: Path, story: Callable[[Nagging], Coroutine[Any, Any, None]], **how: Any) -> None:
    async def main() -> None:
        async with open_sqlite_store(folder / "store.db", inline=Inline(**how)) as store:
            await story(Nagging(store, VirtualClock()))

    virtual_time.run(main)


def minutes(channel: Reader) -> list[int]:
    """When it was called, to the minute."""
    return [round(call.at / MINUTE) for call in channel.calls]


# --- when ------------------------------------------------------------------------------------------


def test_it_is_told_again_ten_times_and_then_no_more(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        await house.move(1, rule=await house.nagging())
        async with running(house.notifier(ops)):
            await asyncio.sleep(15 * MINUTE)
        assert minutes(ops) == list(range(MOST_REMINDERS + 1))
        rows = await house.rows()
        assert sorted(rows) == sorted(["ops", *(f"ops~r{n}" for n in range(1, MOST_REMINDERS + 1))])
        assert {each.state for each in rows.values()} == {"sent"}
        assert [message.kind for message in ops.read] == ["alert"] + ["reminder"] * MOST_REMINDERS

    play(tmp_path, story)


def test_what_is_acknowledged_is_not_told_again_and_its_reminder_says_why(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        await house.move(1, rule=await house.nagging())
        async with running(house.notifier(ops)):
            await asyncio.sleep(1.5 * MINUTE)
            assert await house.acknowledge() == 1
            await asyncio.sleep(3 * MINUTE)
        assert minutes(ops) == [0, 1]
        last = (await house.rows())["ops~r2"]
        assert (last.state, last.attempts) == ("cancelled", 0)
        assert last.receipt == "acknowledged 2024-01-01T00:01:30Z"

    play(tmp_path, story)


def test_an_alert_that_was_acknowledged_before_it_was_sent_has_no_reminder(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        await house.move(1, rule=await house.nagging())
        await house.acknowledge()
        async with running(house.notifier(ops)):
            await asyncio.sleep(3 * MINUTE)
        assert list(await house.rows()) == ["ops"]

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("how", "state", "why"),
    [
        ("pause", "cancelled", "the rule is paused"),
        ("remove", "cancelled", "the rule was removed"),
        ("snooze", "snoozed", "snoozed until 2024-01-02T00:00Z"),
        ("no more", "cancelled", "the rule asks for no reminders any more"),
    ],
)
def test_a_rule_that_is_silent_meanwhile_does_not_remind(tmp_path: Path, how: str, state: str, why: str) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        rule = await house.nagging()
        await house.move(1, rule=rule)
        async with running(house.notifier(ops)):
            await asyncio.sleep(MINUTE / 2)
            if how == "pause":
                await house.nagging(paused=True)
            elif how == "no more":
                await house.nagging(remind="")
            elif how == "snooze":
                await house.snooze(rule, START_MS + 86_400_000)
            else:
                await house.store.run(lambda tx: tx.remove_rule(LOCAL_OWNER, rule.id, head=0, now=0))
            await asyncio.sleep(3 * MINUTE)
        rows = await house.rows()
        assert sorted(rows) == ["ops", "ops~r1"]
        assert (rows["ops~r1"].state, rows["ops~r1"].receipt) == (state, why)
        assert len(ops.calls) == 1

    play(tmp_path, story)


def test_a_rule_that_does_not_ask_for_it_reminds_of_nothing(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        await house.move(2, rule=await house.nagging(remind=""))
        await house.move(2)  # of a rule that is not there
        async with running(house.notifier(ops)):
            await asyncio.sleep(3 * MINUTE)
        assert len(await house.everything()) == 4

    play(tmp_path, story)


def test_a_reminder_is_of_its_own_time_neither_late_nor_too_old_nor_overdue(tmp_path: Path) -> None:
    """It is due long after the alert: the channel has as long for it as for any other message."""

    async def story(house: Nagging) -> None:
        ops, mail = Reader(), Reader(name="mail")
        retry = RetryPolicy(first=1_000, cap=10_000, give_up_after=3 * 60_000, late_after=60_000)
        policy = msgspec.structs.replace(WITH_MAIL, retry=retry, fallback_failures=99)
        await house.move(1, rule=await house.nagging(remind="10m"))
        async with running(house.notifier(ops, mail, policies={"ops": policy})):
            await asyncio.sleep(10 * MINUTE - 1)
            ops.answer = fail()
            await asyncio.sleep(MINUTE)
            ops.answer = accept
            await asyncio.sleep(MINUTE)
        rows = await house.rows()
        assert rows["ops~r1"].state == "sent"
        assert rows["ops~r1"].attempts > 1
        assert not mail.calls
        assert "Late" not in ops.read[-1].text.body

    play(tmp_path, story)


# --- to whom ---------------------------------------------------------------------------------------


def test_each_reminder_goes_to_the_next_channel_of_the_escalation_too_once_and_in_full(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops, phone, boss = Reader(), Reader(name="phone"), Reader(name="boss")
        await house.move(1, rule=await house.nagging(escalate=("phone", "boss")))
        async with running(house.notifier(ops, phone, boss)):
            await asyncio.sleep(4.5 * MINUTE)
        assert (minutes(ops), minutes(phone), minutes(boss)) == ([0, 1, 2, 3, 4], [1], [2])
        assert phone.read[0].text.body == ops.read[1].text.body
        assert ops.read[0].text.title in phone.read[0].text.title
        assert [call.delivery.partition("~")[2] for call in boss.calls] == ["boss~r2"]

    play(tmp_path, story)


def test_each_channel_of_a_rule_reminds_in_its_own_time_and_the_escalation_is_told_once(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops, mail, phone = Reader(), Reader(fail(), name="mail"), Reader(name="phone")
        rule = await house.nagging(channels=("ops", "mail"), escalate=("phone",))
        await house.move(1, rule=rule)
        delivery = await house.also_to("mail")
        async with running(house.notifier(ops, mail, phone)):
            await asyncio.sleep(4.5 * MINUTE)
            rows = await house.rows()
            assert (sorted(rows)[0], rows["mail"].state) == ("mail", "retrying")
            assert not any(name.startswith("mail~") for name in rows), "none waits behind what is not told"
            mail.answer = accept
            await asyncio.sleep(9 * MINUTE)
        assert minutes(ops) == list(range(MOST_REMINDERS + 1))
        assert mail.accepted[:3] == [f"{delivery.alert}~mail{which}" for which in ("", "~r1", "~r2")]
        assert minutes(phone) == [1]

    play(tmp_path, story)


def test_an_escalation_to_a_channel_of_the_rule_itself_tells_it_nothing_twice(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops, mail = Reader(), Reader(name="mail")
        await house.move(1, rule=await house.nagging(channels=(), escalate=("mail", "ops")))
        async with running(house.notifier(ops, mail, defaults=("ops", "mail"))):
            await asyncio.sleep(3.5 * MINUTE)
        assert (minutes(ops), minutes(mail)) == ([0, 1, 2, 3], [])

    play(tmp_path, story)


@pytest.mark.parametrize("answer", [fail(), refuse])
def test_what_another_channel_told_counts_as_told_and_so_do_its_reminders(tmp_path: Path, answer: Answer) -> None:
    async def story(house: Nagging) -> None:
        ops, mail = Reader(answer), Reader(name="mail")
        await house.move(1, rule=await house.nagging())
        policies = {"ops": WITH_MAIL, "mail": EACH}
        async with running(house.notifier(ops, mail, policies=policies)):
            await asyncio.sleep(20 * MINUTE)
            assert await house.acknowledge() == 1
            await asyncio.sleep(10 * MINUTE)
        told = [call.delivery.partition("~")[2] for call in mail.calls]
        assert told[:4] == ["mail", "mail~r1", "mail~r2", "mail~r3"]
        gaps = [b.at - a.at for a, b in zip(mail.calls, mail.calls[1:], strict=False)]
        assert all(MINUTE <= gap <= 4 * MINUTE for gap in gaps)
        assert mail.calls[-1].at <= 20 * MINUTE
        assert len(set(told)) == len(told)

    play(tmp_path, story)


def test_a_channel_whose_alert_another_channel_of_the_rule_told_has_its_reminders_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async def story(house: Nagging) -> None:
        ops, mail = Reader(fail()), Reader(name="mail")
        await house.move(1, rule=await house.nagging(channels=("ops", "mail")))
        await house.also_to("mail")
        async with running(house.notifier(ops, mail, policies={"ops": WITH_MAIL, "mail": EACH})):
            await asyncio.sleep(4.5 * MINUTE)
            assert (await house.rows())["ops"].receipt == "told through mail"
            ops.answer = accept
            await asyncio.sleep(5 * MINUTE)
        assert len(ops.accepted) > 1
        assert len(set(mail.accepted)) == len(mail.accepted)

    play(tmp_path, story)


def test_an_alert_that_nobody_takes_is_escalated_all_the_same(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops, phone = Reader(refuse), Reader(name="phone")
        await house.move(1, rule=await house.nagging(escalate=("phone",)))
        async with running(house.notifier(ops, phone)):
            await asyncio.sleep(1.5 * MINUTE)
        assert minutes(phone) == [1]

    play(tmp_path, story)


# --- kindness --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("urgent", "told"), [(False, [0, 1, 4, 5]), (True, [0, 1, 2, 3, 4, 5])])
def test_reminders_know_quiet_hours_but_for_urgent_rules(tmp_path: Path, urgent: bool, told: list[int]) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        await house.move(1, rule=await house.nagging(urgent=urgent), urgent=urgent)
        async with running(house.notifier(ops, policy=TOGETHER, kindness=NIGHT)):
            await asyncio.sleep(5.5 * MINUTE)
        assert minutes(ops) == told

    play(tmp_path, story)


def test_of_reminders_that_were_held_together_only_the_newest_is_told(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops, phone = Reader(), Reader(name="phone")
        asleep = msgspec.structs.replace(TOGETHER, quiet="23:00-00:04")
        await house.move(1, rule=await house.nagging(escalate=("phone", "phone")))
        async with running(house.notifier(ops, phone, policies={"phone": asleep})):
            await asyncio.sleep(4.5 * MINUTE)
        assert [call.delivery.partition("~")[2] for call in phone.calls] == ["phone~r2"]
        first = (await house.rows())["phone~r1"]
        assert (first.state, first.receipt) == ("cancelled", "a later reminder says the same")

    play(tmp_path, story)


def test_a_move_of_the_whole_market_is_reminded_of_in_one_message_too(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        await house.move(37, rule=await house.nagging())
        async with running(house.notifier(ops, policy=TOGETHER)):
            await asyncio.sleep(1.5 * MINUTE)
            await house.acknowledge()
            await asyncio.sleep(3 * MINUTE)
        assert ops.sizes == [37, 37]
        assert ops.read[1].text.title == f"Reminder 1: {ops.read[0].text.title}"
        assert ops.read[1].text.body.endswith("Acknowledge them: cryptowatcher alerts ack --all")
        assert Counter(each.state for each in await house.everything()) == {"sent": 74, "cancelled": 37}

    play(tmp_path, story)


def test_what_waits_in_quiet_hours_comes_apart_from_its_reminders(tmp_path: Path) -> None:
    async def story(house: Nagging) -> None:
        ops = Reader()
        rule = await house.nagging()
        await house.move(3, rule=rule)
        async with running(house.notifier(ops, policy=TOGETHER, kindness=NIGHT)):
            await asyncio.sleep(2.2 * MINUTE)
            await house.move(2, rule=rule)
            await asyncio.sleep(2 * MINUTE)
        told = {message.text.title.partition(":")[0]: len(message.alerts) for message in ops.read[6:]}
        assert told == {"Reminder 2": 3, "While it was quiet": 2}

    play(tmp_path, story)


# --- crashes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_whatever_ends_the_watcher_and_when_each_reminder_is_there_once_and_ends(
    tmp_path: Path, seed: int
) -> None:
    """It dies right before and right after commits, and in the middle of calls, and channels do what they like."""

    async def main() -> None:
        random = Random(seed)
        ops, phone = Reader(moody(random)), Reader(name="phone")

        async def maybe_die() -> None:
            if random.random() < 0.05:
                raise Crash

        async def in_house(inline: Inline, story: Callable[[Nagging], Coroutine[Any, Any, None]]) -> None:
            async with open_sqlite_store(tmp_path / "store.db", inline=inline) as store:
                await story(Nagging(store, VirtualClock()))

        async def begin(house: Nagging) -> None:
            await house.move(4, rule=await house.nagging(remind="1m", escalate=("phone",)))

        found: list[Delivery] = []
        first_seen: dict[str, Delivery] = {}

        async def look(house: Nagging) -> None:
            found[:] = await house.everything()

        await in_house(Inline(), begin)
        for life in range(200):
            holder, lasting = f"life {life}", random.uniform(20, 200)

            async def one(house: Nagging, holder: str = holder, lasting: float = lasting) -> None:
                retry = RetryPolicy(first=1_000, cap=20_000)
                policy = ChannelPolicy(deadline=10.0, at_once=8, retry=retry)
                await live(house.notifier(ops, phone, policy=policy, holder=holder, grace=0), lasting)

            dying = Inline(before_commit=maybe_die, after_commit=maybe_die) if life < 40 else Inline()
            await in_house(dying, one)
            await in_house(Inline(), look)
            for each in found:
                if each.state in FINAL:
                    assert first_seen.setdefault(each.id, each) == each, "what is finished stays so"
            if len(first_seen) == len(found) == 4 * (2 + MOST_REMINDERS):
                break
        # Each alert, its ten reminders and its escalation: there once, and all of them ended.
        suffixes = ["ops", "phone~r1", *(f"ops~r{number}" for number in range(1, MOST_REMINDERS + 1))]
        assert Counter(each.id.partition("~")[2] for each in found) == dict.fromkeys(suffixes, 4)
        assert {each.state for each in found} <= {"sent", "given_up"}
        sent = {each.id for each in found if each.state == "sent"}
        assert sent <= {*ops.accepted, *phone.accepted}
        by_id = {each.id: each for each in found}
        for each in found:  # none before its time
            if each.reminder and each.channel == "ops":
                before = each.id.rpartition("~r")[0] + (f"~r{each.reminder - 1}" if each.reminder > 1 else "")
                assert each.created_at >= by_id[before].finished_at + 60_000

    virtual_time.run(main)
