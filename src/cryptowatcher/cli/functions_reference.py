"""Writes docs/functions.md from the features there are, so that it cannot be out of date."""

from __future__ import annotations

import sys

from cryptowatcher.domain.features import Function, Parameter, catalogue
from cryptowatcher.domain.rules.described import WRITTEN_AS, argument, meaning
from cryptowatcher.domain.rules.tree import Functions

INTRODUCTION = """# Functions of conditions

What a condition can look at: a number for each pair, after each of its observations. How conditions are written
stands in [Rules](rules.md).

- **In brackets** stand the arguments, in this order. What has a default may be left out from the end. Words that
  stand for themselves, like `price`, take no brackets.
- **A window** is a duration, like `5m` or `24h`. **An interval** is the length of a candle: `1m`, `5m`, `1h` or
  `1d`. **A count** is how many of them.
- **Compared with** says how the number on the other side is written. `%` is a share: 5% is 0.05.
"""


def main() -> None:
    sys.stdout.write(reference(catalogue()))


def reference(functions: Functions) -> str:
    """The whole page."""
    rows = [
        f"| `{function.name}` | {_arguments(function, functions)} | {meaning(function, '*')} "
        f"| {WRITTEN_AS[function.unit]} | `{function.example}` |"
        for function in sorted(functions.values(), key=lambda function: function.name)
    ]
    head = ["| function | arguments | what it is | compared with | example |", "|---|---|---|---|---|"]
    return "\n".join([INTRODUCTION, *head, *rows, ""])


def _arguments(function: Function, functions: Functions) -> str:
    return "<br>".join(_argument(parameter, functions) for parameter in function.parameters) or "–"


def _argument(parameter: Parameter, functions: Functions) -> str:
    """`count: 1 to 1000, 14 if left out`."""
    said = argument(parameter, functions)
    if said.default is None:
        return f"{said.name}: {said.what}"
    return f"{said.name}: {said.what}, {f'`{said.default}`' if said.default else 'the own'} if left out"


if __name__ == "__main__":
    main()
