"""Writes docs/metrics.md from what both processes tell, so that it cannot be out of date."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from cryptowatcher.domain.status import Price, Pulse, SourceStatus
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.web.disk import Disk, FileSizes
from cryptowatcher.web.facts import Counts, Facts, JournalFacts, StoreFacts
from cryptowatcher.web.metrics import Meter, Page, exposition

INTRODUCTION = """# Metrics

`GET /metrics` on the page's port is for Prometheus. One scrape has everything: what the page's process reads from
journal and store at that moment, and what the pipeline's process counted up to a second before. The second half
is missing when the pipeline has not been heard of for 10 seconds (`cryptowatcher_pipeline_up` is 0 then): numbers
that stand still because nobody counts must not look like peace. It is missing, and `cryptowatcher_pipeline_up` is
NaN, where `cryptowatcher serve` runs by itself.

- A number that is not known is NaN, or absent where it has labels. It is never 0.
- Counters of the pipeline begin at 0 when it starts.
- Labels are few: `source` and `channel` are names of the configuration; `reason`, `outcome`, `kind`, `state`,
  `job`, `file`, `part`, `stat` and `what` are words of the program; `route` is a template such as
  `/api/v1/rules/{rule}`. Only the three metrics of prices have a `pair`, and only for the largest pairs by market
  cap (`price_metrics` under `[web]`, 20 by default). No id and nothing that a person wrote becomes a label.
- Prometheus calls the watcher itself a `job` too, so the label `job` below is `exported_job` there.
- The watcher's own alert, the canary, has its own two metrics, and is counted under the source and the channel
  `canary`. It is not among the alerts, rules and outbox deliveries of people.
- `cryptowatcher_page_process_*` and `cryptowatcher_pipeline_process_*` are there on Linux only.
"""

PARTS = ("The page's process", "The pipeline's process")

_CURRENCY = ("cryptowatcher_price", "cryptowatcher_volume_24h", "cryptowatcher_market_cap")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as it is told. `labels`: their names, sorted; the `le` of histograms is none."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        if self.name in _CURRENCY:
            return "the pair's currency"
        if self.name.endswith("_timestamp_seconds") or self.name.endswith("_start_time_seconds"):
            return "Unix time, seconds"
        for unit in ("seconds", "bytes"):
            if re.search(rf"_{unit}(_total)?$", self.name):
                return unit
        return "0 or 1" if self.meaning.startswith("1 ") or self.name.endswith("_info") else "count"


def main() -> None:
    sys.stdout.write(reference())


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for title, told in zip(PARTS, (page_specimen(), pipeline_specimen()), strict=True):
        lines = [f"## {title}", "", "| name | type | unit | labels | meaning |", "|---|---|---|---|---|"]
        for row in sorted(rows(told), key=lambda row: row.name):
            labels = ", ".join(f"`{label}`" for label in row.labels)
            lines.append(f"| `{row.name}` | {row.type} | {row.unit} | {labels} | {row.meaning} |")
        yield "\n".join([*lines, ""])


def rows(told: str) -> list[Row]:
    """The metrics in Prometheus' text format, those without a sample too."""
    found = []
    for family in text_string_to_metric_families(told):
        labels = {label for sample in family.samples for label in sample.labels}
        if family.type == "histogram":
            labels -= {"le"}
        found.append(
            Row(
                name=f"{family.name}_total" if family.type == "counter" else family.name,
                type=family.type,
                labels=tuple(sorted(labels)),
                meaning=family.documentation,
            )
        )
    return found


def page_specimen() -> str:
    """What a page tells that knows of everything there can be, without the pipeline's part."""
    price = Price(
        pair="bitcoin/usd",
        price=1.0,
        volume_24h=1.0,
        market_cap=1.0,
        observed_at=0,
        received_at=0,
        valid_until=0,
        source="s",
        seq=1,
    )
    counts = Counts(
        outbox={}, alerts=0, prices=[], observed_at=[0], largest=[price], rules={"active": 1, "paused": 0}
    )
    source = SourceStatus(source="s", state="ok", since=0, calls_per_month=1)
    facts = Facts(
        now=0,
        journal=JournalFacts(id="j", head=1, newest_at=0, oldest_at=0),
        store=StoreFacts(cursor=None, sources=[source], counts=counts, next_due=None),
        errors={},
        pulse=Pulse(at=0, troubles={"beat": "disk_full"}),
    )
    disk = Disk(free=1, size=1, files={"journal": FileSizes(1, 1)}, backup_at=0)
    meter = Meter()
    meter.count(method="GET", route="/", status=200, seconds=0.0)
    return exposition(Page(version="1", clients=0, loop_lag=0.0), facts, disk, meter).decode()


def pipeline_specimen() -> str:
    """What a pipeline tells to which everything has happened."""
    meters = Meters(started_at=0)
    meters.asked("s", "ok", 0.0)
    meters.accepted("s", 1, 0.0)
    meters.rejected("s", ["stale"])
    meters.expect_history("s")
    for file in (meters.file("journal"), meters.file("store")):
        file.failed("disk_full")
    meters.committed({"edge": 1})
    meters.attempted("c", "sent", 0.0)
    meters.reached("c", 0.0)
    meters.given_up("c", "timeout")
    meters.job_restarted("beat")
    return meters.exposition()


if __name__ == "__main__":
    main()
