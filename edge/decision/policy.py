"""When an alert starts, escalates and ends, for one kind of alert."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge.config import AlertConfig
from edge.decision.interval import Interval
from edge.domain import EXPRESSIONS, Kind, Level, Phase, Signals, Transition


@dataclass(frozen=True, slots=True)
class _Episode:
    number: int
    started: float
    level: Level
    peak: float
    expression: str


class AlertPolicy:
    """A leaky budget of evidence with hysteresis.

    What starts an alert is what is out of the ordinary for this driver. A frame's ``share`` tells for how much of the
    time the driver shows as much: a second of good sight of what is as seldom as ``rare`` adds a second of evidence, of
    ``seldom`` none, and of what is always there it takes away ``leak``; between them it is in proportion to the
    logarithm. Time in which the driver is not read takes away ``leak_unseen`` a second: a short look away or one calm
    frame costs little, a long absence all of it. ``hold_s`` of evidence, or ``hold_beside_s`` while an alert of
    the other kind is open, start a warning with a frame that adds some, where the smoothed signal was at ``enter`` or
    above in that time.

    An open alert goes by the smoothed signal alone. Its evidence is the seconds at ``enter`` or above, less
    ``leak_open`` for those at ``exit`` or below; ``urgent_s`` of it make it urgent. It ends after ``release_s`` of good
    sight below ``exit`` or ``fade_s`` of it below ``enter`` (time above pays both back): a resting frown between both
    thresholds upholds no alert. The next of its kind waits for ``cool_down_s``. ``count_episode`` hands out the numbers
    of episodes, which all kinds share.
    """

    def __init__(self, kind: Kind, config: AlertConfig, count_episode: Callable[[], int]) -> None:
        self.config = config
        self._kind = kind
        self._count_episode = count_episode
        self._episode: _Episode | None = None
        self._evidence_s = 0.0
        self._latest = 0.0
        self._clearest = 0.0
        self._calm_s = 0.0
        self._faded_s = 0.0
        self._cooled_s = float("inf")

    @property
    def level(self) -> Level | None:
        """Level of the open episode, None without one."""
        return None if self._episode is None else self._episode.level

    @property
    def pending(self) -> bool:
        """True while an expression is clear and adds up to evidence, of which an alert may come."""
        return self._episode is None and self._evidence_s > 0 and self._latest >= self.config.enter

    def update(
        self, interval: Interval, signals: Signals, share: float, lost: str, *, beside: bool
    ) -> Transition | None:
        """Take in an ``interval``'s signals and its frame's ``share``; at most one transition comes of it.

        ``lost`` says why the driver could not be read for long, empty where it is not so; ``beside`` whether an alert
        of the other kind is open.
        """
        score, hold_s = signals.of(self._kind), self._hold_s(beside=beside)
        self._weigh(interval, score, share, hold_s)
        if self._episode is None:
            self._latest = score if interval.seen_s > 0 else 0.0
            self._clearest = max(self._clearest, self._latest) if self._evidence_s > 0 else self._latest
            return self._start(interval, signals) if self._should_start(interval, share, hold_s) else None
        if score > self._episode.peak:
            self._episode = replace(self._episode, peak=score, expression=self._strongest(signals))
        if lost:
            return self.end(interval.t, score, lost)
        if interval.seen_s > 0 and self._is_over(score):
            return self.end(interval.t, score, "calm")
        if self._episode.level is Level.WARNING and self._evidence_s >= self.config.urgent_s:
            self._episode = replace(self._episode, level=Level.URGENT)
            return self._transition(interval.t, Phase.ESCALATE, score)
        return None

    def forget(self) -> None:
        """Drop the evidence for an alert that has not started."""
        if self._episode is None:
            self._evidence_s = self._clearest = 0.0

    def end(self, t: float, score: float, reason: str) -> Transition | None:
        """Close the open episode, if there is one, for ``reason``."""
        if self._episode is None:
            return None
        transition = self._transition(t, Phase.END, score, reason)
        self._episode = None
        self._evidence_s = self._clearest = self._calm_s = self._cooled_s = 0.0
        return transition

    def _hold_s(self, *, beside: bool) -> float:
        return max(self.config.hold_s, self.config.hold_beside_s) if beside else self.config.hold_s

    def _weigh(self, interval: Interval, score: float, share: float, hold_s: float) -> None:
        config, seen_s = self.config, interval.seen_s
        waiting = self._episode is None
        rate, limit = (self._rate(share), hold_s) if waiting else (self._open_rate(score), config.urgent_s)
        change = rate * seen_s - config.leak_unseen * (interval.elapsed_s - seen_s)
        self._evidence_s = min(max(0.0, self._evidence_s + change), limit)
        self._calm_s = max(0.0, self._calm_s + (seen_s if score < config.exit else -seen_s))
        self._faded_s = max(0.0, self._faded_s + (seen_s if score < config.enter else -seen_s))
        self._cooled_s += interval.elapsed_s

    def _rate(self, share: float) -> float:
        """Seconds of evidence that a second of sight adds before an alert."""
        config = self.config
        if share > config.seldom:
            return -config.leak * (1.0 - math.log(share) / math.log(config.seldom))
        return min(math.log(config.seldom / share) / math.log(config.seldom / config.rare), 1.0)

    def _open_rate(self, score: float) -> float:
        """The same in an open alert."""
        config = self.config
        if score >= config.enter:
            return 1.0
        return -config.leak_open * min(1.0, (config.enter - score) / (config.enter - config.exit))

    def _is_over(self, score: float) -> bool:
        released = self._calm_s >= self.config.release_s and score < self.config.exit
        return released or (self._faded_s >= self.config.fade_s and score < self.config.enter)

    def _should_start(self, interval: Interval, share: float, hold_s: float) -> bool:
        return (
            self._clearest >= self.config.enter
            and interval.seen_s > 0
            and share < self.config.seldom
            and self._evidence_s >= hold_s
            and self._cooled_s >= self.config.cool_down_s
        )

    def _start(self, interval: Interval, signals: Signals) -> Transition:
        score = signals.of(self._kind)
        name = self._strongest(signals)
        self._episode = _Episode(self._count_episode(), interval.t, Level.WARNING, self._clearest, name)
        self._evidence_s = self._clearest = self._calm_s = self._faded_s = 0.0
        return self._transition(interval.t, Phase.START, score)

    def _strongest(self, signals: Signals) -> str:
        """The expression that contributes most to this kind's signal."""
        parts = [self.config.weights.get(name, 0.0) for name in EXPRESSIONS] * signals.expression
        return EXPRESSIONS[int(np.argmax(parts))]

    def _transition(self, t: float, phase: Phase, score: float, reason: str = "") -> Transition:
        episode = self._episode
        assert episode is not None, "a transition belongs to an open episode"  # noqa: S101 - narrows the type
        return Transition(
            t=t,
            kind=self._kind,
            phase=phase,
            level=episode.level,
            episode=episode.number,
            started=episode.started,
            score=score,
            peak=episode.peak,
            expression=episode.expression,
            reason=reason,
        )
