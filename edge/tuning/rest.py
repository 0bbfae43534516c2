"""What is ordinary in many drivers' faces at once: ``edge.decision.baseline`` over arrays, moment by moment.

On the road nothing is learned while an alert is on; here nothing is learned in a labelled episode, so that one pass
serves all thresholds. So a look without a label becomes usual here even where it is an alert on the road each time:
false alarms that come again and again are counted too low. On the road what goes on after ``max_alert_s`` is learned
too; here it is not, so that an episode after one of minutes is found a little sooner. Where a
face is in the picture is not looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.decision.baseline import LEVELS, STEP, SURE
from edge.decision.ordinary import OrdinaryFace
from edge.decision.settings import BaselineConfig
from edge.tuning.batch import Batch, Evidence, Floats


def hold_against_rest(batch: Batch, signals: Floats, config: BaselineConfig, ordinary: OrdinaryFace) -> Evidence:
    """The smoothed ``signals`` (K, T, D) and the frames' own, as ``Baseline`` sees them beside the driver's face.

    ``ordinary`` tells of each kind of the batch.
    """
    lowest, highest = _log_odds(np.array([ordinary.signal, ordinary.most]))
    face = _Face(batch, lowest, highest, config, ordinary)
    shares, corrected = np.empty_like(batch.read), np.empty_like(signals)
    for n in range(len(batch.t)):
        mean, shares[:, n] = face.step(n)
        corrected[:, n] = signals[:, n] / (signals[:, n] + (1.0 - signals[:, n]) * np.exp(mean - lowest))
    return Evidence(corrected, shares)


def _log_odds(shares: Floats) -> Floats:
    """``baseline.log_odds`` of signals of any shape."""
    bounded = np.clip(shares, SURE, 1.0 - SURE)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


class _Face:
    """What is ordinary in the faces of D drivers: ``Baseline`` side by side."""

    def __init__(
        self, batch: Batch, lowest: float, highest: float, config: BaselineConfig, ordinary: OrdinaryFace
    ) -> None:
        self._batch, self._config = batch, config
        self._odds, self._seen_s, self._drives = _log_odds(batch.read), batch.seen_s, np.arange(batch.t.shape[1])
        self._lowest, self._highest = lowest, highest
        self._usual = np.array([[ordinary.usual[kind]] for kind in batch.kinds])
        self._learned, self._recent = _Shown(batch.read.shape[::2]), _Shown(batch.read.shape[::2])
        self._gone_s = np.zeros(batch.t.shape[1])
        self._next = np.zeros(batch.t.shape[1], np.int64)
        self._teaches = (batch.episode < 0).all(0) & (batch.weight >= max(config.min_weight, 1e-9)) & config.enabled

    def step(self, n: int) -> tuple[Floats, Floats]:
        """Learn until moment ``n``; return (K, D) the mean to hold signals against, and how usual its readings are."""
        batch, config, odds = self._batch, self._config, self._odds[:, n]
        self._gone_s = np.where(batch.weight[n] > 0, 0.0, self._gone_s + batch.elapsed_s[n])
        gone = (self._gone_s >= config.new_driver_after_s) | (batch.elapsed_s[n] >= config.new_driver_after_s)
        self._learned.clear(gone)
        self._recent.clear(gone)
        self._next = np.where(gone, n, self._next)
        while (ripe := self._is_ripe(n)).any():
            self._learn(ripe)
            self._next += ripe
        known = self._learned.seconds >= config.floor_s
        mean = np.where(known, self._bounded(self._learned.mean), self._lowest)
        times = np.where(known, 1.0, config.unknown_times if config.enabled else 1.0)
        ordinary = np.where(odds <= self._lowest, 1.0, np.minimum(1.0, times * self._usual * np.exp(-odds)))
        own_s = config.assumed_s * ordinary + self._learned.seconds_at(odds)
        share = np.minimum(own_s / (config.assumed_s + self._learned.seconds), config.max_times * ordinary)
        return mean, share

    def _is_ripe(self, n: int) -> NDArray[np.bool_]:
        """Where the next moment to learn from lies far enough before ``n``."""
        old_s = self._batch.t[n] - self._batch.t[np.minimum(self._next, n), self._drives]
        return np.asarray((self._next <= n) & (old_s >= self._config.learn_after_s))

    def _learn(self, where: NDArray[np.bool_]) -> None:
        config, at = self._config, (np.minimum(self._next, len(self._batch.t) - 1), self._drives)
        odds, seen_s = self._odds[:, *at], np.where(where & self._teaches[at], self._seen_s[at], 0.0)
        self._learned.add(odds, seen_s, config.memory_s)
        self._recent.add(odds, seen_s, config.floor_s)
        change = np.abs(self._bounded(self._recent.mean) - self._bounded(self._learned.mean)).max(0)
        changed = (self._recent.seconds >= config.floor_s) & (change > config.changed_by) & (seen_s > 0)
        self._learned.take(self._recent, changed)
        self._recent.clear(changed)

    def _bounded(self, mean: Floats) -> Floats:
        return np.clip(mean, self._lowest, self._highest)


class _Shown:
    """Mean (K, D), seconds at each of LEVELS (K, D, L) over the last seconds (D,), as in ``Baseline``."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.at_s, self.seconds = np.zeros(shape), np.zeros((*shape, len(LEVELS))), np.zeros(shape[-1])

    def add(self, values: Floats, seconds: Floats, memory_s: float) -> None:
        keep = np.minimum(1.0, memory_s / np.maximum(self.seconds + seconds, 1e-9))
        self.seconds = np.minimum(self.seconds + seconds, memory_s)
        gain = np.minimum(1.0, seconds / np.maximum(self.seconds, 1e-9))
        self.mean = self.mean + gain * (values - self.mean)
        self.at_s *= keep[:, None]
        kind, drive, level, above = _level(values)
        self.at_s[kind, drive, level] += keep * seconds * (1.0 - above)
        self.at_s[kind, drive, level + 1] += keep * seconds * above

    def seconds_at(self, values: Floats) -> Floats:
        """Seconds spent at ``values`` (K, D) or above."""
        kind, drive, level, above = _level(values)
        sums = self.at_s[..., ::-1].cumsum(-1)[..., ::-1]
        return np.asarray(sums[kind, drive, level] - above * self.at_s[kind, drive, level])

    def clear(self, where: NDArray[np.bool_]) -> None:
        self.take(_Shown(self.mean.shape), where)

    def take(self, other: _Shown, where: NDArray[np.bool_]) -> None:
        self.mean = np.where(where, other.mean, self.mean)
        self.at_s = np.where(where[:, None], other.at_s, self.at_s)
        self.seconds = np.where(where, other.seconds, self.seconds)


def _level(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """Kind, drive, the level below each of ``values`` (K, D), and how far it is from there to the next."""
    place = np.clip((values - LEVELS[0]) / STEP, 0.0, len(LEVELS) - 1.0)
    level = np.asarray(np.minimum(place.astype(np.int64), len(LEVELS) - 2), np.int64)
    kind, drive = (np.asarray(index, np.int64) for index in np.indices(values.shape))
    return kind, drive, level, np.asarray(place - level)
