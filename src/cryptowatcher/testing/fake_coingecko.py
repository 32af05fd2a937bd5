"""A CoinGecko on loopback: the real paths, shapes and refusals over a tape, and misbehaviour on demand.

    async with FakeCoinGecko(Market(seed=1)) as fake:
        ...  # fake.url is http://127.0.0.1:PORT/api/v3
        fake.misbehave(Misbehaviour(kind="rate_limited_seconds", times=3))
        fake.set_price("bitcoin", 65_000.0)

From outside the process: POST /_control/misbehave and /_control/price, POST /_control/behave, GET /_control.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Literal

import msgspec

from cryptowatcher.testing import coingecko_shapes as shapes
from cryptowatcher.testing.coins import Coin
from cryptowatcher.testing.market import Snapshot, Tape
from cryptowatcher.testing.misbehaviour import MISBEHAVIOURS, Answer, Misbehaviour, Scene, apply
from cryptowatcher.testing.misbehaviour.refusals import refusal, too_many, unauthorised
from cryptowatcher.testing.wire import LocalService, Reply, Request, WallTime, json_reply, wall_time

PREFIX = "/api/v3"
DEMO_KEY = "CG-demo-key"
PRO_KEY = "CG-pro-key"
_IDS_MOST = 515
_LIBRARIES = ("python-httpx/", "python-requests/", "python-urllib", "python/", "aiohttp/", "go-http-client/")
_LOG = 10_000  # requests that are remembered, so that a demo can run for weeks


class _PriceSet(msgspec.Struct, forbid_unknown_fields=True):
    """POST /_control/price; a null price gives the coin back to the tape."""

    coin: str
    price: float | None


class FakeCoinGecko(LocalService):
    """`clock` gives epoch ms. Everything may be changed while it runs.

    cache:      market seconds for which answers stay the same (60 in reality)
    per_minute: requests a minute, refused ones included, before it answers 429; None for no limit
    plan:       `public` and `pro` refuse the other's key as the two real hosts do; `any` takes both
    """

    def __init__(
        self,
        tape: Tape,
        *,
        clock: WallTime = wall_time,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        cache: float = 0.0,
        per_minute: int | None = None,
        plan: Literal["any", "public", "pro"] = "any",
    ) -> None:
        super().__init__(host=host, port=port, clock=clock)
        self.tape = tape
        self.cache = cache
        self.per_minute = per_minute
        self.plan = plan
        self.requests: deque[Request] = deque(maxlen=_LOG)
        self._asked = asyncio.Condition()
        self._clock = clock
        self._random = Random(seed)
        self._places = {coin.id: place for place, coin in enumerate(tape.coins)}
        self._prices: dict[str, float] = {}
        self._active: list[_Active] = []

    @property
    def url(self) -> str:
        return self.origin + PREFIX

    @property
    def control(self) -> str:
        return f"{self.origin}/_control"

    def misbehave(self, misbehaviour: Misbehaviour) -> None:
        """From the next request on, after those already at work."""
        self._active.append(_Active(misbehaviour))

    def behave(self) -> None:
        """Forget all misbehaviour. Prices that were set stay."""
        self._active.clear()

    def set_price(self, coin: str, usd: float) -> None:
        if coin not in self._places:
            raise ValueError(f"no coin {coin!r} in this market")
        self._prices[coin] = usd

    def clear_price(self, coin: str | None = None) -> None:
        """Give one coin or all back to the tape."""
        if coin is None:
            self._prices.clear()
        else:
            self._prices.pop(coin, None)

    async def wait_for(self, count: int) -> list[Request]:
        """Once it has been asked `count` times, the requests so far."""
        async with self._asked:
            await self._asked.wait_for(lambda: len(self.requests) >= count)
        return list(self.requests)

    # --- one request --------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Reply:
        if request.path.startswith("/_control"):
            return self._controlled(request)
        async with self._asked:
            self.requests.append(request)
            self._asked.notify_all()
        refused = self._refused(request)
        answer = refused or self._honest(request)
        path = request.path.removeprefix(PREFIX)
        for active in [active for active in self._active if active.wanted(path)]:
            scene = Scene(request, self.origin + request.path, self._random, active.memory)
            answer = apply(active.misbehaviour, answer, scene)
        self._active = [active for active in self._active if not active.over()]
        return _packed(answer, request)

    def _refused(self, request: Request) -> Answer | None:
        agent = request.headers.get("user-agent", "").lower()
        if not agent or agent.startswith(_LIBRARIES):
            return refusal(403, 403, "Please add a descriptive User-Agent to your request")
        trouble = self._key_trouble(request)
        if trouble is not None:
            return unauthorised(trouble)
        if self.per_minute is None:
            return None
        since = request.at - 60_000
        recent = [earlier.at for earlier in self.requests if earlier.at > since]
        if len(recent) <= self.per_minute:
            return None
        return too_many(("Retry-After", str(max(1, (recent[0] - since + 999) // 1000))))

    def _key_trouble(self, request: Request) -> int | None:
        demo = _key(request, "demo")
        pro = _key(request, "pro")
        if self.plan == "public" and pro is not None:
            return 10010
        if self.plan == "pro" and (demo is not None or pro is None):
            return 10011 if demo is not None else 10002
        return 10002 if demo not in (None, DEMO_KEY) or pro not in (None, PRO_KEY) else None

    def _honest(self, request: Request) -> Answer:
        if request.method != "GET" or not request.path.startswith(PREFIX + "/"):
            return _error(404, "Not Found")
        match request.path.removeprefix(PREFIX).strip("/").split("/"):
            case ["ping"]:
                return _ok({"gecko_says": "(V3) To the Moon!"})
            case ["simple", "price"]:
                return self._simple_price(request.query)
            case ["coins", "markets"]:
                return self._markets(request.query)
            case ["coins", "list"]:
                rows = [{"id": coin.id, "symbol": coin.symbol, "name": coin.name} for coin in self.tape.coins]
                return _ok(rows)
            case ["coins", coin, "market_chart" | "ohlc" as what]:
                return self._chart(coin, what, request.query)
            case ["simple", "supported_vs_currencies"]:
                return _ok(shapes.currencies())
        return _error(404, "Incorrect path. Please check https://www.coingecko.com/api/")

    def _snapshot(self) -> Snapshot:
        """The tape now, or when the cache was last filled, with the prices that were set."""
        at = self._clock()
        cache_ms = int(self.cache * 1000 / self.tape.speed)
        now = self.tape.at(at - at % cache_ms if cache_ms else at)
        if not self._prices:
            return now
        price, high, low = now.price.copy(), now.high.copy(), now.low.copy()
        for coin, usd in self._prices.items():
            place = self._places[coin]
            price[place] = usd
            high[place], low[place] = max(high[place], usd), min(low[place], usd)
        return msgspec.structs.replace(now, price=price, high=high, low=low)

    def _simple_price(self, query: Mapping[str, str]) -> Answer:
        for name in ("ids", "vs_currencies"):
            if not query.get(name) and not (name == "ids" and (query.get("names") or query.get("symbols"))):
                return _error(422, f"Missing parameter {name}")
        places = self._chosen(query)
        if len(query.get("ids", "").split(",")) > _IDS_MOST:
            return _error(422, f"more than {_IDS_MOST} ids")
        now = self._snapshot()
        return _ok(shapes.simple_price(self.tape.coins, now, places, query))

    def _markets(self, query: Mapping[str, str]) -> Answer:
        if not query.get("vs_currency"):
            return _error(422, "Missing parameter vs_currency")
        now = self._snapshot()
        rate = shapes.rate_of(query["vs_currency"].lower(), self.tape.coins, now)
        if rate is None:
            return _error(422, "invalid vs_currency")
        scene = shapes.scenery(self.tape.coins, now, rate)
        places = shapes.arranged(scene, query.get("order", "market_cap_desc"))
        if any(query.get(name) for name in _CHOICES):
            chosen = set(self._chosen(query))
            places = [place for place in places if place in chosen]
        size = min(max(_integer(query.get("per_page"), shapes.PER_PAGE), 1), shapes.PER_PAGE_MOST)
        start = (max(_integer(query.get("page"), 1), 1) - 1) * size
        rows = shapes.market_rows(scene, places[start : start + size], tape=self.tape, query=query)
        return _ok(rows, ("total", str(len(places))), ("per-page", str(size)))

    def _chosen(self, query: Mapping[str, str]) -> list[int]:
        """ids before names before symbols; what is not known is left out, and blanks are not forgiven."""
        for name, attribute in _CHOICES.items():
            wanted = query.get(name)
            if wanted:
                values = dict.fromkeys(wanted.split(","))
                return [place for place, coin in enumerate(self.tape.coins) if attribute(coin) in values]
        return []

    def _chart(self, coin: str, what: str, query: Mapping[str, str]) -> Answer:
        place = self._places.get(coin)
        if place is None:
            return _error(404, "coin not found")
        if not query.get("vs_currency"):
            return _error(422, "Missing parameter vs_currency")
        at = self._clock()
        rate = shapes.rate_of(query["vs_currency"].lower(), self.tape.coins, self._snapshot())
        days = 366 if query.get("days") == "max" else _integer(query.get("days"), 0)
        if rate is None or days < 1:
            return _error(422, "invalid vs_currency" if rate is None else "Missing parameter days")
        if days > 365:
            return unauthorised(10012)
        if what == "market_chart":
            daily = query.get("interval") == "daily"
            chart = shapes.market_chart(self.tape, place, at, days=days, daily=daily, rate=rate)
            return _ok(chart)
        if days not in shapes.OHLC_DAYS:
            return _error(400, "Invalid days parameter")
        return _ok(shapes.ohlc(self.tape, place, at, days=days, rate=rate))

    # --- control ------------------------------------------------------------------------------------

    def _controlled(self, request: Request) -> Reply:
        try:
            match request.method, request.path.removeprefix("/_control").strip("/"):
                case "GET", "":
                    return json_reply(self._state())
                case "POST", "misbehave":
                    self.misbehave(msgspec.json.decode(request.body, type=Misbehaviour))
                case "POST", "behave":
                    self.behave()
                case "POST", "price":
                    wish = msgspec.json.decode(request.body, type=_PriceSet)
                    if wish.price is None:
                        self.clear_price(wish.coin)
                    else:
                        self.set_price(wish.coin, wish.price)
                case _:
                    return json_reply({"error": "no such control"}, status=404)
        except ValueError as error:  # msgspec's errors are such, too
            return json_reply({"error": str(error)}, status=422)
        return json_reply(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "misbehaving": [active.remaining() for active in self._active],
            "prices": self._prices,
            "requests": len(self.requests),
            "kinds": dict(MISBEHAVIOURS),
        }


class _Active:
    """A misbehaviour at work: how often still, and what it remembers."""

    def __init__(self, misbehaviour: Misbehaviour) -> None:
        self.misbehaviour = misbehaviour
        self.memory: dict[str, Any] = {}
        self._left = misbehaviour.times

    def wanted(self, path: str) -> bool:
        """Counts."""
        if not self.misbehaviour.concerns(path) or self.over():
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def over(self) -> bool:
        return self._left is not None and self._left <= 0

    def remaining(self) -> Misbehaviour:
        return msgspec.structs.replace(self.misbehaviour, times=self._left)


_CHOICES: Mapping[str, Callable[[Coin], str]] = {
    "ids": lambda coin: coin.id,
    "names": lambda coin: coin.name,
    "symbols": lambda coin: coin.symbol,
}


def _key(request: Request, plan: str) -> str | None:
    return request.headers.get(f"x-cg-{plan}-api-key") or request.query.get(f"x_cg_{plan}_api_key")


def _ok(document: object, *headers: tuple[str, str]) -> Answer:
    return Answer(Reply(headers=(("Content-Type", "application/json; charset=utf-8"), *headers)), document)


def _error(status: int, text: str) -> Answer:
    return Answer(json_reply({"error": text}, status=status))


def _integer(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() else otherwise


def _packed(answer: Answer, request: Request) -> Reply:
    """gzip for who accepts it, unless the misbehaviour packed the body itself."""
    reply = answer.closed()
    packed = any(name == "Content-Encoding" for name, _ in reply.headers)
    if packed or len(reply.body) < 1000 or "gzip" not in request.headers.get("accept-encoding", ""):
        return reply
    body = gzip.compress(reply.body, compresslevel=1, mtime=0)
    return msgspec.structs.replace(reply, body=body).with_headers(("Content-Encoding", "gzip"))
