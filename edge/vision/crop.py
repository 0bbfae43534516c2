"""The crops that expression and eye model see, cut from the picture by the face's five points.

The same functions cut in training, in evaluation and on the board; their numbers stand in the model's manifest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Face
from edge.vision.shrink import STEP_PX, halve

SINGLE_STEP_PX = 1.25
"""Where a crop's pixels lie no farther apart than this, each is one sample of the picture, else the mean of 2 x 2."""


@dataclass(frozen=True, slots=True)
class CropRule:
    """Where a face, or an eye of it, lies in the crop, as shares of the crop's side.

    The midpoint between eyes and mouth, or the eye, comes to (``centre_x``, ``centre_y``), the eyes' line to the
    horizontal.
    ``unit`` is the share of the side that the longer of two distances gets: eye to eye, and eyes' midpoint to mouth's
    midpoint. The longer one, because a turned head shortens the first and a nod the second.
    """

    size_px: int
    centre_x: float
    centre_y: float
    unit: float


FACE = CropRule(size_px=48, centre_x=0.5, centre_y=0.575, unit=0.376)
"""How a face is cut out for all who look at it; the shipped expression model's crop is the same."""
PLACE_PX = 24
"""A face's place is shrunk to this many pixels, or up to twice as many."""
SMALL_STEPS = 2
"""How often that crop is halved for ``FaceView.small``: to 12 x 12 pixels."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """The affine map ``(cos, sin, x; -sin, cos, y)``: plain numbers, which cost a fraction of small arrays."""

    cos: float
    sin: float
    x: float
    y: float

    def matrix(self) -> NDArray[np.float64]:
        """As OpenCV wants it, (2, 3)."""
        return np.array([[self.cos, self.sin, self.x], [-self.sin, self.cos, self.y]])


def crop_transform(points: NDArray[np.float32], rule: CropRule) -> NDArray[np.float64]:
    """The (2, 3) affine matrix from picture to crop for five ``points`` (5, 2); pixel centres lie at integers."""
    return _to_crop(points, rule).matrix()


def unit_px(points: NDArray[np.float32]) -> float:
    """The longer of two distances in five ``points`` (5, 2): eye to eye, and eyes' to mouth's midpoint."""
    eyes, mouth, across = _middles(points)
    return max(abs(across), abs(mouth - eyes))


def _middles(points: NDArray[np.float32]) -> tuple[complex, complex, complex]:
    """Midpoint of the eyes and of the mouth, and the way from eye to eye; x is real, y imaginary."""
    left, right, _, corner, other = (complex(x, y) for x, y in points.tolist())
    return (left + right) / 2, (corner + other) / 2, right - left


def _to_crop(points: NDArray[np.float32], rule: CropRule) -> _Turn:
    eyes, mouth, across = _middles(points)
    return _turn(across, max(abs(across), abs(mouth - eyes)), (eyes + mouth) / 2, rule)


def _turn(across: complex, unit: float, at: complex, rule: CropRule) -> _Turn:
    """Brings ``across`` to the horizontal, ``unit`` pixels to the rule's share, and ``at`` to its centre."""
    scale = rule.unit * rule.size_px / max(unit, 1e-3)
    angle = math.atan2(across.imag, across.real)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    to_x, to_y = rule.centre_x * rule.size_px - 0.5, rule.centre_y * rule.size_px - 0.5
    return _Turn(cos, sin, to_x - cos * at.real - sin * at.imag, to_y + sin * at.real - cos * at.imag)


class FaceView:
    """A ``face`` in a picture ``luma`` (H, W), cut out once for all who look at it."""

    def __init__(self, luma: NDArray[np.uint8], face: Face) -> None:
        self.luma, self.face = luma, face
        self.crop = cut_crop(luma, face.points, FACE)
        """The face as FACE has it, (48, 48) uint8."""

    def cut(self, rule: CropRule) -> NDArray[np.uint8]:
        """The crop (size, size) uint8 by any rule."""
        return self.crop if rule == FACE else cut_crop(self.luma, self.face.points, rule)

    @property
    def small(self) -> NDArray[np.uint8]:
        """The crop shrunk to (12, 12) uint8: what is left of it changes with face and light and hardly with noise."""
        return halve(self.crop, 2**SMALL_STEPS)[0]


def boxed(luma: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """The part of the picture (H, W) that lies in the face's box, as a view; empty where none does."""
    height, width = luma.shape
    x, y, w, h = face.box
    top, left = max(0, math.floor(y)), max(0, math.floor(x))
    return luma[top : max(top, min(height, math.ceil(y + h))), left : max(left, min(width, math.ceil(x + w)))]


def place_of(luma: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """How the face's place in the picture (H, W) looks, some PLACE_PX pixels wide; cut without regard to the points.

    It is no part of the picture's own memory, in which the next one may lie by the time that both are compared.
    """
    part = boxed(luma, face)
    small, factor = halve(part, min(part.shape) / PLACE_PX)
    return small if factor > 1 else small.copy()


def spread(small: NDArray[np.uint8]) -> float:
    """Standard deviation of a small picture's grey levels; none of an empty one."""
    return float(cv2.meanStdDev(small)[1][0, 0]) if small.size else 0.0


def change(small: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference of two small pictures of one shape, grey levels; none of empty ones."""
    return cv2.norm(small, other, cv2.NORM_L1) / small.size if small.size else 0.0


def cut_crop(luma: NDArray[np.uint8], points: NDArray[np.float32], rule: CropRule) -> NDArray[np.uint8]:
    """The (size, size) uint8 crop of the (H, W) picture; what lies outside the picture repeats its edge.

    So that fine detail does not alias, a large face's part of the picture is halved first, then warped to a crop of
    twice the size, which is halved in turn.
    """
    return _cut(luma, _to_crop(points, rule), rule.size_px, rule.size_px)


def cut_eyes(
    luma: NDArray[np.uint8], points: NDArray[np.float32], rule: CropRule
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The crops (size, size) of the eyes at the picture's left and right, uint8, cut like ``cut_crop``'s.

    Both are views of one strip along the eyes' line, which is warped once; the second begins at a whole pixel of it.
    """
    eyes, mouth, across = _middles(points)
    unit = max(abs(across), abs(mouth - eyes))
    size = rule.size_px
    turn = _turn(across, unit, eyes - across / 2, rule)
    apart = round(abs(across) * rule.unit * size / max(unit, 1e-3))
    strip = _cut(luma, turn, size + apart, size, step_px=1.0)
    return strip[:, :size], strip[:, apart:]


def _cut(luma: NDArray[np.uint8], turn: _Turn, width: int, height: int, step_px: float = STEP_PX) -> NDArray[np.uint8]:
    """What ``turn`` shows of the picture, (height, width) pixels.

    The part shown is halved as long as the crop's pixels stay ``step_px`` of its pixels apart: the smaller that is, the
    fewer pixels are warped, and the softer the crop.
    """
    shrink = 1 / math.hypot(turn.cos, turn.sin)
    left, top, right, bottom = _shown(turn, width, height, luma.shape)
    part, factor = halve(luma[top:bottom, left:right], shrink / step_px)
    times = 1 if shrink / factor <= SINGLE_STEP_PX else 2
    matrix = _through(turn, left, top, factor, times).matrix()
    side = (width * times, height * times)
    crop = cv2.warpAffine(part, matrix, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return halve(np.asarray(crop, np.uint8), times)[0]


def _shown(turn: _Turn, wide: int, high: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what a crop shows of a picture (H, W); a margin of two crop pixels is added."""
    cos, sin = turn.cos, turn.sin
    square = cos * cos + sin * sin
    right, down = (wide - 1) / 2 - turn.x, (high - 1) / 2 - turn.y
    x, y = (cos * right - sin * down) / square, (sin * right + cos * down) / square
    across, along = wide / 2 + 2, high / 2 + 2
    reach_x = (across * abs(cos) + along * abs(sin)) / square
    reach_y = (across * abs(sin) + along * abs(cos)) / square
    height, width = shape
    left, right_ = _within(x, reach_x, width)
    top, bottom = _within(y, reach_y, height)
    return left, top, right_, bottom


def _within(at: float, reach: float, side: int) -> tuple[int, int]:
    """From ``at`` - ``reach`` to ``at`` + ``reach``, kept to a side of so many pixels, one pixel at least."""
    first = min(max(math.floor(at - reach), 0), side - 1)
    return first, min(max(math.ceil(at + reach), first) + 1, side)


def _through(turn: _Turn, left: int, top: int, factor: int, times: int) -> _Turn:
    """From pixels of a part of the picture, shrunk by ``factor``, to those of a crop ``times`` as large."""
    cos, sin = turn.cos, turn.sin
    right, down = left + (factor - 1) / 2, top + (factor - 1) / 2
    x, y = turn.x + cos * right + sin * down, turn.y - sin * right + cos * down
    half = (times - 1) / 2
    return _Turn(cos * factor * times, sin * factor * times, x * times + half, y * times + half)
