"""Channels that were added beside those of the configuration: the first account's, for the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
import typer

from cryptowatcher.adding import setting_of
from cryptowatcher.cli.storage import read
from cryptowatcher.config import Config
from cryptowatcher.config.kinds import Kinds
from cryptowatcher.domain.reaching import Preferences, Reach
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.errors import ConfigError, Unavailable
from cryptowatcher.ports.channel_kinds import Kind


def reach(config: Config, kinds: Kinds) -> Reach:
    """Who is reached where; what the configuration says, while nothing has been stored."""
    setting = setting_of(config, kinds)
    with suppress(Unavailable):
        return read(config, lambda tx: tx.reach(setting, owner=LOCAL_OWNER))
    return Reach(setting=setting)


def known_channels(config: Config) -> tuple[str, ...]:
    """Names that a rule may use."""
    return reach(config, Kinds()).known(LOCAL_OWNER)


def values(kind: Kind, given: Sequence[str]) -> dict[str, str | bool | list[str | int]]:
    """`key=value` each, as its field wants it."""
    types = {field.name: field.type for field in kind.fields}
    found: dict[str, str | bool | list[str | int]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(
                f"{each[:40]!r} sets nothing", where="--set", hint="write --set server=https://ntfy.sh"
            )
        if types.get(name) == "flag" and value in ("true", "false"):
            found[name] = value == "true"
        elif types.get(name) == "words":
            found[name] = [part.strip() for part in value.split(",") if part.strip()]
        else:
            found[name] = value
    return found


def secrets(names: Sequence[str]) -> Mapping[str, str]:
    """Each as it is typed, unseen, or a line each where somebody else writes."""
    if sys.stdin.isatty():
        return {name: str(typer.prompt(name, hide_input=True)) for name in names}
    return {name: sys.stdin.readline().rstrip("\n") for name in names}


def wished(before: Preferences, given: Sequence[str], unset: Sequence[str]) -> Preferences:
    """With `key=value` each, and without what is to be as the file says. ConfigError for what there is not."""
    known = Preferences.__struct_fields__
    said: dict[str, object] = dict.fromkeys(unset)
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(f"{each[:40]!r} sets nothing", where="--set", hint="write --set quiet=22:00-07:00")
        lists = name in ("summary_to", "channels")
        said[name] = [part.strip() for part in value.split(",") if part.strip()] if lists else value
    for name in said:
        if name not in known:
            raise ConfigError(f"there is no preference {name[:40]!r}", hint=f"there are: {', '.join(known)}")
    try:
        return msgspec.convert({**msgspec.structs.asdict(before), **said}, Preferences, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error), where="--set") from None
