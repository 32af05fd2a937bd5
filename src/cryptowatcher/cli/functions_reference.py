"""Writes docs/functions.md from the features there are, so that it cannot be out of date."""

from __future__ import annotations

import sys

from cryptowatcher.domain.features import Function, Parameter, catalogue
from cryptowatcher.domain.rules.tree import Functions, show_argument

INTRODUCTION = """# Functions of conditions

What a condition can look at: a number for each pair, after each of its observations. How conditions are written
stands in [Rules](rules.md).

- **In brackets** stand the arguments, in this order. What has a default may be left out from the end. Words that
  stand for themselves, like `price`, take no brackets.
- **A window** is a duration, like `5m` or `24h`. **An interval** is the length of a candle: `1m`, `5m`, `1h` or
  `1d`. **A count** is how many of them.
- **Compared with** says how the number on the other side is written. `%` is a share: 5% is 0.05.
"""

_WRITTEN_AS = {
    "price": "a price",
    "money": "an amount",
    "fraction": "%",
    "number": "a number",
    "time": "a duration",
}
_KINDS = {"price": "a price", "pair": "a pair", "feature": "a function", "window": "a window",
          "interval": "an interval"}  # fmt: skip


def main() -> None:
    sys.stdout.write(reference(catalogue()))


def reference(functions: Functions) -> str:
    """The whole page."""
    rows = [
        f"| `{function.name}` | {_arguments(function, functions)} | {_meaning(function)} "
        f"| {_WRITTEN_AS[function.unit]} | `{function.example}` |"
        for function in sorted(functions.values(), key=lambda function: function.name)
    ]
    head = ["| function | arguments | what it is | compared with | example |", "|---|---|---|---|---|"]
    return "\n".join([INTRODUCTION, *head, *rows, ""])


def _arguments(function: Function, functions: Functions) -> str:
    return "<br>".join(_argument(parameter, functions) for parameter in function.parameters) or "–"


def _argument(parameter: Parameter, functions: Functions) -> str:
    """`count: 1 to 1000, 14 if left out`."""
    if parameter.kind in ("count", "number"):
        low, high = (show_argument(parameter.kind, bound, functions) for bound in (parameter.low, parameter.high))
        what = f"{low} to {high}"
    else:
        what = _KINDS[parameter.kind]
    if parameter.default is None:
        return f"{parameter.name}: {what}"
    default = show_argument(parameter.kind, parameter.default, functions)
    return f"{parameter.name}: {what}, {f'`{default}`' if default else 'the own'} if left out"


def _meaning(function: Function) -> str:
    """What it is called in a sentence, with the names of its arguments."""
    return function.says.format_map({each.name: f"*{each.name}*" for each in function.parameters})


if __name__ == "__main__":
    main()
