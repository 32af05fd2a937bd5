"""Why a rule has not fired, in sentences."""

from __future__ import annotations

from typing import Final

import msgspec

from cryptowatcher.domain.features import Unit
from cryptowatcher.domain.intervals import MS, show_duration
from cryptowatcher.domain.rules.engine import Engine
from cryptowatcher.domain.rules.model import Rule
from cryptowatcher.domain.rules.sides import Input, Side
from cryptowatcher.domain.rules.tree import Number, show_number
from cryptowatcher.domain.rules.why import Why, why
from cryptowatcher.domain.texts import show_percent, show_price, show_time

_HOW: Final = {
    "fired": "It fired at {}",
    "held back": "Its condition turned true at {}, while it was silent after it had fired",
    "already": "Its condition was true already when it was first looked at, at {}",
}
_OVER: Final = {
    True: "all of its comparisons are over",
    False: "one of its comparisons is over",
    None: "its condition is no longer so",
}


class Explained(Why, frozen=True, kw_only=True):
    """Why, and `says`: the same in words."""

    says: str


def explain(engine: Engine, rule: Rule, pair: str, *, snoozed_until: int | None = None) -> Explained:
    """See why.why."""
    found = why(engine, rule, pair, snoozed_until=snoozed_until)
    return Explained(**msgspec.structs.asdict(found), says=say_why(found))


def say_why(why: Why) -> str:
    """One sentence on where the rule stands and what is missing, and one on each thing that is in its way."""
    return " ".join([_stands(why), *_besides(why)])


def _stands(why: Why) -> str:
    not_fired = f"It has not fired{' again' if why.fired else ''} because"
    match why.state:
        case "new":
            return "The watcher has not come to it yet."
        case "paused":
            return "It is paused."
        case "expired":
            return f"It ended at {_time(why.since)}."
        case "not covered":
            return f"It does not look at {why.pair}."
        case "not among":
            rank = "not known" if why.rank is None else f"{why.rank:.0f}"
            return f"{why.pair} is not among the {why.top} largest pairs now: its rank is {rank}."
        case "done":
            return f"It fired at {_time(why.since)}, and it tells once."
        case "unarmed" if why.observed_at is None:
            return f"{not_fired} {why.pair} was never observed."
        case "unarmed":
            unknown = [_side(side, why) for side in why.parts if side.truth == "unknown"]
            first = _list(unknown, "and") if unknown else f"the next observation of {why.pair} will be it"
            return f"{not_fired} its first look is still to come: {first}."
        case "pending":
            return (
                f"Its condition has held since {_time(why.since)}, and it fires when that was so for another "
                f"{_span(why.missing or 0)} of observed time."
            )
        case "inside":
            return _inside(why)
        case "waiting":
            return f"{not_fired} {_missing(why)}."


def _besides(why: Why) -> list[str]:
    """What is in its way besides."""
    if why.state in ("new", "paused", "expired", "not covered", "done"):
        return []
    said = []
    if why.cooldown_until is not None:
        held = f" It has held back {_times(why.suppressed)}." if why.suppressed else ""
        last, until = _time(why.last_fired_at), _time(why.cooldown_until)
        often = " because it fired so often" if why.flaps else ""
        said.append(f"After it fired at {last} it is silent until {until}{often}.{held}")
    if why.snoozed_until is not None:
        said.append(f"It is snoozed until {_time(why.snoozed_until)}: nothing is sent until then.")
    if why.quiet_until is not None:
        said.append(f"Its active hours begin at {_time(why.quiet_until)}: what it has to say waits until then.")
    if why.stale:
        said.append(
            f"The newest observation of {why.pair} is {_span(why.age or 0)} old ({why.source}): "
            "nothing is judged until the next one."
        )
    return said


def _inside(why: Why) -> str:
    how = _HOW[why.met or "already"].format(_time(why.since))
    return f"{how}. It can fire again after {_again(why)}."


def _again(why: Why) -> str:
    """What must be so before it is armed again."""
    backs = [_back(side) for side in why.parts if side.rearm is not None]
    if len(why.parts) == 1:
        return backs[0] if backs else f"`{why.text}` was no longer so"
    return f"{_OVER[why.any_part]} ({'; '.join(backs)})" if backs else _OVER[why.any_part]


def _back(side: Side) -> str:
    now = "unknown" if side.left is None else show_value(side.left, side.unit)
    assert side.rearm is not None, "asked where it is known"
    where = f"{'at or ' if side.strict else ''}{'below' if side.rises else 'above'}"
    return f"{_left(side)} was {where} {_exact(side.rearm, side.unit)} (now {now})"


def _missing(why: Why) -> str:
    """What keeps the condition from turning true."""
    if why.condition == "holds":
        crossings = [_side(side, why) for side in why.parts if side.crossing]
        if crossings:
            return _joined(crossings, why)
        return "its condition holds since the last observation, and is looked at again at the next one"
    return _joined([_side(side, why) for side in why.parts if side.truth != "holds"], why)


def _joined(said: list[str], why: Why) -> str:
    if why.any_part is None and len(said) > 1:
        return f"not enough of `{why.text}` is so: {'; '.join(said)}"
    return _list(said, "or" if why.any_part else "and")


def _side(side: Side, why: Why) -> str:
    """`rsi is 41.2 and must fall below 30 (11.2 to go)`."""
    if side.truth == "unknown" or side.left is None or side.right is None:
        reasons = [_reason(each, why) for each in side.inputs if each.value is None]
        because = f": {_list(reasons, 'and')}" if reasons else ""
        last = f" (last known at {_time(side.known_at)})" if side.known_at is not None else ""
        return f"`{side.text}` is unknown{because}{last}"
    now = f"{_left(side)} is {show_value(side.left, side.unit)}"
    if side.truth == "holds":
        return f"{now}, {'above' if side.rises else 'below'} {_right(side)} already, and must cross it anew"
    turn = ("rise" if side.rises else "fall") + ((" above" if side.rises else " below") if side.strict else " to")
    return f"{now} and must {turn} {_right(side)} ({show_distance(side)} to go)"


def _reason(each: Input, why: Why) -> str:
    match each.reason:
        case "unseen":
            return f"{why.pair} was never observed"
        case "short":
            past = f"{each.text} looks back on {show_duration(each.needs)}"
            return f"{past}, and {why.pair} was watched for {_span(why.watched)}"
        case "gap":
            return f"too little of what {each.text} looks back on was watched"
        case "unsaid":
            return f"{why.source} does not say what {each.text} needs"
        case _ if each.others:
            return f"{each.text} needs a current price of {_list(list(each.others), 'and')}"
        case _:
            return f"{each.text} needs other pairs that are not observed now"


def _left(side: Side) -> str:
    return "the price" if side.of == "price" else side.of


def _right(side: Side) -> str:
    if side.right is None:
        return side.against
    if side.fixed:
        return _exact(side.right, side.unit)
    return f"{side.against}, now {show_value(side.right, side.unit)},"


def _exact(value: float, unit: Unit) -> str:
    """A share with all its digits: a band is a small part of one."""
    return show_number(Number(value, percent=True)) if unit == "fraction" else show_value(value, unit)


def show_distance(side: Side) -> str:
    """How far the left side is from the right one, whichever way; "" where that is not known."""
    if side.distance is None:
        return ""
    far = show_value(abs(side.distance), side.unit)
    if side.unit == "fraction":
        return f"{far.removesuffix('%')} percentage points"
    if side.unit not in ("price", "money") or side.relative is None:
        return far
    return f"{far} or {show_value(abs(side.relative), 'fraction')}"


def show_value(value: float | None, unit: Unit) -> str:
    """As people write it; unknown is a dash."""
    if value is None:
        return "–"
    if unit == "fraction":
        return show_percent(value).removeprefix("+")
    return _span(round(value)) if unit == "time" else show_price(value)


def _span(ms: int) -> str:
    """A stretch of time in its two largest units."""
    sign = "-" * (ms < 0)
    for unit, finer in (("d", "h"), ("h", "m"), ("m", "s")):
        if abs(ms) >= MS[unit]:
            return sign + show_duration(abs(ms) // MS[finer] * MS[finer])
    return sign + show_duration(abs(ms) // MS["s"] * MS["s"] or abs(ms))


def _time(at: int | None) -> str:
    return "an unknown time" if at is None else show_time(at)


def _times(count: int) -> str:
    return "one crossing" if count == 1 else f"{count:,} crossings"


def _list(said: list[str], last: str) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} {last} {said[-1]}"
