"""Who runs transactions: groups, failures, cancellation, and the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from cryptowatcher.adapters.runner import Inline, Runner, Threaded, UnknownOutcome
from cryptowatcher.adapters.sqlite_file import SqliteSession, connect
from cryptowatcher.errors import ConfigError, Unavailable
from tests.processes import PATIENCE


class Recorder:
    """A session without a database: keeps the statements, and fails where it is told to."""

    def __init__(self, fail_at: str = "", error: BaseException | None = None) -> None:
        self.log: list[str] = []
        self.fail_at = fail_at
        self.error = error
        self.alive = True

    def _do(self, what: str) -> None:
        self.log.append(what)
        if what == self.fail_at and self.error is not None:
            raise self.error

    def begin(self) -> list[str]:
        self._do("begin")
        return self.log

    def mark(self) -> None:
        self._do("mark")

    def release(self) -> None:
        self._do("release")

    def undo(self) -> None:
        self._do("undo")

    def commit(self) -> None:
        self._do("commit")

    def rollback(self) -> None:
        self._do("rollback")

    def close(self) -> None:
        self._do("close")

    def translate(self, error: BaseException, *, committing: bool) -> BaseException:
        return UnknownOutcome(str(error)) if committing else error


def _note(what: str) -> Callable[[list[str]], str]:
    def job(log: list[str]) -> str:
        log.append(what)
        return what

    return job


def _fail(log: list[str]) -> None:
    log.append("fail")
    raise LookupError("no")


async def _blocked(run: Runner[list[str]], jobs: list[Callable[[list[str]], object]]) -> list[object]:
    """All jobs wait while the thread is busy with one that fails, so that they become one group."""
    gate, busy = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(_log: list[str]) -> None:
        loop.call_soon_threadsafe(busy.set)
        assert gate.wait(PATIENCE)
        raise TimeoutError

    first = asyncio.create_task(run(hold))
    await busy.wait()
    tasks = [asyncio.create_task(run(job)) for job in jobs]
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(TimeoutError):
        await first
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def test_all_that_waits_is_one_transaction() -> None:
    async def main() -> None:
        session = Recorder()
        async with Threaded("t").open(lambda: session) as run:
            assert await _blocked(run, [_note("a"), _note("b")]) == ["a", "b"]
        hold, group = ["begin", "rollback"], ["begin", "mark", "a", "release", "mark", "b", "release", "commit"]
        assert session.log == [*hold, *group, "close"]

    asyncio.run(main())


def test_what_comes_while_a_job_runs_goes_with_it() -> None:
    async def main() -> None:
        session, gate, busy = Recorder(), threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(log: list[str]) -> str:
            loop.call_soon_threadsafe(busy.set)
            assert gate.wait(PATIENCE)
            return _note("first")(log)

        async with Threaded("t").open(lambda: session) as run:
            jobs: list[asyncio.Task[object]] = [asyncio.create_task(run(hold))]
            await busy.wait()
            others: list[Callable[[list[str]], object]] = [_fail, _note("second")]
            jobs += [asyncio.create_task(run(job)) for job in others]
            await asyncio.sleep(0)
            gate.set()
            results = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(result) for result in results] == [str, LookupError, str]
        assert session.log[:-1] == [
            "begin", "first", "mark", "fail", "undo", "mark", "second", "release", "commit"]  # fmt: skip

    asyncio.run(main())


def test_what_waits_at_the_end_is_done_before_it() -> None:
    async def main() -> None:
        session, gate = Recorder(), threading.Event()

        def hold(log: list[str]) -> str:
            assert gate.wait(PATIENCE)
            return _note("first")(log)

        async with Threaded("t").open(lambda: session) as run:
            jobs = [asyncio.create_task(run(job)) for job in (hold, _note("second"))]
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(gate.set)
        assert await asyncio.gather(*jobs) == ["first", "second"]
        assert session.log[-2:] == ["commit", "close"]

    asyncio.run(main())


def test_a_connection_that_cannot_be_closed_is_said_and_keeps_nobody_waiting() -> None:
    async def main() -> None:
        async with Threaded("t").open(lambda: Recorder("close", LookupError("no"))) as run:
            assert await run(_note("first")) == "first"

    with pytest.raises(LookupError):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_job_that_raises_is_undone_alone() -> None:
    async def main() -> None:
        session = Recorder()
        async with Threaded("t").open(lambda: session) as run:
            results = await _blocked(run, [_note("a"), _fail, _note("b")])
        assert [type(result) for result in results] == [str, LookupError, str]
        assert session.log[2:-1] == [
            "begin", "mark", "a", "release", "mark", "fail", "undo", "mark", "b", "release", "commit"]  # fmt: skip

    asyncio.run(main())


def test_when_the_transaction_is_gone_nobody_is_told_that_it_was_done() -> None:
    async def main() -> None:
        session = Recorder()

        def lose(log: list[str]) -> None:
            session.alive = False
            _fail(log)

        async with Threaded("t").open(lambda: session) as run:
            results = await _blocked(run, [_note("a"), lose, _note("b")])
        assert [type(result) for result in results] == [LookupError] * 3
        assert "commit" not in session.log[2:]

    asyncio.run(main())


def test_a_group_is_limited() -> None:
    async def main() -> None:
        session = Recorder()
        async with Threaded("t", largest_group=2).open(lambda: session) as run:
            await _blocked(run, [_note("a"), _note("b"), _note("c")])
        assert session.log.count("commit") == 2

    asyncio.run(main())


def test_a_commit_with_unknown_outcome_is_fatal_and_nothing_runs_after_it() -> None:
    async def main() -> None:
        session, deaths = Recorder("commit", OSError("fsync")), list[BaseException]()
        async with Threaded("t", fatal=deaths.append).open(lambda: session) as run:
            for _ in range(2):
                with pytest.raises(UnknownOutcome, match="fsync"):
                    await run(_note("a"))
        assert len(deaths) == 1
        assert session.log == ["begin", "a", "commit", "rollback", "close"]

    asyncio.run(main())


def test_a_rollback_that_fails_is_fatal() -> None:
    async def main() -> None:
        deaths = list[BaseException]()
        session = Recorder("rollback", OSError("gone"))
        async with Threaded("t", fatal=deaths.append).open(lambda: session) as run:
            with pytest.raises(UnknownOutcome, match="gone"):
                await run(_fail)
        assert len(deaths) == 1

    asyncio.run(main())


def test_a_job_that_was_handed_over_is_done_when_its_caller_goes() -> None:
    async def main() -> None:
        session, seen = Recorder(), asyncio.Event()
        async with Threaded("t").open(lambda: session) as run:
            task = asyncio.create_task(run(_note("a"), lambda _: seen.set()))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await seen.wait()
        assert "a" in session.log

    asyncio.run(main())


def test_what_waits_at_the_end_is_done() -> None:
    async def main() -> None:
        session = Recorder()
        async with Threaded("t").open(lambda: session) as run:
            tasks = [asyncio.create_task(run(_note(str(n)))) for n in range(10)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == [str(n) for n in range(10)]
        with pytest.raises(RuntimeError, match="closed"):
            await run(_note("late"))

    asyncio.run(main())


def test_what_connecting_raises_is_raised_by_open() -> None:
    def connect_to_nothing() -> Recorder:
        raise ConfigError("no such file")

    async def main() -> None:
        async with Threaded("t").open(connect_to_nothing):
            pass

    with pytest.raises(ConfigError, match="no such file"):
        asyncio.run(main())


def test_a_job_that_ends_an_iterator_does_not_hang() -> None:
    async def main() -> None:
        async with Threaded("t").open(Recorder) as run:
            with pytest.raises(RuntimeError, match="StopIteration"):
                await run(lambda _: next(iter(())))

    asyncio.run(main())


class Crash(BaseException):
    pass


@pytest.mark.parametrize(("where", "committed"), [("before_commit", False), ("after_commit", True)])
def test_inline_a_crash_around_the_commit_leaves_all_or_nothing(where: str, committed: bool) -> None:
    async def crash() -> None:
        raise Crash

    async def main() -> None:
        session = Recorder()
        way = Inline(**{where: crash})
        async with way.open(lambda: session) as run:
            with pytest.raises(Crash):
                await run(_note("a"))
        assert ("commit" in session.log) is committed
        assert ("rollback" in session.log) is not committed

    asyncio.run(main())


def test_inline_jobs_are_serialised_while_hooks_wait() -> None:
    async def main() -> None:
        session = Recorder()
        async with Inline(before_commit=lambda: asyncio.sleep(0)).open(lambda: session) as run:
            await asyncio.gather(run(_note("a")), run(_note("b")))
        assert session.log == ["begin", "a", "commit", "begin", "b", "commit", "close"]

    asyncio.run(main())


# --- on a real file


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (a BLOB)")
    yield connection
    connection.close()


def test_commits_are_synced(db: apsw.Connection) -> None:
    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 2
    assert db.pragma("foreign_keys") == 1


def test_a_full_disk_is_unavailable_and_over_when_there_is_space(db: apsw.Connection) -> None:
    async def main() -> None:
        pages = db.pragma("page_count")
        async with Inline().open(lambda: SqliteSession(db, db, close=lambda: None)) as run:
            db.pragma("max_page_count", pages + 2)  # SQLite's own SQLITE_FULL, without filling a disk
            with pytest.raises(Unavailable) as caught:
                await run(lambda c: c.execute("INSERT INTO t VALUES (zeroblob(100000))"))
            assert caught.value.reason == "disk_full"
            db.pragma("max_page_count", 1_000_000)
            await run(lambda c: c.execute("INSERT INTO t VALUES (zeroblob(100000))"))
        assert db.execute("SELECT count(*) FROM t").get == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "committing", "told"),
    [
        (apsw.FullError(), False, Unavailable),
        (apsw.FullError(), True, Unavailable),
        (apsw.BusyError(), False, Unavailable),
        (apsw.IOError(), False, Unavailable),
        (apsw.IOError(), True, UnknownOutcome),
        (apsw.NoMemError(), True, UnknownOutcome),
        (apsw.CorruptError(), False, ConfigError),
        (apsw.ConstraintError(), False, apsw.ConstraintError),
        (LookupError(), False, LookupError),
    ],
)
def test_what_callers_are_told(
    db: apsw.Connection, error: Exception, committing: bool, told: type[BaseException]
) -> None:
    session = SqliteSession(db, db, close=lambda: None)
    wrapped = RuntimeError("as SQLAlchemy wraps it")
    wrapped.__cause__ = error
    assert type(session.translate(error, committing=committing)) is told
    if told is not type(error):
        assert type(session.translate(wrapped, committing=committing)) is told


class Told:
    """A CommitMeter that remembers."""

    def __init__(self) -> None:
        self.commits: list[float] = []
        self.failures: list[str] = []
        self.waiting: Callable[[], int] = lambda: -1

    def committed(self, seconds: float) -> None:
        self.commits.append(seconds)

    def failed(self, reason: str) -> None:
        self.failures.append(reason)

    def queue(self, length: Callable[[], int]) -> None:
        self.waiting = length


def _full(log: list[str]) -> None:
    raise Unavailable("no room", reason="disk_full")


def test_its_meter_is_told_of_every_transaction_and_of_every_job_that_failed_for_now() -> None:
    async def main() -> None:
        meter = Told()
        async with Threaded("t", meter=meter).open(Recorder) as run:
            results = await _blocked(run, [_note("a"), _full, _fail, _full])
            assert [type(result) for result in results] == [str, Unavailable, LookupError, Unavailable]
            with pytest.raises(Unavailable):
                await run(_full)
        assert len(meter.commits) == 1  # the group; the first and the last were undone
        assert all(0 <= seconds < 3_600 for seconds in meter.commits)
        assert meter.failures == ["disk_full"] * 3

    asyncio.run(main())


def test_its_meter_can_ask_how_many_wait() -> None:
    async def main() -> None:
        meter, gate = Told(), threading.Event()
        async with Threaded("t", meter=meter).open(Recorder) as run:
            assert meter.waiting() == 0
            busy, loop = asyncio.Event(), asyncio.get_running_loop()

            def hold(_log: list[str]) -> None:
                loop.call_soon_threadsafe(busy.set)
                assert gate.wait(PATIENCE)

            first = asyncio.create_task(run(hold))
            await busy.wait()
            tasks = [asyncio.create_task(run(_note("a"))) for _ in range(3)]
            await asyncio.sleep(0)
            assert meter.waiting() == 3
            gate.set()
            await asyncio.gather(first, *tasks)
            assert meter.waiting() == 0

    asyncio.run(main())
