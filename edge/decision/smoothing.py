"""Smoothing of the expression model's answers over time: a mean that forgets, weighted by quality."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.decision.interval import MAX_STEP_S
from edge.domain import EXPRESSIONS

TIME_CONSTANT_S = 0.7
"""Of the exponential smoothing; 0.4 and 1.5 s find as many episodes at as many false alarms (calibration/README.md)."""

_NOTHING = float(np.finfo(np.float32).tiny)
"""A mass from here down cannot be divided by in single precision."""


class Smoother:
    """An exponential moving average in time, so that 10 and 60 frames a second give the same.

    It keeps a decaying sum of the probabilities and the decaying weight (``mass``) behind that sum. A frame that stands
    for ``s`` seconds adds ``weight · (1 - exp(-s/τ))`` to the mass, and everything older fades by ``exp(-elapsed/τ)``:
    the exact solution of ``τ·dx/dt = input - x`` for an input that is constant over those ``s`` seconds. Steady frames
    of weight 1 bring the mass to 1, steady frames of weight 0.3 to 0.3, none to 0.

    The mean is the sum divided by its mass: a bad frame moves it little, in whatever direction, and is not a vote for
    calm.
    """

    def __init__(self) -> None:
        self._sum = [0.0] * len(EXPRESSIONS)  # plain numbers: numpy takes longer for so few
        self._mass = 0.0

    def update(self, elapsed_s: float, probabilities: NDArray[np.float32] | None, weight: float) -> None:
        """Take in a frame ``elapsed_s`` after the one before; ``probabilities`` is (9,), None where nothing was read.

        The frame speaks for MAX_STEP_S at most: what happened in a longer gap, nobody saw.
        """
        keep = math.exp(-elapsed_s / TIME_CONSTANT_S)
        gain = 0.0 if probabilities is None else weight * -math.expm1(-min(elapsed_s, MAX_STEP_S) / TIME_CONSTANT_S)
        newest = self._sum if probabilities is None else probabilities.tolist()
        self._sum = [keep * old + gain * new for old, new in zip(self._sum, newest, strict=True)]
        self._mass = keep * self._mass + gain

    @property
    def confidence(self) -> float:
        """How much recent good data stands behind the mean: 1 after steady good frames, fading to 0 without any."""
        return min(self._mass, 1.0)

    @property
    def mean(self) -> list[float]:
        """The smoothed distribution, one number for each of EXPRESSIONS; all zeros while nothing stands behind it."""
        mass = self._mass
        return [0.0] * len(EXPRESSIONS) if mass < _NOTHING else [each / mass for each in self._sum]

    @property
    def expression(self) -> NDArray[np.float32]:
        """The same, (9,) float32."""
        return np.array(self.mean, np.float32)
