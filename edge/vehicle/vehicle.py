"""The vehicle as the decision is told of it: the freshest word of all sources, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from edge.compat import Self
from edge.config import Config
from edge.config.vehicle import VehicleConfig
from edge.domain import UNKNOWN_CONTEXT, Context
from edge.vehicle.motion import Motion
from edge.vehicle.source import Source, SourceThread
from edge.vehicle.sources import configured_sources
from edge.vehicle.store import SourceHealth, Store


class Vehicle:
    """Runs the sources, each in a thread of its own, and says what is known; used as a context manager.

    Where several tell a speed the fastest is believed, and an ignition that one of them says is on is on: a source
    that is wrong can then keep an alert back only where no other one knows better. ``clock`` is monotonic.
    """

    def __init__(self, sources: Iterable[Source], config: VehicleConfig, clock: Callable[[], float]) -> None:
        self._threads = [SourceThread(source, Store(source.name, config, clock), config, clock) for source in sources]
        self._motion = Motion(config.standstill_kmh, config.standstill_after_s)

    @classmethod
    def from_config(cls, config: Config, environ: Mapping[str, str], clock: Callable[[], float]) -> Self:
        """The configured sources; without one nothing is known.

        Raises:
            ConfigError: a source is configured so that it cannot work.
            UnavailableError: a package that a source needs is not installed.
        """
        return cls(configured_sources(config, environ), config.vehicle, clock)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.ask_to_stop()
        for thread in self._threads:
            thread.stop()

    def context(self, now: float) -> Context:
        """What is known at ``now``, rounded as a trace keeps it, so that a replay is told the same."""
        if not self._threads:
            return UNKNOWN_CONTEXT
        stores = [thread.store for thread in self._threads]
        for thread in self._threads:
            thread.listen(now)
        speeds = [(speed, store) for store in stores if (speed := store.newest_speed(now)) is not None]
        words = [(word, store) for store in stores if (word := store.newest_ignition(now)) is not None]
        speed, by = max(speeds, key=lambda told: told[0], default=(None, None))
        ignition, said_by = max(words, key=lambda told: told[0], default=(None, None))
        self._motion.update(now, speed)
        ages: dict[str, float] = {}
        if by is not None and (age_s := by.ages(now)[0]) is not None:
            ages["speed_kmh"] = ages["standstill"] = round(age_s, 2)
        if said_by is not None and (age_s := said_by.ages(now)[1]) is not None:
            ages["ignition"] = round(age_s, 2)
        standing_s = self._motion.standing_s
        return Context(
            speed_kmh=None if speed is None else round(speed, 2),
            ignition=ignition,
            standstill=self._motion.standstill,
            standing_s=None if standing_s is None else round(standing_s, 2),
            age_s=ages,
        )

    def health(self, now: float) -> dict[str, SourceHealth]:
        """How each source is, by its name."""
        return {thread.store.name: thread.store.health(now) for thread in self._threads}


class NoVehicle:
    """Nothing is known of the vehicle."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def context(self, now: float) -> Context:
        """Nothing."""
        del now
        return UNKNOWN_CONTEXT

    def health(self, now: float) -> dict[str, SourceHealth]:
        """No source."""
        del now
        return {}


NO_VEHICLE = NoVehicle()
