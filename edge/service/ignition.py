"""Whether the ignition has been off for so long that nobody is to be watched any more. Pure."""

from __future__ import annotations

from edge.config.vehicle import VehicleConfig
from edge.domain import Context


class Ignition:
    """Follows what is known of the vehicle. One that moves is driven, whatever is said of its ignition."""

    def __init__(self, config: VehicleConfig) -> None:
        self._config = config
        self._off_t: float | None = None

    def is_off(self, t: float, context: Context) -> bool:
        """Take in what is known at ``t``; whether the ignition has been off for long enough by now."""
        if context.ignition is not False or self.moves(context):
            self._off_t = None
            return False
        if self._off_t is None or t < self._off_t:
            self._off_t = t
        return self._config.ignition_off.standby and t - self._off_t >= self._config.ignition_off.after_s

    def moves(self, context: Context) -> bool:
        """Whether the vehicle is known to move."""
        return context.speed_kmh is not None and context.speed_kmh > self._config.standstill_kmh
