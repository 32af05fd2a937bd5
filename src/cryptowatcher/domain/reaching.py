"""Who is reached where: the channels of the configuration, those that people have added, and what each prefers.

Rules name channels by name; what goes out carries an address (domain/channel_names.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from cryptowatcher.domain.accounts import Role, may
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.channel_names import is_own, name_in, own_address
from cryptowatcher.domain.hours import parse_quiet, zone_named
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.domain.rules.check import no_such_channel
from cryptowatcher.domain.rules.model import LOCAL_OWNER, Rule
from cryptowatcher.domain.summary import Plan, daily, plan_of
from cryptowatcher.errors import ConfigError

MOST_CHANNELS: Final = 50
"""Of one owner."""


class StoredChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that somebody added while the program ran.

    settings: as its kind has them, without secrets
    secrets:  by name; they leave the store for nothing but the channel itself
    version:  grows with each change, and is never that of another channel before
    """

    owner: str
    name: str
    kind: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    changed_at: int
    version: int = 0

    def __repr__(self) -> str:
        return f"StoredChannel({self.address!r}, kind={self.kind!r}, version={self.version})"

    @property
    def address(self) -> str:
        return own_address(self.owner, self.name)


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel (by address) made of the last message, and when. `error`: in words; empty: it took it."""

    channel: str
    at: int
    error: str = ""


class ChannelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel is.

    sent_at: when it last took a message; failing_since: since when it takes none, and `error` why. 0: never
    queued:  messages of one owner that wait for it; `given_up`: those that were given up lately
    """

    sent_at: int = 0
    failing_since: int = 0
    error: str = ""
    queued: int = 0
    given_up: int = 0


class Preferences(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an owner wants of all channels; None: what `[owner]` of the configuration says.

    channels: of the rules that name none; () or None: all that the owner has
    """

    time_zone: str | None = None
    quiet: str | None = None
    group_from: int | None = None
    summary: str | None = None
    summary_to: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """Preferences with nothing left open."""

    time_zone: str = "UTC"
    quiet: str = ""
    group_from: int = 5
    summary: str = ""
    summary_to: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    link: str = ""

    def changed_by(self, wanted: Preferences) -> Wishes:
        """With what somebody wants otherwise."""
        said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        return msgspec.structs.replace(self, **said)

    @property
    def kindness(self) -> Kindness:
        """What it means for whoever sends."""
        return Kindness(quiet=self.quiet, group_from=self.group_from, time_zone=self.time_zone, link=self.link)

    def plan(self) -> Plan | None:
        """When the summary comes; None: never."""
        return plan_of(self.summary, self.time_zone, self.summary_to)

    def plan_or_days(self) -> Plan:
        """That, or each day where there is none: what is summed up when somebody asks."""
        return self.plan() or daily(self.time_zone)

    @property
    def zone(self) -> ZoneInfo:
        """Of the clocks that they look at."""
        return zone_named(self.time_zone, where="time_zone")


class Person(msgspec.Struct, frozen=True):
    """An owner, as an account says."""

    owner: str
    role: Role
    disabled: bool = False


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says.

    channels: the names of its channels
    needs:    the role that a kind of stored channel takes; a kind that is not there, nobody may have
    """

    channels: tuple[str, ...] = ()
    wishes: Wishes = Wishes()
    needs: Mapping[str, Role] = MappingProxyType({})


class Reach(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Who is reached where, at one moment. `number`: that of the last change."""

    setting: Setting = Setting()
    number: int = 0
    people: tuple[Person, ...] = ()
    stored: tuple[StoredChannel, ...] = ()
    preferences: Mapping[str, Preferences] = MappingProxyType({})

    @cached_property
    def _people(self) -> dict[str, Person]:
        return {person.owner: person for person in self.people}

    @cached_property
    def _own(self) -> dict[str, dict[str, StoredChannel]]:
        own: dict[str, dict[str, StoredChannel]] = {}
        for each in self.stored:
            own.setdefault(each.owner, {})[each.name] = each
        return own

    def own(self, owner: str) -> Mapping[str, StoredChannel]:
        """The channels that they have added, by name."""
        return self._own.get(owner, {})

    # Each alert of a storm asks, and its owner is one of a few.
    @cached_property
    def _told(self) -> dict[tuple[str, tuple[str, ...]], tuple[str, ...]]:
        return {}

    def is_operator(self, owner: str) -> bool:
        """Whether the channels of the configuration are theirs to use: the first account's, and admins'. Whoever
        has the configuration file has them whatever becomes of the first account."""
        if owner in (LOCAL_OWNER, SYSTEM_OWNER):
            return True
        person = self._people.get(owner)
        return person is not None and not person.disabled and may(person.role, "admin")

    def is_silent(self, owner: str) -> bool:
        """Whether nothing goes to them any more: the account is disabled. Not so the first one's: the rules of the
        configuration are its own."""
        person = self._people.get(owner)
        return person is not None and person.disabled and owner != LOCAL_OWNER

    def may_have(self, channel: StoredChannel) -> bool:
        """Whether its owner may have a channel of that kind, now."""
        needs = self.setting.needs.get(channel.kind)
        if needs is None or self.is_silent(channel.owner):
            return False
        if channel.owner == LOCAL_OWNER:
            return True
        person = self._people.get(channel.owner)
        return person is not None and may(person.role, needs)

    def wishes(self, owner: str) -> Wishes:
        """What they want of all channels."""
        wanted = self.preferences.get(owner)
        return self.setting.wishes.changed_by(wanted) if wanted else self.setting.wishes

    def known(self, owner: str) -> tuple[str, ...]:
        """Names of channels that their rules may use."""
        own = self._own.get(owner, {})
        configured = self.setting.channels if self.is_operator(owner) else ()
        return tuple(dict.fromkeys([*own, *configured]))

    def address(self, owner: str, name: str) -> str:
        """Where what names it goes: an owner's own channel first. One that they do not have is theirs to miss."""
        if name in self._own.get(owner, {}) or not self.is_operator(owner):
            return own_address(owner, name)
        return name

    def usual(self, owner: str) -> tuple[str, ...]:
        """Addresses for rules that name none: what they prefer, else all of their own; the channels of the
        configuration are those of who runs the program."""
        known = self.known(owner) if owner == LOCAL_OWNER else tuple(self._own.get(owner, {}))
        preferred = [name for name in self.wishes(owner).channels if name in self.known(owner)]
        return tuple(self.address(owner, name) for name in preferred or known)

    def told(self, owner: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Addresses of what a rule names; none named, or "" among them: `usual`. Nothing where the owner is
        silent."""
        key = (owner, names)
        if key not in self._told:
            self._told[key] = self._find(owner, names)
        return self._told[key]

    def _find(self, owner: str, names: tuple[str, ...]) -> tuple[str, ...]:
        if self.is_silent(owner):
            return ()
        named = [self.address(owner, name) for name in names if name]
        usual = self.usual(owner) if not named or "" in names else ()
        return tuple(dict.fromkeys([*named, *usual]))

    def refused(self, owner: str, address: str) -> str:
        """Why what waits for that address must not go there (any more); empty: it may."""
        if self.is_silent(owner):
            return "the account is disabled"
        if not is_own(address):
            return "" if self.is_operator(owner) else f"the channel {address!r} of the configuration is not theirs"
        channel = self._own.get(owner, {}).get(name_in(address))
        if channel is None or channel.address != address:
            return f"channel removed: there is no channel {name_in(address)!r}"
        return "" if self.may_have(channel) else f"a channel of the kind {channel.kind} is not theirs to have"

    def plans(self) -> dict[str, tuple[Plan, tuple[str, ...]]]:
        """Owner → when they are told a summary, and the addresses where. Nobody who is reached nowhere."""
        owners = dict.fromkeys([LOCAL_OWNER, *(person.owner for person in self.people)])
        found = {owner: self._plan(owner) for owner in owners if not self.is_silent(owner)}
        return {owner: (plan, to) for owner, (plan, to) in found.items() if plan and to}

    def _plan(self, owner: str) -> tuple[Plan | None, tuple[str, ...]]:
        try:
            plan = self.wishes(owner).plan()
        except ConfigError:  # the machine has lost its time zones since
            return None, ()
        known = self.known(owner)
        names = tuple(name for name in plan.channels if name in known) if plan else ()
        return plan, self.told(owner, names)


def changed_channel(before: StoredChannel | None, after: StoredChannel) -> StoredChannel:
    """What a person sent, with what they left out: a secret that is not among `after`'s stays, and an empty one is
    removed. ConfigError where a secret would go to another server than the one it was given for: who may change a
    channel must not get at its secrets by that."""
    kept = before.secrets if before and before.kind == after.kind else {}
    secrets = {name: value for name, value in {**kept, **after.secrets}.items() if value}
    if before and before.settings.get("server") != after.settings.get("server"):
        for name in secrets:
            if name not in after.secrets:
                raise ConfigError("say it again: it would go to another server", where=f"secrets.{name}")
    settings = {name: value for name, value in after.settings.items() if value is not None}
    return msgspec.structs.replace(after, settings=settings, secrets=secrets)


def check_preferences(wanted: Preferences, reach: Reach, owner: str) -> None:
    """ConfigError with the field's name."""
    wishes = reach.setting.wishes.changed_by(wanted)
    zone_named(wishes.time_zone, where="time_zone")
    parse_quiet(wishes.quiet, where="quiet", zone=wishes.time_zone)
    plan_of(wishes.summary, wishes.time_zone, where="summary")
    if not 2 <= wishes.group_from <= 1000:
        raise ConfigError("must be from 2 to 1000", where="group_from")
    known = reach.known(owner)
    for field, names in (("summary_to", wanted.summary_to), ("channels", wanted.channels)):
        for number, name in enumerate(names or ()):
            if name not in known:
                raise no_such_channel(name, known, where=f"{field}[{number}]")


def check_fallback(fallback: str, known: Sequence[str]) -> None:
    """ConfigError when what stands in for a channel is not among those that its owner may use."""
    if fallback and fallback not in known:
        raise no_such_channel(fallback, known, where="settings.fallback")


def users_of(name: str, rules: Iterable[Rule], own: Iterable[StoredChannel]) -> list[str]:
    """What names a channel of their owner's, as people say it."""
    specs = [rule.spec for rule in rules]
    named = [f"the rule {spec.name!r}" for spec in specs if name in (*spec.channels, *spec.escalate)]
    return named + [f"the channel {each.name!r}" for each in own if each.settings.get("fallback") == name]


def show_users(users: Sequence[str]) -> str:
    """In one line."""
    return f"it is used by {', '.join(users[:10])}{' and others' if len(users) > 10 else ''}"
