"""Intervals of figures whose drives are of few drivers: drivers are drawn anew, not drives and not frames.

What one driver's eyes are misread as comes again and again, so drives of one driver are no independent evidence
(bootstrap of clusters: Davison, Hinkley, "Bootstrap methods and their application", 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 18
ENDS = (2.5, 97.5)


def driver_of(name: str) -> str:
    """Who a driver is: the same person with and without glasses is one."""
    return name.partition(",")[0]


def ratio_interval(parts: Sequence[float], wholes: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the drivers' ``parts`` over their ``wholes``, one of each a driver.

    None where fewer than two drivers have any: one says nothing of how much drivers differ.
    """
    whole = np.asarray(wholes, float)
    part, whole = np.asarray(parts, float)[whole > 0], whole[whole > 0]
    if len(whole) < 2:
        return None
    drawn = _drawn(len(whole))
    low, high = np.percentile(part[drawn].sum(1) / whole[drawn].sum(1), ENDS)
    return float(low), float(high)


def quantile_interval(values: Sequence[Sequence[float]], percent: float) -> tuple[float, float] | None:
    """95 % interval of a percentile of all the drivers' ``values``, a sequence a driver; None as above."""
    own = [np.asarray(each, float) for each in values if len(each)]
    if len(own) < 2:
        return None
    found = [np.percentile(np.concatenate([own[place] for place in places]), percent) for places in _drawn(len(own))]
    low, high = np.percentile(found, ENDS)
    return float(low), float(high)


def _drawn(drivers: int) -> NDArray[np.int64]:
    """Which drivers (DRAWS, drivers) each draw is of, with replacement."""
    return np.random.default_rng(SEED).integers(drivers, size=(DRAWS, drivers))


def wider(one: tuple[float, float], other: tuple[float, float] | None) -> tuple[float, float]:
    """From the lower of both lower ends to the higher of both upper ones."""
    return one if other is None else (min(one[0], other[0]), max(one[1], other[1]))
