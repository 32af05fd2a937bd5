"""The notice that what was told is over goes the way of alerts: one transaction, the same outbox, no reminders."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cryptowatcher.domain.alerts import NOTICES, Alert
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.messages import write
from cryptowatcher.domain.quiet import Quiet, kept_back
from cryptowatcher.domain.reminders import next_reminders
from cryptowatcher.ports import Tx
from tests.domain.journals import BEGIN
from tests.domain.test_resolved import OVER
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.lives import CHANNELS, EVER, OWNER, Killed

TOLD = Delivery(
    id=f"{OVER.id}~ops",
    alert=OVER.id,
    owner="local",
    rule="r1",
    channel="ops",
    state="sent",
    created_at=BEGIN,
    due_at=BEGIN,
    kind="resolved",
)


def there(tx: Tx) -> tuple[list[Alert], list[Delivery], list[str]]:
    """What is over, who is told of it, and where the rule stands."""
    over = tx.alerts(OWNER, limit=EVER, kinds=["resolved"])
    told = [each for each in tx.deliveries(OWNER, limit=EVER) if each.kind == "resolved"]
    return over, told, [row.state for row in tx.lifecycle()]


def test_notice_deliveries_and_where_the_rule_stands_are_one_transaction(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule(resolved=True, urgent=True)
        await desk.price(90, 110)
        watch = await desk.watch()
        await to_the_head(watch)
        await desk.price(50)
        left = ["the look for rule changes"]

        async def die() -> None:
            if not left:
                raise Killed
            left.pop()

        desk.around.before = die
        with pytest.raises(Killed):
            await watch.advance()
        desk.around.before = type(desk.around)().before
        assert await desk.store.run(there) == ([], [], ["inside"])

        await desk.caught_up()
        (over,), told, states = await desk.store.run(there)
        assert (over.seq, over.kind, states) == (3, "resolved", [])
        assert {each.channel for each in told} == set(CHANNELS)
        assert {(each.alert, each.created_at, each.urgent) for each in told} == {(over.id, over.at, True)}
        await desk.caught_up()
        assert (await desk.store.run(there))[:2] == ([over], told)
        assert await desk.alerts() == [2], "it is no alert"

    at_a_desk(tmp_path, main)


def test_it_is_counted_as_no_firing(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule(resolved=True)
        await desk.price(90, 110, 50)
        await desk.caught_up()
        page = desk.meters.exposition()
        assert 'alerts_fired_total{kind="edge"} 1.0' in page
        assert not [kind for kind in NOTICES if f'alerts_fired_total{{kind="{kind}"}}' in page]

    at_a_desk(tmp_path, main)


def test_nobody_is_reminded_of_it_and_a_snooze_silences_it() -> None:
    asks = Quiet(channels=("ops",), remind="1m")
    assert next_reminders(TOLD, asks, (), now=BEGIN) == []
    leased = msgspec.structs.replace(TOLD, state="leased")
    silent = kept_back(leased, OVER, Quiet(snoozed_until=BEGIN + 1), wall=BEGIN, now=BEGIN)
    assert silent is not None
    assert silent.state == "snoozed"
    held = kept_back(leased, OVER, Quiet(), hours="23:00-07:00", wall=BEGIN, now=BEGIN)
    assert held is not None
    assert held.is_held


def test_a_message_of_it_says_so_and_several_are_one() -> None:
    one = write([(TOLD, OVER)], now=BEGIN)
    assert (one.kind, one.text.title) == ("resolved", "Over: bitcoin/usd 69,900 usd (btc high)")
    rows = [(TOLD, msgspec.structs.replace(OVER, id=f"{n:011x}-{n:020x}", pair=f"coin-{n}/usd")) for n in range(5)]
    several = write(rows, now=BEGIN)
    assert (several.kind, several.text.title) == ("bundle", "5 pairs at once: over: price >= 70000 (btc high)")
    mixed = [*rows[:4], (TOLD, msgspec.structs.replace(rows[4][1], rule="r2"))]
    assert write(mixed, now=BEGIN).text.title == "5 are over at once, on 5 pairs"
