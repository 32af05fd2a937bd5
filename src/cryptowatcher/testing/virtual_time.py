"""An event loop on which time jumps to the next timer: a day of sleeping passes in no time, always the same way.

Only code without threads runs here, and without sockets but for those of the same loop (see `run`); asyncio's own
sleep, timeout, Event and TaskGroup do.
A program in which nothing can ever happen again is a `Deadlock` with the waiting tasks, not a hang.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z: a whole day, so grids and bars begin together


class Deadlock(RuntimeError):
    """Every task waits and no timer is set."""


class _VirtualSelector(selectors.BaseSelector):
    """Instead of waiting, moves `now` on by the time that the loop would have waited."""

    def __init__(self, socket_wait: float) -> None:
        self.now = 0.0
        self._socket_wait = socket_wait
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)  # the loop's own pipe: how a signal such as Ctrl-C arrives
        if ready:
            return ready
        if self._socket_wait and timeout != 0:
            ready = self._real.select(self._socket_wait)
            if ready:
                return ready
        if timeout is None:
            raise Deadlock(f"nothing is scheduled; these wait for ever: {_waiting()}")
        self.now += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s; `start_ms` is the wall time of that moment. `socket_wait` are real seconds that sockets of
    this same loop get to become ready before time jumps."""

    def __init__(self, start_ms: int, *, socket_wait: float = 0.0) -> None:
        self.start_ms = start_ms
        self._virtual = _VirtualSelector(socket_wait)
        self._home = threading.get_ident()
        super().__init__(self._virtual)
        # A timer runs once `when` < now + resolution. The resolution must be more than the spacing of floats
        # at `now` (4e-9 after a year), or a timer that is due would never run.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        raise RuntimeError("no threads on virtual time: when they answer would depend on the machine")

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """For signals and the finalisers of async generators, which run on this thread."""
        if threading.get_ident() != self._home:
            raise RuntimeError("no threads on virtual time: when they call would depend on the machine")
        return self.call_soon(callback, *args, context=context)


class VirtualClock:
    """ports.Clock on the running virtual loop. Each has its own wall clock, as each machine has."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise RuntimeError("a VirtualClock lives inside virtual_time.run()")
        self._loop = loop
        self._wall = loop.start_ms

    def now(self) -> int:
        return self._wall + round(self._loop.time() * 1000)

    def monotonic(self) -> float:
        return self._loop.time()

    def step(self, ms: int) -> None:
        """Jump the wall clock by `ms`, forwards or back; sleeping tasks do not notice."""
        self._wall += ms


def run(main: Callable[[], Coroutine[Any, Any, T]], *, start_ms: int = START_MS, socket_wait: float = 0.0) -> T:
    """Like asyncio.run(main()), on virtual time that begins at `start_ms` (epoch ms).

    With `socket_wait`, servers and clients of the same loop may talk over loopback: time jumps only once
    nothing has come in for so many real seconds. Then it is not the same every time, but nearly.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_ms, socket_wait=socket_wait)) as runner:
        return runner.run(main())


def _waiting() -> str:
    return ", ".join(sorted(task.get_name() for task in asyncio.all_tasks()))
