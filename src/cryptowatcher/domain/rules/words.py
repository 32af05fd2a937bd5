"""A rule said back in plain words, so that who wrote it sees what it will do.

The words of a feature come from its family; here they are joined to sentences.
"""

from __future__ import annotations

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.features.change import SINCE_ALERT
from cryptowatcher.domain.intervals import parse_duration, show_duration
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import check_spec, is_pair, parse_percent, parse_top
from cryptowatcher.domain.rules.language import Language
from cryptowatcher.domain.rules.model import MOST_REMINDERS, RuleSpec
from cryptowatcher.domain.rules.tree import (
    And,
    Apply,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Expression,
    Functions,
    Negative,
    Not,
    Number,
    Operator,
    Or,
    calls,
    show_argument,
    show_number,
)
from cryptowatcher.domain.rules.units import constant, kind_of, rounded
from cryptowatcher.domain.rules.watchlists import parse_list

_OPPOSITE: dict[Operator, Operator] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
# By itself a comparison is said as the event that fires it; among others as what is so.
_TURNS = {
    ">=": "rises to {} or above",
    ">": "rises above {}",
    "<=": "falls to {} or below",
    "<": "falls below {}",
    "crosses above": "crosses above {}",
    "crosses below": "crosses below {}",
}
_IS = _TURNS | {
    ">=": "is {} or above",
    ">": "is above {}",
    "<=": "is {} or below",
    "<": "is below {}",
}
_BY = {">=": "by {} or more", ">": "by more than {}", "<=": "by {} or more", "<": "by more than {}"}
_MOVE = "the change "
_SIGNS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def say(spec: RuleSpec, reader: Language | None = None) -> str:
    """The whole rule. ConfigError where something is wrong with it."""
    condition = _without_not(check_spec(spec, reader))
    words = Words(reader.functions if reader else catalogue())
    hold = "" if parse_duration(spec.for_) == 0 else f", and stays so for {spec.for_} of observed time"
    told = f" by {_list(spec.channels, 'and')}" if spec.channels else ""
    over = ", and once more when that is over" if spec.resolved else ""
    first = f"{words.when(condition, spec.pairs)}{hold}, it tells you{told}{over}."
    return " ".join([first, words.again(spec, condition), *words.before(condition), *_besides(spec)])


def _besides(spec: RuleSpec) -> list[str]:
    """What else is out of the ordinary, a sentence each."""
    said = []
    if spec.fire_if_already_true:
        said.append("Also if that is so at the first look.")
    if spec.advice != "info":
        said.append(f"You take it as advice to {spec.advice}.")
    if spec.active:
        said.append(f"What it has to say outside {spec.active} waits until then.")
    if spec.urgent:
        said.append("It is urgent: it is told in quiet hours too, and by itself.")
    if spec.remind:
        said.append(
            f"It reminds you every {spec.remind} until you acknowledge it, {MOST_REMINDERS} times at most."
        )
    if spec.escalate:
        steps = [f"{name} with reminder {number}" for number, name in enumerate(spec.escalate, 1)]
        said.append(f"Told then too: {_list(steps, 'and')}.")
    if spec.expires:
        said.append(f"It ends {spec.expires}.")
    if spec.paused:
        said.append("It is paused.")
    return said


class Words:
    """Says parts of conditions over these functions."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    # --- the life-cycle --------------------------------------------------------------------------

    def again(self, spec: RuleSpec, condition: Condition) -> str:
        """What has to happen before it tells again."""
        if spec.repeat == "once":
            return "It tells you once." if _one(spec.pairs) else "It tells you once for each pair."
        again = self._back(condition, parse_percent(spec.rearm, where="rearm"))
        cools = parse_duration(spec.cooldown) != 0
        each = " for each pair" if cools and not _one(spec.pairs) else ""
        seldom = f"at most once in {spec.cooldown}{each}" if cools else ""
        said = [f"It tells you again only after {again}{', ' * cools}{seldom}."]
        if any(call.name == SINCE_ALERT for call in calls(condition)):
            if _is_over_without_change(condition):
                said = [f"It tells you {seldom}."] if cools else []
            said.insert(0, "Whenever it has come true, the change counts from the price at that moment.")
        return " ".join(said)

    def _back(self, condition: Condition, band: float) -> str:
        """Where it is armed again."""
        if isinstance(condition, Comparison):
            fired = constant(condition.right)
            if fired is not None:
                return self._back_from(condition, fired, band)
        margin = f", with {show_number(Number(band, percent=True))} to spare" if band else ""
        return f"that was no longer so{margin}"

    def _back_from(self, condition: Comparison, fired: float, band: float) -> str:
        away = abs(fired) * band
        there = fired - away if condition.rises else fired + away
        side = "at or " if condition.op in (">", "<") else ""
        which = f"{side}{'below' if condition.rises else 'above'}"
        number = self._number(condition, there)
        note = f" ({show_number(Number(band, percent=True))} back)" if away else ""
        return f"{self.expression(condition.left)} was {which} {number}{note}"

    def _number(self, beside: Comparison, value: float) -> str:
        """A number that the left side is compared with, in its unit, or in that of the right side."""
        kinds = kind_of(beside.left, self._functions), kind_of(beside.right, self._functions)
        percent = kinds[0] == "fraction" or kinds == ("", "percent")
        shown = Number(rounded(value), percent=percent, duration="time" in kinds or "duration" in kinds)
        return show_number(shown) if shown.value else "0"

    def before(self, condition: Condition) -> list[str]:
        """How long nothing is known at first."""
        past = max(self._functions[call.name].needs(call.args) for call in calls(condition))
        if not past:
            return []
        silent = self._silent(condition)
        if silent == past:
            until = ", and is silent until that has been watched"
        elif silent:
            until = (
                f", and is silent for the first {show_duration(silent)}; until the whole has been watched, a part "
                "may be enough"
            )
        else:
            until = "; until that has been watched, a part may be enough"
        return [f"It looks back on {show_duration(past)}{until}."]

    def _silent(self, condition: Condition) -> int:
        """How long it cannot fire at first, ms. Of several of which one is enough, the first that is known may."""
        match condition:
            case Or():
                return min(map(self._silent, condition.parts))
            case And():
                return max(map(self._silent, condition.parts))
            case _:
                return max(self._functions[call.name].needs(call.args) for call in calls(condition))

    # --- conditions ------------------------------------------------------------------------------

    def when(self, condition: Condition, pairs: tuple[str, ...]) -> str:
        """A condition as an event of these pairs: `When the price of bitcoin/usd rises above 70000`."""
        condition = _without_not(condition)
        if not isinstance(condition, Comparison):
            this = "all this" if isinstance(condition, And) else "this"
            return f"When {this} comes true for {_pairs(pairs)}: {self._parts(condition)}"
        move = self._move(condition, "rises", "falls")
        if move:
            return f"When {_pairs(pairs)} {move}"
        turns = self._side(condition, _TURNS)
        left = self.expression(condition.left)
        if isinstance(condition.left, Call) and left == self._functions[condition.left.name].says:
            return f"When {left} of {_pairs(pairs)} {turns}"
        return f"When, for {_pairs(pairs)}, {left} {turns}"

    def _parts(self, condition: Condition, *, inside: bool = False) -> str:
        """A condition as something that is so."""
        match condition:
            case Comparison():
                move = self._move(condition, "it has risen", "it has fallen")
                return move or f"{self.expression(condition.left)} {self._side(condition, _IS)}"
            case Not():
                return self._parts(_without_not(condition), inside=inside)
            case And():
                said = ", and at the same time ".join(self._parts(part, inside=True) for part in condition.parts)
            case Or():
                said = ", or ".join(self._parts(part, inside=True) for part in condition.parts)
        return f"({said})" if inside else said

    def _move(self, comparison: Comparison, rises: str, falls: str) -> str:
        """`falls by 5% or more within 5m`, where that is what it comes to: a change up, or a change down."""
        call, value = comparison.left, comparison.right
        if not isinstance(call, Call) or not isinstance(value, Number) or comparison.op not in _BY:
            return ""
        noun = self._noun(call)
        if not noun.startswith(_MOVE) or value.value == 0 or (value.value > 0) != comparison.rises:
            return ""
        size = show_number(Number(abs(value.value), percent=True))
        return (
            f"{rises if comparison.rises else falls} {_BY[comparison.op].format(size)} {noun.removeprefix(_MOVE)}"
        )

    def _side(self, comparison: Comparison, verbs: dict[str, str]) -> str:
        right = self.expression(comparison.right)
        value = constant(comparison.right)
        if value is not None and not isinstance(comparison.right, Number):
            right = f"{right} ({self._number(comparison, value)})"
        return verbs[comparison.op].format(right)

    # --- expressions -----------------------------------------------------------------------------

    def expression(self, node: Expression) -> str:
        """`3 times the usual size of a move of 1h within 1d`."""
        match node:
            case Number():
                return show_number(node)
            case Call():
                return self._noun(node)
            case Negative():
                return f"minus {self._operand(node.of)}"
            case Arithmetic():
                return f"{self._operand(node.left)} {_SIGNS[node.op]} {self._operand(node.right)}"
            case Apply(name="abs", args=(Arithmetic(op="-", left=left, right=right),)):
                return f"the distance between {self._operand(left)} and {self._operand(right)}"
            case Apply(name="abs", args=(one,)):
                return f"the size of {self._operand(one)}"
            case Apply():
                which = "smallest" if node.name == "min" else "largest"
                return f"the {which} of {_list([self._operand(arg) for arg in node.args], 'and')}"

    def _operand(self, node: Expression) -> str:
        said = self.expression(node)
        several = isinstance(node, Arithmetic | Negative) or (isinstance(node, Apply) and len(node.args) > 1)
        return f"({said})" if several else said

    def _noun(self, call: Call) -> str:
        function = self._functions[call.name]
        said = {}
        others = ""
        for parameter, arg in zip(function.parameters, call.args, strict=True):
            shown = (
                self._noun(arg) if isinstance(arg, Call) else show_argument(parameter.kind, arg, self._functions)
            )
            said[parameter.name] = shown
            if parameter.kind == "pair" and arg and f"{{{parameter.name}}}" not in function.says:
                others = f" of {shown}"
        return function.says.format_map(said) + others


def _is_over_without_change(condition: Condition) -> bool:
    """Whether it is false of no change at all: then a rule that counts anew is armed again at once."""
    if not isinstance(condition, Comparison):
        return False
    against = constant(condition.right)
    return against is not None and (against > 0 if condition.rises else against < 0)


def _without_not(condition: Condition, *, opposite: bool = False) -> Condition:
    """The same without `not`: what is not above 5 is 5 or below. Or its opposite. A crossing has none."""
    match condition:
        case Comparison():
            op = _OPPOSITE[condition.op] if opposite else condition.op
            return Comparison(op, condition.left, condition.right)
        case Not():
            return _without_not(condition.of, opposite=not opposite)
        case And() | Or():
            parts = tuple(_without_not(part, opposite=opposite) for part in condition.parts)
            return And(parts) if isinstance(condition, And) != opposite else Or(parts)


def _one(pairs: tuple[str, ...]) -> bool:
    return len(pairs) == 1 and is_pair(pairs[0])


def _pairs(pairs: tuple[str, ...]) -> str:
    if pairs == (ALL,):
        return "any pair"
    top = parse_top(pairs[0])
    if top is not None:
        return f"any of the {top} largest pairs"
    name = parse_list(pairs[0])
    if name is not None:
        return f"any pair of the list {name}"
    return _list(pairs, "or")


def _list(names: tuple[str, ...] | list[str], last: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
