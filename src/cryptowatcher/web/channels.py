"""/api/v1/channels: where alerts go; and deliveries that are to be sent again."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter

from cryptowatcher.domain.messages import Wording, reworded
from cryptowatcher.domain.samples import as_if_sent, sample_alert
from cryptowatcher.ports import Tx
from cryptowatcher.trying import Tried
from cryptowatcher.web.answers import DeliveryAnswer, delivery_answer
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import Problem, documented, not_found

ChannelName = Annotated[str, PathParameter(description="a channel's name")]
DeliveryId = Annotated[str, PathParameter(description="a delivery's id")]


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Names of channels that a rule may use."""

    items: list[str]


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


@get("/channels", needs="viewer", responses=documented(400), summary="All channels", tags=["deliveries"])
async def channels(deps: Deps) -> Channels:
    return Channels(items=list(deps.channels))


@post(
    "/channels/{name:str}/test",
    needs="user",
    status_code=200,
    responses=documented(400, 404),
    summary="Send a test message now",
    description="Says exactly what the other side answered. Nothing is queued or tried again.",
    tags=["deliveries"],
)
async def test_channel(deps: Deps, name: ChannelName) -> Tried:
    if name not in deps.channels or deps.try_channel is None:
        raise not_found(f"there is no channel {name!r}")
    return await deps.try_channel(name)


@post(
    "/channels/{name:str}/preview",
    needs="user",
    status_code=200,
    responses=documented(400, 404, 422),
    summary="The message of an alert as this channel is given it",
    description="Of a stored alert or a sample, with the channel's own words or others to try. Nothing is sent.",
    tags=["deliveries"],
)
async def preview_message(deps: Deps, name: ChannelName, data: JSONBody[MessageRequest]) -> MessageAnswer:
    if name not in deps.channels:
        raise not_found(f"there is no channel {name!r}")
    wording = reworded(deps.wordings.get(name, Wording()), title=data.title, body=data.body)
    now = deps.clock.now()
    alert = sample_alert(owner=deps.owner, now=now)
    if data.alert is not None:
        # as in history.one_alert: the newest id before `id!` is this one or it is not there
        before = f"{data.alert}!"
        found = await deps.asked.run(lambda tx: tx.alerts(deps.owner, limit=1, before=before))
        if not found or found[0].id != data.alert:
            raise not_found(f"there is no alert {data.alert!r}")
        alert = found[0]
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
