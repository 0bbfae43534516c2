"""Looks at the board's heat now and then, and keeps the frame rate that it bears."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.board.heat import RateLimit
from edge.board.sensors import Heat

_log = logging.getLogger(__name__)

HEAT_PERIOD_S = 5.0
"""The sensors are read this often: heat moves slowly, and a Pi's throttling may have to be asked of a program."""


class HeatWatch:
    """What was read last (``heat``), the frames a second that it allows (``fps``), and what to say of it."""

    def __init__(self, limit: RateLimit, read: Callable[[], Heat], clock: Callable[[], float]) -> None:
        self.heat = Heat(None, None)
        self._limit = limit
        self._read = read
        self._clock = clock
        self._read_t = float("-inf")

    @property
    def fps(self) -> float:
        """Frames a second that may be processed."""
        return self._limit.fps

    @property
    def problem(self) -> str | None:
        """Why there are fewer frames than configured; None where there are not."""
        if not self._limit.lowered:
            return None
        warm = "" if self.heat.temperature_c is None else f" at {self.heat.temperature_c:.0f} °C"
        slowed = " throttles itself" if self.heat.throttled else ""
        return f"board{warm}{slowed}: at most {self.fps:.3g} frames a second"

    def look(self) -> None:
        """Read the sensors if that is due; a step of the rate is logged."""
        now = self._clock()
        if now - self._read_t < HEAT_PERIOD_S:
            return
        self._read_t = now
        self.heat = self._read()
        if self._limit.update(now, self.heat):
            _log.warning("%s", self.problem or "board has cooled: the full frame rate again")
