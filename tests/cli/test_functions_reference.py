"""The pages about conditions say what the language and the features say."""

from __future__ import annotations

import re

import pytest

from cryptowatcher.cli import functions_reference
from cryptowatcher.domain.features import catalogue
from cryptowatcher.domain.rules.language import Language
from tests.domain.functions import FUNCTIONS
from tests.house.source import ROOT

READER = Language({**FUNCTIONS, **catalogue()})
CONDITIONS = (ROOT / "docs/rules.md").read_text().partition("## Conditions")[2].partition("\n## ")[0]
EXAMPLES = CONDITIONS.partition("```text\n")[2].partition("```")[0].splitlines()
OPERATORS = CONDITIONS.partition("### Operators")[2].partition("\n\n")[2].partition("###")[0]


def test_the_page_of_functions_is_current() -> None:
    assert (ROOT / "docs/functions.md").read_text() == functions_reference.reference(catalogue()), (
        "run `make docs`"
    )


def test_a_function_is_told_with_its_arguments_bounds_and_defaults() -> None:
    page = functions_reference.reference(FUNCTIONS)
    assert "| `rank` | – | the rank by market cap | a number | `rank` |" in page
    assert "| window: a window | the change within *window* | % | `change(5m)` |" in page
    assert (
        "count: 2 to 500<br>width: 0.1 to 10, `2` if left out<br>interval: an interval, `1h` if left out" in page
    )
    assert "| `price` | pair: a pair, the own if left out |" in page


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_is_a_condition(text: str) -> None:
    READER.parse(text)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 10


def test_every_condition_in_the_text_is_one() -> None:
    text = re.sub(r"```.*?```", "", CONDITIONS, flags=re.DOTALL)
    # Between backticks, with blanks around a comparison, and not a mere word or a table's cell.
    named = [
        each for each in re.findall(r"`([^`|]+)`", text) if re.search(r"\w.* (<|>|<=|>=|crosses above) \S", each)
    ]
    assert len(named) > 8
    for each in named:
        READER.parse(each)


WRITTEN = "or and not < <= > >= crosses_above crosses_below + - * / abs(x) min(a,_b,_…) max(a,_b,_…) (_)"


@pytest.mark.parametrize("written", WRITTEN.split())
def test_the_table_of_operators_has_all_of_them(written: str) -> None:
    assert f"`{written.replace('_', ' ')}`" in OPERATORS
