"""CoinGecko: the market's largest coins by page, and named coins in one call for up to 515.

A round is the pages of /coins/markets for `top`, then /simple/price for those named `ids` that were not among
the top of the round before. Nothing of it is asked per coin. History is: a chart is one coin's.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from cryptowatcher.adapters.http import Http, can_be_asked, open_http
from cryptowatcher.adapters.sources.coingecko.charts import DAY, REACHES, read_chart
from cryptowatcher.adapters.sources.coingecko.failures import failure, not_prices
from cryptowatcher.adapters.sources.coingecko.reading import (
    ASSET,
    Row,
    observations,
    read_markets,
    read_simple,
)
from cryptowatcher.domain.intervals import parse_duration
from cryptowatcher.domain.pairs import check_pair, pair_of
from cryptowatcher.domain.past import Past, Reach
from cryptowatcher.errors import ConfigError, Refused, Unavailable
from cryptowatcher.ports import Clock, Deps, Observations, Pace, Source

PER_PAGE: Final = 250
"""Coins of one /coins/markets page; the API's maximum, and more is cut silently."""
IDS_PER_CALL: Final = 515
"""Ids of one /simple/price call; the API's maximum."""
IDS_LENGTH: Final = 6_000
"""Characters of ids in a URL, which everything on the way carries."""
MAX_BYTES: Final = 8 * 1024 * 1024
_VENDOR: Final = "coingecko.com"
_UNLIMITED: Final = 100_000
_SHORTEST_VALID: Final = 300.0
_LONGEST_MONTH: Final = 31 * 86_400.0

Plan = Literal["keyless", "demo", "paid"]


class _Terms(msgspec.Struct, frozen=True):
    """What a plan comes with."""

    base_url: str
    header: str
    per_minute: int
    per_month: int | None


_TERMS: dict[Plan, _Terms] = {
    "keyless": _Terms("https://api.coingecko.com/api/v3", "", 5, None),
    "demo": _Terms("https://api.coingecko.com/api/v3", "x-cg-demo-api-key", 30, 10_000),
    "paid": _Terms("https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key", 250, None),
}


class CoinGeckoConfig(
    msgspec.Struct, frozen=True, kw_only=True, tag="coingecko", tag_field="kind", forbid_unknown_fields=True
):
    """
    base_url:   where the API is; "" for the plan's own address
    top:        so many of the largest coins, 0 for none
    ids:        coins by CoinGecko id (`bitcoin`, never `btc`), besides the top
    currency:   in which prices are asked
    every:      time between rounds
    plan:       keyless, demo or paid; the last two need a key
    key_file, key_variable: where the key stands
    timeout:    for one call, all of it
    per_minute: calls a minute, instead of the plan's (5, 30, 250); a base_url that is not CoinGecko's has no limit
    per_month:  credits a month, instead of the plan's (none, 10,000, none); likewise
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "coingecko"
    base_url: str = ""
    top: Annotated[int, msgspec.Meta(ge=0, le=20_000)] = 250
    ids: tuple[str, ...] = ()
    currency: str = "usd"
    every: str = "60s"
    plan: Plan = "keyless"
    key_file: str | None = None
    key_variable: str | None = None
    timeout: str = "10s"
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    per_month: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None

    def __post_init__(self) -> None:
        _check_address(self.base_url, self._where("base_url"))
        check_pair(pair_of("bitcoin", self.currency), where=self._where("currency"))
        for field, text in (("every", self.every), ("timeout", self.timeout)):
            if parse_duration(text, where=self._where(field)) < 1:
                raise ConfigError("must be longer than nothing", where=self._where(field))
        for asset in self.ids:
            if not ASSET.fullmatch(asset):
                hint = "it is the last part of the coin's address on coingecko.com, for example bitcoin"
                raise ConfigError(f"{asset!r} is not a CoinGecko id", where=self._where("ids"), hint=hint)
        if not self.top and not self.ids:
            raise ConfigError("nothing to watch", where=self._where("top"), hint="set top, or name ids")
        named = bool(self.key_file or self.key_variable)
        if named == (self.plan == "keyless"):
            hint = 'plan = "demo" or "paid" goes with key_file or key_variable; plan = "keyless" with neither'
            raise ConfigError("key and plan do not fit", where=self._where("plan"), hint=hint)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Source]:
        """Raises ConfigError when the key cannot be read or cannot be one."""
        where = self._where("key_file" if self.key_file else "key_variable")
        key = (deps.secret(file=self.key_file, variable=self.key_variable, where=where) or "").strip()
        if self.plan != "keyless" and not re.fullmatch(r"[!-~]{1,512}", key):
            raise ConfigError("what stands there is not an API key", where=where)
        async with open_http() as http:
            yield CoinGecko(self, http, deps.clock, key)

    def _where(self, field: str) -> str:
        return f"sources.{self.name}.{field}"


SETTINGS = CoinGeckoConfig


class CoinGecko:
    """A ports.HistorySource. Plans each round when the one before ends."""

    reaches = REACHES

    def __init__(self, config: CoinGeckoConfig, http: Http, clock: Clock, key: str) -> None:
        terms = _TERMS[config.plan]
        self._config = config
        self._http = http
        self._clock = clock
        self._base = (config.base_url or terms.base_url).rstrip("/")
        self._headers = {"accept": "application/json"} | ({terms.header: key} if key else {})
        self._deadline = parse_duration(config.timeout) / 1000
        self._markets = -(-config.top // PER_PAGE)
        self._ids = tuple(dict.fromkeys(config.ids))
        self._chunks = chunked(self._ids)
        self._top: set[str] = set()
        self._done: set[str] = set()
        self._pace = _pace(config, self._markets + len(self._chunks))

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def pace(self) -> Pace:
        return self._pace

    @property
    def pages(self) -> int:
        return self._markets + len(self._chunks)

    async def fetch(self, page: int) -> Observations:
        """Page 0 begins a round. A coin that an earlier page of the round gave is left out (ranks move between
        calls). Reasons of unseen pairs: null_price, no_price, missing, not_positive, not_finite, not_a_number,
        no_time, bad_time."""
        if page == 0:
            self._top, self._done = set(), set()
        rows = await (self._market_page(page) if page < self._markets else self._named(page - self._markets))
        now = self._clock.now()
        seen = observations((row for row in rows if row[0] not in self._done), self._config.currency, now)
        self._done.update(pair.rpartition("/")[0] for pair in seen.pairs)
        if page == self.pages - 1:
            self._chunks = chunked([asset for asset in self._ids if asset not in self._top])
        return seen

    async def past(self, pair: str, reach: Reach) -> Past:
        """A chart of one coin. Refused with `no_such_coin` for one that has none."""
        asset = pair.rpartition("/")[0]
        query = {"vs_currency": self._config.currency, "days": str(reach.back // DAY), "precision": "full"}
        try:
            body = await self._ask(f"coins/{quote(asset, safe='')}/market_chart", query)
        except Refused as error:
            if error.reason != "not_found":
                raise
            raise Refused(f"CoinGecko has no history of {asset}", reason="no_such_coin") from error
        return read_chart(body, pair, reach, self._clock.now())

    async def _market_page(self, page: int) -> Sequence[Row]:
        query = {
            "vs_currency": self._config.currency,
            "order": "market_cap_desc",
            "per_page": str(PER_PAGE),
            "page": str(page + 1),
            "precision": "full",
            "sparkline": "false",
        }
        rows = read_markets(await self._ask("coins/markets", query))
        if page == 0 and not rows:
            raise Unavailable("CoinGecko answered an empty list of coins", reason="empty")
        rows = rows[: self._config.top - page * PER_PAGE]
        self._top.update(row[0] for row in rows)
        return rows

    async def _named(self, chunk: int) -> Sequence[Row]:
        query = {
            "ids": ",".join(self._chunks[chunk]),
            "vs_currencies": self._config.currency,
            "include_market_cap": "true",
            "include_24hr_vol": "true",
            "include_last_updated_at": "true",
            "precision": "full",
        }
        body = await self._ask("simple/price", query)
        return read_simple(body, self._chunks[chunk], self._config.currency)

    async def _ask(self, path: str, query: dict[str, str]) -> bytes:
        url = f"{self._base}/{path}?{urlencode(query, safe=',', quote_via=quote)}"
        answer = await self._http.request(
            "GET", url, headers=self._headers, deadline=self._deadline, max_bytes=MAX_BYTES
        )
        if answer.status != 200:
            raise failure(answer, self._clock.now())
        if "json" not in answer.headers.get("content-type", "json").lower():
            raise not_prices(answer.body)
        return answer.body


def chunked(ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The ids in as few calls as the limits on number and length allow, in order."""
    chunks: list[tuple[str, ...]] = []
    chunk: list[str] = []
    length = 0
    for asset in ids:
        size = len(quote(asset, safe="")) + 1
        if chunk and (len(chunk) == IDS_PER_CALL or length + size > IDS_LENGTH):
            chunks.append(tuple(chunk))
            chunk, length = [], 0
        chunk.append(asset)
        length += size
    return [*chunks, tuple(chunk)] if chunk else chunks


def _pace(config: CoinGeckoConfig, pages: int) -> Pace:
    """An observation stays valid for three rounds, however slowly the budget lets them go."""
    terms = _TERMS[config.plan]
    own = _is_own(config.base_url)
    per_minute = config.per_minute or (_UNLIMITED if own else terms.per_minute)
    per_month = config.per_month or (None if own else terms.per_month)
    every = parse_duration(config.every) / 1000
    by_month = pages * _LONGEST_MONTH / per_month if per_month else 0.0
    round_takes = max(every, pages * 60 / per_minute, by_month)
    return Pace(
        every=every,
        valid_for=round(max(_SHORTEST_VALID, 3 * round_takes) * 1000),
        per_minute=per_minute,
        per_month=per_month,
    )


def _is_own(base_url: str) -> bool:
    """Whether it is a server that is not CoinGecko's: a fake, a mirror, a proxy with limits of its own."""
    host = urlsplit(base_url).hostname or _VENDOR
    return host != _VENDOR and not host.endswith("." + _VENDOR)


def _check_address(base_url: str, where: str) -> None:
    if not base_url:
        return
    hint = "write it like https://api.coingecko.com/api/v3"
    if not can_be_asked(base_url) or not re.fullmatch(r"[!-~]+", base_url):
        raise ConfigError("not an http or https address", where=where, hint=hint)
    parts = urlsplit(base_url)
    if parts.query or parts.fragment or parts.username is not None or "?" in base_url or "#" in base_url:
        raise ConfigError("no user, query or fragment belongs there", where=where, hint=hint)
