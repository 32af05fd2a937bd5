"""What is no number that can be compared is not known."""

from __future__ import annotations

import numpy as np

from cryptowatcher.domain.ticks import Floats


def finite(values: Floats) -> Floats:
    """NaN in the place of infinity. The same column where there is none."""
    known = np.isfinite(values)
    return values if known.all() else np.where(known, values, np.nan)


def quotient(of: Floats, by: Floats | float) -> Floats:
    """of / by; NaN where that is not finite."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return finite(of / by)
