"""python -m tools.mutate [FILE …]: makes small wrong changes to these files, one at a time, and runs their tests.

A change that no test notices is printed, with its file and line: a test is missing, or the change makes no
difference. Of the latter kind those in `known.txt` are passed over. Nothing is written to the tree that is tested:
it is copied first, and a mutant exists only in the memory of the process that runs the tests, so tests that start
processes of their own do not see it. What was found is kept in .mutate/, and the next run goes on there: a mutant
that was killed stays killed until its file changes, one that survived is tried again when a test changes.
"""

from __future__ import annotations

import argparse
import ast
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tools.mutate.child import (
    CRASHED,
    KILLED,
    SURVIVED,
    TIMED_OUT,
    Changed,
    Collected,
    Place,
    Ran,
    Trial,
    Unusable,
    anew,
    outside_of_functions,
)
from tools.mutate.mutants import KINDS, Mutated, apply, mutants_of, shows_in
from tools.mutate.results import Results, Stamp, digest, known
from tools.mutate.targets import TARGETS

ROOT = Path(__file__).parents[2]
SOURCE = Path("src")
_LONG = 3600.0


class Target(NamedTuple):
    """A file whose mutants are wanted, relative to the root, and its tests."""

    file: Path
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        return ".".join(self.file.relative_to(SOURCE).with_suffix("").parts)


class Left(NamedTuple):
    """A mutant that was not killed."""

    target: Target
    mutated: Mutated
    outcome: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.target.file}:{self.mutated.mutant.line} {self.mutated.mutant.name}"


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when a mutant was not killed that is not known to make no difference."""
    options = _options(arguments)
    targets = _targets(options)
    with tempfile.TemporaryDirectory(prefix="mutate-") as scratch:
        tree = Path(scratch) / "tree"
        for part in ("src", "tests", "pyproject.toml"):
            _copy(ROOT / part, tree / part)
        results = Results(Path(options.results))
        left = _run(targets, Place(tree, Path(scratch)), results, options)
    _report(targets, results, left)
    return 1 if left else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.add_argument("files", nargs="*", help="source files; all of targets.py without any")
    parser.add_argument("--tests", nargs="+", help="tests to run instead of those in targets.py")
    parser.add_argument("--sample", type=int, help="so many mutants of each file, by chance; all without")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="only these kinds of changes")
    parser.add_argument(
        "--quick", type=float, metavar="S", help="leave out tests that take longer, for a first look"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="leave out Hypothesis properties, for a first look that is cheaper still",
    )
    parser.add_argument(
        "--near", action="store_true", help="ask only tests that come by the changed line, where some do"
    )
    parser.add_argument(
        "--timeout", type=float, help="seconds of work; by default twice what the tests take, and 2"
    )
    parser.add_argument("--results", default=str(ROOT / ".mutate"), help="folder that keeps what was found")
    parser.add_argument("--again", action="store_true", help="also try again what was killed before")
    return parser.parse_args(arguments)


def _targets(options: argparse.Namespace) -> list[Target]:
    files = [Path(file).resolve().relative_to(ROOT) for file in options.files] or [Path(file) for file in TARGETS]
    found = []
    for file in files:
        tests = options.tests or TARGETS.get(str(file))
        if tests is None:
            raise SystemExit(f"{file}: which tests? Name them with --tests, or in tools/mutate/targets.py")
        found.append(Target(file, tuple(tests)))
    return found


def _copy(source: Path, to: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)


def _run(targets: Sequence[Target], place: Place, results: Results, options: argparse.Namespace) -> list[Left]:
    left = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    files = [place.root / target.file for target in targets]
    with Progress(*columns, console=Console(stderr=True)) as bar, ExitStack() as stack:
        suites = Suites(place, files, stack, plain=options.plain)
        for target in targets:
            source = (place.root / target.file).read_text()
            chosen = _chosen(target, source, options)
            task = bar.add_task(target.file.name, total=len(chosen))
            trials = Trials(target, suites, options)
            for mutated in chosen:
                outcome = None if options.again else results.get(target.file, mutated.mutant, trials.stamp)
                if outcome is None:
                    outcome = trials.outcome(mutated)
                    results.put(target.file, mutated.mutant, trials.stamp, outcome)
                if outcome in (SURVIVED, CRASHED):
                    left.append(Left(target, mutated, outcome))
                    bar.console.print(str(left[-1]), soft_wrap=True, markup=False, highlight=False)
                bar.advance(task)
    return left


def _chosen(target: Target, source: str, options: argparse.Namespace) -> list[Mutated]:
    skipped = known()
    chosen = [
        each
        for each in mutants_of(source)
        if each.mutant.kind in options.kinds and (str(target.file), each.mutant.name) not in skipped
    ]
    if options.sample is None or options.sample >= len(chosen):
        return chosen
    return Random(options.seed).sample(chosen, options.sample)


class Suites:
    """The tests of the files; those of several files are collected once. `stack`: holds their processes."""

    def __init__(self, place: Place, files: Sequence[Path], stack: ExitStack, *, plain: bool) -> None:
        self.place = place
        self._files = files
        self._stack = stack
        self._plain = plain
        self._known: dict[tuple[str, ...], tuple[Collected, tuple[Ran, ...]]] = {}

    def of(self, tests: tuple[str, ...]) -> tuple[Collected, tuple[Ran, ...]]:
        """Waiting for trials, and how each did over the code as it is."""
        if tests not in self._known:
            collected = self._stack.enter_context(Collected(self.place, tests, plain=self._plain))
            self._known[tests] = collected, collected.ran(_LONG, self._files)
        return self._known[tests]


class Trials:
    """Runs a file's tests over its mutants, one after another. stamp: digests of the file and of its tests."""

    def __init__(self, target: Target, suites: Suites, options: argparse.Namespace) -> None:
        self._target = target
        self._suites = suites
        self._place = suites.place
        self._options = options
        self._file = self._place.root / target.file
        self._source = self._file.read_text()
        self._outside = outside_of_functions(compile(self._source, str(self._file), "exec"))
        self._noticed: dict[str, int] = {}  # test, or function of tests → when it noticed one last
        self._tried = 0
        self._innocent: set[tuple[bool, tuple[str, ...]]] = set()
        texts = [(self._place.root / test.partition("::")[0]).read_text() for test in target.tests]
        self.stamp = Stamp(digest(self._source), digest(f"{options.quick} {options.plain} {options.near}", *texts))

    def outcome(self, mutated: Mutated) -> str:
        """What becomes of this one."""
        tests, ran = self._suites.of(self._target.tests)
        quick = [each for each in ran if self._options.quick is None or each.took <= self._options.quick]
        order = self._order(quick, mutated.mutant.line)
        limit = self._options.timeout or 2 + 2 * sum(each.took for each in quick if each.test in order)
        tree = apply(self._source, mutated)
        code = compile(tree, str(self._file), "exec")
        all_anew = outside_of_functions(code) != self._outside
        if all_anew:
            outcome, noticed = self._anew(tree, order, limit)
        else:
            outcome, tried = tests.run(Trial(self._target.module, code, order, limit))
            noticed = tried[-1].test if tried else ""
        self._tried += 1
        if outcome == KILLED:
            self._blame(tests, order[: order.index(noticed) + 1 if noticed else 1], all_anew=all_anew)
        if outcome == KILLED and noticed:
            self._noticed[noticed] = self._noticed[noticed.partition("[")[0]] = self._tried
        return outcome

    def _anew(self, tree: ast.Module, order: tuple[str, ...], limit: float) -> tuple[str, str]:
        changed = Changed(self._target.module, self._file, tree)
        return anew(self._place, changed, self._target.tests, order, limit)

    def _blame(self, tests: Collected, asked: tuple[str, ...], *, all_anew: bool) -> None:
        """Unusable if these tests, of which the last has failed (or the first could not be begun), fail in this
        order without any change too: then nothing was killed."""
        if (all_anew, asked) in self._innocent:
            return
        if all_anew:
            outcome, _ = self._anew(ast.parse(self._source), asked, _LONG)
        else:
            outcome, _ = tests.run(Trial("", None, asked, _LONG))
        if outcome != SURVIVED:
            raise Unusable(f"these fail in this order without any change: {', '.join(asked)}")
        self._innocent.add((all_anew, asked))

    def _order(self, tests: Sequence[Ran], line: int) -> tuple[str, ...]:
        """First those that come by this line, and of them those that noticed a neighbour. The others may notice it
        too: of what is kept (a cache) only the first test of all came by where it is made."""
        here = {(str(self._file), each) for each in shows_in(self._source, line)}

        def place(ran: Ran) -> tuple[bool, int, int, float]:
            last = self._noticed.get
            return here.isdisjoint(ran.lines), -last(ran.test, 0), -last(ran.test.partition("[")[0], 0), ran.took

        near = [ran for ran in tests if not here.isdisjoint(ran.lines)] if self._options.near else []
        return tuple(ran.test for ran in sorted(near or tests, key=place))


def _report(targets: Sequence[Target], results: Results, left: Sequence[Left]) -> None:
    write = sys.stdout.write
    for target in targets:
        counts = results.counts(target.file)
        killed, all_of = counts[KILLED] + counts[TIMED_OUT], sum(counts.values())
        share = f"{killed / all_of:6.1%}" if all_of else "     –"
        write(f"{share}  {killed:4} of {all_of:4} killed ({counts[TIMED_OUT]} by time)  {target.file}\n")
    for each in left:
        write(f"{each}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
