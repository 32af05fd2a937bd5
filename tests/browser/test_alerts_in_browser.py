"""Alerts and signals in a real browser: they come in, say why, are acknowledged, and show what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.reading import (
    AXE,
    LOOKS,
    answered,
    in_browser,
    judged_by_axe,
    reader,
    shown_price,
    until,
    violations,
)
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

MARKET = "inbox: all there are"
FIRED = re.compile("^Bitcoin rose above \\$64,000")


@pytest.fixture(scope="module")
def filled(stage: Stage, browser: Any) -> Stage:
    """More alerts than a page of them holds: a rule of everything that is true from the beginning."""
    with reader(browser, stage) as page:
        rule = {
            "name": MARKET,
            "pairs": ["all"],
            "when": "price > 0.0000001",
            "channels": ["screen"],
            "fire_if_already_true": True,
        }
        made = page.request.post("/api/v1/rules", data=rule)
        assert made.ok, made.text()
        page.goto("/alerts?seen=no")
        sync_api.expect(page.locator("li[id^=alert-]").first).to_be_visible()
        answered(page, "/api/v1/alerts?limit=1000", lambda answer: len(answer["items"]) > 100)
    return stage


def scrolled(page: Any, wanted: Callable[[float], bool]) -> None:
    """Scrolling takes a while."""
    until(page, lambda: page.evaluate("scrollY"), wanted, "how far the page was scrolled")


def bitcoin_rises(stage: Stage, page: Any) -> None:
    """Its rule fires, whatever was before."""
    for price in (60_000.0, 66_000.0):
        stage.price("bitcoin", price)
        shown_price(page, "bitcoin/usd", price)


def test_an_alert_comes_in_by_itself_says_why_and_is_acknowledged_by_keys(filled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, filled) as page:
        page.goto("/alerts")
        rows = page.locator("li[id^=alert-]")
        expect(rows).not_to_have_count(0)
        bitcoin_rises(filled, page)
        expect(rows.first.get_by_role("link")).to_have_text(FIRED)
        expect(rows.first).to_contain_text("Not acknowledged")
        page.keyboard.press("j")
        expect(rows.first.get_by_role("link")).to_be_focused()
        page.keyboard.press("a")
        expect(rows.first).to_contain_text("Acknowledged")

        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(FIRED)
        expect(page.get_by_role("main")).to_contain_text("Acknowledged")
        why = page.get_by_role("region", name="Why")
        for said in (
            "bitcoin above",
            "When the price of bitcoin/usd rises above 64000.",
            "$66,000",
            "$60,000",
            "coingecko",
        ):
            expect(why).to_contain_text(said)
        told = page.get_by_role("region", name="Who was told")
        expect(told).to_contain_text("screen")
        expect(told.get_by_text("sent", exact=True)).to_be_visible()
        after = page.get_by_role("region", name="What happened after")
        expect(after.get_by_text(re.compile("^known "))).to_have_count(3)
        expect(page.locator(".chart canvas").first).to_be_visible()
        expect(page.get_by_role("link", name="Edit the rule")).to_have_attribute("href", re.compile("^/rules/"))

        this = page.url.rpartition("/")[2]
        page.goto(f"/#alert-{this}")  # as messages linked to it once
        expect(page).to_have_url(re.compile(f"/alerts/{this}$"))
        expect(page.locator("h1")).to_have_text(FIRED)


def test_who_reads_further_down_is_not_disturbed_and_older_ones_follow(filled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, filled) as page:
        page.goto("/alerts")
        rows = page.locator("li[id^=alert-]")
        expect(rows).to_have_count(100)
        page.evaluate("scrollTo(0, 900)")  # a wheel is lost before the rows are on the screen
        scrolled(page, lambda y: y > 500)
        newest = rows.first.get_attribute("id")
        bitcoin_rises(filled, page)
        expect(page).to_have_title(re.compile(r"^\(1\) Alerts"))
        assert rows.first.get_attribute("id") == newest
        page.get_by_role("button", name="1 new").click()
        expect(rows.first).not_to_have_id(newest)
        expect(rows.first.get_by_role("link")).to_have_text(FIRED)

        scrolled(page, lambda y: y == 0)
        rows.last.scroll_into_view_if_needed()
        expect(page.get_by_text("That is all.")).to_be_attached()
        assert rows.count() > 100


def test_what_comes_while_the_list_is_being_read_is_shown_too(filled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, filled) as page:
        page.goto("/alerts")
        rows = page.locator("li[id^=alert-]")
        expect(rows).to_have_count(100)
        newest = rows.first.get_attribute("id")
        held: list[tuple[Any, Any]] = []
        page.route("**/api/v1/alerts?*", lambda route: held.append((route, route.fetch())))
        with page.expect_request("**/api/v1/alerts?*"):
            page.reload()
        until(page, lambda: held, bool, "the answer without what comes now")
        bitcoin_rises(filled, page)
        expect(page.get_by_role("link", name=re.compile("^Alerts.*1"))).to_be_visible()  # it came by the stream
        ((route, answer),) = held
        route.fulfill(response=answer)
        expect(rows.first.get_by_role("link")).to_have_text(FIRED)
        expect(rows.first).not_to_have_id(newest)


def test_what_is_shown_stands_in_the_address(filled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, filled) as page:
        page.goto("/alerts")
        rows = page.locator("li[id^=alert-]")
        expect(rows).to_have_count(100)
        page.get_by_role("button", name="Filter").click()
        page.get_by_label("Coin", exact=True).fill("Dogecoin")
        page.get_by_label("Coin", exact=True).press("Enter")
        expect(page).to_have_url(re.compile(r"\?pair=dogecoin%2Fusd$"))
        expect(rows).to_have_count(1)
        page.reload()
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("Dogecoin")
        page.get_by_role("combobox", name=re.compile("^Advice")).select_option("signal")
        expect(page.get_by_text("Nothing here fits what you ask for.")).to_be_visible()
        page.get_by_role("button", name="Show everything").first.click()
        expect(page).to_have_url(re.compile(r"/alerts$"))
        expect(rows).to_have_count(100)

        for row in (3, 5):
            rows.nth(row).get_by_role("checkbox").check()
        page.get_by_role("button", name="Acknowledge", exact=True).click()
        for row in (3, 5):
            expect(rows.nth(row)).to_contain_text("Acknowledged")
        rows.nth(7).get_by_role("button", name="Snooze the rule").click()
        page.get_by_role("button", name="8 hours").click()
        expect(page.get_by_text(re.compile("is snoozed for 8 hours"))).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Acknowledge all").click()
        expect(page.get_by_text(re.compile(r"^\d+ acknowledged$"))).to_be_visible()
        page.get_by_role("button", name="Not acknowledged", exact=True).click()
        expect(page.get_by_text("Nothing here fits what you ask for.")).to_be_visible()


def test_a_signal_is_shown_with_its_rule_and_its_score_and_never_as_advice(filled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, filled) as page:
        page.goto("/signals")
        expect(page.get_by_role("main")).to_contain_text("It is no advice of ours")
        bitcoin_rises(filled, page)
        now = page.get_by_role("region", name="Suggested now")
        expect(now).to_contain_text("Suggested by your rule bitcoin above: Bitcoin rose above $64,000.")
        expect(now).to_contain_text("sell")
        expect(now).to_contain_text("no firings to judge")
        scores = page.get_by_role("region", name="Scores")
        expect(scores.get_by_role("rowheader")).to_contain_text(["bitcoin above"])
        scores.get_by_role("button", name="Rule").click()
        expect(scores.get_by_role("columnheader", name="Rule")).to_have_attribute("aria-sort", "ascending")
        starters = page.get_by_role("region", name="Strategies to begin with")
        expect(starters).to_contain_text("mostly worth nothing")
        expect(starters.get_by_role("link", name="Make a rule of it").first).to_have_attribute(
            "href", re.compile(r"^/rules/new\?name=sharp\+drop.*when=change.*advice=buy")
        )


@judged_by_axe
def test_everybody_can_use_the_alerts(filled: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    with reader(browser, filled, reduced_motion="reduce") as page:
        bitcoin_rises(filled, page)
        listed = answered(page, "/api/v1/alerts?advice=sell", lambda answer: answer["items"])
        one = listed["items"][0]["id"]
        for name, path, there in (
            ("inbox", "/alerts", "li[id^=alert-]"),
            ("narrowed", "/alerts?seen=no&time=24h&pair=nothing%2Fusd", "main .empty button"),
            ("alert", f"/alerts/{one}", ".chart canvas"),
            ("signals", "/signals", "main .card .verdict"),
        ):
            page.goto(path)
            page.locator(there).first.wait_for()
            look_at(page, name, there, tmp_path)


def look_at(page: Any, name: str, there: str, folder: Path) -> None:
    page.evaluate(AXE.read_text())
    for viewport, scheme in LOOKS:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.locator(there).first.wait_for()
        page.screenshot(path=folder / f"{name}-{viewport['width']}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        # As tall as all of it: what the bar at the bottom covers by half is not too small.
        page.set_viewport_size({**viewport, "height": 12_000})
        assert violations(page) == []
