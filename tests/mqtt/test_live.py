"""What is live reaches a real broker while somebody asks for it, and only then; nobody waits for it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import jsonschema
import numpy as np
import pytest

from benchmarks.messages import made_alert, made_health, made_outbox
from edge.config import Config
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Context,
    Judged,
    Level,
    Observation,
    Reason,
    ReasonCode,
    Sight,
    Signals,
    Stamp,
    State,
    Step,
)
from edge.mqtt.client import Publisher
from edge.mqtt.messages import LiveMessage, OutboxPart, Topics, live_message
from edge.mqtt.schemas import schema_text
from edge.service.live_sink import LiveSink
from edge.service.loop import board_stamp
from edge.service.sinks import Sinks

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")
OUTBOX = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
Publish = Callable[..., Publisher]
Subscribe = Callable[..., "Subscriber"]


def step(confidence: float = 1.0) -> Step:
    """A driver whose anger is on, whose eyes cannot be read."""
    kinds = {
        "anger": Judged(0.81, Level.WARNING),
        "fatigue": Judged(0.3, readable=False, reason=Reason(ReasonCode.EYES_UNREADABLE)),
    }
    signals = Signals(1.0, kinds, confidence, np.full(len(EXPRESSIONS), 1 / 9, np.float32))
    return Step(Observation(1.0, Sight.NO_FACE), signals, State.WARNING, NO_REASON, (), Context(speed_kmh=82.413))


class Watched:
    """A publisher to which somebody listens; ``taken`` is what it was given."""

    def __init__(self, *, watched: bool = True) -> None:
        self.watched = watched
        self.taken: list[Callable[[], LiveMessage]] = []

    def publish_live(self, message: Callable[[], LiveMessage]) -> None:
        self.taken.append(message)


def never() -> Stamp:
    raise AssertionError("nobody wants to know the time")


def asked(desk: Subscriber, seconds: float, count: int = 1) -> dict[str, Any]:
    """The device's answer."""
    desk.publish(TOPICS.command("live"), json.dumps({"seconds": seconds, "id": "desk"}))
    told: dict[str, Any] = json.loads(desk.wait_for(TOPICS.result("live"), count=count))
    return told


def test_what_cannot_be_judged_or_is_not_known_is_null() -> None:
    told = json.loads(live_message(step(confidence=0.0), board_stamp()).payload())
    assert told["signals"] == {"anger": 0.81, "fatigue": None}
    assert told["levels"] == {"anger": "warning", "fatigue": None}
    assert (told["expression"], told["probabilities"], told["eyes"], told["quality"]) == (None, None, None, None)
    assert told["speed_kmh"] == 82.41


def test_of_a_fast_camera_fifteen_messages_a_second_are_offered() -> None:
    now = 0.0
    outlet = Watched()
    sink = LiveSink(outlet, lambda: now, board_stamp)  # type: ignore[arg-type]
    for number in range(60 * 10):
        now = number / 60
        sink.take(step())
    assert 15 * 10 <= len(outlet.taken) <= 15 * 10 + 1  # both ends of the ten seconds


def test_a_message_tells_when_its_step_was_decided_however_late_it_is_made() -> None:
    begin = board_stamp()
    now = 100.0
    outlet = Watched()

    def stamp() -> Stamp:
        passed_s = now - 100.0
        return replace(begin, time=begin.time + timedelta(seconds=passed_s), uptime_s=begin.uptime_s + passed_s)

    LiveSink(outlet, lambda: now, stamp).take(step())  # type: ignore[arg-type]
    now = 103.0
    made = outlet.taken[0]()
    assert (made.time, made.clock_synced) == (begin.time, begin.clock_synced)
    assert made.uptime_s == pytest.approx(begin.uptime_s)


def test_the_moment_is_looked_up_where_the_message_is_made_so_that_no_step_waits_for_it() -> None:
    outlet = Watched()
    LiveSink(outlet, lambda: 0.0, never).take(step())  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        outlet.taken[0]()


def test_while_nobody_watches_a_step_costs_a_question_and_no_more() -> None:
    outlet = Watched(watched=False)
    LiveSink(outlet, MagicMock(side_effect=AssertionError), never).take(step())  # type: ignore[arg-type]
    assert outlet.taken == []


def test_in_shadow_mode_no_step_reaches_it() -> None:
    outlet = Watched()
    Sinks([LiveSink(outlet, lambda: 0.0, board_stamp)], shadow=True).take(step())  # type: ignore[arg-type]
    assert outlet.taken == []


def test_nothing_is_sent_before_somebody_asks_nor_after_it_is_over(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)

    def offer() -> None:
        publisher.publish_live(lambda: live_message(step(), board_stamp()))

    def after(name: str) -> list[bytes]:
        """What was live by the time that a message sent now arrives."""
        publisher.publish_alert(made_alert(board_stamp(), name))
        desk.wait(lambda: any(name.encode() in each for each in desk.payloads(TOPICS.alert)), name)
        return desk.payloads(TOPICS.live)

    desk.wait_for(TOPICS.availability, b"online")
    assert not publisher.watched
    offer()
    assert after("nobody has asked") == []

    assert asked(desk, 1.0)["message"] == "live for 1 s"
    assert publisher.watched
    offer()
    payload = desk.wait_for(TOPICS.live)
    jsonschema.validate(json.loads(payload), json.loads(schema_text("live")))
    sent = next(message for message in desk.messages if message.topic == TOPICS.live)
    assert (sent.qos, sent.retained) == (0, False)

    until(lambda: not publisher.watched, "the end of what was asked for")
    offer()
    assert after("it is over") == [payload]
    late = subscribe(mosquitto.port, TOPICS.name + "/#")
    late.wait_for(TOPICS.state)
    assert late.payloads(TOPICS.live) == []


def test_a_shorter_question_does_not_end_what_another_has_asked_for(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    desk.wait_for(TOPICS.availability, b"online")
    asked(desk, 60)
    assert asked(desk, 0.001, count=2)["ok"] is True
    assert publisher.watched


def test_in_shadow_mode_the_question_is_refused(mosquitto: Mosquitto, subscribe: Subscribe, tmp_path: Path) -> None:
    mqtt = {"host": "127.0.0.1", "port": mosquitto.port}
    config = Config.model_validate({"device": {"id": "van-7"}, "mqtt": mqtt, "alerts": {"shadow": True}})
    outbox = made_outbox(tmp_path / "outbox.db", board_stamp())
    desk = subscribe(mosquitto.port)
    with Publisher(config, outbox, clock=board_stamp, environ={}) as publisher:
        desk.wait_for(TOPICS.availability, b"online")
        answer = asked(desk, 30)
        assert (answer["ok"], answer["id"]) == (False, "desk")
        assert "alerts.shadow" in answer["message"]
        assert not publisher.watched
    outbox.close()


def test_a_broker_that_hangs_has_one_message_made_and_the_newest_when_it_is_back(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port, answer_s=60)
    desk.wait_for(TOPICS.availability, b"online")
    asked(desk, 60)
    made: list[int] = []

    def make(number: int) -> LiveMessage:
        made.append(number)
        return live_message(step(), board_stamp())

    os.kill(mosquitto.pid, signal.SIGSTOP)
    try:
        publisher.publish_live(lambda: make(0))
        until(lambda: made == [0], "the first message")
        for number in range(1, 1000):
            publisher.publish_live(lambda number=number: make(number))  # type: ignore[misc]
        publisher.publish_alert(made_alert(board_stamp(), "behind none of them"))
        assert made == [0]
    finally:
        os.kill(mosquitto.pid, signal.SIGCONT)
    desk.wait_for(TOPICS.live, count=2)
    assert made == [0, 999]
    desk.wait_for(TOPICS.alert)


def test_a_broker_that_is_gone_has_none_made(
    mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe, until: Callable[..., None]
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    desk.wait_for(TOPICS.availability, b"online")
    asked(desk, 60)
    mosquitto.kill()
    until(lambda: not publisher.connected, "the loss of the broker")
    assert not publisher.watched
    publisher.publish_live(MagicMock(side_effect=AssertionError("of an earlier time")))
    mosquitto.start()
    until(lambda: publisher.connected, "the broker")
    publisher.publish_health(made_health(board_stamp(), OUTBOX))
    later = subscribe(mosquitto.port)
    later.wait_for(TOPICS.health)
    assert publisher.watched  # what was asked for holds over a lost connection
    publisher.publish_live(lambda: live_message(step(), board_stamp()))
    later.wait_for(TOPICS.live)


@pytest.mark.parametrize("payload", ["x" * 2000, "{}", '{"seconds": 61}', '{"seconds": "30"}', "[1]", "\0"])
def test_a_wrong_question_is_answered_and_starts_nothing(
    payload: str, mosquitto: Mosquitto, publish_to: Publish, subscribe: Subscribe
) -> None:
    desk = subscribe(mosquitto.port)
    publisher = publish_to(mosquitto.port)
    desk.wait_for(TOPICS.availability, b"online")
    desk.publish(TOPICS.command("live"), payload)
    assert json.loads(desk.wait_for(TOPICS.result("live")))["ok"] is False
    assert not publisher.watched
