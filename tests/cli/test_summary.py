"""`cryptowatcher alerts summary`: what would be said now, and nothing is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from cryptowatcher.cli.output import now
from cryptowatcher.cli.summary import Said
from cryptowatcher.domain.hours import DAYS
from cryptowatcher.ports import Cursor, Step
from tests.cli.terminal import Terminal, alert, json_of


def config() -> str:
    """A week that ends some days from now: nothing happens at its ends while this runs."""
    day = DAYS[(datetime.fromtimestamp(now() / 1000, UTC).weekday() + 3) % 7]
    return f'[owner]\nsummary = "weekly {day} 08:00"\n'


def test_it_says_what_the_stretch_brought_so_far(terminal: Terminal) -> None:
    terminal.write("cryptowatcher.toml", config())
    at = now()
    fired = [msgspec.structs.replace(alert(), id=f"{at:011x}-{number:020x}", at=at) for number in range(3)]
    terminal.store(Step(cursor=Cursor("j", 1, at), alerts=[*fired, alert()]))
    shown = terminal.run("alerts", "summary")
    assert shown.exit_code == 0
    title, blank, stretch, signals, rule = shown.stdout.splitlines()
    assert (title, blank, signals) == ("Weekly summary: 3 alerts, 3 signals", "", "Signals: 3 buy.")
    assert stretch.startswith("From ")
    assert " 08:00 UTC to " in stretch
    assert rule == "btc drops: 3, last bitcoin/usd 49,000 usd, -6%"
    said = json_of(terminal.run("alerts", "summary", "--json"), Said)
    assert isinstance(said, Said)
    assert (said.alerts, said.title, said.rules[0].alerts) == (3, title, 3)
    assert said.end >= at
    assert msgspec.json.decode(terminal.run("deliveries", "--json").stdout) == []


def test_before_anything_was_stored_it_says_so(terminal: Terminal) -> None:
    shown = terminal.run("alerts", "summary")
    assert shown.exit_code == 1
    assert "cryptowatcher run" in shown.stderr
    assert list(terminal.folder.iterdir()) == []


def test_without_a_plan_it_is_of_today(terminal: Terminal) -> None:
    terminal.store(Step(cursor=Cursor("j", 1, 1)))
    assert terminal.run("alerts", "summary").stdout.startswith("Daily summary: no alerts\n\nFrom ")
