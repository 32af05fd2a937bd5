"""Making and changing a rule in a real browser: what it will do is seen before it is saved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.past import pretend_a_past
from tests.browser.reading import AXE, LOOKS, drawn, in_browser, judged_by_axe, reader, violations
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4(04|09|22)")
"""What the browser itself says of an answer that a story asks for."""


def test_a_rule_is_made_by_choosing_and_shows_its_past_before_it_is_saved(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        asked = pretend_a_past(page)
        page.goto("/rules/new")
        page.get_by_role("button", name="Save the rule").click()
        expect(page.get_by_text("Choose a coin first.")).to_be_visible()
        page.get_by_label("Add a coin").fill("bitc")
        expect(page.get_by_role("option", name=re.compile("^Bitcoin bitcoin"))).to_be_visible()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="A move It moves").click()
        page.get_by_label("By at least").fill("1")
        expect(page.locator("main .words")).to_contain_text("the size of the change within 1h rises to 1%")
        expect(said(page)).to_contain_text(re.compile(r"\d+ times in 89 d"))
        expect(page.locator(".chart canvas").first).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("^24 h "))).to_be_visible()
        assert (asked[-1].when, asked[-1].pair) == ("abs(change(1h)) >= 1%", "bitcoin/usd")

        page.get_by_role("button", name="down", exact=True).click()
        page.get_by_label("By at least").fill("9")
        expect(page.locator("main .words")).to_contain_text("falls by 9% or more within 1h")
        expect(said(page)).to_contain_text("Not once")

        slider = page.get_by_label("Alerts a week", exact=True)
        slider.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        expect(said(page)).to_contain_text(re.compile("about (once a|1|2) ?(week|a week)"))
        number = page.get_by_label("By at least").input_value()
        assert 0 < float(number) < 9
        expect(page.locator("main .words")).to_contain_text(f"falls by {number}% or more")

        page.get_by_label("Name").fill("bitcoin sinks")
        page.get_by_role("button", name="Save the rule").click()
        expect(page).to_have_url(re.compile("/rules$"))
        expect(page.get_by_text("Saved: it counts from the next price on.")).to_be_visible()
    (saved,) = [each for each in rules(stage) if each["spec"]["name"] == "bitcoin sinks"]
    assert saved["spec"]["when"] == f"change(1h) <= -{number}%"
    assert saved["spec"]["pairs"] == ["bitcoin/usd"]


def test_a_price_can_be_dragged_and_what_it_would_have_done_follows(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        pretend_a_past(page)
        page.goto("/rules/new?pair=bitcoin/usd&when=price%20%3E%3D%2061000")
        expect(page.get_by_label("Price", exact=True)).to_have_value("61000")
        expect(said(page)).to_contain_text("Not once")
        handle = page.get_by_role("slider", name="The price it compares with")
        box = handle.bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 20, box["y"] + 70, steps=4)
        page.mouse.up()
        expect(said(page)).to_contain_text(re.compile(r"\d+ times|Once"))
        dragged = float(page.get_by_label("Price", exact=True).input_value())
        assert 50_000 < dragged < 61_000
        handle.focus()
        page.keyboard.press("ArrowUp")
        expect(page.get_by_label("Price", exact=True)).not_to_have_value(str(dragged))


def test_the_language_is_completed_said_back_and_mended(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        pretend_a_past(page)
        page.goto("/rules/new?pair=bitcoin/usd")
        page.get_by_role("button", name="Language").click()
        field = page.get_by_label("Condition")
        expect(field).to_be_focused()
        page.keyboard.type("rs")
        expect(page.get_by_role("option", name=re.compile("^rsi"))).to_be_visible()
        page.keyboard.press("Enter")
        expect(field).to_have_value("rsi(14, 1h)")
        expect(page.locator("#when-help")).to_contain_text("rsi(n, interval) the RSI of n interval candles")
        page.keyboard.press("End")
        page.keyboard.type(" ")
        page.get_by_role("option", name=re.compile("^crosses below")).click()
        page.keyboard.type("30 an")
        page.keyboard.press("Tab")
        page.keyboard.type("prize > 1")
        expect(page.locator("#when-wrong")).to_contain_text("did you mean `price`?")
        expect(page.locator("pre .slip")).to_have_text("prize")
        page.get_by_role("button", name="Write it so").click()
        expect(field).to_have_value("rsi(14, 1h) crosses below 30 and price > 1")
        expect(page.locator("main .words")).to_contain_text(
            "the RSI of 14 1h candles crosses below 30, and at the same"
        )
        expect(said(page)).to_be_visible()
        # One that is a usual rule opens as its form.
        field.fill("rsi(14, 1h) <= 25")
        expect(page.locator("main .words")).to_contain_text("falls to 25")
        page.get_by_role("button", name="Form").click()
        expect(page.get_by_label("RSI", exact=True)).to_have_value("25")


def test_an_answer_that_comes_late_does_not_speak_for_what_is_written_now(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        held: list[Any] = []

        def answer(route: Any) -> None:
            if "111" in route.request.post_data:
                held.append(route)
            else:
                route.continue_()

        pretend_a_past(page)
        page.route("**/api/v1/rules/check", answer)
        with page.expect_request("**/api/v1/rules/check"):
            page.goto("/rules/new?pair=bitcoin/usd&when=price%20%3E%3D%20111")
        page.get_by_label("Price", exact=True).fill("222")
        expect(page.locator("main .words")).to_contain_text("rises to 222")
        with page.expect_response("**/api/v1/rules/check"):
            held[0].continue_()
        expect(said(page)).to_be_visible()
        drawn(page)
        expect(page.locator("main .words")).to_contain_text("rises to 222")


def test_a_rule_is_changed_and_what_is_wrong_or_late_is_said(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    first = add(stage, name="changes", when="price > 9 or rank < 5", cooldown="2h")
    add(stage, name="taken", when="price > 1")
    with reader(browser, stage, may_be_said=REFUSED) as page:
        page.goto(f"/rules/{first['id']}")
        expect(page.get_by_text("version 1")).to_be_visible()
        page.get_by_role("main").get_by_role("link", name="Rules", exact=True).click()
        expect(page).to_have_url(re.compile("/rules$"))
        page.go_back()
        expect(page.get_by_label("Condition")).to_have_value("price > 9 or rank < 5")
        expect(page.get_by_text("That cannot be said.")).to_be_visible()  # by the program's own, short past
        page.get_by_text("More", exact=True).click()
        page.get_by_label("Must hold for").fill("soon")
        expect(page.get_by_text(re.compile("soon.* is not a duration")).first).to_be_visible()
        page.get_by_label("Must hold for").fill("5m")
        expect(page.get_by_text("Saving begins it anew, as version 2")).to_be_visible()
        page.get_by_label("Also tell when it is over").check()
        expect(page.locator("main .words")).to_contain_text("and once more when that is over")

        page.get_by_role("link", name="Cancel").click()
        expect(page.get_by_role("heading", name="Leave without saving?")).to_be_visible()
        page.get_by_role("button", name="Stay").click()
        page.go_forward()
        page.get_by_role("button", name="Stay").click()
        expect(page).to_have_url(re.compile(f"/rules/{first['id']}$"))
        expect(page.get_by_label("Must hold for")).to_have_value("5m")

        change(stage, first, advice="sell")  # somebody else, meanwhile
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", name="It was changed meanwhile")).to_be_visible()
        page.get_by_role("button", name="Save mine over it").click()
        expect(page).to_have_url(re.compile("/rules$"))

        page.goto(f"/rules/new?like={first['id']}")
        expect(page.get_by_label("Name")).to_have_value("changes (copy)")
        expect(page.get_by_label("Also tell when it is over")).to_be_checked()
        page.get_by_label("Name").fill("taken")
        page.get_by_role("button", name="Save the rule").click()
        expect(page.get_by_text("There is a rule of this name already")).to_be_visible()
        expect(page.get_by_label("Name")).to_be_focused()
        page.goto("/rules/nothing")
        expect(page.get_by_role("alert")).to_contain_text("There is no such rule")
    (saved,) = [each for each in rules(stage) if each["spec"]["name"] == "changes"]
    assert (saved["version"], saved["spec"]["for"], saved["spec"]["advice"]) == (2, "5m", "info")


@judged_by_axe
def test_everybody_can_use_the_rule(stage: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    with reader(browser, stage, reduced_motion="reduce") as page:
        pretend_a_past(page)
        for name, query, there in (
            ("rule", "pair=bitcoin/usd&when=price%20%3E%3D%2057000&advice=buy", "section .outcome"),
            ("language", "pair=bitcoin/usd&when=rsi(14,1h)%20%3C%2030%20and%20prize%20%3E%201", "#when-wrong"),
        ):
            page.goto(f"/rules/new?{query}")
            page.locator(there).first.wait_for()
            page.evaluate(AXE.read_text())
            for viewport, scheme in LOOKS:
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=scheme)
                page.locator(there).first.wait_for()
                page.screenshot(path=tmp_path / f"{name}-{viewport['width']}-{scheme}.png", full_page=True)
                assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
                page.set_viewport_size({**viewport, "height": 3_000})  # so that no bar lies over anything
                assert violations(page) == []


def said(page: Any) -> Any:
    """How often it would have fired."""
    return page.locator("section .said")


def rules(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{stage.page}/api/v1/rules", trust_env=False).json()["items"]
    return found


def add(stage: Stage, **spec: Any) -> dict[str, Any]:
    whole = {"pairs": ["bitcoin/usd"], **spec}
    answer = httpx.post(f"{stage.page}/api/v1/rules", json=whole, trust_env=False)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def change(stage: Stage, rule: dict[str, Any], **spec: Any) -> None:
    address = f"{stage.page}/api/v1/rules/{rule['id']}"
    httpx.put(address, json={**rule["spec"], **spec}, trust_env=False).raise_for_status()
