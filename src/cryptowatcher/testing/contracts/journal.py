"""What every journal promises, one test a sentence. A test class joins by saying how to open one.

class TestPaperJournal(JournalContract):
    def opening(self, clock): return open_paper_journal(self.folder, clock=clock)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

from cryptowatcher.domain.records import Beat, Draft, Held, Record, Ticks
from cryptowatcher.domain.ticks import TickBatch, one_instant
from cryptowatcher.ports import Clock, Journal, Trimmed


class SetClock:
    """Says what it was told; its wall time may be `ahead` (ms) of the steady one."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.time = now
        self.ahead = 0

    def now(self) -> int:
        return self.time + self.ahead

    def monotonic(self) -> float:
        return self.time / 1000


def beats(first: int, last: int, writer: str = "w") -> list[Draft]:
    """Drafts with the numbers first … last."""
    return [Draft(writer, number, Beat()) for number in range(first, last + 1)]


def random_batch(rows: int, seed: int = 1) -> TickBatch:
    """Prices without any pattern: a block that hardly compresses."""
    values = np.random.default_rng(seed).random((3, rows))
    prices = {f"coin-{n}/usd": float(price) for n, price in enumerate(values[0])}
    return one_instant(prices, observed_at=1, volume=values[1].tolist(), market_cap=values[2].tolist())


class JournalContract:
    """Subclasses say how to open the journal of one test; opening it again opens the same log."""

    def opening(self, clock: Clock) -> AbstractAsyncContextManager[Journal]:
        raise NotImplementedError

    def with_journal(self, test: Callable[[Journal], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with self.opening(SetClock()) as journal:
                await asyncio.wait_for(test(journal), 30)

        asyncio.run(main())

    def test_a_new_journal_is_empty(self) -> None:
        async def test(journal: Journal) -> None:
            assert await journal.head() == 0
            assert list(await journal.read(0)) == []
            assert await journal.last_number("w") == 0
            assert await journal.seek(1) == 0

        self.with_journal(test)

    def test_sequence_numbers_are_dense_and_start_at_1(self) -> None:
        async def test(journal: Journal) -> None:
            assert await journal.append(beats(1, 3)) == 3
            assert await journal.append(beats(4, 4)) == 4
            assert [record.seq for record in await journal.read(0)] == [1, 2, 3, 4]
            assert await journal.head() == 4

        self.with_journal(test)

    def test_appending_nothing_returns_the_head(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 2))
            assert await journal.append([]) == 2

        self.with_journal(test)

    def test_what_is_read_is_what_was_appended(self) -> None:
        async def test(journal: Journal) -> None:
            batch = random_batch(7)
            await journal.append([Draft("w", 1, Ticks(batch)), Draft("v", 9, Held(batch, "jump"))])
            first, second = await journal.read(0)
            assert (first.writer, first.number, second.writer, second.number) == ("w", 1, "v", 9)
            assert isinstance(first.body, Ticks)
            assert isinstance(second.body, Held)
            assert second.body.reason == "jump"
            assert first.body.batch.pairs == batch.pairs
            assert first.body.batch.price.tobytes() == batch.price.tobytes()

        self.with_journal(test)

    def test_what_was_appended_stands_after_opening_again(self) -> None:
        async def main() -> None:
            async with self.opening(SetClock()) as journal:
                await journal.append([*beats(1, 2), Draft("v", 7, Ticks(random_batch(5)))])
                identity = journal.id
            async with self.opening(SetClock()) as journal:
                assert journal.id == identity
                assert await journal.head() == 3
                assert [record.number for record in await journal.read(0)] == [1, 2, 7]
                assert await journal.last_number("v") == 7

        asyncio.run(main())

    def test_time_is_the_clock_and_never_decreases(self) -> None:
        async def main() -> None:
            clock = SetClock(1000)
            async with self.opening(clock) as journal:
                for number, now in enumerate((1000, 1500, 400, 1501), 1):
                    clock.time = now
                    await journal.append(beats(number, number))
                assert [record.at for record in await journal.read(0)] == [1000, 1500, 1500, 1501]

        asyncio.run(main())

    async def append_with(self, clock: SetClock, *ahead: int) -> list[int]:
        """A beat a second on a clock that is so many ms ahead, in one life; the times of all records."""
        async with self.opening(clock) as journal:
            first = await journal.head() + 1
            for number, clock.ahead in enumerate(ahead, first):
                clock.time += 1_000
                await journal.append(beats(number, number))
            return [record.at for record in await journal.read(0)]

    def test_time_stands_still_until_a_clock_that_was_an_hour_ahead_has_caught_up(self) -> None:
        hour = 3_600_000
        first, *rest = asyncio.run(self.append_with(SetClock(), 0, hour, 0, 0))
        assert rest == [first + 1_000 + hour] * 3

    def test_time_goes_on_from_where_a_clock_that_was_a_year_ahead_has_left_it(self) -> None:
        clock, year = SetClock(), 365 * 24 * 3_600_000
        asyncio.run(self.append_with(clock, 0, year, 0, 0))
        first, *rest = asyncio.run(self.append_with(clock, 0, 0))
        # The steady clock of another life begins anew.
        assert [at - first - year for at in rest] == [1_000, 2_000, 3_000, 3_000, 4_000]

    def test_time_does_not_decrease_after_everything_was_trimmed(self) -> None:
        async def main() -> None:
            async with self.opening(SetClock(5000)) as journal:
                await journal.append(beats(1, 2))
                await journal.trim(2)
            async with self.opening(SetClock(10)) as journal:
                await journal.append(beats(3, 3))
                assert [(record.seq, record.at) for record in await journal.read(2)] == [(3, 5000)]

        asyncio.run(main())

    def test_a_repeated_draft_is_ignored(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 3))
            assert await journal.append(beats(2, 4)) == 4
            assert await journal.append(beats(1, 2, writer="v")) == 6
            wanted = [("w", 1), ("w", 2), ("w", 3), ("w", 4), ("v", 1), ("v", 2)]
            assert [(record.writer, record.number) for record in await journal.read(0)] == wanted
            assert await journal.last_number("w") == 4

        self.with_journal(test)

    def test_a_draft_repeated_within_one_append_is_ignored(self) -> None:
        async def test(journal: Journal) -> None:
            assert await journal.append([*beats(5, 5), *beats(5, 5), *beats(4, 4)]) == 1

        self.with_journal(test)

    def test_numbers_are_remembered_when_their_records_are_trimmed(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 3))
            await journal.trim(3)
            assert await journal.append(beats(1, 3)) == 3
            assert await journal.last_number("w") == 3

        self.with_journal(test)

    def test_an_append_is_all_or_nothing(self) -> None:
        async def test(journal: Journal) -> None:
            with pytest.raises(ValueError, match="split"):
                await journal.append([*beats(1, 1), Draft("w", 2, Ticks(random_batch(60_000)))])
            assert await journal.head() == 0
            assert await journal.append(beats(1, 1)) == 1

        self.with_journal(test)

    def test_an_append_that_fails_does_not_touch_those_beside_it(self) -> None:
        async def test(journal: Journal) -> None:
            too_long = [Draft("bad", 1, Ticks(random_batch(60_000)))]
            parts = [beats(1, 2, "a"), too_long, beats(1, 2, "b")]
            results = await asyncio.gather(*map(journal.append, parts), return_exceptions=True)
            assert [type(result) for result in results] == [int, ValueError, int]
            assert [record.writer for record in await journal.read(0)] == ["a", "a", "b", "b"]

        self.with_journal(test)

    def test_concurrent_appends_are_never_interleaved(self) -> None:
        async def test(journal: Journal) -> None:
            heads = await asyncio.gather(*(journal.append(beats(1, 5, writer=f"w{n}")) for n in range(20)))
            assert sorted(heads) == [5 * n for n in range(1, 21)]
            records = list(await journal.read(0))
            for first in range(0, 100, 5):
                assert len({record.writer for record in records[first : first + 5]}) == 1

        self.with_journal(test)

    def test_read_gives_at_most_limit_records_in_order(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 10))
            assert [record.seq for record in await journal.read(3, limit=4)] == [4, 5, 6, 7]
            assert list(await journal.read(10)) == []
            assert list(await journal.read(99)) == []

        self.with_journal(test)

    def test_read_raises_trimmed_and_says_where_the_journal_begins(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 10))
            await journal.trim(6)
            with pytest.raises(Trimmed) as caught:
                await journal.read(5)
            assert caught.value.oldest == 7
            assert [record.seq for record in await journal.read(6)] == [7, 8, 9, 10]

        self.with_journal(test)

    def test_the_head_stays_known_when_all_is_trimmed(self) -> None:
        async def main() -> None:
            async with self.opening(SetClock()) as journal:
                await journal.append(beats(1, 5))
                await journal.trim(99)
                assert await journal.head() == 5
                assert list(await journal.read(5)) == []
            async with self.opening(SetClock()) as journal:
                assert await journal.head() == 5
                assert await journal.append(beats(6, 6)) == 6

        asyncio.run(main())

    def test_trimming_again_or_less_changes_nothing(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 9))
            await journal.trim(4)
            await journal.trim(2)
            await journal.trim(4)
            assert [record.seq for record in await journal.read(4)] == [5, 6, 7, 8, 9]

        self.with_journal(test)

    def test_trim_says_how_many_went(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 9))
            assert [await journal.trim(upto) for upto in (4, 2, 4, 99, 99)] == [4, 0, 0, 5, 0]

        self.with_journal(test)

    def test_a_journal_that_fits_need_not_be_trimmed(self) -> None:
        async def test(journal: Journal) -> None:
            assert await journal.fit(1_000_000) == 0
            await journal.append(beats(1, 9))
            assert await journal.fit(1_000_000) == 0

        self.with_journal(test)

    def test_a_journal_that_is_too_large_is_trimmed_until_it_fits_and_not_much_more(self) -> None:
        async def test(journal: Journal) -> None:
            for number in range(1, 41):
                await journal.append([Draft("w", number, Ticks(random_batch(2_000, seed=number)))])
            while upto := await journal.fit(1_000_000):
                assert await journal.trim(upto) > 0
            with pytest.raises(Trimmed) as caught:
                await journal.read(0)
            assert 10 < 41 - caught.value.oldest < 35  # of about 35 KB each
            await journal.append([Draft("w", 41, Ticks(random_batch(20_000, seed=41)))])
            assert await journal.fit(1_000_000) > 0

        self.with_journal(test)

    def test_wait_returns_at_once_when_there_is_something(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 2))
            await journal.wait(0)
            await journal.wait(1)

        self.with_journal(test)

    def test_wait_returns_when_something_is_appended(self) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(beats(1, 1))
            waiting = asyncio.create_task(_until_beyond(journal, 1))
            await asyncio.sleep(0)
            assert not waiting.done()
            await journal.append(beats(2, 2))
            await waiting

        self.with_journal(test)

    def test_wait_never_misses_an_append(self) -> None:
        async def test(journal: Journal) -> None:
            async def follow() -> list[int]:
                seen: list[int] = []
                while len(seen) < 60:
                    await journal.wait(len(seen))
                    seen += [record.seq for record in await journal.read(len(seen), limit=7)]
                return seen

            followers = [asyncio.create_task(follow()) for _ in range(3)]
            for number in range(1, 61):
                await journal.append(beats(number, number))
            assert await asyncio.gather(*followers) == [list(range(1, 61))] * 3

        self.with_journal(test)

    def test_seek_gives_the_last_position_before_a_time(self) -> None:
        async def main() -> None:
            clock = SetClock()
            times = sorted(random.Random(3).choices(range(100, 140), k=50))
            async with self.opening(clock) as journal:
                for number, clock.time in enumerate(times, 1):
                    await journal.append(beats(number, number))
                for at in (0, 100, *range(105, 141), 1000):
                    assert await journal.seek(at) == sum(time < at for time in times)
                await journal.trim(20)
                assert await journal.seek(times[30]) == times.index(times[30])

        asyncio.run(main())

    def test_a_renewed_journal_has_another_id_and_keeps_its_records(self) -> None:
        async def main() -> None:
            async with self.opening(SetClock()) as journal:
                await journal.append(beats(1, 2))
                old = journal.id
                await journal.renew()
                new = journal.id
                assert new != old
            async with self.opening(SetClock()) as journal:
                assert (journal.id, await journal.head()) == (new, 2)

        asyncio.run(main())

    def test_records_are_the_same_however_they_are_read(self) -> None:
        async def main() -> None:
            async with self.opening(SetClock()) as journal:
                for number in range(1, 21):
                    await journal.append([Draft("w", number, Ticks(random_batch(number, seed=number)))])
                fresh = await _all(journal, limit=3)
            async with self.opening(SetClock()) as journal:
                again = await _all(journal, limit=1000)
            assert [_plain(record) for record in fresh] == [_plain(record) for record in again]

        asyncio.run(main())


async def _until_beyond(journal: Journal, seq: int) -> None:
    while await journal.head() <= seq:  # wait may return early
        await journal.wait(seq)


async def _all(journal: Journal, limit: int) -> list[Record]:
    records: list[Record] = []
    more: Sequence[Record] = await journal.read(0, limit=limit)
    while more:
        records += more
        more = await journal.read(records[-1].seq, limit=limit)
    return records


def _plain(record: Record) -> tuple[object, ...]:
    assert isinstance(record.body, Ticks)
    batch = record.body.batch
    columns = (batch.pair, batch.price, batch.volume, batch.market_cap, batch.observed_at, batch.starts)
    return (record.seq, record.at, record.writer, record.number, batch.pairs, *(c.tobytes() for c in columns))
