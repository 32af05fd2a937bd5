"""A delivery whose alert is not in the store any more is given up: it must neither hold up others nor keep the
notifier busy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.ports import Store, Tx
from cryptowatcher.testing.contracts.channel import sample_alert
from cryptowatcher.testing.contracts.store_case import sample_delivery
from tests.pipeline.test_notify import Outbox, Recorder, accept, play, running

T = TypeVar("T")


class Counted:
    """A store that counts its transactions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.count = 0

    async def run(self, fn: Callable[[Tx], T]) -> T:
        self.count += 1
        return await self._store.run(fn)


def lost(number: int, **said: object) -> Delivery:
    alert = msgspec.structs.replace(sample_alert(number), id=f"{number:011x}-gone", owner=LOCAL_OWNER)
    return msgspec.structs.replace(sample_delivery(alert), **said)


def test_it_is_given_up_with_its_reason_and_the_notifier_rests(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        gone = [lost(1), lost(2, channel="removed", id="x~removed"), lost(3, bundle="b"), lost(4, bundle="b")]
        await outbox.store.run(lambda tx: tx.queue(gone))
        await outbox.queue(2)
        outbox.store = counted = Counted(outbox.store)
        channel = Recorder(accept)
        async with running(outbox.notifier(channel)):
            await asyncio.sleep(120)
        found = await outbox.deliveries()
        assert {each.state for each in found if each.id in channel.accepted} == {"sent"}
        rest = [each for each in found if each.id not in channel.accepted]
        assert len(rest) == len(gone)
        assert {(each.state, each.last_error) for each in rest} == {
            ("given_up", "its alert is not in the store any more")
        }
        assert counted.count < 100, "one each five seconds, and some more"

    play(tmp_path, story)
