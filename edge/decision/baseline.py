"""The driver's resting face: how much anger and distress it shows when nothing is the matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.config import BaselineConfig
from edge.decision.interval import Interval
from edge.records import Kind, Observation, Sight


@dataclass(frozen=True, slots=True)
class RestingFace:
    """What was learned: mean signals over ``learned_s`` seconds of good sight. Numbers only, kept over a restart."""

    learned_s: float
    anger: float
    distress: float


class Baseline:
    """Learns the mean of both signals from frames that are confident and calm, and takes it off later signals.

    A frame counts by the seconds that it speaks for times its weight; one below ``min_weight``, or with a signal of
    ``calm_below`` or more, does not. Nothing is taken off until ``floor_s`` were learned; then a resting signal that is
    ``b`` above the ``ordinary`` maps a signal ``s`` to ``(s - b) / (1 - b)``, so that full anger stays 1. ``b`` never
    exceeds ``max_effect``: what was learned hides no signal of ``enter + max_effect · (1 - enter)`` or more.

    Where no face was in sight for ``new_driver_after_s`` the next one may be another driver's: learning starts anew.
    """

    def __init__(self, config: BaselineConfig) -> None:
        self.config = config
        self.restart()

    def restart(self) -> None:
        """Forget the driver."""
        self._mean = np.zeros(len(Kind))
        self._learned_s = 0.0
        self._gone_s = 0.0

    @property
    def calibrated_percent(self) -> float | None:
        """How much of what is needed has been learned; None where nothing is learned at all by configuration."""
        return min(100.0, 100.0 * self._learned_s / self.config.floor_s) if self.config.enabled else None

    def update(
        self, interval: Interval, observation: Observation, signals: NDArray[np.float64], *, alert: bool
    ) -> None:
        """Take in one frame whose own signals, not smoothed, are ``signals`` (2,); ``alert`` stops the learning."""
        self._gone_s += interval.elapsed_s - (interval.spoken_s if observation.sight is Sight.FACE else 0.0)
        if self._gone_s >= self.config.new_driver_after_s:
            self.restart()
        if observation.sight is Sight.FACE:
            self._gone_s = 0.0
        if not alert and self._teaches(interval, signals):
            self._learned_s = min(self._learned_s + interval.seen_s, self.config.memory_s)
            self._mean += (signals - self._mean) * min(1.0, interval.seen_s / self._learned_s)

    def apply(self, signals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signals (2,), in the order of ``Kind``, without the resting face's part."""
        if not self.config.enabled or self._learned_s < self.config.floor_s:
            return signals
        resting = np.clip(self._mean - self.config.ordinary, 0.0, self.config.max_effect)
        return np.maximum(0.0, (signals - resting) / (1.0 - resting))

    def export(self) -> RestingFace:
        """What has been learned so far."""
        anger, distress = self._mean.tolist()
        return RestingFace(self._learned_s, anger, distress)

    def restore(self, resting: RestingFace) -> None:
        """Begin with what was learned before, weighing ``floor_s`` at most, which another driver soon outweighs."""
        self._learned_s = min(resting.learned_s, self.config.floor_s)
        self._mean = np.array([resting.anger, resting.distress])

    def _teaches(self, interval: Interval, signals: NDArray[np.float64]) -> bool:
        confident = 0.0 < interval.seen_s >= self.config.min_weight * interval.spoken_s
        return self.config.enabled and confident and bool((signals < self.config.calm_below).all())
