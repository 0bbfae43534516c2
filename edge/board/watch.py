"""Looks at the board's heat now and then, and keeps the frame rate that it bears."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge.board.heat import RateLimit
from edge.board.polled import Answer, Polled
from edge.board.sensors import Heat

_log = logging.getLogger(__name__)

HEAT_PERIOD_S = 5.0
"""The sensors are read this often: heat moves slowly, and a Pi's throttling may have to be asked of a program."""

SILENT_S = 2 * HEAT_PERIOD_S
"""Sensors that have not answered for so long hang: then nothing is known of the heat."""


class HeatWatch:
    """What was read last (``heat``), the frames a second that it allows (``fps``), and what to say of it.

    ``read`` runs in a thread of its own: a sensor that hangs holds up no frame. Then ``heat`` is unknown and
    ``problem`` says so, until it answers again. ``clock`` is the service's, in seconds; ``awake`` tells how long a
    sensor has been silent.
    """

    def __init__(
        self,
        limit: RateLimit,
        read: Callable[[], Heat],
        clock: Callable[[], float],
        *,
        period_s: float = HEAT_PERIOD_S,
        awake: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._sensors = Polled("heat", read, period_s, clock=awake)
        self._seen: Answer[Heat] | None = None
        self._hung = False

    def start(self) -> None:
        """Begin to read the sensors."""
        self._sensors.start()

    def close(self) -> None:
        """Read no more."""
        self._sensors.close()

    @property
    def heat(self) -> Heat:
        """How warm the board is; unknown before the first answer and while the sensors hang."""
        return Heat(None, None) if self._seen is None or self._hung else self._seen.value

    @property
    def fps(self) -> float:
        """Frames a second that may be processed."""
        return self._limit.fps

    @property
    def problem(self) -> str | None:
        """Why there are fewer frames than configured, or why nobody knows whether there should be; else None."""
        if self._hung:
            lowered = f"; still at most {self.fps:.3g} frames a second" if self._limit.lowered else ""
            return f"the board's sensors do not answer (`vcgencmd get_throttled` may hang): heat unknown{lowered}"
        if not self._limit.lowered:
            return self.heat.fault
        warm = "" if self.heat.temperature_c is None else f" at {self.heat.temperature_c:.0f} °C"
        slowed = " throttles itself" if self.heat.throttled else ""
        fault = f"; {self.heat.fault}" if self.heat.fault else ""
        return f"board{warm}{slowed}: at most {self.fps:.3g} frames a second{fault}"

    def look(self) -> None:
        """Take up what the sensors have answered meanwhile, without waiting; what is new is logged."""
        hung = self._sensors.age_s >= SILENT_S
        if hung != self._hung:
            self._hung = hung
            _log.warning("%s", self.problem if hung else "the board's sensors answer again")
        answer = self._sensors.answer
        if answer is None or answer is self._seen:
            return
        before, self._seen = self._seen, answer
        if answer.value.fault and (before is None or answer.value.fault != before.value.fault):
            _log.warning("%s", answer.value.fault)
        if self._limit.update(self._clock(), answer.value):
            _log.warning("%s", self.problem or "board has cooled: back to the full frame rate")
