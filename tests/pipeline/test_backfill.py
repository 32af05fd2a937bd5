"""History is asked for beside the rounds: a real server, the real client, journal and store, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from cryptowatcher.adapters.sources.coingecko import CoinGeckoConfig
from cryptowatcher.domain.backfill import Terms
from cryptowatcher.domain.records import Fill, Ticks
from cryptowatcher.domain.rules.tree import Call, Expression
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.ticks import Floats, Ints
from cryptowatcher.errors import Unavailable
from cryptowatcher.pipeline.backfill import Backfill
from cryptowatcher.pipeline.collect import Collector
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.pacing import Pacer
from cryptowatcher.ports import Cursor, Deps, HistorySource, Step, Store
from cryptowatcher.testing import virtual_time
from cryptowatcher.testing.coins import list_coins
from cryptowatcher.testing.fake_coingecko import DEMO_KEY, FakeCoinGecko
from cryptowatcher.testing.market import Snapshot
from cryptowatcher.testing.misbehaviour import Misbehaviour
from cryptowatcher.testing.virtual_time import VirtualClock
from tests.pipeline.inline import Around, Reading, all_records, nothing, opened

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY_MS = 86_400_000
COINS = 6


class Waves:
    """A tape that costs nothing: each coin goes up and down 1 % a day."""

    coins = list_coins(3, COINS)
    speed = 1.0

    def at(self, ms: int) -> Snapshot:
        price = np.asarray([self.chart(place, np.asarray([ms]))[0] for place in range(COINS)])
        return Snapshot(at=ms, price=price, volume=price, day_ago=price, high=price, low=price)

    def chart(self, coin: int, times: Ints) -> Floats:
        prices: Floats = self.coins[coin].price * (1 + 0.01 * np.sin(times * (2 * np.pi / DAY_MS) + coin))
        return prices


MARKET = Waves()
NAMES = [coin.id for coin in MARKET.coins]
Looks = list[tuple[Expression, Iterable[str] | None]]
NOTHING: Looks = []


def secret(*, file: str | None, variable: str | None, where: str) -> str | None:
    return DEMO_KEY if variable else None


class Desk:
    """A fake CoinGecko, files, and one life of a collector with its history after the other."""

    def __init__(self, fake: FakeCoinGecko, store: Store, journal: Reading, clock: VirtualClock, around: Around):
        self.fake = fake
        self.store = store
        self.journal = journal
        self.clock = clock
        self.around = around
        self.meters = Meters()
        self.words: list[str] = []

    async def live(
        self,
        seconds: float,
        *,
        looks: Looks = NOTHING,
        terms: Terms | None = Terms(),  # noqa: B008  it is frozen
        meanwhile: Callable[[], Awaitable[None]] | None = None,
        schema: int = 1,
        **settings: Any,
    ) -> None:
        """A process that lives so long. Without `terms` there is no history."""
        usual = {"kind": "coingecko", "base_url": self.fake.url, "top": COINS, "per_minute": 5}
        config = msgspec.convert(usual | settings, CoinGeckoConfig)
        deps = Deps(clock=self.clock, secret=secret, random=Random(1))
        async with config.open(deps) as source:
            assert isinstance(source, HistorySource)
            pacer = Pacer(source.name, source.pace, self.store, self.clock, Random(2))
            backfill = (
                None
                if terms is None
                else Backfill(
                    source,
                    self.journal,
                    self.store,
                    pacer,
                    self.clock,
                    terms=terms,
                    looks=lambda: looks,
                    schema=schema,
                    meters=self.meters,
                )
            )
            collector = Collector(source, self.journal, self.store, pacer, self.clock, backfill=backfill)
            jobs = [
                collector.run(),
                *([backfill.run()] if backfill else []),
                *([meanwhile()] if meanwhile else []),
            ]
            tasks = [asyncio.create_task(_forever(job)) for job in jobs]
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self.words.append(collector.status().history)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.note_prices()
            for task in done:
                raise task.exception() or AssertionError("it ended by itself")

    async def note_prices(self) -> None:
        """What a watcher would have left of the newest observations."""
        ticks = [record for record in await all_records(self.journal) if isinstance(record.body, Ticks)]
        newest = ticks[-1]
        assert isinstance(newest.body, Ticks)
        batch = newest.body.batch
        prices = [
            Price(
                pair=pair,
                price=price,
                volume_24h=None,
                market_cap=None,
                observed_at=at,
                received_at=at,
                valid_until=at,
                source=batch.source,
                seq=newest.seq,
            )
            for pair, price, at in zip(
                batch.names(), batch.price.tolist(), batch.observed_at.tolist(), strict=True
            )
        ]
        step = Step(cursor=Cursor(self.journal.id, newest.seq, newest.at), prices=prices)
        await self.store.run(lambda tx: tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor()))

    def rounds(self) -> list[int]:
        """When prices were asked for."""
        return [request.at for request in self.fake.requests if "market_chart" not in request.path]

    def charts(self) -> list[tuple[str, int]]:
        """Coin and days of each chart that was asked for."""
        asked = [request for request in self.fake.requests if "market_chart" in request.path]
        return [(request.path.split("/")[-2], int(request.query["days"])) for request in asked]

    async def fills(self) -> list[Fill]:
        return [record.body for record in await all_records(self.journal) if isinstance(record.body, Fill)]


async def _forever(job: Awaitable[None]) -> None:
    await job
    await asyncio.Event().wait()


def at_desk(folder: Path, main: Callable[[Desk], Awaitable[None]], *, per_minute: int | None = None) -> None:
    async def run() -> None:
        clock, around = VirtualClock(), Around()
        async with (
            opened(folder, clock, around) as (store, journal),
            FakeCoinGecko(MARKET, clock=clock.now, per_minute=per_minute) as fake,
        ):
            await main(Desk(fake, store, Reading(journal), clock, around))

    virtual_time.run(run, socket_wait=0.0005)


def on(pair: str, *args: int | float, name: str = "sma") -> Looks:
    return [(Call(name, args), [pair])]


def test_what_was_not_watched_is_asked_for_pair_by_pair_finest_first(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await asyncio.sleep(11 * MINUTE)
        await desk.live(8 * MINUTE)
        fills = await desk.fills()
        assert desk.charts() == [(coin, 1) for coin in NAMES] + [(coin, 90) for coin in NAMES]
        assert [(fill.batch.pairs, fill.interval) for fill in fills] == [
            *(((f"{coin}/usd",), 300_000) for coin in NAMES),
            *(((f"{coin}/usd",), 3_600_000) for coin in NAMES),
        ]
        assert [len(fill.batch) in (287, 288) for fill in fills[:COINS]] == [True] * COINS
        assert [len(fill.batch) for fill in fills[COINS:]] == [2160] * COINS
        for fill in fills:
            place = NAMES.index(fill.batch.pairs[0].partition("/")[0])
            assert np.array_equal(fill.batch.price, MARKET.chart(place, fill.batch.observed_at))
            assert fill.batch.valid_for == 2 * fill.interval
        assert desk.words == [""]

    at_desk(tmp_path, main)


def test_what_rules_look_at_comes_first_and_as_deep_as_they_look(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        last = NAMES[-1]
        await desk.live(4 * MINUTE, looks=on(f"{last}/usd", 200, 86_400_000))
        assert desk.charts()[:3] == [(last, 1), (last, 90), (last, 365)]
        assert desk.charts()[3] == (NAMES[0], 1)
        (daily,) = [fill for fill in await desk.fills() if fill.interval == DAY_MS]
        assert len(daily.batch) == 365

    at_desk(tmp_path, main)


def test_a_rule_on_all_takes_every_pair_the_largest_first(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(12 * MINUTE, looks=[(Call("high", (30 * DAY_MS,)), None)], terms=Terms(all_pairs=False))
        assert desk.charts() == [(coin, 1) for coin in NAMES] + [(coin, 90) for coin in NAMES]

    at_desk(tmp_path, main)


def test_pairs_that_no_rule_looks_at_may_be_left_out(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(
            10 * MINUTE, looks=on("bitcoin/usd", 3_600_000, name="change"), terms=Terms(all_pairs=False)
        )
        assert desk.charts() == [("bitcoin", 1)]

    at_desk(tmp_path, main)


WRONGS = ("hang", "server_error", "switched_off", "nested")


@pytest.mark.parametrize("wrong", ["", *WRONGS])
def test_rounds_begin_when_they_would_without_history(tmp_path: Path, wrong: str) -> None:
    begun: list[list[int]] = []
    for terms in (None, Terms(share=1.0)):
        folder = tmp_path / str(terms is None)
        folder.mkdir()

        async def main(desk: Desk, terms: Terms | None = terms) -> None:
            if wrong:
                desk.fake.misbehave(Misbehaviour(kind=wrong, only="/coins/bitcoin"))
                desk.fake.misbehave(Misbehaviour(kind=wrong, only="/coins/ethereum"))
            await desk.live(8 * MINUTE, terms=terms, every="17s")
            begun.append(desk.rounds())
            assert bool(desk.charts()) is (terms is not None)

        at_desk(tmp_path / folder, main)
    without, with_ = begun
    assert len(with_) == len(without) > 25
    assert max(abs(a - b) for a, b in zip(without, with_, strict=True)) <= 20


def test_no_minute_has_more_calls_than_allowed(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(6 * MINUTE, terms=Terms(share=1.0))
        times = [request.at for request in desk.fake.requests]
        assert all(later - first >= 60_000 for first, later in zip(times, times[5:], strict=False))
        assert len(desk.charts()) == 2 * COINS

    at_desk(tmp_path, main, per_minute=5)


def test_a_source_whose_rounds_take_all_calls_is_asked_for_nothing_else(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(10 * MINUTE, per_minute=2, every="30s")
        assert desk.charts() == []
        assert "leave no calls over" in desk.words[0]

    at_desk(tmp_path, main)


def test_credits_of_the_month_that_rounds_need_are_left_to_them(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        demo: dict[str, Any] = {"plan": "demo", "key_variable": "KEY", "per_month": 10_000}
        await desk.live(4 * MINUTE, **demo)
        assert desk.charts() == []
        assert "credits" in desk.words[0]
        await desk.live(4 * MINUTE, **demo, terms=Terms(credits=3))
        assert len(desk.charts()) == 3
        await desk.live(4 * MINUTE, **demo, terms=Terms(credits=3))
        assert len(desk.charts()) == 3
        await desk.live(4 * MINUTE, **demo, every="600s")
        assert len(desk.charts()) > 3

    at_desk(tmp_path, main)


def test_a_restart_does_not_ask_again(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(3 * MINUTE)
        before = desk.charts()
        for _ in range(3):
            await desk.live(3 * MINUTE)
        await desk.live(8 * MINUTE)
        assert len(before) > 2
        assert sorted(desk.charts()) == sorted((coin, days) for coin in NAMES for days in (1, 90))
        assert len(await desk.fills()) == 2 * COINS

    at_desk(tmp_path, main)


def test_what_watchers_keep_in_another_form_is_asked_for_again(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(8 * MINUTE)
        await desk.live(8 * MINUTE, schema=2)
        assert len(desk.charts()) == 4 * COINS

    at_desk(tmp_path, main)


def test_an_outage_is_filled_once_with_the_chart_that_reaches_back(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        await desk.live(8 * MINUTE)
        known = len(desk.charts())
        await asyncio.sleep(2 * HOUR)
        await desk.live(8 * MINUTE)
        assert desk.charts()[known:] == [(coin, 1) for coin in NAMES]
        known = len(desk.charts())
        await asyncio.sleep(50 * HOUR)
        await desk.live(8 * MINUTE)
        assert desk.charts()[known:] == [(coin, days) for days in (1, 90) for coin in NAMES]
        await desk.live(8 * MINUTE)
        assert len(desk.charts()) == known + 2 * COINS

    at_desk(tmp_path, main)


def test_an_outage_of_the_source_is_filled_too_and_what_rules_look_at_first(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        last = NAMES[-1]
        looks = on(f"{last}/usd", 3_600_000, name="change")
        await desk.live(8 * MINUTE, looks=looks)
        known = len(desk.charts())

        async def outage() -> None:
            await asyncio.sleep(2 * MINUTE)
            desk.fake.misbehave(Misbehaviour(kind="server_error"))
            await asyncio.sleep(40 * MINUTE)
            desk.fake.behave()

        await desk.live(80 * MINUTE, looks=looks, meanwhile=outage)
        after = desk.charts()[known:]
        assert after[0] == (last, 1)
        assert sorted(after) == sorted((coin, 1) for coin in NAMES)

    at_desk(tmp_path, main)


SOUND = (
    "chart_nulls", "chart_zeros", "chart_text", "chart_spike", "chart_unsorted", "chart_twice", "chart_holes",
    "chart_ahead", "chart_pairs",
)  # fmt: skip


@pytest.mark.parametrize("kind", SOUND)
def test_only_sound_points_reach_the_journal(tmp_path: Path, kind: str) -> None:
    async def main(desk: Desk) -> None:
        desk.fake.misbehave(Misbehaviour(kind=kind))
        await desk.live(7 * MINUTE)
        fills = await desk.fills()
        assert len(fills) >= COINS
        ahead = DAY_MS if kind == "chart_ahead" else 0
        for fill in fills:
            times = fill.batch.observed_at
            place = NAMES.index(fill.batch.pairs[0].partition("/")[0])
            assert np.all(np.diff(times) > 0)
            assert times[-1] < desk.clock.now()
            assert np.array_equal(fill.batch.price, MARKET.chart(place, times - ahead))
        assert min(len(fill.batch) for fill in fills) > 100

    at_desk(tmp_path, main)


@pytest.mark.parametrize("kind", ["chart_empty", "chart_scale"])
def test_a_chart_without_anything_to_believe_is_asked_for_once_and_leaves_no_record(
    tmp_path: Path, kind: str
) -> None:
    async def main(desk: Desk) -> None:
        desk.fake.misbehave(Misbehaviour(kind=kind))
        await desk.live(8 * MINUTE)
        assert len(desk.charts()) == 2 * COINS
        assert [fill.interval for fill in await desk.fills()] == []

    at_desk(tmp_path, main)


def test_a_coin_without_history_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        desk.fake.misbehave(Misbehaviour(kind="unprocessable", only="/coins/bitcoin"))
        desk.fake.misbehave(Misbehaviour(kind="server_error", only="/coins/ethereum"))
        await desk.live(HOUR)
        filled = {fill.batch.pairs[0] for fill in await desk.fills()}
        assert filled == {f"{coin}/usd" for coin in NAMES} - {"bitcoin/usd", "ethereum/usd"}
        asked = [coin for coin, _ in desk.charts()]
        assert asked.count("bitcoin") == 1
        assert 3 <= asked.count("ethereum") <= 6

    at_desk(tmp_path, main)


def test_a_plan_that_does_not_reach_so_far_gives_what_it_has(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        wrong = Misbehaviour(kind="bad_key", value=10012, only="/coins/bitcoin/market_chart", times=1)
        await desk.live(2 * MINUTE, terms=Terms(all_pairs=False), looks=on("bitcoin/usd", 5, 300_000))
        assert desk.charts() == [("bitcoin", 1)]
        desk.fake.misbehave(wrong)
        await desk.live(10 * MINUTE)
        charts = desk.charts()[1:]
        assert charts.count(("bitcoin", 90)) <= 1
        assert {(coin, 1) for coin in NAMES[1:]} <= set(charts)

    at_desk(tmp_path, main)


def test_a_limit_that_is_hit_is_waited_out_by_everybody(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        desk.fake.misbehave(Misbehaviour(kind="rate_limited_seconds", value=200, only="/coins/bitcoin", times=1))
        await desk.live(15 * MINUTE)
        times = [request.at for request in desk.fake.requests]
        refused = next(request.at for request in desk.fake.requests if "bitcoin/market" in request.path)
        assert min(at for at in times if at > refused) >= refused + 200_000
        assert len(desk.charts()) > 5

    at_desk(tmp_path, main)


def test_a_crash_before_the_note_asks_once_more_and_the_rest_goes_on(tmp_path: Path) -> None:
    async def main(desk: Desk) -> None:
        async def dies() -> None:
            while not await desk.fills():  # noqa: ASYNC110  it is the journal that is waited for
                await asyncio.sleep(0.01)
            desk.around.before = crash

        async def crash() -> None:
            raise Unavailable("the disk is full", reason="disk_full")

        with pytest.raises(Unavailable):
            await desk.live(10 * MINUTE, meanwhile=dies)
        desk.around.before = nothing
        await desk.live(20 * MINUTE)
        asked = [(coin, days) for coin in NAMES for days in (1, 90)]
        assert sorted(desk.charts()) == sorted([*asked, (NAMES[0], 1)])
        assert len(await desk.fills()) == 2 * COINS + 1

    at_desk(tmp_path, main)
