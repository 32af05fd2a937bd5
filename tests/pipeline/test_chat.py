"""Chats: only linked ones are heard, what they say is done once, and what fails there troubles nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from cryptowatcher.domain import chat_words as words
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.chat import button, code_digest
from cryptowatcher.domain.records import Ticks
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule, RuleSpec
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.chat import Chatter
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Journal, Store, Tx
from cryptowatcher.ports.chats import Heard
from cryptowatcher.testing import virtual_time
from tests.domain.journals import BEGIN
from tests.pipeline.desk import to_the_head
from tests.pipeline.inline import Around, Hands, opened, put

ME, STRANGER = 7, 8
HOUR = 3_600_000


class Line:
    """A channel that listens: what it hears is put into `updates`, what it says is kept."""

    name = "phone"
    account = "1"
    listens = True
    chats: Sequence[int] = (ME,)

    def __init__(self) -> None:
        self.updates: list[Heard] = []
        self.said: list[tuple[int, str]] = []
        self.nods: list[str] = []
        self.failures: list[Exception] = []
        self.asked: list[int | None] = []
        self.mute: list[Exception] = []

    async def hear(self, after: int | None) -> Sequence[Heard]:
        self.asked.append(after)
        if self.failures:
            raise self.failures.pop(0)
        if after is not None:
            self.updates = [each for each in self.updates if each.update > after]
        if not self.updates:
            await asyncio.sleep(25)
        return list(self.updates)

    async def say(self, chat: int, text: str) -> None:
        if self.mute:
            raise self.mute.pop(0)
        self.said.append((chat, text))

    async def nod(self, press: str, text: str) -> None:
        self.nods.append(text)


class Talk:
    """A line, and the watcher behind it."""

    def __init__(self, store: Store, journal: Journal, clock: Hands, around: Around) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.around = around
        self.line = Line()
        self.number = 100
        self.watch = Watch(journal, store, clock, channels=())
        self.chatter = self.again()

    def again(self) -> Chatter:
        """A new process."""
        self.chatter = Chatter(
            self.line, self.store, self.journal, self.clock, Random(1), engine=lambda: self.watch.engine
        )
        return self.chatter

    def heard(self, text: str, *, chat: int = ME, press: bool = False, message: int = 1) -> Heard:
        self.number += 1
        query = f"q{self.number}" if press else ""
        return Heard(update=self.number, chat=chat, text=text, message=message, press=query)

    async def write(self, text: str, *, chat: int = ME) -> str:
        """What is answered; "" for nothing."""
        before = len(self.line.said)
        await self.chatter.handle(self.heard(text, chat=chat))
        return "\n".join(text for to, text in self.line.said[before:] if to == chat)

    async def press(self, data: str, *, message: int = 1) -> str:
        """What is shown beside the message."""
        await self.chatter.handle(self.heard(data, press=True, message=message))
        return self.line.nods[-1]

    async def code(self, code: str, *, lasting: int = 600_000) -> None:
        now = self.clock.now()
        await self.store.run(
            lambda tx: tx.keep_code(
                code_digest(code), channel="phone", owner=LOCAL_OWNER, expires_at=now + lasting, now=now
            )
        )

    async def rules(self) -> dict[str, Rule]:
        return {rule.spec.name: rule for rule in await self.store.run(lambda tx: tx.rules(LOCAL_OWNER))}

    async def silent_for(self, rule: Rule) -> int:
        """How long it is still snoozed, ms."""
        return (await self.store.run(lambda tx: tx.snoozes(LOCAL_OWNER))).get(rule.id, 0) - self.clock.now()

    async def an_alert(self) -> Alert:
        """Of the rule `high`, on bitcoin, a moment ago."""
        head = await self.journal.head()
        spec = RuleSpec(name="high", pairs=("bitcoin/usd",), when="price >= 100")
        await self.store.run(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=head, now=self.clock.now()))
        await self.watch.recover()
        for price in (99.0, 101.0):
            self.clock.pass_by(60)
            tick = one_instant({"bitcoin/usd": price}, observed_at=self.clock.now())
            await put(self.journal, Ticks(tick))
            await to_the_head(self.watch)
        (alert,) = await self.store.run(lambda tx: tx.alerts(LOCAL_OWNER, limit=9))
        return alert


def talking(folder: Path, main: Callable[[Talk], Awaitable[None]]) -> None:
    async def run() -> None:
        clock, around = Hands(BEGIN), Around()
        async with opened(folder, clock, around) as (store, journal):
            await main(Talk(store, journal, clock, around))

    virtual_time.run(run)


def test_a_code_links_the_chat_that_says_it_first(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.code("GOOD")
        assert await talk.write("/start WRONG", chat=STRANGER) == words.STRANGER
        assert await talk.write("/start GOOD", chat=STRANGER) == words.LINKED
        assert await talk.write("/test", chat=STRANGER) == words.TEST
        assert await talk.write("/start GOOD", chat=9) == words.STRANGER
        links = await talk.store.run(lambda tx: tx.linked_chats("phone"))
        assert [link.chat for link in links] == [STRANGER]

    talking(tmp_path, main)


def test_a_code_is_over_after_its_time(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.code("GOOD")
        talk.clock.pass_by(600)
        assert await talk.write("/start GOOD", chat=STRANGER) == words.STRANGER

    talking(tmp_path, main)


def test_others_get_one_sentence_an_hour_and_nothing_they_say_is_done(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        assert await talk.write("/add bitcoin price > 1", chat=STRANGER) == words.STRANGER
        assert await talk.write("/list", chat=STRANGER) == ""
        alert = await talk.an_alert()
        await talk.chatter.handle(talk.heard(button("hour", alert.id), chat=STRANGER, press=True))
        assert list(await talk.rules()) == ["high"]
        assert await talk.store.run(lambda tx: tx.snoozes(LOCAL_OWNER)) == {}
        talk.clock.pass_by(3_601)
        assert await talk.write("/list", chat=STRANGER) == words.STRANGER

    talking(tmp_path, main)


def test_a_rule_is_added_listed_paused_and_removed(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        assert "watched" in await talk.write("/add bitcoin price > 70000")
        rule = (await talk.rules())["bitcoin price > 70000"]
        assert (rule.spec.pairs, rule.spec.when) == (("bitcoin/usd",), "price > 70000")
        assert "price > 70000" in await talk.write("/list")
        assert "paused" in await talk.write("/pause bitcoin")
        assert (await talk.rules())[rule.spec.name].spec.paused
        assert "judged" in await talk.write("/resume bitcoin")
        assert not (await talk.rules())[rule.spec.name].spec.paused
        assert "removed" in await talk.write("/remove bitcoin")
        assert await talk.rules() == {}

    talking(tmp_path, main)


def test_a_change_counts_from_the_head_of_the_journal(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        head = await put(talk.journal, Ticks(one_instant({"bitcoin/usd": 1.0}, observed_at=BEGIN)))
        await talk.write("/add bitcoin price > 70000")
        (change,) = await talk.store.run(lambda tx: tx.rule_changes(0))
        assert change.head == head > 0

    talking(tmp_path, main)


def test_another_rule_of_the_same_name_is_refused_and_the_same_again_is_not(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.write('/add "mine" bitcoin price > 1')
        assert "watched" in await talk.write('/add "mine" bitcoin price > 1')
        assert "already" in await talk.write('/add "mine" bitcoin price > 2')
        assert (await talk.rules())["mine"].spec.when == "price > 1"

    talking(tmp_path, main)


@pytest.mark.parametrize(
    "text",
    ["/add bitcoin prce > 1", "/add list(none): price > 1", "/remove x", "/snooze x 1h", "/snooze mine soon",
     "/mute soon", "/why x", "/why all", "what?"],
)  # fmt: skip
def test_a_mistake_is_answered_changes_nothing_and_is_not_heard_again(tmp_path: Path, text: str) -> None:
    async def main(talk: Talk) -> None:
        await talk.write('/add "mine" bitcoin price > 1')
        await talk.write('/add "all" all: price > 1')
        before = await talk.store.run(lambda tx: (tx.rule_changes(0), tx.snoozes(LOCAL_OWNER)))
        assert await talk.write(text)
        assert await talk.store.run(lambda tx: (tx.rule_changes(0), tx.snoozes(LOCAL_OWNER))) == before
        mark = await talk.store.run(lambda tx: tx.chat_mark("phone 1"))
        assert mark is not None
        assert mark.upto == talk.number

    talking(tmp_path, main)


def test_one_rule_or_all_are_silent_for_a_while(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        for name in ("a", "b"):
            await talk.write(f'/add "{name}" bitcoin price > 1')
        a, b = (await talk.rules()).values()
        assert "until 2024-08-05 08:00" not in await talk.write("/snooze a 2h")
        assert (await talk.silent_for(a), await talk.silent_for(b)) == (2 * HOUR, -talk.clock.now())
        await talk.write("/mute 1h")  # what is silent for longer stays so
        assert (await talk.silent_for(a), await talk.silent_for(b)) == (2 * HOUR, HOUR)
        assert "08:00" in await talk.write("/snooze b tomorrow")
        assert await talk.silent_for(b) == 32 * HOUR  # it is midnight
        assert "again" in await talk.write("/wake a")
        assert "not silent" in await talk.write("/wake a")
        assert ": 1" in await talk.write("/unmute")
        assert await talk.store.run(lambda tx: tx.snoozes(LOCAL_OWNER)) == {}

    talking(tmp_path, main)


def test_why_looks_at_the_watcher_as_it_stands(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.an_alert()
        said = await talk.write("/why high")
        assert "It fired at" in said
        assert "101" in said
        assert await talk.write("/why high bitcoin/usd") == said
        assert "does not look at ethereum/usd" in await talk.write("/why high ethereum")

    talking(tmp_path, main)


def test_the_buttons_of_an_alert_do_what_they_say(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        alert = await talk.an_alert()
        rule = (await talk.rules())["high"]
        assert "until" in await talk.press(button("hour", alert.id))
        assert await talk.silent_for(rule) == HOUR
        assert "08:00" in await talk.press(button("day", alert.id))
        assert await talk.press(button("ack", alert.id)) == "Acknowledged."
        assert list(await talk.store.run(lambda tx: tx.acknowledged([alert.id]))) == [alert.id]
        assert await talk.press(button("why", alert.id)) == ""
        assert talk.line.said[-1][1].startswith("high, bitcoin/usd: It fired at")
        assert await talk.press("delete:everything")

    talking(tmp_path, main)


def test_a_double_tap_is_one_tap(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        alert = await talk.an_alert()
        rule = (await talk.rules())["high"]
        await talk.press(button("hour", alert.id))
        talk.clock.pass_by(1)
        assert await talk.press(button("hour", alert.id)) == ""
        assert await talk.silent_for(rule) == HOUR - 1_000
        talk.clock.pass_by(20)  # a second thought is nearly the same end
        await talk.press(button("hour", alert.id))
        assert await talk.silent_for(rule) == HOUR - 21_000
        await talk.press(button("why", alert.id))
        await talk.press(button("why", alert.id))
        assert len(talk.line.said) == 1
        await talk.press(button("ack", alert.id))
        talk.clock.pass_by(60)
        assert await talk.press(button("ack", alert.id)) == "Nothing new to acknowledge."

    talking(tmp_path, main)


def test_a_button_of_what_is_gone_says_so(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        alert = await talk.an_alert()
        assert "not kept" in await talk.press(button("ack", f"{'f' * 11}-{'0' * 20}"))
        assert await talk.store.run(lambda tx: tx.acknowledged([alert.id])) == {}
        await talk.write("/remove high")
        assert await talk.press(button("hour", alert.id)) == "The rule was removed."
        await talk.store.run(lambda tx: tx.trim_alerts(talk.clock.now() + HOUR))
        assert "not kept" in await talk.press(button("ack", alert.id), message=2)

    talking(tmp_path, main)


def test_ack_is_of_what_came_in_the_last_day(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.an_alert()
        talk.clock.pass_by(25 * 3_600)
        assert await talk.write("/ack") == "Nothing new to acknowledge."
        talk.clock.pass_by(-2 * 3_600)
        assert await talk.write("/ack") == "Acknowledged."

    talking(tmp_path, main)


def test_what_is_heard_again_is_not_done_again(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        heard = talk.heard('/add "mine" bitcoin price > 1')
        await talk.chatter.handle(heard)
        await talk.write("/remove mine")
        for chatter in (talk.chatter, talk.again()):
            await chatter.handle(heard)
        assert await talk.rules() == {}
        assert len(talk.line.said) == 2

    talking(tmp_path, main)


def test_dying_at_the_commit_loses_the_command_whole_and_it_is_done_when_it_comes_again(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    async def die() -> None:
        raise Killed

    async def main(talk: Talk) -> None:
        heard = talk.heard('/add "mine" bitcoin price > 1')
        kept = talk.around.before
        talk.around.before = die
        with pytest.raises(Killed):
            await talk.chatter.handle(heard)
        talk.around.before = kept
        assert await talk.rules() == {}
        await talk.again().handle(heard)
        assert list(await talk.rules()) == ["mine"]

    talking(tmp_path, main)


def test_a_press_that_could_not_be_kept_counts_when_it_comes_again(tmp_path: Path) -> None:
    async def full() -> None:
        raise Unavailable("no room", reason="disk_full")

    async def main(talk: Talk) -> None:
        alert = await talk.an_alert()
        heard = talk.heard(button("hour", alert.id), press=True)
        kept = talk.around.before
        talk.around.before = full
        with pytest.raises(Unavailable):
            await talk.chatter.handle(heard)
        talk.around.before = kept
        await talk.chatter.handle(heard)
        assert await talk.silent_for((await talk.rules())["high"]) == HOUR

    talking(tmp_path, main)


async def _listening(talk: Talk, seconds: float) -> None:
    """The job, for so long on virtual time."""
    job = asyncio.create_task(talk.chatter.run())
    await asyncio.sleep(seconds)
    job.cancel()
    await asyncio.wait([job])
    assert job.cancelled()


def test_the_job_hears_answers_and_confirms(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        talk.line.updates = [talk.heard("/test"), talk.heard("/help"), Heard(update=110)]
        await _listening(talk, 10)
        assert [text for _, text in talk.line.said] == [words.TEST, words.say_help()]
        assert talk.line.asked == [None, 110]
        talk.again()
        await _listening(talk, 1)
        assert talk.line.asked[2:] == [110]

    talking(tmp_path, main)


def test_numbers_that_begin_anew_after_a_silent_week_are_heard(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.write("/test")
        talk.clock.pass_by(8 * 86_400)
        talk.line.updates = [msgspec.structs.replace(talk.heard("/test"), update=3)]
        await _listening(talk, 10)
        assert talk.line.asked == [None, 3]
        assert len(talk.line.said) == 2

    talking(tmp_path, main)


def test_while_the_other_side_is_away_it_asks_less_and_less_and_then_goes_on(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        gone = Unavailable("no answer in time", reason="timeout")
        talk.line.failures = [gone] * 12
        talk.line.updates = [talk.heard("/test")]
        await _listening(talk, 60)
        assert 5 <= len(talk.line.asked) <= 7
        await _listening(talk, 600)
        assert talk.line.said == [(ME, words.TEST)]

    talking(tmp_path, main)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Unavailable("slow down", reason="rate_limited", retry_after=300.0), 300),
        (Refused("HTTP 401: Unauthorized", reason="unauthorized"), 60),
    ],
)
def test_it_waits_as_long_as_it_is_told_to(tmp_path: Path, error: Exception, wait: float) -> None:
    async def main(talk: Talk) -> None:
        talk.line.failures = [error]
        await _listening(talk, wait - 1)
        assert talk.line.asked == [None]
        talk.line.failures = [error]
        await _listening(talk, wait * 1.5)
        assert len(talk.line.asked) > 2

    talking(tmp_path, main)


def test_an_answer_is_tried_twice_and_then_let_go(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        gone = Unavailable("no answer in time", reason="timeout")
        talk.line.mute = [gone]
        assert await talk.write("/test") == words.TEST
        talk.line.mute = [gone, gone]
        assert await talk.write("/test") == ""
        talk.line.mute = [Refused("blocked", reason="chat")]
        assert await talk.write("/test") == ""
        assert await talk.write("/test") == words.TEST

    talking(tmp_path, main)


def test_another_account_has_numbers_of_its_own(tmp_path: Path) -> None:
    async def main(talk: Talk) -> None:
        await talk.write("/test")
        talk.line.account = "2"
        talk.again()
        talk.number = 1
        assert await talk.write("/test") == words.TEST

        def marks(tx: Tx) -> list[int]:
            return [mark.upto for name in ("phone 1", "phone 2") if (mark := tx.chat_mark(name))]

        assert await talk.store.run(marks) == [101, 2]

    talking(tmp_path, main)
