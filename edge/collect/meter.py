"""Figures of the collector, for whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edge import __version__
from edge.board.scraped import Scraped
from edge.errors import UnavailableError

WRITE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAG_BUCKETS_S = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600, 86_400)


class Meter(Protocol):
    """Takes what happens."""

    def stored(self, lags_s: list[float | None]) -> None:
        """Alerts are in the database, each so long after its decision (None: not known)."""

    def duplicates(self, count: int) -> None:
        """Alerts came that were there already."""

    def refused(self, reason: str, count: int) -> None:
        """Messages were no valid payload."""

    def lost(self, reason: str, count: int) -> None:
        """Alerts are gone for good."""

    def missing(self, count: int) -> None:
        """So many alerts are missing now."""

    def asked(self) -> None:
        """A device was asked to send again."""

    def wrote(self, seconds: float, waiting: int) -> None:
        """A transaction is on the disk after so long; so many messages wait for the next."""

    def broker(self, *, up: bool) -> None:
        """Whether messages come."""

    def database(self, *, up: bool) -> None:
        """Whether they can be stored."""


class NoMeter:
    """Nobody watches."""

    def stored(self, lags_s: list[float | None]) -> None:
        """Not counted."""

    def duplicates(self, count: int) -> None:
        """Not counted."""

    def refused(self, reason: str, count: int) -> None:
        """Not counted."""

    def lost(self, reason: str, count: int) -> None:
        """Not counted."""

    def missing(self, count: int) -> None:
        """Not counted."""

    def asked(self) -> None:
        """Not counted."""

    def wrote(self, seconds: float, waiting: int) -> None:
        """Not counted."""

    def broker(self, *, up: bool) -> None:
        """Not told."""

    def database(self, *, up: bool) -> None:
        """Not told."""


class PrometheusMeter:
    """Serves the figures at ``http://<address>:<port>/metrics`` until ``close``.

    Raises:
        UnavailableError: the package is missing, or the address is taken.
    """

    def __init__(self, address: str, port: int, told: str = "--metrics") -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise UnavailableError(
                f"{told} needs the package prometheus-client; install it: pip install 'evenkeel[collect]'"
            ) from None
        registry = CollectorRegistry()
        name = "evenkeel_collect"
        self._stored = Counter(f"{name}_alerts_stored", "Alerts stored.", registry=registry)
        self._duplicates = Counter(f"{name}_alerts_duplicate", "Alerts that were there already.", registry=registry)
        self._refused = Counter(f"{name}_refused", "Messages that break the contract.", ["reason"], registry=registry)
        self._lost = Counter(f"{name}_alerts_lost", "Alerts gone for good.", ["reason"], registry=registry)
        self._asked = Counter(f"{name}_questions", "Times that a device was asked to send again.", registry=registry)
        self._missing = Gauge(f"{name}_alerts_missing", "Alerts missing now.", registry=registry)
        self._broker = Gauge(f"{name}_broker_up", "Whether messages come from the broker.", registry=registry)
        self._database = Gauge(f"{name}_database_up", "Whether the database takes what comes.", registry=registry)
        self._lag = Histogram(
            f"{name}_lag_seconds",
            "From an alert's decision, by the device's clock, to the database.",
            buckets=LAG_BUCKETS_S,
            registry=registry,
        )
        self._write = Histogram(
            f"{name}_write_seconds",
            "One transaction, to the disk.",
            buckets=WRITE_BUCKETS_S,
            registry=registry,
        )
        self._waiting = Gauge(f"{name}_messages_waiting", "Messages not in the database yet.", registry=registry)
        Info(name, "What collects.", registry=registry).info({"version": __version__})
        self._scraped = Scraped((address, port), registry, told)

    @property
    def port(self) -> int:
        """Where it is served."""
        return self._scraped.port

    def close(self) -> None:
        """Serve no more."""
        self._scraped.close()

    def wrote(self, seconds: float, waiting: int) -> None:
        """Count a transaction, show what still waits."""
        self._write.observe(seconds)
        self._waiting.set(waiting)

    def stored(self, lags_s: list[float | None]) -> None:
        """Count alerts and how long each took."""
        self._stored.inc(len(lags_s))
        for lag_s in lags_s:
            if lag_s is not None:
                self._lag.observe(max(lag_s, 0.0))

    def duplicates(self, count: int) -> None:
        """Count alerts that were there already."""
        self._duplicates.inc(count)

    def refused(self, reason: str, count: int) -> None:
        """Count what was refused."""
        self._refused.labels(reason).inc(count)

    def lost(self, reason: str, count: int) -> None:
        """Count what is lost."""
        self._lost.labels(reason).inc(count)

    def missing(self, count: int) -> None:
        """Show how many are missing."""
        self._missing.set(count)

    def asked(self) -> None:
        """Count questions."""
        self._asked.inc()

    def broker(self, *, up: bool) -> None:
        """Show whether messages come."""
        self._broker.set(up)

    def database(self, *, up: bool) -> None:
        """Show whether they can be stored."""
        self._database.set(up)


def by_reason(counts: Mapping[str, int]) -> str:
    """``3 json, 1 schema``."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
