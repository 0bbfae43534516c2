"""The vehicle of the demo: a country road that is not there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from edge.domain import Context
from edge.vehicle import SourceHealth

CRUISE_KMH = 80.0
SWAY_KMH = 6.0
SWAY_S = 40.0
"""The speed goes up and down by so much around its mean, once in so many seconds."""


class SimulatedDrive:
    """Stands in for ``Vehicle``: always on the road, so that every kind is judged."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._begun = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def context(self, now: float) -> Context:
        """The speed of now."""
        speed = CRUISE_KMH + SWAY_KMH * math.sin(2 * math.pi * (now - self._begun) / SWAY_S)
        return Context(speed_kmh=round(speed, 1), ignition=True, standstill=False)

    def health(self, now: float) -> Mapping[str, SourceHealth]:
        """No source: nothing of it is measured."""
        del now
        return {}
