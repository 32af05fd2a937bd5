"""/api/v1/channels: where alerts go; and deliveries that are to be sent again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from cryptowatcher.domain.accounts import Role
from cryptowatcher.domain.hours import zone_named
from cryptowatcher.domain.intervals import MS
from cryptowatcher.domain.messages import Wording, reworded, wording_of
from cryptowatcher.domain.reaching import (
    MOST_CHANNELS,
    ChannelFacts,
    Reach,
    StoredChannel,
    changed_channel,
    check_fallback,
    show_users,
    users_of,
)
from cryptowatcher.domain.samples import as_if_sent, sample_alert
from cryptowatcher.errors import ConfigError
from cryptowatcher.ports import Tx
from cryptowatcher.ports.channel_kinds import Kind
from cryptowatcher.trying import Tried
from cryptowatcher.web.accounts.access import Asking
from cryptowatcher.web.alerts import existing
from cryptowatcher.web.answers import DeliveryAnswer, Millis, delivery_answer
from cryptowatcher.web.deps import Deps, WebDeps
from cryptowatcher.web.problems import Problem, documented, not_found

ChannelName = Annotated[str, PathParameter(description="a channel's name")]
DeliveryId = Annotated[str, PathParameter(description="a delivery's id")]
Force = Annotated[bool, QueryParameter(description="also where rules name it")]
Setting = str | int | float | bool | list[str | int] | None


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel is. ok: the last message was taken. waiting: messages wait, and the last one was taken, if any
    was sent. failing: the last one was not taken. unused: nothing was ever sent.

    failing_since_ms: when that began; last_sent_ms: when a message was last taken
    last_error: what the other side said last, in words; empty: nothing went wrong since a message was taken
    queued: messages of yours that wait, 10,000 at most; given_up: those of the last seven days
    """

    status: Literal["ok", "waiting", "failing", "unused"]
    failing_since_ms: Millis | None
    last_sent_ms: Millis | None
    last_error: str
    queued: int
    given_up: int


class ChannelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that your rules may use.

    origin:   `config`: it stands in the configuration file; `owner`: you have added it
    settings: without secrets
    secrets:  names of those that are set
    target:   what can be shown of where it goes: a host, or an address
    """

    name: str
    kind: str
    origin: Literal["config", "owner"]
    settings: dict[str, Setting]
    secrets: list[str]
    target: str
    state: ChannelState


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """In order: your own, then those of the configuration."""

    items: list[ChannelAnswer]


class KindList(msgspec.Struct, frozen=True, kw_only=True):
    """Kinds of channels that you may add."""

    items: list[Kind]


class ChannelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel as it shall be. A setting that is left out has its default. A secret that is left out stays as it
    is, and an empty one is removed."""

    kind: Annotated[str, msgspec.Meta(max_length=40)]
    settings: dict[str, Setting] = {}
    secrets: dict[str, str] = {}


class TryRequest(ChannelRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One to try. Of a channel that is there, secrets that are left out are those that it has."""

    name: Annotated[str, msgspec.Meta(max_length=64)]


class MessageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """alert:       a stored one's id; null: a sample
    title, body: templates to try; null: those of the channel, empty: the default words
    """

    alert: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    title: str | None = None
    body: str | None = None


class MessageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent. `link` is empty where the page's address is not set."""

    title: str
    body: str
    link: str


TRIES_AT_ONCE = 4
"""Of one owner."""

_MOST_COUNTED = 10_000
_LATELY = 7 * MS["d"]


@get("/channels", needs="viewer", responses=documented(400), summary="All channels", tags=["channels"])
async def channels(deps: Deps) -> Channels:
    def read(tx: Tx) -> Channels:
        reach = _reach(tx, deps)
        own = {each.name: each for each in reach.stored}
        known = reach.known(deps.owner)
        configured = {each.name: each for each in deps.configured if each.name in known and each.name not in own}
        facts = _facts(tx, deps, [reach.address(deps.owner, name) for name in (*own, *configured)])
        answers = [_answer(deps, each, "owner", facts[each.address]) for each in own.values()]
        answers += [_answer(deps, each, "config", facts[each.name]) for each in configured.values()]
        return Channels(items=answers)

    return await deps.asked.run(read)


@get(
    "/channel-kinds",
    needs="viewer",
    responses=documented(400),
    summary="What kinds of channels you may add, and what there is to fill in",
    tags=["channels"],
)
async def channel_kinds(deps: Deps, who: Asking) -> KindList:
    return KindList(items=list(deps.kinds.kinds(who.role)) if deps.kinds else [])


@put(
    "/channels/{name:str}",
    needs="user",
    responses=documented(400, 404, 409, 422),
    summary="Add or change a channel of your own",
    description="It counts within about a second. What is on its way goes on as it was.",
    tags=["channels"],
)
async def put_channel(deps: Deps, who: Asking, name: ChannelName, data: JSONBody[ChannelRequest]) -> ChannelAnswer:
    reach = await deps.asked.run(lambda tx: _reach(tx, deps))
    if name not in reach.own(deps.owner) and name in reach.known(deps.owner):
        raise Problem(409, f"the configuration has a channel {name!r}: choose another name, or change it there")
    draft = _draft(deps, reach, name, data)
    await _check(deps, reach, draft, who.role)

    def save(tx: Tx) -> ChannelAnswer:
        now = _reach(tx, deps)
        if now.own(deps.owner).get(name) != reach.own(deps.owner).get(name):
            raise Problem(409, "it was changed meanwhile: look at it again")
        if name not in now.own(deps.owner) and len(now.stored) >= MOST_CHANNELS:
            raise Problem(409, f"{MOST_CHANNELS} channels are the most: remove one first")
        saved = tx.save_channel(draft)
        return _answer(deps, saved, "owner", _facts(tx, deps, [saved.address])[saved.address])

    return await deps.store.run(save)


@delete(
    "/channels/{name:str}",
    needs="user",
    responses=documented(400, 404, 409),
    summary="Remove a channel of your own",
    description="409 names what uses it; force=true removes it all the same. What waits for it is given up.",
    tags=["channels"],
)
async def remove_channel(deps: Deps, name: ChannelName, force: Force = False) -> None:
    def remove(tx: Tx) -> None:
        own = _reach(tx, deps).own(deps.owner)
        if name not in own:
            raise not_found(f"there is no channel {name!r} of yours")
        used = users_of(name, tx.rules(deps.owner), own.values())
        if used and not force:
            raise Problem(409, show_users(used))
        tx.remove_channel(deps.owner, name)

    await deps.store.run(remove)


@post(
    "/channels/try",
    needs="user",
    status_code=200,
    responses=documented(400, 422, 429),
    summary="Send a test message through a channel that is not saved",
    description="Says exactly what the other side answered. Nothing is saved, queued or tried again.",
    tags=["channels"],
)
async def try_channel(deps: Deps, who: Asking, data: JSONBody[TryRequest]) -> Tried:
    reach = await deps.asked.run(lambda tx: _reach(tx, deps))
    draft = _draft(deps, reach, data.name, data)
    await _check(deps, reach, draft, who.role)
    with _one_try(deps):
        return await deps.try_stored(draft)


@post(
    "/channels/{name:str}/test",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 429),
    summary="Send a test message now",
    description="Says exactly what the other side answered. Nothing is queued or tried again.",
    tags=["channels"],
)
async def test_channel(deps: Deps, name: ChannelName) -> Tried:
    stored = await deps.asked.run(lambda tx: _reach(tx, deps).own(deps.owner).get(name))
    if stored is None and (name not in deps.channels or deps.try_channel is None):
        raise not_found(f"there is no channel {name!r}")
    with _one_try(deps):
        if stored is not None:
            return await deps.try_stored(stored)
        assert deps.try_channel is not None
        return await deps.try_channel(name)


@post(
    "/channels/{name:str}/preview",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 422),
    summary="The message of an alert as this channel is given it",
    description="Of a stored alert or a sample, with the channel's own words or others to try. Nothing is sent.",
    tags=["channels"],
)
async def preview_message(deps: Deps, name: ChannelName, data: JSONBody[MessageRequest]) -> MessageAnswer:
    if name not in deps.channels:
        raise not_found(f"there is no channel {name!r}")
    reach = await deps.asked.run(lambda tx: _reach(tx, deps))
    wording = reworded(_wording(deps, reach, name), title=data.title, body=data.body)
    now = deps.clock.now()
    if (named := data.alert) is None:
        alert = sample_alert(owner=deps.owner, now=now)
    else:
        alert = await deps.asked.run(lambda tx: existing(tx, deps.owner, named))
    message = as_if_sent(alert, name, now=now, wording=wording)
    return MessageAnswer(title=message.text.title, body=message.text.body, link=message.link)


@post(
    "/deliveries/{delivery:str}/retry",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 409),
    summary="Send one again that was given up",
    tags=["deliveries"],
)
async def retry_delivery(deps: Deps, delivery: DeliveryId) -> DeliveryAnswer:
    now = deps.clock.now()

    def again(tx: Tx) -> DeliveryAnswer:
        queued = tx.send_again(deps.owner, ids=[delivery], now=now, limit=1)
        found = tx.deliveries(deps.owner, limit=1000, alert=delivery.partition("~")[0])
        one = next((each for each in found if each.id == delivery), None)
        if one is None:
            raise not_found(f"there is no delivery {delivery!r}")
        if not queued:
            raise Problem(409, f"it is {one.state}: only what was given up can be sent again")
        return delivery_answer(one)

    return await deps.store.run(again)


@contextmanager
def _one_try(deps: WebDeps) -> Iterator[None]:
    """Of each owner a few at a time: each holds a connection to wherever they say, for a minute if it hangs."""
    if deps.trying[deps.owner] >= TRIES_AT_ONCE:
        raise Problem(429, f"{TRIES_AT_ONCE} test messages are on their way: wait for them", retry_after=5)
    deps.trying[deps.owner] += 1
    try:
        yield
    finally:
        deps.trying[deps.owner] -= 1


# --- one channel -----------------------------------------------------------------------------------


def _reach(tx: Tx, deps: WebDeps) -> Reach:
    return tx.reach(deps.setting, owner=deps.owner)


def _facts(tx: Tx, deps: WebDeps, addresses: list[str]) -> Mapping[str, ChannelFacts]:
    since = deps.clock.now() - _LATELY
    return tx.channel_facts(deps.owner, addresses, since=since, most=_MOST_COUNTED)


def _draft(deps: WebDeps, reach: Reach, name: str, data: ChannelRequest) -> StoredChannel:
    """What was sent, with the secrets that stay."""
    sent = StoredChannel(
        owner=deps.owner,
        name=name,
        kind=data.kind,
        settings=data.settings,
        secrets=data.secrets,
        changed_at=deps.clock.now(),
    )
    return changed_channel(reach.own(deps.owner).get(name), sent)


async def _check(deps: WebDeps, reach: Reach, draft: StoredChannel, role: Role) -> None:
    """ConfigError with `kind`, `settings.x` or `secrets.x` when it cannot be, or is not theirs to have."""
    if deps.kinds is None:
        raise ConfigError("channels are not added here", where="kind")
    if draft.kind not in {each.name for each in deps.kinds.kinds(role)}:
        deps.kinds.settings(draft)  # says what kinds there are, where there is none of that name
        raise ConfigError(f"a channel of the kind {draft.kind} takes the role admin", where="kind")
    settings = await deps.check_channel(draft)
    check_fallback(settings.fallback, reach.known(deps.owner))


def _wording(deps: WebDeps, reach: Reach, name: str) -> Wording:
    kindness = reach.wishes(deps.owner).kindness
    stored = reach.own(deps.owner).get(name)
    if stored is not None and deps.kinds is not None:
        return wording_of(deps.kinds.settings(stored).policy(), kindness)
    zone = zone_named(kindness.time_zone, where="time_zone")
    return msgspec.structs.replace(deps.wordings.get(name, Wording()), zone=zone)


def _answer(
    deps: WebDeps, channel: StoredChannel, origin: Literal["config", "owner"], facts: ChannelFacts
) -> ChannelAnswer:
    return ChannelAnswer(
        name=channel.name,
        kind=channel.kind,
        origin=origin,
        settings=dict(channel.settings),
        secrets=sorted(channel.secrets),
        target=deps.kinds.target(channel) if deps.kinds else "",
        state=_state(facts),
    )


def _state(facts: ChannelFacts) -> ChannelState:
    status: Literal["ok", "waiting", "failing", "unused"] = "ok" if facts.sent_at else "unused"
    status = "waiting" if facts.queued else status
    return ChannelState(
        status="failing" if facts.failing_since else status,
        failing_since_ms=facts.failing_since or None,
        last_sent_ms=facts.sent_at or None,
        last_error=facts.error,
        queued=facts.queued,
        given_up=facts.given_up,
    )
