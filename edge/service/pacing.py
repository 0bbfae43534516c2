"""When the next frame is due."""

from __future__ import annotations

import math

EARLY = 0.25
"""How much before it is due a frame may come, in intervals: a camera's frames do not come like clockwork."""


class Pace:
    """Steady intervals, at most ``fps`` a second as that stands when a frame is taken.

    Frames are due on a grid of moments, and one that comes late does not put off those after it. So a camera of about
    this rate loses no frame to jitter, and of a faster one every second, third … frame is taken. One that comes a whole
    interval late begins a new grid: there is no burst after a gap.
    """

    def __init__(self) -> None:
        self._due_t = -math.inf
        self._period_s = 0.0

    @property
    def open_t(self) -> float:
        """From this moment on a frame that comes in may be taken."""
        return self._due_t - EARLY * self._period_s

    def take(self, came_t: float, fps: float) -> None:
        """The frame that came in at ``came_t`` seconds is taken."""
        self._period_s = 1.0 / fps
        next_t = self._due_t + self._period_s
        self._due_t = next_t if came_t < next_t else came_t + self._period_s
