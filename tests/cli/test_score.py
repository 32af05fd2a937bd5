"""`cryptowatcher rules score`."""

from __future__ import annotations

import msgspec
import pytest

from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.signals import RuleScore, signal_of
from cryptowatcher.ports import Tx
from tests.cli.terminal import Terminal, alert, change_store, json_of, something

HOUR = 3_600_000


def add(terminal: Terminal, *advice: str, signals: int = 0) -> None:
    """The rule, with so many signals that were worth one percent after an hour."""
    terminal.store(something())
    terminal.run("rules", "add", "btc drops", "--when", "change(5m) <= -5%", "--pair", "bitcoin", *advice)

    def fill(tx: Tx) -> None:
        rule = tx.rule(LOCAL_OWNER, "btc drops")
        assert rule is not None
        found = [signal_of(alert(number), alert().price * 1.01, horizon=HOUR, now=1) for number in range(signals)]
        tx.save_signals([msgspec.structs.replace(each, rule=rule.id, version=1, advice="buy") for each in found])

    change_store(fill)


def test_what_signals_were_worth_is_a_line_a_horizon(terminal: Terminal) -> None:
    add(terminal, "--advice", "buy", signals=2)
    result = terminal.run("rules", "score", "btc drops")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["After", "1h", "1d", "7d"]
    assert "too few to say" in result.stdout
    assert "+1.00 %" in result.stdout


def test_programs_get_one_document(terminal: Terminal) -> None:
    add(terminal, "--advice", "buy", signals=2)
    found = json_of(terminal.run("rules", "score", "btc drops", "--json"), RuleScore)
    assert isinstance(found, RuleScore)
    assert [score.firings for score in found.scores] == [2, 0, 0]


@pytest.mark.parametrize(
    ("advice", "said"), [(("--advice", "sell"), "has been scored yet"), ((), "it gives no advice")]
)
def test_why_there_is_no_score_is_said(terminal: Terminal, advice: tuple[str, ...], said: str) -> None:
    add(terminal, *advice)
    result = terminal.run("rules", "score", "btc drops")
    assert (result.exit_code, result.stdout) == (0, "")
    assert said in result.stderr


def test_a_rule_that_is_not_there_is_not_ok(terminal: Terminal) -> None:
    terminal.store(something())
    result = terminal.run("rules", "score", "nope")
    assert result.exit_code == 1
    assert "'nope'" in result.stderr


def test_without_a_name_all_rules_that_advise_are_told(terminal: Terminal) -> None:
    add(terminal, "--advice", "buy", signals=2)
    terminal.run("rules", "add", "eth", "--when", "price > 1", "--pair", "ethereum")
    result = terminal.run("rules", "score")
    assert (result.exit_code, result.stdout.count("btc drops"), result.stdout.count("eth")) == (0, 3, 0)
    (score,) = msgspec.json.decode(terminal.run("rules", "score", "--json").stdout, type=list[RuleScore])
    assert (score.advice, score.scores[0].firings) == ("buy", 2)


def test_without_a_rule_that_advises_there_is_a_hint(terminal: Terminal) -> None:
    add(terminal)
    result = terminal.run("rules", "score")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "--advice" in result.stderr
