"""`cryptowatcher check`: is the configuration right, and what does it come to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import typer

from cryptowatcher.cli.options import AsJson, ConfigFile, DataDir, new_app, resolved
from cryptowatcher.cli.output import as_json, counted, note, table
from cryptowatcher.config import Config, Resolved, SecretReader, name_of
from cryptowatcher.config.decode import tag_of
from cryptowatcher.domain.rules.check import doubt_about, is_pair
from cryptowatcher.domain.rules.watchlists import members_of
from cryptowatcher.domain.texts import show_price
from cryptowatcher.errors import Error
from cryptowatcher.listening import listen
from cryptowatcher.ports import Deps

app = new_app()


class Setting(msgspec.Struct, frozen=True):
    """One setting as it came out. Secrets are described, never shown."""

    path: str
    value: Any
    origin: str


@app.command()
def check(
    online: Annotated[
        bool, typer.Option("--online", help="Also ask each source once, and look up where channels lead.")
    ] = False,
    json: AsJson = False,
    config_file: ConfigFile = None,
    data_dir: DataDir = None,
    beside_port: Annotated[
        int | None,
        typer.Option("--beside-port", hidden=True, help="Also open all that a start would, beside that port."),
    ] = None,
) -> None:
    """Check the configuration and show every setting and where it came from: the default, the file, or the
    environment variable that set it. Secrets are read but not shown. Without --online nothing is asked on the
    network.

    Exit code 2 when a setting is wrong, 1 when a source does not answer. With --json one document: a list of
    settings.
    """
    found = resolved(config_file, data_dir)
    secrets = found.config.secret_reader(os.environ)
    shown = list(settings_of(found, secrets))
    if json:
        as_json(shown)
    else:
        table(("Setting", "Value", "From"), ((each.path, _text(each.value), each.origin) for each in shown))
        note(f"{found.config.file or 'the defaults'}: ok")
    if beside_port is not None:
        asyncio.run(_open_all(found.config, beside_port))
    for warning in (
        *doubtful(found.config),
        *unasked(found.config),
        *asyncio.run(forbidden(found.config, secrets, online=online)),
    ):
        note(f"warning: {warning}")
    if online and not asyncio.run(_ask_sources(found.config, secrets)):
        raise typer.Exit(1)


def settings_of(found: Resolved, secrets: SecretReader) -> Iterator[Setting]:
    """Every setting in the order of the configuration."""
    for name in (
        "data_dir",
        "web",
        "sources",
        "channels",
        "watchlists",
        "rules",
        "store",
        "log",
        "keep",
        "canary",
        "traces",
    ):
        value = getattr(found.config, name)
        for path, leaf in _leaves(value, name):
            yield Setting(path, _shown(path, leaf, secrets), found.origin(path))


def unasked(config: Config) -> Iterator[str]:
    """The configured rules' pairs in a currency that no source asks for: such a rule can never fire."""
    asked = {getattr(source, "currency", None) for source in config.sources}
    if None in asked:  # a source that does not say: it may bring any
        return
    for number, rule in enumerate(config.rules):
        for pair in (*rule.pairs, *members_of(rule, config.watchlists)):
            currency = pair.rpartition("/")[2]
            if is_pair(pair) and currency not in asked:
                known = ", ".join(sorted(map(str, asked)))
                yield (
                    f"rules[{number}].pairs: no source asks for prices in {currency}, so {rule.name!r} never fires"
                    f" for {pair} (asked for: {known})"
                )


def doubtful(config: Config) -> Iterator[str]:
    """The configured rules that would be refused if somebody saved them now."""
    for number, rule in enumerate(config.rules):
        if doubt := doubt_about(rule):
            yield f"rules[{number}].when: {doubt}"


async def forbidden(config: Config, secrets: SecretReader, *, online: bool) -> list[str]:
    """The channels whose address is private and not listed. `online`: names are looked up."""
    from cryptowatcher.config.reaching import is_forbidden, reached, what_to_do

    return [
        f"{each.name}: {each.host} is a private address, so nothing is sent there; {what_to_do(each.host)}"
        for each in reached(config, secrets)
        if await is_forbidden(each.host, config.outbound, ask=online)
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, msgspec.Struct):
        if value.__struct_config__.tag is not None:
            yield f"{path}.kind", tag_of(value)
        for field in msgspec.structs.fields(value):
            yield from _leaves(getattr(value, field.name), f"{path}.{field.encode_name}")
    elif isinstance(value, tuple) and any(isinstance(item, msgspec.Struct) for item in value):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    else:
        yield path, value


def _shown(path: str, value: Any, secrets: SecretReader) -> Any:
    """The value as it may be shown. A secret that a `…_file` or `…_variable` names is read: ConfigError if it
    cannot be."""
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or not value:
        return value
    if path.endswith("_file"):
        secrets(file=value, variable=None, where=path)
        return f"set (from file {secrets.path(value)})"
    if path.endswith("_variable"):
        secrets(file=None, variable=value, where=path)
        return f"set (from variable {value})"
    return without_secrets(value, channel=path.startswith(("channels[", "canary."))) if "://" in value else value


def without_secrets(url: str, *, channel: bool) -> str:
    """A URL without password and query. The path of a channel's URL often is the secret itself."""
    parts = urlsplit(url)
    account, at, host = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    netloc = f"{user}{colon and ':***'}{at}{host}"
    path = "/…" if channel and parts.path not in ("", "/") else parts.path
    return urlunsplit((parts.scheme, netloc, path, "***" if parts.query else "", ""))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None or value == "" else str(value)


async def _ask_sources(config: Config, secrets: SecretReader) -> bool:
    """One call to each source; what came back goes to standard error."""
    from cryptowatcher.adapters.clock import SystemClock

    good = True
    for settings in config.sources:
        deps = Deps(clock=SystemClock(), secret=secrets, random=Random())
        try:
            async with settings.open(deps) as source:
                seen = await source.fetch(0)
        except Error as error:
            note(f"{name_of(settings)}: {error}")
            good = False
            continue
        first = f", {seen.pairs[0]} at {show_price(float(seen.price[0]))}" if seen.pairs else ""
        note(f"{name_of(settings)}: {counted(len(seen.pairs), 'pair')}{first}; {len(seen.unseen)} not seen")
        good = good and bool(seen.pairs)
    return good


async def _open_all(config: Config, beside_port: int) -> None:
    """Open and close what a start opens besides the data, which belong to the watcher that runs. ConfigError when
    that one would end there."""
    from cryptowatcher.adapters.traces import open_traces
    from cryptowatcher.app import deps

    async with AsyncExitStack() as stack:
        for source in config.sources:
            await stack.enter_async_context(source.open(deps(config)))
        for channel in config.channels:
            await stack.enter_async_context(channel.open(deps(config)))
        await stack.enter_async_context(open_traces(config.traces, version=""))
    if config.web.port not in (0, beside_port):
        listen(config.web.host, config.web.port, patience=0).close()
