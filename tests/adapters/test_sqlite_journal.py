"""The journal on SQLite: the contract, other processes, damage, and kill -9."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import subprocess
import sys
import zlib
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import apsw
import pytest

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.sqlite_file import connect, require_sqlite
from cryptowatcher.domain.records import Draft, Gap
from cryptowatcher.domain.wire import Damaged, UnknownRecord
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Clock, Journal
from cryptowatcher.testing.contracts.journal import JournalContract, SetClock, beats
from tests.domain.schema_1 import WRITTEN as WRITTEN_IN_SCHEMA_1


class TestSqliteJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "journal.db"

    def opening(self, clock: Clock) -> AbstractAsyncContextManager[Journal]:
        return open_sqlite_journal(self.path, clock=clock)


class TestSqliteJournalInline(TestSqliteJournal):
    def opening(self, clock: Clock) -> AbstractAsyncContextManager[Journal]:
        return open_sqlite_journal(self.path, clock=clock, inline=Inline())


def test_a_reader_elsewhere_sees_what_is_appended(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "journal.db"
        async with (
            open_sqlite_journal(path, clock=SetClock()) as writer,
            open_sqlite_journal(path, clock=SetClock(), readonly=True) as reader,
        ):
            waiting = asyncio.create_task(reader.wait(0))
            await asyncio.sleep(0)
            await writer.append(beats(1, 3))
            await asyncio.wait_for(waiting, 30)
            assert [record.seq for record in await reader.read(0)] == [1, 2, 3]
            await writer.renew()
            await reader.head()
            assert reader.id == writer.id
            with pytest.raises(Refused, match="read only"):
                await reader.append(beats(4, 4))

    asyncio.run(main())


def test_two_writers_append_to_one_log(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "journal.db"
        async with (
            open_sqlite_journal(path, clock=SetClock(2000)) as one,
            open_sqlite_journal(path, clock=SetClock(1000)) as two,
        ):
            assert one.id == two.id
            for number in range(1, 31):
                await asyncio.gather(
                    one.append(beats(number, number, "one")), two.append(beats(number, number, "two"))
                )
            for journal in (one, two):
                records = await journal.read(0)
                assert [record.seq for record in records] == list(range(1, 61))
                assert sorted(record.at for record in records) == [record.at for record in records]
                for name in ("one", "two"):
                    assert [r.number for r in records if r.writer == name] == list(range(1, 31))

    asyncio.run(main())


def test_a_reader_waits_until_there_is_a_journal(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_sqlite_journal(tmp_path / "journal.db", clock=SetClock(), readonly=True):
            pass

    with pytest.raises(Unavailable) as caught:
        asyncio.run(main())
    assert caught.value.reason == "not_ready"


def test_a_cancelled_append_still_reaches_followers(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_sqlite_journal(tmp_path / "journal.db", clock=SetClock()) as journal:
            append = asyncio.create_task(journal.append(beats(1, 1)))
            await asyncio.sleep(0)
            append.cancel()
            await asyncio.wait_for(journal.wait(0), 30)
            assert [record.seq for record in await journal.read(0)] == [1]

    asyncio.run(main())


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_damaged_record_is_named(tmp_path: Path, seq: int) -> None:
    path = tmp_path / "journal.db"
    _append(path, [Draft("w", number, Gap(f"reason {number}")) for number in range(1, 6)])
    db = apsw.Connection(str(path))
    body = bytearray(db.execute("SELECT body FROM records WHERE seq = ?", (seq,)).get)
    body[-1] ^= 1
    db.execute("UPDATE records SET body = ? WHERE seq = ?", (bytes(body), seq))
    db.close()
    with pytest.raises(Damaged) as caught:
        _read(path)
    assert caught.value.seq == seq


def test_a_missing_record_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _append(path, beats(1, 5))
    db = apsw.Connection(str(path))
    db.execute("DELETE FROM records WHERE seq = 3")
    db.close()
    with pytest.raises(Damaged) as caught:
        _read(path)
    assert caught.value.seq == 3


def test_a_record_of_a_newer_release_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _append(path, beats(1, 2))
    later = bytes((4, 99)) + b"whatever it may say"
    with closing(apsw.Connection(str(path))) as db:
        body = struct.pack("<BBI", 4, 99, zlib.crc32(later)) + later
        db.execute("UPDATE records SET body = ? WHERE seq = 2", (body,))
    with pytest.raises(UnknownRecord) as caught:
        _read(path)
    assert caught.value.seq == 2


def test_a_journal_of_a_newer_release_is_refused_before_it_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _append(path, beats(1, 1))
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("user_version", 99)
    with pytest.raises(ConfigError, match="newer release"):
        _append(path, beats(2, 2))
    with closing(apsw.Connection(str(path))) as db:
        assert db.pragma("user_version") == 99
        assert db.execute("SELECT count(*) FROM records").get == 1


def test_a_journal_of_the_release_before_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _of_schema_1(path)
    _append(path, beats(7, 8))
    assert _read(path) == [(number, number) for number in range(1, 9)]


def test_a_journal_with_records_of_schema_2_says_so_itself(tmp_path: Path) -> None:
    """Releases that cannot read them know no number above 1."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    _of_schema_1(old)
    for path in (old, new):
        _append(path, beats(7, 7))
        with closing(apsw.Connection(str(path))) as db:
            assert db.pragma("user_version") == 2


def test_looking_at_a_journal_of_the_release_before_does_not_change_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    _of_schema_1(path)

    async def main() -> int:
        async with open_sqlite_journal(path, clock=SetClock(), readonly=True) as journal:
            return len(await journal.read(0))

    assert asyncio.run(main()) == len(WRITTEN_IN_SCHEMA_1)
    with closing(apsw.Connection(str(path))) as db:
        assert db.pragma("user_version") == 1


def _of_schema_1(path: Path) -> None:
    """A journal that holds one record of each kind, numbered from 1 by the writer `w`."""
    _append(path, [])
    with closing(apsw.Connection(str(path))) as db:
        for number, (_, body) in enumerate(WRITTEN_IN_SCHEMA_1, 1):
            db.execute("INSERT INTO records VALUES (?, 1000, 'w', ?, ?)", (number, number, body))
        db.execute("INSERT INTO writers VALUES ('w', ?)", (len(WRITTEN_IN_SCHEMA_1),))
        db.pragma("user_version", 1)


def test_a_new_file_that_somebody_else_is_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself does not wait at the statement that turns the write-ahead log on."""
    path = tmp_path / "journal.db"
    asked: list[str] = []
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")

        def let_go_when_asked_again(_: apsw.Cursor, sql: str, __: object) -> bool:
            if "journal_mode" in sql:
                asked.append(sql)
                if len(asked) == 2:
                    other.execute("ROLLBACK")
            return True

        def watch(db: apsw.Connection) -> None:
            db.exec_trace = let_go_when_asked_again

        apsw.connection_hooks.append(watch)
        try:
            connect(path).close()
            assert len(asked) == 2
        finally:
            apsw.connection_hooks.remove(watch)


def test_a_new_file_that_somebody_else_never_lets_go_of_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            connect(path, busy_ms=20)
    assert caught.value.reason == "busy"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not a database, and it is long enough to be one" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        _append(path, beats(1, 1))


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE cats (name)")
    db.close()
    with pytest.raises(ConfigError, match="not a journal"):
        _append(path, beats(1, 1))
    with closing(apsw.Connection(str(path))) as db:
        assert db.pragma("user_version") == 0


def test_a_folder_that_is_missing_is_a_persons_matter(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        _append(tmp_path / "nowhere" / "journal.db", beats(1, 1))


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.9.99"])
def test_a_sqlite_that_corrupts_files_is_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="corrupt"):
        require_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.60.0", "4.0.0"])
def test_a_sound_sqlite_is_accepted(version: str) -> None:
    require_sqlite(version)


_NURSERY = """
import asyncio, os, sys
from pathlib import Path
from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.testing.contracts.journal import SetClock, beats

def say(*words):
    os.write(1, f"{' '.join(map(str, words))}\\n".encode())  # whole, whatever else is being written

async def append_for_ever(path):
    async with open_sqlite_journal(Path(path), clock=SetClock()) as journal:
        number = await journal.last_number("w")
        while True:
            head = await journal.append(beats(number + 1, number + 3))
            number += 3
            say(head)

for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        say("born", os.getpid())
        asyncio.run(append_for_ever(sys.argv[1]))
    os.waitpid(child, 0)
    say("died")
"""


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    path, chance, lives = tmp_path / "journal.db", random.Random(7), 20
    command = [sys.executable, "-c", _NURSERY, str(path), str(lives)]
    acknowledged, died = 0, 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdout is not None
        for line in nursery.stdout:
            match line.split():
                case ["born", child]:
                    victim, heads_left = int(child), chance.randrange(1, 40)
                case ["died"]:
                    died += 1
                case [head]:
                    acknowledged = int(head)
                    heads_left -= 1
                    if heads_left == 0:
                        os.kill(victim, signal.SIGKILL)
    assert died == lives
    records = _read(path)
    assert len(records) >= acknowledged > 0
    assert records == [(number, number) for number in range(1, len(records) + 1)]


def _append(path: Path, drafts: list[Draft]) -> None:
    async def main() -> None:
        async with open_sqlite_journal(path, clock=SetClock()) as journal:
            await journal.append(drafts)

    asyncio.run(main())


def _read(path: Path) -> list[tuple[int, int]]:
    """(seq, number) of all records."""

    async def main() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        async with open_sqlite_journal(path, clock=SetClock()) as journal:
            while records := await journal.read(len(found)):
                found += [(record.seq, record.number) for record in records]
        return found

    return asyncio.run(main())
