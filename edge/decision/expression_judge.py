"""When an alert starts, escalates and ends, for a kind that goes by expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from edge.decision.expression import FollowedExpression
from edge.decision.interval import Interval
from edge.decision.judge import Judge, JudgeSettings, Moment
from edge.decision.presets import HIGH, LOW, NORMAL
from edge.domain import EXPRESSIONS, NO_REASON, Reason, ReasonCode, Transition

SELDOM = 0.25
"""Share of the time: what this driver shows for less of it is evidence, for more of it takes evidence away."""
RARE = 0.0003
"""What this driver shows for this share of the time or less: a second of it is a second of evidence."""
LEAK = 2.0
"""Seconds of evidence that a second of what is always there takes away; 1 and 4 give nearly the same."""
LEAK_UNSEEN = 0.05
"""Evidence lost in a second without a readable face: a glance costs nothing, half a minute away most of it."""
LEAK_OPEN = 0.7
"""Evidence for urgent that a second at EXIT_PART of ``enter`` or below takes away."""
EXIT_PART = 0.6
"""An alert is on its way out below this part of ``enter``, far enough from it that no signal flutters across both."""
RELEASE_S = 3.0
"""Seconds below that which end an alert: between two words, and in a glance away, an angry face is not over."""
FADE_S = 20.0
"""Seconds below ``enter`` that end an alert though the signal falls no further, as with a resting frown."""
BESIDE_TIMES = 2.0
"""So much more evidence a kind needs while another alert is on: angry faces read as sad, and the reverse, are the most
common confusion."""


_FIXED = "is part of the rule now (docs/decision.md); sensitivity, hold_s and enter set how readily this kind alerts"


class ExpressionSettings(JudgeSettings):
    """One kind of alert: how clear an expression must be, and how much evidence of it an alert needs."""

    presets: ClassVar[Mapping[str, Mapping[str, float]]] = MappingProxyType({"low": LOW, "high": HIGH})
    renamed: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("seldom", "rare", "leak", "leak_open", "leak_unseen", "hold_beside_s", "weights"), _FIXED),
        **dict.fromkeys(("release_s", "fade_s"), "is part of the rule now (docs/decision.md)"),
        "exit": f"follows 'enter' now: {EXIT_PART:g} of it",
    }
    weights: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """Weight of each of EXPRESSIONS in the signal of this kind; those not named have none."""

    enter: float = Field(
        default=NORMAL["enter"],
        gt=0,
        le=1,
        description="Smoothed signal that an alert needs to start, and that upholds it.",
    )
    hold_s: float = Field(
        default=NORMAL["hold_s"],
        ge=0,
        le=60,
        description="Evidence that starts an alert, seconds: the first key to turn.",
    )
    urgent_s: float = Field(
        default=8.0, gt=0, le=600, description="Further evidence that makes a warning urgent, seconds after its start."
    )

    @property
    def warns_at(self) -> float:
        """As ``enter``."""
        return self.enter

    @property
    def exit(self) -> float:
        """Signal below which an alert is on its way out."""
        return EXIT_PART * self.enter


class ExpressionJudge(Judge):
    """A CUSUM of surprise (Page 1954, https://doi.org/10.1093/biomet/41.1-2.100), with hysteresis in an open alert.

    What starts an alert is what is out of the ordinary for this driver. A frame's ``share`` tells for how much of the
    time the driver shows as much: a second of good sight of what is as seldom as RARE adds a second of evidence, of
    SELDOM none, and of what is always there it takes away LEAK; between them it is in proportion to the logarithm.
    Time in which the driver is not read takes away LEAK_UNSEEN a second. ``hold_s`` of evidence, BESIDE_TIMES that
    while an alert of another kind is open, start a warning with a frame that adds some, where the smoothed signal was
    at ``enter`` or above in that time.

    An open alert goes by the smoothed signal alone. Its evidence is the seconds at ``enter`` or above, less LEAK_OPEN
    for those at ``exit`` or below; ``urgent_s`` of it make it urgent. It ends after RELEASE_S of good sight below
    ``exit`` or FADE_S of it below ``enter`` (time above pays both back): a resting frown between both upholds no alert.
    The next of its kind waits for ``cool_down_s``. By the same rule ends what has gone on untold after
    ``max_alert_s``; since nothing holds up the learning any more, the look may become this driver's own.

    The rule stands twice: ``edge.tuning.batch`` follows it over arrays, since this judge, called for every set of
    thresholds in turn, would take tuning far more than three times as long. Tests hold both to the same alerts.
    """

    usual: ClassVar[float] = 0.03
    """Share of the time in which an ordinary face at rest is read as this kind at 0.5 or more, where the expression
    model's manifest does not tell."""

    def __init__(
        self, settings: ExpressionSettings, count_episode: Callable[[], int], expression: FollowedExpression
    ) -> None:
        super().__init__(settings, count_episode, expression)
        self.settings: ExpressionSettings = settings
        self._weights = _row(settings)
        self._index = expression.follow(self.kind, self._weights, self.usual)
        self._evidence_s = 0.0
        self._clearest = 0.0
        self._calm_s = 0.0
        self._faded_s = 0.0

    @property
    def signal(self) -> float:
        """The smoothed signal, held against the driver's resting face."""
        return self.expression.signals[self._index]

    @property
    def reason(self) -> Reason:
        """Why this kind cannot be read now: an alert comes also while the face is learned anew, but no calm."""
        anew = self.expression.relearning and self.level is None
        return super().reason or (Reason(ReasonCode.RECALIBRATING) if anew else NO_REASON)

    @property
    def stirred(self) -> bool:
        """Whether there is evidence, or was in the newest frame, or the signal is not calm: an alert may be near."""
        newest = self.expression.shares[self._index] < SELDOM
        return newest or self._evidence_s > 0 or self.episode.is_open or self.signal >= self.settings.exit

    def update(self, moment: Moment, *, beside: bool) -> Transition | None:
        """Take in a moment's signals; at most one transition comes of it."""
        interval, score = moment.interval, self.signal
        share = 1.0 if moment.paused else self.expression.shares[self._index]
        hold_s = self._hold_s(beside=beside)
        self.readable = moment.unknown is None
        self._weigh(interval, score, share, hold_s)
        if not self.episode.is_open:
            latest = score if interval.seen_s > 0 else 0.0
            self._clearest = max(self._clearest, latest) if self._evidence_s > 0 else latest
            return self._start(interval) if self._should_start(interval, share, hold_s) else None
        self.episode.rise(score, self._strongest)
        if moment.lost:
            return self.end(interval.t, moment.lost)
        if interval.seen_s > 0 and self._is_over(score):
            return self.end(interval.t, ReasonCode.CALM)
        if self._evidence_s >= self.settings.urgent_s:
            return self.episode.escalate(interval.t, score)
        return None

    def forget(self) -> None:
        """Drop the evidence for an alert that has not started, and what is left of one that lasted too long."""
        super().forget()
        if not self.episode.is_open:
            self._evidence_s = self._clearest = 0.0

    def end(self, t: float, reason: ReasonCode) -> Transition | None:
        """Close the open alert, if there is one, for ``reason``."""
        if self.episode.is_open:
            self._evidence_s = self._clearest = self._calm_s = 0.0
        return super().end(t, reason)

    def _hold_s(self, *, beside: bool) -> float:
        return self.settings.hold_s * (BESIDE_TIMES if beside else 1.0)

    def _weigh(self, interval: Interval, score: float, share: float, hold_s: float) -> None:
        settings, seen_s = self.settings, interval.seen_s
        waiting = not self.episode.is_open
        rate, limit = (surprise(share), hold_s) if waiting else (self._open_rate(score), settings.urgent_s)
        change = rate * seen_s - LEAK_UNSEEN * (interval.elapsed_s - seen_s)
        self._evidence_s = min(max(0.0, self._evidence_s + change), limit)
        self._calm_s = max(0.0, self._calm_s + (seen_s if score < settings.exit else -seen_s))
        self._faded_s = max(0.0, self._faded_s + (seen_s if score < settings.enter else -seen_s))
        self.episode.wait(interval.elapsed_s)

    def _open_rate(self, score: float) -> float:
        """Seconds of evidence that a second of sight adds in an open alert."""
        enter, leave = self.settings.enter, self.settings.exit
        return 1.0 if score >= enter else -LEAK_OPEN * min(1.0, (enter - score) / (enter - leave))

    def _is_over(self, score: float) -> bool:
        released = self._calm_s >= RELEASE_S and score < self.settings.exit
        return released or (self._faded_s >= FADE_S and score < self.settings.enter)

    def _should_start(self, interval: Interval, share: float, hold_s: float) -> bool:
        return (
            self._clearest >= self.settings.enter
            and interval.seen_s > 0
            and share < SELDOM
            and self._evidence_s >= hold_s
            and self.episode.cooled_s >= self.settings.cool_down_s
        )

    def _start(self, interval: Interval) -> Transition:
        transition = self.episode.start(interval.t, self.signal, self._clearest, self._strongest())
        self._evidence_s = self._clearest = self._calm_s = self._faded_s = 0.0
        return transition

    def _strongest(self) -> str:
        """The expression that contributes most to this kind's signal."""
        return EXPRESSIONS[int(np.argmax(self._weights * self.expression.distribution))]


def surprise(share: float) -> float:
    """Seconds of evidence that a second of sight adds before an alert, of what is shown for this share of the time."""
    if share > SELDOM:
        return -LEAK * (1.0 - math.log(share) / math.log(SELDOM))
    return min(math.log(SELDOM / share) / math.log(SELDOM / RARE), 1.0)


def _row(settings: ExpressionSettings) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weights (9,) in the order EXPRESSIONS."""
    return np.array([settings.weights.get(name, 0.0) for name in EXPRESSIONS])
