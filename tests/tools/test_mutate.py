"""The tool that makes small wrong changes: which it makes, and that tests notice them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

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
    order = tuple(tests.took(60.0))
    for each in others:
        code = compile(apply(file.read_text(), each), str(file), "exec")
        print(each.mutant.after, tests.run(Trial("sized", code, order, 60.0))[0], sep=": ")
changed = Changed("sized", file, apply(file.read_text(), limit))
print(limit.mutant.after, anew(place, changed, ["test_sized.py"], order, 60.0), sep=": ")
"""


def test_what_a_test_notices_is_killed_and_what_none_notices_survives(tmp_path: Path) -> None:
    root, scratch = tmp_path / "tree", tmp_path / "scratch"
    (root / "src").mkdir(parents=True)
    scratch.mkdir()
    (root / "src/sized.py").write_text(SOURCE)
    (root / "test_sized.py").write_text(TEST)
    command = [sys.executable, "-c", OUTCOMES, str(root), str(scratch)]  # it forks, which threads do not like
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    # Nobody looks at 5, and nothing in the test tells it from 6.
    assert {line for line in ran.stdout.splitlines() if line.endswith("survived")} == {
        "6: survived",
        "n <= LIMIT: survived",
    }
    assert ran.stdout.count("killed") == 8
