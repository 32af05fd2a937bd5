"""The outbox as a state machine: one alert to one channel; the row is the receipt.

    queued ───┐              ┌─ after_success ──────────► sent
              ├─ claim ─► leased ─ after_refusal, give_up ─► given_up
    retrying ─┘              ├─ silence ─────────────────► snoozed
        ▲─── after_failure ──┤
        ▲─── hold ───────────┘        (the store cancels those of paused and deleted rules: cancelled)

`sent`, `given_up`, `snoozed` and `cancelled` are final: nothing here changes such a delivery any more.

What comes outside a rule's active hours is *held*: it stays queued, is due when they begin, and says so in
`held_until` and `held`. That needs no state of its own: a release that knows nothing of it sends it in time too.
What comes while a rule is snoozed is final at once: whoever wants silence does not want all of it an hour later.
The alert itself stays in the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from cryptowatcher.domain.channel_names import name_in
from cryptowatcher.domain.rates import Rate

DeliveryState = Literal["queued", "leased", "retrying", "sent", "given_up", "cancelled", "snoozed"]
FINAL: Final[frozenset[DeliveryState]] = frozenset({"sent", "given_up", "cancelled", "snoozed"})

DeliveryKind = Literal["alert", "reminder", "expiry", "sight", "summary", "resolved"]
"""What is told: that a condition turned true, that nobody has acknowledged it, that a rule ends, that pairs are
not seen, or are again, what a day or a week brought, or that what an alert told is over."""

LONGEST_HELD: Final = 8 * 86_400_000
"""Age in ms from which one that was tried in vain is not held again: a week, and a day to try it."""

BUNDLE_MOST: Final = 1_000
"""Deliveries that go out in one message at most."""

BY_HAND: Final = "sent again by hand"
"""Why a delivery was `held` that had been given up."""

UNKNOWN: Final = "nothing is known of the attempt before: whoever made it has ended"
"""The last error of one whose lease ran out: it may have arrived."""

_LONGEST_TEXT: Final = 500
"""Characters of a receipt or an error that are kept: other sides may answer with a whole page."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on its way to one channel. Times are epoch ms.

    id:          `alert id ~ channel`, of a reminder `alert id ~ channel ~ r2`: from content, so an alert is queued
                 to a channel once, and each of its reminders
    created_at:  when it was queued; of a reminder, when it is due first
    channel:     its address (domain/channel_names.py)
    due_at:      not before this
    leased_until, holder: who is sending it now; after `leased_until` another may
    attempts:    calls made so far
    last_error:  what the other side said last, in words
    receipt:     what the other side answered when it accepted, or why nobody was asked
    kind:        what it tells of
    held_until:  it was held back until then, and its age counts from then on; 0: it was not. `held` says why
    bundle:      the message that it goes out in together with others; empty: alone
    fallback:    the channel that stands in, because this one does not take it; empty: none so far
    fallback_of: the channel that this one stands in for
    urgent:      it is not held for quiet hours, and goes out alone
    """

    id: str
    alert: str
    owner: str
    rule: str
    channel: str
    state: DeliveryState = "queued"
    created_at: int
    due_at: int
    attempts: int = 0
    leased_until: int = 0
    holder: str = ""
    last_error: str = ""
    receipt: str = ""
    finished_at: int = 0
    kind: DeliveryKind = "alert"
    held_until: int = 0
    held: str = ""
    bundle: str = ""
    fallback: str = ""
    fallback_of: str = ""
    urgent: bool = False

    @property
    def reminder(self) -> int:
        """Which one it is, from 1 on; 0: none."""
        return int(self.id.rpartition("~r")[2]) if self.kind == "reminder" else 0

    @property
    def is_held(self) -> bool:
        """It waits for the end of `held_until`, and for nothing else."""
        return self.held_until > 0 and self.state in ("queued", "retrying") and self.due_at == self.held_until

    @property
    def may_have_arrived(self) -> bool:
        """An attempt was made, or may have been: it is to come again under the same id."""
        return self.attempts > 0 or self.last_error != ""

    @property
    def since(self) -> int:
        """From when on it could be sent, epoch ms."""
        return max(self.created_at, self.held_until)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a delivery is tried again, and when not any more. Times are ms.

    The wait after attempt n lies between `first` and min(first * factor ** n, cap), by chance, so that the
    retries of a storm do not come as a storm. A Retry-After makes it longer, never shorter, up to
    `longest_retry_after`.

    give_up_after: age (since `created_at`, or the end of `held_until`) at which it is given up; it is always
                   tried once
    late_after:    age from which a message says that it is late
    """

    first: int = 5_000
    factor: float = 2.0
    cap: int = 15 * 60_000
    longest_retry_after: int = 60 * 60_000
    give_up_after: int = 24 * 3_600_000
    late_after: int = 15 * 60_000


class ChannelPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel may be used: a statement of its settings.

    deadline: seconds after which a send that has not ended counts as failed, whatever it is doing
    at_once:  how many sends may be in flight
    rate:     how many may go out; None: any number
    fallback: the channel that is told instead, after so many ms or failures; empty: none
    digest_late: whether late ones go out together, in one message
    quiet:    hours in which nothing goes out, as people write them, in the owner's time zone
    bundle:   whether several may go out in one message
    title:    the owner's template for the title of an alert's message, and `body` for its text; empty: the
              default words
    picture:  whether the message of an alert shows how the price came to it
    """

    retry: RetryPolicy = RetryPolicy()
    deadline: float = 15.0
    at_once: int = 8
    rate: Rate | None = None
    fallback: str = ""
    fallback_after: int = 10 * 60_000
    fallback_failures: int = 3
    digest_late: bool = False
    quiet: str = ""
    bundle: bool = False
    title: str = ""
    body: str = ""
    picture: bool = False


def delivery_id(alert: str, channel: str, reminder: int = 0) -> str:
    """The same alert to the same channel is the same delivery, and so is the same reminder of it."""
    return f"{alert}~{channel}~r{reminder}" if reminder else f"{alert}~{channel}"


def twin_id(delivery: Delivery, channel: str) -> str:
    """The delivery that tells the same through another channel."""
    return delivery_id(delivery.alert, channel, delivery.reminder)


def after_success(delivery: Delivery, *, now: int, receipt: str) -> Delivery:
    """The other side accepted it."""
    if delivery.state in FINAL:
        return delivery
    return _finish(delivery, "sent", now=now, attempts=delivery.attempts + 1, receipt=receipt[:_LONGEST_TEXT])


def after_refusal(delivery: Delivery, error: str, *, now: int) -> Delivery:
    """The other side said no, for good."""
    if delivery.state in FINAL:
        return delivery
    words = error[:_LONGEST_TEXT]
    return _finish(delivery, "given_up", now=now, attempts=delivery.attempts + 1, last_error=words)


def after_failure(
    delivery: Delivery,
    error: str,
    *,
    now: int,
    retry_after: float | None,
    jitter: float,
    policy: RetryPolicy,
) -> Delivery:
    """It may or may not have arrived, and may be tried again.

    retry_after: seconds that the other side asked for, None when it named none
    jitter:      a number by chance, 0 <= jitter < 1
    Given up when its age has passed, or when the next attempt would come after that.
    """
    if delivery.state in FINAL:
        return delivery
    attempts = delivery.attempts + 1
    due_at = now + wait_after(attempts, retry_after=retry_after, jitter=jitter, policy=policy)
    words = error[:_LONGEST_TEXT]
    if due_at >= delivery.since + policy.give_up_after:
        return _finish(delivery, "given_up", now=now, attempts=attempts, last_error=words)
    return msgspec.structs.replace(
        delivery, state="retrying", attempts=attempts, due_at=due_at, leased_until=0, last_error=words
    )


def give_up(delivery: Delivery, reason: str, *, now: int) -> Delivery:
    """Nobody will try it (again): without a call."""
    if delivery.state in FINAL:
        return delivery
    return _finish(delivery, "given_up", now=now, attempts=delivery.attempts, last_error=reason[:_LONGEST_TEXT])


def put_back(delivery: Delivery) -> Delivery:
    """Claimed, but no call was made: as it was before, so that another may claim it at once."""
    if delivery.state in FINAL:
        return delivery
    state: DeliveryState = "retrying" if delivery.attempts else "queued"
    return msgspec.structs.replace(delivery, state=state, leased_until=0)


def hold(delivery: Delivery, *, until: int, why: str, now: int) -> Delivery:
    """Claimed, but not to be sent before `until` (epoch ms). One that was tried is not held for ever: otherwise
    what fails in each day's hours would wait from night to night."""
    if delivery.state in FINAL:
        return delivery
    if delivery.attempts and until >= delivery.created_at + LONGEST_HELD:
        return give_up(delivery, f"not accepted in {why}: {delivery.last_error}", now=now)
    waiting = put_back(delivery)
    return msgspec.structs.replace(waiting, due_at=until, held_until=until, held=why[:_LONGEST_TEXT])


def silence(delivery: Delivery, why: str, *, now: int) -> Delivery:
    """Claimed, and its owner does not want to hear of it."""
    if delivery.state in FINAL:
        return delivery
    return _finish(delivery, "snoozed", now=now, attempts=delivery.attempts, receipt=why[:_LONGEST_TEXT])


def cancel(delivery: Delivery, why: str, *, now: int) -> Delivery:
    """Claimed, and no longer true."""
    if delivery.state in FINAL:
        return delivery
    return _finish(delivery, "cancelled", now=now, attempts=delivery.attempts, receipt=why[:_LONGEST_TEXT])


def wait_after(attempts: int, *, retry_after: float | None, jitter: float, policy: RetryPolicy) -> int:
    """Milliseconds (> 0) between failed attempt number `attempts` and the next one. See RetryPolicy."""
    steps = min(attempts, 30)  # the cap is reached long before; more steps would overflow a float one day
    longest = min(policy.first * policy.factor**steps, policy.cap)
    own = policy.first + jitter * max(longest - policy.first, 0)
    asked = min((retry_after or 0.0) * 1000, policy.longest_retry_after)
    return max(round(own), round(asked), 1)


def stand_ins(
    deliveries: Sequence[Delivery], policy: ChannelPolicy, *, now: int, together: bool
) -> dict[str, Delivery]:
    """What another channel is to tell instead of these, with the full content, by their ids; nothing for those
    that can wait. Whichever of the two is sent first is the only one: see `told_by`.

    A bundle is passed on whole, and goes out in one message there too if that channel takes several `together`.
    """
    open_ = [
        each for each in deliveries if not each.fallback and each.state not in ("sent", "snoozed", "cancelled")
    ]
    overdue = {each.bundle or each.id for each in open_ if _is_overdue(each, policy, now=now)}
    passed_on = [each for each in open_ if (each.bundle or each.id) in overdue]
    return {each.id: _stand_in(each, policy.fallback, now=now, together=together) for each in passed_on}


def _is_overdue(delivery: Delivery, policy: ChannelPolicy, *, now: int) -> bool:
    if not policy.fallback:
        return False
    patient = delivery.attempts < policy.fallback_failures and now - delivery.since < policy.fallback_after
    return delivery.state == "given_up" or not patient


def _stand_in(delivery: Delivery, channel: str, *, now: int, together: bool) -> Delivery:
    return Delivery(
        id=twin_id(delivery, channel),
        alert=delivery.alert,
        owner=delivery.owner,
        rule=delivery.rule,
        channel=channel,
        created_at=now,
        due_at=now,
        kind=delivery.kind,
        bundle=f"{delivery.bundle}~{channel}" if together and delivery.bundle else "",
        fallback_of=delivery.channel,
        urgent=delivery.urgent,
    )


def told_by(delivery: Delivery, channel: str, *, now: int) -> Delivery:
    """Claimed, but its owner has been told of it through the other channel meanwhile."""
    return cancel(delivery, f"told through {name_in(channel)}", now=now)


def again(delivery: Delivery, *, now: int) -> Delivery:
    """One that was given up, once more from the beginning, because somebody asked for it: perhaps together with
    others than before."""
    return msgspec.structs.replace(
        delivery,
        state="queued",
        attempts=0,
        last_error="",
        due_at=now,
        held_until=now,
        held=BY_HAND,
        finished_at=0,
        bundle="",
        fallback="",
        fallback_of="",
    )


def is_too_old(delivery: Delivery, *, now: int, policy: RetryPolicy) -> bool:
    """Its age has passed. One that was never tried is never too old."""
    return delivery.attempts > 0 and now >= delivery.since + policy.give_up_after


def _finish(
    delivery: Delivery,
    state: DeliveryState,
    *,
    now: int,
    attempts: int,
    last_error: str | None = None,
    receipt: str = "",
) -> Delivery:
    return msgspec.structs.replace(
        delivery,
        state=state,
        attempts=attempts,
        leased_until=0,
        last_error=delivery.last_error if last_error is None else last_error,
        receipt=receipt,
        finished_at=now,
    )
