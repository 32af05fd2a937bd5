"""What can be computed but is hardly ever meant: `age > 5m + 1`, `price > 100 + 5%`, `abs(price - 60000) > 5%`.

It is said where a rule is saved, with what was probably meant; rules that are stored already are not asked.
"""

from __future__ import annotations

from typing import Final

from cryptowatcher.domain.rules.mistakes import Wrong
from cryptowatcher.domain.rules.tree import (
    Apply,
    Arithmetic,
    Comparison,
    Expression,
    Functions,
    Negative,
    Number,
    calls,
    show,
)
from cryptowatcher.domain.rules.units import WORDS, Kind, constant, factor_of, instead, kind_of, rounded

_TIMES: Final = ("time", "duration")
_MONEY: Final = ("price", "money")
_MANY: Final = 20
"""So many times a share is not meant as a share."""


def slip_in_arithmetic(node: Arithmetic, *, at: tuple[int, int], functions: Functions) -> Wrong | None:
    """Of one sum or product. `at`: where its sides begin."""
    kinds = kind_of(node.left, functions), kind_of(node.right, functions)
    if node.op in "+-":
        return _slip_in_sum(node, kinds, at=at, functions=functions)
    if _goes_with_time(node.op, *kinds):
        return None
    return Wrong(at[0], "a duration can only be multiplied with a number, or divided by one")


def _slip_in_sum(
    node: Arithmetic, kinds: tuple[Kind, Kind], *, at: tuple[int, int], functions: Functions
) -> Wrong | None:
    sides = node.left, node.right
    for one, other in ((0, 1), (1, 0)):
        kind, added, value = kinds[one], kinds[other], constant(sides[other])
        scaled = _scaled(node, sides[one], sides[other]) if one == 0 or node.op == "+" else None
        hint = f"write {show(scaled, functions)}" if scaled else ""
        if kind in _TIMES and added not in (*_TIMES, ""):
            time = "write a duration: 5m, 1h, …" if added == "plain" else ""
            return Wrong(at[other], f"{WORDS[added]} cannot be added to {WORDS[kind]}", time)
        if "fraction" in (kind, added) and _is_of_anything(sides[one if kind == "fraction" else other]):
            continue
        if kind == "fraction" and added == "plain" and value is not None and abs(value) != 1:
            return Wrong(at[other], "a number cannot be added to a share", instead(kind, added, value))
        if kind in _MONEY and added == "fraction":
            return Wrong(at[other], "a share cannot be added to a price or an amount", hint)
        if kind == "plain" and added == "percent" and not _near_one(constant(sides[one])):
            return Wrong(at[other], "a percentage cannot be added to a number", hint)
    return None


def _is_of_anything(share: Expression) -> bool:
    """`volatility(1d) * 60000` may be a price, or points."""
    return abs(factor_of(share)[0]) >= _MANY


def _scaled(node: Arithmetic, whole: Expression, share: Expression) -> Expression:
    """`100 + 5%` as it was meant: 105."""
    scaled = Arithmetic("*", whole, Arithmetic(node.op, Number(1.0), share))
    value = constant(scaled)
    return scaled if value is None else Number(rounded(value))


def _goes_with_time(op: str, left: Kind, right: Kind) -> bool:
    """Whether a product or a quotient of these means something, as far as durations go."""
    if "duration" not in (left, right):
        return True
    if op == "/" and right in _TIMES:
        return left in (*_TIMES, "")
    return {left, right} <= {"duration", "plain", "percent", ""} and left != right


def slip_in_comparison(said: Comparison, *, at: tuple[int, int], functions: Functions) -> Wrong | None:
    """Of a comparison with a constant. `at`: where its sides begin."""
    for left, right, start in ((said.left, said.right, at[1]), (said.right, said.left, at[0])):
        value = constant(right)
        if value is None:
            continue
        shown, kinds = show(left, functions), (kind_of(left, functions), kind_of(right, functions))
        if kinds[0] == "fraction" and _mixed(right, functions):
            message = f"`{shown}` is compared with a percentage, not with a number"
            return Wrong(start, message, f"write {Number(rounded(value), percent=True)}")
        if kinds == ("time", "") and value:
            return Wrong(start, f"`{shown}` is compared with a duration", "write a duration: 5m, 1h, …")
        if kinds == ("", "duration") and all(functions[call.name].unit != "time" for call in calls(left)):
            return Wrong(start, f"`{shown}` is compared with a number, not with a duration")
        share = _share_of(left, functions) if kinds == ("", "percent") else None
        if share is not None:
            message = f"`{shown}` is compared with a number, not with a percentage"
            return Wrong(start, message, f"write {show(share, functions)} {said.op} {show(right, functions)}")
    return None


def _mixed(node: Expression, functions: Functions) -> bool:
    """Whether this constant adds a number and a percentage, or picks one of them: then it is a number."""
    match node:
        case Arithmetic(op="*" | "/"):
            return _mixed(node.left, functions) or _mixed(node.right, functions)
        case Negative():
            return _mixed(node.of, functions)
        case Arithmetic() | Apply():
            parts = node.args if isinstance(node, Apply) else (node.left, node.right)
            kinds = {kind_of(part, functions) for part in parts}
            return kinds >= {"plain", "percent"} or any(_mixed(part, functions) for part in parts)
        case _:
            return False


def _share_of(node: Expression, functions: Functions) -> Expression | None:
    """`price - 60000` as a share: `price / 60000 - 1`. None for other things, and where it is nearly that already:
    `price - 1` of a dollar coin."""
    match node:
        case Apply(name="abs", args=(one,)):
            share = _share_of(one, functions)
            return None if share is None else Apply("abs", (share,))
        case Arithmetic(op="-", left=left, right=right) if kind_of(left, functions) in _MONEY:
            return (
                None if _near_one(constant(right)) else Arithmetic("-", Arithmetic("/", left, right), Number(1.0))
            )
        case Arithmetic(op="-", left=left, right=right) if kind_of(right, functions) in _MONEY:
            return (
                None if _near_one(constant(left)) else Arithmetic("-", Number(1.0), Arithmetic("/", right, left))
            )
        case _:
            return None


def _near_one(value: float | None) -> bool:
    """Of such a number 5 % is nearly 0.05. (Of nought it is nought, and of what is no constant, who knows.)"""
    return not value or 0.5 <= value <= 2
