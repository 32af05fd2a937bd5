"""Whom the channels of a configuration ask, and which of them they may not, as it is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cryptowatcher.adapters.http import look_up
from cryptowatcher.config import Config, name_of
from cryptowatcher.domain.addresses import Outbound, parse_address
from cryptowatcher.errors import Refused
from cryptowatcher.ports import Secret

_PORTS: Final = {"http": 80, "https": 443}
_MAIL: Final = {"starttls": 587, "tls": 465, "none": 25}
_THIS_MACHINE: Final = "127.0.0.1"


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """scheme: `http`, `https` or `smtp`"""

    name: str
    host: str
    port: int
    scheme: str


def reached(config: Config, secret: Secret) -> Iterator[Reached]:
    """Each channel's, and the canary's; not of channels that do not say, as where a library decides. ConfigError
    when a secret that is named cannot be read."""
    for settings in config.channels:
        name = name_of(settings)
        server = getattr(settings, "server", "")
        if server and "://" not in server:
            port = getattr(settings, "port", 0) or _MAIL[getattr(settings, "security", "starttls")]
            yield Reached(name=name, host=server, port=port, scheme="smtp")
        elif not hasattr(settings, "schemes"):
            url = getattr(settings, "url", "") or server or _secret(settings, secret, f"channels.{name}")
            yield from _of_url(name, url)
    canary = config.canary
    if canary.enabled:
        yield from _of_url("canary", canary.url or _secret(canary, secret, "canary"))


async def is_forbidden(host: str, outbound: Outbound, *, ask: bool) -> bool:
    """Whether messages to it are refused. Names are looked up only where it may `ask`; an unknown one is not
    forbidden. The names of this machine are known without."""
    is_here = host.lower().removesuffix(".") == "localhost"
    try:
        address = parse_address(_THIS_MACHINE if is_here else host)
    except ValueError:
        return ask and await _leads_inside(host, outbound)
    return not outbound.allows(address)


def what_to_do(host: str) -> str:
    """About one that is forbidden."""
    try:
        entry = str(parse_address(host))
    except ValueError:
        entry = "its address"
    return f'if it is yours, list it: [outbound] allow = ["{entry}"]; else check the address'


async def _leads_inside(host: str, outbound: Outbound) -> bool:
    try:
        await look_up(host, outbound)
    except Refused:
        return True
    except (OSError, UnicodeError):
        return False
    return False


def _secret(settings: object, secret: Secret, where: str) -> str:
    file, variable = getattr(settings, "url_file", None), getattr(settings, "url_variable", None)
    return (secret(file=file, variable=variable, where=where) or "").strip()


def _of_url(name: str, url: str) -> Iterator[Reached]:
    parts = urlsplit(url)
    if parts.hostname and parts.scheme in _PORTS:
        port = parts.port or _PORTS[parts.scheme]
        yield Reached(name=name, host=parts.hostname, port=port, scheme=parts.scheme)
