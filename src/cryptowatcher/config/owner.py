"""`[owner]`: what whoever runs the watcher for themselves wants of all channels."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from cryptowatcher.domain.hours import parse_quiet, zone_named
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.errors import ConfigError

_LINK = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9._~/-]{0,300})?")


class Owner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What you want of all channels.

    quiet:      when you do not want to be told, `22:00-07:00 Europe/Berlin`; without a place it is UTC. What comes
                then waits, and comes in one message afterwards; urgent rules speak at any time. A channel may have
                quiet hours of its own instead
    group_from: from how many alerts at once on they come in one message, where the channel bundles
    time_zone:  of the times in messages, `Europe/Berlin`; hours name their place themselves
    link:       where you reach the page, `https://watch.example.org`: messages then link to it
    """

    quiet: str = ""
    group_from: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 5
    time_zone: str = "UTC"
    link: str = ""

    def __post_init__(self) -> None:
        parse_quiet(self.quiet, where="owner.quiet")
        zone_named(self.time_zone, where="owner.time_zone")
        if self.link and not _LINK.fullmatch(self.link):
            hint = "write https://watch.example.org, without a user, a query or a #"
            raise ConfigError("not the address of a page", where="owner.link", hint=hint)

    def kindness(self) -> Kindness:
        """What it means for whoever sends."""
        return Kindness(
            quiet=self.quiet, group_from=self.group_from, time_zone=self.time_zone, link=self.link.rstrip("/")
        )
