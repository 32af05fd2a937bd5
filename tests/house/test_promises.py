"""Each promise names tests that exist, so that a test which is renamed or removed is missed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import ROOT

ROW = re.compile(r"^\| (?P<number>B?\d+) \| .+ \| (?P<tests>`.+`) \|$", re.MULTILINE)
ROWS = {
    row["number"]: row["tests"].strip("`").split("` `")
    for row in ROW.finditer((ROOT / "docs/promises.md").read_text())
}


def functions(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node.name


def test_every_point_and_every_mistake_has_its_row() -> None:
    assert list(ROWS) == [*map(str, range(1, 16)), *(f"B{number}" for number in range(1, 17))]


@pytest.mark.parametrize("number", ROWS)
def test_the_tests_of_a_promise_exist(number: str) -> None:
    for test in ROWS[number]:
        path, _, name = test.partition("::")
        assert name in functions(path), test
