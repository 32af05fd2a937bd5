"""A browser for the tests of a file. Not for longer: while it is there, nobody else can run a loop here. And one
program for all of them whose page is open to this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.reading import PROGRAM
from tests.browser.stage import PATIENCE, Stage

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=PATIENCE * 1000)
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Others leave rules and alerts behind: use names of your own. A test that stops it starts it again."""
    with Stage(tmp_path_factory.mktemp("stage")).up() as stage:
        yield stage
