"""A move in sentences: numbers beside each other, and no word of what caused what."""

from __future__ import annotations

from collections.abc import Iterator

from cryptowatcher.domain.moves import PairMove, Sentence, Witnesses
from cryptowatcher.domain.texts import show_percent, show_price, show_span

_ALL = 0.995
_SIZE = 3


def say_move(move: PairMove) -> list[Sentence]:
    """What can be said of it, the move itself first."""
    return [
        Sentence(about="move", says=_moved(move)),
        *_speed(move),
        Sentence(about="usual", says=_usual(move)),
        *_bitcoin(move),
        Sentence(about="market", says=_market(move)),
        *_volume(move),
        Sentence(about="seen", says=_seen(move)),
        Sentence(about="sources", says=_sources(move)),
        Sentence(about="alerts", says=_alerts(move)),
    ]


def _moved(move: PairMove) -> str:
    length, currency = span(move.to_ms - move.from_ms), move.pair.rpartition("/")[2].upper()
    if move.change is None or move.begin is None or move.end is None:
        which = "beginning" if move.begin is None else "end"
        return f"How far {move.pair} moved in these {length} is not known: there is no price near the {which}."
    prices = f"from {show_price(move.begin)} to {show_price(move.end)} {currency}"
    if move.change == 0:
        return f"{move.pair} ended these {length} where it began, at {show_price(move.end)} {currency}."
    return f"{move.pair} {_did(move.change)} in {length}, {prices}."


def _speed(move: PairMove) -> Iterator[Sentence]:
    fast, inside = move.inside.fastest, move.inside
    if fast is not None:
        after = fast.from_ms - move.from_ms
        when = f"{span(after)} after the beginning" if after else "right at the beginning"
        says = f"The quickest part: {show_percent(fast.change)} within {span(fast.to_ms - fast.from_ms)}, {when}."
        yield Sentence(about="speed", says=says)
    if inside.high is not None and inside.low is not None and move.begin:
        high, low = (show_percent(each / move.begin - 1) for each in (inside.high, inside.low))
        says = f"In between it stood at {high} at most and {low} at least, seen from the beginning."
        yield Sentence(about="speed", says=says)


def _usual(move: PairMove) -> str:
    usual = move.usual
    if usual.smaller is None or usual.median is None:
        return f"Whether that is unusual for it cannot be said: {usual.unknown}."
    length, past = span(move.to_ms - move.from_ms), span(usual.past_ms)
    share = f"{_share(usual.smaller)} of the stretches of {length}" if usual.smaller else f"no stretch of {length}"
    return (
        f"That is further than in {share} in the {past} before; half of them moved less than "
        f"{show_percent(usual.median).lstrip('+')} either way ({usual.apart:,} that do not overlap)."
    )


def _bitcoin(move: PairMove) -> Iterator[Sentence]:
    if move.bitcoin is not None:
        says = f"Bitcoin {_did(move.bitcoin)} in the same time."
        if move.change is not None:
            apart = move.change - move.bitcoin
            says = f"{says[:-1]}: {_points(apart)} {'less' if apart > 0 else 'more'} than this."
        yield Sentence(about="bitcoin", says=says)


def _market(move: PairMove) -> str:
    market, currency = move.market, move.pair.rpartition("/")[2].upper()
    if market.median is None:
        return f"There is no market to compare with: of {market.pairs} pairs in {currency} the moves are known."
    says = (
        f"Of {market.pairs:,} watched pairs in {currency}, {market.up:,} rose and {market.down:,} fell; "
        f"the median {_did(market.median)}."
    )
    if market.further is None or move.change is None:
        return says
    way = "rose" if move.change > 0 else "fell"
    share = _share(market.further)
    return f"{says} {share[0].upper()}{share[1:]} of the others {way} at least as far."


def _volume(move: PairMove) -> Iterator[Sentence]:
    volume = move.volume
    if volume.times is not None:
        says = (
            f"The 24 h volume at the end was {show_price(volume.times, _SIZE)} times its mean of the "
            f"{span(volume.past_ms)} before."
        )
        yield Sentence(about="volume", says=says)


def _seen(move: PairMove) -> str:
    inside = move.inside
    if not inside.watched and not inside.told:
        return "Nothing of this time was observed."
    nothing = 1 - inside.watched - inside.told
    rest = [
        f"{_share(share)} {what}"
        for share, what in ((inside.told, "was told by a source afterwards"), (nothing, "nobody saw"))
        if share > 1 - _ALL
    ]
    watched = f"{_share(inside.watched)} of this time was watched"
    return f"{watched[0].upper()}{watched[1:]}{''.join(', ' + each for each in rest)}."


def _sources(move: PairMove) -> str:
    who = move.witnesses
    if who.unknown:
        return f"Which sources saw it is not told: {who.unknown}."
    if not who.seen and not who.held:
        return "The journal has no observation of it from this time."
    late = f"Nothing was written down of the first {span(who.from_ms - move.from_ms)}. " if who.from_ms else ""
    return f"{late}{_witnessed(who)}"


def _witnessed(who: Witnesses) -> str:
    by = ", ".join(f"{source} ({ticks:,})" for source, ticks in sorted(who.seen.items()))
    says = f"Observed by {by}." if by else "No observation of it counted."
    if not who.held:
        return f"{says} No price was held back as too strange."
    became = f"{who.believed:,} believed and {who.dismissed:,} dismissed"
    return f"{says} {counted(who.held, 'price')} held back as too strange, {became} within this time."


def _alerts(move: PairMove) -> str:
    n = len(move.alerts)
    return f"{counted(n, 'alert')} of yours fired for it." if n else "No alert of yours fired for it."


def span(ms: int) -> str:
    """`4 hours`: about how long."""
    number, unit = show_span(ms)
    return counted(number, unit)


def counted(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def _did(change: float) -> str:
    if change == 0:
        return "did not move"
    return f"{'rose' if change > 0 else 'fell'} {show_percent(abs(change)).lstrip('+')}"


def _points(difference: float) -> str:
    return f"{show_price(abs(difference) * 100, _SIZE)} percentage points"


def _share(share: float) -> str:
    if share >= _ALL:
        return "all" if share == 1 else "nearly all"
    if share < 1 - _ALL:
        return "none" if share == 0 else "hardly any"
    return f"{share:.0%}"
