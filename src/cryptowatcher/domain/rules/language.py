"""Conditions as people write them: text → tree, or an error that shows its place.

    price crosses above 70000
    abs(change(1h)) > 3 * volatility(1d)
    rsi(14, 1h) < 30 and not (price < sma(200, 1d))

Which functions there are, with which arguments, is the features' business (domain/features); what the parts of a
tree are is the tree's (tree.py). Small and capital letters are the same, but in names of pairs.
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.arguments import Said, call_of, duration_of
from cryptowatcher.domain.rules.idle import contradiction, verdict_on, why_idle
from cryptowatcher.domain.rules.mistakes import ConditionError, Wrong, explain
from cryptowatcher.domain.rules.slips import slip_in_arithmetic, slip_in_comparison
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Arithmetic,
    Comparison,
    Condition,
    Functions,
    Negative,
    Node,
    Not,
    Number,
    Operator,
    Or,
    show,
)
from cryptowatcher.domain.rules.units import check_comparison, check_sum, constant

if TYPE_CHECKING:
    from lark import Lark, Token, UnexpectedInput

LONGEST = 500
"""Characters of a condition."""
MOST_COMPARISONS = 32
DEEPEST = 20
"""Levels of a tree."""

# A feature's arguments hold no arithmetic, so that after its bracket `bitcoin/usd` can only be a pair. Where
# several terminals would do, the one with the greatest number goes first.
GRAMMAR = r"""
start: disjunction
?disjunction: conjunction (_OR conjunction)*
?conjunction: negation (_AND negation)*
?negation: _NOT negation -> not_
         | "(" disjunction ")"
         | comparison
comparison: sum OPERATOR sum
?sum: product
    | sum SUM product -> arithmetic
?product: sign
        | product PRODUCT sign -> arithmetic
?sign: SUM sign -> signed
     | atom
?atom: NUMBER -> number
     | PERCENT -> percent
     | DURATION -> duration
     | call -> feature
     | APPLY "(" sum ("," sum)* ")" -> apply
     | "(" sum ")"
call: NAME ["(" [argument ("," argument)*] ")"]
?argument: NUMBER | DURATION | PAIR | call

_OR: /or\b/i
_AND: /and\b/i
_NOT: /not\b/i
OPERATOR: /<=|>=|<(?!>)|>|crosses\s+above\b|crosses\s+below\b/i
SUM: /[+-]/
PRODUCT: /[*\/](?!\*)/
APPLY.2: /(abs|min|max)\b/i
NAME: /(?!(and|or|not|crosses)\b)[a-z_][a-z0-9_]*/i
PAIR.4: /[^\s\/(),]+\/[^\s\/(),]+/
DURATION.3: /([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+(?![a-zA-Z0-9_.])/
PERCENT.3: NUMBER /\s*%/
NUMBER.2: INT ["." [INT]] [EXPONENT] | "." INT [EXPONENT]
INT: /[0-9](_?[0-9])*/
EXPONENT: /[eE][+-]?[0-9]+/
%ignore /\s+/
"""


class Part(NamedTuple):
    """A piece of the tree while it grows, and where it stands in the text.

    height:      levels of the tree below and with it
    comparisons: how many there are in it
    crosses:     where a `crosses` stands in it, -1 for nowhere
    slip:        the first thing in it that can never turn true, or is hardly meant: an error where a rule is saved
    """

    node: Any  # an Expression or a Condition: the grammar says which
    start: int
    height: int = 1
    comparisons: int = 0
    crosses: int = -1
    slip: Wrong | None = None


class Language:
    """Reads conditions over these functions. What it needs is made at the first text and kept."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions

    @functools.cached_property
    def _lark(self) -> Lark:
        # Imported here: `cryptowatcher --help` reads no conditions.
        from lark import Lark

        builder: Any = Builder(self.functions)  # lark takes any object with a method for each rule
        return Lark(GRAMMAR, parser="lalr", transformer=builder, maybe_placeholders=False)

    def parse(self, text: str, *, where: str = "when") -> Condition:
        """The tree of a condition; a ConditionError shows the column and what was expected there."""
        return self._parse(text, where, stored=True)

    def check(self, text: str, *, where: str = "when") -> Condition:
        """The same for one that is to be kept from now on: also an error where it can never turn true, or is
        hardly meant so."""
        return self._parse(text, where, stored=False)

    def _parse(self, text: str, where: str, *, stored: bool) -> Condition:
        try:
            part = self._read(text)
            if part.slip is not None and not stored:
                raise part.slip
        except Wrong as wrong:
            column = min(wrong.start, len(text)) + 1
            raise ConditionError(text, column, wrong.message, where=where, hint=wrong.hint) from None
        condition: Condition = part.node
        return condition

    def _read(self, text: str) -> Part:
        from lark import UnexpectedInput

        if len(text) > LONGEST:
            raise Wrong(LONGEST, f"a condition has at most {LONGEST} characters")
        try:
            part: Part = self._lark.parse(text)  # type: ignore[assignment]  # what the builder makes of it
        except UnexpectedInput as stop:
            place = _place(text, stop)
            expected = stop.interactive_parser.accepts()  # type: ignore[no-untyped-call]  # lark's
            raise explain(text, place, expected, stops=self._stops) from None
        if len(text) > LONGEST // 5 and len(show(part.node, self.functions)) > LONGEST:
            raise Wrong(LONGEST, f"written out, a condition has at most {LONGEST} characters")
        return part

    def _stops(self, text: str) -> int | None:
        """Where the reading of a text stops; None for a condition, -1 where something else is wrong with it."""
        from lark import UnexpectedInput

        try:
            self._lark.parse(text)
        except UnexpectedInput as stop:
            return _place(text, stop)
        except Wrong:
            return -1
        return None


@functools.cache
def language() -> Language:
    """The language over all features there are."""
    return Language(catalogue())


def parse(text: str, *, where: str = "when") -> Condition:
    """The tree of a condition; a ConditionError shows the column and what was expected there."""
    return language().parse(text, where=where)


class Builder:
    """A method for each rule of the grammar: what was read of it so far → the part of the tree it makes."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    # --- numbers ---------------------------------------------------------------------------------

    def number(self, said: list[Token]) -> Part:
        (token,) = said
        return Part(Number(_finite(token, token)), _start(token))

    def percent(self, said: list[Token]) -> Part:
        (token,) = said
        digits = token[:-1].rstrip()
        value = _finite(token, digits)
        # By decimal, so that 0.1% is the float of 0.001.
        return Part(Number(float(Decimal(digits).scaleb(-2)) if value else 0.0, percent=True), _start(token))

    def duration(self, said: list[Token]) -> Part:
        (token,) = said
        return Part(Number(float(duration_of(token)), duration=True), _start(token))

    # --- expressions -----------------------------------------------------------------------------

    def call(self, said: list[Any]) -> Said:
        name, *args = said
        return Said(name, tuple(args))

    def feature(self, said: list[Said]) -> Part:
        (call,) = said
        return Part(call_of(call, self._functions), _start(call.name))

    def apply(self, said: list[Any]) -> Part:
        token, *parts = said
        name = token.lower()
        if name == "abs" and len(parts) > 1:
            raise Wrong(parts[1].start, "`abs` is of one number", "`min` and `max` are of several")
        if name != "abs" and len(parts) < 2:
            raise Wrong(_start(token), f"`{name}` is of two numbers or more", f"write {name}(a, b)")
        return _grown(Apply(name, tuple(part.node for part in parts)), _start(token), parts)

    def signed(self, said: list[Any]) -> Part:
        token: Token = said[0]
        part: Part = said[1]
        if token.value == "+":
            return part._replace(start=_start(token))
        if isinstance(part.node, Number):
            # 0.0 - x, because there is no minus nought
            return Part(msgspec.structs.replace(part.node, value=0.0 - part.node.value), _start(token))
        return _grown(Negative(part.node), _start(token), [part])

    def arithmetic(self, said: list[Any]) -> Part:
        left, token, right = said
        op = token.value
        if op == "/" and constant(right.node) == 0:
            raise Wrong(right.start, "this divides by 0")
        if op in "+-":
            check_sum(op, left.node, right.node, at=(left.start, right.start), functions=self._functions)
        node = Arithmetic(op, left.node, right.node)
        value = constant(node)
        if value is not None and not math.isfinite(value):
            raise Wrong(left.start, "this number is too large")
        grown = _grown(node, left.start, [left, right])
        slip = slip_in_arithmetic(node, at=(left.start, right.start), functions=self._functions)
        return grown._replace(slip=grown.slip or slip)

    # --- conditions ------------------------------------------------------------------------------

    def comparison(self, parts: list[Any]) -> Part:
        left, token, right = parts
        op = cast("Operator", " ".join(token.lower().split()))
        check_comparison(op, left.node, right.node, at=(left.start, right.start), functions=self._functions)
        said = Comparison(op, left.node, right.node)
        grown = _grown(_constant_on_the_right(said), left.start, [left, right])
        crosses = _start(token) if op.startswith("crosses") else -1
        slip = grown.slip or slip_in_comparison(said, at=(left.start, right.start), functions=self._functions)
        return grown._replace(comparisons=1, crosses=crosses, slip=slip or self._idle(grown))

    def _idle(self, comparison: Part) -> Wrong | None:
        verdict = verdict_on(comparison.node, self._functions)
        if verdict is None:
            return None
        return Wrong(comparison.start, *why_idle(comparison.node, verdict, self._functions))

    def not_(self, said: list[Part]) -> Part:
        (part,) = said
        if part.crosses >= 0:
            hint = "a crossing is a moment; for what is not above 5, write <= 5"
            raise Wrong(part.crosses, "`not` cannot stand before a crossing", hint)
        return _grown(Not(part.node), part.start, said)

    def conjunction(self, said: list[Part]) -> Part:
        return self._joined(And(_flat(said, And)), said)

    def disjunction(self, said: list[Part]) -> Part:
        return self._joined(Or(_flat(said, Or)), said)

    def _joined(self, node: And | Or, said: list[Part]) -> Part:
        part = _grown(node, said[0].start, said)
        message = "" if part.slip else contradiction(node, self._functions)
        return part._replace(slip=Wrong(part.start, message)) if message else part

    def start(self, said: list[Part]) -> Part:
        return said[0]


def _place(text: str, stop: UnexpectedInput) -> int:
    """Where reading stopped."""
    token = getattr(stop, "token", None)
    ended = token is not None and token.type == "$END"
    return len(text.rstrip()) if ended else stop.pos_in_stream or 0


def _start(token: Token) -> int:
    return token.start_pos or 0


def _finite(token: Token, digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Wrong(_start(token), "this number is too large")
    return value


def _grown(node: Node, start: int, parts: list[Part]) -> Part:
    """One level more than its parts."""
    height = 1 + max(part.height for part in parts)
    if height > DEEPEST:
        raise Wrong(start, f"this is nested more than {DEEPEST} levels deep")
    comparisons = sum(part.comparisons for part in parts)
    if comparisons > MOST_COMPARISONS:
        raise Wrong(parts[-1].start, f"a condition has at most {MOST_COMPARISONS} comparisons")
    slip = next((part.slip for part in parts if part.slip is not None), None)
    return Part(node, start, height, comparisons, max(part.crosses for part in parts), slip)


def _flat(parts: list[Part], kind: type[And] | type[Or]) -> tuple[Condition, ...]:
    """The parts of `a and (b and c)` are three."""
    return tuple(
        inner for part in parts for inner in (part.node.parts if isinstance(part.node, kind) else (part.node,))
    )


_MIRRORED: dict[Operator, Operator] = {
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "crosses above": "crosses below",
    "crosses below": "crosses above",
}


def _constant_on_the_right(said: Comparison) -> Comparison:
    """`5 < price` is `price > 5`."""
    if constant(said.left) is None:
        return said
    return Comparison(_MIRRORED[said.op], said.right, said.left)
