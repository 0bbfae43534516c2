"""The labels on the arrows of the pipeline: one frozen dataclass for each thing that is passed on.

``Frame`` and ``Face`` carry pixels or pixel coordinates; from ``Observation`` onwards there are only numbers.
Every time ``t`` is in seconds on a monotonic clock (or, in a replay, seconds from the start of the clip).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

EXPRESSIONS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "yawn",
)
"""Class names of the expression model, in the order of its output."""


MAX_GAP_S = 30.0
"""A longer gap between two frames of a recording counts as this one, seconds.

A clock that was set, a board that slept, a file put together: nothing was recorded then. It is long enough for the
decision to take who comes after it for a new driver.
"""


class Sight(StrEnum):
    """What a frame (or the lack of one) allows to be seen."""

    FACE = "face"
    NO_FACE = "no_face"
    DARK = "dark"
    OVEREXPOSED = "overexposed"
    COVERED = "covered"
    FROZEN = "frozen"
    NO_PICTURE = "no_picture"

    @property
    def blind(self) -> bool:
        """True where there is no usable picture, so that nothing at all can be said of the seat."""
        return self not in (Sight.FACE, Sight.NO_FACE)


class State(StrEnum):
    """What is said of the driver. Unknown (uncertain, absent, blind, paused) is never calm."""

    CALM = "calm"
    WARNING = "warning"
    URGENT = "urgent"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    BLIND = "blind"
    PAUSED = "paused"


class Kind(StrEnum):
    """What an alert is about."""

    ANGER = "anger"
    DISTRESS = "distress"


class Level(StrEnum):
    """How pressing an alert is."""

    WARNING = "warning"
    URGENT = "urgent"


class Phase(StrEnum):
    """Where in its episode an alert stands."""

    START = "start"
    ESCALATE = "escalate"
    END = "end"


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: ``luma`` is (H, W) uint8, possibly a view with a row stride; ``t`` is when it was exposed."""

    luma: NDArray[np.uint8]
    t: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture, in that picture's pixels.

    ``box`` is x, y, w, h with the origin at the top left. ``points`` is (5, 2) float32: eye, eye, nose, mouth corner,
    mouth corner, left to right *in the image*. ``score`` is the detector's confidence, 0 to 1.
    """

    box: tuple[float, float, float, float]
    points: NDArray[np.float32]
    score: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the driver's face can be read in one frame.

    ``brightness`` is the mean luma of the face (0 to 1), ``sharpness`` a contrast-free measure of fine detail
    (0 blurred to 1 sharp), ``size_px`` the square root of the box's area, ``yaw``, ``pitch`` and ``roll`` the coarse
    pose in degrees, ``weight`` how much the frame counts in the decision (0 not at all, 1 fully).
    """

    brightness: float
    sharpness: float
    size_px: float
    yaw: float
    pitch: float
    roll: float
    weight: float


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything the decision may know of one moment. ``probabilities`` is (9,) float32 in the order EXPRESSIONS."""

    t: float
    sight: Sight
    face: Face | None = None
    quality: Quality | None = None
    probabilities: NDArray[np.float32] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Signals:
    """Smoothed evidence at ``t``. ``confidence`` (0 to 1) tells how much recent good data stands behind it.

    ``anger`` and ``distress`` are 0 to 1; ``expression`` is the smoothed distribution over EXPRESSIONS, (9,) float32.
    """

    t: float
    anger: float
    distress: float
    confidence: float
    expression: NDArray[np.float32]

    def of(self, kind: Kind) -> float:
        """The evidence for one kind of alert."""
        return self.anger if kind is Kind.ANGER else self.distress


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of one alert episode. ``episode`` counts from 1 in the life of a policy; durations are seconds."""

    t: float
    kind: Kind
    phase: Phase
    level: Level
    episode: int
    started: float
    score: float
    peak: float
    expression: str
    reason: str = ""

    @property
    def duration_s(self) -> float:
        """Seconds since the episode began."""
        return self.t - self.started


@dataclass(frozen=True, slots=True)
class Step:
    """What the pipeline says of one frame: the observation, the signals, the state, and any transitions."""

    observation: Observation
    signals: Signals
    state: State
    reason: str
    transitions: tuple[Transition, ...]
