"""Configuration: one file, one type, and errors that say where, what was expected and what to do.

    settings = load(Path("cryptowatcher.toml"), os.environ)

What stands in the file can be overridden by environment variables: `CRYPTOWATCHER_WEB__PORT=9000` is
`port` in `[web]`, `CRYPTOWATCHER_SOURCES__0__EVERY=30s` is `every` of the first source. A folder or file named in
the configuration file is relative to that file's folder; named anywhere else it is relative to the working folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol, Union

import msgspec

from cryptowatcher import plugins
from cryptowatcher.adapters.traces import TracesConfig
from cryptowatcher.config.canary import Canary
from cryptowatcher.config.decode import Place, check_keys, convert, tag_of
from cryptowatcher.config.environment import apply_environment
from cryptowatcher.config.history import History
from cryptowatcher.config.keep import Keep
from cryptowatcher.config.owner import Owner
from cryptowatcher.config.secrets import SecretReader
from cryptowatcher.domain.addresses import Outbound, is_loopback
from cryptowatcher.domain.defaults import DEFAULT_RULES
from cryptowatcher.domain.rules.check import check_channels, check_spec
from cryptowatcher.domain.rules.model import RuleSpec
from cryptowatcher.domain.rules.watchlists import check_list, members_of
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Deps, Source
from cryptowatcher.ports.channel_settings import ChannelSettings

__all__ = [
    "DEFAULTS",
    "FILE_NAME",
    "Config",
    "DefaultRules",
    "Log",
    "Resolved",
    "SecretReader",
    "Web",
    "load",
    "name_of",
    "resolve",
    "schema",
]

FILE_NAME = "cryptowatcher.toml"


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page and the API.

    host:  address to listen on; 127.0.0.1 is this machine only
    port:  port to listen on; 0 takes a free one
    hosts: further names under which the page may be asked for (the Host header), for example behind a proxy
    price_metrics: pairs whose prices /metrics tells to Prometheus, the largest by market cap
    open:  who asks from this machine needs no account, and may do everything; only with a host that is this
           machine's own, and with no proxy on it
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    hosts: tuple[str, ...] = ()
    price_metrics: Annotated[int, msgspec.Meta(ge=0, le=500)] = 20
    open: bool = False

    def __post_init__(self) -> None:
        if self.open and self.host != "localhost" and not is_loopback(self.host):
            hint = 'set host = "127.0.0.1", or leave `open` out and make an account'
            raise ConfigError("a page that others can reach must not be open", where="web.open", hint=hint)


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the watcher says about itself, on standard error.

    format: `console` for people, `json` for programs (a line an event), `auto`: console on a terminal, else json
    level:  the least important that is written
    """

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class DefaultRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules that come with the program (docs/defaults.md): significant moves of the largest coins, and
    stablecoins that leave their dollar. Each can be changed, paused or removed like any other rule.

    enabled: whether there are any; `false` removes those that you have not changed
    """

    enabled: bool = True

    @property
    def rules(self) -> tuple[RuleSpec, ...]:
        """What they are."""
        return DEFAULT_RULES if self.enabled else ()


class SourceSettings(Protocol):
    """What the configuration of every source can do, whatever its kind."""

    def open(self, deps: Deps) -> AbstractAsyncContextManager[Source]: ...


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, resolved and checked.

    file:     the file it was read from, None for the defaults
    data_dir: where journal and store are kept
    store:    settings of one store adapter
    watchlists: lists of pairs by name, which a rule is on with `pairs = ["list(mine)"]`
    """

    file: Path | None = None
    data_dir: Path
    web: Web = Web()
    sources: tuple[SourceSettings, ...]
    channels: tuple[ChannelSettings, ...]
    watchlists: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    rules: tuple[RuleSpec, ...] = ()
    default_rules: DefaultRules = DefaultRules()
    store: Any
    log: Log = Log()
    keep: Keep = Keep()
    history: History = History()
    canary: Canary = Canary()
    traces: TracesConfig = TracesConfig()
    outbound: Outbound = Outbound()
    owner: Owner = Owner()

    def secret_reader(self, environ: Mapping[str, str]) -> SecretReader:
        """Reads the secrets this configuration names; files are relative to the configuration's folder."""
        return SecretReader(self.file.parent if self.file else Path.cwd(), environ)


class Resolved(msgspec.Struct, frozen=True):
    """A configuration and where each setting (`web.port`, `sources[0].every`) that is no default came from."""

    config: Config
    origins: Mapping[str, str]

    def origin(self, path: str) -> str:
        """`default`, `file`, the name of the environment variable, or `--data-dir`."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return "default"


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read, override, check. ConfigError says what a person must change, and where."""
    return resolve(path, environ).config


def resolve(path: Path | None, environ: Mapping[str, str], *, data_dir: Path | None = None) -> Resolved:
    """`load`, with the origin of each setting. `data_dir` (of the command line) goes before all others."""
    values = {} if path is None else _read(path)
    origins = dict.fromkeys(_leaves(values), "file")
    values = DEFAULTS | values
    types = schema()
    variables = apply_environment(values, environ, types)
    place = Place(str(path) if path else "", variables)
    check_keys(values, types, place)
    decoded = {name: convert(value, types[name], place.at(name)) for name, value in values.items()}
    origins |= variables
    if data_dir is not None:
        decoded["data_dir"], origins["data_dir"] = str(data_dir), "--data-dir"
    base = path.resolve().parent if path and origins.get("data_dir") == "file" else Path.cwd()
    decoded["data_dir"] = base / Path(decoded["data_dir"]).expanduser()
    config = Config(file=path.resolve() if path else None, **decoded)
    _check_names(config, place)
    _check_owner(config, place)
    _check_watchlists(config, place)
    _check_rules(config, place)
    return Resolved(config, origins)


DEFAULTS: dict[str, Any] = {
    "data_dir": "data",
    "sources": [{"kind": "coingecko"}],
    "channels": [{"kind": "console", "name": "console"}],
    "store": {"kind": "sqlite"},
}
"""What stands where the file says nothing: 250 coins by CoinGecko without a key, alerts on the console."""


def schema() -> dict[str, Any]:
    """Each top-level setting and the type it is decoded to; adapters bring their own."""
    return {
        "data_dir": str,
        "web": Web,
        "sources": tuple[_any_of("sources"), ...],  # type: ignore[misc]  # the union is known at run time only
        "channels": tuple[_any_of("channels"), ...],  # type: ignore[misc]  # as above
        "watchlists": dict[str, tuple[str, ...]],
        "rules": tuple[RuleSpec, ...],
        "default_rules": DefaultRules,
        "store": _any_of("stores"),
        "log": Log,
        "keep": Keep,
        "history": History,
        "canary": Canary,
        "traces": TracesConfig,
        "outbound": Outbound,
        "owner": Owner,
    }


def _any_of(family: str) -> Any:
    return Union[plugins.settings_in(f"cryptowatcher.adapters.{family}")]  # noqa: UP007  # a tuple known at run time


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        hint = 'text stands in quotes: name = "ops"; a list in brackets: ids = ["bitcoin"]'
        raise ConfigError(f"this is not TOML: {error}", where=str(path), hint=hint) from None
    except UnicodeDecodeError:
        raise ConfigError("the file is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _leaves(value: Any, path: str = "") -> list[str]:
    """The path of every value that stands in the file."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}" if path else key)]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [leaf for number, item in enumerate(value) for leaf in _leaves(item, f"{path}[{number}]")]
    return [path]


def name_of(settings: Any) -> str:
    """What an adapter is called: its `name`, else its kind."""
    return getattr(settings, "name", "") or tag_of(settings)


def _check_names(config: Config, place: Place) -> None:
    for family in ("sources", "channels", "rules"):
        seen: dict[str, int] = {}
        for number, item in enumerate(getattr(config, family)):
            name = name_of(item)
            if family != "rules":
                config.canary.check_name(name, where=place.at(f"{family}[{number}].name").where)
            if name in seen:
                where = place.at(f"{family}[{number}].name").where
                message = f"{name!r} is already the name of {family}[{seen[name]}]"
                raise ConfigError(message, where=where, hint='give it another one: name = "…"')
            seen[name] = number


def _check_owner(config: Config, place: Place) -> None:
    try:
        config.owner.check_channels({channel.name: channel.quiet for channel in config.channels})
    except ConfigError as error:
        raise ConfigError(error.message, where=place.at(error.where).where, hint=error.hint) from None


def _check_watchlists(config: Config, place: Place) -> None:
    for name, pairs in config.watchlists.items():
        try:
            check_list(name, pairs)
        except ConfigError as error:
            where = place.at(f"watchlists.{name}{error.where.removeprefix('pairs').removeprefix('name')}").where
            raise ConfigError(error.message, where=where, hint=error.hint) from None


def _check_rules(config: Config, place: Place) -> None:
    known = [name_of(channel) for channel in config.channels]
    for number, rule in enumerate(config.rules):
        at = f"rules[{number}]"
        try:
            check_spec(rule, stands=True)
            members_of(rule, config.watchlists)
            check_channels(rule, known)
        except ConfigError as error:
            where = place.at(f"{at}.{error.where}" if error.where else at).where
            raise ConfigError(error.message, where=where, hint=error.hint) from None
