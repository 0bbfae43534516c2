"""The demo's parts and the demo itself, on the bundled clip with the bundled models."""

from __future__ import annotations

import builtins
import io
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from edge.domain import Kind, Level, Phase, State
from edge.errors import UnavailableError
from edge.mqtt.messages import AlertMessage, KindPart, ModelsPart, StateMessage, Topics
from edge.tools.demo import run_demo
from edge.tools.demo.broker import EmbeddedBroker
from edge.tools.demo.subscriber import Subscriber
from edge.tools.demo.view import View, show

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
TOPICS = Topics("evenkeel", "demo")


def alert(kind: Kind = "anger", phase: Phase = Phase.START) -> bytes:
    return AlertMessage(
        time=NOW,
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
        started=NOW,
        duration_s=4.25,
        score=0.8,
        peak=0.9,
        expression="anger",
        reason="",
        models=ModelsPart(face="face 1", expression="expression 1"),
    ).payload()


def state(value: State) -> bytes:
    return StateMessage(
        time=NOW,
        uptime_s=5.0,
        clock_synced=True,
        epoch=1,
        sequence=0,
        state=value,
        reason="",
        kinds={
            "anger": KindPart(signal=0.7, level=None, readable=True),
            "distress": KindPart(signal=0.1, level=None, readable=True),
        },
        confidence=0.9,
        expression="anger",
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
    assert [line is not None for line in lines] == [True, False, True, True, False]
    assert "anger end after 4.2 s" in str(lines[3])


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


def test_the_bundled_clip_brings_both_alerts_over_mqtt() -> None:
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(fast=True, console=console) == 0
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("alert anger start") < shown.index("alert anger end") < shown.index("alert distress start")
    assert "availability offline" in shown


def test_a_clip_without_alerts_fails_the_demo_and_says_which_are_missing(tmp_path: Path) -> None:
    clip = tmp_path / "empty_cabin.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 60, (64, 48))  # more than the service asks for
    noise = np.random.default_rng(1)
    for _ in range(90):
        writer.write(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    console = Console(file=io.StringIO(), width=100)
    assert run_demo(fast=True, console=console, clip=clip) == 70
    assert "no anger and no distress alert arrived over MQTT" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_bundled_clip_is_small_enough_to_ship() -> None:
    clip = Path(__file__).parents[3] / "edge/tools/demo/clip.mp4"
    assert clip.stat().st_size <= 2_000_000
