"""The page as it was built: small enough to come quickly, and of nobody but us."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from cryptowatcher.web.files import BUILT

FRONTEND = Path(__file__).parents[2] / "frontend"
FIRST_LOAD = 150_000
"""Bytes as they travel, without the chart."""

built = pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="the page was not built: make page")


@built
def test_the_first_load_is_small() -> None:
    index = (BUILT / "index.html").read_text()
    named = [
        name for name in re.findall(r'(?:src|href)="/((?:assets|static)/[^"]+)"', index) if "icon-" not in name
    ]
    assert [name for name in named if name.endswith(".js")]
    styles = [(BUILT / name).read_text() for name in named if name.endswith(".css")]
    fonts = [f"assets/{name}" for style in styles for name in re.findall(r"url\(/assets/([^)]+)\)", style)]
    files = [BUILT / name for name in ("index.html", *named, *fonts)]
    size = sum(min(len(gzip.compress(file.read_bytes())), file.stat().st_size) for file in files)
    assert size <= FIRST_LOAD


@built
def test_charts_are_not_in_the_first_load() -> None:
    index = (BUILT / "index.html").read_text()
    of_charts = [path for path in BUILT.glob("assets/*.js") if "createSeriesMarkers" in path.read_text()]
    charts = list(BUILT.glob("assets/chart-*.js"))
    assert charts
    assert all(path.name not in index for path in [*charts, *of_charts])


@built
def test_the_document_holds_no_script_and_no_style_and_names_nobody_else() -> None:
    index = (BUILT / "index.html").read_text()
    assert not re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", index)
    assert "//" not in index.replace("<!doctype html>", "")


@pytest.mark.parametrize("lock", ["frontend/package-lock.json", "tools/helm/package-lock.json"])
def test_locks_name_versions_and_hashes_and_no_registry(lock: str) -> None:
    packages = json.loads((FRONTEND.parent / lock).read_text())["packages"]
    assert len(packages) > 1
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if name and "integrity" not in package]
