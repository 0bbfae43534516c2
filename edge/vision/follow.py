"""Follows the driver from frame to frame: who it is, where to look next, and how to keep the points still."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.domain import Face
from edge.vision.face import MAX_LOOKS, QUARTERS, face_middle, face_size, stands_upright

KEEP_S = 2.0
"""For this long after the driver was last seen, only a face near the last place can be the driver."""

NEAR_SIZES = 1.2
"""How far the driver may have moved in that time, in face sizes."""

STILL = 0.8
"""A driver who was surely seen in the last KEEP_S seconds is still seen at this share of a sure face's score."""

CHECK_S = 3.0
"""How often a followed face is held against its turned views: one that was upright by a fluke is let go."""

CHECK_AT_MOST_S = 12.0
"""Each time that it stands the check while the tracker follows it without a break, the next comes after twice as long,
up to this."""

LOOK_S = 1.0
"""For so long a face is followed by the tracker alone; then the face model looks whether it is there."""

AT_ONCE_S = 0.25
"""A face that was seen longer ago than this is looked for by the face model: it may be anywhere by now."""

FAST_SIZES = 0.25
"""A face that has moved so far from one frame to the next, in its sizes, is looked at by the face model."""

GROWN = 1.2
"""So is one that has grown or shrunk by this factor."""

AWAY_SIZES = 0.5
"""So is one that is so far from where the face model saw it last: nobody is led off by the tracker, step by step."""

AGREED_SIZES = 0.08
"""The tracker follows a face on which its points lie no farther than this from the face model's, on average."""

LEARNED = 0.3
"""Share of the difference between the two that is learned at each look."""

LEANING = 0.5
"""Share of what is learned that is added to the tracker's points. On clips they lie nearer to the face model's so than
with all of it or with none, and nearer to the labels of wandering faces than the face model's own."""

MIN_CUTOFF_HZ = 1.5
"""Cut-off of the point filter for a still face: jitter of a few percent of the face's size is gone within 0.3 s."""

SPEED_GAIN_HZ = 3.0
"""Rise of the cut-off for each face size a second that the face moves: a turning head is followed without lag."""

SPEED_CUTOFF_HZ = 1.0
"""Cut-off of the filter on the speed itself, as in the paper."""


class Finder(Protocol):
    """Finds faces, as ``edge.vision.face.FaceFinder`` does."""

    def find_all(self, luma: NDArray[np.uint8], limit: int = 8) -> list[Face]:
        """All faces in the picture, the surest first, unsure ones among them."""

    def find_small(self, luma: NDArray[np.uint8], turn: int) -> list[Face]:
        """Sure faces in one part of the picture, smaller ones too; each turn in another part."""

    def is_sure(self, face: Face) -> bool:
        """Whether a face needs no closer look to be one."""

    def sharpen(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        """The same face, looked at more closely where that is worth it; None where it is none."""

    def find_near(self, luma: NDArray[np.uint8], face: Face, within: float, share: float) -> Face | None:
        """The face nearest to where ``face`` was, within so many of its sizes, at a share of a sure score, or None."""

    def is_upright(self, luma: NDArray[np.uint8], face: Face) -> bool:
        """Whether a face that was found is neither upside down nor on its side."""

    def turned(self, luma: NDArray[np.uint8], face: Face, quarters: int) -> float:
        """How sure a face that was found is if it is turned by so many quarters of a circle."""


class Tracker(Protocol):
    """Follows a face, as ``edge.vision.track.FaceTracker`` does."""

    def track(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        """Where the ``face`` of a moment ago is now, or None where that is not sure."""


class OneEuro:
    """The 1 euro filter (Casiez, Roussel and Vogel 2012): an exponential filter whose cut-off rises with speed.

    It filters (5, 2) points; speeds are in face sizes a second, so that near and far faces are treated alike.
    """

    def __init__(self) -> None:
        self._points: NDArray[np.float32] | None = None
        self._speed = 0j
        self._t = -math.inf

    def update(self, points: NDArray[np.float32], size: float, t: float) -> NDArray[np.float32]:
        """Take in the points (5, 2) of a face of ``size`` pixels at ``t`` seconds and return them filtered."""
        elapsed_s, self._t = t - self._t, t
        if self._points is None or elapsed_s <= 0:  # the first frame, or time that stood still
            self._points = points
            return points
        moved = points - self._points
        # one cut-off for the whole face: its points move together, and their shape is what the crop is cut by; so the
        # speed of their middle is enough, in the plane of complex numbers
        speed = complex(*moved.sum(0).tolist()) / len(points) / (size * elapsed_s)
        self._speed += _gain(SPEED_CUTOFF_HZ, elapsed_s) * (speed - self._speed)
        gain = _gain(MIN_CUTOFF_HZ + SPEED_GAIN_HZ * abs(self._speed), elapsed_s)
        self._points = self._points + gain * moved
        return self._points


def _gain(cutoff_hz: float, elapsed_s: float) -> float:
    """Share of the new value in an exponential filter with this cut-off, after ``elapsed_s``."""
    return 1.0 - math.exp(-2.0 * math.pi * cutoff_hz * elapsed_s)


class DriverFollower:
    """Finds the driver, then looks where the driver was; where that fails, searches the whole picture at once.

    It is shown the seat's part of each picture. The driver is a face whose middle lies in it; among several, the
    nearest to where the driver was last seen, within KEEP_S and NEAR_SIZES; after that, the largest of the sure ones.
    So a passenger who leans in does not take over from a driver who is there.

    A ``tracker`` follows a sure face as long as that moves and changes little. The face model looks every LOOK_S and
    in each frame where the tracker is not sure. Whom to follow, and that nobody is there, it alone says.
    """

    def __init__(self, finder: Finder, tracker: Tracker | None = None) -> None:
        self._finder = finder
        self._tracker = tracker
        self._last: Face | None = None
        self._shape: tuple[int, ...] = ()
        self._seen_t = self._sure_t = self._checked_t = self._looked_t = -math.inf
        self._filter = OneEuro()
        self._turn = 0
        self._ways: list[float] = []
        self._put_off = False
        self._check_s = CHECK_S
        self._lean = np.zeros((5, 2), np.float32)
        self._anchor: Face | None = None

    def update(self, luma: NDArray[np.uint8], t: float) -> Face | None:
        """The driver's face in the seat's view (H, W) at ``t`` seconds, its points smoothed in time; or None."""
        if luma.shape != self._shape or not 0 <= t - self._seen_t <= KEEP_S:
            self._last, self._shape = None, luma.shape
        face = self._tracked(luma, t) or self._found(luma, t)
        if face is None or not self._stands(luma, face, t):
            self._anchor, self._check_s = None, CHECK_S
            return None
        if self._last is None or distance(face, self._last) > NEAR_SIZES / 2:
            self._filter = OneEuro()
        self._last, self._seen_t = face, t
        if self._finder.is_sure(face):
            self._sure_t = t
        return Face(face.box, self._filter.update(face.points, face_size(face), t), face.score)

    @property
    def settled(self) -> bool:
        """Whether the tracker follows the driver, and the face model agreed not long ago."""
        return self._anchor is not None

    def _tracked(self, luma: NDArray[np.uint8], t: float) -> Face | None:
        """The driver's face by the tracker, where it may be trusted."""
        last, anchor = self._last, self._anchor
        if self._tracker is None or last is None or anchor is None or self._seen_t != self._sure_t:
            return None
        if not 0 < t - self._seen_t <= AT_ONCE_S or not 0 <= t - self._looked_t < LOOK_S:
            return None
        face = self._tracker.track(luma, last)
        if face is None or not self._finder.is_sure(face) or not _has_middle(luma, face):
            return None
        if distance(face, last) > FAST_SIZES or distance(face, anchor) > AWAY_SIZES:
            return None
        return self._leaning(face) if 1 / GROWN < face_size(face) / face_size(last) < GROWN else None

    def _found(self, luma: NDArray[np.uint8], t: float) -> Face | None:
        """The driver's face by the face model: where it was, or else anywhere."""
        share = STILL if 0 <= t - self._sure_t <= KEEP_S else 1.0
        near = None if self._last is None else self._finder.find_near(luma, self._last, NEAR_SIZES, share)
        face = near if near is not None and _has_middle(luma, near) else self._search(luma)
        return face if face is None or self._tracker is None else self._agreed(luma, face, t, self._tracker)

    def _agreed(self, luma: NDArray[np.uint8], face: Face, t: float, tracker: Tracker) -> Face:
        """The face model's face; where the tracker agrees it may follow, and the points are its own from now on.

        Half of what lies between both is learned and added to the tracker's.
        """
        if self._last is None or distance(face, self._last) > FAST_SIZES:
            self._anchor, self._check_s = None, CHECK_S
        own = tracker.track(luma, face) if self._finder.is_sure(face) else None
        gap = None if own is None else (face.points - own.points) / face_size(own)
        if own is None or gap is None or float(np.hypot(*gap.T).mean()) > AGREED_SIZES:
            self._anchor = None
            return face
        wanted = LEANING * gap
        self._lean = wanted if self._anchor is None else self._lean + LEARNED * (wanted - self._lean)
        self._anchor, self._looked_t = face, t
        return Face(face.box, self._leaning(own).points, face.score)

    def _leaning(self, face: Face) -> Face:
        """A tracker's face with its points nearer to where the face model would see them."""
        return replace(face, points=face.points + self._lean * face_size(face))

    def _stands(self, luma: NDArray[np.uint8], face: Face, t: float) -> bool:
        """Whether a new face, and every CHECK_S or more a followed one, is upright; if not, the driver is forgotten.

        A followed face is looked at one way up in a frame, so that no frame takes four times as long as the others; and
        not in a frame in which the face model looked already, unless it did in the frame before too.
        """
        if self._last is None:
            self._ways, self._checked_t, self._check_s = [], t, CHECK_S
            return self._finder.is_upright(luma, face)
        if self._anchor is None or not 0 <= t - self._seen_t <= AT_ONCE_S:
            self._check_s = CHECK_S
        if 0 <= t - self._checked_t < self._check_s:
            return True
        self._put_off = self._looked_t == t and not self._put_off
        if self._put_off:
            return True
        self._ways.append(self._finder.turned(luma, face, len(self._ways)))
        if len(self._ways) < QUARTERS:
            return True
        ways, self._ways, self._checked_t = self._ways, [], t
        if stands_upright(ways):
            self._check_s = min(2 * self._check_s, CHECK_AT_MOST_S)
            return True
        self._last = None
        return False

    def _search(self, luma: NDArray[np.uint8]) -> Face | None:
        last = self._last
        if last is None:
            self._turn += 1
            return largest(self._finder, luma, self._turn)
        faces = [face for face in self._finder.find_all(luma) if distance(face, last) < NEAR_SIZES]
        return first_sure(self._finder, luma, sorted(faces, key=lambda face: distance(face, last)))


def largest(finder: Finder, luma: NDArray[np.uint8], turn: int) -> Face | None:
    """Whom to take for the driver where none is known yet: the largest of the sure faces, by their scores.

    Where none is sure from afar, the largest that is from near; where there is none, one in this turn's part.
    """

    def rank(face: Face) -> tuple[bool, float]:
        return finder.is_sure(face), face.score * face_size(face)

    best = first_sure(finder, luma, sorted(finder.find_all(luma), key=rank, reverse=True))
    if best is not None:
        return best
    return max((face for face in finder.find_small(luma, turn) if _has_middle(luma, face)), key=rank, default=None)


def first_sure(finder: Finder, luma: NDArray[np.uint8], faces: Iterable[Face]) -> Face | None:
    """The first of some faces that a closer look, where it needs one, finds in the picture too."""
    inside = islice((face for face in faces if _has_middle(luma, face)), MAX_LOOKS)
    looks = (finder.sharpen(luma, face) for face in inside)
    return next((face for face in looks if face is not None), None)


def _has_middle(luma: NDArray[np.uint8], face: Face) -> bool:
    """Whether the face's middle lies in the picture."""
    height, width = luma.shape
    x, y = face_middle(face)
    return bool(0 <= x < width and 0 <= y < height)


def distance(one: Face, other: Face) -> float:
    """Distance of two faces' middles in sizes of the second."""
    return math.dist(face_middle(one), face_middle(other)) / max(face_size(other), 1e-3)
