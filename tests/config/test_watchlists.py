"""Lists of pairs in the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptowatcher.config import resolve
from tests.config.test_load import error_of, load_text, write

LISTS = """
[watchlists]
mine = ["bitcoin/usd", "ethereum/usd"]
none = []
"""
RULE = """
[[rules]]
name = "moves"
pairs = ["list(mine)"]
when = "price > 1"
"""


def test_lists_are_read_with_the_rules_on_them(tmp_path: Path) -> None:
    config = load_text(tmp_path, LISTS + RULE)
    assert config.watchlists == {"mine": ("bitcoin/usd", "ethereum/usd"), "none": ()}
    assert config.rules[0].pairs == ("list(mine)",)
    assert load_text(tmp_path, "").watchlists == {}


def test_a_rule_names_a_list_that_stands_in_the_file(tmp_path: Path) -> None:
    error = error_of(tmp_path, LISTS.replace("mine", "yours") + RULE)
    assert error.where.endswith("rules[0].pairs[0]")
    assert "none, yours" in error.hint


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("mine =", "Mine =", "watchlists.Mine"),
        ("ethereum/usd", "ethereum", "watchlists.mine[1]"),
        ("ethereum/usd", "bitcoin/usd", "watchlists.mine[1]"),
        ("ethereum/usd", "all", "watchlists.mine[1]"),
    ],
)
def test_what_is_wrong_with_a_list_is_named(tmp_path: Path, old: str, new: str, where: str) -> None:
    assert error_of(tmp_path, LISTS.replace(old, new)).where.endswith(where)


def test_a_list_may_come_from_a_variable(tmp_path: Path) -> None:
    variable = {"CRYPTOWATCHER_WATCHLISTS__MINE": '["pepe/usd"]'}
    found = resolve(write(tmp_path, LISTS), variable)
    assert found.config.watchlists["mine"] == ("pepe/usd",)
    assert (found.origin("watchlists.mine"), found.origin("watchlists.none")) == (*variable, "file")
