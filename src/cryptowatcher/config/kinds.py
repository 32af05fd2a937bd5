"""The kinds of channels as forms: what there is to fill in, and what comes of it. All is read from the settings
types and their docstrings, so that a new kind of channel needs nothing here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from cryptowatcher import plugins
from cryptowatcher.config.decode import Place, check_keys, convert, item_info, tag_of, type_info
from cryptowatcher.config.reference import lead, meanings
from cryptowatcher.domain.accounts import Role, may
from cryptowatcher.domain.reaching import StoredChannel
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Deps
from cryptowatcher.ports.channel_kinds import FieldType, Kind, KindField, Value
from cryptowatcher.ports.channel_settings import ChannelSettings, PictureSettings, check_name
from cryptowatcher.ports.world import nobody

LONGEST_TIMEOUT: Final = 60.0
"""Seconds that one attempt may take of a channel that somebody added."""
LONGEST_SECRET: Final = 4_096
LONGEST_VALUE: Final = 4_096
"""Characters."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,30}")
_WHERE: Final = re.compile(r"^where (.*?) is(\W|$)")
_COMMON: Final = frozenset({*ChannelSettings.__struct_fields__, *PictureSettings.__struct_fields__})


class Kinds:
    """Keeps ports.ChannelKinds."""

    def __init__(self) -> None:
        found = plugins.settings_in("cryptowatcher.adapters.channels")
        self._types: dict[str, type[ChannelSettings]] = {tag_of(type_): type_ for type_ in found}
        self.needs: dict[str, Role] = {
            kind: type_.ADDED_BY for kind, type_ in sorted(self._types.items()) if type_.ADDED_BY is not None
        }
        """The role that adding one takes, of those that can be added."""

    def kinds(self, role: Role) -> list[Kind]:
        return [_kind(name, self._types[name]) for name, needs in self.needs.items() if may(role, needs)]

    def settings(self, channel: StoredChannel) -> ChannelSettings:
        type_ = self._type(channel.kind)
        check_name(channel.name, where="name")
        _check_secrets(type_, channel.secrets)
        values = {**_checked(type_, channel.settings), **type_.FIXED}
        values |= {name: channel.secrets[name] for name in type_.PRIVATE if name in channel.secrets}
        places = [name for name in type_.secret_names() if name in channel.secrets]
        values |= {f"{name}_variable": name for name in places}
        try:
            made: ChannelSettings = convert(
                {**values, "kind": channel.kind, "name": channel.name}, type_, Place("", {}, "settings")
            )
        except ConfigError as error:
            raise placed(error, type_) from None
        if made.seconds > LONGEST_TIMEOUT:
            raise ConfigError(f"must not be longer than {LONGEST_TIMEOUT:g}s", where="settings.timeout")
        return made

    def deps(self, deps: Deps, channel: StoredChannel) -> Deps:
        """What it is opened with: it knows its own secrets, and no others."""
        return msgspec.structs.replace(deps, secret=_Own(channel.secrets), linked=nobody)

    def placed(self, error: ConfigError, kind: str) -> ConfigError:
        """What a channel said when it was opened, with the place as a person filled it in."""
        return placed(error, self._type(kind))

    def stored(self, settings: ChannelSettings, *, owner: str) -> StoredChannel:
        type_ = type(settings)
        hidden = {"name", *type_.PRIVATE, *_places(type_)}
        values = {name: value for name, value in msgspec.to_builtins(settings).items() if name not in hidden}
        values.pop("kind", None)
        secrets = {name: "" for name in type_.secret_names() if any(settings.places(name))}
        secrets |= {name: getattr(settings, name) for name in type_.PRIVATE if getattr(settings, name)}
        kind = tag_of(settings)
        return StoredChannel(
            owner=owner, name=settings.name, kind=kind, settings=values, secrets=secrets, changed_at=0
        )

    def target(self, channel: StoredChannel) -> str:
        """The person, else the host."""
        known = {**_defaults(self._types.get(channel.kind)), **channel.settings}
        if to := known.get("to") or known.get("browser"):
            return str(to)
        url = channel.secrets.get("url") or channel.secrets.get("endpoint") or str(known.get("server") or "")
        return _host(url)

    def _type(self, kind: str) -> type[ChannelSettings]:
        if kind not in self.needs:
            close = difflib.get_close_matches(kind, self.needs, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(self.needs)}"
            raise ConfigError(f"there is no kind {kind[:40]!r} to be added", where="kind", hint=hint)
        return self._types[kind]


class _Own:
    """Keeps ports.Secret for a stored channel. It reads nothing of this machine, whatever it is asked for."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    def __call__(self, *, file: str | None, variable: str | None, where: str) -> str | None:
        if file is not None:
            raise ConfigError("a channel that was added reads no files", where=where)
        return None if variable is None else self._secrets.get(variable)


def placed(error: ConfigError, type_: type[ChannelSettings]) -> ConfigError:
    """With `settings.x` or `secrets.x` for `channels.name.x`, and for a secret that is missing."""
    last = error.where.rpartition(".")[2]
    last = "" if last.partition("[")[0] not in type_.__struct_fields__ + type_.secret_names() else last
    if last in type_.PRIVATE or last in type_.secret_names():
        return ConfigError(error.message, where=f"secrets.{last}", hint=error.hint)
    for name in (*type_.PRIVATE, *type_.NEEDS, *type_.__struct_fields__):
        if f"`{name}` is missing" in error.message or f"{name}_variable" in error.message:
            secret = name in (*type_.PRIVATE, *type_.NEEDS)
            return ConfigError("this is needed", where=f"{'secrets' if secret else 'settings'}.{name}")
    return ConfigError(error.message, where=f"settings.{last}" if last else "settings", hint=error.hint)


# --- what somebody filled in -----------------------------------------------------------------------


def _check_secrets(type_: type[ChannelSettings], secrets: Mapping[str, str]) -> None:
    known = (*type_.PRIVATE, *type_.secret_names())
    for name, value in secrets.items():
        if name not in known:
            hint = f"there are: {', '.join(known)}" if known else "this kind has none"
            raise ConfigError("there is no such secret", where=f"secrets.{name[:40]}", hint=hint)
        if len(value) > LONGEST_SECRET or not value.isprintable():
            raise ConfigError("a secret is one line", where=f"secrets.{name}")


def _checked(type_: type[ChannelSettings], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with numbers in the place of text where there must be numbers: forms know text alone."""
    choosable = {field.encode_name: field.type for field in _choosable(type_)}
    for name, value in given.items():
        if name not in choosable:
            close = difflib.get_close_matches(name, choosable, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(choosable)}"
            raise ConfigError("there is no such setting", where=f"settings.{name[:40]}", hint=hint)
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            raise ConfigError("this is too long", where=f"settings.{name}")
    check_keys(given, dict.fromkeys(given, Any), Place("", {}))
    return {name: _numbered(value, choosable[name]) for name, value in given.items()}


def _numbered(value: Any, info: inspect.Type) -> Any:
    item = item_info(info)
    if item is not None and isinstance(value, list):
        return [_numbered(each, item) for each in value]
    if isinstance(info, inspect.IntType) and isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    return value


# --- what there is to fill in ----------------------------------------------------------------------


def _kind(name: str, type_: type[ChannelSettings]) -> Kind:
    said = meanings(type_)
    secrets = [_secret(each, type_, said) for each in type_.secret_names()]
    fields = [_field(field, type_, said) for field in _choosable(type_)]
    private = [_secret(each, type_, said) for each in type_.PRIVATE]
    order = sorted([*private, *fields, *secrets], key=lambda each: (each.advanced, not each.required))
    return Kind(name=name, title=type_.TITLE or name.capitalize(), help=lead(type_), fields=order)


def _choosable(type_: type[ChannelSettings]) -> Sequence[inspect.Field]:
    info = type_info(type_)
    assert isinstance(info, inspect.StructType)
    left_out = {"name", *type_.PRIVATE, *type_.FIXED, *_places(type_)}
    return [field for field in info.fields if field.encode_name not in left_out]


def _places(type_: type[ChannelSettings]) -> list[str]:
    return [f"{name}_{place}" for name in type_.secret_names() for place in ("file", "variable")]


def _secret(name: str, type_: type[ChannelSettings], said: Mapping[str, str]) -> KindField:
    required = name in (*type_.NEEDS, *type_.PRIVATE)
    text = said.get(name) or _WHERE.sub(r"\1\2", said.get(f"{name}_file", ""))
    return KindField(
        name=name, label=_label(name), help=text, type="secret", choices=[], default=None, required=required,
        advanced=False,
    )  # fmt: skip


def _field(field: inspect.Field, type_: type[ChannelSettings], said: Mapping[str, str]) -> KindField:
    name = field.encode_name
    kind, choices = _shape(field.type)
    return KindField(
        name=name,
        label=_label(name),
        help=said.get(name, ""),
        type=kind,
        choices=choices,
        default=None if field.required else _default(field),
        required=field.required,
        advanced=name in _COMMON,
    )


def _shape(info: inspect.Type) -> tuple[FieldType, list[str]]:
    match info:
        case inspect.BoolType():
            return "flag", []
        case inspect.IntType() | inspect.FloatType():
            return "number", []
        case inspect.LiteralType(values=values):
            return "choice", [str(value) for value in values]
        case inspect.VarTupleType() | inspect.ListType():
            return "words", []
        case _:
            return "text", []


def _default(field: inspect.Field) -> Value:
    value = field.default
    return list(value) if isinstance(value, tuple) else value


def _defaults(type_: type[ChannelSettings] | None) -> dict[str, Any]:
    return {field.encode_name: field.default for field in _choosable(type_) if not field.required} if type_ else {}


def _label(name: str) -> str:
    words = name.replace("_", " ")
    return "URL" if words == "url" else words[:1].upper() + words[1:]


def _host(url: str) -> str:
    """Of a library's address its scheme alone: what stands at the place of the host may be a token there."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.scheme in ("", "http", "https") else parts.scheme
