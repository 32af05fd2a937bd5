"""The starter strategies say why, and their page says what they were worth."""

from __future__ import annotations

from pathlib import Path

from cryptowatcher.domain.strategies import STRATEGIES
from cryptowatcher.replay import rules_of

PAGE = Path(__file__).parents[2] / "docs/signals.md"


def test_each_rule_of_a_strategy_has_a_name_of_its_own_with_its_advice_in_it() -> None:
    specs = [spec for strategy in STRATEGIES for spec in strategy.rules(("bitcoin/usd", "ethereum/usd"))]
    assert len({spec.name for spec in specs}) == len(specs) == 6
    assert all(spec.advice in spec.name for spec in specs)


def test_each_strategy_gives_rules_that_can_be_saved() -> None:
    for strategy in STRATEGIES:
        specs = strategy.rules(("bitcoin/usd", "ethereum/usd"))
        assert len(rules_of(specs)) == len(strategy.signals)
        assert all(spec.advice in ("buy", "sell") for spec in specs)
        assert {spec.pairs for spec in specs} == {("bitcoin/usd", "ethereum/usd")}


def test_the_page_gives_the_reason_and_a_score_of_every_strategy() -> None:
    page = PAGE.read_text()
    for strategy in STRATEGIES:
        assert f"| {strategy.name} | {strategy.why} |" in page
        for when, advice in strategy.signals:
            assert f"| `{when}` | {advice} |" in page
    assert "not scored: there is no feature" not in page
