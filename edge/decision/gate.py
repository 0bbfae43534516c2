"""Whether a kind of alert is judged at the vehicle's speed. Pure; what is unknown keeps nothing from being judged."""

from __future__ import annotations

from edge.decision.interval import Interval
from edge.domain import Context

CLOSES_BELOW = 0.75
"""The gate closes below this part of the speed from which it is open: it does not flutter in a queue of cars."""
SLOW_S = 2.0
"""The vehicle must be that slow for so long: a value that the next one belies closes nothing."""
STANDING_S = 30.0
"""An alert that was open when the vehicle stopped ends once it has stood for so long. Until then whoever fell asleep on
the way is still woken; after it a driver who rests is not nagged."""


class SpeedGate:
    """Closed while the vehicle is known to be too slow; unknown, or fast for a single moment, opens it at once."""

    def __init__(self) -> None:
        self.closed = False
        self._slow_s = 0.0

    def update(self, interval: Interval, speed_kmh: float | None, least_kmh: float) -> None:
        """Take in the speed of a moment; from ``least_kmh`` on the gate is open, with 0 it always is."""
        if speed_kmh is None or speed_kmh >= least_kmh:
            self.closed, self._slow_s = False, 0.0
        elif speed_kmh < CLOSES_BELOW * least_kmh:
            self._slow_s += interval.spoken_s
            self.closed = self.closed or self._slow_s >= SLOW_S
        else:
            self._slow_s = 0.0

    def stood(self, context: Context) -> bool:
        """Whether the gate is closed because the vehicle has stood for so long that no open alert is upheld."""
        return self.closed and context.standing_s is not None and context.standing_s >= STANDING_S
