"""Figures of the dashboard's server, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from edge import __version__
from edge.board.scraped import Scraped
from edge.errors import UnavailableError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
NAME = "evenkeel_dashboard"


class Meter(Protocol):
    """Takes what happens; ``message`` and ``broker`` come from the link's thread, all else from the event loop."""

    def message(self) -> None:
        """Something came from the broker."""

    def broker(self, *, up: bool) -> None:
        """Whether messages come."""

    def answered(self, status: int, seconds: float) -> None:
        """A request's answer has begun, so long after it came."""

    def login(self, result: str) -> None:
        """Somebody told a password: ``ok``, ``wrong`` or ``limited``."""

    def cut(self, reason: str) -> None:
        """A connection was ended, as ``patience.Patience`` tells why."""


class NoMeter:
    """Nobody watches."""

    def message(self) -> None:
        """Not counted."""

    def broker(self, *, up: bool) -> None:
        """Not told."""

    def answered(self, status: int, seconds: float) -> None:
        """Not counted."""

    def login(self, result: str) -> None:
        """Not counted."""

    def cut(self, reason: str) -> None:
        """Not counted."""


class PrometheusMeter:
    """Serves the figures until ``close``; ``browsers`` and ``devices`` tell those of the moment, the latter by state.

    Raises:
        UnavailableError: the package is missing, or the address is taken.
    """

    def __init__(
        self, address: tuple[str, int], *, browsers: Callable[[], int], devices: Callable[[], Mapping[str, int]]
    ) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise UnavailableError(
                "dashboard.metrics needs the package prometheus-client; install it: pip install 'evenkeel[metrics]'"
            ) from None
        registry = CollectorRegistry()
        Info(NAME, "What serves the pages.", registry=registry).info({"version": __version__})
        self._messages = Counter(f"{NAME}_messages", "Messages from the broker.", registry=registry)
        self._broker = Gauge(f"{NAME}_broker_connected", "Whether messages come.", registry=registry)
        self._logins = Counter(f"{NAME}_logins", "Passwords told, by what came of it.", ["result"], registry=registry)
        self._cut = Counter(f"{NAME}_connections_cut", "Connections ended, by reason.", ["reason"], registry=registry)
        self._answers = Histogram(
            f"{NAME}_request_seconds",
            "From a request to the beginning of its answer.",
            ["status"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        for result in ("ok", "wrong", "limited"):
            self._logins.labels(result)
        for reason in ("ask", "read", "crowd"):
            self._cut.labels(reason)
        for status in ("2xx", "3xx", "4xx", "5xx"):
            self._answers.labels(status)
        registry.register(_Moment(browsers, devices))
        self._scraped = Scraped(address, registry, "dashboard.metrics")

    @property
    def port(self) -> int:
        """Where it is served."""
        return self._scraped.port

    def close(self) -> None:
        """Serve no more."""
        self._scraped.close()

    def message(self) -> None:
        """Count a message."""
        self._messages.inc()

    def broker(self, *, up: bool) -> None:
        """Show whether messages come."""
        self._broker.set(up)

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer by the kind of its status."""
        self._answers.labels(f"{status // 100}xx").observe(seconds)

    def login(self, result: str) -> None:
        """Count a password."""
        self._logins.labels(result).inc()

    def cut(self, reason: str) -> None:
        """Count a connection that was ended."""
        self._cut.labels(reason).inc()


class _Moment:
    """What is asked for with each scrape."""

    def __init__(self, browsers: Callable[[], int], devices: Callable[[], Mapping[str, int]]) -> None:
        self._browsers = browsers
        self._devices = devices

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment; called in the scrape's thread."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

        yield GaugeMetricFamily(f"{NAME}_browsers", "Browsers that listen.", self._browsers())
        devices = GaugeMetricFamily(f"{NAME}_devices", "Devices of the fleet by what holds there.", labels=["state"])
        for state, count in self._devices().items():
            devices.add_metric([state], count)
        yield devices
