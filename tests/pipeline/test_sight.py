"""What is told of pairs that are not seen goes through the same outbox as alerts, once."""

from __future__ import annotations

from pathlib import Path

from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.records import Beat
from tests.pipeline.desk import Desk, at_a_desk
from tests.pipeline.inline import put
from tests.pipeline.lives import CHANNELS, EVER, OWNER


async def unseen(desk: Desk, minutes: int) -> None:
    for _ in range(minutes):
        desk.clock.pass_by(60)
        await put(desk.journal, Beat(), writer="beat")


async def told(desk: Desk) -> list[Delivery]:
    found = await desk.store.run(lambda tx: tx.deliveries(OWNER, limit=EVER))
    return sorted(found, key=lambda delivery: (delivery.created_at, delivery.channel))


def test_blind_and_back_are_queued_once_each_whoever_dies_and_are_no_alerts(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule("price >= 1000")
        await desk.price(1, 1, 1)
        await desk.caught_up()
        await unseen(desk, 30)
        for _ in range(3):
            await desk.caught_up()
        blind = await told(desk)
        assert [(each.channel, each.kind, each.rule) for each in blind] == [
            (name, "sight", "") for name in sorted(CHANNELS)
        ]
        await desk.price(*[1] * 70)
        await desk.caught_up()
        assert len(await told(desk)) == 2 * len(blind)
        assert await desk.alerts() == []

    at_a_desk(tmp_path, main)


def test_it_is_sent_where_the_rule_is(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule("price >= 1000", channels=("phone",))
        await desk.price(1, 1, 1)
        await unseen(desk, 30)
        await desk.caught_up()
        assert [each.channel for each in await told(desk)] == ["phone"]

    at_a_desk(tmp_path, main)
