"""python -m tools.mutate [FILE …]: makes small wrong changes to these files, one at a time, and runs their tests.

A change that no test notices is printed, with its file and line: a test is missing, or the change makes no
difference. Of the latter kind those in `known.txt` are passed over. Nothing is written to the tree that is tested:
it is copied first, and a mutant exists only in the memory of the process that runs the tests, so tests that start
processes of their own do not see it. What was found is kept in .mutate/, and the next run goes on there: a mutant
that was killed stays killed until its file changes, one that survived is tried again when a test changes.
"""

from __future__ import annotations

import argparse
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
    KILLED,
    SURVIVED,
    TIMED_OUT,
    Changed,
    Collected,
    Place,
    Trial,
    anew,
    outside_of_functions,
)
from tools.mutate.mutants import KINDS, Mutated, apply, mutants_of
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


class Work(NamedTuple):
    target: Target
    mutated: Mutated


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when a mutant survived that is not known to make no difference."""
    options = _options(arguments)
    targets = _targets(options)
    with tempfile.TemporaryDirectory(prefix="mutate-") as scratch:
        tree = Path(scratch) / "tree"
        for part in ("src", "tests", "pyproject.toml"):
            _copy(ROOT / part, tree / part)
        results = Results(Path(options.results))
        survivors = _run(targets, Place(tree, Path(scratch)), results, options)
    _report(targets, results, survivors)
    return 1 if survivors else 0


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


def _run(targets: Sequence[Target], place: Place, results: Results, options: argparse.Namespace) -> list[Work]:
    """The mutants that survived."""
    survivors = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        for target in targets:
            source = (place.root / target.file).read_text()
            chosen = _chosen(target, source, options)
            task = bar.add_task(target.file.name, total=len(chosen))
            with ExitStack() as stack:
                trials = Trials(target, place, stack, quick=options.quick, timeout=options.timeout)
                for mutated in chosen:
                    outcome = None if options.again else results.get(target.file, mutated.mutant, trials.stamp)
                    if outcome is None:
                        outcome = trials.outcome(mutated)
                        results.put(target.file, mutated.mutant, trials.stamp, outcome)
                    if outcome == SURVIVED:
                        survivors.append(Work(target, mutated))
                        bar.console.print(_line(target, mutated), soft_wrap=True, markup=False, highlight=False)
                    bar.advance(task)
    return survivors


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


class Trials:
    """Runs a file's tests over its mutants, one after another. stamp: digests of the file and of its tests."""

    def __init__(
        self, target: Target, place: Place, stack: ExitStack, *, quick: float | None, timeout: float | None
    ) -> None:
        """`stack`: holds the process that has collected the tests, once there is one."""
        self._target = target
        self._place = place
        self._stack = stack
        self._quick = quick
        self._timeout = timeout
        self._file = place.root / target.file
        self._source = self._file.read_text()
        self._outside = outside_of_functions(compile(self._source, str(self._file), "exec"))
        self._tests: Collected | None = None
        self._took: dict[str, float] = {}
        self._noticed: dict[str, int] = {}  # test → when it noticed one last
        self._tried = 0
        texts = [(place.root / test.partition("::")[0]).read_text() for test in target.tests]
        self.stamp = Stamp(digest(self._source), digest(str(quick), *texts))

    def outcome(self, mutated: Mutated) -> str:
        """What becomes of this one."""
        if self._tests is None:
            self._tests = self._stack.enter_context(Collected(self._place, self._target.tests))
            self._took = self._tests.took(_LONG)
        quick = [test for test, took in self._took.items() if self._quick is None or took <= self._quick]
        # What noticed one will notice its neighbours.
        order = tuple(sorted(quick, key=lambda test: (-self._noticed.get(test, 0), self._took[test])))
        limit = self._timeout or 2 + 2 * sum(self._took[test] for test in quick)
        tree = apply(self._source, mutated)
        code = compile(tree, str(self._file), "exec")
        if outside_of_functions(code) != self._outside:
            changed = Changed(self._target.module, self._file, tree)
            return anew(self._place, changed, self._target.tests, order, limit)
        outcome, run = self._tests.run(Trial(self._target.module, code, order, limit))
        self._tried += 1
        if outcome == KILLED and run:
            self._noticed[run[-1][0]] = self._tried
        return outcome


def _line(target: Target, mutated: Mutated) -> str:
    return f"{target.file}:{mutated.mutant.line} {mutated.mutant.name}"


def _report(targets: Sequence[Target], results: Results, survivors: Sequence[Work]) -> None:
    write = sys.stdout.write
    for target in targets:
        counts = results.counts(target.file)
        killed, all_of = counts[KILLED] + counts[TIMED_OUT], sum(counts.values())
        share = f"{killed / all_of:6.1%}" if all_of else "     –"
        write(f"{share}  {killed:4} of {all_of:4} killed ({counts[TIMED_OUT]} by time)  {target.file}\n")
    for target, mutated in survivors:
        write(f"survived: {_line(target, mutated)}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
