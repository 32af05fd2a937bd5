"""One call to a channel: what is said, and what its answer makes of the deliveries that went out with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

import msgspec
import structlog

from cryptowatcher.domain.canary import SYSTEM_OWNER
from cryptowatcher.domain.deliveries import Delivery, after_failure, after_refusal, after_success
from cryptowatcher.domain.messages import Message, write
from cryptowatcher.domain.quiet import Kindness
from cryptowatcher.errors import Refused, Unavailable
from cryptowatcher.pipeline.lanes import Claimed, Lane, Row
from cryptowatcher.pipeline.meters import Meters, label_of
from cryptowatcher.pipeline.pictures import Pictures
from cryptowatcher.ports import Answer, Clock, Traces

log = structlog.get_logger()

Outcome = Callable[[Delivery], Delivery]
"""What an answer makes of a delivery."""


class Attempts:
    """now: the outbox's own time, epoch ms; pictures: for channels that want them, None: nobody draws; kindness:
    what an owner wants"""

    def __init__(
        self,
        *,
        clock: Clock,
        now: Callable[[], int],
        random: Random,
        meters: Meters,
        traces: Traces | None,
        pictures: Pictures | None,
        kindness: Callable[[str], Kindness],
    ) -> None:
        self._pictures = pictures
        self._kindness = kindness
        self._clock = clock
        self._now = now
        self._random = random
        self._meters = meters
        self._traces = traces

    async def make(self, lane: Lane, claimed: Claimed) -> list[Delivery]:
        """One call: what it makes of each delivery."""
        began, at = self._clock.monotonic(), self._clock.now()
        outcome, word = await self._call(lane, claimed)
        seconds = self._clock.monotonic() - began
        results = [outcome(delivery) for delivery, _ in claimed.rows]
        for row, result in zip(claimed.rows, results, strict=True):
            self._count(row, result, word, seconds)
            self._trace(row, result, word, at)
        return results

    async def _call(self, lane: Lane, claimed: Claimed) -> tuple[Outcome, str]:
        """What it means, and `sent` or the stable word for why not."""
        message = await self._message(lane, claimed)
        deadline = asyncio.timeout(lane.policy.deadline)
        try:
            async with deadline:
                receipt = await lane.channel.send(message)
        except Refused as error:
            self._answered(lane, f"{error.reason}: {error}")
            log.warning("delivery_refused", channel=lane.address, delivery=message.id, why=str(error))
            words = f"{error.reason}: {error}"
            return lambda delivery: after_refusal(delivery, words, now=self._now()), error.reason
        except Unavailable as error:
            return self._failed(lane, error), error.reason
        except TimeoutError:
            if not deadline.expired():
                raise  # the channel's own, which it should have translated
            words = f"no answer within {lane.policy.deadline:g} s"
            return self._failed(lane, Unavailable(words, reason="timeout")), "timeout"
        self._answered(lane)
        if claimed.delivery.owner != SYSTEM_OWNER:  # each minute the same
            tries = claimed.delivery.attempts + 1
            log.info("delivered", delivery=message.id, alerts=len(claimed.rows), attempt=tries, receipt=receipt)
        return partial(after_success, now=self._now(), receipt=receipt), "sent"

    async def _message(self, lane: Lane, claimed: Claimed) -> Message:
        wording = lane.wording(self._kindness(claimed.delivery.owner))
        message = write(claimed.rows, now=self._clock.now(), wording=wording)
        if self._pictures is None or not lane.policy.picture or message.kind not in ("alert", "reminder"):
            return message
        if claimed.delivery.attempts:  # whatever went wrong: that it was the picture must not cost the words
            return message
        picture = await self._pictures.of(message.alert, message.zone)
        return msgspec.structs.replace(message, picture=picture)

    def _answered(self, lane: Lane, refused: str = "") -> None:
        if lane.tripped:
            log.info("channel_back", channel=lane.address, failures=lane.failures)
        if refused and not lane.refused:
            log.warning("channel_refuses", channel=lane.address, why=refused)
        lane.answered(refused=bool(refused))

    def _failed(self, lane: Lane, error: Unavailable) -> Outcome:
        was_tripped = lane.tripped
        lane.failed(self._clock.monotonic(), retry_after=error.retry_after, jitter=self._random.random())
        if lane.tripped and not was_tripped:
            log.warning("channel_down", channel=lane.address, reason=error.reason, why=str(error))
        jitter = self._random.random()  # one for all of a bundle: it comes again as it is
        return lambda delivery: after_failure(
            delivery,
            f"{error.reason}: {error}",
            now=self._now(),
            retry_after=error.retry_after,
            jitter=jitter,
            policy=lane.policy.retry,
        )

    def _count(self, row: Row, result: Delivery, outcome: str, seconds: float) -> None:
        channel = label_of(result.channel)
        self._meters.attempted(channel, outcome, seconds)
        if result.state == "given_up":
            self._meters.given_up(channel, outcome)
        waited = row[1].late or result.held_until or result.kind != "alert" or result.fallback_of  # not for us
        if result.state == "sent" and result.attempts == 1 and not waited:
            self._meters.reached(channel, (result.finished_at - row[1].at) / 1000)

    def _trace(self, row: Row, result: Delivery, outcome: str, began: int) -> None:
        if not self._traces:
            return
        answer = Answer(row[1].source, row[1].received_at)
        said: dict[str, str | int | float] = {
            "channel": result.channel,
            "delivery": result.id,
            "attempt": result.attempts,
        }
        error = "" if outcome == "sent" else outcome
        self._traces.span("deliver", answer, began, self._clock.now(), said, error=error)
