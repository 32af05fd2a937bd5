"""The system's page in a real browser: all is well, a source is lost and back, what is red says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.reading import AXE, LOOKS, in_browser, judged_by_axe, reader, violations
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

LOOK_OFTEN = "setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 300)"
"""The page asks anew when somebody comes back to it; so that a test need not wait for its next turn."""


def sentence(page: Any) -> Any:
    return page.get_by_label("In one sentence")


def test_a_source_that_is_lost_is_told_within_seconds_with_what_to_do_and_so_is_its_return(
    stage: Stage, browser: Any
) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/system")
        expect(sentence(page)).to_contain_text("Everything is watched")
        page.evaluate(LOOK_OFTEN)
        sources = page.get_by_role("region", name="Sources")
        expect(sources).to_contain_text("sees")
        try:
            stage.source("reset")
            expect(sentence(page)).to_contain_text("no new ones come since")
            expect(sentence(page)).to_contain_text("→")
            stage.source("rate_limited_seconds", 1)
            expect(sources).to_contain_text("get a free demo key")
            expect(sources).to_contain_text(re.compile(r"Next call in \d+ s"))
        finally:
            stage.source()
        expect(sentence(page)).to_contain_text("Everything is watched")
        expect(sources).to_contain_text("rate limited")  # what the last hour brought


def test_what_was_seen_is_a_picture_that_leads_to_the_coin_and_a_table(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/system")
        seen = page.get_by_role("region", name="What was seen")
        expect(seen.locator("canvas")).to_be_visible()
        expect(seen.locator("tbody a").first).to_be_visible()
        page.get_by_role("button", name="7 days").click()
        expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
        seen.locator("canvas").hover(position={"x": 40, "y": 20})
        expect(seen.locator(".over")).to_contain_text("/usd")
        page.get_by_role("button", name="Look for what is wrong").click()
        expect(page.get_by_role("region", name="Doctor")).to_contain_text(re.compile("looked at|want a look"))
        seen.locator("canvas").click(position={"x": 40, "y": 20})
        expect(page).to_have_url(re.compile("/coin/.+/usd$"))


@judged_by_axe
def test_everybody_can_use_the_system_page(stage: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off, also where much is red; pictures are kept in the test's folder."""
    with reader(browser, stage, reduced_motion="reduce") as page:
        page.goto("/system")
        page.locator("canvas").wait_for()
        look_at(page, "well", tmp_path)
        page.route("**/api/v1/system", lambda route: route.fulfill(json=troubled(route.fetch().json())))
        page.route("**/api/v1/coverage?*", lambda route: route.fulfill(json=patchy(route.fetch().json())))
        page.goto("/system")
        page.get_by_role("region", name="Not seen now").wait_for()
        page.get_by_role("region", name="What was seen").locator("tbody a").first.wait_for()
        look_at(page, "troubled", tmp_path)


def troubled(told: dict[str, Any]) -> dict[str, Any]:
    """The same answer on a bad day."""
    at = told["at_ms"]
    hour = 3_600_000
    why = "its price jumped, and is held until another one agrees"
    pairs = ["bitcoin/usd", *(f"a-coin-of-a-long-name-{n}/usd" for n in range(20))]
    blind = [
        {"pair": p, "since_ms": at - hour, "source": "coingecko", "reason": "held", "why": why} for p in pairs
    ]
    told["blind"], told["blind_count"], told["held"] = blind, 21, 21
    told["verdict"] = {
        "kind": "pairs_blind",
        "count": 21,
        "since_ms": at - hour,
        "detail": "coingecko: too many calls",
        "todo": "nothing now: it waits; if it comes often, `top` of the source is too much",
    }
    told["sources"][0] |= {"todo": "nothing now: see `cryptowatcher check --online`"}
    told["sources"][0]["status"] |= {
        "state": "blind",
        "reason": "rate_limited",
        "detail": "too many calls",
        "calls_per_month": 10_000,
        "calls_this_month": 9_120,
        "calls_this_minute": 5,
        "calls_per_minute": 5,
    }
    told["deliveries"] |= {"retrying": 4, "given_up": 2}
    told["troubles"] = {"tidy": "disk_full"}
    told["checks"][0] |= {"ok": False, "todo": "see its log and start the watcher again"}
    told["storage"] |= {"full_at_ms": at + 50 * hour, "store_a_day": 4e7}
    return told


def patchy(told: dict[str, Any]) -> dict[str, Any]:
    """A day with a restart, a source that was away, and coins that come and go."""
    day = "w" * 30 + "p" + "t" * 8 + "w" * 40 + "." * 3 + "p" + "w" * 13
    told["cells"] = [
        "." * (60 - at) + day[60 - at :] if at < 50 else day[:20] + "." * (at % 3) + day[20 + at % 3 :]
        for at in range(len(told["pairs"]))
    ]
    told["watched"] = [cells.count("w") / 96 for cells in told["cells"]]
    return told


def look_at(page: Any, name: str, folder: Path) -> None:
    page.evaluate(AXE.read_text())
    for viewport, scheme in LOOKS:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        # As high as it is: else the phone's bar lies over what is judged.
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({**viewport, "height": height + 100})
        page.screenshot(path=folder / f"{name}-{viewport['width']}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        assert violations(page) == []
