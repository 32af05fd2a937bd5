"""/api/v1/preferences: what you want of all channels."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get, put
from litestar.params import JSONBody

from cryptowatcher.domain.reaching import Preferences, Reach, check_preferences
from cryptowatcher.ports import Tx
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented


class PreferencesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What you want of all channels.

    time_zone:  of the times in messages, of quiet hours and of the summary
    quiet:      when nothing comes but what is urgent, `22:00-07:00`
    group_from: from how many alerts at once on they come in one message
    summary:    when a summary comes, `daily 08:00` or `weekly mon 08:00`; empty: never
    summary_to: channels that get it; none named: those of rules that name none
    channels:   of rules that name none; none named: all that you have
    from_file:  names of those that are as `[owner]` of the configuration says
    """

    time_zone: str
    quiet: str
    group_from: int
    summary: str
    summary_to: tuple[str, ...]
    channels: tuple[str, ...]
    from_file: list[str]


class PreferencesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As the answer has them; null, or left out: as `[owner]` of the configuration says."""

    time_zone: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    quiet: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    group_from: Annotated[int, msgspec.Meta(ge=2, le=1000)] | None = None
    summary: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    summary_to: Annotated[tuple[str, ...], msgspec.Meta(max_length=50)] | None = None
    channels: Annotated[tuple[str, ...], msgspec.Meta(max_length=50)] | None = None


@get(
    "/preferences",
    needs="viewer",
    responses=documented(400),
    summary="What you want of all channels",
    tags=["channels"],
)
async def preferences(deps: Deps) -> PreferencesAnswer:
    return await deps.asked.run(lambda tx: _answer(_reach(tx, deps), deps.owner))


@put(
    "/preferences",
    needs="user",
    responses=documented(400, 422),
    summary="Say what you want of all channels",
    description="It counts within a second, also for what waits already.",
    tags=["channels"],
)
async def put_preferences(deps: Deps, data: JSONBody[PreferencesRequest]) -> PreferencesAnswer:
    wanted = Preferences(**msgspec.structs.asdict(data))

    def save(tx: Tx) -> PreferencesAnswer:
        check_preferences(wanted, _reach(tx, deps), deps.owner)
        tx.save_preferences(deps.owner, wanted)
        return _answer(_reach(tx, deps), deps.owner)

    return await deps.store.run(save)


def _reach(tx: Tx, deps: Deps) -> Reach:
    return tx.reach(deps.setting, owner=deps.owner)


def _answer(reach: Reach, owner: str) -> PreferencesAnswer:
    wishes = reach.wishes(owner)
    wanted = reach.preferences.get(owner, Preferences())
    fields = PreferencesRequest.__struct_fields__
    return PreferencesAnswer(
        **{name: getattr(wishes, name) for name in fields},
        from_file=[name for name in fields if getattr(wanted, name) is None],
    )
