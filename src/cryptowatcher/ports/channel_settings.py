"""What can be set of every channel, whatever its kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import msgspec

from cryptowatcher.domain.accounts import Role
from cryptowatcher.domain.deliveries import ChannelPolicy, RetryPolicy
from cryptowatcher.domain.hours import parse_quiet
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.rates import Rate, parse_rate
from cryptowatcher.domain.templates import BODY_MOST, TITLE_MOST, parse_template
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports.channels import Channel
from cryptowatcher.ports.world import Deps

_MARGIN = 5.0
"""Seconds: a call has its own deadline; the one around it only catches what that does not."""


def check_name(name: str, *, where: str) -> None:
    """ConfigError for what cannot be the name of a channel."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ConfigError("not a name for a channel", where=where, hint="use letters, digits, - and _")


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how an owner is reached.

    name:          letters, digits, `-` and `_`: it is part of the ids that other sides see
    timeout:       for one attempt, answer included
    give_up_after: age at which a message is not tried any more
    rate:          how many messages go out at most: `20/m`, `1/s`; empty: as many as there are
    fallback:      the channel that is told instead when this one does not take a message; empty: none
    fallback_after: how long to wait for this channel before
    fallback_failures: after how many failed attempts not to wait longer
    max_age:       age from which a message is late
    late:          what becomes of late ones: `say` sends each, and it says so; `digest` sends them together
    quiet:         when this channel is silent, `22:00-07:00 Europe/Berlin`, instead of the quiet hours of [owner]
    bundle:        whether several alerts may come in one message
    title:         your own words for the title of an alert, `{coin} is at {price}`; empty: the usual ones
    body:          your own words for what stands below it; docs/messages.md lists what may stand in braces
    """

    name: str
    timeout: str = "10s"
    give_up_after: str = "24h"
    rate: str = ""
    fallback: str = ""
    fallback_after: str = "10m"
    fallback_failures: int = 3
    max_age: str = "15m"
    late: Literal["say", "digest"] = "say"
    quiet: str = ""
    bundle: bool = True
    title: str = ""
    body: str = ""

    AT_ONCE: ClassVar[int] = 8
    """How many sends may be in flight."""
    TITLE: ClassVar[str] = ""
    """What people call its kind; empty: as the kind is written."""
    ADDED_BY: ClassVar[Role | None] = "user"
    """Who may add one of this kind while the program runs, at least; None: it stands in the configuration only."""
    NEEDS: ClassVar[tuple[str, ...]] = ()
    """Secrets that it is nothing without."""
    PRIVATE: ClassVar[tuple[str, ...]] = ()
    """Settings that are kept and hidden like secrets where somebody adds it while the program runs."""
    FIXED: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Settings that nobody chooses who adds it while the program runs, and what they are then."""

    def __post_init__(self) -> None:
        where = self.where
        check_name(self.name, where=where)
        for field in ("timeout", "give_up_after", "fallback_after", "max_age"):
            if parse_duration(getattr(self, field), where=f"{where}.{field}") <= 0:
                raise ConfigError("must be longer than nothing", where=f"{where}.{field}")
        if self.fallback_failures < 1:
            raise ConfigError("must be at least 1", where=f"{where}.fallback_failures")
        if self.fallback == self.name:
            raise ConfigError("a channel cannot stand in for itself", where=f"{where}.fallback")
        parse_quiet(self.quiet, where=f"{where}.quiet")
        for name in self.secret_names():
            self._check_places(name)
        parse_template(self.title, most=TITLE_MOST, where=f"{where}.title")
        parse_template(self.body, most=BODY_MOST, where=f"{where}.body")
        self.allowed()

    @property
    def where(self) -> str:
        """Its place in the configuration, for errors."""
        return f"channels.{self.name}"

    @property
    def seconds(self) -> float:
        """The time-out of one attempt."""
        return parse_duration(self.timeout) / 1000

    def allowed(self) -> Rate | None:
        """How many messages may go out; None: any number."""
        return parse_rate(self.rate, where=f"{self.where}.rate") if self.rate else None

    @classmethod
    def secret_names(cls) -> tuple[str, ...]:
        """Of each secret there are two settings: `<name>_file` and `<name>_variable`."""
        names = (field.removesuffix("_variable") for field in cls.__struct_fields__ if field.endswith("_variable"))
        return tuple(name for name in names if f"{name}_file" in cls.__struct_fields__)

    def _check_places(self, name: str) -> None:
        """ConfigError when both places of a secret are set, or none of one that it needs."""
        file, variable = self.places(name)
        if name in self.NEEDS and bool(file) == bool(variable):
            raise ConfigError(f"name a {name}_file or a {name}_variable", where=self.where)
        if file and variable:
            raise ConfigError(f"name a {name}_file or a {name}_variable, not both", where=self.where)

    def secret(self, name: str, deps: Deps) -> str | None:
        """What stands there; None when no place is set. ConfigError when it cannot be read."""
        file, variable = self.places(name)
        return deps.secret(file=file, variable=variable, where=self.where)

    def places(self, name: str) -> tuple[str | None, str | None]:
        return getattr(self, f"{name}_file"), getattr(self, f"{name}_variable")

    def open(self, deps: Deps) -> AbstractAsyncContextManager[Channel]:
        """The channel, as it is set. ConfigError when a secret that it names cannot be read."""
        raise NotImplementedError

    def policy(self) -> ChannelPolicy:
        """What it means for whoever sends."""
        return ChannelPolicy(
            retry=RetryPolicy(
                give_up_after=parse_duration(self.give_up_after), late_after=parse_duration(self.max_age)
            ),
            deadline=self.seconds + _MARGIN,
            at_once=self.AT_ONCE,
            rate=self.allowed(),
            fallback=self.fallback,
            fallback_after=parse_duration(self.fallback_after),
            fallback_failures=self.fallback_failures,
            digest_late=self.late == "digest",
            quiet=self.quiet,
            bundle=self.bundle,
            title=self.title,
            body=self.body,
        )


class PictureSettings(ChannelSettings, frozen=True, kw_only=True):
    """Of a channel that can show a picture.

    picture: whether the message of an alert shows how the price came to it
    """

    picture: bool = True

    def policy(self) -> ChannelPolicy:
        return msgspec.structs.replace(ChannelSettings.policy(self), picture=self.picture)
