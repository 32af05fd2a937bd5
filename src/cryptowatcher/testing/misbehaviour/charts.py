"""200, well-formed, and wrong: points of /coins/{id}/market_chart that cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptowatcher.testing.misbehaviour.model import Answer, Misbehaviour, Scene, kind

Points = list[list[Any]]
_LISTS = ("prices", "market_caps", "total_volumes")


def _recharted(answer: Answer, act: Callable[[Points], Points], lists: tuple[str, ...] = _LISTS) -> Answer:
    """The same chart with other points; other documents stay as they are."""
    chart = answer.document
    if not isinstance(chart, dict) or not isinstance(chart.get("prices"), list):
        return answer
    return Answer(answer.reply, {name: act(points) if name in lists else points for name, points in chart.items()})


def _every(step: int, act: Callable[[Any], Any]) -> Callable[[Points], Points]:
    """Another value for each so many-th point."""
    return lambda points: [[at, act(v)] if n % step == 1 else [at, v] for n, (at, v) in enumerate(points)]


@kind
def chart_nulls(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Every `value`-th (3rd) point of a chart is null, in all of its lists."""
    return _recharted(answer, _every(max(int(how.number(3)), 2), lambda _: None))


@kind
def chart_zeros(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Every `value`-th (3rd) point of a chart is 0, in all of its lists."""
    return _recharted(answer, _every(max(int(how.number(3)), 2), lambda _: 0))


@kind
def chart_text(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Every `value`-th (3rd) price of a chart is a string."""
    return _recharted(answer, _every(max(int(how.number(3)), 2), str), ("prices",))


@kind
def chart_spike(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """One price in the middle of a chart is `value` (40,000) times the honest one."""

    def act(points: Points) -> Points:
        middle = len(points) // 2
        return [[at, v * how.number(40_000) if n == middle and v else v] for n, (at, v) in enumerate(points)]

    return _recharted(answer, act, ("prices",))


@kind
def chart_scale(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """All prices of a chart are `value` (100) times the honest ones: another coin, or another currency."""
    return _recharted(answer, lambda points: [[at, v and v * how.number(100)] for at, v in points], ("prices",))


@kind
def chart_unsorted(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The points of a chart come in any order, each of its lists in another."""
    return _recharted(answer, lambda points: scene.random.sample(points, len(points)))


@kind
def chart_twice(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Each point of a chart comes twice, the second time 1 % dearer."""
    return _recharted(answer, lambda points: [p for at, v in points for p in ([at, v], [at, v and v * 1.01])])


@kind
def chart_holes(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """A share of `value` (0.5) of a chart's points is missing, in each of its lists others."""
    return _recharted(
        answer, lambda points: [point for point in points if scene.random.random() >= how.number(0.5)]
    )


@kind
def chart_empty(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """A chart without points: three empty lists."""
    return _recharted(answer, lambda points: [])


@kind
def chart_ahead(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The points of a chart are `value` seconds (a day) ahead, some of them in the future."""
    ahead = int(how.number(86_400) * 1000)
    return _recharted(answer, lambda points: [[at + ahead, v] for at, v in points])


@kind
def chart_late(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """The points of a chart come `value` (45) seconds after the full hour or five minutes, as they often do."""
    late = int(how.number(45) * 1000)
    return _recharted(answer, lambda points: [[at + late, v] for at, v in points[:-1]] + points[-1:])


@kind
def chart_pairs(answer: Answer, how: Misbehaviour, scene: Scene) -> Answer:
    """Some points of a chart are no pair of time and value: one number, three, an object, null."""
    odd: Points = [[scene.request.at], [scene.request.at, 1.0, 2.0], {}, None, [None, 1.0], [True, 1.0]]  # type: ignore[list-item]  # on purpose
    return _recharted(answer, lambda points: [*odd, *points])
