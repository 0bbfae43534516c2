"""The sources that the configuration names. Each module is imported only where it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from edge.config import Config
from edge.errors import UnavailableError
from edge.vehicle.source import Source


def configured_sources(config: Config, environ: Mapping[str, str], *, role: str = "vehicle") -> list[Source]:
    """One for each that is configured; ``role`` ends the name by which the broker knows who listens.

    Raises:
        ConfigError: a source is configured so that it cannot work.
        UnavailableError: a package that a source needs is not installed.
    """
    vehicle = config.vehicle
    sources: list[Source] = []
    if vehicle.mqtt.configured:
        from edge.vehicle.mqtt import MqttSource  # noqa: PLC0415 - as the docstring says

        sources.append(MqttSource(config, environ, role))
    if vehicle.can.configured:
        with _extra("can"):
            from edge.vehicle.can import CanSource  # noqa: PLC0415 - as above
        sources.append(CanSource(vehicle.can))
    if vehicle.gpsd.configured:
        from edge.vehicle.gpsd import GpsdSource  # noqa: PLC0415 - as above

        sources.append(GpsdSource(vehicle.gpsd))
    if vehicle.gpio.configured:
        from edge.vehicle.gpio import GpioSource  # noqa: PLC0415 - as above

        sources.append(GpioSource(vehicle.gpio))
    return sources


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Say of a missing package which of Evenkeel's extras brings it."""
    try:
        yield
    except ImportError as error:
        raise UnavailableError(f"[vehicle.{name}]: {error}; `pip install 'evenkeel[{name}]'`") from None
