"""What is ordinary in the driver's face: the readings of each signal when nothing is the matter."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.decision.interval import Interval
from edge.decision.ordinary import OrdinaryFace
from edge.decision.settings import BaselineConfig
from edge.domain import Face, Kind, Observation, Sight

SURE = 0.01
"""A reading nearer to 0 or 1 says no more than this: an int8 model answers in steps of 1/256."""
STEP = 0.5
LEVELS = tuple(-4.5 + STEP * n for n in range(19))
"""How much was shown is kept in these steps of log-odds, which reach as far as SURE."""
PENDING_S = 30.0
"""Evidence that has come to no alert in this time is no reason to wait any longer with learning."""
_LARGE = 1e6

Row = Sequence[float]
"""One number for each kind, in the order of ``Baseline.kinds``. Plain ones: numpy takes longer for so few."""


@dataclass(frozen=True, slots=True)
class RestingFace:
    """What was learned over ``learned_s`` seconds of good sight; numbers only, kept over a restart.

    By kind, ``mean`` holds the mean of the log-odds of its signal, frame by frame, and ``at_s`` the seconds that it
    spent at each of LEVELS.
    """

    learned_s: float
    mean: Mapping[Kind, float]
    at_s: Mapping[Kind, tuple[float, ...]]


class Baseline:
    """Learns for how much of the time this driver shows how much, and tells how seldom a reading is.

    A frame counts by the seconds that it speaks for times its weight, ``learn_after_s`` after it was seen; one below
    ``min_weight``, while an alert is on, or so shortly before one, does not. Beside what was learned stands an ordinary
    face, as if it had been watched for ``assumed_s``: it shows its own signal all the time, and is read as a signal of
    the odds ``o`` or more for ``usual / o`` of it, each kind's own, or ``unknown_times`` that while less than
    ``floor_s`` were learned. What is learned makes no reading more than ``max_times`` as usual as in that face, and
    from ``floor_s`` on it shifts the signals by its mean, within ``signal`` to ``most`` of that face: no past hides
    clear anger.

    Nobody is recognised. A driver counts as a new one, who is learned from the start, where no face was in sight for
    ``new_driver_after_s``, or none for ``moved_after_s`` and the next one is elsewhere or of another size
    (``moved_by``). Where neither is so but the last ``floor_s`` are ordinary in another way than what was learned
    before (``changed_by``), only those last seconds are kept.
    """

    def __init__(self, config: BaselineConfig, ordinary: OrdinaryFace) -> None:
        self.config = config
        self._ordinary = ordinary
        self.kinds: list[Kind] = []
        self._usual: list[float] = []
        self.restart()

    def add(self, kind: Kind, usual: float) -> None:
        """Learn one more kind's signal; ``usual`` is the share of the time in which an ordinary face shows it."""
        self.kinds.append(kind)
        self._usual.append(usual)
        self.restart()

    def restart(self) -> None:
        """Forget the driver."""
        self._nothing = _Shown(len(self.kinds))
        self._learned, self._recent = _Shown(len(self.kinds)), _Shown(len(self.kinds))
        self._waiting: deque[tuple[float, list[float], float]] = deque()
        self._gone_s = 0.0
        self._last_face: Face | None = None
        self._relearning = False

    def relearn(self) -> None:
        """Forget the driver because somebody asked for it; until ``floor_s`` were learned it is ``relearning``."""
        self.restart()
        self._relearning = True

    @property
    def relearning(self) -> bool:
        """True from ``relearn`` until the driver's face is known again, or another driver is there."""
        return self._relearning and self.config.enabled

    @property
    def calibrated_percent(self) -> float | None:
        """How much of what is needed has been learned; None where nothing is learned at all by configuration."""
        return min(100.0, 100.0 * self._learned.seconds / self.config.floor_s) if self.config.enabled else None

    def forget_latest(self) -> None:
        """Learn nothing from the frames of the last ``learn_after_s``."""
        self._waiting.clear()

    def update(self, interval: Interval, observation: Observation, read: Row, *, alert: bool, pending: bool) -> bool:
        """Take in one frame whose own signals, not smoothed, are ``read``; return whether a new driver begins with it.

        ``alert`` stops the learning; ``pending``, evidence of a clear expression, puts it off for PENDING_S at most.
        """
        seen_face = observation.sight is Sight.FACE
        self._gone_s += interval.elapsed_s - (interval.spoken_s if seen_face else 0.0)
        anew = self._gone_s >= self.config.new_driver_after_s or (seen_face and self._is_another(observation.face))
        if anew:
            self.restart()
        if seen_face:
            self._gone_s, self._last_face = 0.0, observation.face
        confident = 0.0 < interval.seen_s >= self.config.min_weight * interval.spoken_s
        if alert or not self.config.enabled:
            self._waiting.clear()
        elif confident:
            self._waiting.append((interval.t, [log_odds(share) for share in read], interval.seen_s))
        ripe_s = max(self.config.learn_after_s, PENDING_S if pending else 0.0)
        while self._waiting and interval.t - self._waiting[0][0] >= ripe_s:
            self._learn(*self._waiting.popleft()[1:])
        return anew

    def shares(self, read: Row) -> list[float]:
        """The share of the time, above 0, in which this driver at rest shows as much as ``read`` or more."""
        config = self.config
        learned = self._learned if config.enabled else self._nothing
        unknown = config.enabled and learned.seconds < config.floor_s
        times = config.unknown_times if unknown else 1.0
        shares = []
        for kind, signal in enumerate(read):
            odds = log_odds(signal)
            ordinary = 1.0 if signal <= self._ordinary.signal else min(1.0, times * self._usual[kind] * math.exp(-odds))
            own_s = config.assumed_s * ordinary + learned.seconds_at(kind, odds)
            shares.append(min(own_s / (config.assumed_s + learned.seconds), config.max_times * ordinary))
        return shares

    def apply(self, signals: Row) -> list[float]:
        """Signals as they would be if this face at rest were an ordinary one: their odds less the excess."""
        ordinary = _log_odds(self._ordinary.signal)
        excesses = (math.exp(mean - ordinary) for mean in self._means())
        return [share / (share + (1.0 - share) * excess) for share, excess in zip(signals, excesses, strict=True)]

    def export(self) -> RestingFace:
        """What has been learned so far."""
        learned, kinds = self._learned, self.kinds
        mean, at_s = dict(zip(kinds, learned.mean, strict=True)), dict(zip(kinds, learned.at_s, strict=True))
        return RestingFace(learned.seconds, mean, at_s)

    def restore(self, resting: RestingFace) -> None:
        """Begin with what was learned before, weighing ``floor_s`` at most, which another driver soon outweighs.

        Where it lacks a kind that is judged now, all is learned anew: the seconds belong to all kinds together.
        """
        if not set(self.kinds) <= set(resting.mean):
            return
        seconds = min(resting.learned_s, self.config.floor_s)
        mean, at_s = [resting.mean[kind] for kind in self.kinds], [resting.at_s[kind] for kind in self.kinds]
        self._learned = _Shown(len(self.kinds), seconds, mean, at_s)

    def _means(self) -> list[float]:
        """Mean log-odds of each kind that the signals are held against."""
        if not self.config.enabled or self._learned.seconds < self.config.floor_s:
            return [_log_odds(self._ordinary.signal)] * len(self.kinds)
        return self._bounded(self._learned.mean)

    def _bounded(self, means: Row) -> list[float]:
        lowest, highest = _log_odds(self._ordinary.signal), _log_odds(self._ordinary.most)
        return [min(max(mean, lowest), highest) for mean in means]

    def _is_another(self, face: Face | None) -> bool:
        """Whether this face, after a while without one, cannot well be the last one's."""
        if self._last_face is None or face is None or self._gone_s < self.config.moved_after_s:
            return False
        (x, y, size), (last_x, last_y, last_size) = _place(face), _place(self._last_face)
        distance = math.hypot(x - last_x, y - last_y) / last_size
        return max(distance, size / last_size - 1.0, last_size / size - 1.0) > self.config.moved_by

    def _learn(self, odds: Row, seen_s: float) -> None:
        config, learned, recent = self.config, self._learned, self._recent
        learned.add(odds, seen_s, config.memory_s)
        recent.add(odds, seen_s, config.floor_s)
        self._relearning = self._relearning and learned.seconds < config.floor_s
        if recent.seconds >= config.floor_s:
            pairs = zip(self._bounded(recent.mean), self._bounded(learned.mean), strict=True)
            if max(abs(now - before) for now, before in pairs) > config.changed_by:
                self._learned, self._recent = recent, _Shown(len(self.kinds))


class _Shown:
    """Mean of each kind's log-odds, and the seconds spent at each of LEVELS, over the last seconds.

    Between two levels a reading counts for both, in proportion, so that a small change changes little. Old seconds
    fade because new ones are counted in an ever larger ``_unit``: that spares scaling all of them with every frame.
    """

    def __init__(
        self, kinds: int, seconds: float = 0.0, mean: Row | None = None, at_s: Sequence[Row] | None = None
    ) -> None:
        self.seconds = seconds
        self.mean = list(mean or [0.0] * kinds)
        self._counts = [list(row) for row in at_s or [[0.0] * len(LEVELS)] * kinds]
        self._unit = max(sum(self._counts[0]), seconds) / seconds if seconds and kinds else 1.0

    @property
    def at_s(self) -> list[tuple[float, ...]]:
        """Seconds spent at each of LEVELS, by kind."""
        return [tuple(count / self._unit for count in row) for row in self._counts]

    def add(self, values: Row, seconds: float, memory_s: float) -> None:
        total = self.seconds + seconds
        self.seconds = min(total, memory_s)
        gain = min(1.0, seconds / self.seconds)
        for kind, value in enumerate(values):
            self.mean[kind] += gain * (value - self.mean[kind])
            row, (level, above) = self._counts[kind], _level(value)
            row[level] += self._unit * seconds * (1.0 - above)
            row[level + 1] += self._unit * seconds * above
        self._unit *= total / self.seconds
        if self._unit > _LARGE:
            self._counts, self._unit = [list(row) for row in self.at_s], 1.0

    def seconds_at(self, kind: int, value: float) -> float:
        """Seconds spent at ``value`` or above."""
        row, (level, above) = self._counts[kind], _level(value)
        return (sum(row[level + 1 :]) + (1.0 - above) * row[level]) / self._unit


def _level(value: float) -> tuple[int, float]:
    """The index of the level below ``value``, and how far it is from there to the next, 0 to 1."""
    place = min(max((value - LEVELS[0]) / STEP, 0.0), len(LEVELS) - 1.0)
    level = min(int(place), len(LEVELS) - 2)
    return level, place - level


def log_odds(share: float) -> float:
    """Log-odds of a signal; what is surer than the model's answers can tell counts as that sure."""
    return _log_odds(min(max(share, SURE), 1.0 - SURE))


def _log_odds(share: float) -> float:
    return math.log(share / (1.0 - share))


def _place(face: Face) -> tuple[float, float, float]:
    """Middle of the box and its size (√(w·h), at least a pixel), in pixels."""
    x, y, w, h = face.box
    return x + w / 2, y + h / 2, math.sqrt(max(1.0, w * h))
