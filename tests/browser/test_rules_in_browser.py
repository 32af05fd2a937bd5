"""The list of rules in a real browser, and a coin's rules as lines that can be dragged."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.reading import AXE, LOOKS, WIDE, in_browser, judged_by_axe, reader, shown_price, violations
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

EVIL = "<img src=x onerror=alert(1)> & 'more'"
MANY = 600
MINUTE = 60_000


@pytest.fixture(scope="module")
def api(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{stage.page}/api/v1", trust_env=False, timeout=60) as client:
        yield client


def listed(page: Any, name: str) -> Any:
    return page.locator("tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


def spec(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "pairs": ["ethereum/usd"], "when": "price > 900000", "channels": ["screen"], **more}


def take(api: httpx.Client, *specs: dict[str, Any]) -> None:
    answer = api.post("/rules/import", json={"rules": specs, "write": True})
    assert answer.json()["done"], answer.text


def show_candles(page: Any) -> None:
    """Two hours of them: the program has watched for some seconds only."""
    now = int(time.time() * 1000)
    minutes = range(now // MINUTE - 120, now // MINUTE + 1)
    seen = {"open": 100, "high": 108, "low": 92, "close": 101, "volume_24h": 5, "ticks": 60}
    candles = [{"start_ms": each * MINUTE, "observed_ms": MINUTE, "complete": True, **seen} for each in minutes]
    answer = {"pair": "solana/usd", "interval": "1m", "from_ms": 0, "to_ms": now, "items": candles}
    page.route("**/api/v1/candles/solana/**", lambda route: route.fulfill(json=answer))


def when_of(api: httpx.Client, name: str) -> str:
    rules = api.get("/rules").json()["items"]
    return str(next(rule["spec"]["when"] for rule in rules if rule["spec"]["name"] == name))


def test_rules_are_found_silenced_paused_and_removed_and_come_back(
    stage: Stage, browser: Any, api: httpx.Client
) -> None:
    take(api, spec("list one"), spec("list two", advice="sell", pairs=["dogecoin/usd"]), spec(EVIL))
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/rules")
        expect(listed(page, EVIL)).to_contain_text("Ethereum")
        page.get_by_label("Search in rules").fill("list doge")
        expect(page.locator("tbody tr[data-rule]")).to_have_count(1)
        expect(listed(page, "list two")).to_contain_text("Watching")
        page.get_by_role("button", name="Pause list two").click()
        expect(listed(page, "list two")).to_contain_text("Paused")
        page.get_by_role("button", name="Resume list two").click()
        expect(listed(page, "list two")).to_contain_text("Watching")

        page.get_by_role("button", name="More for list two").click()
        page.keyboard.press("End")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        expect(page.get_by_role("menuitem", name="Snooze until tomorrow")).to_be_focused()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(listed(page, "list two")).to_contain_text("Snoozed")

        page.get_by_label("Search in rules").fill("list")
        page.get_by_role("checkbox", name=re.compile("Choose all")).check()
        bar = page.get_by_role("region", name="Rules that are chosen")
        bar.get_by_role("button", name="Remove").click()
        expect(page.get_by_text("No rule is like that.")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        expect(listed(page, "list one")).to_be_visible()
        expect(listed(page, "list two")).to_be_visible()

        page.get_by_label("Search in rules").fill("bitcoin above")
        expect(listed(page, "bitcoin above")).to_contain_text("file")
        page.get_by_role("button", name="More for bitcoin above").click()
        expect(page.get_by_role("menuitem", name="Remove")).to_be_disabled()


def test_the_end_that_is_chosen_for_a_silence_stays_while_time_goes_by(
    stage: Stage, browser: Any, api: httpx.Client
) -> None:
    take(api, spec("hush"))
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.clock.install()
        page.goto("/rules")
        page.get_by_role("button", name="More for hush").click()
        page.get_by_role("menuitem", name="Snooze until…").click()
        dialog = page.get_by_role("dialog")
        wanted = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT08:00")
        dialog.get_by_label("Until", exact=True).fill(wanted)
        page.clock.fast_forward(2_000)
        expect(dialog.get_by_label("Until", exact=True)).to_have_value(wanted)
        dialog.get_by_role("button", name="Snooze", exact=True).click()
        expect(listed(page, "hush")).to_contain_text("Snoozed")
        expect(page.get_by_role("button", name="More for hush")).to_be_focused()
    hush = next(each for each in api.get("/rules/overview").json()["items"] if each["name"] == "hush")
    assert hush["snoozed_until_ms"] > (time.time() + 24 * 3600) * 1000


def test_why_not_is_a_panel_that_goes_with_the_market(stage: Stage, browser: Any, api: httpx.Client) -> None:
    take(api, spec("ask why", pairs=["cardano/usd"], when="price > 70 and rsi(14, 1h) < 30"))
    stage.price("cardano", 50.0)
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/rules")
        page.get_by_role("button", name="Why has ask why not fired?").click()
        panel = page.get_by_role("dialog")
        expect(panel).to_contain_text("must rise above 70")
        expect(panel).to_contain_text("20 or 40")
        expect(panel).to_contain_text("was not watched for long enough")
        stage.price("cardano", 60.0)
        expect(panel).to_contain_text("$10 to go")
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()


def test_a_file_of_rules_says_what_it_does_before_it_does_it(
    stage: Stage, browser: Any, api: httpx.Client, tmp_path: Path
) -> None:
    take(api, spec("from a file", cooldown="1h"))
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/rules")
        with page.expect_download() as download:
            page.get_by_role("link", name="Export").click()
        file = tmp_path / "rules.toml"
        download.value.save_as(file)
        text = file.read_text()
        file.write_text(text.replace('cooldown = "1h"', 'cooldown = "2h"') + NEW_AND_WRONG)
        page.get_by_role("button", name="Import").click()
        panel = page.get_by_role("dialog")
        panel.locator("input[type=file]").set_input_files(file)
        expect(panel).to_contain_text("cooldown: 1h → 2h")
        expect(panel).to_contain_text("is expected here")
        line = (text + NEW_AND_WRONG).splitlines().index('when = "price >> 1"') + 1
        expect(panel).to_contain_text(f"line {line}")
        panel.get_by_role("button", name="Import the other 2").click()
        expect(panel).to_be_hidden()
        expect(listed(page, "brought along")).to_be_visible()
        expect(listed(page, "misspelt")).to_have_count(0)


NEW_AND_WRONG = """
[[rules]]
name = "brought along"
pairs = ["bitcoin/usd"]
when = "price > 900000"
[[rules]]
name = "misspelt"
pairs = ["bitcoin/usd"]
when = "price >> 1"
"""


def test_thousands_of_rules_are_a_list_of_some_rows(stage: Stage, browser: Any, api: httpx.Client) -> None:
    take(api, *(spec(f"many {number:04d}") for number in range(MANY)))
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/rules")
        page.get_by_label("Search in rules").fill("many")
        expect(listed(page, "many 0000")).to_be_visible()
        assert page.locator("tbody tr[data-rule]").count() < 40
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(listed(page, f"many {MANY - 1:04d}")).to_be_visible()
        assert page.locator("tbody tr[data-rule]").count() < 40
        page.get_by_role("checkbox", name=re.compile("Choose all")).check()
        page.get_by_role("region", name="Rules that are chosen").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("No rule is like that.")).to_be_visible()
    left = [rule["name"] for rule in api.get("/rules/overview").json()["items"]]
    assert not [name for name in left if name.startswith("many")]


def test_a_line_is_moved_by_mouse_and_by_keys_and_only_its_number_changes(
    stage: Stage, browser: Any, api: httpx.Client
) -> None:
    stage.price("solana", 100.0)
    take(api, spec("sol  line", pairs=["solana/usd"], when="price  >  1e2 and volume > 5"))
    expect = sync_api.expect
    with reader(browser, stage) as page:
        show_candles(page)
        shown_price(page, "solana/usd", 100.0)  # one that comes later moves the line away from under the mouse
        page.goto("/coin/solana/usd")
        handle = page.get_by_role("slider", name="Price of the rule sol line")
        expect(handle).to_be_visible()
        box = handle.bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 20, box["y"] - 40, steps=5)
        page.mouse.up()
        ask = page.get_by_role("group", name="Move a rule")
        expect(ask).to_contain_text("from $100 to")
        page.keyboard.press("Escape")
        expect(ask).to_be_hidden()
        assert when_of(api, "sol  line") == "price  >  1e2 and volume > 5"

        handle.focus()
        page.keyboard.press("PageUp")
        expect(ask).to_be_visible()
        price = float(handle.get_attribute("aria-valuenow"))
        assert price > 100
        page.keyboard.press("Enter")
        expect(page.get_by_text(re.compile("is at .* now"))).to_be_visible()
        assert when_of(api, "sol  line") == f"price  >  {price:.12g} and volume > 5"
        page.get_by_role("button", name="Undo").click()
        expect(handle).to_have_attribute("aria-valuenow", "100")


def test_a_line_of_the_file_stays_where_it_is(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    said = spec("line of the file", pairs=["solana/usd"], when="price > 104")
    of_the_file = {"id": "r1", "version": 1, "origin": "config", "spec": said}
    with reader(browser, stage) as page:
        show_candles(page)
        page.route("**/api/v1/rules?pair=*", lambda route: route.fulfill(json={"items": [of_the_file]}))
        page.goto("/coin/solana/usd")
        handle = page.get_by_role("slider", name="Price of the rule line of the file")
        handle.focus()
        page.keyboard.press("PageUp")
        expect(handle).to_have_attribute("aria-valuenow", "104")
        expect(handle).to_have_attribute("title", re.compile("configuration file"))
        expect(page.get_by_role("group", name="Move a rule")).to_have_count(0)


@judged_by_axe
def test_everybody_can_use_the_rules(stage: Stage, browser: Any, api: httpx.Client, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    take(
        api,
        spec("a look: paused", paused=True),
        spec("a look: line", pairs=["solana/usd"], when="price > 103"),
        spec("a look: ends", expires="2099-01-01", advice="buy"),
        spec("a look: market", pairs=["top(25)"], when="abs(change(1h)) > 10%", **{"for": "5m"}),
        spec(
            "a look: of a name that is far too long for the room that there is in any row of any list on a phone"
        ),
    )
    with reader(browser, stage, reduced_motion="reduce") as page:
        for name, prepare in LOOKED_AT.items():
            page.set_viewport_size(WIDE)
            show_candles(page)
            page.goto("/coin/solana/usd" if name == "line" else "/rules")
            prepare(page)
            page.evaluate(AXE.read_text())
            for viewport, scheme in LOOKS:
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=scheme)
                if name == "menu":  # it closes when the page is laid out anew
                    page.keyboard.press("Escape")
                    prepare(page)
                page.screenshot(path=tmp_path / f"rules-{name}-{viewport['width']}-{scheme}.png")
                assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
                assert violations(page, WITHIN.get(name, "body")) == []


def _list(page: Any) -> None:
    page.get_by_label("Search in rules").fill("look 900000")  # as many as nothing lies above
    listed(page, "a look: paused").wait_for()


def _chosen(page: Any) -> None:
    _list(page)
    page.get_by_role("checkbox", name="Choose a look: ends").check()
    page.get_by_role("region", name="Rules that are chosen").wait_for()


def _menu(page: Any) -> None:
    page.get_by_role("button", name="More for a look: ends").click()
    page.get_by_role("menu").wait_for()


def _why(page: Any) -> None:
    page.get_by_role("button", name="Why has a look: market not fired?").click()
    page.locator("dialog[open] li code").first.wait_for()


def _import(page: Any) -> None:
    page.get_by_role("button", name="Import").click()
    page.get_by_label("or paste it").fill(NEW_AND_WRONG)
    page.get_by_role("button", name="See what it does").click()
    page.get_by_text("is expected here").wait_for()


def _snooze(page: Any) -> None:
    _menu(page)
    page.get_by_role("menuitem", name="Snooze until…").click()
    page.get_by_role("dialog").get_by_label("Until").wait_for()


def _line(page: Any) -> None:
    page.get_by_role("slider", name="Price of the rule a look: line").focus()
    page.keyboard.press("PageUp")
    page.get_by_role("group", name="Move a rule").wait_for()


LOOKED_AT = {
    "list": _list,
    "chosen": _chosen,
    "menu": _menu,
    "why": _why,
    "import": _import,
    "snooze": _snooze,
    "line": _line,
}
WITHIN = {
    "chosen": "section[aria-label^='Rules']",
    "menu": "[role=menu]",
    "why": "dialog[open]",
    "import": "dialog[open]",
    "snooze": "dialog[open]",
}
"""What lies below is not to be used now."""
