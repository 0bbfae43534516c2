"""Whether the vehicle stands, and for how long, by its speed over time. Pure."""

from __future__ import annotations

MOVES_FACTOR = 1.5
"""A standing vehicle moves again from so many times the speed up to which it may stand: satellites see it drift."""


class Motion:
    """Follows the speed. ``standstill`` is None while the speed is unknown, ``standing_s`` while it does not stand."""

    def __init__(self, standstill_kmh: float, after_s: float) -> None:
        self._standstill_kmh = standstill_kmh
        self._after_s = after_s
        self._slow_t: float | None = None
        self.standstill: bool | None = None
        self.standing_s: float | None = None

    def update(self, t: float, speed_kmh: float | None) -> None:
        """Take in the speed at ``t``; where time goes back, the standing begins anew."""
        if speed_kmh is None or speed_kmh > self._standstill_kmh * (MOVES_FACTOR if self.standstill else 1.0):
            self._slow_t = None
        elif self._slow_t is None or t < self._slow_t:
            self._slow_t = t
        slow_s = None if self._slow_t is None else t - self._slow_t
        stands = slow_s is not None and slow_s >= self._after_s
        self.standstill = None if speed_kmh is None else stands
        self.standing_s = slow_s if stands else None
