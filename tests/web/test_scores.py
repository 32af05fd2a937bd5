"""What a rule's signals were worth, as the API answers it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec
from cryptowatcher.domain.signals import Signal, signal_of
from cryptowatcher.domain.strategies import STRATEGIES
from cryptowatcher.ports import Tx
from tests.web.world import MINUTE, NOW, alert, candle, world

HOUR = 60 * MINUTE
SPEC = RuleSpec(name="btc drops", pairs=("bitcoin/usd",), when="change(5m) <= -5%", advice="buy")


def ask(tmp_path: Path, *, signals: int, spec: RuleSpec = SPEC, path: str = "score") -> tuple[int, dict[str, Any]]:
    """Status and body, with a signal every third hour that was worth one percent."""
    first = NOW - NOW % HOUR - 300 * HOUR

    async def scenario() -> tuple[int, dict[str, Any]]:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(candles=[candle(first + n * 5 * MINUTE, 5 * MINUTE) for n in range(3_600)])

            def save(tx: Tx) -> str:
                rule = tx.save_rule(LOCAL_OWNER, spec, head=0, now=NOW)
                tx.save_signals(worth(rule.id, first, signals))
                return rule.id

            rule = await here.store.run(save)
            answer = await client.get(f"/api/v1/rules/{rule}/{path}" if path == "score" else path)
            return answer.status_code, answer.json()

    return asyncio.run(scenario())


def test_the_score_of_a_rule_is_public_to_its_owner(tmp_path: Path) -> None:
    status, body = ask(tmp_path, signals=60)
    assert (status, body["advice"], body["version"]) == (200, "buy", 1)
    hour, day, week = body["scores"]
    assert (hour["horizon_ms"], hour["firings"], hour["apart"], hour["hit_rate"]) == (HOUR, 60, 60, 1.0)
    assert (round(hour["mean"], 6), hour["holding"], hour["usual_hit_rate"]) == (0.01, 0.0, 0.0)
    assert (day["firings"], week["mean"], week["beats_random"]) == (0, None, None)
    assert week["label"] == "no firings to judge"


def test_the_scores_of_all_rules_that_advise_are_told_at_once_and_anew_when_more_is_known(tmp_path: Path) -> None:
    first = NOW - NOW % HOUR - 300 * HOUR

    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            await here.watched(candles=[candle(first + n * 5 * MINUTE, 5 * MINUTE) for n in range(3_600)])
            specs = [SPEC, RuleSpec(name="a second", pairs=("all",), when="price > 1", advice="sell"),
                     RuleSpec(name="no advice", pairs=("all",), when="price > 1")]  # fmt: skip

            def save(tx: Tx) -> str:
                saved = [tx.save_rule(LOCAL_OWNER, spec, head=0, now=NOW) for spec in specs]
                return saved[0].id

            rule = await here.store.run(save)
            assert [each["name"] for each in await told(client)] == ["a second", "btc drops"]
            for known in (12, 13):
                await here.store.run(partial(save_signals, signals=worth(rule, first, known)))
                _, scored = await told(client)
                alone = (await client.get(f"/api/v1/rules/{rule}/score")).json()
                assert (scored["scores"], scored["scores"][0]["firings"]) == (alone["scores"], known)
                assert await told(client) == await told(client)
            assert (scored["when"], scored["pairs"], scored["paused"]) == (SPEC.when, ["bitcoin/usd"], False)

    asyncio.run(scenario())


def save_signals(tx: Tx, *, signals: list[Signal]) -> None:
    tx.save_signals(signals)


async def told(client: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/api/v1/scores")).json()["items"]
    return items


def worth(rule: str, first: int, signals: int) -> list[Signal]:
    """A signal every third hour, that was worth one percent after an hour."""
    found = [alert(first + n * 3 * HOUR, rule=rule, advice="buy", price=100.0) for n in range(signals)]
    return [signal_of(each, 101.0, horizon=HOUR, now=NOW) for each in found]


def test_the_starter_strategies_are_rules_that_can_be_made(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as here, here.client() as client:
            items = (await client.get("/api/v1/strategies")).json()["items"]
            assert [each["name"] for each in items] == [each.name for each in STRATEGIES]
            for each in (rule for strategy in items for rule in strategy["rules"]):
                assert each["words"].startswith("When")
                body = {name: each[name] for name in ("name", "when", "advice", "cooldown")}
                made = await client.post("/api/v1/rules", json={**body, "pairs": ["all"], "channels": ["ops"]})
                assert made.status_code == 201, made.text

    asyncio.run(scenario())


def test_few_signals_say_nothing(tmp_path: Path) -> None:
    _, body = ask(tmp_path, signals=12)
    assert body["scores"][0]["label"] == "12 firings, too few to say"
    assert body["scores"][0]["beats_random"] is None


def test_a_rule_without_signals_has_an_empty_score(tmp_path: Path) -> None:
    status, body = ask(tmp_path, signals=0)
    assert (status, body["first_signal_ms"], body["last_signal_ms"]) == (200, None, None)


def test_a_rule_that_is_not_there_is_a_404(tmp_path: Path) -> None:
    status, body = ask(tmp_path, signals=0, path="/api/v1/rules/btc%20drops/score")
    assert (status, body["detail"]) == (404, "there is no rule 'btc drops'")
