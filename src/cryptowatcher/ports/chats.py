"""Conversations: who writes to a channel that listens, and what is kept of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import msgspec


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote, or the button that they pressed.

    update:  its number; numbers grow
    chat:    where it was said; 0: what it was is not understood
    text:    what was written, or what the button stands for
    message: the message's number in its chat
    press:   what a press of a button is answered by; "" for what was written
    """

    update: int
    chat: int = 0
    text: str = ""
    message: int = 0
    press: str = ""


@runtime_checkable
class ChatLine(Protocol):
    """A channel that listens. Each call ends within its own deadline, and raises Unavailable or Refused."""

    @property
    def name(self) -> str: ...

    @property
    def account(self) -> str:
        """Whose updates these are: another account counts them anew."""
        ...

    @property
    def listens(self) -> bool: ...

    @property
    def chats(self) -> Sequence[int]:
        """Those that are heard without being linked."""
        ...

    async def hear(self, after: int | None) -> Sequence[Heard]:
        """What came after that number, in order, as soon as there is something; nothing after a while. What came
        before is forgotten by the other side."""
        ...

    async def say(self, chat: int, text: str) -> None:
        """Lines that begin with four blanks are shown as they stand."""
        ...

    async def nod(self, press: str, text: str) -> None:
        """Answer a press of a button, in some words beside the message."""
        ...


class ChatLink(msgspec.Struct, frozen=True, kw_only=True):
    """A chat whose word counts as its owner's. `linked_at`: epoch ms."""

    channel: str
    chat: int
    owner: str
    linked_at: int


class ChatMark(msgspec.Struct, frozen=True):
    """The last update that was handled, and when (epoch ms)."""

    upto: int
    at: int


class ChatTx(Protocol):
    """What conversations do inside a transaction."""

    def keep_code(self, digest: str, *, channel: str, owner: str, expires_at: int, now: int) -> None:
        """A code by which a chat can be linked once, as its hash. Codes that are over are forgotten."""
        ...

    def link_chat(self, digest: str, *, channel: str, chat: int, now: int) -> str | None:
        """Use a code up: the chat is its owner's from now on. Returns the owner; None: there is no such code, or
        it is over."""
        ...

    def linked_chats(self, channel: str) -> list[ChatLink]:
        """In order of the chat's number."""
        ...

    def unlink_chat(self, channel: str, chat: int) -> bool:
        """False when it was not linked."""
        ...

    def chat_mark(self, line: str) -> ChatMark | None: ...

    def save_chat_mark(self, line: str, mark: ChatMark) -> None: ...

    def acknowledge(self, owner: str, alerts: Collection[str], now: int) -> int:
        """Note that the owner has seen these alerts (ids), those that are theirs and there; how many were new.
        What was acknowledged before stays so since then."""
        ...

    def acknowledged(self, alerts: Collection[str]) -> dict[str, int]:
        """Those of them that were, and when (epoch ms)."""
        ...
