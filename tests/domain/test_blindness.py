"""Owners are told once that pairs of their rules are not seen, and once that they are again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import Beat, Body, ClockStep, Record, Ticks
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.texts import alert_text
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.domain.watcher import Watcher

BEGIN = 1_722_816_000_000
MINUTE = 60_000
VALID = 5 * MINUTE
MANY = tuple(f"coin-{number:03}/usd" for number in range(250))
A, B, C = MANY[:3]


class Scene:
    """A watcher, and the minutes of a market: which pairs were seen in each."""

    def __init__(self, *rules: Rule) -> None:
        self.watcher = Watcher()
        self.at = BEGIN
        self.seq = 0
        self.told: list[Alert] = []
        self.when: list[int] = []  # minute of each
        for number, rule in enumerate(rules, 1):
            self.save(rule, number)

    def save(self, rule: Rule | None, number: int, *, id: str = "") -> None:  # noqa: A002  as elsewhere
        change = RuleChange(
            number=number,
            rule_id=rule.id if rule else id,
            owner=rule.owner if rule else "",
            rule=rule,
            head=0,
            saved_at=self.at,
        )
        self.watcher.take_up(change, self.seq)

    def minutes(self, count: int, seen: Iterable[str] = MANY, *, every: int = 1) -> None:
        """Beats each 20 s, and each so many minutes one observation of these pairs."""
        seen = tuple(seen)
        for minute in range(count):
            if seen and minute % every == 0:
                self.put(Ticks(one_instant(dict.fromkeys(seen, 100.0), observed_at=self.at)))
            for _ in range(3):
                self.at += 20_000
                self.put(Beat())

    def put(self, body: Body) -> None:
        self.seq += 1
        self.watcher.step(Record(self.seq, self.at, "w", self.seq, body))
        notices = self.watcher.effects().notices
        self.told += notices
        self.when += [(self.at - BEGIN) // MINUTE] * len(notices)

    def restart(self) -> None:
        """From a checkpoint of now."""
        state = self.watcher.state()
        self.watcher = Watcher()
        self.watcher.restore(state)

    def words(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(told.kind, told.owner, tuple(part.text for part in told.parts)) for told in self.told]


def rule(
    pairs: Sequence[str],
    *,
    owner: str = "ann",
    name: str = "r",
    channels: tuple[str, ...] = (),
    paused: bool = False,
) -> Rule:
    spec = RuleSpec(name=name, pairs=tuple(pairs), when="price > 1000", channels=channels, paused=paused)
    return Rule(id=f"{owner} {name}", owner=owner, version=1, spec=spec, origin="owner")


def test_a_pair_that_goes_blind_is_told_once_and_once_when_it_is_back() -> None:
    scene = Scene(rule([A]))
    scene.minutes(10)
    scene.minutes(60, MANY[1:])
    assert scene.words() == [("blind", "ann", (A,))]
    assert scene.told[0].pair == A
    assert scene.told[0].event_time == BEGIN + 9 * MINUTE
    assert scene.when == [19]
    scene.minutes(80)
    assert scene.words() == [("blind", "ann", (A,)), ("back", "ann", (A,))]
    assert scene.when == [19, 130]
    assert scene.told[1].gap_ms == 61 * MINUTE, "from its last price to the next one, not to this message"
    scene.minutes(20, MANY[1:])
    assert [told.kind for told in scene.told] == ["blind", "back", "blind"]
    assert len({told.id for told in scene.told}) == 3


def test_a_late_answer_tells_nothing() -> None:
    scene = Scene(rule([A]), rule(["all"], name="wide"))
    scene.minutes(300, every=9)
    assert scene.told == []


def test_a_pair_that_comes_and_goes_is_told_once() -> None:
    scene = Scene(rule([A]))
    scene.minutes(10)
    for seen in (3, 30, 55, 59, 3, 40):
        scene.minutes(15, MANY[1:])
        scene.minutes(seen)
    assert scene.words() == [("blind", "ann", (A,))]
    scene.minutes(30)
    assert [told.kind for told in scene.told] == ["blind", "back"]


def test_pairs_that_come_back_within_a_quarter_of_an_hour_are_told_together() -> None:
    scene = Scene(rule([A, B, C]))
    scene.minutes(10)
    scene.minutes(30, MANY[3:])
    scene.minutes(5, (*MANY[3:], A))
    scene.minutes(20, (*MANY[3:], A, B))
    scene.minutes(70)
    assert [(told.kind, [part.text for part in told.parts]) for told in scene.told] == [
        ("blind", [A, B, C]),
        ("back", [A, B]),
        ("back", [C]),
    ]
    assert scene.told[1].gap_ms == 36 * MINUTE


def test_a_blind_market_is_one_message_for_each_owner() -> None:
    scene = Scene(rule(["all"]), rule(MANY, owner="bob"), rule([A, B], owner="cid"), rule(["top(10)"], name="top"))
    scene.minutes(10)
    scene.minutes(60, ())
    assert [(told.owner, told.value, told.constant) for told in scene.told] == [
        ("ann", 250.0, 250.0),
        ("bob", 250.0, 0.0),
        ("cid", 2.0, 0.0),
    ]
    scene.minutes(10)
    assert [(told.kind, told.owner, told.value) for told in scene.told[3:]] == [
        ("back", "ann", 250.0),
        ("back", "bob", 250.0),
        ("back", "cid", 2.0),
    ]


def test_pages_that_were_seen_at_other_times_go_blind_in_one_message() -> None:
    scene = Scene(rule(MANY))
    for _ in range(10):
        scene.minutes(1, MANY[:100])
        scene.minutes(1, MANY[100:])
    scene.minutes(60, ())
    assert [told.value for told in scene.told] == [250.0]
    for _ in range(10):
        scene.minutes(1, MANY[:100])
        scene.minutes(1, MANY[100:])
    assert [(told.kind, told.value) for told in scene.told] == [("blind", 250.0), ("back", 250.0)]


def test_rules_on_all_pairs_say_nothing_of_a_coin_that_leaves_the_list() -> None:
    scene = Scene(rule(["all"]), rule(["top(100)"], owner="bob"))
    scene.minutes(10)
    for seen in (MANY[:240], MANY[10:], MANY[:200]):
        scene.minutes(60, seen)
    assert scene.told == []


def test_rules_that_are_paused_gone_or_on_other_pairs_are_not_told_of() -> None:
    scene = Scene(rule([A], paused=True), rule([B], owner="bob"), rule([A], owner="cid"))
    scene.save(None, 4, id="cid r")
    scene.minutes(10)
    scene.minutes(60, MANY[1:])
    assert scene.told == []


def test_a_watcher_that_was_away_calls_nobody_blind_for_it() -> None:
    scene = Scene(rule([A]), rule(["all"], owner="bob"))
    scene.minutes(10)
    scene.at += 24 * 60 * MINUTE
    scene.minutes(30)
    scene.put(ClockStep(24 * 60 * MINUTE))
    scene.at += 24 * 60 * MINUTE
    scene.minutes(30)
    assert scene.told == []
    scene.at += 24 * 60 * MINUTE
    scene.minutes(30, MANY[1:])
    assert scene.words() == [("blind", "ann", (A,))]


def played(restart_at: int | None = None) -> list[bytes]:
    """A pair goes blind, then the market, and all come back; then another pair goes, and comes back for good."""
    few = MANY[:20]
    scene = Scene(rule([A]), rule([B], owner="cid"), rule(["all"], owner="bob"))
    market = [few] * 10 + [few[1:]] * 20 + [()] * 30 + [few] * 30
    for now, seen in enumerate([*market, *[(A, *few[2:])] * 20, *[few] * 70]):
        if now == restart_at:
            scene.restart()
        scene.minutes(1, seen)
    return [msgspec.json.encode(told) for told in scene.told]


def test_a_restart_at_any_time_changes_nothing() -> None:
    straight = played()
    assert len(straight) == 8
    for minute in (15, 19, 28, 40, 63, 102, 160, 172):
        assert played(minute) == straight


def test_the_watchers_own_pair_is_nobodys() -> None:
    own = RuleSpec(name="canary", pairs=(CANARY,), when="price > 1.1", channels=("canary",))
    scene = Scene(Rule(id="c", owner="system", version=1, spec=own, origin="config"), rule([A]))
    scene.minutes(10, (A, CANARY))
    scene.minutes(60, (A,))
    assert scene.told == []


def test_it_goes_where_the_rules_go() -> None:
    scene = Scene(
        rule([A], channels=("phone", "mail")), rule([A], name="2", channels=("phone",)), rule([A], name="3")
    )
    scene.minutes(10)
    scene.minutes(30, MANY[1:])
    (told,) = scene.told
    assert told.channels == ("", "mail", "phone")


def test_it_reads_like_this() -> None:
    scene = Scene(rule([A]), rule(MANY[:30], owner="bob"), rule(["all"], owner="cid"))
    scene.minutes(10)
    scene.minutes(60, ())
    scene.minutes(10)
    texts = [alert_text(told, now=told.at) for told in scene.told]
    assert [text.title for text in texts] == [
        "coin-000/usd is not seen",
        "30 pairs are not seen",
        "250 of 250 pairs are not seen",
        "coin-000/usd is seen again",
        "30 pairs are seen again",
        "250 of 250 pairs are seen again",
    ]
    assert texts[0].body == (
        "No usable price for 10 minutes: rules cannot judge what is not seen.\n"
        "`cryptowatcher sources` says why. You will be told when this is over."
    )
    named = ", ".join(MANY[:20])
    assert texts[1].body.endswith(f"\nPairs: {named} and 10 more.")
    assert texts[3].body == (
        "Not seen for up to 61 minutes. What happened meanwhile is looked at as far as history is given."
    )
    late = alert_text(scene.told[0], now=scene.told[0].at + 3_600_000)
    assert late.body.endswith("\nLate: sent 60 minutes after it was made out.")


def test_a_market_that_left_for_good_hides_no_later_outage() -> None:
    """Half of the coins leave the list and never come back; whoever has a rule on all is told of each outage."""
    scene = Scene(rule(["all"]))
    scene.minutes(30, MANY)
    stay = MANY[: len(MANY) // 2 - 5]
    scene.minutes(26 * 60, stay)
    for _ in range(2):
        before = len(scene.told)
        scene.minutes(30, ())
        scene.minutes(30, stay)
        assert [notice.kind for notice in scene.told[before:]] == ["blind", "back"]
