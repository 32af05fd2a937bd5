"""GET /api/v1/moves: one pair's move between two moments, held against its own past and the market."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from cryptowatcher.domain.intervals import parse_duration, show_duration
from cryptowatcher.domain.moves import PairMove
from cryptowatcher.domain.pairs import pair_of
from cryptowatcher.errors import ConfigError
from cryptowatcher.explaining import LONGEST, SHORTEST, explain_move
from cryptowatcher.web.deps import Deps
from cryptowatcher.web.market import AssetId, Currency, parse_instant
from cryptowatcher.web.preview import GivenTurns
from cryptowatcher.web.problems import bad_parameter, documented, not_found

Last = Annotated[
    str, QueryParameter(max_length=40, description="how long, up to `to`, where there is no `from`: 1h, 24h, 7d")
]
From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        max_length=64,
        description="ISO 8601 (UTC where it names no zone) or epoch ms; default: by `last`",
    ),
]
To = Annotated[str | None, QueryParameter(name="to", max_length=64, description="as `from`; default: now")]


@get(
    "/moves/{asset:str}/{currency:str}",
    needs="viewer",
    responses=documented(400, 404, 503),
    summary="What is known of a move",
    description="How far and how fast the price moved, how unusual that is for the pair, what bitcoin, the market "
    "and the volume did in the same time, who observed it, and your alerts in it; `says` is the same in words. It "
    "tells what was so, and never why.",
    tags=["market"],
)
async def move(
    deps: Deps,
    looks: GivenTurns,
    asset: AssetId,
    currency: Currency,
    begin: From = None,
    until: To = None,
    last: Last = "24h",
) -> PairMove:
    pair, now = pair_of(asset, currency), deps.clock.now()
    end = now if until is None else min(now, parse_instant(until, "to"))
    start = end - _length(last) if begin is None else parse_instant(begin, "from")
    if not SHORTEST <= end - start <= LONGEST:
        bounds = f"{show_duration(SHORTEST)} to {show_duration(LONGEST)}"
        raise bad_parameter("from", f"a stretch is {bounds} long, and not in the future")
    if not await deps.asked.run(lambda tx: tx.prices([pair])):
        raise not_found(f"{pair} is not watched; pairs are written with CoinGecko ids, as in bitcoin/usd")
    return await looks(
        lambda: explain_move(
            deps.asked, deps.journal, pair, start=max(0, start), end=end, owner=deps.owner, now=now
        )
    )


def _length(text: str) -> int:
    try:
        return parse_duration(text)
    except ConfigError as error:
        raise bad_parameter("last", error.message, hint=error.hint) from None
