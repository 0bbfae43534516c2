"""What is ordinary in many drivers' faces at once: ``edge.decision.baseline`` over arrays, moment by moment.

On the road nothing is learned while an alert is on; here nothing is learned in a labelled episode, so that one pass
serves all thresholds. So a look without a label becomes usual here even where it is an alert on the road each time:
false alarms that come again and again are counted too low. On the road what goes on after ``max_alert_s`` is learned
too; here it is not, so that an episode after one of minutes is found a little sooner.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.decision.baseline import (
    ASSUMED_S,
    FLOOR_S,
    LEARN_AFTER_S,
    LEVELS,
    MAX_TIMES,
    MEMORY_S,
    NEW_DRIVER_AFTER_S,
    STEP,
    SURE,
)
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
        self._batch = batch
        self._odds, self._seen_s, self._drives = _log_odds(batch.read), batch.seen_s, np.arange(batch.t.shape[1])
        self._lowest, self._highest = lowest, highest
        self._usual = np.array([[ordinary.usual[kind]] for kind in batch.kinds])
        self._learned = _Shown(batch.read.shape[::2])
        self._gone_s = np.zeros(batch.t.shape[1])
        self._next = np.zeros(batch.t.shape[1], np.int64)
        self._teaches = (batch.episode < 0).all(0) & (batch.weight > 0) & config.enabled

    def step(self, n: int) -> tuple[Floats, Floats]:
        """Learn until moment ``n``; return (K, D) the mean to hold signals against, and how usual its readings are."""
        batch, odds = self._batch, self._odds[:, n]
        self._gone_s = np.where(batch.weight[n] > 0, 0.0, self._gone_s + batch.elapsed_s[n])
        gone = (self._gone_s >= NEW_DRIVER_AFTER_S) | (batch.elapsed_s[n] >= NEW_DRIVER_AFTER_S)
        self._learned.clear(gone)
        self._next = np.where(gone, n, self._next)
        while (ripe := self._is_ripe(n)).any():
            self._learn(ripe)
            self._next += ripe
        known = self._learned.seconds >= FLOOR_S
        mean = np.where(known, np.clip(self._learned.mean, self._lowest, self._highest), self._lowest)
        ordinary = np.where(odds <= self._lowest, 1.0, np.minimum(1.0, self._usual * np.exp(-odds)))
        own_s = ASSUMED_S * ordinary + self._learned.seconds_at(odds)
        share = np.minimum(own_s / (ASSUMED_S + self._learned.seconds), MAX_TIMES * ordinary)
        return mean, share

    def _is_ripe(self, n: int) -> NDArray[np.bool_]:
        """Where the next moment to learn from lies far enough before ``n``."""
        old_s = self._batch.t[n] - self._batch.t[np.minimum(self._next, n), self._drives]
        return np.asarray((self._next <= n) & (old_s >= LEARN_AFTER_S))

    def _learn(self, where: NDArray[np.bool_]) -> None:
        at = (np.minimum(self._next, len(self._batch.t) - 1), self._drives)
        of_each_kind = (slice(None), *at)
        self._learned.add(self._odds[of_each_kind], np.where(where & self._teaches[at], self._seen_s[at], 0.0))


class _Shown:
    """Mean (K, D), seconds at each of LEVELS (K, D, L) over the last seconds (D,), as in ``Baseline``."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.at_s, self.seconds = np.zeros(shape), np.zeros((*shape, len(LEVELS))), np.zeros(shape[-1])

    def add(self, values: Floats, seconds: Floats) -> None:
        keep = np.minimum(1.0, MEMORY_S / np.maximum(self.seconds + seconds, 1e-9))
        self.seconds = np.minimum(self.seconds + seconds, MEMORY_S)
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
        self.mean = np.where(where, 0.0, self.mean)
        self.at_s = np.where(where[:, None], 0.0, self.at_s)
        self.seconds = np.where(where, 0.0, self.seconds)


def _level(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """Kind, drive, the level below each of ``values`` (K, D), and how far it is from there to the next."""
    place = np.clip((values - LEVELS[0]) / STEP, 0.0, len(LEVELS) - 1.0)
    level = np.asarray(np.minimum(place.astype(np.int64), len(LEVELS) - 2), np.int64)
    kind, drive = (np.asarray(index, np.int64) for index in np.indices(values.shape))
    return kind, drive, level, np.asarray(place - level)
