"""GET /api/v1/summary: what the summary would say now."""

from __future__ import annotations

import msgspec
from litestar import get

from cryptowatcher.domain.summary import Fired, GivenUp, Move, Unseen, summary_text
from cryptowatcher.summarizing import summarize
from cryptowatcher.web.answers import Millis
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.problems import documented


class FiredRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, how often it fired, and its newest alert. `move`: as messages show it, or `unknown`."""

    rule: str
    name: str
    alerts: int
    pair: str
    price: float
    move: str
    at_ms: Millis


class UnseenPairs(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that were not seen, together: the first by name, how many, for how long, how often. `since_ms`: when
    they were seen last; null: they are seen again."""

    pairs: tuple[str, ...]
    count: int
    unseen_ms: int
    times: int
    since_ms: Millis | None


class SummaryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The words of it, and its numbers.

    late:     alerts that were found while history was filled in
    rules:    those that fired most; `all_rules`: how many fired
    moves:    what moved most, as a fraction, with the price at the end
    sent:     messages that were accepted; `sent_late` of them late, `reminders` of them saying it again
    """

    title: str
    body: str
    begin_ms: Millis
    end_ms: Millis
    alerts: int
    buys: int
    sells: int
    late: int
    rules: list[FiredRule]
    all_rules: int
    moves: list[Move]
    given_up: list[GivenUp]
    unseen: list[UnseenPairs]
    sent: int
    sent_late: int
    reminders: int


@get(
    "/summary",
    needs="viewer",
    responses=documented(400),
    summary="What the summary would say now",
    description="Of the stretch so far: since the last one was due, or without a plan since the day began.",
    tags=["alerts"],
)
async def summary_so_far(deps: Deps) -> SummaryAnswer:
    end = deps.clock.now()
    reach = await deps.asked.run(lambda tx: tx.reach(deps.setting, owner=deps.owner))
    plan = reach.wishes(deps.owner).plan_or_days()
    found = await summarize(deps.asked, deps.owner, plan.times.last(end), end)
    text = summary_text(found, plan.name, plan.zone)
    return SummaryAnswer(
        title=text.title,
        body=text.body,
        begin_ms=found.begin,
        end_ms=found.end,
        alerts=found.alerts,
        buys=found.buys,
        sells=found.sells,
        late=found.late,
        rules=[_rule(each) for each in found.rules],
        all_rules=found.all_rules,
        moves=list(found.moves),
        given_up=list(found.given_up),
        unseen=[_unseen(each) for each in found.unseen],
        sent=found.ended.sent,
        sent_late=found.ended.late,
        reminders=found.ended.reminders,
    )


def _rule(fired: Fired) -> FiredRule:
    return FiredRule(
        rule=fired.rule,
        name=fired.name,
        alerts=fired.alerts,
        pair=fired.pair,
        price=fired.price,
        move=fired.move,
        at_ms=fired.at,
    )


def _unseen(unseen: Unseen) -> UnseenPairs:
    return UnseenPairs(
        pairs=unseen.pairs,
        count=unseen.count,
        unseen_ms=unseen.ms,
        times=unseen.times,
        since_ms=unseen.since or None,
    )
