"""/api/v1/language and POST /api/v1/rules/check: what whoever writes a rule is told while they write."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.intervals import INTERVALS
from cryptowatcher.domain.pairs import ALL
from cryptowatcher.domain.rules.check import check_spec
from cryptowatcher.domain.rules.described import Described, described
from cryptowatcher.domain.rules.language import language
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.words import say
from cryptowatcher.errors import ConfigError
from cryptowatcher.web.problems import documented

_GOOD = RuleSpec(name="rule", pairs=(ALL,), when="price > 1")
_NAMED = re.compile(r"did you mean `(\w+)`\?")
_WORD = re.compile(r"\w*")


class LanguageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What conditions are made of. `operators` compare, `joins` stand between and before comparisons, `numbers`
    take numbers and give one; `intervals` are the lengths of candles."""

    functions: list[Described]
    operators: tuple[str, ...] = ("<", "<=", ">", ">=", "crosses above", "crosses below")
    joins: tuple[str, ...] = ("and", "or", "not")
    numbers: tuple[str, ...] = ("abs", "min", "max")
    intervals: tuple[str, ...] = tuple(INTERVALS)


class WrongAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a field (`when`, `pairs[0]`).

    column:  of the condition, from 1; null for other fields
    instead: the whole condition as it was probably meant; empty where that is not known
    """

    path: str
    message: str
    hint: str
    column: int | None
    instead: str


class SaidAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`when`: the condition as the program writes it; `words`: the rule in plain words. Both are empty where it
    is wrong. A name that is missing is told among the errors and takes no words away."""

    when: str
    words: str
    errors: list[WrongAnswer]


@get(
    "/language",
    needs="viewer",
    responses=documented(400),
    summary="What conditions are made of",
    description="Every function with its arguments and what it says, for completion and help.",
    tags=["rules"],
)
async def what_is_spoken() -> LanguageAnswer:
    return LanguageAnswer(functions=described(catalogue()))


@post(
    "/rules/check",
    needs="viewer",
    status_code=200,
    responses=documented(400),
    summary="A rule in plain words, or what is wrong with each of its fields",
    description="Nothing is saved. Whether its channels and lists are there is looked at when it is saved.",
    tags=["rules"],
)
async def check_rule(data: JSONBody[RuleSpec]) -> SaidAnswer:
    wrong, good = _all_wrong(data)
    errors = [_wrong_answer(each) for each in wrong]
    if {each.where for each in wrong} - {"name"}:
        return SaidAnswer(when="", words="", errors=errors)
    return SaidAnswer(when=str(check_spec(good)), words=say(good), errors=errors)


def _all_wrong(spec: RuleSpec) -> tuple[list[ConfigError], RuleSpec]:
    """What is wrong, a field each, and the rule with something harmless in the place of these fields."""
    wrong: list[ConfigError] = []
    for _ in RuleSpec.__struct_fields__:
        try:
            check_spec(spec)
        except ConfigError as error:
            wrong.append(error)
            spec = _mended(spec, error.where.partition("[")[0])
        else:
            break
    return wrong, spec


def _mended(spec: RuleSpec, path: str) -> RuleSpec:
    field = {"for": "for_"}.get(path, path)
    harmless: dict[str, Any] = {field: getattr(_GOOD, field)}
    if field == "remind":
        harmless["escalate"] = ()
    return msgspec.structs.replace(spec, **harmless)


def _wrong_answer(error: ConfigError) -> WrongAnswer:
    if isinstance(error, ConditionError):
        return WrongAnswer(
            path=error.where, message=error.reason, hint=error.hint, column=error.column, instead=_instead(error)
        )
    return WrongAnswer(path=error.where, message=error.message, hint=error.hint, column=None, instead="")


def _instead(error: ConditionError) -> str:
    """The condition with what the hint says, where that is one."""
    place = error.column - 1
    named = _NAMED.fullmatch(error.hint)
    if named:
        word = _WORD.match(error.text, place)
        behind = word.end() if word else place
        meant = f"{error.text[:place]}{named[1]}{error.text[behind:]}"
    else:
        meant = error.hint.removeprefix("write ") if error.hint.startswith("write ") else ""
    try:
        language().check(meant)
    except ConfigError:
        return ""
    return meant
