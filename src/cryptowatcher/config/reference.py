"""Writes docs/configuration.md from the settings types themselves, so that it cannot be out of date.

What a setting means stands in the docstring of its type, a line each: `every: how often to ask`.
"""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as types

from cryptowatcher.config import DEFAULTS, Config, schema

_ENTRY = re.compile(r"(?P<names>\w+(?:, \w+)*):\s+(?P<text>\S.*)")

INTRODUCTION = """# Configuration

Everything works without a configuration. To change something, write `cryptowatcher.toml` into the folder you start
cryptowatcher in, or name another file with `--config FILE` or the variable `CRYPTOWATCHER_CONFIG`.
`cryptowatcher check` shows every setting as it comes out and where it came from, and says what is wrong.

```toml
data_dir = "data"

[web]
port = 8000

[[sources]]
kind = "coingecko"
top = 250
every = "60s"

[[channels]]
name = "screen"
kind = "console"

[[rules]]
name = "btc drops"
pairs = ["bitcoin/usd"]
when = "change(5m) <= -5%"
cooldown = "30m"
channels = ["screen"]
```

- An unknown key, a wrong type or a name that does not exist is an error; nothing is silently ignored.
- A duration is text: `30s`, `5m`, `1h30m`, `7d`. A pair is `asset/currency` with a CoinGecko id: `bitcoin/usd`.
- A file or folder is relative to the folder of the configuration file when it is named there, else to the working
  folder.
- Without `[[sources]]` there is one CoinGecko source, without `[[channels]]` one console; write `channels = []`
  for none.

## Environment variables

Every setting can be overridden by a variable: `CRYPTOWATCHER_`, then the path of the setting in capitals with two
underscores between its parts. Items of a list are numbered from 0; the next number adds one.

```sh
CRYPTOWATCHER_DATA_DIR=/srv/cryptowatcher
CRYPTOWATCHER_WEB__PORT=9000
CRYPTOWATCHER_SOURCES__0__EVERY=30s
CRYPTOWATCHER_SOURCES__0__IDS='["bitcoin", "ethereum"]'
```

Text is taken as it is; anything else is written as in the file. A variable that names no setting is an error too.

## Secrets

A secret never stands in the configuration. A setting that ends in `_file` names a file whose content is the secret
(one newline at its end is not part of it); one that ends in `_variable` names an environment variable. Keep such a
file readable for its owner only (`chmod 600`).
"""


def main() -> None:
    sys.stdout.write(reference())


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_top(), *(line for name in SECTIONS for line in _section(name))]) + "\n"


SECTIONS = {
    "web": "[web]",
    "sources": "[[sources]]",
    "channels": "[[channels]]",
    "watchlists": "[watchlists]",
    "rules": "[[rules]]",
    "default_rules": "[default_rules]",
    "store": "[store]",
    "log": "[log]",
    "keep": "[keep]",
    "history": "[history]",
    "canary": "[canary]",
    "traces": "[traces]",
    "outbound": "[outbound]",
    "owner": "[owner]",
}


def _top() -> list[str]:
    meaning = meanings(Config)["data_dir"]
    return ["## Settings", "", *_HEAD, _row("data_dir", DEFAULTS["data_dir"], meaning), ""]


_HEAD = ("| setting | default | meaning |", "|---|---|---|")


def _section(name: str) -> Iterator[str]:
    yield f"### `{SECTIONS[name]}`"
    yield ""
    if name == "watchlists":
        yield from (f'{meanings(Config)[name].capitalize()}: `mine = ["bitcoin/usd"]`.', "")
    for struct in structs_of(name):
        first = lead(struct.cls)
        if struct.tag_field:
            yield f'#### `{struct.tag_field} = "{struct.tag}"`'
            yield ""
        if first:
            yield first
            yield ""
        if struct.fields:
            yield from _HEAD
            told = meanings(struct.cls)
            yield from (
                _row(each.encode_name, _default(each), told.get(each.encode_name, "")) for each in struct.fields
            )
            yield ""


def structs_of(section: str) -> list[types.StructType]:
    """The settings types that a section may hold."""
    info = types.type_info(schema()[section])
    if isinstance(info, types.VarTupleType):
        info = info.item_type
    each_of = info.types if isinstance(info, types.UnionType) else (info,)
    return [each for each in each_of if isinstance(each, types.StructType)]


def meanings(type_: type) -> dict[str, str]:
    """Field → what its docstring says about it. Lines that go on are indented further than the names."""
    found = {"name": "what it is called here; each name is given once"}
    for each in reversed(type_.__mro__):
        if issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
            found |= _said(each)
    return found


def _said(type_: type) -> dict[str, str]:
    """Of its own fields."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(type_.__doc__ or "").splitlines():
        if entry := _ENTRY.fullmatch(line):
            names = entry["names"].split(", ")
            found |= dict.fromkeys(names, entry["text"])
        elif names and line.startswith(" "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def lead(type_: type) -> str:
    """The docstring's first paragraph, without what it says about single fields."""
    paragraph = inspect.cleandoc(type_.__doc__ or "").split("\n\n", maxsplit=1)[0].splitlines()
    return " ".join(itertools.takewhile(lambda line: not _ENTRY.fullmatch(line), paragraph))


def _default(field: types.Field) -> Any:
    if field.required:
        return msgspec.UNSET
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _row(name: str, default: Any, meaning: str) -> str:
    return f"| `{name}` | {_shown(default)} | {meaning.replace('|', chr(92) + '|')} |"


def _shown(default: Any) -> str:
    if default is msgspec.UNSET:
        return "required"
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple | list):
        return f"`[{', '.join(map(repr, default))}]`".replace("'", '"')
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


if __name__ == "__main__":
    main()
