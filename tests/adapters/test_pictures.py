"""Pictures as files."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys

import msgspec
from PIL import Image

from cryptowatcher.adapters.pictures import draw
from cryptowatcher.domain.pictures import HEIGHT, WIDTH, Picture

SMALL = 60_000
PICTURE = Picture(
    title="bitcoin/usd  50,123.5 usd",
    moment="2024-08-05 08:15:00 CEST",
    advice="sell",
    frame=(80.0, 56.0, 772.0, 362.0),
    lines=(((80.0, 100.0), (200.0, 120.0)), ((300.0, 200.0),), ((400.0, 250.0), (750.0, 300.0))),
    bands=(((80.0, 90.0), (200.0, 110.0), (200.0, 130.0), (80.0, 110.0)),),
    mark=(750.0, 300.0),
    limits=((280.0, "50,200"),),
    prices=((100.0, "51,000"), (300.0, "50,000")),
    times=((200.0, "03:00"), (500.0, "08-05")),
)


def made(picture: Picture = PICTURE) -> bytes:
    return asyncio.run(draw(picture))


def pixels(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGBA")


def test_warming_up_loads_what_drawing_needs_and_nothing_is_loaded_before() -> None:
    program = """
import asyncio, sys
from cryptowatcher.adapters import pictures
assert not [name for name in sys.modules if name.startswith("PIL")]
asyncio.run(pictures.warm_up())
loaded = set(sys.modules)
pictures.painted(pictures._NOTHING)
assert "PIL" in loaded
assert set(sys.modules) == loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_it_is_a_small_png_of_the_size_that_was_promised() -> None:
    png = made()
    assert len(png) < SMALL
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))


def test_the_busiest_is_small_too() -> None:
    zigzag = tuple((80 + index * 2.2, 60.0 + 300 * (index * 7919 % 100) / 100) for index in range(300))
    assert len(made(msgspec.structs.replace(PICTURE, lines=(zigzag,), bands=()))) < SMALL


def test_the_same_picture_is_the_same_file() -> None:
    assert made() == made() != made(msgspec.structs.replace(PICTURE, title="ethereum/usd  2,400 usd"))


def test_nothing_of_it_is_transparent_and_its_ground_is_white() -> None:
    image = pixels(made())
    assert image.getchannel("A").getextrema() == (255, 255)
    assert image.getpixel((600, 150)) == (255, 255, 255, 255)


def test_the_line_the_alert_and_the_threshold_stand_where_they_belong() -> None:
    image = pixels(made())

    def colour(x: int, y: int) -> tuple[int, ...]:
        found = image.getpixel((x, y))
        assert isinstance(found, tuple)
        return found[:3]

    red, _, blue = colour(575, 275)
    assert blue > red  # the price
    assert colour(300, 200) != (255, 255, 255)  # seen once, between two gaps
    assert colour(250, 150) == (255, 255, 255)  # and not before
    mark, threshold = colour(750, 300), colour(600, 280)
    assert mark[0] > 2 * mark[2]  # red: to sell
    assert threshold[0] > threshold[1] > threshold[2]
    other = pixels(made(msgspec.structs.replace(PICTURE, advice="buy"))).getpixel((750, 300))
    assert isinstance(other, tuple)
    assert other[1] > other[0]  # green


def test_letters_that_the_font_does_not_know_break_nothing() -> None:
    assert made(msgspec.structs.replace(PICTURE, title="比特币🚀/usd \u202e 1 usd"))
