"""Every file and function fits in a head."""

from __future__ import annotations

import ast

from tests.house.source import SRC, modules

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
REASON = "Longer than 400 lines because"


def test_no_file_is_longer_than_400_lines_without_a_reason_at_its_top() -> None:
    wrong = [
        f"{path.relative_to(SRC)}: {len(lines)} lines"
        for path in sorted(SRC.rglob("*.py"))
        if len(lines := path.read_text().splitlines()) > LONGEST_FILE
        and not any(REASON in line for line in lines[:20])
    ]
    assert not wrong


def test_no_function_is_longer_than_60_lines() -> None:
    wrong = [
        f"{name}.{node.name}: {length} lines"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not wrong


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in modules().items() if tree.body and not ast.get_docstring(tree)] == []
