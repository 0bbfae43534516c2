"""A kind of alert defined here alone is decided, configured, traced, replayed, published, discovered and tuned."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from edge.board.clock import uptime_s
from edge.camera import Source
from edge.camera.newest import NewestFrame
from edge.compat import Self
from edge.config import Config, load_config
from edge.decision.decider import Decider
from edge.decision.judge import Judge, JudgeSettings, Moment, register, unregister
from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    EYES,
    UNKNOWN_CONTEXT,
    Context,
    Face,
    Frame,
    Observation,
    Phase,
    Quality,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    State,
    Step,
    Transition,
)
from edge.errors import ConfigError
from edge.mqtt.client import Publisher
from edge.mqtt.outbox import Outbox
from edge.service.loop import Service, board_stamp
from edge.service.mqtt_sink import MqttSink
from edge.service.versions import About
from edge.timing import StageTimes
from edge.traces.replay import replay as replay_trace
from edge.traces.trace import TraceWriter, read_trace
from edge.tuning.report import write_report
from edge.tuning.tune import sections, tune
from edge.words import say
from tests.awake import AWAKE


class TurnedSettings(JudgeSettings):
    """Alert for a driver who looks aside."""

    turn_deg: float = Field(default=40.0, gt=0, le=90, description="Turn that counts, degrees.")
    hold_s: float = Field(default=2.0, ge=0, le=60, description="Time that starts an alert, seconds.")

    def tried(self) -> Iterator[Self]:
        """Shorter and longer times."""
        for hold_s in (0.5, 1.5, 2.0, 4.0):
            yield self.model_copy(update={"hold_s": hold_s})


class TurnedJudge(Judge):
    """Judges how long the driver looks aside; standing still it does not matter."""

    kind = "turned_away"
    Settings = TurnedSettings
    _turned_s = 0.0
    _share = 0.0

    @property
    def signal(self) -> float:
        return self._share

    def update(self, moment: Moment, *, beside: bool) -> Transition | None:
        del beside
        quality, now = moment.observation.quality, moment.interval
        self.readable = quality is not None
        self.episode.wait(now.elapsed_s)
        turn_deg = 0.0 if quality is None else abs(quality.yaw)
        self._share = min(turn_deg / 90.0, 1.0)
        turned = turn_deg >= self.settings.turn_deg and moment.context.standstill is not True
        self._turned_s = self._turned_s + now.spoken_s if turned else 0.0
        self.episode.rise(self.signal)
        if self.level is not None:
            return None if turned else self.end(now.t, ReasonCode.CALM)
        if self._turned_s >= self.settings.hold_s and self.episode.cooled_s >= self.settings.cool_down_s:
            return self.episode.start(now.t, self.signal, self.signal)
        return None


@pytest.fixture(autouse=True)
def _toy() -> Iterator[None]:
    register(TurnedJudge)
    yield
    unregister(TurnedJudge.kind)


TURNED = ((20.0, 30.0), (60.0, 66.0))
"""When the driver of a minute and a half looks aside, seconds; and for a second at 45."""


def look(t: float) -> Observation:
    yaw = 55.0 if any(a <= t < b for a, b in (*TURNED, (45.0, 46.0))) else 5.0
    face = Face((10.0, 10.0, 80.0, 90.0), np.zeros((5, 2), np.float32), 0.9)
    calm = Reading.expression(np.eye(len(EXPRESSIONS), dtype=np.float32)[0])
    return Observation(
        t, Sight.FACE, face, Quality(0.4, 0.3, 85.0, yaw, 0.0, 0.0, 1.0), {EXPRESSION: calm, EYES: AWAKE}
    )


def drive(config: Config, context: Context = UNKNOWN_CONTEXT) -> list[Step]:
    decider = Decider(config)
    return [decider.update(look(n / 10), context) for n in range(900)]


def starts(steps: list[Step]) -> list[float]:
    return [round(each.t) for step in steps for each in step.transitions if each.phase is Phase.START]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "drive.jsonl"
    with TraceWriter(path) as writer:
        for step in drive(Config()):
            writer.write(step)
    return path


def test_it_is_decided_beside_the_shipped_kinds() -> None:
    steps = drive(Config())
    assert starts(steps) == [22, 62]
    assert {each.kind for step in steps for each in step.transitions} == {"turned_away"}
    assert list(steps[0].signals.kinds) == ["anger", "distress", "fatigue", "turned_away"]
    assert (steps[250].state, say(steps[250].reason)) == (State.WARNING, "turned_away")


def test_it_is_told_of_the_vehicle() -> None:
    assert starts(drive(Config(), Context(standstill=True))) == []


def test_it_is_configured_by_its_own_keys(tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text("[alerts.turned_away]\nhold_s = 0.5\n")
    assert starts(drive(load_config(path, {}))) == [20, 45, 60]
    assert starts(drive(load_config(path, {"EVENKEEL_ALERTS__TURNED_AWAY__ENABLED": "false"}))) == []
    path.write_text("[alerts.turned_away]\nhold = 0.5\n")
    with pytest.raises(
        ConfigError, match=r"turned_away\.hold: unknown key; did you mean hold_s\? known here: cool_down"
    ):
        load_config(path, {})


def test_it_is_traced_and_replayed(trace: Path, tmp_path: Path) -> None:
    assert next(line for line in read_trace(trace) if line.t == 25.0).signals["turned_away"] == pytest.approx(
        55 / 90, abs=1e-4
    )
    events = tmp_path / "events.jsonl"
    assert replay_trace(trace, Config(), events=events).alerts == {
        "anger": 0,
        "distress": 0,
        "fatigue": 0,
        "turned_away": 2,
    }
    first = json.loads(events.read_text().splitlines()[0])
    assert (first["kind"], first["phase"], first["expression"]) == ("turned_away", "start", None)


def test_it_is_tuned(trace: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("start,end,kind\n" + "".join(f"{a},{b},turned_away\n" for a, b in TURNED))
    tuning = tune([trace], labels, Config(), max_false_per_hour=1000.0)
    tried = {each.settings.hold_s: each.score for each in tuning.points if isinstance(each.settings, TurnedSettings)}
    assert {hold_s: (score.found, score.false_alarms) for hold_s, score in tried.items()} == {
        0.5: (2, 1),
        1.5: (2, 0),
        2.0: (2, 0),
        4.0: (2, 0),
    }
    assert "[alerts.turned_away]\n" in sections(tuning.config)
    write_report(tuning, tmp_path / "report.html")
    assert "turned_away" in (tmp_path / "report.html").read_text()


class Aside:
    """A pipeline that sees the driver look aside from the first frame on."""

    def __init__(self, config: Config) -> None:
        self.decider = Decider(config)

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
        seen = look(25.0)
        return self.decider.update(replace(seen, t=frame.t), context)

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:
        return self.decider.update(Observation(t, sight, reason=Reason.told(reason)), context)

    def reconfigure(self, config: Config) -> None:
        raise AssertionError(f"nobody asked for {config}")


def test_it_is_published_and_home_assistant_is_told_of_it(
    mosquitto: Any, subscribe: Callable[..., Any], tmp_path: Path, quiet_parts: dict[str, Any]
) -> None:
    settings = {"device": {"id": "van-7"}, "mqtt": {"port": mosquitto.port}, "outbox": {"path": str(tmp_path / "o.db")}}
    config = Config.model_validate(settings | {"alerts": {"turned_away": {"hold_s": 0.2}}, "camera": {"fps": 50}})
    subscriber = subscribe(mosquitto.port, "#")
    with closing(Outbox.from_config(config, {}, board_stamp())) as outbox:
        publisher = Publisher(config, outbox, clock=board_stamp, environ={})
        about = About("litert", "face 1", "expression 1", "eyes 1")
        speak = MqttSink(
            config,
            publisher=publisher,
            about=about,
            entropy=lambda: bytes(10),
            clock=uptime_s,
            stamp=board_stamp,
        )
        service = Service(config, pipeline=Aside(config), publisher=publisher, sinks=[speak], **quiet_parts)
        thread = threading.Thread(target=service.run)
        thread.start()
        alert = json.loads(subscriber.wait_for("evenkeel/van-7/alert"))
        subscriber.wait_for("evenkeel/van-7/alert/turned_away", b"ON")
        told = ("driver", "kind-turned_away")
        driver, kind = (
            json.loads(subscriber.wait_for(f"homeassistant/device/van-7_e-{part}/config"))["cmps"] for part in told
        )
        service.stop()
        subscriber.wait_for("evenkeel/van-7/availability", b"offline")
        thread.join()
    assert (alert["kind"], alert["phase"], alert["level"]) == ("turned_away", "start", "warning")
    assert kind["turned_away"]["name"] == "Turned away"
    assert "turned_away_start" in driver["alert"]["evt_typ"]


@pytest.fixture
def quiet_parts() -> dict[str, Any]:
    """What a service needs besides: a camera, and nobody to notify."""

    class Camera(Source):
        def read(self, timeout_s: float) -> Frame:
            del timeout_s
            threading.Event().wait(0.02)
            return Frame(np.zeros((48, 64), np.uint8), uptime_s())

    class Nobody:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_, **__: None

    config = Config()
    return {
        "frames": NewestFrame(Camera, config.camera),
        "notifier": Nobody(),
        "reload": lambda: config,
        "times": StageTimes(),
        "memory": Nobody(),
    }
