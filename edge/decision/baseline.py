"""What is ordinary in the driver's face: the readings of both signals when nothing is the matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.config import BaselineConfig
from edge.decision.interval import Interval
from edge.records import Face, Kind, Observation, Sight

SURE = 0.01
"""A reading nearer to 0 or 1 says no more than this: an int8 model answers in steps of 1/256."""

Pair = Sequence[float]
"""One number for each ``Kind``, in its order. Plain ones: numpy takes several times as long for two."""


@dataclass(frozen=True, slots=True)
class RestingFace:
    """What was learned over ``learned_s`` seconds of good sight; numbers only, kept over a restart.

    ``anger`` and ``distress`` are means of the log-odds of both signals, frame by frame, with their spreads (standard
    deviations).
    """

    learned_s: float
    anger: float
    distress: float
    anger_spread: float
    distress_spread: float


class Baseline:
    """Learns mean and spread of the log-odds of both signals, and tells how far above them a reading stands.

    A frame counts by the seconds that it speaks for times its weight; one below ``min_weight``, or while an alert is
    on, does not. Until ``floor_s`` were learned the face counts as ``ordinary`` and as restless as ``max_spread`` says;
    after that, the learned mean and spread hold within ``ordinary`` to ``max_rest`` and ``min_spread`` to
    ``max_spread``: what was learned hides no clear anger, and a face that never stirred makes no alert of a twitch.

    Nobody is recognised. A driver counts as a new one, who is learned from the start, where no face was in sight for
    ``new_driver_after_s``, or none for ``moved_after_s`` and the next one is elsewhere or of another size
    (``moved_by``). Where neither is so but the last ``floor_s`` are ordinary in another way than what was learned
    before (``changed_by``), only those last seconds are kept.
    """

    def __init__(self, config: BaselineConfig) -> None:
        self.config = config
        self.restart()

    def restart(self) -> None:
        """Forget the driver."""
        self._learned, self._recent = _Running(), _Running()
        self._gone_s = 0.0
        self._last_face: Face | None = None

    @property
    def calibrated_percent(self) -> float | None:
        """How much of what is needed has been learned; None where nothing is learned at all by configuration."""
        return min(100.0, 100.0 * self._learned.seconds / self.config.floor_s) if self.config.enabled else None

    def update(self, interval: Interval, observation: Observation, read: Pair, *, alert: bool) -> None:
        """Take in one frame whose own signals, not smoothed, are ``read``; ``alert`` stops the learning."""
        seen_face = observation.sight is Sight.FACE
        self._gone_s += interval.elapsed_s - (interval.spoken_s if seen_face else 0.0)
        if self._gone_s >= self.config.new_driver_after_s:
            self.restart()
        if seen_face:
            self._meet(observation.face)
        confident = 0.0 < interval.seen_s >= self.config.min_weight * interval.spoken_s
        if self.config.enabled and confident and not alert:
            self._learn([log_odds(share) for share in read], interval.seen_s)

    def margins(self, read: Pair) -> list[float]:
        """How many spreads the signals of a frame, not smoothed, stand above what is ordinary in this face."""
        return [(log_odds(share) - mean) / spread for share, (mean, spread) in zip(read, self._ordinary(), strict=True)]

    def apply(self, signals: Pair) -> list[float]:
        """Signals as they would be if this face at rest were as ``ordinary``: their odds less the excess."""
        ordinary = _log_odds(self.config.ordinary)
        excesses = (math.exp(mean - ordinary) for mean, _ in self._ordinary())
        return [share / (share + (1.0 - share) * excess) for share, excess in zip(signals, excesses, strict=True)]

    def export(self) -> RestingFace:
        """What has been learned so far."""
        learned = self._learned
        return RestingFace(learned.seconds, *learned.mean, *map(math.sqrt, learned.variance))

    def restore(self, resting: RestingFace) -> None:
        """Begin with what was learned before, weighing ``floor_s`` at most, which another driver soon outweighs."""
        self._learned.seconds = min(resting.learned_s, self.config.floor_s)
        self._learned.mean = [resting.anger, resting.distress]
        self._learned.variance = [resting.anger_spread**2, resting.distress_spread**2]

    def _ordinary(self) -> list[tuple[float, float]]:
        """Mean and spread, for each kind, that readings are held against."""
        config, learned = self.config, self._learned
        if not config.enabled or learned.seconds < config.floor_s:
            return [(_log_odds(config.ordinary), config.max_spread)] * len(Kind)
        spreads = (min(max(math.sqrt(square), config.min_spread), config.max_spread) for square in learned.variance)
        return list(zip(self._bounded(learned.mean), spreads, strict=True))

    def _bounded(self, means: Pair) -> list[float]:
        lowest, highest = _log_odds(self.config.ordinary), _log_odds(self.config.max_rest)
        return [min(max(mean, lowest), highest) for mean in means]

    def _meet(self, face: Face | None) -> None:
        """Begin anew where this face, after a while without one, cannot well be the last one's."""
        gone_s, last = self._gone_s, self._last_face
        if last is not None and face is not None and gone_s >= self.config.moved_after_s:
            (x, y, size), (last_x, last_y, last_size) = _place(face), _place(last)
            distance = math.hypot(x - last_x, y - last_y) / last_size
            if max(distance, size / last_size - 1.0, last_size / size - 1.0) > self.config.moved_by:
                self.restart()
        self._gone_s = 0.0
        self._last_face = face

    def _learn(self, odds: Pair, seen_s: float) -> None:
        config, learned, recent = self.config, self._learned, self._recent
        learned.add(odds, seen_s, config.memory_s)
        recent.add(odds, seen_s, config.floor_s)
        if recent.seconds >= config.floor_s:
            pairs = zip(self._bounded(recent.mean), self._bounded(learned.mean), strict=True)
            if max(abs(now - before) for now, before in pairs) > config.changed_by:
                self._learned, self._recent = recent, _Running()


class _Running:
    """Mean and variance, for each kind, over the last seconds.

    Welford's update (Technometrics 4, 1962) with a bounded memory.
    """

    def __init__(self) -> None:
        self.mean = [0.0] * len(Kind)
        self.variance = [0.0] * len(Kind)
        self.seconds = 0.0

    def add(self, values: Pair, seconds: float, memory_s: float) -> None:
        self.seconds = min(self.seconds + seconds, memory_s)
        gain = min(1.0, seconds / self.seconds)
        for kind, value in enumerate(values):
            off = value - self.mean[kind]
            self.mean[kind] += gain * off
            self.variance[kind] = (1.0 - gain) * (self.variance[kind] + gain * off * off)


def log_odds(share: float) -> float:
    """Log-odds of a signal; what is surer than the model's answers can tell counts as that sure."""
    return _log_odds(min(max(share, SURE), 1.0 - SURE))


def _log_odds(share: float) -> float:
    return math.log(share / (1.0 - share))


def _place(face: Face) -> tuple[float, float, float]:
    """Middle of the box and its size (√(w·h), at least a pixel), in pixels."""
    x, y, w, h = face.box
    return x + w / 2, y + h / 2, math.sqrt(max(1.0, w * h))
