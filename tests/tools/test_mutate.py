"""The tool that makes small wrong changes: which it makes, and that tests notice them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tests.processes import ran
from tools.mutate.mutants import apply, mutants_of

SOURCE = '''
"""Not code."""
LIMIT: "text" = 5


def small(n: int) -> bool:
    """Not code."""
    if n < LIMIT and not n % 2:
        return True
    return False
'''
TEST = """
from sized import small

def test_a_few():
    assert small(4) is True and small(0) is True and small(3) is False and small(8) is False
"""


def code(number: int) -> str:
    return ast.unparse(apply(SOURCE, mutants_of(SOURCE)[number]))


def test_every_operator_and_constant_is_changed_and_nothing_that_is_not_code() -> None:
    found = [
        (each.mutant.line, each.mutant.kind, each.mutant.before, each.mutant.after) for each in mutants_of(SOURCE)
    ]
    assert found == [
        (3, "number", "5", "6"),
        (8, "boolean", "n < LIMIT and (not n % 2)", "n < LIMIT or not n % 2"),
        (8, "boundary", "n < LIMIT", "n <= LIMIT"),
        (8, "comparison", "n < LIMIT", "n >= LIMIT"),
        (8, "boolean", "not n % 2", "n % 2"),
        (8, "arithmetic", "n % 2", "n * 2"),
        (8, "number", "2", "3"),
        (9, "return", "return True", "return None"),
        (9, "boolean", "True", "False"),
        (10, "boolean", "False", "True"),
    ]


def test_one_change_is_made_and_no_other() -> None:
    before = ast.unparse(ast.parse(SOURCE))
    changed = [code(number) for number in range(len(mutants_of(SOURCE)))]
    assert len({*changed, before}) == len(changed) + 1
    assert changed[2] == before.replace("n < LIMIT", "n <= LIMIT")


OUTCOMES = """
import sys
from pathlib import Path
from tools.mutate.child import Changed, Collected, Place, Trial, anew
from tools.mutate.mutants import apply, mutants_of

place = Place(Path(sys.argv[1]), Path(sys.argv[2]))
file = place.root / "src/sized.py"
limit, *others = mutants_of(file.read_text())
with Collected(place, ["test_sized.py"]) as tests:
    ran = tests.ran(60.0, [file])
    order = tuple(each.test for each in ran)
    print("lines", sorted(line for _, line in ran[0].lines))
    for each in others:
        code = compile(apply(file.read_text(), each), str(file), "exec")
        print(each.mutant.after, tests.run(Trial("sized", code, order, 60.0))[0], sep=": ")
    ended = compile(file.read_text().replace("return False", "__import__('os')._exit(3)"), str(file), "exec")
    print("ended", tests.run(Trial("sized", ended, order, 60.0))[0], sep=": ")
changed = Changed("sized", file, apply(file.read_text(), limit))
print(limit.mutant.after, anew(place, changed, ["test_sized.py"], order, 60.0)[0], sep=": ")
"""


def in_a_process(program: str, folder: Path, name: str, tests: str) -> str:
    """What it says of a tree with these tests. It forks, which threads do not like."""
    root, scratch = folder / "tree", folder / "scratch"
    (root / "src").mkdir(parents=True)
    scratch.mkdir()
    (root / "src/sized.py").write_text(SOURCE)
    (root / name).write_text(tests)
    command = [sys.executable, "-c", program, str(root), str(scratch)]
    done = ran(*command, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_test_notices_is_killed_and_what_none_notices_survives(tmp_path: Path) -> None:
    said = in_a_process(OUTCOMES, tmp_path, "test_sized.py", TEST)
    # Nobody looks at 5, and nothing in the test tells it from 6.
    assert {line for line in said.splitlines() if line.endswith("survived")} == {
        "6: survived",
        "n <= LIMIT: survived",
    }
    assert said.count("killed") == 8
    assert "lines [6, 8, 9, 10]\n" in said
    assert "ended: crashed\n" in said  # no test failed


TURNS = """
from sized import small

seen = []

def test_that_takes_longer():
    seen.append(sum(range(3_000_000)))
    assert small(4)

def test_that_needs_the_other_before_it():
    assert seen and small(4)
"""
BLAMED = """
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from tools.mutate.__main__ import Suites, Target, Trials
from tools.mutate.child import Place, Unusable
from tools.mutate.mutants import mutants_of

place = Place(Path(sys.argv[1]), Path(sys.argv[2]))
file = place.root / "src/sized.py"
with ExitStack() as stack:
    suites = Suites(place, [file], stack, plain=False)
    options = Namespace(quick=None, plain=False, near=False, timeout=60.0)
    trials = Trials(Target(Path("src/sized.py"), ("test_turns.py",)), suites, options)
    for mutated in mutants_of(file.read_text())[:2]:  # outside of functions, and in one
        try:
            print(trials.outcome(mutated))
        except Unusable:
            print("unusable")
"""


def test_a_test_that_fails_by_its_place_among_others_kills_nothing(tmp_path: Path) -> None:
    said = in_a_process(BLAMED, tmp_path, "test_turns.py", TURNS)
    assert said.split() == ["unusable", "unusable"]
