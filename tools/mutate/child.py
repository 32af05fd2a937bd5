"""The processes that run the tests: one that has collected them, and a fork of it for each mutant.

Most changes are inside functions: the fork puts the changed code into the functions that are there, and begins at
the first test at once. Where something else is changed (a table, a default, a class), a process of its own begins
with nothing and imports all.
"""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import hypothesis.strategies
import lark
import msgspec.json
import numpy.random
import pytest
import structlog

LOADED = (lark, msgspec, numpy, structlog)
"""What each process would load again."""
Line = tuple[str, int]
Tracer = Callable[[FrameType, str, Any], Any]
SURVIVED, KILLED = "survived", "killed"
TIMED_OUT = "timed out"
CRASHED = "crashed"
"""Neither: no test failed, yet the process did not come to its end."""
_MEMORY = 4 << 30
_PATIENCE = 20
_ARGUMENTS = (
    *("-q", "-x", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"),
    *("-p", "pytest_timeout", "--timeout=0"),  # `timeout` in pyproject.toml is its; deadlines are kept here
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


class Place(NamedTuple):
    """Where tests are run.

    root:    of the tree
    scratch: a folder for what they write
    """

    root: Path
    scratch: Path


class Changed(NamedTuple):
    """A module with a change in it. `file`: where it is without."""

    module: str
    file: Path
    tree: ast.Module


class Trial(NamedTuple):
    """What is asked of the tests: to run in this order, for so many seconds of work at most. `code`: of a module
    whose functions are changed; None where nothing is to be changed. `follow`: files whose lines are noted."""

    module: str
    code: CodeType | None
    order: tuple[str, ...]
    timeout: float
    follow: tuple[str, ...] = ()


class Ran(NamedTuple):
    """A test that was run: how long it took (s), and the (file, line)s that it came by, of files that
    are followed."""

    test: str
    took: float
    lines: frozenset[Line]


class Unusable(Exception):
    """The tests do not run, or fail without any change."""


class Collected:
    """Tests that were collected and wait for trials, in a process of their own. A context manager.

    plain: no Hypothesis properties among them
    """

    def __init__(self, place: Place, tests: Sequence[str], *, plain: bool = False) -> None:
        self._place = place
        self._tests = tests
        self._plain = plain
        self._here, self._there = Pipe()
        self._process = 0

    def __enter__(self) -> Collected:
        self._process = _forked(self._place, self._serve, timeout=math.inf)
        self._there.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()
        os.waitpid(self._process, 0)

    def names(self) -> list[str]:
        """All of them."""
        return self._ask(None)  # type: ignore[return-value]  # the answer to no trial

    def ran(self, timeout: float, files: Sequence[Path]) -> tuple[Ran, ...]:
        """Each test over the code as it is, and which lines of these files it comes by."""
        outcome, ran = self.run(Trial("", None, tuple(self.names()), timeout, tuple(map(str, files))))
        if outcome != SURVIVED:
            raise Unusable(f"the tests fail without any change:\n{_output(self._place)}")
        return ran

    def run(self, trial: Trial) -> tuple[str, tuple[Ran, ...]]:
        """What becomes of a mutant, and each test that was run: the last one noticed."""
        return self._ask(trial)  # type: ignore[return-value]  # the answer to a trial

    def _ask(self, trial: Trial | None) -> object:
        try:
            self._here.send(None if trial is None else (trial._replace(code=None), _dumped(trial.code)))
            return self._here.recv()
        except (EOFError, OSError):
            raise Unusable(f"the tests cannot be collected:\n{_output(self._place)}") from None

    def _serve(self) -> int:
        self._here.close()
        server = _Server(self._there, self._place, plain=self._plain)
        arguments = [*_ARGUMENTS, f"--basetemp={self._place.scratch / 'basetemp'}", *self._tests]
        return int(pytest.main(arguments, plugins=[_Quick(), server]))


def anew(
    place: Place, changed: Changed, tests: Sequence[str], order: Sequence[str], timeout: float
) -> tuple[str, str]:
    """What becomes of a mutant that all is imported anew for, and the test that noticed, if one did."""
    noticed = place.scratch / "noticed.txt"
    noticed.write_text("")

    def run() -> int:
        sys.meta_path.insert(0, _Finder(changed))
        arguments = [*_ARGUMENTS, f"--basetemp={place.scratch / 'basetemp'}", *tests]
        return int(pytest.main(arguments, plugins=[_Quick(), _InOrder(order, noticed)]))

    # With the change a test fails, or cannot even be collected: 4 where one test of a file was asked for.
    code = _outcome(_forked(place, run, timeout=timeout), timeout)
    return _judged(code, noticed=(1, 2, 4)), noticed.read_text()


# --- processes -------------------------------------------------------------------------------------


def _forked(place: Place, run: Callable[[], int], *, timeout: float) -> int:
    """The id of a fork that ends with what `run` returns."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        _settle_in(place, timeout)
        code = run()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _settle_in(place: Place, timeout: float) -> None:
    os.chdir(place.root)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half of a start
    sys.path[:0] = [str(place.root / "src"), str(place.root)]
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    if timeout != math.inf:
        seconds = math.ceil(timeout)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    said = os.open(place.scratch / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)


def _outcome(child: int, timeout: float) -> int | None:
    """Its exit code; None when it took too long, by work or (it may wait instead) by the clock."""
    late = threading.Timer(_PATIENCE * timeout, os.killpg, [child, signal.SIGKILL])
    late.start()
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.killpg(child, signal.SIGKILL)
        raise
    finally:
        late.cancel()
    code = os.waitstatus_to_exitcode(status)
    return None if code in (-signal.SIGKILL, -signal.SIGXCPU) else code


def _judged(code: int | None, noticed: Collection[int]) -> str:
    """What an exit code says. `noticed`: those of a test that failed."""
    if code is None:
        return TIMED_OUT
    return SURVIVED if code == 0 else KILLED if code in noticed else CRASHED


def _output(place: Place) -> str:
    return (place.scratch / "output.txt").read_text()[-3000:]


# --- in the process that has collected the tests ----------------------------------------------------


class _Server:
    """Instead of running the tests: a fork for each trial, which runs them."""

    def __init__(self, trials: Connection, place: Place, *, plain: bool) -> None:
        self._trials = trials
        self._place = place
        self._plain = plain
        self._functions: list[FunctionType] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items if not (self._plain and _is_property(item))}
        self._functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
        gc.freeze()  # what is there is shared with all forks
        while True:
            try:
                asked = self._trials.recv()
            except EOFError:
                return True
            self._trials.send([*items] if asked is None else self._answer(items, *asked))

    def _answer(self, items: dict[str, pytest.Item], trial: Trial, code: bytes) -> tuple[str, tuple[Ran, ...]]:
        here, there = Pipe(duplex=False)

        def run() -> int:
            if code:
                self._put_in(trial.module, _loaded(code))
            return _run([items[test] for test in trial.order], there, trial.follow)

        child = _forked(self._place, run, timeout=trial.timeout)
        there.close()
        ran: list[Ran] = []
        outcome = _outcome_while(child, trial.timeout, here, ran)
        return _judged(outcome, noticed=(1,)), tuple(ran)

    def _put_in(self, module: str, code: CodeType) -> None:
        """Every function of the module gets its code of this one."""
        changed = functions_in(code)
        for function in self._functions:
            if function.__module__ == module and function.__code__.co_qualname in changed:
                function.__code__ = changed[function.__code__.co_qualname]


def _outcome_while(child: int, timeout: float, tests: Connection, ran: list[Ran]) -> int | None:
    def listen() -> None:
        try:
            while True:
                ran.append(tests.recv())
        except EOFError:
            tests.close()

    listening = threading.Thread(target=listen)
    listening.start()
    code = _outcome(child, timeout)
    listening.join()
    return code


def _run(items: Sequence[pytest.Item], ran: Connection, follow: tuple[str, ...]) -> int:
    """Up to the first test that fails: 1, otherwise 0."""
    for place, item in enumerate(items):
        before = time.process_time()
        noted = _Noted()
        item.config.pluginmanager.register(noted)
        following = items[place + 1] if place + 1 < len(items) else None
        lines = _followed(item, follow) if follow else set()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item.config.pluginmanager.unregister(noted)
        ran.send(Ran(item.nodeid, time.process_time() - before, frozenset(lines)))
        if noted.failed:
            return 1
    return 0


def _is_property(item: pytest.Item) -> bool:
    return hypothesis.is_hypothesis_test(getattr(item, "obj", None))


def _followed(item: pytest.Item, files: tuple[str, ...]) -> set[Line]:
    """The lines of these files that it comes by, once it has been run."""
    lines: set[Line] = set()
    runtest = item.runtest

    def line(frame: FrameType, _event: str, _arg: object) -> Tracer:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, event: str, arg: object) -> Tracer | None:
        return line(frame, event, arg) if frame.f_code.co_filename in files else None

    def follow() -> None:
        sys.settrace(call)
        try:
            runtest()
        finally:
            sys.settrace(None)

    item.runtest = follow  # type: ignore[method-assign]  # of this one only
    return lines


class _Noted:
    """Whether a test failed."""

    failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed


# --- changes ---------------------------------------------------------------------------------------


def functions_in(code: CodeType) -> dict[str, CodeType]:
    """Qualified name → code of each function that a module or a class of it defines."""
    found: dict[str, CodeType] = {}
    for inner in (const for const in code.co_consts if isinstance(const, CodeType)):
        if _is_function(inner):
            found[inner.co_qualname] = inner
        else:
            found |= functions_in(inner)
    return found


def _is_function(code: CodeType) -> bool:
    """Not a class, nor what has no name of its own: a comprehension, which is run at once, or a lambda."""
    return bool(code.co_flags & 0x1) and not code.co_name.startswith("<")  # CO_OPTIMIZED


def outside_of_functions(code: CodeType) -> object:
    """What of a module's code is run when it is imported, to be compared."""
    consts = tuple(
        (inner.co_qualname if _is_function(inner) else outside_of_functions(inner))
        if isinstance(inner, CodeType)
        else (type(inner), inner)
        for inner in code.co_consts
    )
    return code.co_code, consts, code.co_names


def _dumped(code: CodeType | None) -> bytes:
    import marshal

    return b"" if code is None else marshal.dumps(code)


def _loaded(code: bytes) -> CodeType:
    import marshal

    loaded: CodeType = marshal.loads(code)  # noqa: S302  # made by this very program
    return loaded


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module changed."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed

    def find_spec(
        self, name: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._changed.module:
            return None
        return importlib.util.spec_from_file_location(name, self._changed.file, loader=_Loader(self._changed))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, changed: Changed) -> None:
        super().__init__(changed.module, str(changed.file))
        self._tree = changed.tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec")


# --- plugins of pytest -----------------------------------------------------------------------------


class _Quick:
    """Hypothesis need not make its examples small, nor keep them."""

    def pytest_sessionstart(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutate", deadline=None, database=None, phases=phases)
        hypothesis.settings.load_profile("mutate")


class _InOrder:
    """Runs these tests and no others, in this order, and writes down which one failed."""

    def __init__(self, order: Sequence[str], noticed: Path) -> None:
        self._noticed = noticed
        self._place = {test: place for place, test in enumerate(order)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._place), key=lambda item: self._place[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._noticed.write_text(report.nodeid)
