"""The whole pipeline on virtual time, with faults and deaths that one seed decides."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.deliveries import FINAL, delivery_id
from cryptowatcher.domain.records import Held, Ticks, Verdict
from cryptowatcher.domain.rules.model import LOCAL_OWNER, MOST_REMINDERS, rule_id
from cryptowatcher.domain.watcher import Watcher
from cryptowatcher.testing.world import Faults, History, simulate

HOURS = float(os.environ.get("SIMULATED_HOURS", "1"))
SEEDS = range(int(os.environ.get("SIMULATED_SEEDS", "3")))
ROUGH = Faults(crash=0.003, source=0.1, channel=0.25, store=0.003, edits=0.3)


def alerts_implied(history: History) -> list[Alert]:
    """The journal and the rule changes once more through a watcher that never died."""
    watcher = Watcher(candles=False)
    by_number = {change.number: change for change in history.changes}
    for taken in sorted(history.take_ups, key=lambda taken: taken.number):
        watcher.take_up(by_number[taken.number], taken.seq)
    alerts: list[Alert] = []
    for record in history.records:
        watcher.step(record)
        alerts += watcher.effects().alerts
    return sorted(alerts, key=lambda alert: alert.id)


def check_reminders(history: History) -> None:
    """Each stands once behind what it repeats, in its time; none is lost but where the rule was removed."""
    rows = {delivery.id: delivery for delivery in history.deliveries}
    reminders = [delivery for delivery in history.deliveries if delivery.kind == "reminder"]
    assert reminders
    for each in reminders:
        repeated = rows[delivery_id(each.alert, "flaky", each.reminder - 1)]
        assert repeated.state in FINAL
        assert each.created_at >= repeated.finished_at + 180_000
        assert each.channel == "flaky" or each.reminder == 1
    removed = {change.rule_id for change in history.changes if change.rule is None}
    level = rule_id(LOCAL_OWNER, "level")
    for delivery in history.deliveries:
        told = delivery.rule == level and delivery.channel == "flaky" and delivery.state in ("sent", "given_up")
        if told and delivery.reminder < MOST_REMINDERS and level not in removed:
            assert delivery_id(delivery.alert, "flaky", delivery.reminder + 1) in rows


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_rough_life_leaves_is_what_its_journal_implies(seed: int, tmp_path: Path) -> None:
    history = simulate(seed=seed, hours=HOURS, folder=tmp_path, faults=ROUGH)
    assert history.crashes > 0
    assert len(history.alerts) > 0

    # No alert lost, doubled or invented; byte for byte what a watcher that never died would have recorded.
    assert msgspec.json.encode(history.alerts) == msgspec.json.encode(alerts_implied(history))

    # No accepted record lost: everything that was acknowledged stands, in one dense order.
    assert [record.seq for record in history.records] == list(range(1, len(history.records) + 1))
    assert max(history.acknowledged) <= history.records[-1].seq
    times = [record.at for record in history.records]
    assert times == sorted(times)

    # Every alert is queued to its channels, and every delivery ends or still waits; none is lost.
    expected = {f"{a.id}~{c}" for a in history.alerts for c in (a.channels or ("steady", "flaky"))}
    assert {delivery.id for delivery in history.deliveries if delivery.kind == "alert"} == expected
    check_reminders(history)
    arrived = Counter(received.id for received in history.received)
    assert set(arrived) <= {delivery.id for delivery in history.deliveries}
    sent = {delivery.id for delivery in history.deliveries if delivery.state == "sent"}
    assert sent <= set(arrived)

    # A channel that behaves gets a message twice only when the process died before the receipt was written.
    twice = [received for received, count in arrived.items() if "~steady" in received and count > 1]
    for received in twice:
        lives = [r.life for r in history.received if r.id == received]
        assert len(set(lives)) == len(lives), f"{received} came twice in one life"
    assert len(twice) <= 8 * history.crashes


def test_a_market_that_lies_fires_no_rule(tmp_path: Path) -> None:
    calm = simulate(seed=5, hours=HOURS, folder=_sub(tmp_path, "calm"), faults=Faults())
    lying = simulate(seed=5, hours=HOURS, folder=_sub(tmp_path, "lying"), faults=Faults(source=0.3))
    assert any(isinstance(record.body, Held) for record in lying.records)
    prices = {
        price
        for record in lying.records
        if isinstance(record.body, Ticks | Verdict) and getattr(record.body, "accepted", True)
        for price in record.body.batch.price.tolist()
    }
    assert max(prices) < 300
    assert min(prices) > 30
    highest = max(abs(alert.value) for alert in calm.alerts if alert.condition.startswith("change"))
    for alert in lying.alerts:
        if alert.condition.startswith("change"):
            assert abs(alert.value) < highest * 4


def test_the_same_seed_gives_the_same_history(tmp_path: Path) -> None:
    first = simulate(seed=11, hours=HOURS, folder=_sub(tmp_path, "first"), faults=ROUGH)
    second = simulate(seed=11, hours=HOURS, folder=_sub(tmp_path, "second"), faults=ROUGH)
    assert first.crashes == second.crashes
    assert first.received == second.received
    assert msgspec.json.encode(first.alerts) == msgspec.json.encode(second.alerts)
    assert msgspec.json.encode(first.deliveries) == msgspec.json.encode(second.deliveries)
    assert [(r.seq, r.at, r.writer) for r in first.records] == [(r.seq, r.at, r.writer) for r in second.records]


def _sub(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name
