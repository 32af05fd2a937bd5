"""Environment variables over the file: `CRYPTOWATCHER_` and the path of a setting, `__` between its parts.

`CRYPTOWATCHER_DATA_DIR=/srv/watch`, `CRYPTOWATCHER_WEB__PORT=9000`, `CRYPTOWATCHER_SOURCES__0__EVERY=30s`.
The number after a list's name counts from 0; the one after the last adds an item. Where a setting is text the
variable is taken as it is; anything else is written as in the file: `["bitcoin", "ethereum"]`, `true`, `250`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from cryptowatcher.config.decode import Place, item_info, keys_of, struct_for, type_info
from cryptowatcher.errors import ConfigError

PREFIX = "CRYPTOWATCHER_"
CONFIG_FILE = "CRYPTOWATCHER_CONFIG"
"""Names the configuration file for the command line; it is no setting itself."""


def apply_environment(
    values: dict[str, Any], environ: Mapping[str, str], types: Mapping[str, Any]
) -> dict[str, str]:
    """Put what the variables say into `values`, replacing its lists and tables. Returns path → variable."""
    infos = {name: type_info(type_) for name, type_ in types.items()}
    named = {CONFIG_FILE, *_secret_variables(values)}
    origins: dict[str, str] = {}
    for variable, parts in _overrides(environ, named):
        top, *rest = parts
        if "" in parts:
            raise ConfigError(
                "this variable names no setting", where=variable, hint=f"for example {PREFIX}WEB__PORT"
            )
        change = Change(variable, environ[variable], top, infos.get(top))
        values[top], path = _changed(values.get(top), rest, change)
        origins[path] = variable
    return origins


def _overrides(environ: Mapping[str, str], named: set[str]) -> list[tuple[str, list[str]]]:
    """(variable, parts of its path), in order of path, so that list items come in order of number."""
    found = [
        (variable, variable.removeprefix(PREFIX).lower().split("__"))
        for variable in environ
        if variable.startswith(PREFIX) and variable not in named and not _names_a_secret(variable, environ)
    ]
    return sorted(found, key=lambda each: [(part.zfill(6) if part.isdigit() else part) for part in each[1]])


def _secret_variables(values: Any) -> Iterator[str]:
    """Names that settings like `secret_variable` point to: their variables are secrets, not settings."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key.endswith("variable") and isinstance(value, str):
                yield value
            yield from _secret_variables(value)
    elif isinstance(values, list):
        for item in values:
            yield from _secret_variables(item)


def _names_a_secret(variable: str, environ: Mapping[str, str]) -> bool:
    """Whether another variable says that this one is a secret (`…__SECRET_VARIABLE=CRYPTOWATCHER_MY_KEY`)."""
    return any(value == variable for name, value in environ.items() if name.endswith("VARIABLE"))


class Change(msgspec.Struct, frozen=True):
    """What one variable says, and how far into the configuration its path has been followed."""

    variable: str
    text: str
    path: str
    info: inspect.Type | None

    def into(self, path: str, info: inspect.Type | None) -> Change:
        return msgspec.structs.replace(self, path=path, info=info)


def _changed(old: Any, parts: list[str], change: Change) -> tuple[Any, str]:
    """`old` with what lies at the end of `parts` replaced, and the path there. `old` itself stays as it is."""
    if not parts:
        return _value(change), change.path
    head, *rest = parts
    if isinstance(old, list) or (old is None and head.isdigit()):
        items = list(old or ())
        number = _number(head, items, change)
        inner = change.into(f"{change.path}[{number}]", item_info(change.info) if change.info else None)
        item, path = _changed(items[number] if number < len(items) else None, rest, inner)
        return [*items[:number], item, *items[number + 1 :]], path
    if old is not None and not isinstance(old, dict):
        raise ConfigError(f"{change.path} is no table", where=change.variable)
    table = dict(old or {})
    inner = change.into(f"{change.path}.{head}", _info_of(head, table, change.info))
    table[head], path = _changed(table.get(head), rest, inner)
    return table, path


def _number(part: str, items: list[Any], change: Change) -> int:
    """The number of an item that exists or comes next."""
    if not part.isdigit() or int(part) > len(items):
        hint = f"items are numbered from 0; the next one is {change.path}[{len(items)}]"
        raise ConfigError(f"{change.path} has no item {part!r}", where=change.variable, hint=hint)
    return int(part)


def _info_of(key: str, table: Mapping[str, Any], info: inspect.Type | None) -> inspect.Type | None:
    """The type of a key in a table; None where that is not known (yet): the check of keys says so later."""
    if info is None:
        return None
    if isinstance(info, inspect.DictType):
        return info.value_type
    try:
        struct = struct_for(table, info, Place("", {}))
    except ConfigError:
        return None
    return keys_of(struct).get(key) if struct else None


def _value(change: Change) -> Any:
    info = change.info
    each_of = info.types if isinstance(info, inspect.UnionType) else (info,)
    if info is None or any(isinstance(each, inspect.StrType | inspect.LiteralType) for each in each_of):
        return change.text
    try:
        return tomllib.loads(f"value = {change.text}")["value"]
    except tomllib.TOMLDecodeError:
        hint = 'write it as in the file: 250, true, ["bitcoin", "ethereum"]'
        raise ConfigError(f"{change.text!r} cannot be read", where=change.variable, hint=hint) from None
