"""Faces drawn by code whose eyes open and close: nobody's, and the same in every run."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Face

SKIN, SCLERA, IRIS, PUPIL, LID, BROW = 150, 205, 85, 25, 70, 60


def drawn_face(
    left: float, right: float, unit: float = 60.0, centre: tuple[float, float] = (320.0, 200.0)
) -> tuple[NDArray[np.uint8], Face]:
    """A picture (480, 640) of a face whose eyes, at the picture's left and right, are so far open (0 to 1).

    ``unit`` is the distance from eye to eye in pixels, ``centre`` the middle between them.
    """
    luma = np.full((480, 640), 60, np.uint8)
    x, y = centre
    middle = (int(x), int(y + 0.5 * unit))
    cv2.ellipse(luma, middle, (int(1.15 * unit), int(1.55 * unit)), 0, 0, 360, SKIN, -1, cv2.LINE_AA)
    points = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1.05], [0.4, 1.05]]) * unit + (x, y)
    for at, openness in zip(points[:2], (left, right), strict=True):
        _eye(luma, at, unit, openness)
    corner, other = points[3:].astype(int).tolist()
    cv2.line(luma, corner, other, 80, max(1, int(unit / 12)), cv2.LINE_AA)
    box = (x - unit, y - 0.7 * unit, 2 * unit, 2.2 * unit)
    soft = cv2.GaussianBlur(luma, (0, 0), unit / 45)
    grain = np.random.default_rng(0).normal(0, 2, luma.shape)
    return np.clip(soft + grain, 0, 255).astype(np.uint8), Face(box, points.astype(np.float32), 0.95)


def _eye(luma: NDArray[np.uint8], at: NDArray[np.float64], unit: float, openness: float) -> None:
    centre = (int(at[0]), int(at[1]))
    axes = (int(0.24 * unit), int(0.12 * unit * openness))
    if axes[1] > 0:
        mask = np.zeros_like(luma)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
        ball = np.full_like(luma, SCLERA)
        cv2.circle(ball, centre, int(0.115 * unit), IRIS, -1, cv2.LINE_AA)
        cv2.circle(ball, centre, int(0.05 * unit), PUPIL, -1, cv2.LINE_AA)
        share = mask.astype(np.float32) / 255
        luma[:] = luma * (1 - share) + ball * share
    line = max(1, round(unit / 30))
    shut = (axes[0], max(axes[1], int(0.04 * unit)))
    start, end = (180, 360) if axes[1] > 0 else (0, 180)
    cv2.ellipse(luma, centre, shut, 0, start, end, LID, line, cv2.LINE_AA)
    brow = (centre[0], int(at[1] - 0.1 * unit))
    cv2.ellipse(luma, brow, (int(0.3 * unit), int(0.2 * unit)), 0, 205, 335, BROW, 2 * line, cv2.LINE_AA)
