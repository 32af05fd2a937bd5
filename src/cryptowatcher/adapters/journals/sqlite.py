"""The journal on a SQLite file of its own: one row a record, one commit an append.

Appending to a log of its own goes on while the store commits something large. Time, order and repeats are
decided inside the transaction from what stands in the file, so several processes may append and follow.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path

import apsw

from cryptowatcher.adapters.runner import CommitMeter, Inline, Runner, Threaded, Way
from cryptowatcher.adapters.sqlite_file import SqliteSession, checkpointed, connect, explained
from cryptowatcher.domain.records import Draft, Fill, Held, Record, Ticks, Verdict
from cryptowatcher.domain.wire import Damaged, decode_body, encode_body
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Clock, Trimmed

POLL = 0.1
"""Seconds after which a waiting reader looks for what other processes have appended."""

SCHEMA = 2
"""The file's number. It rises with the schema of the records too, so that a release that cannot read them says so
before it appends anything, and its doctor and restore do."""

_READ_BYTES = 8 * 1024 * 1024
_RECENT_RECORDS = 4096
_RECENT_ROWS = 200_000
_TRIM_AT_ONCE = 500
_FIT_AT_ONCE = 20_000
_ROW_BYTES = 32
"""What a row takes beside its body, about."""
_STANDS_STILL_MS = 2 * 3_600_000
"""A journal whose time is ahead of the clock by no more than this waits for it."""

_TABLES = """
CREATE TABLE journal (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL,
  trimmed INTEGER NOT NULL, trimmed_at INTEGER NOT NULL);
CREATE TABLE records (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, writer TEXT NOT NULL,
  number INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE writers (writer TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""
_NEWEST = "SELECT seq, at FROM records ORDER BY seq DESC LIMIT 1"


@asynccontextmanager
async def open_sqlite_journal(
    path: Path,
    *,
    clock: Clock,
    inline: Inline | None = None,
    readonly: bool = False,
    meter: CommitMeter | None = None,
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> AsyncIterator[SqliteJournal]:
    """The journal in that file, made when it is not there.

    inline:   run on the loop, without threads and without looking for other processes (simulation)
    readonly: only follow what another process appends; Unavailable while there is no such file
    meter:    is told what its writer does, when that has a thread
    """
    path = Path(path)
    _prepare(path, readonly=readonly, new_id=new_id)
    writing: Way = inline or Threaded(f"write {path.name}", meter=meter)
    reading: Way = Inline() if inline else Threaded(f"read {path.name}")
    async with AsyncExitStack() as stack:
        read = await stack.enter_async_context(
            reading.open(lambda: _session(path, readonly=True, checkpoints=False))
        )
        write = None
        if not readonly:
            write = await stack.enter_async_context(
                writing.open(lambda: _session(path, readonly=False, checkpoints=inline is not None))
            )
        if inline is None and not readonly:
            await stack.enter_async_context(checkpointed(path))
        journal = SqliteJournal(
            await read(_place), clock=clock, read=read, write=write, poll=None if inline else POLL, new_id=new_id
        )
        yield journal


class SqliteJournal:
    """See ports.Journal. Open it with `open_sqlite_journal`."""

    def __init__(
        self,
        place: tuple[str, int],
        *,
        clock: Clock,
        read: Runner[apsw.Connection],
        write: Runner[apsw.Connection] | None,
        poll: float | None,
        new_id: Callable[[], str],
    ) -> None:
        self._id, self._known_head = place
        self._time = _Time(clock)
        self._read = read
        self._write = write
        self._poll = poll
        self._new_id = new_id
        self._moved = asyncio.Event()
        self._recent = _Recent()

    @property
    def id(self) -> str:
        return self._id

    async def append(self, drafts: Sequence[Draft]) -> int:
        """Also raises ValueError for a body over the limit, and Unavailable when the disk is full."""
        head, _ = await self._writer()(lambda db: _append(db, drafts, self._time), self._appended)
        return head

    async def read(self, after: int, limit: int = 1000) -> Sequence[Record]:
        """Fewer than `limit` where they are large."""
        recent = self._recent.after(after, limit)
        if recent:
            return recent
        return await self._read(lambda db: _records(db, after, limit))

    async def head(self) -> int:
        self._id, head = await self._read(_place)
        self._note_head(head)
        return head

    async def wait(self, after: int) -> None:
        while self._known_head <= after:
            moved = self._moved
            try:
                async with asyncio.timeout(self._poll):
                    await moved.wait()
            except TimeoutError:
                await self.head()

    async def seek(self, at: int) -> int:
        return await self._read(lambda db: _seek(db, at))

    async def last_number(self, writer: str) -> int:
        return await self._read(lambda db: _last_number(db, writer))

    async def fit(self, size: int) -> int:
        return await self._read(lambda db: _fit(db, size))

    async def trim(self, upto: int) -> int:
        """In small transactions, so that appends go on. The file does not become smaller: what was freed is used
        for the records to come."""
        write = self._writer()
        first = oldest = await self._read(_trimmed)
        upto = min(upto, await self.head())
        while oldest < upto:
            oldest = min(oldest + _TRIM_AT_ONCE, upto)
            await write(lambda db, end=oldest: _trim(db, end))  # type: ignore[misc]  # mypy: lambda default
            self._recent.forget(oldest)
        return oldest - first

    async def renew(self) -> None:
        self._id = await self._writer()(lambda db: _renew(db, self._new_id()))

    def _writer(self) -> Runner[apsw.Connection]:
        if self._write is None:
            raise Refused("this journal was opened to be read only", reason="readonly")
        return self._write

    def _appended(self, result: tuple[int, list[Record]]) -> None:
        head, records = result
        self._recent.extend(records)
        self._note_head(head)

    def _note_head(self, head: int) -> None:
        if head > self._known_head:
            self._known_head = head
            self._moved.set()
            self._moved = asyncio.Event()


class _Recent:
    """The newest records that this process appended, in one unbroken row, so that its reader need not decode."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._rows = 0

    def extend(self, records: Sequence[Record]) -> None:
        for record in records:
            if self._records and record.seq != self._records[-1].seq + 1:
                self._records.clear()  # another process appended in between
                self._rows = 0
            self._records.append(record)
            self._rows += _rows(record)
        while len(self._records) > _RECENT_RECORDS or self._rows > _RECENT_ROWS:
            self._drop_oldest()

    def after(self, seq: int, limit: int) -> list[Record]:
        """Empty when the record after `seq` is not here."""
        if not self._records or not self._records[0].seq <= seq + 1 <= self._records[-1].seq:
            return []
        first = seq + 1 - self._records[0].seq
        return list(islice(self._records, first, first + limit))

    def forget(self, upto: int) -> None:
        while self._records and self._records[0].seq <= upto:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._rows -= _rows(self._records.popleft())


def _rows(record: Record) -> int:
    match record.body:
        case Ticks(batch) | Held(batch) | Verdict(batch) | Fill(batch):
            return len(batch)
        case _:
            return 0


class _Time:
    """The journal's time. It never goes back; and it does not stand still for as long as a clock was ahead, or
    what is measured by it (the age of a delivery) would be wrong for all that time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given = (0, 0.0)  # the last time that was given, and the steady clock then

    def after(self, at: int) -> int:
        """Of a record that follows one of time `at`."""
        now, steady = self._clock.now(), self._clock.monotonic()
        if at - now <= _STANDS_STILL_MS:
            self._given = max(at, now), steady
            return self._given[0]
        last, since = self._given
        if last != at:  # another process, or another life of this one, has written it
            since = steady
        passed = max(0, int((steady - since) * 1000))
        self._given = at + passed, since + passed / 1000
        return self._given[0]


# --- inside a transaction --------------------------------------------------------------------------


def _append(db: apsw.Connection, drafts: Sequence[Draft], time: _Time) -> tuple[int, list[Record]]:
    head, at = _newest(db)
    at = time.after(at)
    numbers: dict[str, int] = {}
    records, rows = [], []
    for draft in drafts:
        if draft.writer not in numbers:
            numbers[draft.writer] = _last_number(db, draft.writer)
        if draft.number <= numbers[draft.writer]:
            continue
        numbers[draft.writer] = draft.number
        head += 1
        records.append(Record(head, at, draft.writer, draft.number, draft.body))
        rows.append((head, at, draft.writer, draft.number, encode_body(draft.body)))
    if rows:
        db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT OR REPLACE INTO writers VALUES (?, ?)", sorted(numbers.items()))
    return head, records


def _newest(db: apsw.Connection) -> tuple[int, int]:
    """Sequence number and time of the newest record, standing or trimmed; zeros before the first."""
    seq, at = db.execute(_NEWEST).get or db.execute("SELECT trimmed, trimmed_at FROM journal").get
    return int(seq), int(at)


def _place(db: apsw.Connection) -> tuple[str, int]:
    """The journal's id and its head."""
    return str(db.execute("SELECT id FROM journal").get), _newest(db)[0]


def _renew(db: apsw.Connection, identity: str) -> str:
    db.execute("UPDATE journal SET id = ?", (identity,))
    return identity


def _trimmed(db: apsw.Connection) -> int:
    return int(db.execute("SELECT trimmed FROM journal").get)


def _last_number(db: apsw.Connection, writer: str) -> int:
    row = db.execute("SELECT number FROM writers WHERE writer = ?", (writer,)).fetchone()
    return int(row[0]) if row else 0


def _records(db: apsw.Connection, after: int, limit: int) -> list[Record]:
    trimmed = _trimmed(db)
    if after < trimmed:
        raise Trimmed(trimmed + 1)
    found: list[Record] = []
    size = 0
    rows = db.execute(
        "SELECT seq, at, writer, number, body FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    )
    for expected, (seq, at, writer, number, body) in enumerate(rows, after + 1):
        if seq != expected:
            raise Damaged(expected, "it is missing")
        found.append(Record(seq, at, writer, number, decode_body(body, seq)))
        size += len(body)
        if size > _READ_BYTES:
            break
    return found


def _seek(db: apsw.Connection, at: int) -> int:
    """By halving: time never decreases along the sequence, so it needs no index of its own."""
    low, high = _trimmed(db), _newest(db)[0]
    while low < high:
        middle = (low + high + 1) // 2
        row = db.execute("SELECT at FROM records WHERE seq = ?", (middle,)).fetchone()
        if row is None:
            raise Damaged(middle, "it is missing")
        if row[0] < at:
            low = middle
        else:
            high = middle - 1
    return low


def _trim(db: apsw.Connection, upto: int) -> None:
    row = db.execute("SELECT seq, at FROM records WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (upto,)).fetchone()
    if row is None:  # another process was faster
        return
    db.execute("UPDATE journal SET trimmed = ?, trimmed_at = ?", tuple(row))
    db.execute("DELETE FROM records WHERE seq <= ?", (upto,))


def _fit(db: apsw.Connection, size: int) -> int:
    pages = db.pragma("page_count") - db.pragma("freelist_count")
    excess = pages * db.pragma("page_size") - size
    upto = 0
    if excess <= 0:
        return upto
    for seq, length in db.execute("SELECT seq, length(body) FROM records ORDER BY seq LIMIT ?", (_FIT_AT_ONCE,)):
        upto, excess = int(seq), excess - length - _ROW_BYTES
        if excess <= 0:
            break
    return upto


# --- opening ---------------------------------------------------------------------------------------


def _session(path: Path, *, readonly: bool, checkpoints: bool) -> SqliteSession[apsw.Connection]:
    db = connect(path, readonly=readonly, checkpoints=checkpoints)
    return SqliteSession(db, db, readonly=readonly)


def _prepare(path: Path, *, readonly: bool, new_id: Callable[[], str]) -> None:
    """Make the tables where they are missing, and make sure that this is a journal."""
    db = connect(path, readonly=readonly)
    try:
        with explained(path):
            if not readonly:
                _bring_up_to_date(db, path, new_id)
            _check(db, path)
    finally:
        db.close()


def _bring_up_to_date(db: apsw.Connection, path: Path, new_id: Callable[[], str]) -> None:
    """In one transaction: two processes that open at once make one journal."""
    db.execute("BEGIN IMMEDIATE")
    if db.pragma("user_version") == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchall():
        db.execute(_TABLES)
        db.execute("INSERT INTO journal VALUES (1, ?, 0, 0)", (new_id(),))
    _check(db, path)
    if db.pragma("user_version") < SCHEMA:
        db.pragma("user_version", SCHEMA)
    db.execute("COMMIT")


def _check(db: apsw.Connection, path: Path) -> None:
    version = db.pragma("user_version")
    if version > SCHEMA:
        hint = "run that release, or a newer one"
        raise ConfigError(f"{path} was written by a newer release of cryptowatcher", hint=hint)
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        raise Unavailable(f"{path} is not there yet", reason="not_ready")
    if "journal" not in tables:
        raise ConfigError(f"{path} is not a journal", hint="name another file, or move this one away")
