"""When the next frame is due."""

from __future__ import annotations


class Pace:
    """Steady intervals at a rate of at most ``fps`` frames a second, as that rate stands when a frame is taken.

    A frame that comes late does not put off those after it: intervals are counted from when it was due, by one interval
    at most. So a camera at about this rate loses no frame to jitter, and after a long gap there is no burst.
    """

    def __init__(self) -> None:
        self._due_t = float("-inf")

    def early_s(self, t: float) -> float:
        """Seconds from ``t`` until the next frame is due; 0 or less where it is."""
        return self._due_t - t

    def take(self, t: float, fps: float) -> None:
        """A frame is taken at ``t`` seconds."""
        period_s = 1.0 / fps
        self._due_t = max(self._due_t + period_s, t - period_s)
