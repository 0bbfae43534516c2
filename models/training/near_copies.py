"""Near copies among faces: the same picture cut, saved or mirrored another time. They belong into one fold."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

THUMB_PX = 12
ALIKE = 0.97  # least correlation of two thumbnails of one picture
BLOCK = 2048


def thumbnails(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops (N, S, S) as vectors (N, 144) of mean 0 and length 1; a crop of one shade is all zeros."""
    small = [cv2.resize(crop, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA) for crop in crops]
    flat = np.array(small, np.float32).reshape(len(crops), THUMB_PX * THUMB_PX)
    flat -= flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6) * (length > 1e-3), np.float32)


def mirrored(thumbs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The thumbnails (N, 144) of the mirror images."""
    return np.ascontiguousarray(thumbs.reshape(-1, THUMB_PX, THUMB_PX)[:, :, ::-1]).reshape(thumbs.shape)


def copies_of(thumbs: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of ``thumbs`` (N, 144) are near copies of any of ``others`` (M, 144), mirrored or not."""
    both = np.concatenate([others, mirrored(others)])
    if not len(both):
        return np.zeros(len(thumbs), bool)
    parts = [(thumbs[start : start + BLOCK] @ both.T).max(1) > ALIKE for start in range(0, len(thumbs), BLOCK)]
    return np.concatenate([*parts, np.zeros(0, bool)])


def groups(thumbs: NDArray[np.float32]) -> NDArray[np.int64]:
    """A number for each of ``thumbs`` (N, 144): that of the first face among its near copies, and theirs, and so on."""
    first = np.arange(len(thumbs))

    def root(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = int(first[index])
        return index

    flipped = mirrored(thumbs)
    for start in range(0, len(thumbs), BLOCK):
        block = thumbs[start : start + BLOCK]
        for others in (thumbs[start:], flipped[start:]):
            for one, other in np.argwhere(block @ others.T > ALIKE):
                a, b = root(start + int(one)), root(start + int(other))
                first[max(a, b)] = min(a, b)
    return np.array([root(index) for index in range(len(thumbs))], np.int64)
