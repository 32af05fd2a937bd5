"""Rules on lists of pairs: what happens to whom when a list changes."""

from __future__ import annotations

from math import nan

import msgspec
import pytest

from cryptowatcher.domain.rules.check import check_spec, is_pair
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.rules.watchlists import (
    Watchlist,
    check_list,
    in_use,
    list_of,
    members_of,
    pairs_of,
    parse_list,
)
from cryptowatcher.domain.rules.words import say
from cryptowatcher.errors import ConfigError
from tests.domain.states import rules_of
from tests.domain.test_lifecycle import Story

A, B = "a/usd", "b/usd"
MINE = "list(mine)"
SPEC = RuleSpec(name="moves", pairs=(MINE,), when="price >= 100")


class ListStory(Story):
    """A story of one rule on the list mine."""

    def __init__(self, *members: str, when: str = "price >= 100", **spec: object) -> None:
        self.members = members
        super().__init__(when, pairs=[MINE], **spec)

    def list(self, *members: str) -> None:
        """Other pairs on the list, from here on."""
        self.members = members
        rule = self.rules["mine"]
        assert rule is not None
        self._change("mine", rule)

    def _change(self, name: str, rule: Rule | None) -> None:
        super()._change(name, rule and msgspec.structs.replace(rule, members=self.members))


def test_a_rule_looks_at_the_pairs_of_its_list_alone() -> None:
    story = ListStory(A)
    assert not story.see(90.0, pair=A)
    assert not story.see(90.0, 110.0, pair=B)
    (alert,) = story.see(110.0, pair=A)
    assert alert.pair == A


def test_a_pair_that_comes_begins_unarmed() -> None:
    story = ListStory(A)
    story.see(90.0, pair=B)
    story.list(A, B)
    assert not story.see(110.0, pair=B), "that it rose was before the rule looked at it"
    assert story.state(pair=B) == "inside"
    story.see(90.0, pair=B)
    assert [alert.pair for alert in story.see(110.0, pair=B)] == [B]


def test_a_pair_that_comes_is_looked_at_though_it_crosses_nothing() -> None:
    story = ListStory(A)
    story.see(110.0, pair=B)
    story.list(A, B)
    assert not story.see(110.0, pair=B)
    assert story.state(pair=B) == "inside"


def test_a_pair_that_comes_can_fire_at_first_sight() -> None:
    story = ListStory(A, fire_if_already_true=True)
    story.list(A, B)
    assert [alert.kind for alert in story.see(110.0, pair=B)] == ["already"]


def test_a_pair_that_stays_stands_where_it_stood() -> None:
    story = ListStory(A)
    story.see(90.0, 110.0)
    story.list(A, B)
    assert not story.see(120.0)
    assert (story.state(), story.state(pair=B)) == ("inside", "unarmed")
    story.see(90.0)
    story.list(A)
    assert len(story.see(110.0)) == 1, "at rest it stays at rest"


def test_a_hold_goes_on_while_a_list_changes() -> None:
    story = ListStory(A, **{"for": "2m"})
    story.see(90.0, 110.0, 110.0)
    story.list(A, B)
    assert len(story.see(110.0)) == 1


def test_a_pair_that_left_never_fires_and_stands_nowhere() -> None:
    story = ListStory(A, B)
    story.see(90.0, pair=A)
    story.see(90.0, pair=B)
    story.list(B)
    assert not story.see(110.0, 90.0, 110.0, pair=A)
    assert {pair for _, pair in story.rows} <= {B}
    assert len(story.see(110.0, pair=B)) == 1


def test_what_was_known_of_a_pair_before_it_came_does_not_count() -> None:
    """Its market cap crossed nothing that the rule has seen."""
    story = ListStory(A, when="price >= 100 and market_cap crosses above 5")
    story.see(90.0, pair=B, cap=1.0)
    story.list(A, B)
    story.see(90.0, pair=B, cap=nan)
    story.restart()
    assert not story.see(110.0, pair=B, cap=9.0)
    story.see(110.0, pair=B, cap=1.0)
    assert len(story.see(110.0, pair=B, cap=9.0)) == 1


@pytest.mark.parametrize("again", [(A, B, "c/usd"), (B, A), (B,)])
def test_when_a_pair_came_is_not_forgotten_when_the_list_changes_again(again: tuple[str, ...]) -> None:
    story = ListStory(A, when="price >= 100 and market_cap crosses above 5")
    story.see(90.0, pair=B, cap=1.0)
    story.list(A, B)
    story.see(90.0, pair=B, cap=nan)
    story.list(*again)
    assert not story.see(110.0, pair=B, cap=9.0)


def test_cooldown_is_remembered_of_a_pair_that_left_and_came_back() -> None:
    story = ListStory(A, cooldown="1h")
    assert len(story.see(90.0, 110.0)) == 1
    story.list()
    story.see(90.0)
    story.list(A)
    assert not story.see(90.0, 110.0)


def test_once_is_owed_again_to_a_pair_that_left_and_came_back() -> None:
    story = ListStory(A, repeat="once")
    assert len(story.see(90.0, 110.0)) == 1
    story.list()
    story.list(A)
    assert len(story.see(90.0, 110.0)) == 1


def test_a_rule_on_an_empty_list_waits() -> None:
    story = ListStory()
    assert not story.see(90.0, 110.0)
    story.list(A)
    assert len(story.see(90.0, 110.0)) == 1


def test_a_list_that_changes_while_its_rule_is_paused_counts_when_it_goes_on() -> None:
    story = ListStory(A)
    story.rule(paused=True)
    story.list(B)
    story.rule(paused=False)
    assert not story.see(90.0, 110.0, pair=A)
    assert len(story.see(90.0, 110.0, pair=B)) == 1


def test_a_changed_list_survives_a_restart() -> None:
    story = ListStory(A)
    story.see(90.0)
    story.list(A, B)
    story.see(90.0, pair=B)
    story.restart()
    assert len(story.see(110.0, pair=B)) == 1
    assert len(story.see(110.0, pair=A)) == 1


def test_lists_that_change_often_leave_nothing_behind() -> None:
    story, plain = ListStory(A, B), ListStory(A, B)
    for one in (story, plain):
        one.see(90.0, pair=A)
        one.see(90.0, pair=B)
    for _ in range(50):
        story.list(A)
        story.list(B, A)
        story.see(90.0, pair=B, every=0)
    state = story.watcher.engine.state()
    assert len(rules_of(state)) == 1
    assert [watched.number for watched in state.watched] == [
        watched.number for watched in plain.watcher.engine.state().watched
    ]


# --- how they are written ----------------------------------------------------------------------------


def test_a_list_is_named_alone_among_the_pairs() -> None:
    assert list_of(SPEC) == parse_list("list( mine )") == "mine"
    assert not is_pair(MINE)
    assert parse_list("bitcoin/usd") is None
    check_spec(SPEC)
    with pytest.raises(ConfigError, match="stands alone"):
        check_spec(msgspec.structs.replace(SPEC, pairs=(MINE, A)))


@pytest.mark.parametrize("name", ["", "Mine", "my list", "-mine", "m" * 65, "müne", "a/b"])
def test_the_name_of_a_list_is_short_and_plain(name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a list"):
        check_list(name, ())
    with pytest.raises(ConfigError, match="not the name of a list"):
        check_spec(msgspec.structs.replace(SPEC, pairs=(f"list({name})",)))


@pytest.mark.parametrize(
    ("pairs", "where"),
    [(("bitcoin",), "pairs[0]"), ((A, "all"), "pairs[1]"), ((A, MINE), "pairs[1]"), ((A, A), "pairs[1]"),
     (tuple(f"{n}/usd" for n in range(1_001)), "pairs")],
)  # fmt: skip
def test_a_list_holds_pairs_each_once(pairs: tuple[str, ...], where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_list("mine", pairs)
    assert refused.value.where == where


def test_what_is_wrong_with_a_list_is_said_with_its_place() -> None:
    with pytest.raises(ConfigError) as named:
        check_list("my list", ())
    assert str(named.value.message) == "'my list' is not the name of a list"
    assert named.value.where == "name"
    assert named.value.hint == "up to 64 of a-z, 0-9, - and _, the first a letter or digit"
    with pytest.raises(ConfigError) as long:
        parse_list(f"list({'m' * 100})")
    assert long.value.message == f"'{'m' * 80}' is not the name of a list"
    assert long.value.where == "pairs"
    with pytest.raises(ConfigError) as twice:
        check_list("mine", (A, B, A))
    assert (twice.value.message, twice.value.where) == ("a/usd is named twice", "pairs[2]")
    with pytest.raises(ConfigError) as many:
        check_list("mine", tuple(f"{n}/usd" for n in range(1_001)))
    assert many.value.message == "a list has at most 1000 pairs"
    check_list("m" * 64, tuple(f"{n}/usd" for n in range(1_000)))


def test_a_list_that_rules_are_on_names_five_of_them() -> None:
    rules = [Rule(id=n, owner="me", version=1, spec=msgspec.structs.replace(SPEC, name=n)) for n in "abcdef"]
    assert in_use("mine", rules[:2]) == "rules are on the list 'mine': a, b"
    assert in_use("mine", rules[:5]) == "rules are on the list 'mine': a, b, c, d, e"
    assert in_use("mine", rules) == "rules are on the list 'mine': a, b, c, d, e and 1 more"


def test_a_list_is_its_owners_where_nobody_says_otherwise() -> None:
    assert Watchlist(name="mine", owner="me", pairs=()).origin == "owner"


def test_the_pairs_of_a_rule_are_those_of_its_list() -> None:
    assert members_of(SPEC, {"mine": [A, B]}) == (A, B)
    assert members_of(msgspec.structs.replace(SPEC, pairs=(A,)), {}) == ()
    assert pairs_of(Rule(id="r", owner="me", version=1, spec=SPEC, members=(A, B))) == (A, B)
    with pytest.raises(ConfigError) as refused:
        members_of(SPEC, {"yours": [], "coins": []})
    assert (refused.value.message, refused.value.where) == ("there is no list 'mine'", "pairs[0]")
    assert refused.value.hint == "there are: coins, yours"
    with pytest.raises(ConfigError) as without:
        members_of(SPEC, {})
    assert without.value.hint == "there are no lists yet: make it first"


def test_a_rule_on_a_list_says_so() -> None:
    said = say(msgspec.structs.replace(SPEC, repeat="once"))
    assert said == (
        "When the price of any pair of the list mine rises to 100 or above, it tells you. "
        "It tells you once for each pair."
    )
