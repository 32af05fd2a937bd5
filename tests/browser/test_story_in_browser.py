"""The story of the page in a real browser, from nothing: an account, a rule, its alert and why, a channel, a loss
of power, a source that goes and comes, and a second person. Pictures of it are kept in the test's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptowatcher.testing.receiver import WebhookReceiver
from tests.browser.reading import in_browser, reader
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

PASSWORD, HERS = "otter lamp gravel tuesday", "lantern mossy copper eleven"
SECRET = "whsec_c3RvcnkgdG9sZCBieSBhIGJyb3dzZXI="
LOOK_OFTEN = "setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 300)"
"""The page asks anew when somebody comes back to it; so that the story need not wait for its next turn."""

EMPTY = {
    "Rules": "No rules yet",
    "Alerts": "Nothing has happened yet that a rule of yours waits for.",
    "Channels": "Nobody is told yet",
}
"""What a new account reads."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage"), is_open=False, allow="127.0.0.1").up() as stage:
        yield stage


def test_the_story_of_the_page(stage: Stage, browser: Any, tmp_path: Path) -> None:
    hook = WebhookReceiver(SECRET)
    with stage.beside(hook), reader(browser, stage) as page:
        page.story = tmp_path
        makes_the_first_account(page, stage)
        makes_a_rule_of_a_coin(page)
        sees_a_price_that_arms_it(page, stage)
        first = reads_the_alert_that_came(page, stage)
        adds_a_channel(page, hook)
        hears_of_the_second_alert(page, stage, hook)
        loses_and_finds_the_program(page, stage, first)
        loses_and_finds_the_source(page, stage)
        with reader(browser, stage) as guest:
            guest.story = tmp_path
            invites_somebody_who_sees_nothing_of_it(page, guest)


def keep(page: Any, name: str, *, whole: bool = True) -> None:
    taken = len(list(page.story.iterdir())) + 1
    page.screenshot(path=page.story / f"{taken:02}-{name}.png", full_page=whole)


def makes_the_first_account(page: Any, stage: Stage) -> None:
    expect = sync_api.expect
    page.goto(stage.link())
    expect(page.get_by_role("heading", name="Make your account")).to_be_visible()
    keep(page, "first-run")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    bitcoin = page.locator("tr[data-pair='bitcoin/usd']")
    expect(bitcoin).to_contain_text("$60,000")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    stage.price("bitcoin", 60_400.0)
    expect(bitcoin).to_contain_text("$60,400")
    keep(page, "market", whole=False)


def makes_a_rule_of_a_coin(page: Any) -> None:
    expect = sync_api.expect
    page.locator("tr[data-pair='bitcoin/usd']").get_by_role("link").first.click()
    expect(page.locator("h1")).to_have_text("Bitcoin")
    expect(page.locator(".chart canvas").first).to_be_visible()
    keep(page, "coin")
    page.get_by_role("link", name="New rule for Bitcoin").click()
    page.get_by_role("button", name=re.compile("^A price")).click()
    keep(page, "rule-empty")
    page.get_by_role("button", name="rises to", exact=True).click()
    page.get_by_label("Price", exact=True).fill("61000")
    expect(page.locator("main .words")).to_contain_text("the price of bitcoin/usd rises to 61000")
    # There are seconds of a past, or minutes where the machine is slow: it says so.
    short = page.get_by_text(re.compile("That cannot be said|No more of its past is known"))
    expect(short.first).to_be_visible()
    page.get_by_label("Name").fill("bitcoin over 61k")
    keep(page, "rule")
    page.get_by_role("button", name="Save the rule").click()
    expect(page.get_by_text("Saved: it counts from the next price on.")).to_be_visible()
    rule = page.get_by_role("main").locator("li, tr, [role=row]").filter(has_text="bitcoin over 61k")
    expect(rule.first).to_contain_text("Watching")
    keep(page, "rules")


def sees_a_price_that_arms_it(page: Any, stage: Stage) -> None:
    """The first price that a rule sees only arms it: one below its limit comes before the one above."""
    stage.price("bitcoin", 60_450.0)
    page.get_by_role("link", name="Market", exact=True).click()
    sync_api.expect(page.locator("tr[data-pair='bitcoin/usd']")).to_contain_text("$60,450")


def reads_the_alert_that_came(page: Any, stage: Stage) -> str:
    expect = sync_api.expect
    page.get_by_role("link", name="Alerts", exact=True).click()
    expect(page.locator("h1")).to_have_text("Alerts")
    keep(page, "inbox-empty")
    stage.price("bitcoin", 61_500.0)
    alert = page.locator("li[id^=alert-]", has_text="bitcoin over 61k")
    expect(alert).to_contain_text("Bitcoin rose above $61,000")
    keep(page, "inbox")
    alert.get_by_role("link").click()
    why = page.get_by_role("region", name="Why")
    for said in ("$61,500", "$60,450", "$61,000", "coingecko", "bitcoin over 61k"):
        expect(why).to_contain_text(said)
    keep(page, "alert")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text(re.compile("^Acknowledged "))).to_be_visible()
    return str(page.url)


def adds_a_channel(page: Any, hook: WebhookReceiver) -> None:
    expect = sync_api.expect
    page.get_by_role("link", name="Channels", exact=True).click()
    keep(page, "channels-empty")
    page.get_by_role("button", name="Add a channel").click()
    page.get_by_role("button", name=re.compile("^Webhook")).click()
    dialog = page.get_by_role("dialog")
    keep(page, "webhook-empty")
    dialog.get_by_label("Name").fill("home")
    dialog.locator("input[name=url]").fill(hook.url)
    dialog.locator("input[name=secret]").fill(SECRET)
    dialog.get_by_role("button", name="Send a test").click()
    expect(dialog.get_by_role("status")).to_contain_text("It was taken")
    expect(dialog.get_by_role("status")).to_contain_text("204")
    keep(page, "webhook")
    dialog.get_by_role("button", name="Add it").click()
    expect(page.locator("article[data-channel='home']")).to_contain_text("127.0.0.1")
    keep(page, "channels")


def hears_of_the_second_alert(page: Any, stage: Stage, hook: WebhookReceiver) -> None:
    expect = sync_api.expect
    before = len(hook.received)
    page.get_by_role("link", name="Market", exact=True).click()
    stage.price("bitcoin", 60_000.0)
    expect(page.locator("tr[data-pair='bitcoin/usd']")).to_contain_text("$60,000")  # the rule is armed anew
    page.get_by_role("link", name=re.compile("^Alerts")).first.click()
    rows = page.locator("li[id^=alert-]")
    expect(rows).to_have_count(1)
    stage.price("bitcoin", 62_000.0)
    expect(rows).to_have_count(2)
    got = stage.until(hook.wait_for(before + 1))[before]
    assert got.verified
    assert "bitcoin over 61k" in got.body.decode()
    rows.first.get_by_role("link").click()
    told = page.get_by_role("region", name="Who was told")
    mine = told.get_by_role("listitem").filter(has_text="home")
    expect(mine.get_by_text("sent", exact=True)).to_be_visible()
    expect(mine).to_contain_text("204")
    keep(page, "alert-told")


def loses_and_finds_the_program(page: Any, stage: Stage, first: str) -> None:
    expect = sync_api.expect
    page.goto("/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    stage.kill()
    expect(page.get_by_text("Connection lost, trying again")).to_be_visible()
    keep(page, "lost", whole=False)
    stage.start()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    stage.price("bitcoin", 61_800.0)
    expect(page.locator("tr[data-pair='bitcoin/usd']")).to_contain_text("$61,800")
    keep(page, "back", whole=False)
    page.get_by_role("link", name="Rules", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("bitcoin over 61k")
    page.get_by_role("link", name="Channels", exact=True).click()
    expect(page.locator("article[data-channel='home']")).to_be_visible()
    page.goto(first)
    expect(page.get_by_text(re.compile("^Acknowledged "))).to_be_visible()
    keep(page, "alert-after")


def loses_and_finds_the_source(page: Any, stage: Stage) -> None:
    expect = sync_api.expect
    page.get_by_role("link", name="System", exact=True).click()
    sentence = page.get_by_label("In one sentence")
    expect(sentence).to_contain_text("Everything is watched")
    page.evaluate(LOOK_OFTEN)
    stage.source("reset")
    expect(sentence).to_contain_text("no new ones come since")
    expect(sentence).to_contain_text("→")
    keep(page, "source-lost")
    stage.source()
    expect(sentence).to_contain_text("Everything is watched")
    keep(page, "source-back")


def invites_somebody_who_sees_nothing_of_it(page: Any, guest: Any) -> None:
    expect = sync_api.expect
    page.goto("/account")
    page.get_by_role("button", name="Invite somebody").click()
    guest.goto(page.get_by_label("Invitation", exact=True).input_value())
    keep(page, "invitation")
    guest.get_by_label("Name").fill("ben")
    guest.get_by_label("Password", exact=True).fill(HERS)
    guest.keyboard.press("Enter")
    expect(guest.locator("tr[data-pair='bitcoin/usd']")).to_contain_text("$61,800")
    for view, said in EMPTY.items():
        guest.get_by_role("link", name=view, exact=True).click()
        expect(guest.get_by_role("main")).to_contain_text(said)
        keep(guest, f"guest-{view.lower()}")
        for theirs in ("bitcoin over 61k", "rose above", "home"):
            expect(guest.get_by_role("main")).not_to_contain_text(theirs)
    for path in ("rules", "alerts", "deliveries", "channels"):
        assert page.request.get(f"/api/v1/{path}").json()["items"]
        assert guest.request.get(f"/api/v1/{path}").json()["items"] == []
