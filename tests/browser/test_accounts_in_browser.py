"""Accounts in a real browser: the first run, and who comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.reading import AXE, LOOKS, in_browser, judged_by_axe, reader, violations
from tests.browser.stage import Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

NAME, PASSWORD = "ada", "otter lamp gravel tuesday"
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4(01|04|22|29)")
"""What the browser itself says of an answer that a story asks for."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage"), is_open=False).up() as stage:
        yield stage


@pytest.fixture(scope="module")
def settled(stage: Stage, browser: Any) -> Stage:
    """The first run: from nothing, by the link of the log, to prices. Nothing is refused on the way."""
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/coin/bitcoin/usd")
        expect(page.get_by_role("main")).to_contain_text("cryptowatcher users link")
        page.goto(stage.link())
        expect(page.get_by_role("heading", name="Make your account")).to_be_visible()
        expect(page).to_have_url(f"{stage.page}/setup")
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type(NAME)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("tr[data-pair='bitcoin/usd']")).to_contain_text("$60,000")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Account: ada")).to_be_visible()
    return stage


def test_who_logged_out_comes_back_with_the_password_to_where_they_wanted_to_go(
    settled: Stage, browser: Any
) -> None:
    expect = sync_api.expect
    with reader(browser, settled, may_be_said=REFUSED) as page:
        page.goto("/coin/bitcoin/usd")
        expect(page.get_by_label("Name")).to_be_focused()
        log_in(page, "not the password")
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        expect(page.get_by_label("Password", exact=True)).to_be_focused()
        page.keyboard.type(PASSWORD)  # in the place of the wrong one
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Bitcoin")
        settled.price("bitcoin", 61_234.5)
        expect(page.locator("header .big")).to_contain_text("$61,234.5")

        page.get_by_role("button", name="Account: ada").click()
        expect(page.get_by_text("admin", exact=True)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Log out", exact=True)).to_be_hidden()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Log out", exact=True).click()
        expect(page).to_have_url(f"{settled.page}/login")
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        expect(page.get_by_role("search")).to_have_count(0)

        log_in(page, PASSWORD)
        expect(page.locator("tr[data-pair='bitcoin/usd']")).to_contain_text("$61,234.5")
        with reader(browser, settled, may_be_said=REFUSED) as elsewhere:
            elsewhere.goto("/")
            log_in(elsewhere, PASSWORD)
            expect(elsewhere.get_by_text("Live", exact=True)).to_be_visible()
            page.get_by_role("button", name="Account: ada").click()
            page.get_by_role("button", name="Log out everywhere").click()
            for each in (page, elsewhere):
                expect(each.get_by_role("button", name="Log in")).to_be_visible()


def test_a_link_that_was_used_says_what_to_do_and_who_tries_too_often_how_long_to_wait(
    settled: Stage, browser: Any
) -> None:
    expect = sync_api.expect
    with reader(browser, settled, may_be_said=REFUSED) as page:
        page.goto(settled.link())
        expect(page.locator("h1")).to_have_text("This link is good no more")
        page.get_by_role("link", name="Log in").click()
        page.route(
            "**/api/v1/session",
            lambda route: route.fulfill(status=429, headers={"retry-after": "40"}, json={"detail": "wait"}),
        )
        log_in(page, PASSWORD)
        expect(page.get_by_role("alert")).to_contain_text("40 s")
        expect(page.get_by_role("button", name=re.compile(r"^Wait \d\d s$"))).to_be_visible()


def test_a_token_is_made_shown_once_works_and_is_ended(settled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, settled, may_be_said=REFUSED) as page:
        page.goto("/account")
        log_in(page, PASSWORD)
        tokens = page.get_by_role("region", name="API tokens")
        tokens.get_by_label("What it is for").fill("widget")
        tokens.get_by_label("Good for").select_option("7 days")
        tokens.get_by_role("button", name="Make a token").click()
        secret = tokens.get_by_label("The token “widget”").input_value()
        assert secret.startswith("cw_")
        asked = {"headers": {"authorization": f"Bearer {secret}"}}
        assert page.request.get("/api/v1/prices", **asked).status == 200
        tokens.get_by_role("button", name="I have it").click()
        expect(tokens.get_by_text(secret)).to_have_count(0)
        page.reload()
        expect(tokens.get_by_role("listitem")).to_contain_text(["widget"])
        tokens.get_by_role("button", name="End the token widget").click()
        page.get_by_role("button", name="End it", exact=True).click()
        expect(tokens).to_contain_text("No program asks for you yet")
        assert page.request.get("/api/v1/prices", **asked).status == 401


def test_an_admin_invites_somebody_and_disables_them_who_is_out_at_once(settled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with (
        reader(browser, settled, may_be_said=REFUSED) as page,
        reader(browser, settled, may_be_said=REFUSED) as guest,
    ):
        page.goto("/account")
        log_in(page, PASSWORD)
        invitations = page.get_by_role("region", name="Invitations")
        invitations.get_by_label("Role").select_option("viewer")
        invitations.get_by_role("button", name="Invite somebody").click()
        guest.goto(invitations.get_by_label("Invitation", exact=True).input_value())
        guest.get_by_label("Name").fill("ben")
        guest.get_by_label("Password", exact=True).fill("lantern mossy copper eleven")
        guest.get_by_role("button", name="Make the account").click()
        expect(guest.get_by_text("Live", exact=True)).to_be_visible()
        guest.goto("/account")
        expect(guest.get_by_role("region", name="Where you are logged in")).to_contain_text("This browser")
        expect(guest.get_by_role("region", name="People")).to_have_count(0)

        page.reload()
        people = page.get_by_role("region", name="People")
        expect(people.get_by_role("button", name="Delete ada")).to_be_disabled()
        people.get_by_label("Role of ben").select_option("user")
        expect(page.get_by_text("ben is user now")).to_be_visible()
        people.get_by_role("button", name="Disable ben").click()
        expect(guest.get_by_role("button", name="Log in")).to_be_visible()
        people.get_by_role("button", name="Delete ben").click()
        page.get_by_role("button", name="Delete the account").click()
        expect(people).not_to_contain_text("ben")


def test_the_password_is_changed_and_other_browsers_are_out(settled: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with (
        reader(browser, settled, may_be_said=REFUSED) as page,
        reader(browser, settled, may_be_said=REFUSED) as elsewhere,
    ):
        for each in (page, elsewhere):
            each.goto("/account")
            log_in(each, PASSWORD)
        expect(elsewhere.get_by_text("Live", exact=True)).to_be_visible()
        page.get_by_label("Password now").fill("not the password")
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_role("alert")).to_have_text("this is not the password you have now")
        expect(page.get_by_label("Password now")).to_be_focused()
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_text("The password is changed")).to_be_visible()
        expect(elsewhere.get_by_role("button", name="Log in")).to_be_visible()
        expect(page.get_by_role("region", name="Where you are logged in").get_by_role("listitem")).to_have_count(1)


NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg onload=alert(3)>"
VIEWS = (
    "/",
    "/coin/bitcoin/usd",
    "/rules",
    "/rules/new",
    "/alerts",
    "/signals",
    "/channels",
    "/system",
    "/account",
)


def test_script_in_what_people_write_stays_text_in_every_view(settled: Stage, browser: Any) -> None:
    """What people write and the API keeps: rules and tokens. Names of accounts and lists are letters alone."""
    with reader(browser, settled, may_be_said=REFUSED) as page:
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        page.goto("/")
        log_in(page, PASSWORD)
        page.get_by_text("Live", exact=True).wait_for()
        rule = {"name": NASTY, "pairs": ["bitcoin/usd"], "when": "price > 1", "fire_if_already_true": True}
        made = sent(page, "POST", "/api/v1/rules", {**rule, "channels": []})
        sent(page, "POST", "/api/v1/tokens", {"name": NASTY[:64]})
        page.locator("aside").get_by_text(NASTY).first.wait_for()  # its alert came live
        alert = page.request.get("/api/v1/alerts").json()["items"][0]
        for view in (*VIEWS, f"/rules/{made['id']}", f"/alerts/{alert['id']}"):
            page.goto(view)
            page.locator("h1").wait_for(state="attached")
            for element in ("img[src='x']", "svg[onload]", "main script"):
                assert page.locator(element).count() == 0, (view, element)
        page.goto(f"/setup#{NASTY}")
        page.get_by_role("heading", name="This link is good no more").wait_for()


def sent(page: Any, method: str, path: str, body: dict[str, Any]) -> Any:
    """As the page itself asks."""
    answer = page.request.fetch(path, method=method, data=body, headers={"sec-fetch-site": "same-origin"})
    assert answer.ok, (path, answer.status, answer.text())
    return answer.json()


@judged_by_axe
def test_everybody_can_use_the_account(settled: Stage, browser: Any, tmp_path: Path) -> None:
    with reader(browser, settled, may_be_said=REFUSED, reduced_motion="reduce") as page:
        page.goto("/account")
        log_in(page, PASSWORD)
        page.get_by_label("What it is for").fill("a program at home")
        page.get_by_role("button", name="Make a token").click()
        page.get_by_label("The token “a program at home”").wait_for()
        page.get_by_role("button", name="Invite somebody").click()
        page.get_by_label("Invitation", exact=True).wait_for()
        look_at(page, "account", tmp_path, whole=True)


@judged_by_axe
def test_everybody_can_use_the_forms(settled: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    with reader(browser, settled, may_be_said=REFUSED, reduced_motion="reduce") as page:
        page.route("**/api/v1/links/look", lambda route: route.fulfill(json=INVITATION))
        page.goto("/setup#pretended")
        page.get_by_label("Name").fill("no name at all")
        page.get_by_label("Password", exact=True).fill("short")
        page.route("**/api/v1/links/use", lambda route: route.fulfill(status=422, json=WRONG))
        page.get_by_role("button", name="Make the account").click()
        page.get_by_text("use at least 12 characters").wait_for()
        look_at(page, "setup", tmp_path)
        page.unroute_all()
        page.goto("/setup#gone")
        page.get_by_role("heading", name="This link is good no more").wait_for()
        look_at(page, "link-used", tmp_path)
        page.goto("/")
        log_in(page, "not the password")
        page.get_by_text("Name or password is wrong.").wait_for()
        look_at(page, "login", tmp_path)
        log_in(page, PASSWORD)
        page.get_by_role("button", name="Account: ada").click()
        look_at(page, "menu", tmp_path, within="header.bar")


INVITATION = {"kind": "invite", "role": "user", "name": "", "expires_at_ms": 1_900_000_000_000}
WRONG = {
    "detail": "wrong",
    "errors": [
        {"path": "name", "message": "not a name for an account", "hint": "1 to 64 of a-z, 0-9 and . _ @ + -"},
        {"path": "password", "message": "use at least 12 characters", "hint": "four words are easy"},
    ],
}


def log_in(page: Any, password: str) -> None:
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def look_at(page: Any, name: str, folder: Path, within: str = "body", whole: bool = False) -> None:
    page.evaluate(AXE.read_text())
    for viewport, scheme in LOOKS:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        if whole:  # as high as it is: else the phone's bar lies over what is judged
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({**viewport, "height": height + 100})
        page.screenshot(path=folder / f"{name}-{viewport['width']}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        assert violations(page, within) == []
