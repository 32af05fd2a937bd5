"""The page in a real browser against the real program: what a reader does and sees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.reading import AXE, LOOKS, in_browser, judged_by_axe, reader, violations
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser


def row(page: Any, pair: str) -> Any:
    return page.locator(f"tr[data-pair='{pair}']")


def test_prices_are_shown_and_move_and_can_be_searched_sorted_and_listed(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        stage.price("bitcoin", 60_000.0)  # another file may have moved it
        page.goto("/")
        expect(row(page, "bitcoin/usd")).to_contain_text("$60,000")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        stage.price("bitcoin", 65_432.1)
        expect(row(page, "bitcoin/usd")).to_contain_text("$65,432.1")
        expect(page.locator("aside")).to_contain_text("bitcoin above")

        assert page.locator("tbody tr[data-pair]").count() < 40, "rows that are not seen are not drawn"
        page.get_by_role("button", name="Coin", exact=True).click()
        names = page.locator("tbody .title").all_inner_texts()
        assert names == sorted(names)

        page.locator("tbody a").first.focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator("tbody a").nth(1)).to_be_focused()
        for _ in range(3):
            page.keyboard.press("PageDown")
        expect(page.locator("tr[data-at='31'] a")).to_be_focused()

        page.keyboard.press("/")
        page.keyboard.type("doge")
        expect(page.locator("tbody tr[data-pair]").first).to_contain_text(re.compile("doge", re.I))
        assert "bitcoin" not in page.locator("tbody").inner_text().lower()
        page.keyboard.press("Escape")

        row(page, "aave/usd").get_by_role("button", pressed=False).click()
        page.get_by_role("button", name="favourites", exact=True).click()
        expect(page.locator("tbody tr[data-pair]")).to_have_count(1)

        page.get_by_role("button", name="All coins").click()
        page.get_by_role("button", name="Heat map").click()
        expect(page.get_by_role("link", name=re.compile("^Bitcoin, "))).to_be_visible()

        page.get_by_role("button", name="Dark colours").click()
        page.reload()
        expect(page.get_by_role("button", name="Light colours")).to_be_visible()
        expect(page.get_by_role("link", name=re.compile("^Bitcoin, "))).to_be_visible()


def test_a_coin_has_its_candles_alerts_and_rules_and_the_page_comes_back_when_the_program_does(
    stage: Stage, browser: Any
) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/")
        expect(row(page, "bitcoin/usd")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("bitcoin")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/coin/bitcoin/usd$"))
        expect(page.locator("h1")).to_have_text("Bitcoin")
        page.get_by_role("button", name="1m", exact=True).click()
        expect(page.locator(".chart canvas").first).to_be_visible()
        expect(page.locator("aside")).to_contain_text("price > 64000")

        stage.stop()
        expect(page.get_by_text("Connection lost, trying again")).to_be_visible()
        stage.price("bitcoin", 70_123.4)
        stage.start()
        expect(page.locator("header .big")).to_contain_text("$70,123.4")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        page.go_back()
        expect(row(page, "bitcoin/usd")).to_contain_text("$70,123.4")


@judged_by_axe
def test_everybody_can_use_it(stage: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    with reader(browser, stage, reduced_motion="reduce") as page:
        for name, path, there in (
            ("market", "/", "tbody tr[data-pair]"),
            ("coin", "/coin/bitcoin/usd", ".chart canvas"),
        ):
            page.goto(path)
            page.locator(there).first.wait_for()
            page.evaluate(AXE.read_text())
            for viewport, scheme in LOOKS:
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=scheme)
                page.locator(there).first.wait_for()
                page.screenshot(path=tmp_path / f"{name}-{viewport['width']}-{scheme}.png")
                assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
                assert violations(page) == []
