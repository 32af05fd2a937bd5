"""On which lines of a TOML text its tables and their keys stand: the reader of TOML does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")
_HEADER = re.compile(r"""\s*\[""")
_TEXT = re.compile(
    r'''"""(?:[^"\\]++|\\.|"(?!""))*+"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'|\#[^\n]*+''', re.DOTALL
)
"""Texts of one or several lines, and comments. Nothing is gone back to (`++`): to remember each place of a text of
megabytes takes a hundred times its length."""


class Block(NamedTuple):
    """One `[[name]]`: the line of its head, and those of its keys. Lines count from 1."""

    line: int
    fields: dict[str, int]


def blocks_of(text: str, name: str) -> list[Block]:
    """In order. Only tables that are written `[[name]]`; what stands inside of text is no head."""
    head = re.compile(rf"""\s*\[\[\s*["']?{re.escape(name)}["']?\s*\]\]""")
    lines = text.split("\n")
    blocks: list[Block] = []
    inside = False
    for number in _outside_of_text(text):
        line = lines[number - 1]
        if head.match(line):
            blocks.append(Block(number, {}))
            inside = True
        elif _HEADER.match(line):
            inside = False
        elif inside and (key := _KEY.match(line)):
            blocks[-1].fields.setdefault(key[1], number)
    return blocks


def _outside_of_text(text: str) -> Iterator[int]:
    """The lines that do not begin inside of a text of several lines."""
    line, upto = 1, 0
    yield line
    for match in _TEXT.finditer(text):
        before = text.count("\n", upto, match.start())
        yield from range(line + 1, line + before + 1)
        line += before + match[0].count("\n")
        upto = match.end()
    yield from range(line + 1, line + text.count("\n", upto) + 1)
