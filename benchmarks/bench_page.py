"""The page in a real Chromium while 1,000 coins change each second: is it smooth, does its memory stay flat?

    python -m benchmarks.bench_page [MINUTES]

The program's own web server with its live stream, in a process of its own. Each view is looked at for a share of
the minutes (5 unless told): frames a second, long tasks (over 50 ms), what the main thread does a second, the heap
after garbage collection at the start and at the end, and DOM nodes. Then the market on a slow phone: the processor
throttled six times and a slow 3G line (400 kbit/s, 400 ms); how old prices are when they come, how long taps take
to show, and how soon it is right again after the line was gone for ten seconds. Frames depend on what else the
machine does: without a graphics card Chromium draws by the same processors.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from benchmarks import stream_server
from benchmarks.stream_server import PAIRS
from tests.browser.stage import browser_program

MINUTES = 5.0
VIEWS = {"market": "/", "heat map": "/", "coin": "/coin/some-quite-ordinary-coin-0/usd"}
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SLOW_3G = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
NO_LINE = {**SLOW_3G, "offline": True}
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--js-flags=--expose-gc")

WATCH = """
window.seen = { frames: 0, long: [], taps: [], told: [] };
new PerformanceObserver((l) => l.getEntries().forEach((e) => seen.long.push(e.duration)))
  .observe({ type: "longtask" });
new PerformanceObserver((l) => l.getEntries().forEach((e) => e.interactionId && seen.taps.push(e.duration)))
  .observe({ type: "event", durationThreshold: 16 });
const count = () => { seen.frames++; requestAnimationFrame(count); };
requestAnimationFrame(count);
const Real = EventSource;
window.EventSource = class extends Real {
  constructor(url) {
    super(url);
    for (const kind of ["snapshot", "prices"])
      this.addEventListener(kind, (e) => {
        const at = JSON.parse(e.data.slice(0, 30).replace(/,.*/, "}")).at_ms;
        seen.told.push({ kind, late: Date.now() - at, when: Date.now(), size: e.data.length });
      });
  }
};
"""


@contextmanager
def market(every: float = 1.0) -> Iterator[str]:
    """A server whose coins all change once a second; its address."""
    apart = get_context("spawn")
    pipe, theirs = apart.Pipe()
    server = apart.Process(target=stream_server.run, args=(theirs, None, "page", True, 100), daemon=True)
    server.start()
    over = threading.Event()
    port = pipe.recv()

    def tick() -> None:
        while not over.wait(every):
            pipe.send(PAIRS)
            pipe.recv()

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        ticking.join()
        pipe.send(-1)
        server.join(20)
        server.kill()


class Look:
    """One view in a window of its own."""

    def __init__(self, browser: Any, size: dict[str, int], address: str) -> None:
        self.page = browser.new_context(viewport=size).new_page()
        self.page.add_init_script(WATCH)
        self.devtools = self.page.context.new_cdp_session(self.page)
        self.devtools.send("Performance.enable")
        self.page.goto(address)
        self.until_told(2)

    def until_told(self, messages: int) -> None:
        """The page's policy lets nobody evaluate text in it, as Playwright's own waiting would."""
        until = time.monotonic() + 120
        while self.page.evaluate("seen.told.length") < messages:
            if time.monotonic() > until:
                raise RuntimeError("the page is told nothing")
            time.sleep(0.05)

    def seen(self) -> dict[str, Any]:
        """What was counted since the time before."""
        found = self.page.evaluate("[seen, seen = { frames: 0, long: [], taps: [], told: [] }][0]")
        return dict(found)

    def state(self) -> dict[str, float]:
        """Chromium's own figures, after garbage collection."""
        self.devtools.send("HeapProfiler.collectGarbage")
        found = self.devtools.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in found}

    def close(self) -> None:
        self.page.context.close()


def watch(browser: Any, address: str, view: str, seconds: float) -> None:
    look = Look(browser, WIDE, address + VIEWS[view])
    if view == "heat map":
        look.page.get_by_role("button", name="Heat map").click()
    time.sleep(min(10.0, seconds / 4))  # what happens once happens now
    before = look.state()
    look.seen()
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    seen, after = look.seen(), look.state()
    look.close()

    def each_second(name: str) -> float:
        return (after[name] - before[name]) / took * 1000

    long = seen["long"]
    print(
        f"  {view:9} {seen['frames'] / took:5.1f} frames/s  long tasks {len(long)}"
        f" (longest {max(long, default=0):.0f} ms)  main thread {each_second('TaskDuration'):4.0f} ms a second"
        f" (script {each_second('ScriptDuration'):.0f}, style {each_second('RecalcStyleDuration'):.0f},"
        f" layout {each_second('LayoutDuration'):.0f})\n"
        f"            heap {before['JSHeapUsedSize'] / 1e6:.1f} → {after['JSHeapUsedSize'] / 1e6:.1f} MB"
        f"  nodes {before['Nodes']:.0f} → {after['Nodes']:.0f}",
        flush=True,
    )


def slow_phone(browser: Any, address: str, seconds: float) -> None:
    look = Look(browser, PHONE, address)
    look.devtools.send("Network.enable")
    look.devtools.send("Network.emulateNetworkConditions", SLOW_3G)
    look.devtools.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    look.page.reload()
    look.until_told(2)
    look.seen()
    until = time.monotonic() + seconds
    names = ("Price", "Coin")
    while time.monotonic() < until:
        for name in names:
            look.page.get_by_role("columnheader", name=name).get_by_role("button").first.click()
            time.sleep(1)
    seen = look.seen()
    late = [told["late"] for told in seen["told"]]
    whole = sum(told["kind"] == "snapshot" for told in seen["told"])
    taps = sorted(seen["taps"]) or [0]
    print(
        f"  slow phone: {len(late)} updates in {seconds:.0f} s ({whole} of them whole markets, the rest changes),"
        f" {statistics.median(late):.0f} ms old when they came (oldest {max(late):.0f});"
        f" a tap shows after {statistics.median(taps):.0f} ms (longest {taps[-1]:.0f});"
        f" longest task {max(seen['long'], default=0):.0f} ms, {seen['frames'] / seconds:.1f} frames/s"
    )
    look.devtools.send("Network.emulateNetworkConditions", NO_LINE)
    time.sleep(10)
    look.seen()
    back = time.time() * 1000
    look.devtools.send("Network.emulateNetworkConditions", SLOW_3G)
    look.until_told(1)
    first = look.seen()["told"][0]
    print(
        f"  … without a line for 10 s: right again {first['when'] - back:.0f} ms after it was back,"
        f" by a {first['kind']} message {first['late']:.0f} ms old"
    )
    look.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    share = minutes * 60 / (len(VIEWS) + 1)
    print(f"{PAIRS:,} coins change each second; {share:.0f} s a view")
    with market() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program(), args=list(FLAGS))
        for view in VIEWS:
            watch(browser, address, view, share)
        slow_phone(browser, address, share)
        browser.close()


if __name__ == "__main__":
    main()
