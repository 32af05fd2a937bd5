"""`[owner]`: what whoever runs the watcher for themselves wants of all channels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from cryptowatcher.domain.hours import parse_quiet, zone_named
from cryptowatcher.domain.reaching import Wishes
from cryptowatcher.domain.summary import plan_of
from cryptowatcher.errors import ConfigError

_LINK = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(?:/[A-Za-z0-9._~/-]{0,300})?")


class Owner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What you want of all channels.

    quiet:      when you do not want to be told, `22:00-07:00`, in your time zone unless a place stands behind it.
                What comes then waits, and comes in one message afterwards; urgent rules speak at any time. A
                channel may have quiet hours of its own instead
    group_from: from how many alerts at once on they come in one message, where the channel bundles
    time_zone:  of the times in messages, of quiet hours and of the summary, `Europe/Berlin`
    link:       where you reach the page, `https://watch.example.org`: messages then link to it
    summary:    when a summary comes, `daily 08:00` or `weekly mon 08:00`; empty: never
    summary_to: channels that get it; none named: all
    """

    quiet: str = ""
    group_from: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 5
    time_zone: str = "UTC"
    link: str = ""
    summary: str = ""
    summary_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        zone_named(self.time_zone, where="owner.time_zone")
        parse_quiet(self.quiet, where="owner.quiet", zone=self.time_zone)
        plan_of(self.summary, self.time_zone, where="owner.summary")
        if self.link and not _LINK.fullmatch(self.link):
            hint = "write https://watch.example.org, without a user, a query or a #"
            raise ConfigError("not the address of a page", where="owner.link", hint=hint)

    def wishes(self) -> Wishes:
        """What everybody wants who does not say otherwise."""
        return Wishes(
            time_zone=self.time_zone,
            quiet=self.quiet,
            group_from=self.group_from,
            summary=self.summary,
            summary_to=self.summary_to,
            link=self.link.rstrip("/"),
        )

    def check_channels(self, quiet: Mapping[str, str]) -> None:
        """ConfigError where the owner and the channels do not fit. `quiet`: each channel's own hours, by name."""
        for name, hours in quiet.items():
            parse_quiet(hours, where=f"channels.{name}.quiet", zone=self.time_zone)
        for number, name in enumerate(self.summary_to):
            if name not in quiet:
                hint = f"there are: {', '.join(quiet)}" if quiet else "there are no [[channels]] yet"
                raise ConfigError(f"there is no channel {name!r}", where=f"owner.summary_to[{number}]", hint=hint)
