"""Many rules that fire at one record are written down as columns: the rows are those of each alone."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.copies import FEW
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.reaching import Setting, StoredChannel
from cryptowatcher.domain.rules.model import Firing, Lifecycle, RuleSpec
from cryptowatcher.pipeline.watch import Watch, deliveries_of
from cryptowatcher.ports import Tx
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.lives import EVER, OWNER

PEOPLE = (OWNER, *(f"person {number}" for number in range(FEW + 3)))


class Told(msgspec.Struct, frozen=True):
    """What the store has of a storm, and the deliveries that its alerts would bring one by one."""

    alerts: list[Alert]
    deliveries: list[Delivery]
    alone: list[Delivery]
    standings: list[Lifecycle]
    firings: list[Firing]


def read(tx: Tx, channels: tuple[str, ...]) -> Told:
    alerts = [alert for owner in PEOPLE for alert in tx.alerts(owner, limit=EVER)]
    deliveries = [each for owner in PEOPLE for each in tx.deliveries(owner, limit=EVER)]
    alone = deliveries_of(alerts, tx.reach(Setting(channels=channels)))
    by_id = attrgetter("id")
    return Told(alerts, sorted(deliveries, key=by_id), sorted(alone, key=by_id), tx.lifecycle(), tx.firings())


async def storm(desk: Desk, channels: tuple[str, ...], *more: RuleSpec) -> Told:
    """A rule of each of them, and others of the first, fire at one record."""
    for owner in PEOPLE:
        await desk.rule(owner=owner)
    for spec in more:
        await desk.store.run(lambda tx, spec=spec: tx.save_rule(OWNER, spec, head=0, now=0))  # type: ignore[misc]  # mypy: lambda default
    watch = Watch(desk.journal, desk.store, desk.clock, channels=channels, meters=desk.meters)
    await watch.recover()
    await desk.price(90, 91)
    await to_the_head(watch)
    await desk.price(110)
    await to_the_head(watch)
    return await desk.store.run(lambda tx: read(tx, channels))


@pytest.mark.parametrize("channels", [(), ("only",), ("first", "second")])
def test_whoever_is_told_of_a_storm_is_told_as_of_an_alert_alone(
    tmp_path: Path, channels: tuple[str, ...]
) -> None:
    """Also where that is nobody, or one of many."""

    async def main(desk: Desk) -> None:
        told = await storm(desk, channels)
        assert {alert.owner for alert in told.alerts} == set(PEOPLE)
        assert told.deliveries == told.alone
        assert [each.owner for each in told.deliveries] == [OWNER] * len(channels)
        assert len(told.standings) == len(told.firings) == len(PEOPLE)
        counted = desk.meters.exposition()
        assert f'cryptowatcher_alerts_fired_total{{kind="edge"}} {len(PEOPLE)}.0\n' in counted

    at_a_desk(tmp_path, main)


def test_people_with_channels_of_their_own_are_told_there(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        for owner, name in ((PEOPLE[2], "phone"), (PEOPLE[2], "mail"), (PEOPLE[5], "phone")):
            channel = StoredChannel(owner=owner, name=name, kind="fake", settings={}, secrets={}, changed_at=0)
            await desk.store.run(lambda tx, channel=channel: tx.save_channel(channel))  # type: ignore[misc]  # mypy: lambda default
        spec = RuleSpec(name="both", pairs=("a/usd",), when="price >= 101", channels=("first", ""))
        told = await storm(desk, ("first",), spec)
        assert told.deliveries == told.alone
        assert sorted((each.owner, each.channel) for each in told.deliveries) == [
            *[(OWNER, "first")] * 2, (PEOPLE[2], "mail@person 1"), (PEOPLE[2], "phone@person 1"),
            (PEOPLE[5], "phone@person 4"),
        ]  # fmt: skip

    at_a_desk(tmp_path, main)
