"""When an alert starts, escalates and ends, for a kind that goes by expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from edge.decision.expression import FollowedExpression
from edge.decision.interval import Interval
from edge.decision.judge import Judge, JudgeSettings, Moment
from edge.domain import EXPRESSIONS, NO_REASON, Reason, ReasonCode, Transition
from edge.section import EXPERT, Share

Weights = dict[str, Annotated[float, Field(ge=0, le=2)]]


def weights_field(default: dict[str, float]) -> Any:
    """The key ``weights`` with a kind's own default."""
    return Field(
        default=default, description=f"Weight of each expression in the signal; names: {', '.join(EXPRESSIONS)}."
    )


PRESETS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "low": MappingProxyType({"seldom": 0.36, "rare": 0.0008, "hold_s": 2.6}),
        "high": MappingProxyType({"seldom": 0.28, "rare": 0.00062, "hold_s": 1.1}),
    }
)
"""Chosen on 160 simulated tuning drives (``make presets ARGS=--choose``): low for about a third of normal's false
alarms, high for two thirds of its delay. What they come to on other drives stands in calibration/presets.json."""


class ExpressionSettings(JudgeSettings):
    """One kind of alert: what counts as evidence and how long it must last.

    An expression that the model steadily gives 0.7 or 0.9 starts a warning after some 2 s where the driver's still face
    was watched for five minutes; where the driver is not yet known, anger after some 4.1 and 2.8 s, distress after 7.4
    or 3.9 s, with what expression 0.4.0 makes of ordinary faces.
    """

    presets: ClassVar = PRESETS

    weights: Weights
    enter: Share = Field(default=0.50, description="Smoothed signal that an alert needs to start, and that upholds it.")
    exit: Share = Field(default=0.30, description="Signal below which an alert is on its way out.")
    seldom: float = Field(
        default=0.45,
        gt=0,
        le=0.95,
        description="What this driver shows for a smaller share of the time is evidence; more: alerts come of less.",
    )
    rare: float = Field(
        default=0.001,
        ge=1e-6,
        lt=1,
        description="What this driver shows for this share of the time or less: a second of it is one of evidence.",
    )
    hold_s: float = Field(default=1.8, ge=0, le=60, description="Evidence that starts an alert, seconds.")
    hold_beside_s: float = Field(
        default=3.6,
        ge=0,
        le=120,
        description="The same while an alert of the other kind is on, seconds; 'hold_s' where that is longer.",
    )
    urgent_s: float = Field(
        default=8.0, gt=0, le=600, description="Further evidence that makes a warning urgent, seconds after its start."
    )
    release_s: float = Field(default=3.0, ge=0, le=60, description="Time below 'exit' that ends an alert, seconds.")
    fade_s: float = Field(
        json_schema_extra=EXPERT,
        default=20.0,
        ge=0,
        le=600,
        description="Time below 'enter' that ends an alert though the signal does not fall below 'exit', seconds.",
    )
    leak: float = Field(
        json_schema_extra=EXPERT,
        default=2.0,
        ge=0,
        le=10,
        description="Evidence that a second of what is always there takes away, seconds.",
    )
    leak_open: float = Field(
        json_schema_extra=EXPERT,
        default=0.7,
        ge=0,
        le=10,
        description="Evidence for 'urgent' that a second at 'exit' or below takes away, seconds.",
    )
    leak_unseen: float = Field(
        json_schema_extra=EXPERT,
        default=0.05,
        ge=0,
        le=10,
        description="Evidence lost in a second without a readable face, seconds.",
    )

    @model_validator(mode="after")
    def _sane(self) -> Self:
        unknown = sorted(set(self.weights) - set(EXPRESSIONS))
        if unknown:
            raise ValueError(f"weights has unknown expressions {unknown}; known: {', '.join(EXPRESSIONS)}")
        if not any(self.weights.values()):
            raise ValueError("weights needs at least one expression above 0")
        if self.exit >= self.enter:
            raise ValueError("exit must be below enter")
        if self.rare >= self.seldom:
            raise ValueError("rare must be below seldom")
        return self


class ExpressionJudge(Judge):
    """A CUSUM of surprise (Page 1954, https://doi.org/10.1093/biomet/41.1-2.100), with hysteresis in an open alert.

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
    thresholds upholds no alert. The next of its kind waits for ``cool_down_s``. By the same rule ends what has gone on
    untold after ``max_alert_s``; since nothing holds up the learning any more, the look may become this driver's own.

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
        self._latest = 0.0
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
    def pending(self) -> bool:
        """True while an expression is clear and adds up to evidence, of which an alert may come."""
        return not self.episode.is_open and self._evidence_s > 0 and self._latest >= self.settings.enter

    def update(self, moment: Moment, *, beside: bool) -> Transition | None:
        """Take in a moment's signals; at most one transition comes of it."""
        interval, score = moment.interval, self.signal
        share = 1.0 if moment.paused else self.expression.shares[self._index]
        hold_s = self._hold_s(beside=beside)
        self.readable = moment.unknown is None
        self._weigh(interval, score, share, hold_s)
        if not self.episode.is_open:
            self._latest = score if interval.seen_s > 0 else 0.0
            self._clearest = max(self._clearest, self._latest) if self._evidence_s > 0 else self._latest
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

    def reconfigure(self, settings: ExpressionSettings) -> None:
        """Go on under other settings; evidence and an open alert are kept."""
        self.settings, self._weights = settings, _row(settings)
        self.expression.weigh(self._index, self._weights)

    def _hold_s(self, *, beside: bool) -> float:
        return max(self.settings.hold_s, self.settings.hold_beside_s) if beside else self.settings.hold_s

    def _weigh(self, interval: Interval, score: float, share: float, hold_s: float) -> None:
        config, seen_s = self.settings, interval.seen_s
        waiting = not self.episode.is_open
        rate, limit = (self._rate(share), hold_s) if waiting else (self._open_rate(score), config.urgent_s)
        change = rate * seen_s - config.leak_unseen * (interval.elapsed_s - seen_s)
        self._evidence_s = min(max(0.0, self._evidence_s + change), limit)
        self._calm_s = max(0.0, self._calm_s + (seen_s if score < config.exit else -seen_s))
        self._faded_s = max(0.0, self._faded_s + (seen_s if score < config.enter else -seen_s))
        self.episode.wait(interval.elapsed_s)

    def _rate(self, share: float) -> float:
        """Seconds of evidence that a second of sight adds before an alert."""
        config = self.settings
        if share > config.seldom:
            return -config.leak * (1.0 - math.log(share) / math.log(config.seldom))
        return min(math.log(config.seldom / share) / math.log(config.seldom / config.rare), 1.0)

    def _open_rate(self, score: float) -> float:
        """The same in an open alert."""
        config = self.settings
        if score >= config.enter:
            return 1.0
        return -config.leak_open * min(1.0, (config.enter - score) / (config.enter - config.exit))

    def _is_over(self, score: float) -> bool:
        released = self._calm_s >= self.settings.release_s and score < self.settings.exit
        return released or (self._faded_s >= self.settings.fade_s and score < self.settings.enter)

    def _should_start(self, interval: Interval, share: float, hold_s: float) -> bool:
        return (
            self._clearest >= self.settings.enter
            and interval.seen_s > 0
            and share < self.settings.seldom
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


def _row(settings: ExpressionSettings) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weights (9,) in the order EXPRESSIONS."""
    return np.array([settings.weights.get(name, 0.0) for name in EXPRESSIONS])
