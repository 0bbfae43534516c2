"""The seat region: where in the picture the driver's face may be."""

from __future__ import annotations

import numpy as np

from edge.domain import Face

Shares = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the picture."""


def seat_pixels(shape: tuple[int, int], seat: Shares) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of a picture of ``shape`` (H, W); at least one pixel wide and high."""
    height, width = shape
    left, top, right, bottom = seat
    x, y = min(int(left * width), width - 1), min(int(top * height), height - 1)
    return x, y, max(x + 1, round(right * width)), max(y + 1, round(bottom * height))


def moved(face: Face, x: float, y: float) -> Face:
    """``face`` in the pixels of a picture whose part at ``x``, ``y`` it was found in."""
    box = (face.box[0] + x, face.box[1] + y, face.box[2], face.box[3])
    return Face(box, face.points + np.array([x, y], np.float32), face.score)
