"""The crop that the expression model sees, cut from the picture by the face's five points.

The same function cuts in training, in evaluation and on the board; its numbers stand in the model's manifest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.shrink import STEP_PX, halve

SINGLE_STEP_PX = 1.25
"""Where a crop's pixels lie no farther apart than this, each is one sample of the picture, else the mean of 2 x 2."""


@dataclass(frozen=True, slots=True)
class CropRule:
    """Where a face lies in the crop, as shares of the crop's side.

    The midpoint between eyes and mouth comes to (``centre_x``, ``centre_y``), the eyes' line to the horizontal.
    ``unit`` is the share of the side that the longer of two distances gets: eye to eye, and eyes' midpoint to mouth's
    midpoint. The longer one, because a turned head shortens the first and a nod the second.
    """

    size_px: int
    centre_x: float
    centre_y: float
    unit: float


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


def _to_crop(points: NDArray[np.float32], rule: CropRule) -> _Turn:
    (left_x, left_y), (right_x, right_y), _, (corner_x, corner_y), (other_x, other_y) = points.tolist()
    eyes_x, eyes_y = (left_x + right_x) / 2, (left_y + right_y) / 2
    mouth_x, mouth_y = (corner_x + other_x) / 2, (corner_y + other_y) / 2
    across_x, across_y = right_x - left_x, right_y - left_y
    length = max(math.hypot(across_x, across_y), math.hypot(mouth_x - eyes_x, mouth_y - eyes_y), 1e-3)
    scale = rule.unit * rule.size_px / length
    angle = math.atan2(across_y, across_x)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    x, y = (eyes_x + mouth_x) / 2, (eyes_y + mouth_y) / 2
    to_x, to_y = rule.centre_x * rule.size_px - 0.5, rule.centre_y * rule.size_px - 0.5
    return _Turn(cos, sin, to_x - cos * x - sin * y, to_y + sin * x - cos * y)


def cut_crop(luma: NDArray[np.uint8], points: NDArray[np.float32], rule: CropRule) -> NDArray[np.uint8]:
    """The (size, size) uint8 crop of the (H, W) picture; what lies outside the picture repeats its edge.

    So that fine detail does not alias, a large face's part of the picture is halved first, then warped to a crop of
    twice the size, which is halved in turn.
    """
    turn = _to_crop(points, rule)
    shrink = 1 / math.hypot(turn.cos, turn.sin)
    left, top, right, bottom = _shown(turn, rule.size_px, luma.shape)
    part, factor = halve(luma[top:bottom, left:right], shrink / STEP_PX)
    times = 1 if shrink / factor <= SINGLE_STEP_PX else 2
    side = rule.size_px * times
    matrix = _through(turn, left, top, factor, times).matrix()
    crop = cv2.warpAffine(part, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return halve(np.asarray(crop, np.uint8), times)[0]


def _shown(turn: _Turn, size: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what a crop shows of a picture (H, W); a margin of two crop pixels is added."""
    cos, sin = turn.cos, turn.sin
    square = cos * cos + sin * sin
    right, down = (size - 1) / 2 - turn.x, (size - 1) / 2 - turn.y
    x, y = (cos * right - sin * down) / square, (sin * right + cos * down) / square
    reach = (size / 2 + 2) * (abs(cos) + abs(sin)) / square
    height, width = shape
    left, top = (min(max(math.floor(at - reach), 0), side - 1) for at, side in ((x, width), (y, height)))
    return left, top, min(max(math.ceil(x + reach), left) + 1, width), min(max(math.ceil(y + reach), top) + 1, height)


def _through(turn: _Turn, left: int, top: int, factor: int, times: int) -> _Turn:
    """From pixels of a part of the picture, shrunk by ``factor``, to those of a crop ``times`` as large."""
    cos, sin = turn.cos, turn.sin
    right, down = left + (factor - 1) / 2, top + (factor - 1) / 2
    x, y = turn.x + cos * right + sin * down, turn.y - sin * right + cos * down
    half = (times - 1) / 2
    return _Turn(cos * factor * times, sin * factor * times, x * times + half, y * times + half)
