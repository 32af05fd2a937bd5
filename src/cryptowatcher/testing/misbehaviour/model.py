"""What a misbehaviour is: a named function of the honest answer, with settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from cryptowatcher.errors import ConfigError
from cryptowatcher.testing.wire import Reply, Request


class Misbehaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do wrong.

    times: for how many requests; None until `behave()`
    only:  for paths that begin so, without the API's prefix: `/coins/markets`
    coins: ids it concerns where it concerns coins; empty for all
    value: a number that the kind's line explains
    """

    kind: str
    times: int | None = None
    only: str | None = None
    coins: tuple[str, ...] = ()
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = difflib.get_close_matches(self.kind, KINDS, n=1)
            raise ValueError(f"no misbehaviour {self.kind!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

    def number(self, otherwise: float) -> float:
        return otherwise if self.value is None else self.value

    def concerns(self, path: str) -> bool:
        return self.only is None or path.startswith(self.only)


class Scene(msgspec.Struct, frozen=True):
    """What a misbehaviour may look at. `memory` is its own, from request to request."""

    request: Request
    url: str
    random: Random
    memory: dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """A reply whose JSON is still open to change: `document` becomes the body unless it is UNSET."""

    reply: Reply
    document: Any = msgspec.UNSET

    def closed(self) -> Reply:
        if self.document is msgspec.UNSET:
            return self.reply
        return msgspec.structs.replace(self.reply, body=msgspec.json.encode(self.document))


Act = Callable[[Answer, Misbehaviour, Scene], Answer]
KINDS: dict[str, Act] = {}


def kind(act: Act) -> Act:
    KINDS[act.__name__] = act
    return act


def apply(misbehaviour: Misbehaviour, answer: Answer, scene: Scene) -> Answer:
    return KINDS[misbehaviour.kind](answer, misbehaviour, scene)


def parse_misbehaviour(text: str) -> Misbehaviour:
    """`spike`, `spike:coins=bitcoin+ethereum,times=3`, `drip:value=0.1,only=/coins/markets`."""
    kind, _, rest = text.partition(":")
    fields: dict[str, Any] = dict(part.partition("=")[::2] for part in rest.split(",") if part)
    if "coins" in fields:
        fields["coins"] = fields["coins"].split("+")
    try:
        return msgspec.convert({"kind": kind, **fields}, Misbehaviour, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error), where=f"misbehaviour {text!r}") from None
