"""Figures for Prometheus: what is read by it is what happened, and what is unknown is not told as calm."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from benchmarks.server import free_port, program
from edge import __version__
from edge.collect.meter import PrometheusMeter as CollectorMeter
from edge.config.metrics import MetricsConfig
from edge.dashboard.meter import PrometheusMeter as DashboardMeter
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Context,
    Judged,
    Level,
    Observation,
    Phase,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)
from edge.errors import UnavailableError
from edge.mqtt.messages import OutboxPart
from edge.service.health import Health, SinkHealth
from edge.service.metrics_sink import STALE_S, MetricsSink
from edge.service.sinks import Sinks
from edge.service.versions import About
from edge.timing import StageTimes

DOCS = Path(__file__).parents[2] / "docs/metrics"
ABOUT = About("litert 2", "face 1", "expression 1", "eyes 1")
HEALTH = Health(
    state=State.CALM,
    frames=900,
    dropped_frames=3,
    bad_frames=1,
    fps=14.9,
    fps_limit=15.0,
    camera_age_s=0.02,
    stages={},
    memory_mb=88.5,
    temperature_c=51.0,
    throttled=False,
    problems=("camera: dark",),
    sinks={"cab": SinkHealth(dropped=2, problem="no card")},
    context=Context(speed_kmh=36.0),
)
PATIENCE_S = 20.0


class Outlet:
    """A publisher with nothing to say; ``problem`` is why there is no broker."""

    problem: str | None = None

    def outbox_health(self) -> OutboxPart:
        return OutboxPart(depth=4, bytes=1800, dropped=0, lost=0, set_aside=0, history=7, problem=None)


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


@pytest.fixture
def sink(outlet: Outlet) -> Iterator[MetricsSink]:
    sink = MetricsSink(("127.0.0.1", 0), publisher=outlet, about=ABOUT, clock=time.monotonic)  # type: ignore[arg-type]
    yield sink
    sink.close()


def step(*transitions: Transition, **kinds: Judged) -> Step:
    state = State.CALM if all(kind.readable for kind in kinds.values()) else State.UNCERTAIN
    signals = Signals(0.0, kinds, 1.0, np.zeros(len(EXPRESSIONS), np.float32))
    return Step(Observation(0.0, Sight.FACE), signals, state, NO_REASON, transitions)


def transition(phase: Phase) -> Transition:
    return Transition(1.0, "anger", phase, Level.WARNING, 1, 0.0, 0.8, 0.8, "anger")


@pytest.fixture
def desk() -> Iterator[tuple[CollectorMeter, DashboardMeter]]:
    """The figures of a collector and of a dashboard in whose days something has happened."""
    collector = CollectorMeter("127.0.0.1", 0)
    collector.stored([0.01, None])
    collector.lost("expired", 1)
    collector.wrote(0.003, 2)
    dashboard = DashboardMeter(("127.0.0.1", 0), browsers=lambda: 3, devices=lambda: {"calm": 2, "<script>": 1})
    dashboard.broker(up=True)
    dashboard.answered(404, 0.002)
    dashboard.login("wrong")
    yield collector, dashboard
    collector.close()
    dashboard.close()


def scraped(sink: MetricsSink | CollectorMeter | DashboardMeter) -> dict[tuple[str, ...], float]:
    """Value by the sample's name and label values, in the order of the labels' names; asked for as OpenMetrics."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{sink.port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        families = text_string_to_metric_families(answer.read().decode())  # type: ignore[no-untyped-call]
        samples = [sample for family in families for sample in family.samples]
        return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in samples}


def test_a_step_and_health_are_told_in_the_units_of_open_metrics(sink: MetricsSink) -> None:
    sink.take(step(transition(Phase.START), anger=Judged(0.7, Level.WARNING), fatigue=Judged(0.1)))
    sink.probe(HEALTH)
    sink.time("step", 1.5)
    told = scraped(sink)
    assert told["evenkeel_state", "calm"] == 1
    assert told["evenkeel_state", "urgent"] == 0
    assert told["evenkeel_evidence_ratio", "anger"] == pytest.approx(0.7)
    assert (told["evenkeel_alert_level", "anger"], told["evenkeel_alert_level", "fatigue"]) == (1, 0)
    assert told["evenkeel_alerts_total", "anger", "start"] == 1
    assert told["evenkeel_alerts_total", "fatigue", "start"] == 0
    assert told["evenkeel_memory_bytes",] == 88_500_000
    assert told["evenkeel_vehicle_speed_meters_per_second",] == pytest.approx(10.0)
    assert told["evenkeel_sink_faulty", "cab"] == 1
    assert told["evenkeel_outbox_alerts",] == 4
    assert told["evenkeel_stage_seconds_bucket", "0.002", "step"] == 1
    assert told["evenkeel_stage_seconds_bucket", "0.001", "step"] == 0


def test_what_cannot_be_judged_has_no_evidence_and_no_level(sink: MetricsSink) -> None:
    sink.take(step(anger=Judged(0.0, readable=False), distress=Judged(0.6, Level.URGENT, readable=False)))
    told = scraped(sink)
    assert told["evenkeel_readable", "anger"] == 0
    assert ("evenkeel_evidence_ratio", "anger") not in told
    assert ("evenkeel_alert_level", "anger") not in told
    assert told["evenkeel_alert_level", "distress"] == 2
    assert told["evenkeel_state", "calm"] == 0


def test_before_the_first_step_nothing_is_said_of_the_driver(sink: MetricsSink, outlet: Outlet) -> None:
    outlet.problem = "connection refused"
    told = scraped(sink)
    assert told["evenkeel_broker_connected",] == 0
    assert not [name for name in told if name[0].startswith(("evenkeel_state", "evenkeel_alert", "evenkeel_evidence"))]


def test_a_service_that_decides_nothing_any_more_does_not_stay_calm(outlet: Outlet) -> None:
    now = [100.0]
    sink = MetricsSink(("127.0.0.1", 0), publisher=outlet, about=ABOUT, clock=lambda: now[0])  # type: ignore[arg-type]
    sink.take(step(transition(Phase.START), anger=Judged(0.1)))
    assert scraped(sink)["evenkeel_state", "calm"] == 1
    now[0] += STALE_S + 1
    told = scraped(sink)
    sink.close()
    assert told["evenkeel_step_age_seconds",] == STALE_S + 1
    assert told["evenkeel_alerts_total", "anger", "start"] == 1
    assert not {name for name, *_ in told} & {"evenkeel_state", "evenkeel_evidence_ratio", "evenkeel_alert_level"}


def test_in_shadow_mode_only_health_is_told(sink: MetricsSink) -> None:
    sinks = Sinks([sink], shadow=True)
    sinks.take(step(transition(Phase.START), anger=Judged(0.9, Level.URGENT)))
    sinks.probe(HEALTH)
    told = scraped(sink)
    assert told["evenkeel_frames_total",] == 900
    assert not [name for name in told if name[0].startswith(("evenkeel_state", "evenkeel_alert", "evenkeel_evidence"))]


def test_an_address_that_is_taken_is_a_problem_until_it_is_free(outlet: Outlet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sink = MetricsSink(("127.0.0.1", port), publisher=outlet, about=ABOUT, clock=time.monotonic)  # type: ignore[arg-type]
        sink.take(step(anger=Judged(0.1)))
        sink.probe(HEALTH)
        assert sink.port is None
        assert f"metrics.listen 127.0.0.1:{port}: cannot be served" in str(sink.health.problem)
    sink.probe(HEALTH)
    assert (sink.port, sink.health.problem) == (port, None)
    assert scraped(sink)["evenkeel_state", "calm"] == 1
    sink.close()


@pytest.mark.parametrize("listen", ["9464", "127.0.0.1", "127.0.0.1:70000", "http://127.0.0.1:9464", ":9464", ""])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="an address and a port are needed"):
        MetricsConfig(listen=listen)


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:9464", ("::1", 9464)), (None, None)],
)
def test_an_address_is_host_and_port(listen: str | None, address: tuple[str, int] | None) -> None:
    assert MetricsConfig(listen=listen).address == address


def test_every_sample_of_a_stage_is_counted(sink: MetricsSink) -> None:
    times = StageTimes()
    times.listener = sink.time
    for ms in (0.4, 3.0, 3.0):
        times.add("face", ms)
    told = scraped(sink)
    assert told["evenkeel_stage_seconds_count", "face"] == 3
    assert told["evenkeel_stage_seconds_sum", "face"] == pytest.approx(0.0064)


def test_a_client_that_says_nothing_holds_up_no_other(sink: MetricsSink) -> None:
    assert sink.port is not None
    idle = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(20)]
    idle[0].sendall(b"GET /metrics HTT")
    assert scraped(sink)["evenkeel_broker_connected",] == 1
    for each in idle:
        each.close()


def expressions() -> list[str]:
    """All that the dashboard and the rules ask Prometheus for."""
    dashboard = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += re.findall(r"expr: (.+)", (DOCS / "rules.yml").read_text(encoding="utf-8"))
    return [expression.replace("$instance", ".*") for expression in asked]


def test_collector_and_dashboard_tell_what_happened_in_the_units_of_open_metrics(
    desk: tuple[CollectorMeter, DashboardMeter],
) -> None:
    collector, dashboard = (scraped(each) for each in desk)
    assert collector["evenkeel_collect_alerts_stored_total",] == 2
    assert collector["evenkeel_collect_lag_seconds_count",] == 1  # of the other nobody knows
    assert collector["evenkeel_collect_alerts_lost_total", "expired"] == 1
    assert collector["evenkeel_collect_write_seconds_bucket", "0.005"] == 1
    assert collector["evenkeel_collect_messages_waiting",] == 2
    assert dashboard["evenkeel_dashboard_browsers",] == 3
    assert dashboard["evenkeel_dashboard_devices", "<script>"] == 1
    assert dashboard["evenkeel_dashboard_broker_connected",] == 1
    assert dashboard["evenkeel_dashboard_request_seconds_bucket", "0.0025", "4xx"] == 1
    assert dashboard["evenkeel_dashboard_logins_total", "wrong"] == 1
    assert dashboard["evenkeel_dashboard_logins_total", "limited"] == 0
    assert dashboard["evenkeel_dashboard_info", __version__] == 1


def test_an_address_that_is_taken_is_told_by_the_key_that_names_it(
    desk: tuple[CollectorMeter, DashboardMeter],
) -> None:
    taken = desk[0].port
    with pytest.raises(UnavailableError, match=f"dashboard.metrics 127.0.0.1:{taken}: cannot be served"):
        DashboardMeter(("127.0.0.1", taken), browsers=lambda: 0, devices=dict)
    with pytest.raises(UnavailableError, match=f"metrics.listen 127.0.0.1:{taken}: cannot be served"):
        CollectorMeter("127.0.0.1", taken, "metrics.listen")


def test_dashboard_and_rules_ask_for_figures_that_there_are(
    sink: MetricsSink, desk: tuple[CollectorMeter, DashboardMeter]
) -> None:
    sink.take(step(anger=Judged(0.7)))
    sink.probe(HEALTH)
    sink.time("age", 20)
    told = {name for each in (sink, *desk) for name, *_ in scraped(each)}
    asked = {
        name
        for expression in expressions()
        for name in re.findall(r"evenkeel_\w+", re.sub(r"\{[^}]*\}", "", expression))
    }
    assert asked
    assert asked <= told


@pytest.mark.skipif(program("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_promtool_finds_no_fault_in_figures_and_rules(
    sink: MetricsSink, desk: tuple[CollectorMeter, DashboardMeter]
) -> None:
    sink.take(step(transition(Phase.START), anger=Judged(0.7)))
    sink.probe(HEALTH)
    promtool = str(program("promtool"))
    collector, dashboard = desk
    for port in (sink.port, collector.port, dashboard.port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read()
        checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)  # noqa: S603
        ours = [line for line in checked.stderr.decode().splitlines() if line.startswith("evenkeel")]
        assert (checked.returncode, ours) == (0, [])
    for ask in (["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run([promtool, *ask], cwd=DOCS, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(program("prometheus") is None, reason="prometheus is not installed: apt-get install prometheus")
def test_a_real_prometheus_scrapes_all_and_answers_the_dashboard(
    sink: MetricsSink, desk: tuple[CollectorMeter, DashboardMeter], tmp_path: Path
) -> None:
    sink.take(step(transition(Phase.START), anger=Judged(0.7, Level.WARNING)))
    sink.probe(HEALTH)
    port = free_port()
    jobs = {"evenkeel": sink.port, "evenkeel-collect": desk[0].port, "evenkeel-dashboard": desk[1].port}
    scrapes = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{each}"]}]} for name, each in jobs.items()
    ]
    settings = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": scrapes,
        "rule_files": [str(DOCS / "rules.yml")],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
    command = [
        str(program("prometheus")), f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    log = (tmp_path / "log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as prometheus:  # noqa: S603
        try:
            (found,) = until_found(port, 'evenkeel_alerts_total{kind="anger",phase="start"} == 1')
            assert found["metric"]["instance"] == f"127.0.0.1:{sink.port}"
            for name in jobs:
                assert until_found(port, f'up{{job="{name}"}} == 1')
            for expression in expressions():
                assert ask(port, expression)["status"] == "success", expression
        finally:
            prometheus.kill()


def ask(port: int, expression: str) -> dict[str, Any]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def until_found(port: int, expression: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if found := ask(port, expression)["data"]["result"]:
                return list(found)
        except OSError:
            pass  # it has not begun to listen
        time.sleep(0.2)
    raise AssertionError(f"Prometheus found nothing for {expression} within {PATIENCE_S:g} s")


def test_a_service_that_lacks_the_speed_tells_none(sink: MetricsSink) -> None:
    sink.probe(replace(HEALTH, context=Context(), temperature_c=None, throttled=None, memory_mb=None))
    told = {name for name, *_ in scraped(sink)}
    assert not told & {"evenkeel_vehicle_speed_meters_per_second", "evenkeel_temperature_celsius", "evenkeel_throttled"}
