"""Draws pictures of prices as PNG, with Pillow.

The background is white and opaque: what is drawn can be read in a dark mail program too. Where nobody wants
pictures, nothing of the library is loaded.
"""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptowatcher.domain.pictures import HEIGHT, WIDTH, Picture, Point

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_FINE: Final = 2
"""Lines are drawn so many times as large and made smaller: the library draws them without soft edges."""

_INK, _PALE, _GRID, _EDGE, _PAPER = "#1f2328", "#59636e", "#e6e9ec", "#c8ccd1", "#ffffff"
_LINE, _BAND, _LIMIT = "#0969da", "#d4e6fa", "#9a6700"
_MARKS: Final = {"buy": "#1a7f37", "sell": "#cf222e", "info": "#8250df"}

_NOTHING: Final = Picture(
    title="-",
    moment="-",
    advice="info",
    frame=(0, 0, 1, 1),
    lines=(),
    bands=(),
    mark=(0, 0),
    limits=(),
    prices=((0, "-"),),
    times=(),
)


async def warm_up() -> None:
    """Loads the library, so that the first picture holds up nothing more than the others do. Where that cannot be
    done, `draw` will say why."""
    with suppress(ImportError, OSError):
        await draw(_NOTHING)


async def draw(picture: Picture) -> bytes:
    """A PNG of WIDTH × HEIGHT. Not on the loop's thread: it takes some tens of milliseconds."""
    return await asyncio.to_thread(painted, picture)


def painted(picture: Picture) -> bytes:
    """As `draw`, on this thread."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _grid(pen, picture)
    _prices(pen, picture)
    _words(pen, picture)
    file = io.BytesIO()
    sheet.reduce(_FINE).save(file, "PNG")
    return file.getvalue()


@cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size * _FINE)


def _grid(pen: ImageDraw, picture: Picture) -> None:
    left, top, right, bottom = picture.frame
    for y, _ in picture.prices:
        _rule(pen, (left, y), (right, y), _GRID)
    for x, _ in picture.times:
        _rule(pen, (x, top), (x, bottom), _GRID)
    _rule(pen, (left, bottom), (right, bottom), _EDGE)
    pen.rectangle((0, 0, WIDTH * _FINE - 1, HEIGHT * _FINE - 1), outline=_EDGE, width=_FINE)


def _prices(pen: ImageDraw, picture: Picture) -> None:
    left, top, right, bottom = picture.frame
    colour = _MARKS[picture.advice]
    for band in picture.bands:
        pen.polygon(_fine(band), fill=_BAND)
    for y, _ in picture.limits:
        _rule(pen, (left, y), (right, y), _LIMIT)
    _rule(pen, (picture.mark[0], top), (picture.mark[0], bottom), colour)
    for line in picture.lines:
        if len(line) > 1:
            pen.line(_fine(line), fill=_LINE, width=2 * _FINE, joint="curve")
        else:
            _dot(pen, line[0], 2, _LINE)
    _dot(pen, picture.mark, 6, _PAPER)
    _dot(pen, picture.mark, 5, colour)


def _words(pen: ImageDraw, picture: Picture) -> None:
    left, top, right, bottom = picture.frame
    _text(pen, (20, 28), picture.title, _INK, "lm", 20)
    _text(pen, (right, 28), picture.moment, _PALE, "rm", 14)
    for y, text in picture.prices:
        _text(pen, (left - 8, y), text, _PALE, "rm", 13)
    for x, text in picture.times:
        _text(pen, (x, bottom + 10), text, _PALE, "ma", 13)
    for y, text in picture.limits:
        # Below a line that is near the upper edge, else above it.
        above = y - top > 20
        _text(pen, (left + 8, y - 4 if above else y + 4), text, _LIMIT, "ld" if above else "la", 13)


def _rule(pen: ImageDraw, begin: Point, end: Point, colour: str) -> None:
    """A straight line, level or upright, that fills whole points: between two it would be pale."""
    (left, top), (right, bottom) = [(round(x) * _FINE, round(y) * _FINE) for x, y in (begin, end)]
    pen.rectangle((left, top, right + _FINE - 1, bottom + _FINE - 1), fill=colour)


def _dot(pen: ImageDraw, at: Point, radius: float, colour: str) -> None:
    x, y = at
    pen.ellipse(_fine([(x - radius, y - radius), (x + radius, y + radius)]), fill=colour)


def _text(pen: ImageDraw, at: Point, text: str, colour: str, anchor: str, size: int) -> None:
    pen.text(_fine([at])[0], text, fill=colour, font=_font(size), anchor=anchor)


def _fine(points: list[Point] | tuple[Point, ...]) -> list[Point]:
    return [(x * _FINE, y * _FINE) for x, y in points]
