"""prices, candles, alerts and deliveries read what is stored, with and without a watcher."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.cli.alerts import Listed, Shown
from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.deliveries import Delivery
from cryptowatcher.domain.status import BlindPair, Price, SourceStatus
from cryptowatcher.ports import Step
from cryptowatcher.supervise import only_instance
from tests.cli.terminal import START, Terminal, alert, change_store, delivery, json_of, something


@pytest.mark.parametrize(
    "command", [["prices"], ["candles", "bitcoin"], ["alerts"], ["deliveries"], ["rules", "list"], ["sources"]]
)
def test_before_the_first_run_there_is_nothing_and_nothing_is_made(terminal: Terminal, command: list[str]) -> None:
    result = terminal.run(*command)
    assert result.exit_code == 1
    assert "cryptowatcher run" in result.stderr
    assert list(terminal.folder.iterdir()) == []


def test_prices_show_significant_digits_and_what_is_stale(terminal: Terminal) -> None:
    terminal.store(something())
    rows = [line.split() for line in terminal.run("prices").stdout.splitlines()]
    assert rows[0][:2] == ["Pair", "Price"]
    assert rows[1][:2] == ["bitcoin/usd", "49,000.5"]
    assert rows[2][:2] == ["pepe/usd", "0.0000117"]
    assert "(stale)" in rows[1]


def test_prices_for_programs_are_the_stored_ones(terminal: Terminal) -> None:
    step = something()
    terminal.store(step)
    assert json_of(terminal.run("prices", "--json"), list[Price]) == list(step.prices)
    assert json_of(terminal.run("prices", "-n", "1", "--json"), list[Price]) == list(step.prices[:1])
    assert json_of(terminal.run("prices", "pepe", "--json"), list[Price]) == list(step.prices[1:])


def test_a_price_that_is_not_known_is_named(terminal: Terminal) -> None:
    terminal.store(something())
    result = terminal.run("prices", "bitcoin", "bitcorn", "--json")
    assert result.exit_code == 1
    assert "bitcorn/usd" in result.stderr
    assert json_of(result, list[Price]) == list(something().prices[:1])


def test_candles_are_drawn_or_given(terminal: Terminal) -> None:
    step = something()
    terminal.store(step)
    assert json_of(terminal.run("candles", "bitcoin", "--json"), list[Candle]) == list(step.candles)
    assert json_of(terminal.run("candles", "bitcoin", "-n", "2", "--json"), list[Candle]) == list(step.candles[1:])
    drawn = terminal.run("candles", "bitcoin").stdout
    assert drawn.startswith("bitcoin/usd 1m")
    assert "┃" in drawn
    assert "3 candles, observed 100% of their time, last close 18" in drawn


def test_no_candles_of_that_interval_is_not_ok(terminal: Terminal) -> None:
    terminal.store(something())
    result = terminal.run("candles", "bitcoin", "-i", "1h")
    assert (result.exit_code, result.stdout) == (1, "")


def test_alerts_come_newest_first_and_can_be_narrowed(terminal: Terminal) -> None:
    terminal.store(something())
    newest_first = [alert(1), alert(0)]
    assert json_of(terminal.run("alerts", "--json"), list[Alert]) == newest_first
    assert json_of(terminal.run("alerts", "-n", "1", "--json"), list[Alert]) == newest_first[:1]
    assert json_of(terminal.run("alerts", "--before", alert(1).id, "--json"), list[Alert]) == newest_first[1:]
    assert json_of(terminal.run("alerts", "--rule", "btc drops", "--json"), list[Alert]) == newest_first
    assert json_of(terminal.run("alerts", "--pair", "pepe", "--json"), list[Alert]) == []
    shown = terminal.run("alerts").stdout
    assert "change(5m) <= -5%" in shown
    assert "-6%" in shown
    assert "2024-08-05 06:16:00" in shown


def test_alerts_are_acknowledged_by_id_and_say_so(terminal: Terminal) -> None:
    terminal.store(something())
    seen, other = alert(0), alert(1)
    for said in ("1 acknowledged", "0 acknowledged"):
        result = terminal.run("alerts", "ack", seen.id)
        assert (result.exit_code, result.stderr.strip()) == (0, said)
    found = json_of(terminal.run("alerts", "--json"), list[Listed])
    assert isinstance(found, list)
    assert [each.id for each in found if each.acknowledged_at] == [seen.id]
    assert "acknowledged 20" in " ".join(terminal.run("alerts").stdout.split())
    missing = terminal.run("alerts", "ack", "nothing", other.id)
    assert missing.exit_code == 1
    assert "1 acknowledged" in missing.stderr
    assert "'nothing'" in missing.stderr


def test_all_alerts_are_acknowledged_at_once_where_that_is_said(terminal: Terminal) -> None:
    terminal.store(something())
    assert terminal.run("alerts", "ack").exit_code == 2
    assert terminal.run("alerts", "ack", "--all", alert(0).id).exit_code == 2
    assert "2 acknowledged" in terminal.run("alerts", "ack", "--all").stderr
    assert "0 acknowledged" in terminal.run("alerts", "ack", "--all").stderr


def test_alerts_of_a_removed_rule_are_still_found_by_its_id(terminal: Terminal) -> None:
    terminal.store(something())
    terminal.run("rules", "remove", "btc drops")
    assert len(terminal.run("alerts", "--rule", alert().rule).stdout.splitlines()) == 3


def test_alerts_of_an_unknown_rule_are_not_ok(terminal: Terminal) -> None:
    terminal.store(something())
    result = terminal.run("alerts", "--rule", "nope")
    assert result.exit_code == 1
    assert "'nope'" in result.stderr


def test_deliveries_say_what_became_of_an_alert(terminal: Terminal) -> None:
    terminal.store(something())
    about = alert(0)
    assert json_of(terminal.run("deliveries", "--json"), list[Delivery]) == [delivery(about)]
    assert json_of(terminal.run("deliveries", "--alert", about.id, "--json"), list[Delivery]) == [delivery(about)]
    assert json_of(terminal.run("deliveries", "--state", "sent", "--json"), list[Delivery]) == []
    shown = terminal.run("deliveries").stdout
    assert [word for word in ("queued", "btc drops", "bitcoin/usd") if word not in shown] == []


@pytest.mark.parametrize("args", [["prices", "a b"], ["candles", "x/y/z"], ["alerts", "--pair", "/usd"]])
def test_what_is_no_pair_is_an_error_of_the_command_line(terminal: Terminal, args: list[str]) -> None:
    assert terminal.run(*args).exit_code == 2


BLIND = SourceStatus(
    source="coingecko",
    state="blind",
    reason="rate_limited",
    detail="HTTP 429",
    since=START,
    calls_this_minute=3,
    calls_per_minute=5,
    blind_pairs=(BlindPair("pepe/usd", "unknown", START),),
)


def test_prices_of_a_blind_source_say_why_there_are_none(terminal: Terminal) -> None:
    change_store(lambda tx: tx.save_source_status(BLIND))
    result = terminal.run("prices")
    assert result.exit_code == 1
    assert "coingecko is blind since 2024-08-05 06:15:00 UTC: rate_limited, HTTP 429" in result.stderr
    assert "cryptowatcher run" not in result.stderr


def test_sources_are_shown_with_what_they_cannot_see(terminal: Terminal) -> None:
    change_store(lambda tx: tx.save_source_status(BLIND))
    result = terminal.run("sources")
    assert result.exit_code == 1
    row = result.stdout.splitlines()[1]
    parts = ("coingecko", "blind", "HTTP 429", "2024-08-05 06:15:00", "3 of 5")
    assert [part for part in parts if part not in row] == []
    assert json_of(terminal.run("sources", "--json"), list[SourceStatus]) == [BLIND]


def test_sources_that_see_are_ok(terminal: Terminal) -> None:
    change_store(lambda tx: tx.save_source_status(SourceStatus(source="a", state="ok", since=START, pairs=7)))
    assert terminal.run("sources").exit_code == 0


@pytest.mark.parametrize("command", ["sources", "prices"])
def test_what_a_stopped_watcher_left_is_not_taken_for_news(terminal: Terminal, command: str) -> None:
    change_store(lambda tx: tx.save_source_status(BLIND))
    assert "no watcher is running" in terminal.run(command).stderr
    with only_instance(terminal.folder / "data"):
        assert "no watcher is running" not in terminal.run(command).stderr


def test_alerts_are_picked_by_advice_and_by_what_nobody_acknowledged(terminal: Terminal) -> None:
    plain = [msgspec.structs.replace(alert(n), advice="info") for n in (1, 2)]
    buy = msgspec.structs.replace(alert(3), advice="buy")
    terminal.store(Step(cursor=something().cursor, alerts=[*plain, buy]))
    terminal.run("alerts", "ack", alert(2).id)

    def asked(*options: str) -> list[str]:
        shown = terminal.run("alerts", *options, "--json").stdout
        return [each.id for each in msgspec.json.decode(shown, type=list[Listed])]

    assert asked("--advice", "signal") == asked("--advice", "buy") == [buy.id]
    assert asked("--unseen") == [buy.id, alert(1).id]
    assert asked("--since", "1h") == []
    assert terminal.run("alerts", "--since", "soon").exit_code == 2


def test_one_alert_is_shown_with_what_happened_after_and_its_messages(terminal: Terminal) -> None:
    this = alert(1)
    terminal.store(Step(cursor=something().cursor, alerts=[this], deliveries=[delivery(this)]))
    shown = terminal.run("alerts", "show", this.id)
    assert shown.exit_code == 0
    assert this.rule_name in shown.stdout
    assert "Nobody has acknowledged it." in shown.stdout
    assert "After 1h: not known." in shown.stdout
    assert delivery(this).channel in shown.stdout
    document = msgspec.json.decode(terminal.run("alerts", "show", this.id, "--json").stdout, type=Shown)
    assert (document.alert, document.deliveries, len(document.outcomes)) == (this, [delivery(this)], 3)
    missing = terminal.run("alerts", "show", alert(7).id)
    assert (missing.exit_code, missing.stdout) == (1, "")
