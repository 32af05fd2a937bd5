"""Rules as kinds and rows: what comes out is what went in, and many at once are what one after the other are."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.domain.checkpoints import Part, encode
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.compiled import compile_rule
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.language import parse
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.rules.rows import Pooled, Pools
from cryptowatcher.errors import ConfigError
from tests.domain.states import rules_of, told
from tests.domain.trees import conditions


def a_rule(when: str, **fields: object) -> Rule:
    spec = msgspec.convert({"name": "mine", "pairs": ["a/usd"], "when": when, **fields}, RuleSpec)
    return Rule(id="r0123456789ab", owner="me", version=3, spec=spec)


def check(rule: Rule) -> bool:
    """Whether numbers were cut out of its condition."""
    pools = Pools()
    row = pools.row(rule, 7)
    assert pools.rule(row) == rule
    assert pools.compiled(row) == compile_rule(rule)
    kind = pools.kind(row.kind)
    assert (row.start, row.version) == (7, 3)
    return bool(kind.percent)


def test_a_checkpoint_says_of_a_kind_only_what_its_rules_say_so_that_the_release_before_reads_it() -> None:
    pools, rule = Pools(), a_rule("price >= 5", cooldown="1h")
    row = pools.row(rule, 7)
    written = [msgspec.msgpack.encode(part.value) for part in pools.state()]
    assert b"1h" in b"".join(written)
    assert b"resolved" not in b"".join(written)
    read = [Part(msgspec.msgpack.decode(each, type=Pooled)) for each in written]
    for parts in (read, pools.state()):
        again = Pools()
        again.restore(parts)
        assert again.rule(row) == rule
        assert again.row(rule, 7) == row


def test_a_checkpoint_says_what_rules_use() -> None:
    pools, rule = Pools(), a_rule("price >= 5", resolved=True)
    row, again = pools.row(rule, 7), Pools()
    again.restore(
        [Part(msgspec.msgpack.decode(msgspec.msgpack.encode(each.value), type=Pooled)) for each in pools.state()]
    )
    assert again.rule(row) == rule


@given(conditions(catalogue()), st.sampled_from(["0%", "0.1%", "50%"]))
def test_a_rule_comes_out_of_its_row_as_it_went_in_and_is_made_ready_as_ever(tree: object, band: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(str(tree))
        check(a_rule(str(tree), rearm=band))


@pytest.mark.parametrize(
    ("when", "cut"),
    [
        ("price >= 0", True),
        ("change(5m) <= -5.50%", True),
        ("not (price > 5 and change(1h) < 3%)", True),
        ("price - 60000 + 500 > 1000.0", True),
        ("age > 5m and price > 3", True),
        ("price > 0.00000001", True),
        ("price CROSSES ABOVE 7 and price > 5", True),
        ("price CROSSES ABOVE 1 and price > 5", False),
        ("abs(change(1h)) > 3 * volatility(1d)", False),
        ("change_since_alert(60000) >= 10%", False),
    ],
)
def test_numbers_are_cut_out_where_they_can_be_told_apart(when: str, cut: bool) -> None:
    assert check(a_rule(when)) == cut


@pytest.mark.parametrize("name", ["ä ✓", "\x01", "\x01x\x01", "a\x00b"])
def test_any_name_is_kept(name: str) -> None:
    check(a_rule("price > 5", name=name))
    check(a_rule("price > 5.00", name=name))
    check(a_rule("price > high(1h) * 2", name=name))


def changes(count: int) -> list[tuple[int, RuleChange]]:
    found = []
    for number in range(count):
        pairs = [f"p{number % 7}/usd"] if number % 50 else ["all"]
        rule = msgspec.structs.replace(
            a_rule(f"price > {number}.50", pairs=pairs), id=f"r{number % 5_000:012x}", version=number
        )
        gone = number % 97 == 0
        found.append((number, RuleChange(number=number + 1, rule_id=rule.id, owner="me", head=0, saved_at=0,
                                         rule=None if gone else rule)))  # fmt: skip
    return found


def sorted_by_id(engine: Engine) -> dict[str, Any]:
    found = told(engine.state())
    found["rules"].sort(key=lambda state: state.rule.id)
    return found


def test_many_changes_at_once_are_the_same_as_one_after_the_other_and_come_back() -> None:
    one, many, back = Engine(), Engine(), Engine()
    for seq, change in changes(6_000):
        one.apply_many([(seq, change)])
    many.apply_many(changes(6_000))
    assert encode(sorted_by_id(many)) == encode(sorted_by_id(one))
    state = many.state()
    assert all(again is before for again, before in zip(many.state().book.roll.segments, state.book.roll.segments,
                                                        strict=True))  # fmt: skip
    back.restore(state)
    assert rules_of(back.state()) == rules_of(state)
    assert [back.place(f"r{n:012x}", "p1/usd") for n in range(0, 5_000, 333)] == [
        many.place(f"r{n:012x}", "p1/usd") for n in range(0, 5_000, 333)
    ]
