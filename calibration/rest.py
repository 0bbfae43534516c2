"""What is ordinary in many drivers' faces at once: ``edge.decision.baseline`` over arrays, moment by moment.

On the road nothing is learned while an alert is on; here nothing is learned in a labelled episode, so that one pass
serves all thresholds. Where a face is in the picture is not looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.batch import Batch, Evidence, Floats
from edge.config import BaselineConfig
from edge.decision.baseline import SURE


def hold_against_rest(batch: Batch, signals: Floats, config: BaselineConfig) -> Evidence:
    """The smoothed ``signals`` (2, T, D) and the frames' own, as ``Baseline`` sees them beside the driver's face."""
    lowest, highest = _log_odds(np.array([config.ordinary, config.max_rest]))
    odds, face = _log_odds(batch.read), _Face(batch, lowest, highest, config)
    margins, corrected = np.empty_like(odds), np.empty_like(signals)
    for n in range(len(batch.t)):
        mean, spread = face.step(n, odds[:, n])
        margins[:, n] = (odds[:, n] - mean) / spread
        corrected[:, n] = signals[:, n] / (signals[:, n] + (1.0 - signals[:, n]) * np.exp(mean - lowest))
    return Evidence(corrected, margins)


def _log_odds(shares: Floats) -> Floats:
    """``baseline.log_odds`` of signals of any shape."""
    bounded = np.clip(shares, SURE, 1.0 - SURE)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


class _Face:
    """What is ordinary in the faces of D drivers: ``Baseline`` side by side."""

    def __init__(self, batch: Batch, lowest: float, highest: float, config: BaselineConfig) -> None:
        self._batch, self._config = batch, config
        self._lowest, self._highest = lowest, highest
        self._learned, self._recent = _Running(batch.t.shape[1]), _Running(batch.t.shape[1])
        self._gone_s = np.zeros(batch.t.shape[1])
        self._teaches = (batch.episode < 0).all(0) & (batch.weight >= max(config.min_weight, 1e-9)) & config.enabled

    def step(self, n: int, odds: Floats) -> tuple[Floats, Floats]:
        """Learn from moment ``n``; return mean and spread (2, D) that its readings are held against."""
        batch, config = self._batch, self._config
        self._gone_s = np.where(batch.weight[n] > 0, 0.0, self._gone_s + batch.elapsed_s[n])
        gone = (self._gone_s >= config.new_driver_after_s) | (batch.elapsed_s[n] >= config.new_driver_after_s)
        self._learned.clear(gone)
        self._recent.clear(gone)
        seen_s = np.where(self._teaches[n], batch.seen_s[n], 0.0)
        self._learned.add(odds, seen_s, config.memory_s)
        self._recent.add(odds, seen_s, config.floor_s)
        change = np.abs(self._bounded(self._recent.mean) - self._bounded(self._learned.mean)).max(0)
        changed = (self._recent.seconds >= config.floor_s) & (change > config.changed_by) & (seen_s > 0)
        self._learned.take(self._recent, changed)
        self._recent.clear(changed)
        known = self._learned.seconds >= config.floor_s
        spread = np.clip(np.sqrt(self._learned.variance), config.min_spread, config.max_spread)
        mean = np.where(known, self._bounded(self._learned.mean), self._lowest)
        return mean, np.where(known, spread, config.max_spread)

    def _bounded(self, mean: Floats) -> Floats:
        return np.clip(mean, self._lowest, self._highest)


class _Running:
    """Mean and variance (2, D) over the last seconds (D,), as in ``Baseline``."""

    def __init__(self, drives: int) -> None:
        self.mean, self.variance, self.seconds = np.zeros((2, drives)), np.zeros((2, drives)), np.zeros(drives)

    def add(self, values: Floats, seconds: Floats, memory_s: float) -> None:
        self.seconds = np.minimum(self.seconds + seconds, memory_s)
        gain = np.minimum(1.0, seconds / np.maximum(self.seconds, 1e-9))
        off = values - self.mean
        self.mean = self.mean + gain * off
        self.variance = (1.0 - gain) * (self.variance + gain * off * off)

    def clear(self, where: NDArray[np.bool_]) -> None:
        self.take(_Running(len(where)), where)

    def take(self, other: _Running, where: NDArray[np.bool_]) -> None:
        self.mean = np.where(where, other.mean, self.mean)
        self.variance = np.where(where, other.variance, self.variance)
        self.seconds = np.where(where, other.seconds, self.seconds)
