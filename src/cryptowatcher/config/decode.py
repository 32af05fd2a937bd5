"""From plain values to settings types, with errors that a person can act on.

msgspec decodes; what it says about the first wrong value is turned into a path as it is written in the file
(`sources[0].every`) and a sentence. Unknown keys are looked for first, at any depth, so that they can be answered
with "did you mean".
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from cryptowatcher.errors import ConfigError

_AT = re.compile(r" - at `\$?(?P<path>[^`]*)`$")
_EXPECTED = re.compile(r"Expected `(?P<expected>[^`]+)`(?P<limit>[^,]*)(?:, got `(?P<got>[^`]+)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]+)`")
_INVALID = re.compile(r"Invalid (?:enum )?value (?P<value>.+)")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time",
}


class Place(msgspec.Struct, frozen=True):
    """Where a value was written: a file and a path in it, or the environment variable that set it."""

    file: str
    variables: Mapping[str, str]
    path: str = ""

    def at(self, path: str) -> Place:
        """The place of a path from the top."""
        return Place(self.file, self.variables, path)

    def key(self, key: str) -> Place:
        return self.at(f"{self.path}.{key}" if self.path else key)

    def item(self, number: int) -> Place:
        return self.at(f"{self.path}[{number}]")

    @property
    def where(self) -> str:
        """The variable that set this value or one around it; else the file and the path."""
        path = self.path
        while path:
            if path in self.variables:
                return f"{self.variables[path]}: {self.path}"
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.file}: {self.path}" if self.file and self.path else self.path or self.file


def tag_of(settings: Any) -> str:
    """The kind of a settings object."""
    return str(settings.__struct_config__.tag)


@functools.cache
def type_info(type_: Any) -> inspect.Type:
    """What msgspec says of a type: it reads all annotations anew each time, which takes longer than decoding."""
    return inspect.type_info(type_)


def check_keys(values: Mapping[str, Any], types: Mapping[str, Any], place: Place) -> None:
    """ConfigError for the first key, at any depth, that no type knows, or a `kind` that does not exist."""
    for name, value in values.items():
        if name not in types:
            raise _unknown_key(name, types, place.key(name))
        _check_value(value, type_info(types[name]), place.key(name))


def convert(value: Any, type_: Any, place: Place) -> Any:
    """The value as the type, or a ConfigError. What settings check by themselves (ConfigError, ValueError) gets
    the path put before it; lists are decoded item by item for that."""
    info = type_info(type_)
    if isinstance(info, inspect.VarTupleType) and isinstance(value, list):
        item_type = type_.__args__[0]
        return tuple(convert(item, item_type, place.item(number)) for number, item in enumerate(value))
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise _translate(str(error), value, info, place) from None
    except ConfigError as error:
        inner = place.key(key) if (key := _own_key(error.where, value, info, place)) else place
        raise ConfigError(error.message, where=inner.where, hint=error.hint) from None


def _own_key(where: str, value: Any, info: inspect.Type, place: Place) -> str:
    """The key that settings mean which call their setting `every` or, by name, `sources.fast.every`."""
    struct = struct_for(value, info, place)
    last = where.rpartition(".")[2]
    return last if struct and last.partition("[")[0] in keys_of(struct) else ""


def struct_for(value: Any, info: inspect.Type, place: Place) -> inspect.StructType | None:
    """Which settings type a table is for; ConfigError where its `kind` names none."""
    if isinstance(info, inspect.StructType) and info.tag_field is None:
        return info
    choices = {str(each.tag): each for each in _structs(info)}
    if not choices or not isinstance(value, Mapping):
        return None
    tag_field = next(iter(choices.values())).tag_field or "kind"
    kind = value.get(tag_field)
    if kind is None:
        kinds = ", ".join(choices)
        hint = f'write {tag_field} = "…", one of: {kinds}'
        raise ConfigError(f"`{tag_field}` is missing", where=place.where, hint=hint)
    if kind not in choices:
        raise ConfigError(
            f"there is no {tag_field} {kind!r}",
            where=place.key(tag_field).where,
            hint=_did_you_mean(kind, choices),
        )
    return choices[kind]


def keys_of(struct: inspect.StructType) -> dict[str, inspect.Type]:
    """The keys a table of this type may have, as they are written."""
    keys: dict[str, inspect.Type] = {field.encode_name: field.type for field in struct.fields}
    return {struct.tag_field: inspect.StrType(), **keys} if struct.tag_field else keys


def item_info(info: inspect.Type) -> inspect.Type | None:
    """The type of a list's items; None for what is no list."""
    for each in info.types if isinstance(info, inspect.UnionType) else (info,):
        if isinstance(each, inspect.VarTupleType | inspect.ListType):
            return each.item_type
    return None


def _structs(info: inspect.Type) -> list[inspect.StructType]:
    each_of = info.types if isinstance(info, inspect.UnionType) else (info,)
    return [each for each in each_of if isinstance(each, inspect.StructType)]


def _check_value(value: Any, info: inspect.Type, place: Place) -> None:
    if isinstance(value, list):
        inner = item_info(info)
        for number, item in enumerate(value if inner is not None else ()):
            assert inner is not None
            _check_value(item, inner, place.item(number))
    if not isinstance(value, Mapping):
        return
    struct = struct_for(value, info, place)
    if struct is None:
        return
    known = keys_of(struct)
    for key, item in value.items():
        if key not in known:
            raise _unknown_key(key, known, place.key(key))
        _check_value(item, known[key], place.key(key))


def _unknown_key(key: str, known: Iterable[str], place: Place) -> ConfigError:
    inside = (
        variable
        for path, variable in place.variables.items()
        if path.startswith((f"{place.path}.", f"{place.path}["))
    )
    where = next(inside, place.where)
    return ConfigError("there is no such setting", where=where, hint=_did_you_mean(key, known))


def _did_you_mean(text: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(text), known := list(known), n=1)
    return f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(known)}"


def _translate(message: str, value: Any, info: inspect.Type, place: Place) -> ConfigError:
    """msgspec's sentence → ours."""
    at = _AT.search(message)
    inner = (at["path"] if at else "").removeprefix(".")
    message = _AT.sub("", message)
    if inner:
        place = place.at(f"{place.path}{inner}" if inner.startswith("[") else f"{place.path}.{inner}")
    if missing := _MISSING.fullmatch(message):
        return ConfigError(f"`{missing['key']}` is missing", where=place.where)
    if expected := _EXPECTED.fullmatch(message):
        wanted = " or ".join(_WORDS.get(word, word) for word in expected["expected"].split(" | "))
        got = f", not {_WORDS.get(expected['got'], expected['got'])}" if expected["got"] else ""
        return ConfigError(f"should be {wanted}{expected['limit']}{got}", where=place.where)
    if invalid := _INVALID.fullmatch(message):
        choices = _choices(inner, value, info)
        hint = _did_you_mean(invalid["value"].strip("'"), choices) if choices else ""
        return ConfigError(f"{invalid['value']} is not a choice", where=place.where, hint=hint)
    return ConfigError(message, where=place.where)


def _choices(path: str, value: Any, info: inspect.Type) -> list[str]:
    """The texts a setting may have, where it is one of a few; `path` leads there from `info`."""
    struct = struct_for(value, info, Place("", {})) if path else None
    found = keys_of(struct).get(path) if struct else info
    each_of = found.types if isinstance(found, inspect.UnionType) else (found,)
    return [str(text) for each in each_of if isinstance(each, inspect.LiteralType) for text in each.values]
