"""`cryptowatcher rules why`, over the files that a watcher left or is writing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import msgspec
import pytest

from cryptowatcher import app as program
from cryptowatcher.config import load
from cryptowatcher.domain.records import Draft, Ticks
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.pipeline.watch import Watch
from tests.cli.terminal import MINUTE, START, Terminal, something
from tests.pipeline.inline import Hands


def watched(when: str, prices: Sequence[float], *, pairs: Sequence[str] = ("bitcoin/usd",)) -> None:
    """A watcher has followed these prices, a minute apart, with a rule of the name `mine`."""
    spec = msgspec.convert({"name": "mine", "pairs": pairs, "when": when}, RuleSpec)

    async def work() -> None:
        config, clock = load(None, {}), Hands(START)
        async with program.open_store(config) as store, program.open_journal(config, clock=clock) as journal:
            await store.run(lambda tx: tx.save_rule(LOCAL_OWNER, spec, head=0, now=START))
            watch = Watch(journal, store, clock, channels=())
            await watch.recover()
            for number, price in enumerate(prices, 1):
                clock.pass_by(MINUTE / 1000)
                batch = one_instant({"bitcoin/usd": price}, observed_at=clock.wall, source="coingecko")
                await journal.append([Draft("w", number, Ticks(batch))])
            while await watch.advance():
                pass
            await watch.close()

    asyncio.run(work())


def test_it_says_what_is_missing_and_shows_the_numbers(terminal: Terminal) -> None:
    watched("price > 2 * sma(2, 1m)", [60_000, 61_000, 62_000])
    result = terminal.run("rules", "why", "mine")
    assert result.exit_code == 0
    says, _, head, comparison, price, average = result.stdout.splitlines()
    assert says.startswith(
        "It has not fired because the price is 62,000 and must rise above 2 * sma(2, 1m), now 123,000,"
    )
    assert head.split()[:3] == ["Comparison", "Now", "Against"]
    assert comparison.split()[-6:] == ["62,000", "123,000", "61,000", "or", "98.4%", "fails"]
    assert (price.split(), average.split()) == (["price", "62,000"], ["sma(2,", "1m)", "61,500"])
    assert "ago" in result.stderr, "the watcher is long gone"


def test_programs_get_what_the_api_gives(terminal: Terminal) -> None:
    watched("price >= 70000", [60_000, 71_000], pairs=["all"])
    result = terminal.run("rules", "why", "mine", "--pair", "bitcoin", "--json")
    answer = json.loads(result.stdout)
    assert (answer["state"], answer["met"], answer["since_ms"]) == ("inside", "fired", START + 2 * MINUTE)
    assert answer["parts"][0]["rearm"] == 69_930.0
    assert answer["says"].startswith("It fired at 2024-08-05 06:17:00 UTC.")


def test_of_several_pairs_one_must_be_named(terminal: Terminal) -> None:
    watched("price >= 70000", [60_000], pairs=["bitcoin/usd", "ethereum/usd"])
    result = terminal.run("rules", "why", "mine")
    assert result.exit_code == 2
    assert "--pair" in result.stderr
    assert "ethereum/usd" in result.stderr
    other = terminal.run("rules", "why", "mine", "--pair", "ethereum")
    assert "ethereum/usd was never observed" in other.stdout


def test_a_rule_that_is_not_there_is_not_ok(terminal: Terminal) -> None:
    watched("price >= 70000", [60_000])
    result = terminal.run("rules", "why", "nope")
    assert result.exit_code == 1
    assert "'nope'" in result.stderr


@pytest.mark.parametrize("stored", [False, True])
def test_before_the_first_run_there_is_nothing_to_say(terminal: Terminal, stored: bool) -> None:
    if stored:
        terminal.store(something())  # rules were added, and no journal was ever written
    result = terminal.run("rules", "why", "btc drops")
    assert result.exit_code == 1
    assert "cryptowatcher run" in result.stderr


def test_it_works_while_the_watcher_writes(terminal: Terminal) -> None:
    """A writer has both files open, and a transaction under way that is not committed."""
    watched("price >= 70000", [60_000])

    async def beside() -> str:
        config = load(None, {})
        async with program.open_store(config) as store, program.open_journal(config) as journal:
            await journal.append([Draft("w", 9, Ticks(one_instant({"bitcoin/usd": 1.0}, observed_at=START)))])
            await store.run(lambda tx: tx.new_epoch("watch"))
            result = await asyncio.to_thread(terminal.run, "rules", "why", "mine")
            assert result.exit_code == 0
            return result.stdout

    assert "the price is 60,000" in asyncio.run(beside())
