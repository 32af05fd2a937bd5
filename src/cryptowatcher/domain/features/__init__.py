"""What rules look at: a number for each pair, computed from its observations.

A family is one file named after its feature, with `step(history, cols, window)`: the value for each of these
pairs after their newest observation, NaN where it is not known.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from cryptowatcher.domain.features.history import History
from cryptowatcher.domain.ticks import Floats, Ints

StepForm = Callable[[History, Ints, int], Floats]


def step_form(name: str) -> StepForm:
    """The step form of a family."""
    step: StepForm = importlib.import_module(f"{__name__}.{name}").step
    return step
