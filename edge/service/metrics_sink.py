"""The sink for Prometheus: the newest step and health as OpenMetrics, and how long the stages take.

What cannot be read has no sample, so that nothing unknown is plotted as calm.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, StateSetMetricFamily
from prometheus_client.metrics_core import Metric

from edge import __version__
from edge.domain import Kind, Level, Phase, State, Step
from edge.service.health import Health, SinkHealth
from edge.service.ports import Outlet
from edge.service.versions import About

_log = logging.getLogger(__name__)

STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
LEVELS = {None: 0, Level.WARNING: 1, Level.URGENT: 2}
KMH_PER_MS = 3.6
MEGABYTE = 1_000_000
STALE_S = 10.0
"""What a step said of the driver is told no longer than this without another, seconds."""


class MetricsSink:
    """Serves ``http://<address>:<port>/metrics`` until it is closed; a scrape is answered in a thread of its own.

    An address that cannot be had is told in health and tried again with each look at it: it holds up no alert.
    ``clock`` tells the age of the newest step. In shadow mode only health gets here, and nothing of the driver is told.
    """

    name = "metrics"
    outward = True

    def __init__(
        self, address: tuple[str, int], *, publisher: Outlet, about: About, clock: Callable[[], float]
    ) -> None:
        self._address = address
        self._registry = CollectorRegistry()
        self._stages = Histogram(
            "evenkeel_stage_seconds",
            "Time of each stage of a frame; 'step' is all of it, 'age' from exposure to decision.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=self._registry,
        )
        self._board = Board(publisher, about, clock)
        self._registry.register(self._board)
        self._served: tuple[Any, threading.Thread] | None = None
        self._problem: str | None = None
        self._serve()

    @property
    def port(self) -> int | None:
        """Where it is served; None while it is not."""
        return None if self._served is None else int(self._served[0].server_address[1])

    @property
    def health(self) -> SinkHealth:
        """A scrape that did not come is no loss; an address that cannot be had is a problem."""
        return SinkHealth(problem=self._problem)

    def time(self, stage: str, ms: float) -> None:
        """Count how long a stage took, in milliseconds."""
        self._stages.labels(stage).observe(ms / 1000)

    def take(self, step: Step) -> None:
        """Keep a step as the newest, count its alerts."""
        self._board.take(step)

    def probe(self, health: Health) -> None:
        """Keep health as the newest; begin to serve where that failed before."""
        self._board.probe(health)
        if self._served is None:
            self._serve()

    def close(self) -> None:
        """Serve no more."""
        if self._served is not None:
            server, thread = self._served
            server.shutdown()
            server.server_close()
            thread.join()

    def _serve(self) -> None:
        host, port = self._address
        try:
            self._served = start_http_server(port, host, self._registry)
        except OSError as error:
            problem = f"metrics.listen {host}:{port}: cannot be served: {error.strerror or error}"
            if self._problem is None:
                _log.warning("%s; choose another address or port", problem)
            self._problem = problem
        else:
            if self._problem is not None:
                _log.info("metrics: served now")
            self._problem = None


class Board:
    """The newest step and health, as a collector of ``prometheus_client`` reads them at each scrape."""

    def __init__(self, publisher: Outlet, about: About, clock: Callable[[], float]) -> None:
        self._publisher = publisher
        self._about = about
        self._clock = clock
        self._lock = threading.Lock()
        self._step: Step | None = None
        self._step_t = clock()
        self._health: Health | None = None
        self._alerts: Counter[tuple[Kind, Phase]] = Counter()

    def take(self, step: Step) -> None:
        """Keep a step as the newest, count its alerts."""
        with self._lock:
            self._step, self._step_t = step, self._clock()
            self._alerts.update((transition.kind, transition.phase) for transition in step.transitions)

    def probe(self, health: Health) -> None:
        """Keep health as the newest."""
        with self._lock:
            self._health = health

    def collect(self) -> Iterator[Metric]:
        """All figures of this moment; called in the scrape's thread."""
        with self._lock:
            step, health, alerts = self._step, self._health, self._alerts.copy()
            age_s = self._clock() - self._step_t
        yield from self._told_always()
        if step is not None:
            yield _gauge("step_age_seconds", "Time since the newest step.", age_s)
            yield _of_alerts(alerts, step.signals.kinds)
            if age_s <= STALE_S:
                yield from _of_step(step)
        if health is not None:
            yield from _of_health(health)

    def _told_always(self) -> Iterator[Metric]:
        about = self._about
        yield InfoMetricFamily(
            "evenkeel",
            "What runs on the board.",
            {
                "version": __version__,
                "runtime": about.runtime,
                "face_model": about.face_model,
                "expression_model": about.expression_model,
                "eye_model": about.eye_model,
                "follow_model": about.follow_model or "",
            },
        )
        yield _gauge("broker_connected", "Whether there is a broker.", self._publisher.problem is None)
        outbox = self._publisher.outbox_health()
        yield _gauge("outbox_alerts", "Alerts that wait for the broker.", outbox.depth)
        yield _gauge("outbox_bytes", "Size of the alerts that wait.", outbox.bytes)
        yield _counter("outbox_dropped", "Alerts given up for size or age.", outbox.dropped)
        yield _counter("outbox_lost", "Alerts that the disk has lost.", outbox.lost)


def _of_alerts(alerts: Counter[tuple[Kind, Phase]], kinds: Iterable[Kind]) -> Metric:
    counted = _counters("alerts", "Alerts by their phase.", "kind", "phase")
    for kind, phase in product(kinds, Phase):
        counted.add_metric([kind, phase], alerts[kind, phase])
    return counted


def _of_step(step: Step) -> Iterator[Metric]:
    yield StateSetMetricFamily(
        "evenkeel_state", "What is said of the driver.", {str(each): each is step.state for each in State}
    )
    readable = _gauges("readable", "Whether the kind can be judged now.", "kind")
    evidence = _gauges("evidence_ratio", "Smoothed evidence of the kind, 0 to 1, while it can be judged.", "kind")
    level = _gauges("alert_level", "Level of the kind's open alert: 0 none, 1 warning, 2 urgent.", "kind")
    for kind, judged in step.signals.kinds.items():
        readable.add_metric([kind], judged.readable)
        if judged.readable:
            evidence.add_metric([kind], judged.signal)
        if judged.readable or judged.level is not None:
            level.add_metric([kind], LEVELS[judged.level])
    yield from (readable, evidence, level)
    quality = step.observation.quality
    if quality is not None:
        yield _gauge("quality_ratio", "How well the face can be read, 0 to 1.", quality.weight)
    if step.calibrated_percent is not None:
        yield _gauge("calibrated_ratio", "How far the resting face is learned, 0 to 1.", step.calibrated_percent / 100)


def _of_health(health: Health) -> Iterator[Metric]:
    yield _counter("frames", "Frames read.", health.frames)
    yield _counter("frames_dropped", "Frames overtaken by a newer one.", health.dropped_frames)
    yield _counter("frames_bad", "Frames that could not be read.", health.bad_frames)
    yield _gauge("frame_rate_hertz", "Frames read a second.", health.fps)
    yield _gauge("frame_rate_limit_hertz", "Frames processed a second at most.", health.fps_limit)
    yield _gauge("camera_age_seconds", "Age of the newest frame.", health.camera_age_s)
    for name, text, value in (
        ("memory_bytes", "Resident memory.", None if health.memory_mb is None else health.memory_mb * MEGABYTE),
        ("temperature_celsius", "Temperature of the board.", health.temperature_c),
        ("throttled", "Whether the board slows itself down.", health.throttled),
    ):
        if value is not None:
            yield _gauge(name, text, value)
    speed_kmh = health.context.speed_kmh
    if speed_kmh is not None:
        yield _gauge("vehicle_speed_meters_per_second", "Speed of the vehicle.", speed_kmh / KMH_PER_MS)
    yield _gauge("problems", "What is wrong with camera, board and vehicle, counted.", len(health.problems))
    dropped = _counters("sink_dropped", "What a sink has lost.", "sink")
    faulty = _gauges("sink_faulty", "Whether something is wrong with a sink.", "sink")
    for name, sink in health.sinks.items():
        dropped.add_metric([name], sink.dropped)
        faulty.add_metric([name], sink.problem is not None)
    yield from (dropped, faulty)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"evenkeel_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"evenkeel_{name}", text, value)


def _gauges(name: str, text: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"evenkeel_{name}", text, labels=[label])


def _counters(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"evenkeel_{name}", text, labels=labels)
