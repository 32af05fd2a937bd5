"""kill -9 during a storm of alerts, while channels fail in all ways. Run by `make chaos`.

DELIVERY_KILLS sets how often (40). What is real and what is not: see forked.py and misbehaving.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from cryptowatcher.domain.alerts import Alert, is_condition
from cryptowatcher.domain.deliveries import Delivery, delivery_id, twin_id
from tests.chaos.misbehaving import SECRET, Taken
from tests.chaos.test_kill import encoded, free_port, implied, read_all, running, running_module

KILLS = int(os.environ.get("DELIVERY_KILLS", "40"))
SEED = int(os.environ.get("DELIVERY_SEED", "20261123"))
AT_ONCE_IN_CHAT = 2
"""Sends in flight to Discord, as its adapter allows."""

T = TypeVar("T")

pytestmark = pytest.mark.chaos


def test_each_alert_is_told_or_visibly_given_up_and_ids_are_told_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        fake = free_port()
        market = stack.enter_context(
            running("fake-coingecko", "--port", str(fake), "--seed", "3", "--speed", "60")
        )
        arguments = ("tests.chaos.misbehaving", str(tmp_path), "--seed", str(SEED))
        services = stack.enter_context(running_module(*arguments))
        config = write_config(tmp_path, fake=fake, ports=ports_in(tmp_path))
        run_module("tests.chaos.forked", str(config), "--kills", str(KILLS), "--seed", str(SEED))
        market.kill()
        market.wait()
        services.send_signal(signal.SIGUSR1)
        run_module("tests.chaos.forked", str(config), "--until-dry")
    records, changes, take_ups, alerts, deliveries = asyncio.run(read_all(tmp_path / "data"))
    fired = [alert for alert in alerts if is_condition(alert.kind)]
    assert encoded(fired) == encoded(implied(records, changes, take_ups))
    taken = read_lines(tmp_path / "taken.jsonl", Taken)
    kills = read_lines(tmp_path / "kills.jsonl", Kill)
    check_every_alert_came_to_an_end(alerts, deliveries)
    check_receipts(deliveries, taken)
    check_ids_are_of_their_alerts(taken)
    repeats = check_repeats_are_of_kills([each for each in taken if each.channel == "chat"], kills)
    sys.stderr.write(f"\n{summary(kills, alerts, deliveries, taken)}; repeats in chat: {repeats}\n")
    assert len(alerts) > KILLS // 2


class Kill(msgspec.Struct, frozen=True):
    """When, monotonic seconds, and how long it took from the fork to the end of the process."""

    at: float
    took: float


def check_every_alert_came_to_an_end(alerts: Sequence[Alert], deliveries: Sequence[Delivery]) -> None:
    """Each alert has for each of its channels a row that is sent, given up with a reason, or stood in for; so has
    each reminder, unless its alert was acknowledged."""
    rows = {each.id: each for each in deliveries}
    assert Counter(each.state for each in deliveries).keys() <= {"sent", "given_up", "cancelled"}
    for alert in alerts:
        for channel in alert.channels:
            assert delivery_id(alert.id, channel) in rows, (alert.id, channel)
    for each in deliveries:
        if each.state == "given_up":
            assert each.last_error, each
        if each.state == "cancelled" and not (each.kind == "reminder" and each.receipt.startswith("acknowledged")):
            other = each.receipt.removeprefix("told through ")
            assert rows[twin_id(each, other)].state == "sent", each
    assert all(twin_id(each, each.fallback) in rows for each in deliveries if each.fallback)
    assert {each.alert for each in deliveries} == {alert.id for alert in alerts}


def check_receipts(deliveries: Sequence[Delivery], taken: Sequence[Taken]) -> None:
    """What is written down as sent arrived, and nothing arrived that is not written down."""
    arrived = {(each.channel, each.id) for each in taken}
    sent = {(each.channel, known_as(each)) for each in deliveries if each.state == "sent"}
    stored = {(each.channel, known_as(each)) for each in deliveries}
    assert not sent - arrived, "sent, and never arrived"
    assert not arrived - stored, "arrived, and is not stored under that id"


def check_ids_are_of_their_alerts(taken: Sequence[Taken]) -> None:
    """A receiver that drops what it knows by its id tells each alert once: the webhook says itself which it is. Of
    the others check_receipts knows that nothing came under an id that is not its row's in the end."""
    said = [each for each in taken if each.alert]
    assert said
    assert all(each.id.startswith(f"{each.alert}~hook") for each in said)


def check_repeats_are_of_kills(taken: Sequence[Taken], kills: Sequence[Kill]) -> int:
    """How many messages came again where repeats hurt: never without a kill since, and no more in all than were in
    flight."""
    moments = [kill.at for kill in kills]
    by_id: dict[str, list[float]] = defaultdict(list)
    for each in taken:
        by_id[each.id].append(each.at)
    for id_, times in by_id.items():
        for first, second in pairwise(times):
            # What a dead process had sent may be read a moment later.
            assert bisect_right(moments, first - 1.0) < bisect_right(moments, second), (id_, times)
    repeats = sum(len(times) - 1 for times in by_id.values())
    assert repeats <= len(kills) * AT_ONCE_IN_CHAT
    return repeats


def known_as(delivery: Delivery) -> str:
    """What its service knows it by."""
    message = delivery.bundle or delivery.id
    digest = hashlib.blake2b(message.encode(), digest_size=16).hexdigest()
    return {"phone": digest, "mail": digest, "chat": message[-40:]}.get(delivery.channel, message)


def summary(
    kills: Sequence[Kill], alerts: Sequence[Alert], deliveries: Sequence[Delivery], taken: Sequence[Taken]
) -> str:
    states = Counter(f"{each.channel} {each.state}" for each in deliveries)
    raw = Counter(each.channel for each in taken)
    different = Counter(channel for channel, _ in {(each.channel, each.id) for each in taken})
    mean = sum(kill.took for kill in kills) / max(len(kills), 1)
    bundles = len({each.bundle for each in deliveries if each.bundle})
    sent = {each.id for each in deliveries if each.state == "sent"}
    both = sum(1 for each in deliveries if each.fallback and {each.id, twin_id(each, each.fallback)} <= sent)
    return (
        f"{len(kills)} kills, {mean:.2f} s each; {len(alerts)} alerts, {len(deliveries)} deliveries, "
        f"{bundles} bundles, "
        f"{sum(1 for each in deliveries if each.fallback)} stood in for, {both} of them "
        "told through both\n"
        f"rows: {dict(sorted(states.items()))}\n"
        f"taken: {dict(raw)}, of them repeats {dict(raw - different)}"
    )


def write_config(folder: Path, *, fake: int, ports: Mapping[str, int]) -> Path:
    (folder / "hook.key").write_text(SECRET)
    (folder / "topic").write_text("prices")
    (folder / "chat.url").write_text(f"http://127.0.0.1:{ports['chat']}/api/webhooks/1/secret")
    path = folder / "cryptowatcher.toml"
    path.write_text(f"""
data_dir = "data"
[log]
level = "error"
[canary]
enabled = false
[outbound]
allow = ["127.0.0.0/8"]
[default_rules]
enabled = false
[owner]
group_from = 4
[[sources]]
kind = "coingecko"
base_url = "http://127.0.0.1:{fake}/api/v3"
top = 250
every = "1s"
per_minute = 100000
[[channels]]
kind = "webhook"
name = "hook"
url = "http://127.0.0.1:{ports["hook"]}/"
secret_file = "hook.key"
timeout = "2s"
fallback = "phone"
fallback_failures = 4
[[channels]]
kind = "ntfy"
name = "phone"
server = "http://127.0.0.1:{ports["phone"]}"
topic_file = "topic"
rate = "60/s"
timeout = "2s"
fallback = "mail"
fallback_after = "1m"
[[channels]]
kind = "discord"
name = "chat"
url_file = "chat.url"
rate = "100/s"
bundle = false
[[channels]]
kind = "email"
name = "mail"
server = "127.0.0.1"
port = {ports["mail"]}
security = "none"
sender = "watcher@example.org"
to = "me@example.org"
rate = "40/s"
timeout = "3s"
[[channels]]
kind = "webhook"
name = "lost"
url = "http://127.0.0.1:{ports["lost"]}/"
secret_file = "hook.key"
give_up_after = "20s"
timeout = "2s"
fallback = "mail"
fallback_failures = 2
[[rules]]
name = "up"
pairs = ["all"]
when = "change(10s) >= 0.7%"
channels = ["hook", "chat", "mail"]
[[rules]]
name = "down"
pairs = ["all"]
when = "change(10s) <= -0.7%"
channels = ["phone", "hook"]
[[rules]]
name = "far up"
pairs = ["all"]
when = "change(30s) >= 2%"
channels = ["lost", "chat"]
[[rules]]
name = "far down"
pairs = ["all"]
when = "change(30s) <= -2%"
channels = ["phone", "mail", "chat"]
urgent = true
remind = "1m"
escalate = ["hook"]
""")
    return path


def ports_in(folder: Path) -> dict[str, int]:
    path = folder / "ports.json"
    for _ in range(600):
        if path.exists():
            found: dict[str, int] = json.loads(path.read_text())
            return found
        time.sleep(0.05)
    raise AssertionError("the services do not listen")


def run_module(*arguments: str) -> None:
    """Until it ends well."""
    quiet = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # one thread, so that it may fork
    subprocess.run([sys.executable, "-m", *arguments], check=True, env=quiet)


def read_lines(path: Path, kind: type[T]) -> list[T]:
    return msgspec.json.Decoder(kind).decode_lines(path.read_bytes())
