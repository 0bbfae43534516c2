"""The vehicle of the demo: a country road that is not there."""

from __future__ import annotations

import math
from collections.abc import Callable

from edge.domain import Context
from edge.vehicle.vehicle import NoVehicle

CRUISE_KMH = 80.0
SWAY_KMH = 6.0
SWAY_S = 40.0
"""The speed goes up and down by so much around its mean, once in so many seconds."""


class SimulatedDrive(NoVehicle):
    """Stands in for ``Vehicle``: always on the road, so that every kind is judged."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._begun = clock()

    def context(self, now: float) -> Context:
        """The speed of now."""
        speed = CRUISE_KMH + SWAY_KMH * math.sin(2 * math.pi * (now - self._begun) / SWAY_S)
        return Context(speed_kmh=round(speed, 1), ignition=True, standstill=False)
