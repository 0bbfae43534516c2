"""The whole decision: observations in, steps out."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
from numpy.typing import NDArray

from edge.config import AlertsConfig, Config
from edge.decision.baseline import Baseline, RestingFace
from edge.decision.interval import Interval
from edge.decision.policy import AlertPolicy
from edge.decision.smoothing import Smoother
from edge.decision.states import UnknownTracker
from edge.domain import EXPRESSIONS, Kind, Level, Observation, Sight, Signals, State, Step, Transition


class Decider:
    """Follows one driver through smoothing, states and policies. Pure: time comes in with the observations.

    Its own time runs with that of the observations but never backwards: where theirs steps back or stands still, its
    stands still, and then runs on from there. ``t`` of signals and transitions is this time.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._weights = _weights(config.alerts)
        self._smoother = Smoother(config.smoothing)
        self._baseline = Baseline(config.baseline)
        self._tracker = UnknownTracker(config.states)
        next_episode = count(1).__next__
        self._policies = {kind: AlertPolicy(kind, config.alerts.of(kind), next_episode) for kind in Kind}
        self._now = -math.inf
        self._offset = 0.0
        self._pause_left_s = 0.0
        self._pending: list[Transition] = []

    @property
    def paused(self) -> bool:
        """True from ``pause`` until its time is over or ``resume``; meanwhile nothing that is observed counts."""
        return self._pause_left_s > 0

    @property
    def calibrated_percent(self) -> float | None:
        """How far the driver's resting face is learned, 0 to 100; None where the configuration has that off."""
        return self._baseline.calibrated_percent

    @property
    def resting_face(self) -> RestingFace:
        """What was learned of the driver's resting face, to be kept over a restart."""
        return self._baseline.export()

    def update(self, observation: Observation) -> Step:
        """Take in one observation and say what is known then; a pause runs out here, by the observations' time."""
        elapsed_s = self._advance(observation.t)
        if self.paused:
            return self._update_paused(elapsed_s, observation)
        interval = self._interval(elapsed_s, observation)
        self._smoother.update(elapsed_s, observation.probabilities, _weight(observation))
        opened = [policy.level is not None for policy in self._policies.values()]
        shares = self._learn(interval, observation, alert=any(opened))
        signals = self._signals(interval.t)
        self._tracker.update(interval, observation, signals.confidence)
        lost = str(self._tracker.unknown or State.UNCERTAIN) if self._tracker.lost else ""
        for policy, share, own in zip(self._policies.values(), shares, opened, strict=True):
            self._note(policy.update(interval, signals, share, lost, beside=sum(opened) > own))
        return self._step(observation, signals)

    def reconfigure(self, config: Config) -> None:
        """Go on under another configuration; open episodes, evidence and signals are kept."""
        self._config = config
        self._weights = _weights(config.alerts)
        self._smoother.config = config.smoothing
        self._baseline.config = config.baseline
        self._tracker.config = config.states
        for kind, policy in self._policies.items():
            policy.config = config.alerts.of(kind)

    def pause(self, t: float, seconds: float) -> None:
        """Stop judging for ``seconds`` from ``t`` on. Open episodes end; their ends come with the next step."""
        self._advance(t)
        self._end_episodes("paused")
        self._pause_left_s = seconds
        self._forget()

    def resume(self, t: float) -> None:
        """End a pause before its time."""
        self._advance(t)
        self._pause_left_s = 0.0

    def stop(self, t: float) -> Step | None:
        """The last word before nobody watches any more: open episodes end. None where there are none."""
        self._advance(t)
        self._end_episodes("stopped")
        if not self._pending:
            return None
        transitions, self._pending = tuple(self._pending), []
        unseen = Observation(t, Sight.NO_PICTURE, reason="stopped")
        return Step(unseen, self._signals(self._now), State.BLIND, "stopped", transitions)

    def restore(self, resting: RestingFace) -> None:
        """Begin with a resting face that was learned before a restart."""
        self._baseline.restore(resting)

    def recalibrate(self) -> None:
        """Forget the driver's resting face and learn it anew."""
        self._baseline.restart()
        self._forget_evidence()

    def _learn(self, interval: Interval, observation: Observation, *, alert: bool) -> list[float]:
        """Learn from a frame and say for what share of the time this driver shows as much, in the order of ``Kind``.

        One that was not read teaches nothing, but it tells how long no face was in sight.
        """
        read = observation.probabilities
        signals = [0.0] * len(Kind) if read is None else self._weigh(read)
        pending = any(policy.pending for policy in self._policies.values())
        if self._baseline.update(interval, observation, signals, alert=alert, pending=pending):
            self._forget_evidence()
        return self._baseline.shares(signals)

    def _weigh(self, expression: NDArray[np.float32]) -> list[float]:
        """What a distribution over EXPRESSIONS (9,) says of each ``Kind``, 0 to 1."""
        return [min(share, 1.0) for share in (self._weights @ expression).tolist()]

    def _update_paused(self, elapsed_s: float, observation: Observation) -> Step:
        self._pause_left_s = max(0.0, self._pause_left_s - elapsed_s)
        unseen = Interval(self._now, elapsed_s, 0.0, 0.0)
        self._learn(unseen, Observation(observation.t, Sight.NO_PICTURE), alert=False)
        signals = self._signals(unseen.t)
        for policy in self._policies.values():
            self._note(policy.update(unseen, signals, 1.0, "", beside=False))
        return self._step(observation, signals)

    def _forget(self) -> None:
        """What was seen before a pause says nothing of the driver after it."""
        self._smoother = Smoother(self._config.smoothing)
        self._tracker.restart()
        self._baseline.forget_latest()
        self._forget_evidence()

    def _forget_evidence(self) -> None:
        for policy in self._policies.values():
            policy.forget()

    def _advance(self, t: float) -> float:
        """Move on to ``t``; return the seconds since the last moment, never below 0."""
        before = t if math.isinf(self._now) else self._now
        if t + self._offset < before:
            self._offset = before - t
        self._now = max(before, t + self._offset)
        return self._now - before

    def _interval(self, elapsed_s: float, observation: Observation) -> Interval:
        spoken_s = min(elapsed_s, self._config.smoothing.max_step_s)
        return Interval(self._now, elapsed_s, spoken_s, spoken_s * _weight(observation))

    def _end_episodes(self, reason: str) -> None:
        signals = self._signals(self._now)
        for kind, policy in self._policies.items():
            self._note(policy.end(self._now, signals.of(kind), reason))

    def _note(self, transition: Transition | None) -> None:
        if transition is not None:
            self._pending.append(transition)

    def _step(self, observation: Observation, signals: Signals) -> Step:
        state, reason = self._state()
        transitions, self._pending = tuple(self._pending), []
        return Step(observation, signals, state, reason, transitions)

    def _signals(self, t: float) -> Signals:
        expression = self._smoother.expression
        anger, distress = self._baseline.apply(self._weigh(expression))
        return Signals(t, anger, distress, self._smoother.confidence, expression)

    def _state(self) -> tuple[State, str]:
        """Blind and absent outrank an open alert, whose driver is out of sight; an alert outranks uncertain."""
        unknown = self._tracker.unknown
        if self.paused:
            return State.PAUSED, "paused"
        if unknown in (State.BLIND, State.ABSENT):
            return unknown, self._tracker.reason
        levels = {kind: policy.level for kind, policy in self._policies.items() if policy.level is not None}
        if levels:
            return State.URGENT if Level.URGENT in levels.values() else State.WARNING, " and ".join(levels)
        return (State.CALM, "") if unknown is None else (unknown, self._tracker.reason)


def _weight(observation: Observation) -> float:
    """How much an observation counts; nothing where the expression was not read."""
    if observation.probabilities is None or observation.quality is None:
        return 0.0
    return observation.quality.weight


def _weights(config: AlertsConfig) -> NDArray[np.float64]:
    """The weights of the expressions for anger and for distress, (2, 9) in the order EXPRESSIONS."""
    kinds = (config.anger, config.distress)
    return np.array([[kind.weights.get(name, 0.0) for name in EXPRESSIONS] for kind in kinds])
