"""Collect with a source that says what the test wrote down, on the real journal and store."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest

from cryptowatcher.domain.records import Held, Ticks, Verdict
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Pace
from cryptowatcher.testing import virtual_time
from tests.pipeline.inline import all_records, nothing, put
from tests.pipeline.stage import BUSY, CALM, COINS, DEMO, HOUR, LIMITED, Line, Says, Stage, but, on_stage


async def watch_once(stage: Stage) -> None:
    """What stands in the journal goes into the store."""
    watch = Watch(stage.journal, stage.store, stage.clock, channels=())
    await watch.recover()
    await watch.advance()
    await watch.close()


def test_what_is_accepted_held_and_rejected_of_an_answer_stands_in_the_journal_after_one_append(
    tmp_path: Path,
) -> None:
    async def main(stage: Stage) -> None:
        stale = msgspec.structs.replace(but(coin_0=200.0), ages={COINS[1]: 400_000})
        await stage.play(but(), stale, but(coin_0=201.0, coin_2=30.0), but(coin_0=202.0))
        assert await stage.told() == [
            "ticks 10 calm",
            "ticks 8 calm",
            "held jump coin-0/usd=200",
            "accepted coin-0/usd=200",
            "ticks coin-0/usd=201 8 calm",
            "held jump coin-2/usd=30",
            "dropped coin-2/usd=30",
            "ticks coin-0/usd=202 9 calm",
        ]
        assert stage.journal.appended == [1, 2, 3, 2]

    on_stage(tmp_path, main)


def test_an_answer_in_which_nothing_counts_appends_nothing(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(Says(prices={}, unseen=((COINS[0], "null"),)), Says(prices=CALM, observed_at=1))
        assert await stage.told() == []
        assert stage.journal.appended == []

    on_stage(tmp_path, main)


def test_a_restart_remembers_the_last_price(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but())
        await stage.play(but(coin_0=200.0))
        assert (await stage.told(after=1))[-1] == "held jump coin-0/usd=200"

    on_stage(tmp_path, main)


def test_a_restart_remembers_what_is_held(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but(), but(coin_0=200.0))
        await stage.play(but(coin_0=201.0))
        assert await stage.told(after=3) == ["accepted coin-0/usd=200", "ticks coin-0/usd=201 9 calm"]

    on_stage(tmp_path, main)


def test_a_dropped_price_is_no_memory(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but(), but(coin_0=200.0), but())
        await stage.play(but(coin_0=200.0))
        assert (await stage.told())[-1] == "held jump coin-0/usd=200"

    on_stage(tmp_path, main)


def test_after_a_long_pause_the_last_price_of_the_store_is_what_a_jump_is_seen_against(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but())
        await watch_once(stage)
        await asyncio.sleep(30 * HOUR)
        await stage.play(but(coin_0=40_000.0))
        assert await stage.told(after=1) == ["ticks 9 calm", "held jump coin-0/usd=40000"]

    on_stage(tmp_path, main)


def test_after_a_long_pause_the_journal_goes_before_the_store(tmp_path: Path) -> None:
    """Watch was behind: the store's price is older than what the journal says."""

    async def main(stage: Stage) -> None:
        await stage.play(but())
        await watch_once(stage)
        await stage.play(but(coin_0=200.0), but(coin_0=200.0))
        await stage.play(but(coin_0=201.0))
        assert (await stage.told())[-1] == "ticks coin-0/usd=201 9 calm"

    on_stage(tmp_path, main)


def test_the_journal_of_other_writers_is_no_memory(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        batch = one_instant({COINS[0]: 1.0}, observed_at=stage.clock.now())
        await put(stage.journal, Ticks(batch), writer="collect:another")
        await stage.play(but())
        assert await stage.told(after=1) == ["ticks 10 calm"]

    on_stage(tmp_path, main)


def test_the_guard_starts_in_a_journal_whose_beginning_is_gone(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but(), but(), but())
        await stage.journal.trim(2)
        await stage.play(but(coin_0=200.0))
        assert await stage.told(after=3) == ["ticks 9 calm", "held jump coin-0/usd=200"]

    on_stage(tmp_path, main)


# --- what the owner sees ---------------------------------------------------------------------------


def test_a_source_goes_from_starting_to_ok_to_limited_to_blind_to_ok(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but(), but(), LIMITED, LIMITED, LIMITED, LIMITED, LIMITED, but())
        assert stage.states == [
            ("starting", ""),
            ("ok", ""),
            ("limited", "rate_limited"),
            ("blind", "rate_limited"),
            ("ok", ""),
        ]

    on_stage(tmp_path, main)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (Unavailable("no answer", reason="timeout"), "timeout"),
        (Refused("no such key", reason="bad_key"), "bad_key"),
        (Says(prices={}), "empty"),
        (Says(prices=CALM, observed_at=0), "no_time"),
        (Says(prices=CALM, ages=dict.fromkeys(COINS, 400_000)), "stale"),
        (Says(prices=CALM, ages=dict.fromkeys(COINS, -400_000)), "future"),
    ],
)
def test_a_source_that_never_gave_a_usable_price_is_blind_and_says_why(
    tmp_path: Path, line: Line, reason: str
) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(line)
        status = await stage.status()
        assert (status.state, status.reason) == ("blind", reason)
        assert status.detail
        await stage.play(but())
        assert stage.states[-1] == ("ok", "")

    on_stage(tmp_path, main)


def test_a_source_that_repeats_itself_is_frozen_in_the_end(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        frozen = Says(prices=CALM, observed_at=stage.clock.now())
        await stage.play(*[frozen] * 8, but())
        assert stage.states == [
            ("starting", ""),
            ("ok", ""),
            ("limited", "frozen"),
            ("blind", "stale"),
            ("ok", ""),
        ]

    on_stage(tmp_path, main)


def test_a_pair_that_is_not_seen_is_blind_with_its_reason_until_it_is_back(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        rest = dict.fromkeys(COINS[1:], 100.0)
        gone = Says(prices=rest, unseen=((COINS[0], "null"),))
        await stage.play(but(), *[gone] * 3)
        assert (await stage.status()).blind_pairs == ()  # the last observation is still valid
        await stage.play(*[gone] * 8)
        (blind,) = (await stage.status()).blind_pairs
        assert (blind.pair, blind.reason) == (COINS[0], "null")
        assert (await stage.status()).pairs == 9
        await stage.play(but())
        status = await stage.status()
        assert (status.state, status.blind_pairs, status.pairs) == ("ok", (), 10)

    on_stage(tmp_path, main)


def test_held_prices_are_counted(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but(), but(coin_0=200.0))
        assert (await stage.status()).held == 1
        await stage.play(but())
        assert (await stage.status()).held == 0

    on_stage(tmp_path, main)


# --- calls -----------------------------------------------------------------------------------------


def test_calls_are_counted_over_restarts(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but(), but(), pace=DEMO)
        await stage.play(but(), pace=DEMO)
        status = await stage.status()
        # Each life ends in a call that hangs: it is counted, since its answer may have cost a credit.
        assert status.calls_this_month == 5
        assert status.calls_per_month == 10_000
        assert (status.calls_this_minute, status.calls_per_minute) == (1, 5)

    on_stage(tmp_path, main)


def test_nobody_calls_before_the_other_side_said_so(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        began = stage.clock.monotonic()
        await stage.play(but(), LIMITED, but())
        third = (await all_records(stage.journal))[-1]
        assert third.at - virtual_time.START_MS >= (began + 60 + 90) * 1000

    on_stage(tmp_path, main)


def test_all_pages_of_a_round_are_asked_and_a_failure_ends_it(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        one, two = Says(prices={COINS[0]: 1.0}), Says(prices={COINS[1]: 2.0})
        pace = Pace(every=60.0, valid_for=300_000, per_minute=30)
        await stage.play(one, two, BUSY, one, two, pages=2, pace=pace)
        assert await stage.told() == ["ticks coin-0/usd=1", "ticks coin-1/usd=2"] * 2
        assert stage.states[-1] == ("ok", "")

    on_stage(tmp_path, main)


@pytest.mark.parametrize("letters", ["x", "ж", "漢"])
def test_thousands_of_rows_with_the_longest_names_fit_the_journal(tmp_path: Path, letters: str) -> None:
    random = Random(7)
    first = ord(letters)

    def name(number: int) -> str:
        return f"{number:05d}" + "".join(
            chr(first + random.randrange(3 if letters == "x" else 50)) for _ in range(123)
        )

    async def main(stage: Stage) -> None:
        prices = {f"{name(number)}/usd": random.uniform(0.01, 9e4) for number in range(6000)}
        await stage.play(Says(prices=prices))
        records = await all_records(stage.journal)
        bodies = [record.body for record in records]
        rows = [
            row
            for body in bodies
            if isinstance(body, Ticks)
            for row in zip(body.batch.names(), body.batch.price, strict=True)
        ]
        assert dict(rows) == prices
        assert len(rows) == len(prices)
        assert stage.journal.appended == [len(records)]

    on_stage(tmp_path, main)


def test_thousands_of_held_rows_fit_the_journal_and_are_settled(tmp_path: Path) -> None:
    prices = {f"{number:05d}-{Random(number).randbytes(50).hex()}/usd": 100.0 for number in range(3000)}

    async def main(stage: Stage) -> None:
        mad = Says(prices={pair: price * 40_000 for pair, price in prices.items()})
        calm = Says(prices=prices)
        await stage.play(calm, calm, mad, mad, calm)
        bodies = [record.body for record in await all_records(stage.journal)]
        accepted = {price for body in bodies if isinstance(body, Ticks) for price in body.batch.price.tolist()}
        assert accepted == {100.0}
        held = sum(len(body.batch) for body in bodies if isinstance(body, Held))
        settled = sum(len(body.batch) for body in bodies if isinstance(body, Verdict))
        assert held == settled == 6000

    on_stage(tmp_path, main)


# --- failures --------------------------------------------------------------------------------------


def test_nothing_a_source_does_ends_the_collector(tmp_path: Path) -> None:
    reasons = ["timeout", "banned", "rate_limited", "server_error", "not_json", "shape", "a word nobody knows"]
    lines: list[Line] = [
        *(
            Unavailable("no", reason=reason, retry_after=after)
            for reason in reasons
            for after in (None, 0.0, 30.0)
        ),
        *(Refused("no", reason=reason) for reason in reasons),
        Says(prices={}),
        Says(prices={COINS[0]: 5e-324, COINS[1]: 1.7e308}),
        Says(prices={COINS[0]: 1.7e308, COINS[1]: 5e-324}),
        Says(prices=CALM, observed_at=-(2**62)),
        Says(prices=CALM, observed_at=2**62),
    ]
    random = Random(3)
    random.shuffle(lines)

    async def main(stage: Stage) -> None:
        await stage.play(*lines, but())
        assert stage.states[-1] == ("ok", "")

    with np.errstate(all="raise"):
        on_stage(tmp_path, main)


def test_a_store_that_is_busy_interrupts_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async def main(stage: Stage) -> None:
        await stage.play(but())

        async def busy() -> None:
            raise Unavailable("busy", reason="busy")

        stage.around.before = busy
        with suppress(Unavailable):
            await stage.play(but())
        stage.around.before = nothing
        await stage.play(but(coin_0=200.0))
        assert (await stage.told())[-1] == "held jump coin-0/usd=200"

    on_stage(tmp_path, main)
