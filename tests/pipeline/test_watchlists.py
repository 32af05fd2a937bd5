"""A list that changes counts from a position, over restarts; lists of the file are those of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from cryptowatcher.configured import sync_rules
from cryptowatcher.domain.records import Ticks
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.ticks import one_instant
from cryptowatcher.ports import Tx
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.inline import Hands, put
from tests.pipeline.lives import OWNER

A, B = "a/usd", "b/usd"
MINE = "list(mine)"
RULE = RuleSpec(name="moves", pairs=(MINE,), when="price >= 100")


async def on_mine(desk: Desk, *pairs: str) -> None:
    head = await desk.journal.head()
    await desk.store.run(lambda tx: tx.save_watchlist(OWNER, "mine", pairs, head=head, now=desk.clock.wall))


async def see(desk: Desk, price: float, *pairs: str) -> None:
    """A record for each pair, a minute later."""
    for pair in pairs:
        desk.clock.pass_by(60)
        await put(desk.journal, Ticks(one_instant({pair: price}, observed_at=desk.clock.wall)))


async def fired(desk: Desk) -> list[tuple[str, int]]:
    """Pair and position of all alerts, oldest first."""
    alerts = await desk.store.run(lambda tx: tx.alerts(OWNER, limit=99))
    return sorted(((alert.pair, alert.seq) for alert in alerts), key=lambda each: each[1])


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_other_pairs_count_from_where_they_were_taken_up_whoever_watches_then(
    tmp_path: Path, dies: bool, checkpoint: bool
) -> None:
    """The first watcher takes the change up at a position and ends or dies; the next must stand where it stood."""

    async def scenario(desk: Desk) -> None:
        await on_mine(desk, A)
        await desk.rule(pairs=[MINE])
        await see(desk, 90.0, A, B)
        first = await desk.watch()
        await to_the_head(first)
        await on_mine(desk, B)
        await see(desk, 110.0, A, B)
        await to_the_head(first)
        assert await fired(desk) == [], "A is not on the list any more, and B was not when it was seen below"
        if checkpoint:
            await first.checkpoint()
        if not dies:
            await first.close()
        await see(desk, 90.0, A, B)
        await see(desk, 110.0, A, B)
        await desk.caught_up()
        assert await fired(desk) == [(B, 8)]
        rows = await desk.store.run(lambda tx: tx.lifecycle())
        assert [(row.pair, row.state) for row in rows] == [(B, "inside")]

    at_a_desk(tmp_path, scenario)


async def start(desk: Desk, lists: Mapping[str, Sequence[str]], *rules: RuleSpec) -> None:
    """The program starts with this configuration."""
    await sync_rules(desk.store, desk.journal, rules, Hands(desk.clock.wall), lists=lists)


async def lists_of(desk: Desk) -> dict[str, tuple[tuple[str, ...], str]]:
    found = await desk.store.run(lambda tx: tx.watchlists(LOCAL_OWNER))
    return {each.name: (each.pairs, each.origin) for each in found}


def test_lists_of_the_file_are_those_of_the_file_at_each_start(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        def add_theirs(tx: Tx) -> None:
            tx.save_watchlist(LOCAL_OWNER, "theirs", (B,), head=0, now=0)
            tx.save_watchlist(LOCAL_OWNER, "mine", (B,), head=0, now=0, origin="config")

        await start(desk, {"mine": (A,), "more": ()}, RULE)
        await desk.store.run(add_theirs)
        assert await lists_of(desk) == {
            "mine": ((B,), "config"),
            "more": ((), "config"),
            "theirs": ((B,), "owner"),
        }
        await start(desk, {"mine": (A,)}, RULE)
        assert await lists_of(desk) == {"mine": ((A,), "config"), "theirs": ((B,), "owner")}
        changes = await desk.store.run(lambda tx: tx.rule_changes(0))
        assert [change.rule and change.rule.members for change in changes] == [(A,), (B,), (A,)]
        await start(desk, {"mine": (A,)}, RULE)
        assert len(await desk.store.run(lambda tx: tx.rule_changes(0))) == 3, "the same again changes nothing"
        await start(desk, {})
        assert await lists_of(desk) == {"theirs": ((B,), "owner")}

    at_a_desk(tmp_path, scenario)


def test_a_list_that_the_file_forgot_stays_while_the_owners_rules_are_on_it(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        mine = msgspec.structs.replace(RULE, name="my own")
        await start(desk, {"mine": (A,)})
        await desk.store.run(lambda tx: tx.save_rule(LOCAL_OWNER, mine, head=0, now=0))
        await start(desk, {})
        assert await lists_of(desk) == {"mine": ((A,), "owner")}
        (rule,) = await desk.store.run(lambda tx: tx.rules(LOCAL_OWNER))
        assert rule.members == (A,)

    at_a_desk(tmp_path, scenario)
