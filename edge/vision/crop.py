"""The crop that the expression model sees, cut from the picture by the face's five points.

The same function cuts in training, in evaluation and on the board; its numbers stand in the model's manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


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


def crop_transform(points: NDArray[np.float32], rule: CropRule) -> NDArray[np.float64]:
    """The (2, 3) affine matrix from picture to crop for five ``points`` (5, 2); pixel centres lie at integers."""
    eyes = (points[0] + points[1]) / 2
    mouth = (points[3] + points[4]) / 2
    across = points[1] - points[0]
    length = max(float(np.hypot(*across)), float(np.hypot(*(mouth - eyes))), 1e-3)
    scale = rule.unit * rule.size_px / length
    angle = np.arctan2(across[1], across[0])
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cos, sin], [-sin, cos]])
    target = np.array([rule.centre_x, rule.centre_y]) * rule.size_px - 0.5
    return np.hstack([turn, (target - turn @ ((eyes + mouth) / 2))[:, None]])


def cut_crop(luma: NDArray[np.uint8], points: NDArray[np.float32], rule: CropRule) -> NDArray[np.uint8]:
    """The (size, size) uint8 crop of the (H, W) picture; what lies outside the picture repeats its edge.

    A large face is warped to a multiple of the size and then averaged down, so that fine detail does not alias.
    """
    matrix = crop_transform(points, rule)
    shrink = 1.0 / np.hypot(matrix[0, 0], matrix[0, 1])
    times = int(np.clip(np.ceil(shrink - 0.25), 1, 4))
    side = rule.size_px * times
    matrix = matrix * times
    matrix[:, 2] += (times - 1) / 2
    crop = cv2.warpAffine(luma, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if times > 1:
        crop = cv2.resize(crop, (rule.size_px, rule.size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)
