"""What rules look at: a number for each pair, computed from its observations.

A family is one file named after its feature, with two forms of one definition that agree to the bit:
`step(history, cols, window)`, the value for each of these pairs after their newest observation, and
`series(times, prices, valid_for, window)`, the value of one pair after each of its observations (times ascending,
all different). NaN where it is not known.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.ticks import Floats, Ints

StepForm = Callable[[History, Ints, int], Floats]
SeriesForm = Callable[[Ints, Floats, int, int], Floats]


def step_form(name: str) -> StepForm:
    """The step form of a family."""
    step: StepForm = importlib.import_module(f"{__name__}.{name}").step
    return step


def series_form(name: str) -> SeriesForm:
    """The series form of a family."""
    series: SeriesForm = importlib.import_module(f"{__name__}.{name}").series
    return series
