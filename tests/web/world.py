"""A store and a journal on real files, an application over them, and hands to make things happen."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from litestar import Litestar

from cryptowatcher.adapters.journals.sqlite import open_sqlite_journal
from cryptowatcher.adapters.runner import Inline
from cryptowatcher.adapters.stores.sqlite import open_sqlite_store
from cryptowatcher.domain.alerts import Alert, alert_id
from cryptowatcher.domain.candles import Candle
from cryptowatcher.domain.deliveries import Delivery, delivery_id
from cryptowatcher.domain.reaching import StoredChannel
from cryptowatcher.domain.records import Beat, Body, Draft
from cryptowatcher.domain.rules.model import LOCAL_OWNER
from cryptowatcher.domain.status import Price, SourceStatus
from cryptowatcher.ports import Cursor, Journal, Step, Store
from cryptowatcher.web.accounts.passwords import Cost, Passwords
from cryptowatcher.web.api import Kept, WebDeps, over
from cryptowatcher.web.live import Hub

NOW = 1_800_000_000_000
MINUTE = 60_000
CHEAP = Cost(memory=8, passes=1)


def configured(name: str) -> StoredChannel:
    """A channel of the configuration, as it may be shown."""
    return StoredChannel(
        owner=LOCAL_OWNER, name=name, kind="console", settings={"timeout": "5s"}, secrets={}, changed_at=0
    )


class SetClock:
    """Time stands where a test puts it."""

    def __init__(self, now: int = NOW) -> None:
        self.at = now

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000


class World:
    """What a test acts on."""

    def __init__(self, store: Store, journal: Journal, clock: SetClock) -> None:
        self.store = store
        self.journal = journal
        self.clock = clock
        self.hub = Hub("test")
        self._numbers = 0

    def deps(self, **changes: Any) -> WebDeps:
        """Open to this machine, so that a test that is not about accounts needs none."""
        given: dict[str, Any] = {
            "store": self.store,
            "journal": self.journal,
            "clock": self.clock,
            "hub": self.hub,
            "version": "1.2.3",
            "channels": ("ops", "phone"),
            "configured": tuple(configured(name) for name in ("ops", "phone")),
            "open": True,
            "passwords": Passwords(CHEAP),
        }
        return WebDeps(**{**given, **changes})

    def app(self, **changes: Any) -> Any:
        """The application, for httpx and uvicorn, which write ASGI's types down otherwise than Litestar."""
        kept = Kept(deps := self.deps(**changes))
        routes: Any = _routes(deps.version, deps.limits.body_bytes)

        async def over_what_is_kept(scope: Any, receive: Any, send: Any) -> None:
            _kept.set(kept)
            await routes(scope, receive, send)

        return over_what_is_kept

    def client(self, **changes: Any) -> httpx.AsyncClient:
        """Speaks to the application in this process; what it raises becomes an answer, as on a real server."""
        transport = httpx.ASGITransport(app=self.app(**changes), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")

    async def append(self, *bodies: Body) -> int:
        """Journal records, beats if nothing is named; the new head."""
        drafts = []
        for body in bodies or (Beat(),):
            self._numbers += 1
            drafts.append(Draft("test", self._numbers, body))
        return await self.journal.append(drafts)

    async def watched(
        self, *, seq: int | None = None, journal: str | None = None, at: int | None = None, **effects: Any
    ) -> None:
        """Commit effects as watch would, with the cursor at `seq` (default: the journal's head)."""
        head = await self.journal.head()
        cursor = Cursor(
            journal=journal or self.journal.id,
            seq=head if seq is None else seq,
            at=self.clock.at if at is None else at,
        )

        def commit(tx: Any) -> None:
            step = Step(cursor=cursor, **effects)
            tx.commit_step(step, epoch=tx.new_epoch("watch"), before=tx.cursor())

        await self.store.run(commit)

    async def seen(self, *statuses: SourceStatus) -> None:
        """What collect would say of its sources."""

        def save(tx: Any) -> None:
            for status in statuses:
                tx.save_source_status(status)

        await self.store.run(save)

    async def healthy(self) -> None:
        """Everything as it should be."""
        await self.append()
        await self.watched(prices=[price("bitcoin/usd", 70_000.0)])
        await self.seen(source())


_kept: ContextVar[Kept] = ContextVar("kept")


@functools.cache
def _routes(version: str, body_bytes: int) -> Litestar:
    """Read once: that takes longer than most tests. What they keep is each application's own."""
    return over(_kept.get, version=version, body_bytes=body_bytes)


_template: list[bytes] = []


async def _new_store() -> bytes:
    """An empty store's file, made once: bringing one up to date takes longer than most tests."""
    if not _template:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "store.db"
            async with open_sqlite_store(path, inline=Inline()):
                pass
            _template.append(path.read_bytes())
    return _template[0]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Without threads, so that a test is the same each time."""
    clock = SetClock()
    (folder / "store.db").write_bytes(await _new_store())
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_sqlite_store(folder / "store.db", inline=Inline()))
        journal = await stack.enter_async_context(
            open_sqlite_journal(folder / "journal.db", clock=clock, inline=Inline())
        )
        yield World(store, journal, clock)


class Broken:
    """A store or journal that cannot answer."""

    id = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def run(self, fn: object) -> Any:
        del fn
        raise self.error

    async def head(self) -> int:
        raise self.error


def price(pair: str, value: float, *, at: int = NOW, seq: int = 1, market_cap: float | None = None) -> Price:
    return Price(
        pair=pair,
        price=value,
        volume_24h=None,
        market_cap=market_cap,
        observed_at=at,
        received_at=at,
        valid_until=at + 5 * MINUTE,
        source="coingecko",
        seq=seq,
    )


def candle(start: int, interval: int = MINUTE, *, ohlc: Sequence[float] = (1, 1, 1, 1), **changes: Any) -> Candle:
    given: dict[str, Any] = {
        "pair": "bitcoin/usd",
        "interval": interval,
        "start": start,
        "open": ohlc[0],
        "high": ohlc[1],
        "low": ohlc[2],
        "close": ohlc[3],
        "volume_24h": None,
        "ticks": 1,
        "observed_ms": interval,
    }
    return Candle(**{**given, **changes})


def alert(event_time: int = NOW, *, rule: str = "r1", pair: str = "bitcoin/usd", **changes: Any) -> Alert:
    given: dict[str, Any] = {
        "id": alert_id(rule=rule, version=1, pair=pair, kind="edge", event_time=event_time),
        "owner": LOCAL_OWNER,
        "rule": rule,
        "rule_name": "btc drops",
        "version": 1,
        "pair": pair,
        "kind": "edge",
        "event_time": event_time,
        "at": event_time,
        "seq": 1,
        "condition": "price >= 70000",
        "value": 70_001.0,
        "constant": 70_000.0,
        "previous": 69_999.0,
        "price": 70_001.0,
        "source": "coingecko",
        "received_at": event_time,
        "gap_ms": 0,
        "advice": "info",
        "channels": ("ops",),
    }
    return Alert(**{**given, **changes})


def delivery(of: Alert, channel: str = "ops", **changes: Any) -> Delivery:
    given: dict[str, Any] = {
        "id": delivery_id(of.id, channel),
        "alert": of.id,
        "owner": of.owner,
        "rule": of.rule,
        "channel": channel,
        "created_at": of.at,
        "due_at": of.at,
    }
    return Delivery(**{**given, **changes})


def source(name: str = "coingecko", state: str = "ok", **changes: Any) -> SourceStatus:
    given: dict[str, Any] = {"source": name, "state": state, "since": NOW, "last_ok_at": NOW, "pairs": 1}
    return SourceStatus(**{**given, **changes})


def rule(**changes: Any) -> dict[str, Any]:
    """The body of a rule."""
    given = {"name": "btc drops", "pairs": ["bitcoin/usd"], "when": "change(5m) <= -5%", "channels": ["ops"]}
    return {**given, **changes}
