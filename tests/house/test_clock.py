"""Domain and pipeline take time from ports.Clock and chance from a seeded Random that they are given."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import modules

FORBIDDEN = (
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "numpy.random",
    "os.urandom",
    "secrets",
    "time",
    "uuid.uuid1",
    "uuid.uuid4",
)
SEEDED = "random.Random"


def rooms() -> list[str]:
    return [name for name in modules() if name.startswith(("cryptowatcher.domain", "cryptowatcher.pipeline"))]


@pytest.mark.parametrize("name", rooms())
def test_nothing_asks_a_clock_or_chance_by_itself(name: str) -> None:
    assert list(violations(modules()[name])) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "from time import monotonic as m\nm()",
        "import datetime as dt\ndt.datetime.now()",
        "from datetime import UTC, datetime\ndatetime.now(UTC)",
        "import random\nrandom.random()",
        "from random import choice\nchoice([1])",
        "from random import Random\nRandom()",
        "import uuid\nuuid.uuid4()",
        "import numpy as np\nnp.random.default_rng()",
        "import secrets\nsecrets.token_hex()",
    ],
)
def test_each_of_these_would_be_found(text: str) -> None:
    assert list(violations(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "from random import Random\ndef f(random: Random): return random.random()",
        "from random import Random\nRandom(7)",
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)",
        "def f(clock): return clock.time()",
    ],
)
def test_what_is_given_may_be_used(text: str) -> None:
    assert not list(violations(ast.parse(text)))


def violations(tree: ast.Module) -> Iterator[str]:
    """`line: what` for each use of a forbidden function, under whatever name it was imported."""
    known = aliases(tree)
    given = {argument.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for argument in _all(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (path := _dotted(node, known, given)):
            chance = path.startswith("random.") and path != SEEDED
            if chance or any(path == each or path.startswith(f"{each}.") for each in FORBIDDEN):
                yield f"{node.lineno}: {path}"
        if isinstance(node, ast.Call) and not node.args and _dotted(node.func, known, given) == SEEDED:
            yield f"{node.lineno}: Random() without a seed"


def aliases(tree: ast.Module) -> dict[str, str]:
    """Local name → what it stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _all(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _dotted(node: ast.expr, known: dict[str, str], given: set[str]) -> str | None:
    if isinstance(node, ast.Name):
        return None if node.id in given else known.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, known, given)
        return f"{base}.{node.attr}" if base else None
    return None
