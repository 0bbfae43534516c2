"""The driver's expression over time, smoothed and held against the resting face: once for all kinds that go by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.decision.baseline import Baseline, RestingFace
from edge.decision.interval import Interval
from edge.decision.ordinary import OrdinaryFace
from edge.decision.settings import BaselineConfig
from edge.decision.smoothing import Smoother
from edge.domain import Kind, Observation, Sight

Row = np.ndarray[Any, np.dtype[np.float64]]


class FollowedExpression:
    """What judges of expressions share.

    ``signals`` and ``shares`` hold one number for each kind that ``follow`` was called for, in that order: the smoothed
    signal as it would be if this face at rest were an ordinary one, and for what share of the time this driver at rest
    shows as much as the newest frame. ``ordinary`` is what the expression model makes of ordinary faces.
    """

    def __init__(self, baseline: BaselineConfig, ordinary: OrdinaryFace) -> None:
        self._smoother = Smoother()
        self._baseline = Baseline(baseline, ordinary)
        self._usual = ordinary.usual
        self._weights: list[list[tuple[int, float]]] = []
        self.signals: list[float] = []
        self.shares: list[float] = []
        self.distribution = self._smoother.expression
        """The smoothed distribution over EXPRESSIONS, (9,) float32."""

    def follow(self, kind: Kind, weights: Row, usual: float) -> int:
        """Follow one more signal, of weights (9,) in the order EXPRESSIONS; return its place in ``signals``.

        ``usual`` is the share of the time in which an ordinary face is read as this kind at 0.5 or more, where nothing
        is said of the model at hand.
        """
        self._weights.append([(place, weight) for place, weight in enumerate(weights.tolist()) if weight])
        self._baseline.add(kind, self._usual.get(kind, usual))
        self.signals.append(0.0)
        self.shares.append(1.0)
        return len(self.signals) - 1

    def reconfigure(self, baseline: BaselineConfig) -> None:
        """Go on under other settings; what is known is kept."""
        self._baseline.config = baseline

    @property
    def confidence(self) -> float:
        """How much recent good data stands behind it, 0 to 1."""
        return self._smoother.confidence

    @property
    def calibrated_percent(self) -> float | None:
        """How far the driver's resting face is learned, 0 to 100; None where the configuration has that off."""
        return self._baseline.calibrated_percent

    def update(self, interval: Interval, observation: Observation, weight: float, *, alert: bool) -> bool:
        """Take in a frame that counts by ``weight``, 0 to 1; return whether a new driver begins with it.

        ``alert`` holds up the learning, as ``Baseline`` says.
        """
        self._smoother.update(interval.elapsed_s, observation.probabilities, weight)
        return self._learn(interval, observation, alert=alert)

    def skip(self, interval: Interval) -> bool:
        """Let an ``interval`` pass that nobody looks at; return whether the next driver counts as a new one."""
        return self._learn(interval, Observation(interval.t, Sight.NO_PICTURE), alert=False)

    def look(self) -> None:
        """Bring ``signals`` and ``distribution`` up to date, which other calls than ``update`` leave as they are."""
        mean = self._smoother.mean
        self.distribution = np.array(mean, np.float32)
        self.signals = self._baseline.apply(self._weigh(mean))

    def forget_latest(self) -> None:
        """Let nothing that was seen last count: neither in the signals nor in what is learned of the driver."""
        self._smoother = Smoother()
        self._baseline.forget_latest()

    def forget_driver(self) -> None:
        """Learn the resting face anew."""
        self._baseline.relearn()

    @property
    def relearning(self) -> bool:
        """True from ``forget_driver`` until the resting face is known again."""
        return self._baseline.relearning

    def export(self) -> RestingFace:
        """What was learned of the driver's resting face."""
        return self._baseline.export()

    def restore(self, resting: RestingFace) -> None:
        """Begin with a resting face that was learned before."""
        self._baseline.restore(resting)

    def _learn(self, interval: Interval, observation: Observation, *, alert: bool) -> bool:
        """One that was not read teaches nothing, but it tells how long no face was in sight."""
        read = observation.probabilities
        signals = [0.0] * len(self.signals) if read is None else self._weigh(read.tolist())
        anew = self._baseline.update(interval, observation, signals, alert=alert)
        self.shares = self._baseline.shares(signals)
        self.look()
        return anew

    def _weigh(self, shares: Sequence[float]) -> list[float]:
        """What a distribution over EXPRESSIONS says of each kind, 0 to 1."""
        return [min(sum(weight * shares[place] for place, weight in pairs), 1.0) for pairs in self._weights]
