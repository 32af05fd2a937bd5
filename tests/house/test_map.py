"""The map of the house in ARCHITECTURE.md names each file of the rooms that have most of them."""

from __future__ import annotations

import re

import pytest

from tests.house.source import ROOT, SRC

MAP = (ROOT / "ARCHITECTURE.md").read_text().split("## Layout")[1].split("## The arrows")[0]
HOUSE, FEATURES, RULES = re.split(r"### |^rules/$", MAP, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("", HOUSE),
        ("adapters", HOUSE),
        ("adapters/sources", HOUSE),
        ("adapters/journals", HOUSE),
        ("domain/features", FEATURES),
        ("domain/rules", RULES),
    ],
)
def test_every_file_is_on_the_map(folder: str, told: str) -> None:
    there = (SRC / folder).iterdir()
    names = {each.stem for each in there if each.suffix == ".py" or (each / "__init__.py").exists()}
    on_the_map = set(re.findall(r"[a-z_]+", told)) | {"__init__", "__main__"}
    assert names - on_the_map == set()
