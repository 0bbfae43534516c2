"""Fatigue shown by the eyes: a microsleep, or eyes that are closed for too much of the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge.compat import Self, StrEnum
from edge.decision.closures import Closures, Window
from edge.decision.doubt import Doubt
from edge.decision.expression import FollowedExpression
from edge.decision.judge import Judge, JudgeSettings, Moment, cool_down_field, min_speed_field, register
from edge.decision.signs import SupportingSigns
from edge.domain import (
    CUE_NAMES,
    CUES,
    EXPRESSIONS,
    EYES,
    NO_REASON,
    READABLE,
    Level,
    Observation,
    Reason,
    ReasonCode,
    Transition,
)
from edge.section import BASIC, Share

SUPPORTED = 5 / 6
"""So large a part of ``perclos`` is enough for a drowsy warning of who yawned or nodded lately: 10 % instead of 12 %,
about the mean at the first microsleep of a second on a closed track (abstract in Journal of Vision 12, 2012)."""
LEAST_READ = 0.6
"""Share of a window that must have been read before its share of closed time says anything."""
WARNS_AT = 0.5
"""Signal at which a warning starts."""
OVER = 2 / 3
"""A drowsy alert ends below this part of the share that starts one."""
UNREAD_AFTER_S = 3.0
"""Fatigue cannot be judged once the eyes could not be read for so long."""
WIDER = 0.75
"""How much the wider eye counts of both. Chosen on other drivers than those that are quoted, as those of closures."""
LOST_AFTER_S = 15.0
"""An alert ends once they could not be read for so long."""


_YAWN = EXPRESSIONS.index("yawn")
_SHUTTING = [_YAWN, EXPRESSIONS.index("happiness")]
_MOUTH = [CUE_NAMES.index("mouth_open"), CUE_NAMES.index("hand_at_mouth")]


class Cause(StrEnum):
    """What an alert of fatigue comes of."""

    MICROSLEEP = "microsleep"
    DROWSY = "drowsy"


class FatigueSettings(JudgeSettings):
    """Alert for eyes that stay closed (microsleep), or are closed for too much of the time (drowsy).

    Closed is less than a fifth of the driver's own opening, both eyes or the one that can be read. Blinks do not count.
    """

    presets: ClassVar[Mapping[str, Mapping[str, float]]] = MappingProxyType(
        {
            "low": MappingProxyType({"microsleep_s": 2.0, "perclos": 0.15, "perclos_urgent": 0.2}),
            "high": MappingProxyType({"microsleep_s": 1.0, "perclos": 0.1, "perclos_urgent": 0.12}),
        }
    )

    cool_down_s: float = cool_down_field(3.0)
    min_speed_kmh: float = min_speed_field(20.0)
    max_alert_s: float = Field(
        default=300.0,
        ge=1,
        le=3600,
        description="An alert that has lasted so long ends; a new microsleep starts another, seconds.",
    )
    microsleep_s: float = Field(
        default=1.5, ge=0.5, le=10, description="Eyes closed for so long are a microsleep: a warning, seconds."
    )
    microsleep_urgent_s: float = Field(
        default=3.0, ge=0.5, le=30, description="Eyes closed for so long are urgent, seconds."
    )
    perclos: Share = Field(
        default=0.12, gt=0, description="Eyes closed for this share of the last minute are drowsy: a warning."
    )
    perclos_urgent: Share = Field(
        default=0.15, gt=0, description="With this share of the last three minutes besides, drowsiness is urgent."
    )
    release_s: float = Field(
        default=3.0, ge=0.2, le=60, description="An alert ends once the eyes were open for so long, seconds."
    )
    holds_up_calm: bool = Field(
        default=True,
        json_schema_extra=BASIC,
        description="Say calm only while the eyes can be read; off for drivers who wear opaque sunglasses.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.microsleep_urgent_s < self.microsleep_s:
            raise ValueError("microsleep_urgent_s must not be below microsleep_s")
        if self.perclos_urgent < self.perclos:
            raise ValueError("perclos_urgent must not be below perclos")
        return self

    @property
    def warns_at(self) -> float:
        """The signal is scaled so, whatever the other keys are."""
        return WARNS_AT

    def tried(self) -> Iterator[Self]:
        """Shorter and longer closures, smaller and larger shares."""
        for closed_s in (1.0, 1.5, 2.0, 2.5):
            for share in (0.08, 0.12, 0.16):
                yield self.model_copy(
                    update={
                        "microsleep_s": closed_s,
                        "microsleep_urgent_s": max(self.microsleep_urgent_s, closed_s),
                        "perclos": share,
                        "perclos_urgent": max(self.perclos_urgent, share),
                    }
                )


@register
class FatigueJudge(Judge):
    """Judges how long the eyes stay closed, and for what share of one and of three minutes (PERCLOS P80).

    Yawns and nods support what PERCLOS says, and raise nothing by themselves.
    ``signal`` is 0.5 where a warning starts, by whichever of both is nearer to it.
    """

    kind = "fatigue"
    Settings = FatigueSettings
    goes_by = EYES
    wakes = True

    def __init__(
        self, settings: FatigueSettings, count_episode: Callable[[], int], expression: FollowedExpression
    ) -> None:
        super().__init__(settings, count_episode, expression)
        self.settings: FatigueSettings = settings
        self._eyes, self._signs, self._doubt = Closures(), SupportingSigns(), Doubt()
        self._perclos = 0.0
        """Share of the last minute in which the eyes were closed; 0 where that cannot be told."""
        self._shut = self._yawning = False
        self._drowsy = False
        """Whether the episode is one of drowsiness, by its start or its escalation, whatever microsleeps are in it."""

    @property
    def signal(self) -> float:
        """How near a warning is: 0.5 where it starts."""
        config = self.settings
        return min(WARNS_AT * max(self._eyes.asleep_s / config.microsleep_s, self._perclos / self._drowsy_from), 1.0)

    @property
    def reason(self) -> Reason:
        """Why fatigue cannot be read now: an alert that lasted, or eyes that cannot be read."""
        unread = self._eyes.unread_s >= UNREAD_AFTER_S
        return super().reason or (Reason(ReasonCode.EYES_UNREADABLE) if unread else NO_REASON)

    @property
    def holds_up_calm(self) -> bool:
        """Whether calm waits for it; settings say so."""
        return self.settings.holds_up_calm

    @property
    def stirred(self) -> bool:
        """Whether the eyes are shut, for which a laugh may be the reason, or a yawn is to be timed."""
        return self._shut or self._yawning or self._eyes.closed_s > 0 or self.level is not None

    @property
    def figures(self) -> Mapping[str, float | None]:
        """PERCLOS of a minute, its share that could be read, blinks in it; how long the eyes are closed or open."""
        read, perclos = self._eyes.short.read, told_share(self._eyes.short)
        blinks = None if perclos is None else self._eyes.blinks / read
        return {
            "perclos": perclos,
            "readable_share": read,
            "blinks_per_minute": blinks,
            "closed_s": self._eyes.closed_s,
            "open_s": self._eyes.open_s,
        }

    @property
    def closes_below(self) -> float:
        """Openness below which this driver's eyes are closed."""
        return self._eyes.closes_below

    def update(self, moment: Moment, *, beside: bool) -> Transition | None:
        """Take in a moment's eyes; at most one transition comes of it."""
        del beside
        now = moment.interval
        openness = None if moment.paused else both_eyes(moment.observation)
        seen = moment.observation.probabilities
        self._shut = openness is not None and openness < self.closes_below
        screwed_up, counts = shuts_the_eyes(seen), self._counts(moment, read=openness is not None)
        self._eyes.update(now.t, now.elapsed_s, now.spoken_s, openness, screwed_up=screwed_up, counts=counts)
        self._perclos = told_share(self._eyes.short) or 0.0
        self._yawning = seen is not None and seen.item(_YAWN) > 0.5
        if not moment.paused:
            self._look_for_signs(moment)
        self.readable = moment.unknown is None
        self.episode.wait(now.elapsed_s)
        self.episode.rise(self.signal)
        cause, level = self._asked()
        if self.episode.is_open and not (self.episode.lasting and self._drowsy and cause is Cause.MICROSLEEP):
            return self._go_on(moment, cause, level)
        if level is None or self.episode.cooled_s < self.settings.cool_down_s or openness is None:
            return None
        self.episode.let_go()
        self._drowsy = cause is Cause.DROWSY
        return self.episode.start(now.t, self.signal, self.signal, cause=cause)

    def _counts(self, moment: Moment, *, read: bool) -> float:
        """How much a second of closed eyes counts now; of eyes that are not ``read`` nothing is learned of the head."""
        seen, quality = moment.observation, moment.observation.quality
        return self._doubt.update(
            moment.interval.spoken_s,
            closed=self._shut,
            busy=not moment.paused and (shuts_the_eyes(seen.probabilities) or has_a_busy_mouth(seen)),
            yaw=quality.yaw if quality is not None and read else None,
        )

    def _look_for_signs(self, moment: Moment) -> None:
        quality = moment.observation.quality
        self._signs.update(
            moment.interval.t,
            moment.interval.spoken_s,
            yawning=self._yawning,
            pitch=None if quality is None else quality.pitch,
            closed=self._shut,
        )

    def forget(self) -> None:
        """Drop all that was seen of this driver's eyes."""
        super().forget()
        self._eyes, self._signs, self._doubt = Closures(), SupportingSigns(), Doubt()
        self._perclos = 0.0

    @property
    def _drowsy_from(self) -> float:
        """PERCLOS from which a drowsy warning comes now."""
        return self.settings.perclos * (SUPPORTED if self._signs.present else 1.0)

    def _asked(self) -> tuple[Cause | None, Level | None]:
        """What an alert would come of now, and its level; None twice where none would."""
        config, eyes = self.settings, self._eyes
        if eyes.asleep_s >= config.microsleep_s:
            return Cause.MICROSLEEP, Level.URGENT if eyes.asleep_s >= config.microsleep_urgent_s else Level.WARNING
        if self._perclos < self._drowsy_from:
            return None, None
        lasts = (told_share(eyes.long) or 0.0) >= config.perclos_urgent
        return Cause.DROWSY, Level.URGENT if lasts else Level.WARNING

    def _go_on(self, moment: Moment, cause: Cause | None, level: Level | None) -> Transition | None:
        """Escalate or end the open episode. A microsleep of a driver who is told to be drowsy is urgent at once."""
        t = moment.interval.t
        if moment.lost:
            return self.end(t, moment.lost)
        if self._eyes.unread_s >= LOST_AFTER_S:
            return self.end(t, ReasonCode.EYES_UNREADABLE)
        if level is Level.URGENT or (self._drowsy and cause is Cause.MICROSLEEP):
            self._drowsy = self._drowsy or cause is Cause.DROWSY
            return self.episode.escalate(t, self.signal, cause=cause)
        drowsy = self._drowsy and self._perclos >= OVER * self.settings.perclos
        if self._eyes.open_s >= self.settings.release_s and not drowsy:
            return self.end(t, ReasonCode.CALM)
        return None


def told_share(window: Window) -> float | None:
    """Share of the window in which the eyes were closed; None where too little of it was read to tell."""
    return window.closed if window.read >= LEAST_READ else None


def shuts_the_eyes(probabilities: NDArray[np.float32] | None) -> bool:
    """Whether the expression (9,), in the order EXPRESSIONS, is a yawn or a laugh, which shut the eyes of the awake."""
    return probabilities is not None and sum(probabilities.item(place) for place in _SHUTTING) > 0.5


def has_a_busy_mouth(observation: Observation) -> bool:
    """Whether the jaws are apart or a hand is at the mouth, by the expression model's cues."""
    cues = observation.readings.get(CUES)
    return cues is not None and any(cues.values.item(place) > 0.5 for place in _MOUTH)


def both_eyes(observation: Observation) -> float | None:
    """How far the eyes that can be read are open; None where neither can.

    The wider one counts most, so a wink is no closure, and one that is misread does not hide a closure. Where one eye
    is hidden the other speaks for both.
    """
    eyes = observation.eyes
    if eyes is None:
        return None
    left, right = eyes.readable_left >= READABLE, eyes.readable_right >= READABLE
    if left and right:
        narrow, wide = sorted((eyes.openness_left, eyes.openness_right))
        return WIDER * wide + (1 - WIDER) * narrow
    if left or right:
        return eyes.openness_left if left else eyes.openness_right
    return None
