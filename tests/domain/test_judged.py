"""Rules of many shapes, judged all at once, and made ready all at once: each as it would be by itself."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import pytest

from cryptowatcher.domain.checkpoints import encode
from cryptowatcher.domain.rules.compiled import CompiledRule, compile_rule
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.groups import Group
from cryptowatcher.domain.rules.judged import Judged
from cryptowatcher.domain.rules.kinds import kind_of
from cryptowatcher.domain.rules.model import Rule, RuleChange, RuleSpec
from cryptowatcher.domain.rules.rows import PLAIN
from cryptowatcher.domain.rules.tree import Expression, show
from cryptowatcher.domain.rules.truth import Truth, judge, judge_many
from cryptowatcher.domain.rules.watched import Known, Watched
from cryptowatcher.errors import ConfigError
from tests.domain.states import told

NUMBERS = ("price", "low(1h)", "volume(1h)", "rank", "market_cap")


def conditions(chance: random.Random, depth: int = 2) -> str:
    if not depth or chance.random() < 0.4:
        crossing = chance.random() < 0.2
        how = chance.choice(("crosses above", "crosses below") if crossing else (">", ">=", "<", "<="))
        return f"{chance.choice(NUMBERS)} {how} {chance.randrange(1, 5)}"
    parts = [conditions(chance, depth - 1) for _ in range(chance.randrange(2, 4))]
    return f"({chance.choice((' and ', ' or ')).join(parts)})"


def rules(chance: random.Random, count: int) -> Iterator[CompiledRule]:
    while count:
        spec = RuleSpec(name="x", pairs=("a/usd",), when=conditions(chance), rearm=chance.choice(("0%", "30%")))
        with contextlib.suppress(ConfigError):  # a condition that can never be so
            yield compile_rule(Rule(id="x", owner="me", version=1, spec=spec))
            count -= 1


@pytest.mark.parametrize("seed", range(20))
def test_rules_of_many_shapes_at_once_are_judged_as_each_by_itself(seed: int) -> None:
    chance = random.Random(seed)
    judged = Judged()
    watched: dict[Expression, Watched] = {}
    groups: dict[int, Group] = {}
    mine = list(rules(chance, 60))
    judged.widen(len(mine))
    for slot, rule in enumerate(mine):
        for look in rule.shape.looks:
            watched.setdefault(look.number, Watched(look.number, Known.of_nothing(1)))
        looked_at = [watched[look.number] for look in rule.shape.looks]
        groups[slot] = next((g for g in groups.values() if g.shape == rule.shape), Group(rule.shape, looked_at))
        judged.put(slot, groups[slot], rule.fire, rule.rearm)
        gone = chance.choice([*groups, *[None] * 60])
        if gone is not None and judged.leave(groups[gone]):  # the next one gets its numbers
            groups = {slot: group for slot, group in groups.items() if group is not groups[gone]}
        elif gone is not None:
            del groups[gone]
    slots = np.array(sorted(groups))
    now, last = (
        {
            (slot, look.number): chance.choice((at, float(np.nextafter(at, -np.inf)), chance.randrange(6), np.nan))
            for slot in slots.tolist()
            for look, at in zip(mine[slot].shape.looks, mine[slot].fire, strict=True)
        }
        for _ in range(2)
    )
    atoms = judged.atoms(slots)
    looks = zip(
        slots[atoms.rule].tolist(), (judged.seated(seat).number for seat in atoms.seat.tolist()), strict=True
    )
    values, before = np.array([(now[place], last[place]) for place in looks]).T
    found = judge_many(atoms, judged.formulas(atoms), values, before if atoms.pulse.any() else None)
    for place, slot in enumerate(slots.tolist()):
        shape, rule = mine[slot].shape, mine[slot]
        one = [[np.array([known[slot, look.number]]) for look in shape.looks] for known in (now, last)]
        truth = judge(shape, one[0], one[1], rule.fire, rule.rearm)
        assert Truth(*(column[[place]] for column in found)) == truth, rule.text


def changes(count: int) -> list[tuple[int, RuleChange]]:
    chance, found = random.Random(1), []
    for number in range(count):
        constant = f"{chance.uniform(-3, 300):.{chance.randrange(5)}f}"
        when = (
            f"price > {constant}",
            f"change(5m) <= {constant}% and price < 7",
            f"price - 60 + 0.3 >= {constant} and (rsi(14, 1h) < {constant} or price crosses above 3)",
            f"volume(1h) > {constant} or volume(1h) <= 0 or change(1h) crosses below {constant}%",
            f"abs(change(1h)) > 3 * volatility(1d) and price > {constant}",
            f"change(7m) >= {constant}% and change(7m) > {constant}% and price > {constant}",
        )[number % 6]
        spec = RuleSpec(
            name=f"rule {number}",
            pairs=(f"p{number % 5}/usd",),
            when=when,
            rearm=("0%", "0.1%", "5%")[number % 7 % 3],
        )
        rule = Rule(id=f"r{number:012x}", owner="me", version=1, spec=spec)
        found.append((number, RuleChange(number=number + 1, rule_id=rule.id, owner="me", head=0, saved_at=0,
                                         rule=rule)))  # fmt: skip
    return found


def constants(engine: Engine) -> list[tuple[str, list[object]]]:
    """Of every number: pairs, constants and rules, as they lie."""
    found = []
    for watched in engine.state().watched:
        runs = [*(part.value for part in watched.constants.named.tables), watched.constants.named.young]
        columns = [column.tolist() for run in runs for column in (run.cols(), run.constant, run.slot)]
        found.append((show(watched.number), columns))
    return found


def test_rules_of_many_kinds_at_once_leave_the_same_bytes_as_one_by_one() -> None:
    one, many = Engine(), Engine()
    for seq, change in changes(400):
        one.apply_many([(seq, change)])
    many.apply_many(changes(400))
    assert constants(many) == constants(one)
    assert encode(told(many.state())) == encode(told(one.state()))


def test_numbers_that_are_taken_for_plain_are_shown_as_they_are_written() -> None:
    chance = random.Random(2)
    spec = RuleSpec(name="", pairs=(), when="price > \x00 and change(5m) > \x00%")
    kind = kind_of(spec, "owner")
    assert kind is not None
    plain = 0
    for _ in range(5_000):
        digits = "".join(chance.choice("0019") for _ in range(chance.randrange(1, 8)))
        text = (
            f"{chance.choice(('', '-'))}{chance.randrange(10 ** chance.randrange(10))}{chance.choice(('', '.'))}"
        )
        text += digits if text.endswith(".") else ""
        if PLAIN.fullmatch(text):
            plain += 1
            assert {kind.shown(number, kind.value(number, text)) for number in (0, 1)} == {text}
    assert plain > 1_000
