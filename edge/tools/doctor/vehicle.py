"""The check of the vehicle: each configured source is listened to for a moment, beside a running service."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from edge.board.clock import uptime_s
from edge.board.processes import services
from edge.config import Config
from edge.domain import Context
from edge.tools.doctor.finding import Finding, passed, skipped, warned
from edge.tools.doctor.target import Host
from edge.vehicle import SourceHealth, Vehicle
from edge.vehicle.sources import configured_sources

LISTEN_S = 4.0
"""So long the sources are listened to at most, seconds: gpsd and OBD-II tell something each second."""
TICK_S = 0.05

_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "mqtt": "see with `mosquitto_sub` whether anybody publishes on the topic, and whether the user may read it",
        "can": "see with `candump` what is on the bus, and compare with [vehicle.can]",
        "gpsd": "see with `cgps` what the receiver sees",
        "gpio": "a pin that cannot be had: see the line of the pins; one that changes all the time: check its wiring",
    }
)


def sources(host: Host, config: Config) -> Finding:
    """What the configured sources tell now. A pin that the running service has is left to it."""
    running = services(host.proc)
    if running and config.vehicle.gpio.configured:
        service = ", ".join(map(str, running))
        return skipped(
            f"the pin is in use by the service, {service}", "stop the service to look at it; `health` tells it"
        )
    found = configured_sources(config, host.environ, role="doctor-vehicle")
    if not found:
        return passed("none configured; every kind is judged as if the vehicle moved")
    with _in_silence(), Vehicle(found, config.vehicle, uptime_s) as vehicle:
        end = time.monotonic() + LISTEN_S
        while not all(map(_spoke, vehicle.health(uptime_s()).values())) and time.monotonic() < end:
            time.sleep(TICK_S)
        context, health = vehicle.context(uptime_s()), vehicle.health(uptime_s())
    faults = {name: source.problem or "nothing heard" for name, source in health.items() if not _is_well(source)}
    text = "; ".join([_told(context, health), *(f"{name}: {problem}" for name, problem in faults.items())])
    if not faults:
        return passed(text)
    remedy = "; ".join(_REMEDIES[name] for name in faults)
    return warned(f"{text}; what is not known holds nothing back", remedy)


def _spoke(source: SourceHealth) -> bool:
    return source.problem is not None or _has_told(source)


def _has_told(source: SourceHealth) -> bool:
    return source.speed_age_s is not None or source.ignition_age_s is not None


def _is_well(source: SourceHealth) -> bool:
    return source.problem is None and _has_told(source)


def _told(context: Context, health: Mapping[str, SourceHealth]) -> str:
    """What is known now, and by which sources."""
    speed = "speed unknown" if context.speed_kmh is None else f"{context.speed_kmh:g} km/h"
    word = {True: "on", False: "off", None: "unknown"}[context.ignition]
    return f"{', '.join(health)}: {speed}, ignition {word}"


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keep the sources' own warnings out of the report, which says them."""
    logger = logging.getLogger("edge.vehicle")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
