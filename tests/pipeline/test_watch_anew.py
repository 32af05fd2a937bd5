"""The journal was restored or recreated: rules begin after what it holds, and keep what they must not forget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from cryptowatcher.domain.records import Gap
from cryptowatcher.ports import Cursor, Journal
from tests.pipeline.desk import Desk, at_a_desk, to_the_head
from tests.pipeline.inline import all_records, nothing
from tests.pipeline.lives import Killed


async def one_alert(desk: Desk) -> None:
    """A rule has fired at the third record."""
    await desk.price(90, 91, 110, 90)
    await desk.caught_up()
    assert await desk.alerts() == [3]


async def gaps(journal: Journal) -> list[int]:
    return [record.seq for record in await all_records(journal) if isinstance(record.body, Gap)]


def begun_anew(
    folder: Path, before: Callable[[Desk], Awaitable[None]], after: Callable[[Desk], Awaitable[None]]
) -> None:
    """`before` with one journal, `after` with another that holds two crossings of 100 already."""

    async def restored(desk: Desk) -> None:
        desk.clock.pass_by(3600)
        await desk.price(90, 110, 90, 110, 90)
        await after(desk)

    at_a_desk(folder, before)
    at_a_desk(folder, restored, journal_file="another.db")


def test_rules_do_not_fire_on_what_another_journal_holds_already(tmp_path: Path) -> None:
    async def before(desk: Desk) -> None:
        await desk.rule()
        await one_alert(desk)

    async def after(desk: Desk) -> None:
        watch = await desk.watch()
        assert await gaps(desk.journal) == [6]
        await desk.price(110)  # the first observation only arms
        await to_the_head(watch)
        assert await desk.alerts() == [3]
        await desk.price(90, 110)
        await to_the_head(watch)
        assert await desk.alerts() == [3, 9]
        assert await gaps(desk.journal) == [6]

    begun_anew(tmp_path, before, after)


def test_another_journal_fills_the_windows(tmp_path: Path) -> None:
    async def before(desk: Desk) -> None:
        await desk.rule("change(3m) >= 20%")
        await desk.price(90)
        await desk.caught_up()

    async def after(desk: Desk) -> None:
        watch = await desk.watch()
        await desk.price(90, 90, 130)
        await to_the_head(watch)
        assert await desk.alerts() == [9]

    begun_anew(tmp_path, before, after)


@pytest.mark.parametrize("kept", [True, False], ids=["checkpoint", "no checkpoint"])
def test_what_is_done_stays_done_in_another_journal(tmp_path: Path, kept: bool) -> None:
    async def before(desk: Desk) -> None:
        await desk.rule("price >= 105", repeat="once")
        await desk.rule(repeat="once")  # another version
        await one_alert(desk)

    async def after(desk: Desk) -> None:
        watch = await desk.watch()
        if kept:
            await watch.close()
        for _ in range(2):
            watch = await desk.watch()
            await desk.price(110, 90, 110, 90)
            await to_the_head(watch)
            assert await desk.alerts() == [3]

    begun_anew(tmp_path, before, after)


@pytest.mark.parametrize("kept", [True, False], ids=["checkpoint", "no checkpoint"])
def test_cooldown_goes_on_in_another_journal(tmp_path: Path, kept: bool) -> None:
    async def before(desk: Desk) -> None:
        await desk.rule("price >= 105", cooldown="2d")
        await desk.rule(cooldown="2d")
        await one_alert(desk)

    async def after(desk: Desk) -> None:
        watch = await desk.watch()
        if kept:
            await watch.close()
        for _ in range(2):
            watch = await desk.watch()
            await desk.price(90, 110, 90)
            await to_the_head(watch)
            assert await desk.alerts() == [3]
        desk.clock.pass_by(3 * 86_400)
        await desk.price(90, 110)
        await desk.caught_up()
        assert len(await desk.alerts()) == 2

    begun_anew(tmp_path, before, after)


def test_a_kill_while_another_journal_is_begun_changes_nothing(tmp_path: Path) -> None:
    async def before(desk: Desk) -> None:
        await desk.rule()
        await one_alert(desk)

    async def after(desk: Desk) -> None:
        for transactions in range(4):
            left = list(range(transactions))

            async def die(left: list[int] = left) -> None:
                if not left:
                    raise Killed
                left.pop()

            desk.around.before = die
            with pytest.raises(Killed):
                await desk.watch()
            desk.around.before = nothing
            await desk.price(110, 90)
        watch = await desk.watch()
        await to_the_head(watch)
        assert await desk.alerts() == [3]
        await desk.price(90, 110)
        await to_the_head(watch)
        assert len(await desk.alerts()) == 2

    begun_anew(tmp_path, before, after)


def test_an_older_copy_of_the_journal_gets_a_new_id_and_a_gap(tmp_path: Path) -> None:
    async def whole(desk: Desk) -> None:
        await desk.rule()
        await desk.price(90, 91)
        copy(tmp_path / "journal.db", tmp_path / "older.db")
        await desk.price(110, 90)
        await desk.caught_up()

    async def older(desk: Desk) -> None:
        desk.clock.pass_by(3600)
        before = desk.journal.id
        watch = await desk.watch()
        cursor = await desk.cursor()
        assert desk.journal.id != before
        assert cursor == Cursor(desk.journal.id, 3, desk.clock.wall)
        assert await gaps(desk.journal) == [3]
        await desk.price(90, 111)
        await to_the_head(watch)
        assert sorted(await desk.alerts()) == [3, 5]
        assert await gaps(desk.journal) == [3]

    at_a_desk(tmp_path, whole)
    at_a_desk(tmp_path, older, journal_file="older.db")


def copy(file: Path, to: Path) -> None:
    """A backup of a database that is in use."""
    source, target = apsw.Connection(str(file)), apsw.Connection(str(to))
    with target.backup("main", source, "main") as backup:
        backup.step()
    target.close()
    source.close()
