"""The way of one frame: picture, face, quality, expression, eyes, decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.config import Config
from edge.decision.decider import Decider
from edge.decision.holding import BETTER, FACE_HOLD_S, is_still, stands
from edge.decision.kinds import going_by
from edge.decision.ordinary import OrdinaryFace
from edge.decision.states import reason_of
from edge.domain import (
    EXPRESSION,
    EYES,
    FACE,
    UNKNOWN_CONTEXT,
    Context,
    Face,
    FaceReading,
    Frame,
    Observation,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    Step,
)
from edge.timing import StageTimes
from edge.vision import follow
from edge.vision.crop import FaceView, change, place_of, spread
from edge.vision.quality import Detail, detail_of, fault, picture_fault, weigh
from edge.vision.seat import moved, seat_pixels


class Named(Protocol):
    """What a model's manifest says of it."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def version(self) -> str:
        """Version of the model."""


class Finder(follow.Finder, Protocol):
    """Finds faces in a picture, possibly a view, as FaceFinder does."""

    @property
    def manifest(self) -> Named:
        """What is said of the model."""


class NamedReader(Named, Protocol):
    """What an expression model's manifest says of it."""

    @property
    def ordinary_face(self) -> OrdinaryFace:
        """What the model makes of ordinary faces at rest."""


class Reader(Protocol):
    """Reads the expression of a face, as ExpressionReader does."""

    @property
    def manifest(self) -> NamedReader:
        """What is said of the model."""

    def read_all(self, view: FaceView) -> FaceReading:
        """What a face in a picture shows."""


class OpennessReader(Protocol):
    """Reads the eyes of a face, as EyeReader does."""

    @property
    def manifest(self) -> Named:
        """What is said of the model."""

    def read(self, luma: NDArray[np.uint8], face: Face) -> Reading | None:
        """How far the eyes of the face in the picture (H, W) are open; None where the face is too small."""


@dataclass(frozen=True, slots=True)
class LastReading:
    """What the expression model read, by name, of which face at ``t``; how that looked, and what its frame weighed."""

    readings: Mapping[str, Reading]
    face: Face
    t: float
    small: NDArray[np.uint8]
    detail: Detail
    weight: float


@dataclass(frozen=True, slots=True)
class OpenEyes:
    """Eyes that were read wide open at ``t``, of which face: they stand for the moment after it too."""

    reading: Reading
    face: Face
    t: float


@dataclass(frozen=True, slots=True)
class LastLook:
    """What was seen when the face was last looked for, in a picture of which shape, and how the face's place looked.

    ``spread`` is that of the place's grey levels.
    """

    seen: Observation
    face: Face
    shape: tuple[int, ...]
    place: NDArray[np.uint8]
    spread: float


_Read = tuple[Mapping[str, Reading], tuple[str, ...]]
"""Readings by name, and the names of those that are an earlier frame's."""

WIDE_OPEN = 0.8
"""Both eyes are wide open, and said to be readable, from this openness and this probability."""
EYES_HOLD_S = 0.07
"""Wide open eyes are not read again for so long: at 15 frames a second every second frame, at 10 every one."""


class Pipeline:
    """Frames in, steps out. Stateful in ``decider`` and in the following of the driver; not thread-safe.

    ``times`` collects how long the stages take: picture, still, face, crop, quality, eyes, expression, decision. A
    stage that a frame does not need (no face: no quality, no expression; a reading that stands: no expression; a face
    that is still: no face, crop and quality either) gets no sample. Without ``eyes`` no frame has a reading of them;
    without a ``tracker`` the finder looks at every frame.
    """

    def __init__(
        self,
        config: Config,
        finder: Finder,
        reader: Reader,
        times: StageTimes | None = None,
        eyes: OpennessReader | None = None,
        tracker: follow.Tracker | None = None,
    ) -> None:
        self.finder = finder
        self._follower = follow.DriverFollower(finder, tracker)
        self.reader = reader
        self.eyes = eyes
        self._last: LastReading | None = None
        self._open_eyes: OpenEyes | None = None
        self._look: LastLook | None = None
        self.decider = Decider(config, reader.manifest.ordinary_face)
        self.times = times or StageTimes()
        self._config = config

    @classmethod
    def from_config(cls, config: Config, times: StageTimes | None = None) -> Self:
        """Load the models and build the pipeline; this process's OpenCV gets as many threads as the models.

        Raises:
            ModelError: a model is missing, damaged or not what this version expects.
            UnavailableError: no TFLite runtime.
        """
        # only here: a trace is replayed, and a pipeline of fakes tested, where there is no TFLite runtime
        from edge.vision.expression import ExpressionReader  # noqa: PLC0415
        from edge.vision.eyes import EyeReader  # noqa: PLC0415
        from edge.vision.face import FaceFinder  # noqa: PLC0415
        from edge.vision.track import FaceTracker  # noqa: PLC0415

        # OpenCV wakes a thread for each processor by default, which costs more than it helps with pictures this small
        cv2.setNumThreads(config.vision.threads)
        vision = config.vision
        eyes = EyeReader.load(vision) if going_by(EYES, config.alerts.enabled) else None
        finder, tracker = FaceFinder.load(vision), FaceTracker.wanted(vision)
        return cls(config, finder, ExpressionReader.load(vision), times, eyes, tracker)

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
        """Look at a frame and decide. In a pause the picture is not looked at."""
        if self.decider.paused:
            paused = Observation(frame.t, Sight.NO_PICTURE, reason=Reason(ReasonCode.PAUSED))
            return self._decide(paused, context)
        return self._decide(self._observe(frame, context), context)

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:
        """Decide on a moment without a picture: ``sight`` and ``reason``, the camera's words, say why there is none."""
        said = Reason(ReasonCode.CAMERA, text=reason)
        return self._decide(Observation(t, sight, reason=said), context)

    def reconfigure(self, config: Config) -> None:
        """Go on under another configuration and keep what is known; models stay as they were loaded."""
        self._config = config
        self.decider.reconfigure(config)

    @property
    def config(self) -> Config:
        """What holds now, after all changes."""
        return self._config

    def _observe(self, frame: Frame, context: Context) -> Observation:
        config = self._config.quality
        with self.times.measure("picture"):
            sight = picture_fault(frame.luma, config)
        if sight is not None:
            return Observation(frame.t, sight, reason=reason_of(sight))
        still = self._unmoved(frame, context)
        if still is not None:
            return still
        with self.times.measure("face"):
            face = self._find_driver(frame)
        if face is None:
            return Observation(frame.t, Sight.NO_FACE)
        with self.times.measure("crop"):
            view = FaceView(frame.luma, face)
            small = view.small
        last = self._standing(frame, face, small, context)
        with self.times.measure("quality"):
            detail = detail_of(frame.luma, face) if last is None else last.detail
            quality = weigh(detail, face, config)
            if last is not None and quality.weight > last.weight + BETTER:  # what is read anew is measured anew
                last, detail = None, detail_of(frame.luma, face)
                quality = weigh(detail, face, config)
        if quality.weight < config.min_weight:
            poor = Reason(fault(quality, face.score, config))
            return Observation(frame.t, Sight.FACE, face, quality, reason=poor)
        # the eyes first: behind the expression's larger model what cuts and levels them is out of the cache
        eyes, held = self._read_eyes(frame, face)
        if last is not None:
            read, held = last.readings, (*last.readings, *held)
        else:
            with self.times.measure("expression"):
                read = self.reader.read_all(view).readings()
            self._last = LastReading(read, face, frame.t, small, detail, quality.weight)
        seen = Observation(frame.t, Sight.FACE, face, quality, {**read, **eyes}, held=held)
        self._look = None
        if quality.weight * seen.familiar < config.min_weight:
            return replace(seen, reason=Reason(ReasonCode.FACE_UNFAMILIAR))
        if self._follower.settled:
            place = place_of(frame.luma, face)
            self._look = LastLook(seen, face, frame.luma.shape, place, spread(place))
        return seen

    def _unmoved(self, frame: Frame, context: Context) -> Observation | None:
        """What was seen a moment ago where it stands for this frame, eyes excepted: the face is followed and still."""
        look, last = self._look, self._last
        if look is None or last is None or not 0 < frame.t - look.seen.t <= FACE_HOLD_S:
            return None
        if frame.luma.shape != look.shape or not self._stands(last, frame.t, 0.0, context):
            return None
        with self.times.measure("still"):
            still = is_still(change(place_of(frame.luma, look.face), look.place), look.spread)
        if not still:
            return None
        eyes, held = self._read_eyes(frame, look.face)
        return replace(look.seen, t=frame.t, readings={**last.readings, **eyes}, held=(FACE, *last.readings, *held))

    def _standing(self, frame: Frame, face: Face, small: NDArray[np.uint8], context: Context) -> LastReading | None:
        """What was read last where it may stand for this frame: calm, still, and not long ago."""
        last = self._last
        if last is None or not _near(face, last.face):
            return None
        return last if self._stands(last, frame.t, change(small, last.small), context) else None

    def _stands(self, last: LastReading, t: float, change: float, context: Context) -> bool:
        """Whether what was read last stands at ``t`` where the small picture of the face differs by ``change``."""
        hold_s, stirred = self._config.vision.expression_hold_s, self.decider.stirred
        return stands(t - last.t, change, hold_s, stirred=stirred, speed_kmh=context.speed_kmh)

    def _read_eyes(self, frame: Frame, face: Face) -> _Read:
        """How far the eyes are open; eyes that were wide open a moment ago are not read again for EYES_HOLD_S."""
        if self.eyes is None:
            return {}, ()
        last = self._open_eyes
        if last is not None and 0 <= frame.t - last.t <= EYES_HOLD_S and _near(face, last.face):
            return {EYES: last.reading}, (EYES,)
        with self.times.measure("eyes"):
            reading = self.eyes.read(frame.luma, face)
        wide = reading is not None and min(reading.values.tolist()) >= WIDE_OPEN
        self._open_eyes = OpenEyes(reading, face, frame.t) if reading is not None and wide else None
        return {} if reading is None else {EYES: reading}, ()

    def _find_driver(self, frame: Frame) -> Face | None:
        """The driver's face in pixels of the whole picture; only the seat's part of it is looked at, as a view."""
        left, top, right, bottom = seat_pixels(frame.luma.shape, self._config.camera.seat)
        face = self._follower.update(frame.luma[top:bottom, left:right], frame.t)
        return None if face is None else moved(face, left, top)

    def _decide(self, observation: Observation, context: Context) -> Step:
        if EXPRESSION not in observation.readings:
            self._last = self._look = None
        if EYES not in observation.readings:
            self._open_eyes = None
        with self.times.measure("decision"):
            return self.decider.update(observation, context)


def _near(face: Face, other: Face) -> bool:
    """Whether a face is where the ``other`` one was a moment ago, so that a reading may stand for both."""
    return follow.distance(face, other) <= follow.NEAR_SIZES / 2
