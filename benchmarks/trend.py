"""Whether a figure grows: a slope that outliers do not move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slope_per_hour(seconds: Sequence[float], values: Sequence[float]) -> float:
    """Rise of ``values`` an hour: the median of the slopes between all pairs (Theil 1950, Sen 1968); NaN of nothing.

    Up to 29 % of the points may lie anywhere without moving it far.
    """
    t, v = np.asarray(seconds, float), np.asarray(values, float)
    first, second = np.triu_indices(len(t), 1)
    apart = t[second] - t[first]
    slopes = (v[second] - v[first])[apart > 0] / apart[apart > 0]
    return float(np.median(slopes)) * 3600 if len(slopes) else float("nan")
