"""One look at a picture, as the camera is being placed: the face wherever it is, and which way up it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import CameraConfig, QualityConfig
from edge.domain import Face, Frame, Quality, Sight
from edge.vision import follow
from edge.vision.quality import assess, picture_fault
from edge.vision.seat import moved, seat_pixels

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
"""Clockwise turns that are tried, degrees, as cv2 names them."""

MEMORY_S = 2.0
"""Time constant over which the scores of each way up are averaged."""

FLOOR_S = 1.0
"""Looks over at least this long stand behind a word on which way is up."""

MARGIN = 0.02
"""How much surer the face must be in a turned picture.

A model may find upside-down faces too, with wrong points, so that the scores must tell. With face 0.2.0 the mean of the
right way up led by 0.89 at the least on the demo's clip, three drivers' recordings and a webcam's; a model that was not
taught that faces stand upright led by 0.04.
"""

LEAST = 0.5
"""Mean score that a turned picture's face needs, so that a chance find is none."""

Rect = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


class Finder(follow.Finder, Protocol):
    """What is asked of ``edge.vision.face.FaceFinder``."""

    def find(self, luma: NDArray[np.uint8]) -> Face | None:
        """The best face in the picture."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. ``seat`` (left, top, right, bottom) and the face are in pixels of the ``shape`` (H, W).

    ``turn_deg`` is the clockwise turn that would bring the picture upright, None until that is known. ``quality`` is
    None without a face.
    """

    t: float
    shape: tuple[int, int]
    seat: Rect
    sight: Sight
    face: Face | None = None
    quality: Quality | None = None
    turn_deg: int | None = None


class Uprightness:
    """Which of the four ways up the face is surest in, over the last looks. Pure: times come in."""

    def __init__(self) -> None:
        self._means: dict[int, float] = {}
        self._since_t = self._t = 0.0

    def update(self, t: float, scores: Mapping[int, float]) -> int | None:
        """Take in the face's score (0 without one) for each clockwise turn, 0 among them; return the turn to make.

        None until FLOOR_S seconds have been seen.
        """
        if not self._means:
            self._means, self._since_t = dict(scores), t
        gain = 1.0 - math.exp(-(t - self._t) / MEMORY_S) if t > self._t else 0.0
        self._t = t
        for turn, score in scores.items():
            self._means[turn] += gain * (score - self._means[turn])
        if t - self._since_t < FLOOR_S:
            return None
        best = max(self._means, key=lambda turn: self._means[turn])
        return best if self._means[best] > max(LEAST, self._means[0] + MARGIN) else 0


class Viewer:
    """Looks at pictures with the face model. Not thread-safe."""

    def __init__(self, finder: Finder, camera: CameraConfig, quality: QualityConfig) -> None:
        self._finder = finder
        self._seat = camera.seat
        self._quality = quality
        self._uprightness = Uprightness()
        self._turn = 0

    def look(self, frame: Frame) -> Look:
        """The driver's face in one frame: the largest in the seat region, looked at alone, else the one anywhere."""
        luma, shape = frame.luma, frame.luma.shape
        seat = seat_pixels(shape, self._seat)
        sight = picture_fault(luma, self._quality)
        if sight is not None:
            return Look(frame.t, shape, seat, sight)
        self._turn += 1
        turn_deg = self._uprightness.update(frame.t, self._scores(luma))
        left, top, right, bottom = seat
        face = follow.largest(self._finder, luma[top:bottom, left:right], self._turn)
        face = follow.largest(self._finder, luma, self._turn) if face is None else moved(face, left, top)
        if face is None:
            return Look(frame.t, shape, seat, Sight.NO_FACE, turn_deg=turn_deg)
        return Look(frame.t, shape, seat, Sight.FACE, face, assess(luma, face, self._quality), turn_deg)

    def _scores(self, luma: NDArray[np.uint8]) -> dict[int, float]:
        """How sure the best face is, for each way up."""
        views = {0: luma} | {turn: np.asarray(cv2.rotate(luma, how), np.uint8) for turn, how in TURNS.items()}
        found = {turn: self._finder.find(view) for turn, view in views.items()}
        return {turn: 0.0 if face is None else face.score for turn, face in found.items()}
