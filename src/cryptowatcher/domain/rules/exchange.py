"""Rules as text, `[[rules]]` as the configuration reads it: written from what there is, and read one by one, so
that each that cannot be taken is told with its line and the others are not.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from cryptowatcher.domain.rules.check import check_channels, check_spec
from cryptowatcher.domain.rules.mistakes import ConditionError
from cryptowatcher.domain.rules.model import Rule, RuleSpec
from cryptowatcher.domain.rules.toml_lines import Block, blocks_of
from cryptowatcher.domain.rules.watchlists import check_list, list_of, members_of
from cryptowatcher.errors import ConfigError

MOST = 10_000
"""Rules in one text."""

Verdict = Literal["added", "changed", "same", "refused"]
Lists = Mapping[str, Sequence[str]]

_WIDE = 100
_FIELDS = {field.encode_name: field for field in msgspec.structs.fields(RuleSpec)}
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_SAID = {
    "str": "text in quotes", "bool": "true or false", "array": "a list", "int": "a number", "float": "a number",
    "object": "a table", "datetime": "a date", "date": "a date", "time": "a time",
}  # fmt: skip


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a text: its `spec`, which is good by itself, or the `problem` with it. `line` counts from 1 and
    is that of the field (`where`) that is wrong, else that at which the rule begins; 0 where there is no text."""

    name: str
    line: int = 0
    block: Block | None = None
    spec: RuleSpec | None = None
    where: str = ""
    problem: str = ""
    hint: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a text holds. `lists`: its watchlists; `besides`: settings in it that have nothing to do with
    rules."""

    entries: tuple[Entry, ...]
    lists: Lists
    besides: tuple[str, ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one rule: `changes` are the fields that are no longer what they were, `problem`, `where` and
    `hint` say why it is refused."""

    verdict: Verdict
    name: str
    line: int
    changes: tuple[str, ...] = ()
    where: str = ""
    problem: str = ""
    hint: str = ""
    spec: RuleSpec | None = None


# --- writing ----------------------------------------------------------------------------------------


def written(specs: Iterable[RuleSpec], lists: Lists) -> str:
    """As the configuration reads it. What is as by itself is left out; the lists that rules are on come first."""
    specs = list(specs)
    named = sorted({name for spec in specs if (name := list_of(spec)) is not None and name in lists})
    parts = ["\n".join(["[watchlists]", *(_line(name, list(lists[name])) for name in named)])] if named else []
    parts += [_rule(spec) for spec in specs]
    return "\n\n".join(parts) + "\n" if parts else ""


def _rule(spec: RuleSpec) -> str:
    said = [
        _line(key, value)
        for key, field in _FIELDS.items()
        if (value := getattr(spec, field.name)) != field.default or key in ("name", "pairs", "when")
    ]
    return "\n".join(["[[rules]]", *said])


def _line(key: str, value: object) -> str:
    if isinstance(value, bool):
        return f"{key} = {str(value).lower()}"
    if isinstance(value, str):
        return f"{key} = {_text(value)}"
    assert isinstance(value, list | tuple), "that is all there is in a rule"
    items = [_text(each) for each in value]
    short = f"{key} = [{', '.join(items)}]"
    return short if len(short) <= _WIDE else "\n".join([f"{key} = [", *(f"    {item}," for item in items), "]"])


def _text(value: str) -> str:
    """JSON's text is TOML's too, but for one character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- reading ----------------------------------------------------------------------------------------


def read(text: str) -> Document:
    """ConfigError, with the line, for what is no TOML, or holds no rules at all."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is nested too deeply"
        hint = 'text stands in quotes, a rule begins with [[rules]]: name = "btc above"'
        raise ConfigError(f"this is not TOML: {said}", where="text", hint=hint) from None
    items = found.pop("rules", [])
    if not isinstance(items, list) or not items:
        raise ConfigError("there are no rules in it", where="text", hint="each begins with a line [[rules]]")
    _check_count(len(items), where="text")
    blocks = blocks_of(text, "rules")
    if len(blocks) != len(items):  # written in another manner: rules = [{…}, …]
        blocks = [Block(1, {})] * len(items)
    return Document(
        entries=tuple(_entry(item, block) for item, block in zip(items, blocks, strict=True)),
        lists=_lists(found.pop("watchlists", {})),
        besides=tuple(found),
    )


def as_given(specs: Sequence[RuleSpec]) -> Document:
    """Rules that stand in no text. ConfigError for too many."""
    _check_count(len(specs), where="rules")
    return Document(entries=tuple(map(_given, specs)), lists={}, besides=())


def _check_count(count: int, *, where: str) -> None:
    if count > MOST:
        raise ConfigError(f"there are {count:,} rules in it, and {MOST:,} is the most", where=where)


def _given(spec: RuleSpec) -> Entry:
    entry = Entry(name=spec.name)
    try:
        check_spec(spec)
    except ConfigError as error:
        return _wrong(entry, error)
    return msgspec.structs.replace(entry, spec=spec)


def _lists(found: Any) -> Lists:
    try:
        lists = msgspec.convert(found, dict[str, tuple[str, ...]])
    except msgspec.ValidationError:
        hint = 'mine = ["bitcoin/usd", "ethereum/usd"]'
        raise ConfigError("a list under [watchlists] is pairs in brackets", where="text", hint=hint) from None
    for name, pairs in lists.items():
        try:
            check_list(name, pairs)
        except ConfigError as error:
            raise ConfigError(f"the list {name!r}: {error.message}", where="text", hint=error.hint) from None
    return lists


def _entry(item: Any, block: Block) -> Entry:
    name = item.get("name", "") if isinstance(item, dict) else ""
    entry = Entry(name=name if isinstance(name, str) else "", line=block.line, block=block)
    try:
        spec = _spec(item)
        check_spec(spec)
        return msgspec.structs.replace(entry, spec=spec)
    except ConfigError as error:
        return _wrong(entry, error)


def _spec(item: Any) -> RuleSpec:
    if not isinstance(item, dict):
        raise ConfigError("a rule is a table", hint="it begins with a line [[rules]]")
    for key in item:
        if key not in _FIELDS:
            close = difflib.get_close_matches(key[:80], _FIELDS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(_FIELDS)}"
            raise ConfigError(f"there is no such setting: {key[:80]}", where=key[:80], hint=hint)
    try:
        return msgspec.convert(item, RuleSpec)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        message = _AT.sub("", str(error))
        if expected := _EXPECTED.fullmatch(message):
            wanted, got = (_SAID.get(expected[each], expected[each]) for each in ("wanted", "got"))
            message = f"should be {wanted}, not {got}"
        raise ConfigError(message.replace("Object missing required field", "this is missing:"),
                          where=at["path"] if at else "") from None  # fmt: skip


def _wrong(entry: Entry, error: ConfigError) -> Entry:
    field = error.where.partition("[")[0].partition(".")[0]
    line = entry.block.fields.get(field, entry.line) if entry.block else entry.line
    said = f"{error.reason} (column {error.column})" if isinstance(error, ConditionError) else error.message
    return msgspec.structs.replace(entry, spec=None, line=line, where=error.where, problem=said, hint=error.hint)


# --- judging ----------------------------------------------------------------------------------------


def judge(document: Document, there: Iterable[Rule], *, channels: Sequence[str], lists: Lists) -> list[Judged]:
    """What would become of each, in order. `there`: the owner's rules; `lists`: the owner's, which stay as they
    are: those of the document are made where there are none of that name."""
    before = {rule.spec.name: rule for rule in there}
    known = {**document.lists, **lists}
    seen: dict[str, int] = {}
    judged = []
    for number, entry in enumerate(document.entries, 1):
        spec = entry.spec
        if spec is not None:
            try:
                _check(spec, before.get(spec.name), channels, known)
                if spec.name in seen:
                    raise ConfigError(f"another rule of this name stands before it, as number {seen[spec.name]}",
                                      where="name")  # fmt: skip
            except ConfigError as error:
                entry = _wrong(entry, error)
            seen.setdefault(spec.name, number)
        judged.append(_judged(entry, before.get(entry.name)))
    return judged


def _check(spec: RuleSpec, before: Rule | None, channels: Sequence[str], lists: Lists) -> None:
    members_of(spec, lists)
    check_channels(spec, channels)
    if before is not None and before.origin == "config" and before.spec != spec:
        hint = "change it there, or give this one another name"
        raise ConfigError("a rule of this name stands in the configuration file", where="name", hint=hint)


def _judged(entry: Entry, before: Rule | None) -> Judged:
    spec = entry.spec
    if spec is None:
        return Judged(
            verdict="refused", name=entry.name, line=entry.line, where=entry.where, problem=entry.problem,
            hint=entry.hint,
        )  # fmt: skip
    changes = tuple(differences(before.spec, spec)) if before else ()
    verdict: Verdict = "added" if before is None else "changed" if changes else "same"
    return Judged(verdict=verdict, name=entry.name, line=entry.line, changes=changes, spec=spec)


def differences(before: RuleSpec, after: RuleSpec) -> list[str]:
    """What of a rule is no longer what it was, a line a field."""
    return [
        f"{field.encode_name}: {_said(getattr(before, field.name))} → {_said(getattr(after, field.name))}"
        for field in msgspec.structs.fields(RuleSpec)
        if getattr(before, field.name) != getattr(after, field.name)
    ]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "–" if isinstance(value, tuple) else str(value)
