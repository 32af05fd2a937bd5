"""A reader with a real browser, and who judges what they see."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cryptowatcher.web.files import BUILT
from tests.browser.stage import PATIENCE, Stage, browser_program

T = TypeVar("T")

PROGRAM = browser_program()
AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"

in_browser = [
    pytest.mark.xdist_group("browser"),  # one browser for all of them
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium here: make system"),
    pytest.mark.skipif(not (BUILT / "index.html").is_file(), reason="the page was not built: make page"),
]
judged_by_axe = pytest.mark.skipif(not AXE.is_file(), reason="no axe here: make page")

PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
LOOKS = [(WIDE, "dark"), (PHONE, "light")]
"""Colours and layouts do not depend on each other."""


@contextlib.contextmanager
def reader(
    browser: Any, stage: Stage, *, may_be_said: re.Pattern[str] | None = None, **looks: Any
) -> Iterator[Any]:
    """A tab. Nothing may go wrong in it unseen, and nothing may be asked of anybody else."""

    def note(said: Any) -> None:
        if is_bad(said) and not (may_be_said and may_be_said.match(said.text)):
            wrong.append(f"{said.type}: {said.text}")

    wrong: list[str] = []
    context = browser.new_context(viewport=looks.pop("viewport", WIDE), base_url=stage.page, **looks)
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", note)
    page.on(
        "request",
        lambda asked: wrong.append(f"asked {asked.url}") if not asked.url.startswith(stage.page) else None,
    )
    yield page
    context.close()
    assert not wrong, wrong


def until(
    page: Any, ask: Callable[[], T], wanted: Callable[[T], object], what: str, patience: float = PATIENCE
) -> T:
    """What is asked again and again, as soon as it is as wanted. The page goes on meanwhile."""
    end = time.monotonic() + patience
    while not wanted(answer := ask()):
        assert time.monotonic() < end, f"{what}: not within {patience} s, but {answer!r:.1000}"
        page.wait_for_timeout(50)
    return answer


def answered(page: Any, path: str, wanted: Callable[[Any], object]) -> Any:
    """What the API answers, as soon as it is as wanted: the program works once a second."""
    return until(page, lambda: page.request.get(path).json(), wanted, path)


def shown_price(page: Any, pair: str, price: float) -> None:
    """Rules have seen it by then."""
    answered(page, f"/api/v1/prices/{pair}", lambda answer: answer.get("price") == price)


def comes_to(page: Any, script: str, argument: Any = None) -> Any:
    """What a function of the page comes to. Playwright itself would wait for a promise for ever."""
    late = f"new Promise((_, fail) => setTimeout(() => fail(new Error('it came to nothing')), {PATIENCE}e3))"
    return page.evaluate(f"(argument) => Promise.race([({script})(argument), {late}])", argument)


def drawn(page: Any) -> None:
    """Two pictures later: what the page knew before is in what it shows."""
    comes_to(page, "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


AWAY = re.compile(r"Failed to load resource: (net::ERR_|the server responded with a status of 503)")


def is_bad(said: Any) -> bool:
    """What a browser itself says of a server that is away or going is no fault of the page."""
    return said.type in ("error", "warning") and not AWAY.match(said.text)


UNCOVER = """() => {
  for (const each of document.querySelectorAll("nav, header"))
    if (["fixed", "sticky"].includes(getComputedStyle(each).position)) each.style.position = "static";
}"""
"""What a bar covers just now can be scrolled to: it is no small target."""


def violations(page: Any, within: str = "body") -> list[str]:
    page.evaluate(UNCOVER)
    wanted = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = comes_to(
        page,
        "([within, wanted]) => axe.run(within, {runOnly: wanted, resultTypes: ['violations']})",
        [within, wanted],
    )
    return [violation(each) for each in found["violations"]]


def violation(found: dict[str, Any]) -> str:
    return f"{found['id']}: {found['help']}: " + "; ".join(node["html"][:160] for node in found["nodes"][:4])
