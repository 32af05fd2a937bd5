"""The live stream's middle: one hub holds what is known now; `follow` keeps it so from the journal and the store.

A client is a sequence number, never a queue. A client that has frame n-1 gets the changes of frame n; any other
(new, slow, reconnected) gets the whole state. Prices are encoded once for all clients; alerts go to their owner
alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec
import structlog

from cryptowatcher.domain.alerts import Alert
from cryptowatcher.domain.pairs import CANARY
from cryptowatcher.domain.records import Record, Ticks, Verdict
from cryptowatcher.domain.status import Price
from cryptowatcher.domain.ticks import TickBatch
from cryptowatcher.errors import Unavailable
from cryptowatcher.ports import Clock, Cursor, Journal, Store, Trimmed, Tx
from cryptowatcher.web.answers import AlertAnswer, PriceAnswer, alert_answer, price_answer
from cryptowatcher.web.packing import gzip_block

NEWEST_ALERTS = 100
"""A snapshot carries this many; a frame of changes carries at most this many new ones."""

READ_AT_ONCE = 1_000
PROOFS_AT_ONCE = 500

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


class SnapshotEvent(msgspec.Struct, frozen=True, kw_only=True):
    """All prices (a list of PriceAnswer) and the newest alerts, newest first. Replaces what the client knew of
    prices."""

    at_ms: int
    prices: msgspec.Raw
    alerts: list[AlertAnswer]


class PricesEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The prices that changed since the frame before."""

    at_ms: int
    prices: list[PriceAnswer]


class AlertsEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that are new since the frame before, newest first. `more`: there are others, ask /alerts."""

    at_ms: int
    alerts: list[AlertAnswer]
    more: bool


class Hub:
    """What is known now, as frames with a sequence number. Only for the thread of its event loop.

    name:    differs between processes, so that an event id of another process is not believed
    alerts:  the newest of each owner that is followed: somebody looks, or did until the pulse before
    clients: streams that are open
    pulses:  how often a sign of life was asked for
    recorded_at: the event loop's time when the journal was last seen to grow, None before
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.prices: dict[str, Price] = {}
        self.alerts: dict[str, tuple[Alert, ...]] = {}
        self.at = 0
        self.seq = 0
        self.clients = 0
        self.pulses = 0
        self.closed = False
        self.recorded_at: float | None = None
        self.changed = asyncio.Event()
        self._changes = b""
        self._changes_of: dict[str, bytes] = {}  # owner → the same, with alerts of theirs in front
        self._all_prices: msgspec.Raw | None = None
        self._snapshots: dict[str, bytes] = {}  # owner → of this frame; "" is whoever has no alerts
        self._packed: dict[bytes, bytes] = {}  # what was sent of this frame → the same for clients that take gzip
        self._owners: Counter[str] = Counter()
        self._proofs: Counter[str] = Counter()
        self._ended: set[str] = set()

    def follow(self, owner: str, alerts: Sequence[Alert]) -> None:
        """From now on an owner's alerts are told too; these are the newest. Who is followed stays as it is."""
        if owner not in self.alerts:
            self.alerts[owner] = _newest(alerts)
            self._snapshots.pop(owner, None)

    def publish(
        self,
        prices: Sequence[Price],
        alerts: Sequence[Alert] = (),
        *,
        at: int,
        more: Collection[str] = (),
    ) -> None:
        """One frame: prices that changed and alerts that are new (newest first), of owners that are followed.
        `more`: the owners that have others too."""
        self.prices.update((price.pair, price) for price in prices)
        self.at = at
        self.seq += 1
        self._all_prices, self._snapshots, self._packed = None, {}, {}
        changed = [price_answer(price) for price in prices]
        self._changes = _event("prices", PricesEvent(at_ms=at, prices=changed), id=self._id())
        self._changes_of = {
            owner: self._told(owner, [alert for alert in alerts if alert.owner == owner], owner in more)
            for owner in {alert.owner for alert in alerts} & self.alerts.keys()
        }
        self._wake()

    def after(self, seen: int, owner: str) -> bytes | None:
        """What a client of that owner that has frame `seen` needs next; None when it has the newest. -1 has
        nothing."""
        if seen == self.seq:
            return None
        if seen >= 0 and seen == self.seq - 1:
            return self._changes_of.get(owner, self._changes)
        of = owner if self.alerts.get(owner) else ""
        if of not in self._snapshots:
            self._snapshots[of] = self._snapshot_event(of)
        return self._snapshots[of]

    def packed(self, message: bytes) -> bytes:
        """What `after` gave, as a block of a gzip stream."""
        if message not in self._packed:
            self._packed[message] = gzip_block(message)
        return self._packed[message]

    @contextlib.contextmanager
    def serving(self, owner: str, proof: str) -> Iterator[None]:
        """For as long as a stream of that owner is open. `proof`: what it was let in by (the digest of a session
        or token), "" if by nothing that could end."""
        self.clients += 1
        self._owners[owner] += 1
        self._proofs[proof] += 1
        try:
            yield
        finally:
            self.clients -= 1
            self._owners[owner] -= 1
            self._proofs[proof] -= 1
            if not self._proofs[proof]:
                del self._proofs[proof]
                self._ended.discard(proof)

    def proofs(self) -> set[str]:
        """What open streams were let in by."""
        return set(self._proofs) - {""}

    def end(self, proofs: Collection[str]) -> None:
        """End the streams that were let in by these."""
        if ended := self.proofs() & set(proofs):
            self._ended |= ended
            self._wake()

    def is_over(self, proof: str) -> bool:
        """Whether a stream that was let in by it must end."""
        return self.closed or proof in self._ended

    def seen_by(self, last_event_id: str | None) -> int:
        """The frame that a reconnecting client says it has, -1 when that is not a frame of this hub."""
        name, _, seq = (last_event_id or "").rpartition("-")
        if name != self.name or not (seq.isascii() and seq.isdigit()) or len(seq) > 15:
            return -1
        return int(seq) if int(seq) <= self.seq else -1

    def pulse(self) -> None:
        """Let every idle client send a sign of life. Owners at whose alerts nobody looks are followed no more."""
        for owner in [owner for owner in self.alerts if not self._owners[owner]]:
            del self.alerts[owner]
        self._owners = +self._owners
        self.pulses += 1
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        """Waiters hold the old event, so none of them can miss it and none has to be counted."""
        before, self.changed = self.changed, asyncio.Event()
        before.set()

    def _told(self, owner: str, alerts: Sequence[Alert], more: bool) -> bytes:
        """The frame's changes for an owner who has new alerts."""
        self.alerts[owner] = _newest((*alerts, *self.alerts[owner]))
        shown = [alert_answer(alert) for alert in alerts]
        return _event("alerts", AlertsEvent(at_ms=self.at, alerts=shown, more=more)) + self._changes

    def _snapshot_event(self, owner: str) -> bytes:
        if self._all_prices is None:
            self._all_prices = msgspec.Raw(_encode([price_answer(price) for price in self.prices.values()]))
        alerts = [alert_answer(alert) for alert in self.alerts.get(owner, ())]
        snapshot = SnapshotEvent(at_ms=self.at, prices=self._all_prices, alerts=alerts)
        return _event("snapshot", snapshot, id=self._id())

    def _id(self) -> str:
        return f"{self.name}-{self.seq}"


async def follow(
    journal: Journal, store: Store, hub: Hub, *, clock: Clock, every: float = 0.25, pulse_every: float = 15.0
) -> None:
    """Keep the hub's frames up to date, at most one per `every` seconds, and end streams whose session or token
    has ended, within `pulse_every` seconds. Runs until it is cancelled.

    Prices come from the journal the moment they are accepted, alerts from the store once they are committed.
    A trimmed or recreated journal makes it begin again from the store.
    """
    async with asyncio.TaskGroup() as jobs:
        jobs.create_task(_pulse(hub, store, clock, pulse_every))
        follower = _Follower(journal, store, hub)
        reachable = True
        while True:
            try:
                await follower.turn()
                if not reachable:
                    log.info("live stream follows again")
                reachable = True
            except Unavailable as error:
                if reachable:
                    log.warning("live stream stands still", reason=error.reason, detail=str(error))
                reachable = False
            await asyncio.sleep(every)


async def _pulse(hub: Hub, store: Store, clock: Clock, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(Unavailable):  # what cannot be asked now is asked at the next pulse
            await _end_the_ended(hub, store, clock.now())
        hub.pulse()


async def _end_the_ended(hub: Hub, store: Store, now: int) -> None:
    """Sessions also end by time, and in other processes."""
    proofs = sorted(hub.proofs())
    for start in range(0, len(proofs), PROOFS_AT_ONCE):
        some = proofs[start : start + PROOFS_AT_ONCE]
        hub.end(set(some) - await store.run(lambda tx, some=some: tx.live(some, now)))  # type: ignore[misc]


class _Follower:
    """Where the following has come to."""

    def __init__(self, journal: Journal, store: Store, hub: Hub) -> None:
        self.journal = journal
        self.store = store
        self.hub = hub
        self.started_on: str | None = None
        self.after = 0
        self.cursor: Cursor | None = None
        self.at = 0

    async def turn(self) -> None:
        """All that is new becomes at most one frame."""
        if self.started_on != self.journal.id:
            await self._start(0)
        try:
            prices = await self._new_prices()
        except Trimmed as trimmed:
            await self._start(trimmed.oldest - 1)
            return
        alerts, more = await self._new_alerts()
        if prices or alerts:
            self.hub.publish(prices, alerts, at=self.at, more=more)

    async def _start(self, at_least: int) -> None:
        """Begin from what the store knows: everything up to its cursor."""
        followed = list(self.hub.alerts)

        def read(tx: Tx) -> tuple[Cursor | None, list[Price], list[Alert]]:
            return tx.cursor(), tx.prices(), _alerts_of(tx, followed)

        self.cursor, prices, alerts = await self.store.run(read)
        known = self.cursor.seq if self.cursor and self.cursor.journal == self.journal.id else 0
        self.started_on = self.journal.id
        self.after = max(known, at_least)
        self.at = max(self.at, self.cursor.at if self.cursor else 0)
        new, more = self._unknown(alerts)
        self.hub.publish(prices, new, at=self.at, more=more)

    async def _new_prices(self) -> list[Price]:
        newest: dict[str, Price] = {}
        while records := await self.journal.read(self.after, READ_AT_ONCE):
            newest.update((price.pair, price) for price in _prices_in(records))
            self.after = records[-1].seq
            self.at = records[-1].at
            self.hub.recorded_at = asyncio.get_running_loop().time()
        if await self.journal.head() < self.after:
            self.started_on = None  # recreated under us: the next turn starts again
        return list(newest.values())

    async def _new_alerts(self) -> tuple[list[Alert], set[str]]:
        """Alerts appear only when the cursor moves; while it stands at our position there is nothing to ask."""
        if self.cursor and self.cursor.journal == self.started_on and self.cursor.seq >= self.after:
            return [], set()
        before, followed = self.cursor, list(self.hub.alerts)

        def read(tx: Tx) -> tuple[Cursor | None, list[Alert]]:
            cursor = tx.cursor()
            return cursor, [] if cursor == before else _alerts_of(tx, followed)

        self.cursor, alerts = await self.store.run(read)
        return self._unknown(alerts)

    def _unknown(self, alerts: Sequence[Alert]) -> tuple[list[Alert], set[str]]:
        """Those not published before, and owners of whom there may be more. Ids sort by the event's time, so a
        late one may stand anywhere."""
        known = {alert.id for newest in self.hub.alerts.values() for alert in newest}
        new = [alert for alert in alerts if alert.id not in known]
        counted = Counter(alert.owner for alert in new)
        return new, {owner for owner, count in counted.items() if count >= NEWEST_ALERTS}


def _alerts_of(tx: Tx, owners: Iterable[str]) -> list[Alert]:
    """The newest of each."""
    return [alert for owner in owners for alert in tx.alerts(owner, limit=NEWEST_ALERTS)]


def _prices_in(records: Iterable[Record]) -> Iterator[Price]:
    """The accepted observations, oldest first."""
    for record in records:
        match record.body:
            case Ticks(batch) | Verdict(batch, True):
                for row, pair in enumerate(batch.names()):
                    if pair != CANARY:
                        yield _price(batch, row, pair, record.seq)
            case _:
                pass


def _price(batch: TickBatch, row: int, pair: str, seq: int) -> Price:
    volume, cap = float(batch.volume[row]), float(batch.market_cap[row])
    observed_at = int(batch.observed_at[row])
    return Price(
        pair=pair,
        price=float(batch.price[row]),
        volume_24h=volume if volume == volume else None,
        market_cap=cap if cap == cap else None,
        observed_at=observed_at,
        received_at=batch.received_at,
        valid_until=observed_at + batch.valid_for,
        source=batch.source,
        seq=seq,
    )


def _newest(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    return tuple(sorted(alerts, key=lambda alert: alert.id, reverse=True)[:NEWEST_ALERTS])


def _event(name: str, data: msgspec.Struct, *, id: str = "") -> bytes:  # noqa: A002  the field's name in the format
    """One message of the stream. JSON has no line breaks, so one `data` line is enough. Only the last message of
    a frame has an id: a client cut off in the middle of a frame asks for the frame again."""
    line = f"id: {id}\n".encode() if id else b""
    return b"event: " + name.encode() + b"\n" + line + b"data: " + _encode(data) + b"\n\n"
