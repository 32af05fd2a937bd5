"""Channels in a real browser: one is added, tried, changed and removed; messages arrive as notifications of the
browser, pushed through a service that checks them as a real one would."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from cryptowatcher.adapters.channels.webpush import fitting, shown
from cryptowatcher.adapters.pushing import MOST
from cryptowatcher.testing.contracts.channel import sample_alert, sample_message
from cryptowatcher.testing.fake_push import FakeBrowser
from cryptowatcher.testing.push_services import PushService, discord
from cryptowatcher.testing.wire import LocalService
from tests.browser.reading import (
    AXE,
    LOOKS,
    comes_to,
    in_browser,
    judged_by_axe,
    reader,
    until,
    violations,
)
from tests.browser.stage import PATIENCE, Stage

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here: make setup")
pytestmark = in_browser

T = TypeVar("T")
SUBSCRIBE = """
  // A browser without a network has no push service: this is what it would have answered.
  PushManager.prototype.subscribe = async function ({ applicationServerKey }) {
    const given = await window.subscribed(applicationServerKey);
    const found = { endpoint: given.endpoint, toJSON: () => given, unsubscribe: async () => true };
    PushManager.prototype.getSubscription = async () => found;
    return found;
  };
"""


REFUSED = re.compile("Failed to load resource: the server responded with a status of (404|422)")
"""What a browser says of a form that was filled in wrongly, and of an alert that never was."""


class Beside:
    """Services of the world outside, on a thread with a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    @contextmanager
    def up(self, *services: LocalService) -> Iterator[Beside]:
        self._thread.start()
        try:
            for service in services:
                self.do(service.__aenter__())
            yield self
        finally:
            for service in services:
                self.do(service.__aexit__(None, None, None))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()


def card(page: Any, name: str) -> Any:
    return page.locator(f"article[data-channel='{name}']")


def wait_for_worker(page: Any) -> None:
    """Until it answers for the page."""
    comes_to(
        page,
        """async () => {
             const { serviceWorker } = navigator;
             const taken = new Promise((done) => serviceWorker.addEventListener("controllerchange", done));
             if (!serviceWorker.controller) await taken;
           }""",
    )


def notifications(page: Any, *titles: str, patience: float) -> dict[str, str]:
    """Title → where it leads, of the notifications of this browser, once they are these."""
    now = """async () => {
      const all = await (await navigator.serviceWorker.ready).getNotifications();
      return Object.fromEntries(all.map(({ title, data }) => [title, data?.path]));
    }"""
    found: dict[str, str] = until(
        page, lambda: comes_to(page, now), lambda found: found.keys() == {*titles}, "notifications", patience
    )
    return found


def test_a_channel_is_added_tried_changed_and_removed(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    service = PushService(discord)
    with Beside().up(service), reader(browser, stage, may_be_said=REFUSED) as page:
        page.goto("/channels")
        expect(card(page, "screen")).to_contain_text("Set in the configuration file")
        assert not card(page, "screen").get_by_role("button", name=re.compile("Change|Remove")).count()

        page.get_by_role("button", name="Add a channel").click()
        page.get_by_role("button", name=re.compile("^Discord")).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("New webhook")
        dialog.get_by_label("Name").fill("our room")
        dialog.locator("input[name=url]").fill(f"{service.origin}/api/webhooks/1/secret")
        dialog.get_by_role("button", name="Send a test").click()
        expect(dialog.get_by_role("alert")).to_contain_text("not a name for a channel")
        dialog.get_by_label("Name").fill("room")
        dialog.get_by_role("button", name="Send a test").click()
        expect(dialog.get_by_role("status")).to_contain_text("leads into a private network")
        expect(dialog.get_by_role("status")).to_contain_text("[outbound] allow")
        dialog.get_by_role("button", name="Add it").click()
        expect(card(page, "room")).to_contain_text("Not used yet")
        assert not service.requests, "what somebody types never becomes a request into the private network"

        card(page, "room").get_by_role("button", name="Change room").click()
        url = dialog.locator("input[name=url]")
        expect(url).to_have_value("")
        assert "/api/webhooks/1/secret" not in page.content()
        dialog.get_by_text("More: rate").click()
        dialog.get_by_label(re.compile("^Rate")).fill("often")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_label(re.compile("^Rate"))).to_be_focused()
        dialog.get_by_label(re.compile("^Rate")).fill("7/m")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()

        card(page, "room").get_by_role("button", name="Send a test").click()
        expect(card(page, "room").get_by_role("status")).to_contain_text("It was refused")
        card(page, "room").get_by_role("button", name="Remove room").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(card(page, "room")).to_have_count(0)


def test_quiet_hours_and_the_summary_are_kept(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage, timezone_id="Europe/Berlin", may_be_said=REFUSED) as page:
        page.goto("/channels")
        page.get_by_label("Do not disturb me").check()
        page.get_by_role("button", name="Use this device’s: Europe/Berlin").click()
        expect(page.locator("figcaption")).to_contain_text("Quiet today: 00:00–07:00, 22:00–24:00")
        page.get_by_label("It comes", exact=True).select_option("weekly")
        page.get_by_label("on", exact=True).select_option("sun")
        save = page.get_by_role("button", name="Save")
        save.click()
        expect(save).to_be_disabled()
        page.reload()
        expect(page.get_by_label("from", exact=True)).to_have_value("22:00")
        expect(page.get_by_label("on", exact=True)).to_have_value("sun")
        page.get_by_role("button", name="Show it now").click()
        expect(page.get_by_role("dialog")).to_contain_text("Weekly summary")
        page.keyboard.press("Escape")

        page.get_by_label("Time zone").fill("Europe/Nowhere")
        save.click()
        expect(page.get_by_label("Time zone")).to_be_focused()
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="As the configuration says").click()
        expect(page.get_by_label("Do not disturb me")).not_to_be_checked()


def test_messages_arrive_as_notifications_of_this_browser(stage: Stage, browser: Any) -> None:
    """From the switch to what is shown and where it leads. Between the two stands a push service: see
    tests/adapters/test_webpush.py."""
    expect = sync_api.expect
    with reader(browser, stage, permissions=["notifications"], may_be_said=REFUSED) as page:
        browsers: list[FakeBrowser] = []
        page.expose_function("subscribed", lambda key: subscription(browsers, key))
        page.add_init_script(SUBSCRIBE)
        page.goto("/channels")
        page.get_by_role("switch", name="Notifications in this browser").click()
        expect(page.get_by_role("switch")).to_be_checked()
        mine = page.locator("article", has_text="this browser")
        expect(mine).to_contain_text("Chrome on Linux")
        ((one),) = browsers
        assert len(one.owner_key) == 87, "65 bytes"

        devtools, workers = page.context.new_cdp_session(page), dict[str, str]()

        def note(told: dict[str, Any]) -> None:
            for each in told["registrations"]:
                if not each["isDeleted"]:
                    workers[each["scopeURL"]] = each["registrationId"]

        devtools.on("ServiceWorker.workerRegistrationUpdated", note)
        devtools.send("ServiceWorker.enable")
        wait_for_worker(page)
        until(page, lambda: workers.get(f"{stage.page}/"), bool, "the number of the worker")
        told = shown(sample_message(sample_alert()))
        again = msgspec.structs.replace(told, title="once more")

        def push(data: str, *titles: str) -> dict[str, str]:
            """As a push service does: again, if nothing came of it."""
            identity = workers[f"{stage.page}/"]
            for patience in (10, 20, 30):
                pushed = {"origin": stage.page, "registrationId": identity, "data": data}
                devtools.send("ServiceWorker.deliverPushMessage", pushed)
                with contextlib.suppress(AssertionError):
                    return notifications(page, *titles, patience=patience)
            raise AssertionError(f"{titles} are not shown")

        push(fitting(told, MOST).decode(), told.title)
        push(fitting(again, MOST).decode(), "once more")  # the same takes the place of the first
        leads = {"once more": told.path, "cryptowatcher": "/alerts"}
        assert push("not JSON", *leads) == leads
        click(page, "once more")
        expect(page).to_have_url(f"{stage.page}{told.path}")

        page.goto("/channels")
        page.get_by_role("switch").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(page.get_by_role("switch")).not_to_be_checked()
        expect(mine).to_have_count(0)


def subscription(browsers: list[FakeBrowser], key: str) -> dict[str, Any]:
    """What a push service gives to a browser."""
    browser = FakeBrowser("https://push.example", key)
    browsers.append(browser)
    return {"endpoint": browser.endpoint, "keys": {"p256dh": browser.p256dh, "auth": browser.auth}}


def click(page: Any, title: str) -> None:
    """On a notification: nobody can reach for the system's own, so the worker is told as the system tells it."""
    (worker,) = page.context.service_workers
    worker.evaluate(
        """async (title) => {
             const found = (await self.registration.getNotifications()).find((each) => each.title === title);
             self.dispatchEvent(new NotificationEvent("notificationclick", { notification: found }));
           }""",
        title,
    )


def test_while_the_watcher_is_away_no_price_is_shown_as_fresh(stage: Stage, browser: Any) -> None:
    expect = sync_api.expect
    with reader(browser, stage) as page:
        page.goto("/")
        wait_for_worker(page)
        page.context.set_offline(True)
        page.goto("/coin/bitcoin/usd")
        expect(page.locator("h1")).to_have_text("The watcher does not answer")
        assert "$" not in page.locator("body").inner_text()
        page.context.set_offline(False)
        expect(page.locator("h1")).to_have_text("Bitcoin")


@judged_by_axe
def test_everybody_can_use_the_channels(stage: Stage, browser: Any, tmp_path: Path) -> None:
    """axe finds nothing, nothing is cut off; pictures of what was seen are kept in the test's folder."""
    with reader(browser, stage, reduced_motion="reduce") as page:
        page.goto("/channels")
        card(page, "screen").wait_for()
        page.get_by_label("Do not disturb me").wait_for()
        page.evaluate(AXE.read_text())
        for name, step in STEPS:
            step(page)
            for viewport, scheme in LOOKS:
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=scheme)
                page.screenshot(
                    path=tmp_path / f"{name}-{viewport['width']}-{scheme}.png", full_page=name == "channels"
                )
                assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
                assert violations(page) == []
        page.request.delete("/api/v1/channels/phone")


def _to_all(page: Any) -> None:
    """A channel that works, one that does not, quiet hours and a summary."""
    phone = {"kind": "ntfy", "settings": {"server": "http://127.0.0.1:9"}, "secrets": {"topic": "prices"}}
    page.request.put("/api/v1/channels/phone", data=phone)
    for name in ("phone", "screen"):
        card(page, name).get_by_role("button", name="Send a test").click()
        card(page, name).get_by_role("status").wait_for()
    page.get_by_label("Do not disturb me").check()
    page.get_by_label("It comes", exact=True).select_option("weekly")


def _to_kinds(page: Any) -> None:
    page.get_by_role("button", name="Add a channel").click()
    page.get_by_role("button", name=re.compile("^Telegram")).wait_for()


def _to_form(page: Any) -> None:
    page.get_by_role("button", name=re.compile("^Telegram")).click()
    page.get_by_text("More: rate").click()


STEPS = (("channels", _to_all), ("kinds", _to_kinds), ("form", _to_form))
