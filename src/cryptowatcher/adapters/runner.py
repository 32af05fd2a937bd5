"""Who runs transactions: one thread per file when live, the event loop itself in simulation.

A job is a synchronous function of what a session hands it (a connection, a set of queries). It is one
transaction from the caller's view: all of it is durable when the call returns, or none of it happened.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

import structlog

from cryptowatcher.errors import Unavailable

T = TypeVar("T")
C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)

log = structlog.get_logger()


class UnknownOutcome(BaseException):
    """A transaction may or may not be durable, so this process must end: starting again is the recovery.

    Not an Exception, because nobody may catch it and go on.
    """


def end_process(error: BaseException) -> None:
    """What UnknownOutcome comes to when live: end at once, as kill -9 would."""
    log.critical("the outcome of a commit is unknown, so this process ends", error=repr(error))
    os._exit(os.EX_IOERR)


class Session(Protocol[C_co]):
    """One connection's transactions. Used by one thread at a time."""

    def begin(self) -> C_co:
        """Open a transaction."""
        ...

    def mark(self) -> None:
        """A place inside the transaction to come back to."""
        ...

    def release(self) -> None:
        """Forget the last mark."""
        ...

    def undo(self) -> None:
        """Back to the last mark, and forget it."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Leave no transaction open, whatever state it is in."""
        ...

    def close(self) -> None: ...

    @property
    def alive(self) -> bool:
        """Whether the transaction still stands: some errors end it at once."""
        ...

    def translate(self, error: BaseException, *, committing: bool) -> BaseException:
        """What the caller is told: Unavailable when nothing was done and it may be tried again,
        UnknownOutcome when the process must end, else the error itself."""
        ...


class CommitMeter(Protocol):
    """Is told what the thread that writes a file does. Called from that thread; never blocks or raises."""

    def committed(self, seconds: float) -> None:
        """A transaction is durable, so long after it began."""
        ...

    def failed(self, reason: str) -> None:
        """A job was not done for now; the stable word of its Unavailable."""
        ...

    def queue(self, length: Callable[[], int]) -> None:
        """Once, before the first job: how many wait can be asked here, from any thread."""
        ...


class Runner(Protocol[C_co]):
    """Runs one job as one transaction. Jobs are serialised, in the order of the calls."""

    async def __call__(self, fn: Callable[[C_co], T], then: Callable[[T], None] | None = None) -> T:
        """Commit when fn returns, roll back when it raises, and raise the same. `then` is called on the loop
        with the result as soon as it is durable, even when the caller was cancelled meanwhile."""
        ...


class Way(Protocol):
    """A way to run: Threaded or Inline."""

    def open(self, connect: Callable[[], Session[C]]) -> AbstractAsyncContextManager[Runner[C]]:
        """Connect, and run jobs until the context ends. What connect raises is raised here."""
        ...


class Inline:
    """Runs jobs directly on the loop, without threads: for simulation on virtual time.

    before_commit: awaited when the job is done but nothing is durable; raising there undoes it
    after_commit:  awaited when it is durable; raising there leaves the caller in the dark, as a crash would
    """

    def __init__(
        self,
        *,
        before_commit: Callable[[], Awaitable[None]] | None = None,
        after_commit: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.before_commit = before_commit
        self.after_commit = after_commit

    @asynccontextmanager
    async def open(self, connect: Callable[[], Session[C]]) -> AsyncIterator[Runner[C]]:
        session = connect()
        try:
            yield _OnLoop(session, self)
        finally:
            session.close()


class _OnLoop(Generic[C]):
    def __init__(self, session: Session[C], way: Inline) -> None:
        self._session = session
        self._way = way
        self._turn = asyncio.Lock()

    async def __call__(self, fn: Callable[[C], T], then: Callable[[T], None] | None = None) -> T:
        async with self._turn:
            value = await self._transaction(fn)
            if then is not None:
                then(value)
            if self._way.after_commit is not None:
                await self._way.after_commit()
            return value

    async def _transaction(self, fn: Callable[[C], T]) -> T:
        committing = False
        try:
            value = fn(self._session.begin())
            if self._way.before_commit is not None:
                await self._way.before_commit()
            committing = True
            self._session.commit()
        except BaseException as error:
            told = _leave(self._session, self._session.translate(error, committing=committing))
            if told is error:
                raise
            raise told from error
        return value


class _Job(Generic[C]):
    __slots__ = ("error", "fn", "future", "loop", "then", "value")

    def __init__(
        self, fn: Callable[[C], Any], then: Callable[[Any], None] | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.fn = fn
        self.then = then
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.value: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        """On the loop."""
        if self.error is None and self.then is not None:
            self.then(self.value)
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.value)
        elif isinstance(self.error, StopIteration):
            self.future.set_exception(RuntimeError("a job raised StopIteration"))  # futures cannot carry it
        else:
            self.future.set_exception(self.error)


class _Unmetered:
    """Nobody wants to know."""

    def committed(self, seconds: float) -> None:
        pass

    def failed(self, reason: str) -> None:
        pass

    def queue(self, length: Callable[[], int]) -> None:
        pass


class Threaded:
    """Runs jobs in a thread of its own. All jobs that wait become one transaction, with those that come before it
    commits: under load, one sync of the disk serves many callers. A job that raises is undone alone.

    fatal: called with an UnknownOutcome, in the thread; by default it ends the process. If it returns (in a
    test), every caller gets the UnknownOutcome, now and later.
    meter: is told what transactions take, which jobs fail for now, and how many wait
    """

    def __init__(
        self,
        name: str,
        *,
        fatal: Callable[[BaseException], None] = end_process,
        largest_group: int = 256,
        meter: CommitMeter | None = None,
    ) -> None:
        self.name = name
        self.fatal = fatal
        self.largest_group = largest_group
        self.meter = meter or _Unmetered()

    @asynccontextmanager
    async def open(self, connect: Callable[[], Session[C]]) -> AsyncIterator[Runner[C]]:
        runner = _InThread(self, connect)
        await runner.start()
        try:
            yield runner
        finally:
            await runner.stop()


class _InThread(Generic[C]):
    def __init__(self, way: Threaded, connect: Callable[[], Session[C]]) -> None:
        self._way = way
        self._connect = connect
        self._queue: SimpleQueue[_Job[C] | None] = SimpleQueue()
        self._lost: BaseException | None = None
        self._closed = False
        self._ending = False
        way.meter.queue(self._queue.qsize)

    async def __call__(self, fn: Callable[[C], T], then: Callable[[T], None] | None = None) -> T:
        if self._closed:
            raise RuntimeError(f"{self._way.name} is closed")
        job = _Job(fn, then, asyncio.get_running_loop())
        self._queue.put(job)
        # A job that was handed over runs, whether or not its caller still waits.
        value: T = await asyncio.shield(job.future)
        return value

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        Thread(target=self._main, args=(loop, opened), name=self._way.name, daemon=True).start()
        await opened

    async def stop(self) -> None:
        """Runs what waits, then closes the connection."""
        self._closed = True
        self._queue.put(None)
        await asyncio.shield(self._ended)

    def _main(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        try:
            session = self._connect()
        except BaseException as error:
            loop.call_soon_threadsafe(_resolve, opened, error)
            return
        loop.call_soon_threadsafe(_resolve, opened, None)
        failed: BaseException | None = None
        try:
            try:
                self._serve(session)
            finally:
                session.close()
        except BaseException as error:
            failed = error
        loop.call_soon_threadsafe(_resolve, self._ended, failed)  # `stop` waits for it, however it went

    def _serve(self, session: Session[C]) -> None:
        while not self._ending and (job := self._queue.get()) is not None:
            group = [job]
            self._take_waiting(group)
            if self._lost is None:
                self._run(session, group)
            else:
                _fail(group, self._lost)
            _answer(group)

    def _take_waiting(self, group: list[_Job[C]]) -> None:
        """Into the group come all jobs that wait, up to a limit."""
        while not self._ending and len(group) < self._way.largest_group and not self._queue.empty():
            job = self._queue.get()
            if job is None:
                self._ending = True
            else:
                group.append(job)

    def _run(self, session: Session[C], group: list[_Job[C]]) -> None:
        committing, began = False, perf_counter()
        try:
            handle = session.begin()
            for job in group:
                self._run_one(session, handle, job, alone=len(group) == 1)
                if job is group[-1]:  # what came meanwhile need not wait for a sync of its own
                    self._take_waiting(group)
            committing = True
            session.commit()
        except BaseException as error:
            told = _leave(session, session.translate(error, committing=committing))
            _fail(group, told)
            if isinstance(told, UnknownOutcome):
                self._lost = told
                self._way.fatal(told)
        else:
            self._way.meter.committed(perf_counter() - began)
        for job in group:
            if isinstance(job.error, Unavailable):
                self._way.meter.failed(job.error.reason)

    def _run_one(self, session: Session[C], handle: C, job: _Job[C], *, alone: bool) -> None:
        if alone:  # undoing it is undoing the transaction
            job.value = job.fn(handle)
            return
        session.mark()
        try:
            job.value = job.fn(handle)
        except BaseException as error:
            told = session.translate(error, committing=False)
            if isinstance(told, UnknownOutcome) or not session.alive:
                raise
            session.undo()
            job.error = told
        else:
            session.release()


def _leave(session: Session[C], told: BaseException) -> BaseException:
    """Roll back; a rollback that fails leaves everything open."""
    try:
        session.rollback()
    except Exception as error:
        return told if isinstance(told, UnknownOutcome) else UnknownOutcome(repr(error))
    return told


def _fail(group: list[_Job[C]], error: BaseException) -> None:
    """Those that had failed by themselves keep their own error."""
    for job in group:
        job.error = job.error or error


def _answer(group: list[_Job[C]]) -> None:
    """One wake-up of each loop for all."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[C]]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_answer_all, jobs)


def _answer_all(jobs: list[_Job[C]]) -> None:
    for job in jobs:
        job.answer()


def _resolve(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
