"""The demo's parts and the demo itself, on the bundled clip with the bundled models."""

from __future__ import annotations

import builtins
import io
import itertools
import re
import socket
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from typer.testing import CliRunner

from edge.cab import alsa
from edge.cli import app
from edge.compat import UTC
from edge.config import CameraConfig
from edge.domain import Kind, Level, Phase, State
from edge.errors import UnavailableError, UsageError
from edge.mqtt.messages import AlertMessage, ContextPart, KindPart, ModelsPart, StateMessage, Topics
from edge.tools.demo import demo, every_frame, run_demo
from edge.tools.demo.broker import EmbeddedBroker
from edge.tools.demo.drive import SimulatedDrive
from edge.tools.demo.every_frame import EveryFrame
from edge.tools.demo.story import Look, read_story
from edge.tools.demo.subscriber import Subscriber
from edge.tools.demo.view import View, show
from models.training.demo_clip import LENGTH_S, STORY, story_text

CLIP = Path(__file__).parents[3] / "edge/tools/demo/clip.mp4"
NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
TOPICS = Topics("evenkeel", "demo")


def alert(kind: Kind = "anger", phase: Phase = Phase.START, t: float = 0.0) -> bytes:
    """At ``t`` seconds of the clip."""
    return AlertMessage(
        time=NOW + timedelta(seconds=t),
        uptime_s=5.0,
        clock_synced=True,
        id=UUID(int=1),
        device_id="demo",
        epoch=1,
        sequence=1,
        resent=False,
        kind=kind,
        phase=phase,
        level=Level.WARNING,
        started=NOW + timedelta(seconds=t),
        duration_s=4.25,
        score=0.8,
        peak=0.9,
        expression="anger",
        reason="",
        models=ModelsPart(face="face 1", expression="expression 1"),
    ).payload()


def state(value: State, t: float = 0.0, expression: str | None = "anger", signal: float = 0.7) -> bytes:
    """At ``t`` seconds of the clip."""
    return StateMessage(
        time=NOW + timedelta(seconds=t),
        uptime_s=5.0,
        clock_synced=True,
        epoch=1,
        sequence=0,
        state=value,
        reason="",
        kinds={
            "anger": KindPart(signal=signal, level=None, readable=True),
            "distress": KindPart(signal=0.1, level=None, readable=True),
        },
        confidence=0.9,
        expression=expression,
        probabilities={},
        quality=None,
        calibrated_percent=None,
    ).payload()


def text_of(view: View) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(view.draw())
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def publish(broker: EmbeddedBroker, topic: str, payload: bytes) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.publish(topic, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_a_message_goes_through_the_embedded_broker_to_the_subscriber() -> None:
    with EmbeddedBroker() as broker, Subscriber(broker.host, broker.port, "a/#") as subscriber:
        publish(broker, "a/b", b"hello")
        assert subscriber.next(10) == ("a/b", b"hello")


def test_two_brokers_live_side_by_side_and_each_frees_its_port() -> None:
    with EmbeddedBroker() as first, EmbeddedBroker() as second:
        assert first.port != second.port
    with socket.socket() as probe:
        assert probe.connect_ex((first.host, first.port)) != 0
    assert "broker" not in {thread.name for thread in threading.enumerate()}


def test_the_broker_listens_on_the_loopback_address_only() -> None:
    with EmbeddedBroker() as broker, socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", broker.port)) != 0


def test_without_amqtt_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_amqtt(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("amqtt"):
            raise ImportError(name)
        return real_import(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_amqtt)
    with pytest.raises(UnavailableError, match=r"pip install 'evenkeel\[demo\]'"), EmbeddedBroker():
        pass


def test_a_subscriber_without_a_broker_names_the_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}"), Subscriber("127.0.0.1", port, "#"):
        pass


def test_the_view_shows_state_signals_and_alerts() -> None:
    view = View(TOPICS)
    view.take(TOPICS.availability, b"online")
    view.take(TOPICS.state, state(State.WARNING))
    view.take(TOPICS.alert, alert())
    shown = text_of(view)
    for part in ("demo: online", "warning", "0.70", "0.10", "alert anger start: warning, anger, score 0.80"):
        assert part in shown


def test_a_line_is_told_for_each_alert_and_each_change_of_state_only() -> None:
    view = View(TOPICS)
    lines = [
        view.take(topic, payload)
        for topic, payload in (
            (TOPICS.state, state(State.CALM)),
            (TOPICS.state, state(State.CALM)),
            (TOPICS.state, state(State.WARNING)),
            (TOPICS.alert, alert(phase=Phase.END)),
            (TOPICS.health, b"{}"),
        )
    ]
    assert [len(each) for each in lines] == [1, 0, 1, 1, 0]
    assert "anger end after 4.2 s" in lines[3][0]


def test_what_arrives_after_the_service_has_ended_is_still_shown() -> None:
    with EmbeddedBroker() as broker, Subscriber(broker.host, broker.port, "evenkeel/demo/#") as subscriber:
        publish(broker, TOPICS.alert, alert("distress"))
        publish(broker, TOPICS.availability, b"offline")
        view, console = View(TOPICS), Console(file=io.StringIO())
        show(view, subscriber, lambda: True, console)
    assert view.started == {"distress"}


def test_an_end_without_a_start_is_no_started_alert() -> None:
    view = View(TOPICS)
    view.take(TOPICS.alert, alert(phase=Phase.END))
    assert view.started == set()


def test_the_bundled_clip_brings_every_alert_that_it_shows_and_no_other_over_mqtt() -> None:
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(fast=True, console=console) == 0
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("alert anger start") < shown.index("alert anger end") < shown.index("alert distress start")
    assert "availability offline" in shown
    yawns = [line for line in shown.splitlines() if "a yawn is drawn, read as" in line]
    assert len(yawns) == 2
    assert all("no alert: " in line for line in yawns)
    alerts = re.findall(r"alert (\w+) (start|escalate|end)[^:]*: (\w+), (\w+)", shown)
    assert alerts == [
        ("anger", "start", "warning", "anger"),
        ("anger", "escalate", "urgent", "anger"),
        ("anger", "end", "urgent", "anger"),
        ("distress", "start", "warning", "sadness"),
        ("distress", "escalate", "urgent", "sadness"),
        ("distress", "end", "urgent", "sadness"),
        ("fatigue", "start", "warning", "microsleep"),
        ("fatigue", "escalate", "urgent", "microsleep"),
        ("fatigue", "end", "urgent", "microsleep"),
    ]


def test_the_clip_is_held_back_until_somebody_listens_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bool] = []
    moments = iter((100.0, 100.1, 100.2, 200.0, 210.1))  # made, asked twice for the second frame; made, asked
    clock = SimpleNamespace(monotonic=lambda: next(moments), sleep=lambda _: None)
    monkeypatch.setattr(every_frame, "time", clock)
    with EveryFrame(CameraConfig(source=str(CLIP)), ready=lambda: bool(heard)) as frames:
        assert frames.take(1.0, 0.0) is not None  # with it the service begins to speak
        first = frames.clock()
        assert [frames.take(1.0, 0.0) for _ in range(2)] == [None, None]
        assert frames.clock() == first
        heard.append(True)
        assert frames.take(1.0, 0.0) is not None
        heard.clear()
        assert frames.take(1.0, 0.0) is not None
    with EveryFrame(CameraConfig(source=str(CLIP)), ready=lambda: False) as frames:
        assert [frames.take(1.0, 0.0) is None for _ in range(2)] == [False, False]


YAWN = (Look("neutral", 0.0, 10.0), Look("yawn", 10.0, 14.0), Look("neutral", 14.0, 30.0))


def tell(*messages: tuple[str, bytes]) -> list[str]:
    view = View(TOPICS, YAWN)
    return [line for topic, payload in messages for line in view.take(topic, payload)]


def test_a_look_that_brings_no_alert_is_told_when_it_is_gone_as_it_was_read() -> None:
    heard = [(t, "neutral" if t < 12 else "surprise") for t in range(17)]
    lines = tell(*((TOPICS.state, state(State.CALM, t, read, 0.3 if t == 13 else 0.01)) for t, read in heard))
    (yawn,) = (line for line in lines if "yawn" in line)
    assert yawn.endswith("no alert: a yawn is drawn, read as surprise, signals up to 0.30")
    before = tell(*((TOPICS.state, state(State.CALM, t, read)) for t, read in heard[:16]))
    assert not [line for line in before if "yawn" in line]


def test_a_look_of_which_nothing_was_heard_is_not_said_to_be_read() -> None:
    lines = tell((TOPICS.state, state(State.CALM)), (TOPICS.state, state(State.CALM, 20.0)))
    assert any("a yawn is drawn, not read" in line for line in lines)


def test_an_alert_that_a_yawn_brings_is_told_with_it() -> None:
    late = (TOPICS.state, state(State.CALM, 20.0))
    lines = tell((TOPICS.state, state(State.CALM)), (TOPICS.alert, alert("distress", t=13.0)), late)
    assert any("alert distress: a yawn is drawn" in line and "no alert" not in line for line in lines)


@pytest.mark.usefixtures("espeak")
def test_with_sound_each_alert_of_the_clip_is_heard(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENKEEL_CAB__SOUND__DEVICE", "tape")
    monkeypatch.setenv("EVENKEEL_CAB__SOUND__VOLUME", "0.5")
    assert run_demo(fast=True, sound=True, console=Console(file=io.StringIO(), width=100)) == 0
    heard = np.fromfile(card, "<i2").astype(int)
    assert np.abs(heard).max() == pytest.approx(0.5 * 32767, abs=200)
    frames = np.abs(heard[: len(heard) // 2205 * 2205]).reshape(-1, 2205)
    assert (frames.max(axis=1) > 300).sum() > 30  # two offers of a break and two warnings are more than three seconds


def test_on_a_machine_without_a_card_the_demo_says_so_and_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(device: str) -> None:
        raise UnavailableError(f"sound: {device}: no such card")

    monkeypatch.setattr(alsa, "probe", absent)
    console = Console(file=io.StringIO(), width=100)
    assert not demo._audible(console).configured
    assert "the demo stays silent: sound: default: no such card" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_demo_uses_the_user_s_sound_and_no_other_output(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"SOUND__DEVICE": "plughw:1,0", "LANGUAGE": "de", "GPIO__LED": "17", "COMMAND__PROGRAM": '["/bin/warn"]'}
    for name, value in own.items():
        monkeypatch.setenv(f"EVENKEEL_CAB__{name}", value)
    monkeypatch.setattr(alsa, "probe", lambda _: None)
    cab = demo._audible(Console(file=io.StringIO()))
    assert (cab.sound.enabled, cab.sound.device, cab.language) == (True, "plughw:1,0", "de")
    assert (cab.gpio.pins, cab.button.pin, cab.command.program) == ({}, None, ())


def test_sound_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.tools.demo.run_demo", lambda **_: pytest.fail("it was played"))
    done = CliRunner().invoke(app, ["demo", "--fast", "--sound"])
    assert isinstance(done.exception, UsageError)


def test_an_alert_of_what_the_clip_does_not_show_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    story = tuple(replace(look, alert="distress") if look.alert == "anger" else look for look in read_story())
    monkeypatch.setattr(demo, "read_story", lambda: story)
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(fast=True, console=console) == 70
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert re.search(r"demo failed: an alert of anger started at 1\d\.\d s of the clip, which shows anger", shown)
    assert "no distress" not in shown


def test_the_story_beside_the_clip_is_the_one_that_it_was_made_of() -> None:
    text = CLIP.with_suffix(".toml").read_text()
    assert text == story_text(), "run make demo-clip"
    looks = read_story(text)
    assert [(look.start_s, look.end_s) for look in looks] == [
        *itertools.pairwise([*(cue.start_s for cue in STORY), LENGTH_S])
    ]
    assert {look.name for look in looks if look.is_quiet} == {"yawn"}
    assert {look.alert for look in looks if look.alert} == {"anger", "distress", "fatigue"}


def test_a_clip_without_alerts_fails_the_demo_and_says_which_are_missing(tmp_path: Path) -> None:
    clip = tmp_path / "empty_cabin.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 60, (64, 48))  # more than the service asks for
    noise = np.random.default_rng(1)
    for _ in range(90):
        writer.write(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(fast=True, console=console, clip=clip) == 70
    assert "no anger and no distress and no fatigue alert" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_bundled_clip_is_small_enough_to_ship() -> None:
    assert CLIP.stat().st_size <= 2_000_000


def test_the_simulated_speed_is_shown_and_is_one_at_which_every_kind_is_judged() -> None:
    view = View(TOPICS)
    drive = SimulatedDrive(lambda: 100.0)
    speeds = [drive.context(100.0 + t).speed_kmh for t in range(90)]
    assert all(speed is not None and 74 <= speed <= 86 for speed in speeds)
    context = ContextPart(speed_kmh=83.4, standstill=False, standing_s=None, ignition=True)
    view.take(
        TOPICS.state,
        StateMessage.model_validate_json(state(State.CALM)).model_copy(update={"context": context}).payload(),
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(view.draw())
    assert "at a simulated 83 km/h" in console.file.getvalue()  # type: ignore[attr-defined]
    told = AlertMessage.model_validate_json(alert()).model_copy(update={"context": context})
    assert view.take(TOPICS.alert, told.payload())[0].endswith("score 0.80, at 83 km/h")
