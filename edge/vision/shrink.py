"""Makes a picture smaller, quickly."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

STEP_PX = 1.5
"""Averages of two by two bilinear samples, which lie no farther apart than this, come close to averages of all pixels:
sharpness of a face's patch within 2 % (frames of five clips at three sizes), grey levels of its crop within 1.1."""


def halve(luma: NDArray[np.uint8], shrink: float) -> tuple[NDArray[np.uint8], int]:
    """The picture (H, W) averaged over squares of 2, 4, 8 … pixels, as many as fit into ``shrink``; and how many.

    Rows and columns at the right and lower edge that fill no square are left out. Averages of two by two pixels are
    what OpenCV has vector code for: two such steps take a sixth of the time of one average over four by four.
    """
    factor = 1
    while 2 * factor <= shrink and min(luma.shape) >= 2:
        height, width = luma.shape[0] // 2, luma.shape[1] // 2
        whole = luma[: 2 * height, : 2 * width]
        luma = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        factor *= 2
    return luma, factor
