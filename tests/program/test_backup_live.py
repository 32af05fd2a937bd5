"""Backups of what is being written: whatever happens beside one, a start from it does what the original did."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections import deque
from functools import partial
from pathlib import Path
from random import Random

import httpx
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.backup.manifest import Backup, read_backup
from cryptowatcher.backup.restore import restore
from cryptowatcher.backup.take import take
from cryptowatcher.config import Config, resolve
from cryptowatcher.domain.records import Draft
from cryptowatcher.domain.watcher import CHECKPOINT_SCHEMA
from cryptowatcher.pipeline.watch import Watch
from cryptowatcher.ports import Journal, Store, Tx
from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.receiver import WebhookReceiver
from tests.domain.journals import Journey, examples, journey, journeys
from tests.pipeline.inline import Hands, opened, save_change
from tests.pipeline.lives import CHANNELS, OWNER, Outcome, kept, straight
from tests.processes import PATIENCE
from tests.program.test_run import free_port, running, shows, with_world


def config_of(folder: Path) -> Config:
    return resolve(None, {}, data_dir=folder).config


class Life:
    """One watcher and all that happens around it, an act at a time."""

    def __init__(self, store: Store, journal: Journal, clock: Hands, journey: Journey, random: Random) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._random = random
        self._watch = Watch(journal, store, clock, channels=CHANNELS)
        self._records = deque(journey.records)
        self._changes = deque(journey.changes)
        self._trims = 0

    async def begin(self) -> None:
        """Where the journal ends, and what it has already, was decided by who lived before."""
        await self._watch.recover()
        done = await self._journal.last_number("w")
        while self._records and self._records[0].number <= done:
            self._records.popleft()

    async def before_the_backup(self) -> None:
        """Rules are saved only here, and taken up: what is saved during a backup may count from elsewhere."""
        for _ in range(self._random.randint(0, 20)):
            await self._random.choice((self._append, self._save, self._advance, self._checkpoint, self._tidy))()
        await self._append()
        await self._advance()
        for _ in range(self._random.randint(0, 10)):
            await self.act()

    async def act(self) -> None:
        """Anything but a change of a rule."""
        await self._random.choice((self._append, self._append, self._advance, self._checkpoint, self._tidy))()

    async def to_the_end(self) -> Outcome:
        while self._records:
            await self._append()
            await self._watch.advance()
        await self._advance()
        await self._watch.close()
        return await kept(self._store)

    async def _append(self) -> None:
        for _ in range(self._random.randint(1, 3)):
            if self._records:
                record = self._records.popleft()
                self._clock.wall = record.at
                await self._journal.append([Draft(record.writer, record.number, record.body)])

    async def _save(self) -> None:
        if not self._changes:
            return
        change, head = self._changes.popleft(), await self._journal.head()
        await self._store.run(lambda tx: save_change(tx, OWNER, change, head=head))

    async def _advance(self) -> None:
        while await self._watch.advance():
            self._clock.steady += self._random.choice((0.0, 0.4, 1.5))

    async def _checkpoint(self) -> None:
        await self._watch.close()

    async def _tidy(self) -> None:
        """A new checkpoint, and all before it goes; not so often that no backup could succeed."""

        def needed(tx: Tx) -> int:
            cursor = tx.cursor()
            found = cursor and tx.checkpoint(cursor.journal, CHECKPOINT_SCHEMA, cursor.seq)
            return found[0].seq if found else 0

        if self._trims < 4:
            self._trims += 1
            await self._append()
            await self._advance()
            await self._checkpoint()
            await self._journal.trim(await self._store.run(needed))


async def lived(story: Journey, random: Random, folder: Path) -> tuple[Outcome, Outcome]:
    """What the original came to, and what a watcher came to that was started from a backup taken in between and
    saw the same records afterwards."""
    (folder / "data").mkdir()
    clock = Hands(story.records[0].at)
    async with opened(folder / "data", clock) as (store, journal):
        life = Life(store, journal, clock, story, random)
        await life.begin()
        await life.before_the_backup()
        loop = asyncio.get_running_loop()

        def beside(what: str, done: int, of: int) -> None:
            for _ in range(random.randint(0, 4)):
                asyncio.run_coroutine_threadsafe(life.act(), loop).result(PATIENCE)

        original = config_of(folder / "data")
        backup = await asyncio.to_thread(take, original, folder / "backups", clock=clock, progress=beside)
        theirs = await life.to_the_end()
    clock = Hands(story.records[0].at)
    await asyncio.to_thread(restore, config_of(folder / "new"), read_backup(backup.path), clock=clock)
    async with opened(folder / "new", clock) as (store, journal):
        life = Life(store, journal, clock, story, random)
        await life.begin()
        return theirs, await life.to_the_end()


@examples(15)
@given(story=journeys(rules=4), seed=st.integers(0, 2**48))
def test_whatever_happens_beside_a_backup_a_start_from_it_comes_to_the_same(story: Journey, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        theirs, restored = asyncio.run(lived(story, Random(seed), Path(folder)))
    for field in Outcome.__struct_fields__:
        assert getattr(restored, field) == getattr(theirs, field), field


def test_backups_under_write_load_are_what_the_journal_says(tmp_path: Path) -> None:
    """Threads, real commits, a watch that follows; each backup is recovered and held against one straight run."""
    story = journey(Random(5), records=2_000, rules=6, most_instants=2)

    async def writing(journal: Journal, clock: Hands) -> None:
        for record in story.records:
            clock.wall = record.at
            await journal.append([Draft(record.writer, record.number, record.body)])

    async def saved(store: Store) -> None:
        for change in story.changes[:6]:
            await store.run(partial(save_change, owner=OWNER, change=change, head=0))

    async def main() -> list[Backup]:
        data, clock = tmp_path / "data", Hands(story.records[0].at)
        data.mkdir()
        async with (
            open_sqlite_store(data / "store.db") as store,
            open_sqlite_journal(data / "journal.db", clock=clock) as journal,
        ):
            await saved(store)
            following = asyncio.create_task(Watch(journal, store, clock, channels=CHANNELS).run())
            load = asyncio.create_task(writing(journal, clock))
            backups = [
                await asyncio.to_thread(take, config_of(data), tmp_path / "backups", clock=Hands(number))
                for number in range(3)
            ]
            for task in (load, following):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return backups

    async def recovered(backup: Backup, place: Path) -> tuple[Outcome, Outcome]:
        clock = Hands(story.records[-1].at)
        await asyncio.to_thread(restore, config_of(place), backup, clock=clock)
        async with opened(place, clock) as (store, journal):
            life = Life(store, journal, clock, Journey((), ()), Random(1))
            await life.begin()
            found = await life.to_the_end()
            # Those that were not taken up wait behind the last record.
            saved = await store.run(lambda tx: tx.rule_changes(0))
            positions = dict.fromkeys((change.number for change in saved), await journal.head())
            positions.update({taken.number: taken.seq for taken in await store.run(lambda tx: tx.take_ups())})
            return found, await straight(store, journal, positions)

    for number, backup in enumerate(asyncio.run(main())):
        found, expected = asyncio.run(recovered(backup, tmp_path / f"restored-{number}"))
        assert found == expected


async def command(*args: str | Path) -> bytes:
    """Standard output of a call of the program that succeeds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cryptowatcher",
        *map(str, args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return out


async def items(page: str, path: str) -> list[bytes]:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(page + path)
    return [msgspec.json.encode(item) for item in answer.json()["items"]]


def test_a_backup_of_the_running_program_goes_on_in_an_empty_place(tmp_path: Path) -> None:
    async def story(config: Path, port: int, fake: FakeCoinGecko, hook: WebhookReceiver) -> None:
        sent = "/api/v1/deliveries?state=sent"
        async with running(config, port) as program:
            await program.until("/api/v1/prices/bitcoin/usd", shows(60_000.0))
            fake.set_price("bitcoin", 65_000.0)
            await hook.wait_for(1)
            await program.until(sent, lambda answer: len(answer.json()["items"]) == 1)
            before = [await items(program.page, path) for path in ("/api/v1/alerts", sent)]
            taken = await command("backup", tmp_path / "backups", "--config", config)
            await program.until("/health/ready", lambda answer: answer.status_code == 200)
            await command("doctor", "--offline", "--pre-update", "--config", config)
            assert await program.stop() == 0
        backup = Path(taken.decode().strip())
        place = tmp_path / "empty"
        place.mkdir()
        new_port = free_port()
        text = (backup / "cryptowatcher.toml").read_text().replace(f"port = {port}", f"port = {new_port}")
        (place / "cryptowatcher.toml").write_text(text)
        (place / "hook.key").write_text((tmp_path / "hook.key").read_text())
        (place / "hook.key").chmod(0o600)
        await command("restore", backup, "--yes", "--config", place / "cryptowatcher.toml")
        async with running(place / "cryptowatcher.toml", new_port) as program:
            # It is still above: the rule has fired and waits to re-arm.
            fake.set_price("bitcoin", 65_100.0)
            await program.until("/api/v1/prices/bitcoin/usd", shows(65_100.0))
            assert [await items(program.page, path) for path in ("/api/v1/alerts", sent)] == before
            fake.set_price("bitcoin", 60_000.0)
            await program.until("/api/v1/prices/bitcoin/usd", shows(60_000.0))
            fake.set_price("bitcoin", 65_200.0)
            await hook.wait_for(2)
            assert await program.stop() == 0
        assert hook.duplicates == 0
        assert len(hook.received) == 2

    with_world(story, tmp_path)
