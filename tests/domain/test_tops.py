"""Rules on the n largest pairs: who is among them, and what happens to whom when that changes."""

from __future__ import annotations

import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.records import Beat, Ticks, Verdict
from cryptowatcher.domain.ticks import one_instant
from tests.domain.journals import MINUTE
from tests.domain.test_lifecycle import HOUR, Story

A, B = "a/usd", "b/usd"
DAY = 24 * HOUR


class TopStory(Story):
    """A story of one rule on the n largest of thirty others and a/usd, whose place is told with its price."""

    OTHERS = 30

    def __init__(self, n: int, when: str = "price >= 100", **spec: object) -> None:
        super().__init__(when, pairs=[f"top({n})"], **spec)

    def place(self, place: int, *prices: float, every: int = MINUTE, valid_for: int = 40 * DAY) -> list[Alert]:
        """These prices of a/usd, one after another, all at this place by market cap; its alerts."""
        found: list[Alert] = []
        for price in prices:
            self.time += every
            found += self.places({A: place}, price, valid_for=valid_for)
        return [alert for alert in found if alert.pair == A]

    def places(self, places: dict[str, int], price: float, *, valid_for: int = 40 * DAY) -> list[Alert]:
        """Pairs at these places, all at this price; the others cost 1."""
        count = self.OTHERS + len(places)
        others = iter([f"o{number}/usd" for number in range(self.OTHERS)])
        at = {place: pair for pair, place in places.items()}
        pairs = [at.get(place) or next(others) for place in range(1, count + 1)]
        batch = one_instant(
            {pair: price if pair in places else 1.0 for pair in pairs},
            observed_at=self.time,
            valid_for=valid_for,
            market_cap=[1e6 - number for number in range(count)],
        )
        return self.record(Ticks(batch), at=self.time)


def test_a_rule_on_the_largest_looks_at_them_alone() -> None:
    story = TopStory(2)
    assert not story.place(3, 90, 110, 90)
    assert story.state() == "unarmed"
    story = TopStory(2)
    assert len(story.place(2, 90, 110)) == 1


@pytest.mark.parametrize(
    ("places", "among"),
    [
        ([10], True),
        ([11], False),
        ([11, 10], True),
        ([10, 11], True),  # neighbours that change places do not come and go
        ([9, 11], True),
        ([1, 11, 9, 11], True),
        ([10, 12], False),
        ([10, 12, 11], False),
        ([10, 11, 11, 12], False),
        ([20, 22, 20], False),
    ],
)
def test_a_pair_comes_in_at_the_last_place_and_goes_a_tenth_behind_it(places: list[int], among: bool) -> None:
    story = TopStory(10)
    for place in places:
        story.place(place, 90)
    there = story.watcher.engine.place("mine", A)
    assert there is not None
    assert there.among is among
    assert len(story.place(places[-1], 110)) == among


def test_a_place_that_is_not_known_leaves_a_pair_where_it_was() -> None:
    story = TopStory(2)
    story.place(2, 90)
    assert [alert.kind for alert in story.see(110, pair=A)] == ["edge"], "nobody said its market cap"


@pytest.mark.parametrize(("away", "kinds"), [(DAY, ["edge"]), (DAY + 1, [])])
def test_a_pair_that_comes_back_within_a_day_goes_on_where_it_stood(away: int, kinds: list[str]) -> None:
    """To the millisecond, from the observation with which it left."""
    story = TopStory(2)
    story.place(2, 90)
    assert not story.place(5, 110)
    assert not story.place(5, 90, 110, every=HOUR)
    assert [alert.kind for alert in story.place(2, 110, every=away - 2 * HOUR)] == kinds
    assert story.state() == "inside"


def test_what_fired_before_a_pair_left_does_not_fire_again_when_it_comes_back() -> None:
    story = TopStory(2)
    assert len(story.place(2, 90, 110)) == 1
    story.place(5, 110)
    assert not story.place(2, 110)
    assert not story.place(2, 99.95, 110)
    assert len(story.place(2, 90, 110)) == 1


def test_a_hold_begins_anew_when_a_pair_comes_back() -> None:
    story = TopStory(2, **{"for": "3m"})
    assert not story.place(2, 90, 110, 110)
    story.place(5, 110)
    assert not story.place(2, 110, 110, 110)
    assert len(story.place(2, 110)) == 1


def test_what_is_done_is_done_however_long_a_pair_was_away() -> None:
    story = TopStory(2, repeat="once")
    assert len(story.place(2, 90, 110)) == 1
    story.place(5, 90)
    assert not story.place(2, 90, 110, every=2 * DAY)
    assert story.state() == "done"


def test_who_is_among_the_largest_and_who_left_when_survive_a_restart() -> None:
    story = TopStory(2)
    story.place(2, 90)
    story.place(5, 90)
    story.restart()
    assert len(story.place(2, 110)) == 1
    story.place(5, 90)
    story.restart()
    assert not story.place(2, 110, every=2 * DAY)
    story.restart()
    assert not story.place(3, 90), "it left"
    assert not story.place(3, 110)


def test_a_new_rule_finds_the_largest_as_they_were_without_it() -> None:
    story = TopStory(2)
    story.place(10, 90)
    story.place(11, 90)
    story.rule("later", pairs=["top(10)"])
    story.record(Beat(), at=story.time)
    there = story.watcher.engine.place("later", A)
    assert there is not None
    assert there.among, "before it is observed again"
    story.place(11, 90)
    assert [alert.rule for alert in story.place(11, 110)] == ["later"], "its place is still the tenth"


def test_rules_on_tops_of_different_sizes_do_not_meet() -> None:
    story = TopStory(2)
    story.rule("more", pairs=["top(5)"])
    story.rule("all", pairs=["all"])
    story.place(4, 90)
    assert [alert.rule for alert in story.place(4, 110)] == ["all", "more"]


def test_a_rule_that_is_gone_or_paused_asks_for_no_top() -> None:
    story = TopStory(2)
    story.rule("other", pairs=["top(2)"])
    story.place(2, 90)
    story.delete("other")
    assert [alert.rule for alert in story.place(2, 110)] == ["mine"]
    story.rule(paused=True)
    story.place(2, 90)
    assert story.watcher.engine.state().tops == []
    story.rule(paused=False)
    story.place(2, 90)
    assert len(story.place(2, 110)) == 1


def test_a_pair_whose_past_was_wrong_begins_anew_among_the_largest() -> None:
    story = TopStory(2)
    story.place(2, 90)
    story.time += MINUTE
    wrong = one_instant({A: 110.0}, observed_at=story.time, market_cap=[1.0])
    assert not story.record(Verdict(wrong, accepted=True, evidence="", anew=True), at=story.time)
    assert not story.place(5, 90), "not among them"
    assert not story.place(5, 110)
    assert not story.place(2, 110), "it comes as if for the first time"
    assert story.state() == "inside"


def test_pairs_that_come_later_find_their_places() -> None:
    story = TopStory(3)
    story.place(20, 90)
    story.time += MINUTE
    assert not story.places({B: 3, "c/usd": 4}, 90)
    story.time += MINUTE
    assert [alert.pair for alert in story.places({B: 3, "c/usd": 4}, 110)] == [B]
    state = story.watcher.engine.state()
    assert [len(top.member) for top in state.tops] == [len(state.memory.pairs)]
