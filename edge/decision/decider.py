"""The whole decision: observations in, steps out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Protocol

from edge.decision.alerts import AlertsConfig
from edge.decision.baseline import RestingFace
from edge.decision.expression import FollowedExpression
from edge.decision.interval import MAX_STEP_S, Interval
from edge.decision.judge import Judge, Moment
from edge.decision.kinds import registered
from edge.decision.ordinary import OrdinaryFace
from edge.decision.settings import BaselineConfig, StatesConfig
from edge.decision.states import UnknownTracker
from edge.domain import (
    NO_REASON,
    UNKNOWN_CONTEXT,
    Context,
    Judged,
    Kind,
    Level,
    Observation,
    Reason,
    ReasonCode,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)


class DecisionConfig(Protocol):
    """The sections of the configuration that the decision goes by."""

    @property
    def alerts(self) -> AlertsConfig:
        """The kinds of alert."""

    @property
    def baseline(self) -> BaselineConfig:
        """The driver's resting face."""

    @property
    def states(self) -> StatesConfig:
        """Timers of the states."""


class Decider:
    """Follows one driver through smoothing, states and judges. Pure: time comes in with the observations.

    Its own time runs with that of the observations but never backwards: where theirs steps back or stands still, its
    stands still, and then runs on from there. ``t`` of signals and transitions is this time. ``ordinary`` is what the
    expression model makes of ordinary faces, by its manifest.
    """

    def __init__(self, config: DecisionConfig, ordinary: OrdinaryFace | None = None) -> None:
        self._config = config
        self._expression = FollowedExpression(config.baseline, ordinary or OrdinaryFace())
        self._tracker = UnknownTracker(config.states)
        next_episode = count(1).__next__
        self._judges: dict[Kind, Judge] = {
            kind: judge(config.alerts.of(kind), next_episode, self._expression)
            for kind, judge in registered().items()
            if config.alerts.of(kind).enabled
        }
        self._now = -math.inf
        self._offset = 0.0
        self._pause_left_s = 0.0
        self._pending: list[Transition] = []

    @property
    def paused(self) -> bool:
        """True from ``pause`` until its time is over or ``resume``; meanwhile nothing that is observed counts."""
        return self._pause_left_s > 0

    @property
    def stirred(self) -> bool:
        """Whether anything may build up, or the driver cannot be read: then the expression is worth reading anew."""
        return self._tracker.unknown is not None or any(judge.stirred for judge in self._judges.values())

    @property
    def calibrated_percent(self) -> float | None:
        """How far the driver's resting face is learned, 0 to 100; None where the configuration has that off."""
        return self._expression.calibrated_percent

    @property
    def resting_face(self) -> RestingFace:
        """What was learned of the driver's resting face, to be kept over a restart."""
        return self._expression.export()

    def update(self, observation: Observation, context: Context = UNKNOWN_CONTEXT) -> Step:
        """Take in one observation and say what is known then; a pause runs out here, by the observations' time."""
        elapsed_s = self._advance(observation.t)
        if self.paused:
            return self._update_paused(elapsed_s, observation, context)
        weight = _weight(observation)
        interval = self._interval(elapsed_s, weight)
        judges, tracker = self._judges.values(), self._tracker
        opened = [judge.level is not None for judge in judges]
        if self._expression.update(interval, observation, weight, alert=any(opened)):
            self._forget_evidence()
        tracker.update(interval, observation, self._expression.confidence)
        lost = ReasonCode(tracker.unknown or State.UNCERTAIN) if tracker.lost else ReasonCode.NONE
        moment = Moment(interval, observation, context, tracker.unknown, lost)
        for judge, own in zip(judges, opened, strict=True):
            self._pending += judge.follow(moment, beside=sum(opened) > own)
        return self._step(observation, context)

    def reconfigure(self, config: DecisionConfig) -> None:
        """Go on under another configuration; open episodes, evidence and signals are kept.

        Which kinds are judged stays as it was at the start.
        """
        self._config = config
        self._expression.reconfigure(config.baseline)
        self._tracker.config = config.states
        for kind, judge in self._judges.items():
            judge.reconfigure(config.alerts.of(kind))

    def pause(self, t: float, seconds: float) -> None:
        """Stop judging for ``seconds`` from ``t`` on. Open episodes end; their ends come with the next step."""
        self._advance(t)
        self._end_episodes(ReasonCode.PAUSED)
        self._pause_left_s = seconds
        self._forget()

    def resume(self, t: float) -> None:
        """End a pause before its time."""
        self._advance(t)
        self._pause_left_s = 0.0

    def acknowledge(self, kind: Kind | None = None) -> tuple[Kind, ...]:
        """Note that somebody knows of the open alerts, of one kind or of all; those for which that is new.

        An alert is decided as before: only its next steps, and what is said of its kind, tell of it.
        """
        kinds = self.unacknowledged(kind)
        for each in kinds:
            self._judges[each].episode.acknowledge()
        return kinds

    def unacknowledged(self, kind: Kind | None = None) -> tuple[Kind, ...]:
        """The open alerts, of one kind or of all, that nobody has acknowledged at their level."""
        waiting = (each for each, judge in self._judges.items() if judge.level and not judge.episode.acknowledged)
        return tuple(each for each in waiting if kind in (None, each))

    def stop(self, t: float, context: Context = UNKNOWN_CONTEXT) -> Step | None:
        """The last word before nobody watches any more: open episodes end. None where there are none."""
        self._advance(t)
        self._end_episodes(ReasonCode.STOPPED)
        if not self._pending:
            return None
        transitions, self._pending = tuple(self._pending), []
        self._forget()
        signals = self._signals()
        stopped = Reason(ReasonCode.STOPPED)
        unread = {kind: replace(judged, readable=False, reason=stopped) for kind, judged in signals.kinds.items()}
        unseen = Observation(t, Sight.NO_PICTURE, reason=stopped)
        percent, silent = self.calibrated_percent, replace(signals, kinds=unread)
        return Step(unseen, silent, State.BLIND, stopped, transitions, context, percent)

    def restore(self, resting: RestingFace) -> None:
        """Begin with a resting face that was learned before a restart."""
        self._expression.restore(resting)

    def recalibrate(self) -> None:
        """Forget the driver's resting face and learn it anew. Open episodes end; their ends come with the next step."""
        self._end_episodes(ReasonCode.RECALIBRATING)
        self._expression.forget_driver()
        self._forget_evidence()

    def _update_paused(self, elapsed_s: float, observation: Observation, context: Context) -> Step:
        self._pause_left_s = max(0.0, self._pause_left_s - elapsed_s)
        unseen = Interval(self._now, elapsed_s, 0.0, 0.0)
        if self._expression.skip(unseen):
            self._forget_evidence()
        moment = Moment(unseen, observation, context, State.PAUSED, ReasonCode.NONE, paused=True)
        for judge in self._judges.values():
            self._pending += judge.follow(moment, beside=False)
        return self._step(observation, context)

    def _forget(self) -> None:
        """What was seen before a pause says nothing of the driver after it."""
        self._expression.forget_latest()
        self._tracker.restart()
        self._forget_evidence()

    def _forget_evidence(self) -> None:
        for judge in self._judges.values():
            judge.forget()

    def _advance(self, t: float) -> float:
        """Move on to ``t``; return the seconds since the last moment, never below 0."""
        before = t if math.isinf(self._now) else self._now
        if t + self._offset < before:
            self._offset = before - t
        self._now = max(before, t + self._offset)
        return self._now - before

    def _interval(self, elapsed_s: float, weight: float) -> Interval:
        spoken_s = min(elapsed_s, MAX_STEP_S)
        return Interval(self._now, elapsed_s, spoken_s, spoken_s * weight)

    def _end_episodes(self, reason: ReasonCode) -> None:
        self._expression.look()
        ends = [judge.end(self._now, reason) for judge in self._judges.values()]
        self._pending += [end for end in ends if end is not None]

    def _step(self, observation: Observation, context: Context) -> Step:
        signals = self._signals()
        state, reason = self._state(signals.kinds)
        transitions, self._pending = tuple(self._pending), []
        return Step(observation, signals, state, reason, transitions, context, self.calibrated_percent)

    def _signals(self) -> Signals:
        kinds = {kind: self._judged(judge) for kind, judge in self._judges.items()}
        figures = {name: value for judge in self._judges.values() for name, value in judge.figures.items()}
        return Signals(self._now, kinds, self._expression.confidence, self._expression.distribution, figures)

    def _judged(self, judge: Judge) -> Judged:
        reason = self._unread(judge)
        return Judged(judge.signal, judge.level, not reason, reason, judge.episode.acknowledged)

    def _unread(self, judge: Judge) -> Reason:
        """Why a kind cannot be read now; none where it can."""
        if self.paused:
            return Reason(ReasonCode.PAUSED)
        if judge.readable and not judge.reason:
            return NO_REASON
        return self._tracker.reason or judge.reason or Reason(ReasonCode.UNREADABLE)

    def _state(self, kinds: Mapping[Kind, Judged]) -> tuple[State, Reason]:
        """Blind and absent outrank an open alert, whose driver is out of sight; an alert outranks uncertain.

        Calm is said only where every kind can be read.
        """
        unknown = self._tracker.unknown
        if self.paused:
            return State.PAUSED, Reason(ReasonCode.PAUSED)
        if unknown in (State.BLIND, State.ABSENT):
            return unknown, self._tracker.reason
        levels = {kind: judged.level for kind, judged in kinds.items() if judged.level is not None}
        if levels:
            alert = Reason(ReasonCode.ALERT, kinds=tuple(levels))
            return State.URGENT if Level.URGENT in levels.values() else State.WARNING, alert
        if unknown is not None:
            return unknown, self._tracker.reason
        unread = (kind for kind, judged in kinds.items() if not judged.readable)
        reason = next((kinds[kind].reason for kind in unread if self._judges[kind].holds_up_calm), NO_REASON)
        return (State.UNCERTAIN, reason) if reason else (State.CALM, NO_REASON)


def _weight(observation: Observation) -> float:
    """How much an observation counts: nothing where the expression was not read, less on an unfamiliar face."""
    if observation.probabilities is None or observation.quality is None:
        return 0.0
    return observation.quality.weight * observation.familiar
