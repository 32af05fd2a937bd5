"""What is no number that can be compared is not known."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.ticks import Floats


def finite(values: Floats) -> Floats:
    """NaN in the place of infinity."""
    return np.where(np.isfinite(values), values, np.nan)


def quotient(of: Floats, by: Floats | float) -> Floats:
    """of / by; NaN where that is not finite."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return finite(of / by)
