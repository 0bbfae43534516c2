"""From whatever a decoder hands out to upright 8-bit luma."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera import BadFrameError

MAX_SIDE_PX = 2048
"""Longer side of the largest picture passed on: the face model sees far fewer pixels than that."""

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def to_luma(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Luma (H, W) uint8 of a decoded picture, in place where it already lies there.

    ``picture`` is (H, W) grey, (H, W, 1) grey, (H, W, 2) YUYV or grey with alpha, (H, W, 3) BGR or (H, W, 4) BGRA, of
    8 or 16 bits a channel. The high byte of 16 bits is kept, as cv2's own decoders do.

    Raises:
        BadFrameError: the picture is empty or of another shape or type.
    """
    if picture.size == 0 or picture.ndim not in (2, 3) or picture.dtype not in (np.uint8, np.uint16):
        raise BadFrameError(
            f"picture of shape {picture.shape} and type {picture.dtype}: expected (H, W[, 1 to 4]) of 8 or 16 bits"
        )
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    if channels == 1:
        grey = picture.reshape(picture.shape[:2])
    elif channels == 2:
        grey = picture[:, :, 0]
    elif channels in (3, 4):
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY if channels == 3 else cv2.COLOR_BGRA2GRAY)
    else:
        raise BadFrameError(f"picture with {channels} channels: expected 1 to 4")
    return (grey >> 8).astype(np.uint8) if grey.dtype == np.uint16 else grey


def upright(luma: NDArray[np.uint8], rotate_deg: int) -> NDArray[np.uint8]:
    """``luma`` turned clockwise by 0, 90, 180 or 270 degrees, and scaled down to MAX_SIDE_PX where it is larger."""
    scale = MAX_SIDE_PX / max(luma.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in luma.shape)
        luma = np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.rotate(luma, _ROTATIONS[rotate_deg]), np.uint8) if rotate_deg else luma
