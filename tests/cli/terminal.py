"""The program as a person or a script starts it, inside this process, and a store with something in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from cryptowatcher import app as program
from cryptowatcher.cli.root import app
from cryptowatcher.config import load
from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.rules.model import LOCAL_OWNER, RuleSpec, rule_id
from cryptowatcher.domain.status import Price
from cryptowatcher.ports import Cursor, Step, Tx

MINUTE = 60_000
START = 1_722_838_500_000  # 2024-08-05 06:15 UTC
RULE = RuleSpec(name="btc drops", pairs=("bitcoin/usd",), when="change(5m) <= -5%")


class Terminal:
    """A folder to work in; `run` is one call of the program there."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        patch.chdir(folder)

    def run(self, *args: str | Path, **environ: str) -> Result:
        result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="cryptowatcher", env=environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def store(self, step: Step) -> None:
        """Put what a watcher would have written into the data folder, and the rule."""

        def fill(tx: Tx) -> None:
            tx.save_rule(LOCAL_OWNER, RULE, head=0, now=START)
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=None)

        change_store(fill)


def change_store(fn: Callable[[Tx], object]) -> None:
    """Do something to the store of the working folder as a watcher would."""

    async def work() -> None:
        async with program.open_store(load(None, {})) as store:
            await store.run(fn)

    asyncio.run(work())


def json_of(result: Result, type_: type) -> object:
    return msgspec.json.decode(result.stdout, type=type_)


def price(pair: str, value: float, *, cap: float | None = None, observed_at: int = START) -> Price:
    return Price(
        pair=pair,
        price=value,
        volume_24h=None,
        market_cap=cap,
        observed_at=observed_at,
        received_at=observed_at,
        valid_until=observed_at + 300_000,
        source="coingecko",
        seq=1,
    )


def candle(
    number: int, open_: float, close: float, *, interval: int = MINUTE, pair: str = "bitcoin/usd"
) -> Candle:
    return Candle(
        pair="bitcoin/usd",
        interval=interval,
        start=START // interval * interval + number * interval,
        open=open_,
        high=max(open_, close) + 1,
        low=min(open_, close) - 1,
        close=close,
        volume_24h=None,
        ticks=1,
        observed_ms=interval,
    )


def alert(number: int = 0, *, pair: str = "bitcoin/usd") -> Alert:
    at = START + number * MINUTE
    rule = rule_id(LOCAL_OWNER, RULE.name)
    return Alert(
        id=alert_id(rule=rule, version=1, pair=pair, kind="edge", event_time=at),
        owner=LOCAL_OWNER,
        rule=rule,
        rule_name=RULE.name,
        version=1,
        pair=pair,
        kind="edge",
        event_time=at,
        at=at,
        seq=1 + number,
        condition=RULE.when,
        value=-0.06,
        constant=-0.05,
        previous=-0.01,
        price=49_000.0,
        source="coingecko",
        received_at=at,
        gap_ms=0,
        advice="buy",
        channels=(),
    )


def delivery(about: Alert, channel: str = "console") -> Delivery:
    return Delivery(
        id=delivery_id(about.id, channel),
        alert=about.id,
        owner=LOCAL_OWNER,
        rule=about.rule,
        channel=channel,
        created_at=about.at,
        due_at=about.at,
    )


def something() -> Step:
    """Two prices, three candles, two alerts and a delivery."""
    return Step(
        cursor=Cursor("j", 3, START),
        prices=[price("bitcoin/usd", 49_000.5, cap=1e12), price("pepe/usd", 0.0000117, cap=5e9)],
        candles=[candle(0, 10, 20), candle(1, 20, 15), candle(2, 15, 18)],
        alerts=[alert(0), alert(1)],
        deliveries=[delivery(alert(0))],
    )
