"""What kinds of channels people may add, and what is to be said of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from cryptowatcher.domain.accounts import Role
from cryptowatcher.domain.reaching import StoredChannel
from cryptowatcher.ports.channel_settings import ChannelSettings

FieldType = Literal["text", "secret", "number", "choice", "flag", "words"]
Value = str | int | float | bool | list[str | int] | None


class KindField(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to fill in.

    type:     `secret` goes into `secrets`, all others into `settings`; `words` is a list
    choices:  of a `choice`
    default:  what stands where nothing is said; null: nothing, or it is required
    advanced: most people leave it as it is
    """

    name: str
    label: str
    help: str
    type: FieldType
    choices: list[str]
    default: Value
    required: bool
    advanced: bool


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of channel, and what to ask for."""

    name: str
    title: str
    help: str
    fields: list[KindField]


class ChannelKinds(Protocol):
    """All kinds of channels."""

    def kinds(self, role: Role) -> Sequence[Kind]:
        """Those that somebody of that role may add, in order of name."""
        ...

    def settings(self, channel: StoredChannel) -> ChannelSettings:
        """What it is opened by. ConfigError with `where` = `kind`, `settings.x`, `secrets.x`."""
        ...

    def stored(self, settings: ChannelSettings, *, owner: str) -> StoredChannel:
        """A configured channel, told as if somebody had added it; its secrets are those that are named."""
        ...

    def target(self, channel: StoredChannel) -> str:
        """What can be shown of where it goes: a host, or an address of a person; "" where that cannot be told."""
        ...
