"""What is ordinary in the driver's face: the readings of each signal when nothing is the matter."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.decision.interval import Interval
from edge.decision.ordinary import OrdinaryFace
from edge.decision.settings import BaselineConfig
from edge.domain import Kind, Observation, Sight

SURE = 0.01
"""A reading nearer to 0 or 1 says no more than this: an int8 model answers in steps of 1/256."""
STEP = 0.5
LEVELS = tuple(-4.5 + STEP * n for n in range(19))
"""How much was shown is kept in these steps of log-odds, which reach as far as SURE."""
FLOOR_S = 25.0
"""Seconds of good sight from which on a driver is known: ``calibrated_percent`` counts up to it."""
MEMORY_S = 300.0
"""Seconds of good sight that what was learned reaches back over; 150 and 900 give nearly the same."""
LEARN_AFTER_S = 6.0
"""A frame is learned from this long after it was seen, and not at all if an alert came meanwhile: what is being judged
is not yet usual."""
ASSUMED_S = 20.0
"""How long an ordinary face counts as watched beside the driver's own, so that a new driver is no blank sheet."""
MAX_TIMES = 30.0
"""How many times as usual as in an ordinary face a reading can be taken to be in the driver's: no past hides clear
anger. With 20 more resting frowns alarm, with 50 the worst past delays clear anger by twice as long."""
NEW_DRIVER_AFTER_S = 20.0
"""No face for this long, and whoever comes is a new driver."""
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

    A frame counts by the seconds that it speaks for times its weight, LEARN_AFTER_S after it was seen; while an alert
    is on, or so shortly before one, it does not. Beside what was learned stands an ordinary face, as if it had been
    watched for ASSUMED_S: it shows its own signal all the time, and is read as a signal of the odds ``o`` or more for
    ``usual / o`` of it, each kind's own. What is learned makes no reading more than MAX_TIMES as usual as in that
    face, and from FLOOR_S on it shifts the signals by its mean, within ``signal`` to ``most`` of that face.

    Nobody is recognised. Where no face was in sight for NEW_DRIVER_AFTER_S, the next driver counts as a new one, who is
    learned from the start; over another change, old seconds fade.
    """

    def __init__(self, config: BaselineConfig, ordinary: OrdinaryFace) -> None:
        self.config = config
        self._ordinary = ordinary
        self._lowest, self._highest = _log_odds(ordinary.signal), _log_odds(ordinary.most)
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
        self._learned = _Shown(len(self.kinds))
        self._waiting: deque[tuple[float, list[float], float]] = deque()
        self._gone_s = 0.0
        self._relearning = False

    def relearn(self) -> None:
        """Forget the driver because somebody asked for it; until FLOOR_S were learned it is ``relearning``."""
        self.restart()
        self._relearning = True

    @property
    def relearning(self) -> bool:
        """True from ``relearn`` until the driver's face is known again, or another driver is there."""
        return self._relearning and self.config.enabled

    @property
    def calibrated_percent(self) -> float | None:
        """How much of what is needed has been learned; None where nothing is learned at all by configuration."""
        return min(100.0, 100.0 * self._learned.seconds / FLOOR_S) if self.config.enabled else None

    def forget_latest(self) -> None:
        """Learn nothing from the frames of the last LEARN_AFTER_S."""
        self._waiting.clear()

    def update(self, interval: Interval, observation: Observation, read: Row, *, alert: bool) -> bool:
        """Take in one frame whose own signals, not smoothed, are ``read``; return whether a new driver begins with it.

        ``alert`` stops the learning.
        """
        seen_face = observation.sight is Sight.FACE
        self._gone_s += interval.elapsed_s - (interval.spoken_s if seen_face else 0.0)
        anew = self._gone_s >= NEW_DRIVER_AFTER_S
        if anew:
            self.restart()
        if seen_face:
            self._gone_s = 0.0
        if alert or not self.config.enabled:
            self._waiting.clear()
        elif interval.seen_s > 0:
            self._waiting.append((interval.t, [log_odds(share) for share in read], interval.seen_s))
        while self._waiting and interval.t - self._waiting[0][0] >= LEARN_AFTER_S:
            self._learned.add(*self._waiting.popleft()[1:])
            self._relearning = self._relearning and self._learned.seconds < FLOOR_S
        return anew

    def shares(self, read: Row) -> list[float]:
        """The share of the time, above 0, in which this driver at rest shows as much as ``read`` or more."""
        learned = self._learned if self.config.enabled else self._nothing
        shares = []
        for kind, signal in enumerate(read):
            odds = log_odds(signal)
            ordinary = 1.0 if signal <= self._ordinary.signal else min(1.0, self._usual[kind] * math.exp(-odds))
            own_s = ASSUMED_S * ordinary + learned.seconds_at(kind, odds)
            shares.append(min(own_s / (ASSUMED_S + learned.seconds), MAX_TIMES * ordinary))
        return shares

    def apply(self, signals: Row) -> list[float]:
        """Signals as they would be if this face at rest were an ordinary one: their odds less the excess."""
        if not self.config.enabled or self._learned.seconds < FLOOR_S:
            return list(signals)
        lowest, highest = self._lowest, self._highest
        excesses = [math.exp(min(max(mean, lowest), highest) - lowest) for mean in self._learned.mean]
        return [share / (share + (1.0 - share) * excess) for share, excess in zip(signals, excesses, strict=True)]

    def export(self) -> RestingFace:
        """What has been learned so far."""
        learned, kinds = self._learned, self.kinds
        mean, at_s = dict(zip(kinds, learned.mean, strict=True)), dict(zip(kinds, learned.at_s, strict=True))
        return RestingFace(learned.seconds, mean, at_s)

    def restore(self, resting: RestingFace) -> None:
        """Begin with what was learned before, weighing FLOOR_S at most, which another driver soon outweighs.

        Where it lacks a kind that is judged now, all is learned anew: the seconds belong to all kinds together.
        """
        if not set(self.kinds) <= set(resting.mean):
            return
        seconds = min(resting.learned_s, FLOOR_S)
        mean, at_s = [resting.mean[kind] for kind in self.kinds], [resting.at_s[kind] for kind in self.kinds]
        self._learned = _Shown(len(self.kinds), seconds, mean, at_s)


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

    def add(self, values: Row, seconds: float) -> None:
        total = self.seconds + seconds
        self.seconds = min(total, MEMORY_S)
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
