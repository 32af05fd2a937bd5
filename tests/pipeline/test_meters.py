"""What happens in the pipeline is counted once, by its kind, in the one registry that the page tells."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from cryptowatcher.domain.deliveries import ChannelPolicy, Delivery, RetryPolicy
from cryptowatcher.domain.records import Draft, Gap
from cryptowatcher.pipeline.beat import Beater
from cryptowatcher.pipeline.meters import FEEL_EVERY, REMEMBER, REMOVED, LoopLag, Meters
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.virtual_time import VirtualClock
from tests.pipeline.desk import Desk, at_a_desk
from tests.pipeline.inline import Reading, opened, put
from tests.pipeline.stage import BUSY, CALM, COINS, LIMITED, Says, Stage, but, on_stage
from tests.pipeline.test_notify import Outbox, Recorder, accept, fail, hang, play, refuse, running


def told(meters: Meters, name: str, **labels: str) -> float | None:
    """The sample as the registry has it; None when there is none."""
    return meters.registry.get_sample_value(f"cryptowatcher_{name}", labels)


def by(meters: Meters, name: str, label: str) -> dict[str, float]:
    """label → value of all samples with that name, whatever their other labels, but zeros."""
    samples = [
        s for family in meters.registry.collect() for s in family.samples if s.name == f"cryptowatcher_{name}"
    ]
    assert len({s.labels[label] for s in samples}) == len(samples)
    return {s.labels[label]: s.value for s in samples if s.value}


def test_what_a_source_says_is_counted_by_what_became_of_it(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        stale = Says(prices=CALM, ages={COINS[0]: 400_000}, unseen=(("ghost/usd", "no_price"),))
        await stage.play(Says(prices=CALM), stale, but(coin_1=200), BUSY, LIMITED, but(coin_1=201))
        source = stage.status
        meters = stage.meters
        assert (await source()).source == "scripted"
        assert by(meters, "source_requests_total", "outcome") == {"ok": 4, "timeout": 1, "rate_limited": 1}
        # 10, then 9 of 10, then 9 (one is held), then 9 and the one that the verdict let in.
        assert told(meters, "ticks_accepted_total", source="scripted") == 10 + 9 + 9 + 10
        assert by(meters, "ticks_rejected_total", "reason") == {"stale": 1, "no_price": 1, "held": 1}
        assert told(meters, "source_request_duration_seconds_count", source="scripted") == 6
        assert told(meters, "source_request_duration_seconds_sum", source="scripted") == pytest.approx(6 * 0.2)
        assert told(meters, "tick_lag_seconds_count", source="scripted") == 4

    on_stage(tmp_path, main)


class Slow(Reading):
    """A journal that takes its time to append."""

    async def append(self, drafts: Sequence[Draft]) -> int:
        await asyncio.sleep(0.3)
        return await super().append(drafts)


def test_the_lag_of_ticks_is_from_the_answer_to_the_journal(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        stage.journal = Slow(stage.journal)
        await stage.play(Says(prices=CALM))
        assert told(stage.meters, "tick_lag_seconds_sum", source="scripted") == pytest.approx(0.3)

    on_stage(tmp_path, main)


def test_watch_counts_records_commits_and_alerts_once(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.rule("price >= 100")
        await desk.price(90, 110, 90, 110)
        await put(desk.journal, Gap("nothing"))
        await desk.caught_up()
        meters, head = desk.meters, await desk.journal.head()
        assert told(meters, "watch_records_total") == head
        assert told(meters, "watch_step_duration_seconds_count") == 1
        assert by(meters, "alerts_fired_total", "kind") == {"edge": len(await desk.alerts())} == {"edge": 2}
        before = told(meters, "watch_commits_total")
        assert before
        await desk.caught_up()  # a restart: what was stepped is not stepped again
        assert told(meters, "watch_records_total") == head
        assert told(meters, "watch_commits_total") == before

    at_a_desk(tmp_path, main)


@pytest.mark.parametrize(
    ("answer", "outcomes", "given_up"),
    [
        (accept, {"sent": 3}, {}),
        (refuse, {"gone": 3}, {"gone": 3}),
        (fail(), {"server_error": 3}, {}),
        (hang, {"timeout": 3}, {}),
    ],
)
def test_each_call_of_a_channel_is_counted_by_its_outcome(
    tmp_path: Path,
    answer: Callable[[Delivery], Awaitable[str]],
    outcomes: dict[str, float],
    given_up: dict[str, float],
) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue(3, rules=3)
        meters = Meters()
        policy = ChannelPolicy(deadline=2.0, retry=RetryPolicy(first=60_000, cap=60_000))
        async with running(outbox.notifier(Recorder(answer), policy=policy, meters=meters)):
            await asyncio.sleep(3)
        assert by(meters, "delivery_attempts_total", "outcome") == outcomes
        assert by(meters, "deliveries_given_up_total", "reason") == given_up
        assert told(meters, "delivery_duration_seconds_count", channel="ops") == 3
        seconds = told(meters, "delivery_duration_seconds_sum", channel="ops")
        assert seconds == pytest.approx(6.0 if answer is hang else 0.0 if answer is refuse else 0.03)

    play(tmp_path, story)


def test_the_way_from_alert_to_receipt_counts_first_attempts_only(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue(at=outbox.clock.now() - 2_500)
        meters, channel = Meters(), Recorder(fail())
        policy = ChannelPolicy(retry=RetryPolicy(first=1_000, cap=1_000))
        async with running(outbox.notifier(channel, policy=policy, meters=meters)):
            await asyncio.sleep(0.5)
            channel.answer = accept
            await asyncio.sleep(10)
            assert await outbox.states() == {"sent": 1}
            assert told(meters, "alert_to_sent_seconds_count", channel="ops") == 0
            await outbox.queue(at=outbox.clock.now() - 2_500)
            await asyncio.sleep(10)
        assert told(meters, "alert_to_sent_seconds_count", channel="ops") == 1
        assert 2.5 < (told(meters, "alert_to_sent_seconds_sum", channel="ops") or 0) < 10

    play(tmp_path, story)


def test_what_nobody_tried_and_will_not_try_is_counted_with_its_reason(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue(2, channel="a name of yesterday")
        meters = Meters()
        async with running(outbox.notifier(Recorder(accept), meters=meters)):
            await asyncio.sleep(1)
        assert told(meters, "deliveries_given_up_total", channel=REMOVED, reason="channel_removed") == 2
        assert "yesterday" not in meters.exposition()

    play(tmp_path, story)


def test_a_delivery_that_grew_too_old_is_counted_as_given_up(tmp_path: Path) -> None:
    async def story(outbox: Outbox) -> None:
        await outbox.queue()
        policy = ChannelPolicy(retry=RetryPolicy(first=1_000, cap=1_000, give_up_after=600_000))
        async with running(outbox.notifier(Recorder(fail()), policy=policy)):
            await asyncio.sleep(0.5)
        await asyncio.sleep(700)
        meters = Meters()
        async with running(outbox.notifier(Recorder(accept), policy=policy, meters=meters)):
            await asyncio.sleep(1)
        assert told(meters, "deliveries_given_up_total", channel="ops", reason="too_old") == 1

    play(tmp_path, story)


def test_a_jump_of_the_wall_clock_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        clock, meters = VirtualClock(), Meters()
        async with opened(tmp_path, clock) as (_, journal):
            beater = asyncio.create_task(Beater(journal, clock, meters=meters).run())
            await asyncio.sleep(1.5)
            clock.step(60_000)
            await asyncio.sleep(3)
            beater.cancel()
            await asyncio.wait([beater])
        assert told(meters, "clock_steps_total") == 1

    virtual_time.run(run)


def test_what_has_not_happened_is_told_as_zero_so_that_the_first_time_is_a_rise() -> None:
    meters = Meters(started_at=5_000)
    meters.expect_source("coingecko")
    meters.expect_channel("phone")
    meters.expect_jobs("beat", "watch")
    zeros = {
        "source_requests_total": {"source": "coingecko", "outcome": "ok"},
        "ticks_accepted_total": {"source": "coingecko"},
        "journal_append_errors_total": {"reason": "disk_full"},
        "trimmed_total": {"what": "candles"},
        "alerts_fired_total": {"kind": "gap"},
        "delivery_attempts_total": {"channel": "phone", "outcome": "sent"},
        "alert_to_sent_seconds_count": {"channel": "phone"},
        "job_restarts_total": {"job": "beat"},
        "page_restarts_total": {},
    }
    assert {name: told(meters, name, **labels) for name, labels in zeros.items()} == dict.fromkeys(zeros, 0)
    assert told(meters, "pipeline_start_timestamp_seconds") == 5


def test_the_program_around_is_counted_too() -> None:
    meters = Meters(loop_lag=lambda: 0.25)
    meters.job_restarted("beat")
    meters.page_restarted()
    meters.trimmed("records", 500)
    assert math.isnan(told(meters, "canary_last_success_timestamp_seconds") or 0)
    meters.canary_came_round(1.5, 60_000)
    assert told(meters, "job_restarts_total", job="beat") == 1
    assert told(meters, "page_restarts_total") == 1
    assert told(meters, "trimmed_total", what="records") == 500
    assert told(meters, "pipeline_loop_lag_seconds") == 0.25
    assert told(meters, "canary_last_success_timestamp_seconds") == 60
    assert told(meters, "canary_roundtrip_seconds_sum") == 1.5


def test_each_file_has_its_own_numbers() -> None:
    meters = Meters()
    journal, store = meters.file("journal"), meters.file("store")
    journal.committed(0.004)
    journal.failed("disk_full")
    store.failed("busy")
    waiting = [1, 2, 3]
    store.queue(lambda: len(waiting))
    assert told(meters, "commit_duration_seconds_count", file="journal") == 1
    assert told(meters, "commit_duration_seconds_count", file="store") == 0
    assert by(meters, "journal_append_errors_total", "reason") == {"disk_full": 1}
    assert by(meters, "store_commit_errors_total", "reason") == {"busy": 1}
    assert told(meters, "commit_queue", file="store") == 3
    waiting.clear()
    assert told(meters, "commit_queue", file="store") == 0


class Sticky(VirtualClock):
    """A steady clock that also moves while nothing else can."""

    held_up = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.held_up


def test_a_loop_that_is_held_up_tells_the_worst_of_the_last_while() -> None:
    async def run() -> None:
        clock = Sticky()
        lag = LoopLag(clock)
        feeling = asyncio.create_task(lag.run())
        await asyncio.sleep(1.05)
        assert lag.worst() == pytest.approx(0, abs=1e-6)
        for seconds in (2.0, 0.5):
            clock.held_up += seconds
            await asyncio.sleep(2 * FEEL_EVERY)
            assert lag.worst() == pytest.approx(2.0)
        await asyncio.sleep(REMEMBER - 1)  # another stretch has begun, and this one counts with it
        assert lag.worst() == pytest.approx(2.0)
        await asyncio.sleep(REMEMBER)
        assert lag.worst() == pytest.approx(0, abs=1e-6)
        feeling.cancel()
        await asyncio.wait([feeling])

    virtual_time.run(run)
