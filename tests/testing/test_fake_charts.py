"""What the fake CoinGecko can do wrong in a chart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cryptowatcher.testing.fake_coingecko import FakeCoinGecko
from cryptowatcher.testing.misbehaviour import Misbehaviour
from tests.testing.talking import NOW, Client, talk

CHART = "/coins/bitcoin/market_chart?vs_currency=usd&days=2&precision=full"
Points = list[list[Any]]
Look = Callable[[Points, Points], bool]


def values(points: Points) -> list[Any]:
    return [value for _, value in points]


def times(points: Points) -> list[Any]:
    return [at for at, _ in points]


ABOUT_CHARTS: dict[str, Look] = {
    "chart_nulls": lambda honest, told: [n for n, v in enumerate(values(told)) if v is None] == [*range(1, 49, 3)],
    "chart_zeros": lambda honest, told: values(told)[1::3] == [0] * 16 and values(told)[0] == values(honest)[0],
    "chart_text": lambda honest, told: isinstance(values(told)[1], str) and values(told)[2] == values(honest)[2],
    "chart_spike": lambda honest, told: (
        [n for n in range(49) if values(told)[n] != values(honest)[n]] == [24]
        and values(told)[24] == pytest.approx(values(honest)[24] * 40_000)
    ),
    "chart_scale": lambda honest, told: values(told) == pytest.approx([v * 100 for v in values(honest)]),
    "chart_unsorted": lambda honest, told: told != honest and sorted(told) == honest,
    "chart_twice": lambda honest, told: told[::2] == honest and times(told[1::2]) == times(honest),
    "chart_holes": lambda honest, told: 5 < len(told) < 45 and all(point in honest for point in told),
    "chart_empty": lambda honest, told: told == [],
    "chart_ahead": lambda honest, told: times(told) == [at + 86_400_000 for at in times(honest)],
    "chart_late": lambda honest, told: times(told[:-1]) == [at + 45_000 for at in times(honest[:-1])],
    "chart_pairs": lambda honest, told: told[6:] == honest and told[3] is None,
}


@pytest.mark.parametrize("kind", ABOUT_CHARTS)
def test_it_draws_the_chart_wrongly_and_leaves_prices_alone(kind: str) -> None:
    async def main(fake: FakeCoinGecko, client: Client) -> None:
        price = "/simple/price?ids=bitcoin&vs_currencies=usd&precision=full"
        honest, now = (await client.get(CHART)).json(), (await client.get(price)).json()
        fake.misbehave(Misbehaviour(kind=kind))
        told = (await client.get(CHART)).json()
        assert ABOUT_CHARTS[kind](honest["prices"], told["prices"])
        assert honest["prices"][-1][0] == NOW
        assert (await client.get(price)).json() == now

    talk(main)
