"""In a life of deaths, full disks and channels that fail, a summary is formed once and reaches every channel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cryptowatcher.domain.alerts import first_id_at
from cryptowatcher.domain.deliveries import FINAL
from cryptowatcher.testing.virtual_time import START_MS
from cryptowatcher.testing.world import Faults, simulate

FAULTS = Faults(crash=0.005, source=0.1, channel=0.3, store=0.005)
FIVE_PAST = START_MS + 5 * 60_000


MORE = [pytest.param(seed, marks=pytest.mark.chaos) for seed in range(1, 30)]


@pytest.mark.parametrize("seed", [0, *MORE])
def test_each_is_formed_once_and_sent_or_given_up_visibly(tmp_path: Path, seed: int) -> None:
    history = simulate(seed=seed, hours=0.2, folder=tmp_path, faults=FAULTS, summary="daily 00:05")
    told = [delivery for delivery in history.deliveries if delivery.kind == "summary"]
    (alert,) = {delivery.alert for delivery in told}
    assert alert.startswith(first_id_at(FIVE_PAST))
    assert {delivery.channel for delivery in told} == {"steady", "flaky"}
    arrived = Counter(each.channel for each in history.received if each.id.startswith(alert))
    for delivery in told:
        assert delivery.state in FINAL or (delivery.channel == "flaky" and delivery.attempts > 0)
        if delivery.channel == "steady":
            assert delivery.state == "sent"
            assert 1 <= arrived["steady"] <= 1 + history.crashes
