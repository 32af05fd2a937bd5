"""watch: follow the journal, step the rules, and commit all effects of a stretch with the cursor.

The order, which is the promise:
1. read records; 2. look for rule changes (after the read: a change that is not seen yet was saved when the
head was at or beyond these records, so it counts after them); 3. step; 4. one store transaction: alerts,
deliveries, standings, firings, closed candles, prices, take-ups, and the cursor, if it still is where we left
it. A crash before 4 repeats all, a crash after 4 nothing: ids come from content. Notify is woken as 4 begins: its
claim comes after it, and one sync of the disk may serve both.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter

import msgspec
import structlog

from cryptowatcher.domain.alerts import Alert, is_condition
from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.copies import Copies, each_of, some
from cryptowatcher.domain.deliveries import Delivery, DeliveryKind, delivery_id
from cryptowatcher.domain.reaching import Reach, Setting
from cryptowatcher.domain.records import Draft, Gap, Record, Ticks, Verdict
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.model import RuleChange
from cryptowatcher.domain.rules.tree import Expression
from cryptowatcher.domain.watcher import Effects, Watcher
from cryptowatcher.pipeline.keeping import keep
from cryptowatcher.pipeline.meters import Meters
from cryptowatcher.pipeline.switchboard import Directory
from cryptowatcher.ports import Answer, Clock, Cursor, Journal, Step, Store, Traces, Tx
from cryptowatcher.recall import CHUNK, PAGE, Work, at_once, read_on, recall, remember, step_silently

COMMIT_EVERY = 1.0
CHECKPOINT_EVERY = 300.0
"""Seconds. State is megabytes (bars, windows), and the records of five minutes are stepped in one second."""

_LINES = 1_000
"""In the log for the alerts of one commit: a hundred thousand would take longer than all else of a storm."""

log = structlog.get_logger()


class Watch:
    """The one watcher of a journal. `run` goes on until cancelled; ports.Fenced ends the process."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        clock: Clock,
        *,
        channels: Sequence[str] = (),
        directory: Directory | None = None,
        queueing: Callable[[], None] = lambda: None,
        meters: Meters | None = None,
        traces: Traces | None = None,
        work: Work = at_once,
    ) -> None:
        """`directory`: who is reached where; None: the built-in owner, through `channels`. `queueing`: called when
        deliveries are about to be handed to the store; what it is asked from then on comes after them. `work`: how
        checkpoints are hashed and compressed."""
        self._journal = journal
        self._store = store
        self._clock = clock
        self._directory = directory or Directory(Setting(channels=tuple(channels)))
        self._queueing = queueing
        self._meters = meters or Meters()
        self._traces = traces
        self._work = work
        self._watcher = Watcher()
        self._epoch = 0
        self._ready = False  # recovered: what is stepped continues what was committed
        self._uncertain = False  # a commit began and its outcome was not seen
        self._cursor: Cursor | None = None  # as committed
        self._reached = Cursor(journal.id, 0, 0)  # as stepped
        self._calls: dict[int, str] = {}  # seq → who appended it, for the log
        self._last_change = 0
        self._damaged = False  # a checkpoint was, and a part of it may still be in the store
        self._checkpoint_at = clock.monotonic()
        self._committed_at = self._checkpoint_at - COMMIT_EVERY  # the first prices are waited for

    async def run(self) -> None:
        """Recover, then follow the journal for ever."""
        await self.recover()
        await self.follow()

    async def follow(self) -> None:
        """From where it stands, for ever."""
        while True:
            if not await self.advance():
                await self._journal.wait(self._reached.seq)

    async def recover(self) -> None:
        """Take the role over and stand where the last watcher stood."""
        self._epoch = await self._store.run(lambda tx: tx.new_epoch("watch"))
        self._cursor = await self._store.run(lambda tx: tx.cursor())
        if self._cursor is not None and not await self._same_journal(self._cursor):
            await self._begin_anew()
        elif self._cursor is not None:
            await self._recall()
        self._ready = True

    async def _same_journal(self, cursor: Cursor) -> bool:
        """Whether the cursor means a place in this journal."""
        head = await self._journal.head()
        if cursor.journal == self._journal.id and head < cursor.seq:
            await self._journal.renew()
        return cursor.journal == self._journal.id

    async def _begin_anew(self) -> None:
        """Another journal: what this one holds was seen before the rules as they are now, so it only fills the
        windows. Rules begin after the Gap record, unarmed; firings are kept, and what is `done` stays done."""
        log.warning("the journal was replaced", had=self._cursor and self._cursor.journal, has=self._journal.id)
        number = await self._journal.last_number("watch") + 1
        gap = await self._journal.append([Draft("watch", number, Gap("the journal was restored or recreated"))])
        await step_silently(self._watcher, self._journal, 0, gap)
        (record,) = await self._journal.read(gap - 1, 1)

        while changes := await self._changes(newest=True):
            for change in changes:
                self._watcher.take_up(change, gap)
            self._watcher.apply_changes(before=gap + 1)
        await remember(self._watcher, self._store)
        self._reached = Cursor(self._journal.id, gap, record.at)
        await self._commit()

    async def _recall(self) -> None:
        """Stand at the cursor again."""
        recalled = await recall(self._journal, self._store)
        assert recalled is not None, "nobody else moves the cursor of this journal from here on"
        self._watcher, self._cursor = recalled.watcher, recalled.cursor
        self._last_change = recalled.last_change
        self._reached = recalled.cursor
        self._damaged = bool(recalled.damaged)
        if recalled.damaged:
            log.error("checkpoints are damaged and were passed over", at=recalled.damaged)
        log.info("watch recovered", cursor=recalled.cursor.seq, checkpoint=recalled.checkpoint)

    async def _read(self, after: int) -> Sequence[Record]:
        records = await read_on(self._journal, after, CHUNK)
        if records and records[0].seq > after + 1:
            log.warning("journal records are gone", wanted=after + 1, oldest=records[0].seq)
        return records

    async def advance(self) -> bool:
        """One stretch of the journal: read, look for rule changes, step, commit if due. False at the head."""
        records = await self._read(self._reached.seq)
        if not records:
            return False
        await self._look_for_changes()
        began, at = self._clock.monotonic(), self._clock.now()
        for record in records:
            self._watcher.step(record)
        self._meters.stepped(len(records), self._clock.monotonic() - began)
        self._trace_steps(records, at)
        self._say_misread()
        self._calls = {record.seq: f"{record.writer}#{record.number}" for record in records}
        last = records[-1]
        self._reached = Cursor(self._journal.id, last.seq, last.at)
        if self._watcher.urgent or self._clock.monotonic() - self._committed_at >= COMMIT_EVERY:
            await self._commit()
        return True

    def _say_misread(self) -> None:
        """A rule that was stored and is not understood does not end the watcher, and is not silent either."""
        misread = self._watcher.engine.misread
        for rule, why in misread.items():
            log.error("a stored rule is not understood and is not judged", rule=rule, why=why)
        misread.clear()

    def _trace_steps(self, records: Sequence[Record], began: int) -> None:
        if not self._traces:
            return
        now = self._clock.now()
        for record in records:
            if isinstance(record.body, Ticks | Verdict):
                batch = record.body.batch
                said = {"seq": record.seq, "rows": len(batch)}
                self._traces.span("watch", Answer(batch.source, batch.received_at), began, now, said)

    def _trace_alerts(self, effects: Effects, began: int) -> None:
        """One span for all the alerts that an answer led to: a storm has a hundred thousand."""
        if not self._traces:
            return
        now = self._clock.now()
        counted = Counter(Answer(alert.source, alert.received_at) for alert in effects.alerts)
        for copies in effects.alerts_together:
            counted[Answer(copies.first.source, copies.first.received_at)] += len(copies)
        for answer, count in counted.items():
            self._traces.span("alert", answer, began, now, {"alerts": count})

    async def _look_for_changes(self) -> None:
        while changes := await self._changes():
            for change in changes:
                self._watcher.take_up(change, max(change.head, self._reached.seq))
            self._watcher.apply_changes(before=self._reached.seq + 1)

    async def _changes(self, *, newest: bool = False) -> list[RuleChange]:
        """The next that were not looked at, a page of them: a start may find all rules there are. `newest`: only
        what became of each rule."""
        after = self._last_change
        changes = await self._store.run(lambda tx: tx.rule_changes(after, PAGE, newest=newest))
        if changes:
            self._last_change = changes[-1].number
        return changes

    async def _commit(self) -> None:
        effects = self._watcher.effects(together=True)
        # In the order of their keys, which then is that of their deliveries' too.
        alerts = sorted([*effects.alerts, *effects.notices], key=attrgetter("id"))
        step = Step(
            cursor=self._reached,
            alerts=alerts,
            lifecycle=effects.lifecycle,
            at_rest=effects.at_rest,
            firings=effects.firings,
            candles=effects.candles,
            prices=effects.prices,
            take_ups=effects.take_ups,
            together=[*effects.alerts_together, *effects.lifecycle_together, *effects.firings_together],
        )
        before, epoch = self._cursor, self._epoch
        # From here the effects are out of the watcher. Should the commit fail, only the store knows how far it
        # came, and this watcher must not commit again: the next one begins from the store.
        self._uncertain = True
        began = self._clock.now()

        def commit(tx: Tx) -> None:
            reach = self._directory.at(tx) if told else self._directory.newest
            deliveries = [*deliveries_of(alerts, reach)]
            queued = [each for copies in effects.alerts_together for each in deliveries_together(copies, reach)]
            whole = msgspec.structs.replace(step, deliveries=deliveries, together=[*step.together, *queued])
            tx.commit_step(whole, epoch=epoch, before=before)

        told = bool(alerts or effects.alerts_together)
        if told:
            self._queueing()
        await self._store.run(commit)
        self._uncertain = False
        self._cursor = step.cursor
        self._committed_at = self._clock.monotonic()
        counted = Counter(alert.kind for alert in effects.alerts if alert.owner != SYSTEM_OWNER)
        for copies in effects.alerts_together:
            counted[copies.first.kind] += len(copies)
        self._meters.committed({kind: count for kind, count in counted.items() if is_condition(kind)})
        self._trace_alerts(effects, began)
        if told:
            await asyncio.sleep(0)  # sending begins now: a thousand lines in the log can wait
        self._log_alerts(effects)
        if self._committed_at - self._checkpoint_at >= CHECKPOINT_EVERY:
            await self.checkpoint()

    def _log_alerts(self, effects: Effects) -> None:
        alerts = [
            alert for alert in effects.alerts if alert.owner != SYSTEM_OWNER
        ]  # that one is the same each minute
        for alert in islice(chain(alerts, each_of(effects.alerts_together)), _LINES):
            call = self._calls.get(alert.seq, "")
            said = "alert" if is_condition(alert.kind) else alert.kind
            log.info(said, alert=alert.id, rule=alert.rule_name, pair=alert.pair, seq=alert.seq, call=call)
        count = len(alerts) + sum(map(len, effects.alerts_together))
        if count > _LINES:
            log.info("more alerts at the same time", count=count - _LINES)
        for notice in effects.notices:
            log.info("sight", kind=notice.kind, pairs=int(notice.value), owner=notice.owner)

    @property
    def ready(self) -> bool:
        """Recovered: it stands where the last watcher stood, or beyond."""
        return self._ready

    def looks(self) -> list[tuple[Expression, list[str] | None]]:
        """The numbers that rules look at now, each with the pairs for which; None: rules on all."""
        return list(self._watcher.engine.looks())

    @property
    def engine(self) -> Engine:
        """What the rules stand on, for questions between two steps."""
        return self._watcher.engine

    @property
    def position(self) -> int:
        """The last record that was stepped."""
        return self._reached.seq

    async def close(self) -> None:
        """After `run` was cancelled: commit what was stepped, and keep a checkpoint for a quick start. Nothing is
        done where that might not be the truth: the next start begins from the store anyway."""
        if not self._ready or self._uncertain:
            return
        if self._cursor != self._reached or self._watcher.urgent:
            await self._commit()
        await self.checkpoint()

    async def checkpoint(self) -> None:
        """Keep the state at the cursor, so that a restart reads only what came after."""
        cursor = self._cursor
        if cursor is None or cursor != self._reached or self._watcher.urgent:
            return  # what is not committed is in no checkpoint
        kept = await keep(self._watcher.cut(), cursor, self._store, self._work, anew=self._damaged)
        self._damaged &= not kept
        self._checkpoint_at = self._clock.monotonic()


def deliveries_of(alerts: Iterable[Alert], reach: Reach) -> Iterator[Delivery]:
    """Where they go: to what each names, "" standing for where alerts go whose rule names none. In a storm they
    differ in little, and the others are copies of the first."""
    made: dict[Hashable, list[Delivery]] = {}
    for alert in alerts:
        alike = alert.owner, alert.channels, alert.at, alert.urgent, alert.kind
        first = made.get(alike)
        if first is None:
            first = made[alike] = _first_deliveries(alert, reach)
        for each in first:
            id_ = delivery_id(alert.id, each.channel)
            yield msgspec.structs.replace(each, id=id_, alert=alert.id, rule=alert.rule)


def deliveries_together(alerts: Copies[Alert], reach: Reach) -> Iterator[Copies[Delivery]]:
    """The same of alerts that are alike, whoever owns them; nothing where nobody is told."""
    ids, rules, owners = (alerts.own[name] for name in ("id", "rule", "owner"))
    told = {owner: reach.told(owner, alerts.first.channels) for owner in set(owners)}
    places = [place for place, owner in enumerate(owners) for _ in told[owner]]
    if not places:
        return
    own = {"alert": some(ids, places), "owner": some(owners, places), "rule": some(rules, places)}
    channels = [channel for owner in owners for channel in told[owner]]
    first = msgspec.structs.replace(alerts.first, id=own["alert"][0], owner=own["owner"][0], rule=own["rule"][0])
    delivered = [*map(delivery_id, own["alert"], channels)]
    yield Copies(_delivery(first, channels[0]), {"id": delivered, "channel": channels, **own})


def _first_deliveries(alert: Alert, reach: Reach) -> list[Delivery]:
    return [_delivery(alert, channel) for channel in reach.told(alert.owner, alert.channels)]


def _delivery(alert: Alert, channel: str) -> Delivery:
    return Delivery(
        id=delivery_id(alert.id, channel),
        alert=alert.id,
        owner=alert.owner,
        rule=alert.rule,
        channel=channel,
        created_at=alert.at,
        due_at=alert.at,
        urgent=alert.urgent,
        kind=_told_as(alert),
    )


def _told_as(alert: Alert) -> DeliveryKind:
    if is_condition(alert.kind):
        return "alert"
    return "resolved" if alert.kind == "resolved" else "sight"
