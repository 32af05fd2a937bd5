"""Decode of a 250-coin /coins/markets page into Observations, beside json.loads of the same bytes.

python benchmarks/bench_decode.py
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from cryptowatcher.adapters.sources.coingecko.reading import observations, read_markets

GOAL_MS = 1.0
NOW = 1_779_092_300_000


def coin(rank: int, rng: random.Random) -> dict[str, Any]:
    """With all fields of the real thing and full precision, as asked for with precision=full."""
    price = 80_000 / rank**2.2 * (1 + rng.random() / 100)
    supply = 2e7 * rank**1.3

    def change() -> float:
        return rng.gauss(0, 4)

    def when(year: int) -> str:
        return f"{year}-05-{1 + rank % 28:02}T08:17:{rank % 60:02}.{rng.randrange(1000):03}Z"

    name = f"some-quite-ordinary-coin-{rank}"
    return {
        "id": name,
        "symbol": f"sq{rank}",
        "name": name.replace("-", " ").title(),
        "image": f"https://coin-images.coingecko.com/coins/images/{rank}/large/{name}.png?1696501400",
        "current_price": price,
        "market_cap": price * supply,
        "market_cap_rank": rank,
        "market_cap_rank_with_rehypothecated": rank,
        "fully_diluted_valuation": price * supply * 1.05,
        "total_volume": price * supply * rng.random() / 10,
        "high_24h": price * 1.03,
        "low_24h": price * 0.97,
        "price_change_24h": price * change() / 100,
        "price_change_percentage_24h": change(),
        "market_cap_change_24h": price * supply * change() / 100,
        "market_cap_change_percentage_24h": change(),
        "circulating_supply": supply,
        "total_supply": supply * 1.05,
        "max_supply": None if rank % 3 else supply * 1.05,
        "ath": price * 3,
        "ath_change_percentage": -66.6,
        "ath_date": when(2021),
        "atl": price / 1000,
        "atl_change_percentage": 99_900.0,
        "atl_date": when(2013),
        "roi": None if rank % 10 else {"times": 46.1, "currency": "btc", "percentage": 4614.1},
        "last_updated": when(2026),
    }


def page(coins: int = 250) -> bytes:
    rng = random.Random(1)
    return json.dumps([coin(rank, rng) for rank in range(1, coins + 1)], separators=(",", ":")).encode()


def timed_ms(run: Callable[[], object], times: int = 300) -> tuple[float, float]:
    """Median and least of some runs. On a machine that does other things too, the least is the code's own."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took), min(took)


def main() -> None:
    body = page()
    assert len(observations(read_markets(body), "usd", NOW).pairs) == 250
    spoilt = body.replace(b'"current_price":', b'"current_price":NaN,"x":', 1)
    assert len(observations(read_markets(spoilt), "usd", NOW).pairs) == 249
    ours = timed_ms(lambda: observations(read_markets(body), "usd", NOW))
    slow = timed_ms(lambda: observations(read_markets(spoilt), "usd", NOW))
    peer = timed_ms(lambda: json.loads(body))
    verdict = "held" if ours[0] <= GOAL_MS else "held by the least only" if ours[1] <= GOAL_MS else "MISSED"
    print(f"250 coins, {len(body) / 1000:.0f} KB      median    least")
    print(f"page → Observations  {ours[0]:6.2f} ms {ours[1]:6.2f} ms   goal <= {GOAL_MS} ms: {verdict}")
    print(f"one coin spoilt      {slow[0]:6.2f} ms {slow[1]:6.2f} ms")
    print(f"json.loads alone     {peer[0]:6.2f} ms {peer[1]:6.2f} ms   {peer[0] / ours[0]:.1f} x of ours")


if __name__ == "__main__":
    main()
