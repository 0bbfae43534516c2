"""The labels on the arrows of the pipeline: one frozen dataclass for each thing that is passed on.

``Frame`` and ``Face`` carry pixels or pixel coordinates; from ``Observation`` onwards there are only numbers.
Every time ``t`` is in seconds on a monotonic clock (or, in a replay, seconds from the start of the clip).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from edge.compat import StrEnum

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

    @property
    def watching(self) -> bool:
        """Whether the driver is being looked at: somebody may be there, a picture too, and nobody asked for a pause."""
        return self not in (State.ABSENT, State.BLIND, State.PAUSED)


Kind = str
"""What an alert is about, as its judge names it (``edge.decision.judge``): the set of kinds is open."""


class Level(StrEnum):
    """How pressing an alert is."""

    WARNING = "warning"
    URGENT = "urgent"


class Phase(StrEnum):
    """Where in its episode an alert stands."""

    START = "start"
    ESCALATE = "escalate"
    END = "end"


class ReasonCode(StrEnum):
    """Why something is as it is. What each means in words stands in ``edge/words``, a catalogue a language."""

    NONE = ""
    TOLD = "told"
    STARTING = "starting"
    ALERT = "alert"
    CALM = "calm"
    LASTING = "lasting"
    RECALIBRATING = "recalibrating"
    PAUSED = "paused"
    STOPPED = "stopped"
    CAMERA = "camera"
    NO_FRAMES = "no_frames"
    NO_FACE = "no_face"
    UNREADABLE = "unreadable"
    BLIND = "blind"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    PICTURE_DARK = "picture_dark"
    PICTURE_OVEREXPOSED = "picture_overexposed"
    PICTURE_COVERED = "picture_covered"
    PICTURE_FROZEN = "picture_frozen"
    PICTURE_MISSING = "picture_missing"
    FACE_DARK = "face_dark"
    FACE_OVEREXPOSED = "face_overexposed"
    FACE_BLURRED = "face_blurred"
    FACE_SMALL = "face_small"
    FACE_TURNED = "face_turned"
    FACE_UNCLEAR = "face_unclear"
    EYES_UNREADABLE = "eyes_unreadable"
    FACE_UNFAMILIAR = "face_unfamiliar"
    SLOW = "slow"
    STANDSTILL = "standstill"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason with its arguments; false where there is none.

    ``kinds`` are those of the open alerts (ALERT), ``text`` what a part said in its own words (CAMERA, TOLD).
    """

    code: ReasonCode = ReasonCode.NONE
    kinds: tuple[Kind, ...] = ()
    text: str = ""

    def __bool__(self) -> bool:
        return self.code is not ReasonCode.NONE

    @classmethod
    def told(cls, text: str) -> Reason:
        """What is known in words alone; none where they are empty."""
        return cls(ReasonCode.TOLD, text=text) if text else NO_REASON


NO_REASON = Reason()


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
class Reading:
    """What one model says of one frame: ``values`` (N,) float32, each with its name in ``names`` (N,)."""

    names: tuple[str, ...]
    values: NDArray[np.float32]

    @classmethod
    def expression(cls, probabilities: NDArray[np.float32]) -> Reading:
        """The expression model's answer: probabilities (9,) in the order EXPRESSIONS."""
        return cls(EXPRESSIONS, probabilities)


FACE = "face"
"""By this name is told that the face is an earlier frame's."""
EXPRESSION = "expression"
"""Name of the expression model's reading."""
CUES = "cues"
"""Name of the reading that holds the cues beside it."""
EYES = "eyes"
"""Name of the eye model's reading."""
FAMILIAR = "familiar"
"""Name of the reading that says how much another model's reading of this frame can be relied on, by that one's name."""


@dataclass(frozen=True, slots=True)
class Cues:
    """What else a face shows, as the expression model reads it; a model need not tell it.

    ``valence`` (-1 unpleasant to 1 pleasant) and ``arousal`` (-1 quiet to 1 stirred) say where the shown expression
    lies on Russell's circumplex. The others are probabilities, 0 to 1: the brow is lowered, the lids cover more than
    half of the iris, the lips meet, the jaws are apart, a hand or what it holds is before the mouth.
    """

    valence: float
    arousal: float
    brow_lowered: float
    lids_lowered: float
    mouth_closed: float
    mouth_open: float
    hand_at_mouth: float

    def reading(self) -> Reading:
        """The same by name."""
        return Reading(CUE_NAMES, np.array(_CUE_VALUES(self), np.float32))


CUE_NAMES = tuple(each.name for each in fields(Cues))
"""Names of the cues' reading, in its order: valence and arousal first."""
_CUE_VALUES = attrgetter(*CUE_NAMES)


@dataclass(frozen=True, slots=True)
class Eyes:
    """What the eye model reads of both eyes; left and right are those of the picture, all numbers 0 to 1.

    ``openness`` runs from closed to open, ``readable`` is the probability that it can be told.
    """

    openness_left: float
    openness_right: float
    readable_left: float
    readable_right: float

    def reading(self) -> Reading:
        """The same by name."""
        return Reading(EYE_NAMES, np.array(_EYE_VALUES(self), np.float32))


READABLE = 0.8
"""From this probability up that its openness can be told, an eye counts. Of the eyes that the eye model learned from
and that were told by eye, one in fifty of those that can be told lies below, and nearly all behind opaque glass do."""
EYE_NAMES = tuple(each.name for each in fields(Eyes))
"""Names of the eyes' reading, in its order."""
_EYE_VALUES = attrgetter(*EYE_NAMES)


@dataclass(frozen=True, slots=True)
class FaceReading:
    """All that the expression model says of a face: ``probabilities`` (9,) in the order EXPRESSIONS, and its cues.

    ``cues`` is None where the model tells none. ``familiar`` (0 to 1) tells how far the face is like those that the
    model learned from: 0 for one unlike any, of which it knows nothing, whatever it says.
    """

    probabilities: NDArray[np.float32]
    cues: Cues | None = None
    familiar: float = 1.0

    def readings(self) -> dict[str, Reading]:
        """What an observation holds of it, by the readings' names."""
        read = {EXPRESSION: Reading.expression(self.probabilities)}
        if self.cues is not None:
            read[CUES] = self.cues.reading()
        if self.familiar < 1:
            read[FAMILIAR] = Reading((EXPRESSION,), np.array([self.familiar], np.float32))
        return read


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was seen in one moment. ``readings`` holds what the models said, by the models' names.

    ``held`` names those that were read of an earlier frame and stand for this one too; it names FACE where face and
    quality are an earlier frame's themselves.
    """

    t: float
    sight: Sight
    face: Face | None = None
    quality: Quality | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    reason: Reason = NO_REASON
    held: tuple[str, ...] = ()

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """The expression model's answer (9,) in the order EXPRESSIONS; None where none was read."""
        reading = self.readings.get(EXPRESSION)
        return None if reading is None else reading.values

    @property
    def eyes(self) -> Eyes | None:
        """The eye model's answer; None where none was read."""
        reading = self.readings.get(EYES)
        return None if reading is None else Eyes(*reading.values.tolist())

    @property
    def familiar(self) -> float:
        """How far the face is like those that the expression model learned from, 0 to 1."""
        reading = self.readings.get(FAMILIAR)
        return 1.0 if reading is None else float(reading.values[0])


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the vehicle. None is unknown, which gates nothing off.

    ``standing_s`` tells for how long it has stood, None while it is not known to stand; ``age_s`` how old each known
    value is, by its name.
    """

    speed_kmh: float | None = None
    ignition: bool | None = None
    standstill: bool | None = None
    standing_s: float | None = None
    age_s: Mapping[str, float] = field(default_factory=dict)


UNKNOWN_CONTEXT = Context()
"""Nothing is known of the vehicle."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge says in one moment.

    ``signal`` is its smoothed evidence, 0 to 1; ``level`` that of its open alert, None without one. ``readable`` tells
    whether the judge can say anything at all: where it cannot, for ``reason``, no level is not calm. ``acknowledged``:
    somebody has acknowledged the open alert at this level.
    """

    signal: float
    level: Level | None = None
    readable: bool = True
    reason: Reason = NO_REASON
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Signals:
    """Where everything stands at ``t``.

    ``kinds`` holds what each judge says, in the judges' order. ``confidence`` (0 to 1) tells how much recent good data
    stands behind ``expression``, the smoothed distribution over EXPRESSIONS, (9,) float32. ``figures`` are what judges
    tell of the driver besides, by name; None is not known now.
    """

    t: float
    kinds: Mapping[Kind, Judged]
    confidence: float
    expression: NDArray[np.float32]
    figures: Mapping[str, float | None] = field(default_factory=dict)

    def of(self, kind: Kind) -> float:
        """The evidence for one kind of alert, 0 to 1."""
        return self.kinds[kind].signal


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of one alert episode. ``episode`` counts from 1 in the life of a decider; durations are seconds.

    ``expression`` is the strongest one at the episode's peak, None for a kind that goes by something else. ``cause``
    says of which of its signs the alert comes, None for a kind that has one alone. ``acknowledged``: somebody has
    acknowledged the episode before this step of it.
    """

    t: float
    kind: Kind
    phase: Phase
    level: Level
    episode: int
    started: float
    score: float
    peak: float
    expression: str | None
    reason: Reason = NO_REASON
    cause: str | None = None
    acknowledged: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds since the episode began."""
        return self.t - self.started


@dataclass(frozen=True, slots=True)
class Step:
    """What the pipeline says of one frame: observation and context, the signals, the state, and any transitions.

    ``calibrated_percent`` tells how far the driver's resting face is learned, 0 to 100; None where it is not at all.
    """

    observation: Observation
    signals: Signals
    state: State
    reason: Reason
    transitions: tuple[Transition, ...]
    context: Context = UNKNOWN_CONTEXT
    calibrated_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment on a board's clocks.

    ``time`` is the wall clock (aware), ``uptime_s`` a monotonic clock in seconds since the board started, and
    ``clock_synced`` tells whether the wall clock can be believed: a Raspberry Pi has none of its own after power-up.
    """

    time: datetime
    uptime_s: float
    clock_synced: bool
