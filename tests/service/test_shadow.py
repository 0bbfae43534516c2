"""Shadow mode: everything is decided and counted, nothing but health is said; the report tells what would have been."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.board.clock import uptime_s
from edge.camera import Source
from edge.camera.newest import NewestFrame
from edge.cli import app
from edge.compat import UTC
from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    EYES,
    UNKNOWN_CONTEXT,
    Context,
    Face,
    Frame,
    Observation,
    Quality,
    Reading,
    Reason,
    Sight,
    Stamp,
    Step,
)
from edge.errors import UnavailableError
from edge.mqtt.client import Publisher
from edge.mqtt.discovery import descriptions
from edge.mqtt.messages import ShadowPart
from edge.mqtt.outbox import Outbox
from edge.service.loop import Service, board_stamp, build_service
from edge.service.mqtt_sink import MqttSink
from edge.service.shadow_sink import SPAN_S, ShadowSink
from edge.service.versions import About
from edge.timing import StageTimes
from edge.traces.shadow import ShadowLine, report_shadow
from tests.awake import AWAKE
from tests.mqtt.described import in_full

FPS = 5
STAMP = Stamp(datetime(2026, 1, 1, tzinfo=UTC), 1.0, clock_synced=True)
SHADOW = Config.model_validate({"device": {"id": "van-7"}, "alerts": {"shadow": True}})


def look(t: float, anger: float) -> Observation:
    probabilities = np.zeros(len(EXPRESSIONS), np.float32)
    probabilities[EXPRESSIONS.index("anger")], probabilities[0] = anger, 1.0 - anger
    face = Face((10.0, 10.0, 80.0, 90.0), np.zeros((5, 2), np.float32), 0.9)
    quality = Quality(0.4, 0.3, 85.0, 0.0, 0.0, 0.0, 1.0)
    return Observation(t, Sight.FACE, face, quality, {EXPRESSION: Reading.expression(probabilities), EYES: AWAKE})


class Night:
    """A sink in shadow mode, and a driver whom the real decision watches."""

    def __init__(self, path: Path, config: Config = SHADOW) -> None:
        self.t = 0.0
        self.config = config
        self.decider = Decider(config)
        self.sink = ShadowSink(path, lambda: self.config, clock=lambda: self.t, stamp=lambda: STAMP)

    def see(self, seconds: float, anger: float | None, context: Context | None = None) -> None:
        for _ in range(round(seconds * FPS)):
            self.t += 1 / FPS
            seen = Observation(self.t, Sight.NO_FACE) if anger is None else look(self.t, anger)
            self.sink.take(self.decider.update(seen, context or Context()))


def test_what_would_have_been_said_is_counted_a_driven_hour(tmp_path: Path) -> None:
    path = tmp_path / "shadow.jsonl"
    night = Night(path)
    night.see(60.0, 0.05)
    night.see(20.0, 0.9)
    night.see(520.0, 0.05)
    night.see(600.0, None)
    night.see(600.0, 0.05, Context(standstill=True))
    night.sink.close()
    report = report_shadow([path])
    anger = report.kinds["anger"]
    assert report.hours == pytest.approx(600 / 3600, rel=0.02)
    assert (anger.alerts, anger.urgent, anger.ends) == (1, 1, {"calm": 1})
    assert anger.longest_s == pytest.approx(anger.alert_s, abs=0.5)
    assert night.sink.alerts == {"anger": 1, "distress": 0, "fatigue": 0}
    assert night.sink.hours == pytest.approx(report.hours)
    assert len(path.read_text().split()) >= 1800 / SPAN_S


def test_a_report_keeps_to_the_newest_settings_and_names_lines_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "shadow.jsonl"
    for config in (SHADOW, Config.model_validate(SHADOW.model_dump() | {"alerts": {"shadow": True}, "states": {}})):
        night = Night(path, config)
        night.see(60.0, 0.05)
        night.sink.close()
    other = ShadowLine.model_validate_json(path.read_text().splitlines()[0])
    old = other.model_copy(update={"settings": "before", "driven_s": 7200.0})
    path.write_text(f"{old.model_dump_json(by_alias=True)}\ncut off\n{path.read_text()}")
    report = report_shadow([path])
    assert report.other_s == pytest.approx(7200.0)
    assert report.hours == pytest.approx(120 / 3600, rel=0.05)
    assert report.faults == (f"{path}:2: not a line of a shadow record; line left out",)
    assert "2.00 hours under other settings" in report.lines()[1]


def test_what_was_driven_before_a_reload_is_not_counted_under_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "shadow.jsonl"
    night = Night(path)
    night.see(120.0, 0.05)
    alerts = {"shadow": True, "anger": {"enter": 0.9}}
    night.config = Config.model_validate(SHADOW.model_dump(exclude={"alerts"}) | {"alerts": alerts})
    night.decider.reconfigure(night.config)
    night.see(60.0, 0.05)
    night.sink.close()
    report = report_shadow([path])
    assert report.other_s == pytest.approx(120, abs=1)
    assert report.hours * 3600 == pytest.approx(60, abs=1)
    assert night.sink.hours * 3600 == pytest.approx(180, abs=1)


def test_a_record_that_is_not_there_or_empty_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"no such record; run the service with alerts\.shadow = true"):
        report_shadow([tmp_path / "shadow.jsonl"])
    (tmp_path / "shadow.jsonl").write_text("\n")
    with pytest.raises(UnavailableError, match="nothing was driven yet"):
        report_shadow([tmp_path / "shadow.jsonl"])


def test_the_command_reports_the_record_beside_the_outbox(tmp_path: Path) -> None:
    night = Night(tmp_path / "shadow.jsonl")
    night.see(60.0, 0.05)
    night.see(10.0, 0.9)
    night.see(10.0, 0.05)
    night.sink.close()
    config = tmp_path / "evenkeel.toml"
    config.write_text(f'[outbox]\npath = "{tmp_path / "outbox.db"}"\n')
    result = CliRunner().invoke(app, ["tune", "--shadow", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert "0.02 driven hours of van-7; nothing of this was published" in result.output
    assert "calm 1" in result.output


@pytest.mark.parametrize(
    ("arguments", "why"), [([], "name the traces to tune on"), (["drive.jsonl"], "--labels is missing")]
)
def test_without_it_traces_and_labels_are_asked_for(arguments: list[str], why: str) -> None:
    result = CliRunner().invoke(app, ["tune", *arguments])
    assert result.exit_code != 0
    assert why in str(result.exception)


def test_home_assistant_is_told_of_health_alone_and_to_remove_the_rest() -> None:
    components = in_full(descriptions(SHADOW, "0.2"))["components"]
    assert components["anger"] == {"platform": "binary_sensor"}
    assert components["state"] == {"platform": "sensor"}
    assert components["anger_started"] == {"platform": "device_automation"}
    assert components["fps"]["state_topic"] == "evenkeel/van-7/health"
    told = [component.get("state_topic") for component in components.values() if len(component) > 1]
    assert set(told) == {"evenkeel/van-7/health"}


class Angry:
    """A pipeline that sees a driver who is calm and then angry, in a hurry."""

    def __init__(self, config: Config) -> None:
        self.decider = Decider(config)
        self.started = threading.Event()
        self._number = itertools.count()

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
        number = next(self._number)
        step = self.decider.update(replace(look(frame.t, 0.05 if number < 150 else 0.9), t=number / FPS), context)
        if step.transitions:
            self.started.set()
        return step

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:
        return self.decider.update(Observation(t, sight, reason=Reason.told(reason)), context)

    def reconfigure(self, config: Config) -> None:
        raise AssertionError(f"nobody asked for {config}")


class Still(Source):
    def read(self, timeout_s: float) -> Frame:
        del timeout_s
        threading.Event().wait(0.002)
        return Frame(np.zeros((48, 64), np.uint8), uptime_s())


def test_a_subscriber_hears_health_alone_and_what_was_retained_before_is_cleared(
    mosquitto: Any, subscribe: Callable[..., Any], tmp_path: Path
) -> None:
    settings = {"mqtt": {"port": mosquitto.port}, "outbox": {"path": str(tmp_path / "outbox.db")}}
    more = {"publish": {"health_s": 1, "heartbeat_s": 1}, "camera": {"fps": 120}}
    config = Config.model_validate(settings | more | {"device": {"id": "van-7"}, "alerts": {"shadow": True}})
    subscriber = subscribe(mosquitto.port, "#")
    for topic, payload in (("state", '{"state": "urgent"}'), ("alert/anger", "ON")):
        subscriber.publish(f"evenkeel/van-7/{topic}", payload, retain=True)
    with closing(Outbox.from_config(config, {}, board_stamp())) as outbox:
        publisher = Publisher(config, outbox, clock=board_stamp, environ={})
        shadow = ShadowSink(tmp_path / "shadow.jsonl", lambda: config, uptime_s, board_stamp)
        speak = MqttSink(
            config,
            publisher=publisher,
            about=About("litert", "face 1", "expression 1", "eyes 1"),
            entropy=lambda: bytes(10),
            clock=uptime_s,
            stamp=board_stamp,
            shadow=lambda: ShadowPart(driven_h=shadow.hours, alerts=shadow.alerts),
        )
        pipeline = Angry(config)
        service = Service(
            config,
            frames=NewestFrame(Still, config.camera),
            pipeline=pipeline,
            publisher=publisher,
            notifier=MagicMock(),
            sinks=[speak, shadow],
            memory=MagicMock(),
            reload=lambda: config,
            times=StageTimes(),
        )
        thread = threading.Thread(target=service.run)
        thread.start()
        subscriber.wait_for("evenkeel/van-7/availability", b"online")
        assert pipeline.started.wait(15)
        subscriber.wait(
            lambda: any(b'"anger":1' in each for each in subscriber.payloads("evenkeel/van-7/health")), "the count"
        )
        service.stop()
        subscriber.wait_for("evenkeel/van-7/availability", b"offline")
        thread.join(10)
        assert outbox.newest.sequence == 0
    assert subscriber.payloads("evenkeel/van-7/state") == [b'{"state": "urgent"}', b""]
    assert subscriber.payloads("evenkeel/van-7/alert/anger") == [b"ON", b""]
    assert subscriber.payloads("evenkeel/van-7/alert") == []
    later = subscribe(mosquitto.port, "#")
    later.wait_for("evenkeel/van-7/health")
    assert not later.payloads("evenkeel/van-7/state")
    assert report_shadow([tmp_path / "shadow.jsonl"]).kinds["anger"].alerts == 1


@pytest.mark.parametrize("shadow", [True, False])
def test_in_shadow_mode_there_is_nothing_in_the_cab_that_could_speak_or_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shadow: bool
) -> None:
    for name in ("Pipeline", "About"):  # no models are needed for this
        monkeypatch.setattr(f"edge.service.loop.{name}", MagicMock())
    made = MagicMock()
    monkeypatch.setattr("edge.service.loop.CabSink", made)
    settings = {
        "alerts": {"shadow": shadow},
        "cab": {"sound": {"enabled": True}, "gpio": {"led": 17}, "command": {"program": ["/bin/true"]}},
        "outbox": {"path": str(tmp_path / "outbox.db")},
    }
    config = Config.model_validate(settings)
    with build_service(config, reload=lambda: config):
        assert made.called is not shadow
