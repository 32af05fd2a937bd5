"""A coin's page in a real browser: indicators, what was not watched, what came after alerts, moves explained."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.browser.reading import (
    AXE,
    LOOKS,
    comes_to,
    drawn,
    in_browser,
    judged_by_axe,
    reader,
    violations,
)
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

PAGE = "/coin/ethereum/usd"
HOUR = 3_600_000
HOURS = 900
UNSEEN = range(60, 66)
"""Hours ago."""


@pytest.fixture(scope="module")
def past(stage: Stage) -> Stage:
    """Some weeks of hours of some coins, as if the program had been there."""
    now = time.time_ns() // 1_000_000 // HOUR * HOUR
    store = apsw.Connection(str(stage.folder / "data" / "store.db"))
    store.set_busy_timeout(10_000)
    prices: Any = store.execute("SELECT pair, price FROM prices ORDER BY market_cap DESC LIMIT 12").fetchall()
    rows = [
        (pair, HOUR, now - ago * HOUR, *hour(price, ago), 1e9 + ago * 1e6, 60, HOUR, 1)
        for pair, price in prices
        for ago in range(HOURS, 0, -1)
        if ago not in UNSEEN
    ]
    columns = "pair, interval, start, open, high, low, close, volume_24h, ticks, observed_ms, complete"
    with store:
        marks = ", ".join("?" * 11)
        store.executemany(f"INSERT OR REPLACE INTO candles ({columns}) VALUES ({marks})", rows)
    store.close()
    return stage


def hour(price: float, ago: int) -> tuple[float, float, float, float]:
    """Open, high, low and close."""
    begin, end = (
        price * (1 + 0.05 * math.sin(each / 37) + 0.01 * math.sin(each / 3.1)) for each in (ago + 1, ago)
    )
    return begin, max(begin, end) * 1.004, min(begin, end) * 0.996, end


def opened(page: Any, interval: str = "1h") -> None:
    page.goto(PAGE)
    page.locator(".chart canvas").first.wait_for()
    page.get_by_role("button", name=interval, exact=True).click()
    page.get_by_label("The candle shown").wait_for()


def add(page: Any, title: str) -> None:
    page.get_by_label("Add", exact=True).select_option(label=title)
    page.get_by_role("button", name="Draw it").click()


def test_indicators_are_chosen_drawn_told_and_remembered(past: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, past, may_be_said=re.compile("Failed to load resource.*400")) as page:
        opened(page)
        page.get_by_role("button", name="Indicators").click()
        add(page, "Bollinger bands")
        add(page, "Relative strength (RSI)")
        expect(page.get_by_role("list", name="Drawn now").get_by_role("listitem")).to_have_count(2)
        page.get_by_label("Add", exact=True).select_option(label="A number of your own…")
        text = page.get_by_label("What rules could look at")
        text.fill("price > 5")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("a number is drawn, not a condition")
        text.fill("change(24h)")
        page.keyboard.press("Enter")
        expect(page.get_by_role("list", name="Drawn now").get_by_role("listitem")).to_have_count(3)
        page.keyboard.press("Escape")

        told = page.locator("dl[aria-label=Indicators] dd")
        expect(told).to_have_count(5)
        for place in range(4):
            expect(told.nth(place)).to_have_text(re.compile(r"\d"))
        expect(told.nth(4)).to_have_text(re.compile(r"%"))
        page.reload()
        expect(told).to_have_count(5)
        page.get_by_role("button", name="Indicators").click()
        page.get_by_role("button", name="Remove RSI 14").click()
        page.get_by_role("button", name="Remove change(24h)").click()
        page.keyboard.press("Escape")
        expect(told).to_have_count(3)


def test_a_move_is_explained_for_a_length_between_two_times_and_for_what_is_marked(
    past: Stage, browser: Any
) -> None:
    expect = sync_api.expect
    with reader(browser, past) as page:
        opened(page)
        panel = page.get_by_role("region", name="Explain a move")
        panel.get_by_role("button", name="24 h").click()
        expect(panel).to_contain_text("ethereum/usd ")
        expect(panel).to_contain_text("in 24 hours")
        expect(panel).to_contain_text(re.compile("watched pairs in USD|no market"))
        expect(panel).to_contain_text("What caused the move nobody can read from prices.")

        begin, end = (panel.get_by_label(name, exact=True) for name in ("From", "To"))
        begin.fill(end.input_value())
        panel.get_by_role("button", name="Explain", exact=True).click()
        expect(panel.get_by_role("alert")).to_contain_text("must lie after")

        panel.get_by_role("button", name="Mark on the chart").click()
        chart = page.locator(".chart").bounding_box()
        y = chart["y"] + 90
        page.mouse.move(chart["x"] + chart["width"] - 260, y)
        page.mouse.down()
        page.mouse.move(chart["x"] + chart["width"] - 140, y, steps=4)
        page.mouse.up()
        expect(panel.get_by_role("button", name="Mark on the chart")).to_be_visible()
        expect(panel).to_contain_text(re.compile(r"in \d+ hours"))
        panel.get_by_role("button", name="Clear").click()
        expect(panel).to_contain_text("Choose how long")


def test_an_alert_has_its_row_with_what_came_after_and_leads_to_its_page(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        stage.price("bitcoin", 60_000.0)
        page.goto("/coin/bitcoin/usd")
        expect(page.locator("header .big")).to_contain_text("$60,000")
        stage.price("bitcoin", 65_000.0)
        alerts = page.get_by_role("region", name="Alerts, and what came after")
        expect(alerts.get_by_role("link").first).to_be_visible()
        page.reload()
        expect(alerts.get_by_text("not yet known").first).to_be_visible()
        expect(page.get_by_role("link", name="New rule for Bitcoin")).to_have_attribute(
            "href", "/rules/new?pair=bitcoin%2Fusd"
        )
        alerts.get_by_role("link").first.click()
        expect(page).to_have_url(re.compile("/alerts/[0-9a-f]{11}-"))


@judged_by_axe
def test_everybody_can_use_the_coin(past: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    with reader(browser, past, reduced_motion="reduce") as page:
        opened(page)
        page.get_by_role("button", name="Indicators").click()
        for title in ("Average (SMA)", "Bollinger bands", "MACD", "Relative strength (RSI)"):
            add(page, title)
        page.get_by_role("list", name="Drawn now").get_by_text("RSI 14").wait_for()
        page.evaluate(AXE.read_text())
        pictures(page, "indicators", tmp_path)
        page.keyboard.press("Escape")
        panel = page.get_by_role("region", name="Explain a move")
        panel.get_by_role("button", name="7 d").click()
        panel.get_by_text("nobody can read from prices").wait_for()
        pictures(page, "coin", tmp_path)


def pictures(page: Any, name: str, folder: Path) -> None:
    for viewport, scheme in LOOKS:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=folder / f"{name}-{viewport['width']}-{scheme}.png", full_page=name == "coin")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        page.evaluate("scrollTo(0, 0)")  # else a bar that stays may lie over a part of what is judged
        assert violations(page) == []


def test_candles_that_come_after_the_reader_has_left_are_drawn_nowhere(past: Stage, browser: Any) -> None:
    with reader(browser, past) as page:
        opened(page)
        held: list[Any] = []
        page.route("**/api/v1/candles/**", lambda route: held.append(route))
        with page.expect_request("**/api/v1/candles/**"):
            page.get_by_role("button", name="5m", exact=True).click()
        page.get_by_role("link", name="Rules", exact=True).click()
        page.locator(".chart").wait_for(state="detached")
        assert held
        with page.expect_response("**/api/v1/candles/**") as answer:
            held[0].continue_()
        answer.value.finished()
        comes_to(page, "() => fetch('/health/live').then((answer) => answer.text())")  # what came before is read
        drawn(page)
