"""What MQTT 5 adds to a message: what it is, and an answer where its sender asked for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from benchmarks.messages import made_alert, made_health
from edge.config import Config
from edge.mqtt.client import Publisher
from edge.mqtt.commands import CommandError, check_reply
from edge.mqtt.extras import Reply
from edge.mqtt.messages import OutboxPart, Topics
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

TOPICS = Topics("evenkeel", "van-7")
NAME = "evenkeel/van-7"
V5 = MQTTProtocolVersion.MQTTv5

Publish = Callable[..., Publisher]
Subscribe = Callable[..., "Subscriber"]


def obey(publisher: Publisher, until: Callable[..., None]) -> None:
    """Answer the next command."""
    taken = []

    def came() -> bool:
        if (command := publisher.poll_command()) is not None:
            taken.append(command)
        return bool(taken)

    until(came, "a command")
    publisher.answer(taken[0], ok=True, message="done")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_json_says_so_where_the_broker_speaks_mqtt_5(
    mosquitto: Mosquitto, subscribe: Subscribe, publish_to: Publish, until: Callable[..., None], protocol: str
) -> None:
    receiver = subscribe(mosquitto.port, protocol=V5)
    publisher = publish_to(mosquitto.port, protocol=protocol)
    receiver.wait_for("homeassistant/device/van-7/config")
    publisher.publish_alert(made_alert(board_stamp()))
    publisher.publish_health(made_health(board_stamp(), OutboxPart(depth=0, bytes=0, dropped=0, problem=None)))
    receiver.publish(TOPICS.command("resume"))
    obey(publisher, until)
    for topic in (TOPICS.alert, TOPICS.health, TOPICS.result("resume")):
        receiver.wait_for(topic)
    came = {one.topic: one for one in receiver.messages if one.topic != TOPICS.command("resume")}
    is_json = {topic: one.payload.startswith(b"{") for topic, one in came.items()}
    assert {topic for topic, is_so in is_json.items() if not is_so} == {
        TOPICS.availability,
        *(TOPICS.active(kind) for kind in ("anger", "distress", "fatigue")),
    }
    said = {topic: (one.content_type, one.is_utf8) for topic, one in came.items()}
    told = ("application/json", True) if protocol == "5" else (None, False)
    assert said == {topic: told if is_so else (None, False) for topic, is_so in is_json.items()}


def test_an_answer_goes_to_the_response_topic_with_its_correlation_data_and_to_the_usual_topic(
    mosquitto: Mosquitto, subscribe: Subscribe, publish_to: Publish, until: Callable[..., None]
) -> None:
    publisher = publish_to(mosquitto.port)
    sender = subscribe(mosquitto.port, protocol=V5)
    sender.wait_for(TOPICS.availability, b"online")
    sender.publish(TOPICS.command("resume"), '{"id": "a1"}', ResponseTopic="desk/replies", CorrelationData=b"\0\xff7")
    obey(publisher, until)
    usual, asked = sender.wait_for(TOPICS.result("resume")), sender.wait_for("desk/replies")
    assert usual == asked
    assert json.loads(asked)["id"] == "a1"
    answers = [one for one in sender.messages if one.topic in ("desk/replies", TOPICS.result("resume"))]
    assert [(one.correlation, one.retained) for one in answers] == [(b"\0\xff7", False)] * 2


def test_the_device_answers_resend_and_what_it_refuses_on_the_response_topic_too(
    mosquitto: Mosquitto, subscribe: Subscribe, publish_to: Publish
) -> None:
    publisher = publish_to(mosquitto.port)
    sender = subscribe(mosquitto.port, protocol=V5)
    sender.wait_for(TOPICS.availability, b"online")
    asked = json.dumps({"epoch": publisher.newest.epoch, "from": 1, "id": "r"})
    sender.publish(TOPICS.command("resend"), asked, ResponseTopic=f"{NAME}/reply/desk")
    assert json.loads(sender.wait_for(f"{NAME}/reply/desk"))["id"] == "r"
    sender.publish(TOPICS.command("pause"), '{"seconds": 1e9, "id": "p"}', ResponseTopic=f"{NAME}/reply/desk")
    answer = json.loads(sender.wait_for(f"{NAME}/reply/desk", count=2))
    assert (answer["ok"], answer["id"]) == (False, "p")


def test_an_answer_is_sent_once_where_the_response_topic_is_the_usual_one(
    mosquitto: Mosquitto, subscribe: Subscribe, publish_to: Publish, until: Callable[..., None]
) -> None:
    publisher = publish_to(mosquitto.port)
    sender = subscribe(mosquitto.port, protocol=V5)
    sender.wait_for(TOPICS.availability, b"online")
    usual = TOPICS.result("resume")
    sender.publish(TOPICS.command("resume"), ResponseTopic=usual, CorrelationData=b"1")
    obey(publisher, until)
    sender.publish(TOPICS.command("resume"), ResponseTopic=usual, CorrelationData=b"2")
    obey(publisher, until)
    sender.wait_for(usual, count=2)
    assert [one.correlation for one in sender.messages if one.topic == usual] == [b"1", b"2"]


def test_a_command_without_properties_is_answered_as_ever_in_mqtt_3(
    mosquitto: Mosquitto, subscribe: Subscribe, publish_to: Publish, until: Callable[..., None]
) -> None:
    publisher = publish_to(mosquitto.port, protocol="3.1.1")
    sender = subscribe(mosquitto.port, protocol=V5)
    sender.wait_for(TOPICS.availability, b"online")
    # the broker leaves out what a device of MQTT 3.1.1 cannot be told
    sender.publish(TOPICS.command("resume"), ResponseTopic="desk/replies", CorrelationData=b"7")
    obey(publisher, until)
    sender.wait_for(TOPICS.result("resume"))
    sender.publish("marker")
    sender.wait_for("marker")
    assert sender.payloads("desk/replies") == []


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("evenkeel/van-8/command/pause", "not for answers"),
        ("evenkeel/van-7/alert", "not for answers"),
        ("evenkeel/van-7/command/pause", "not for answers"),
        ("evenkeel/van-7/command/resume/result", "not for answers"),
        ("evenkeel", "not for answers"),
        ("homeassistant/device/van-7/config", "not for answers"),
        ("$SYS/broker", "no name of a topic"),
        ("desk/#", "no name of a topic"),
        ("desk/+", "no name of a topic"),
        ("evenkeel/van-7/reply/#", "no name of a topic"),
        ("evenkeel/van-7/reply/\0", "no name of a topic"),
        ("", "no name of a topic"),
        ("x" * 257, "257 characters"),
        ("evenkeel/van-7/reply/" + "x" * 240, "characters"),
    ],
)
def test_a_device_answers_on_no_topic_where_that_could_be_taken_for_something_else(topic: str, why: str) -> None:
    config = Config.model_validate({"device": {"id": "van-7"}})
    with pytest.raises(CommandError, match=why):
        check_reply(config, "pause", Reply(topic))
    for allowed in ("desk/replies", "evenkeel-desk/replies", "evenkeel/van-7/reply/a/b", TOPICS.result("pause"), None):
        check_reply(config, "pause", Reply(allowed, b"x" * 256))
    with pytest.raises(CommandError, match="257 bytes"):
        check_reply(config, "pause", Reply("desk/replies", b"x" * 257))


def test_what_asks_for_an_answer_in_a_wrong_place_does_nothing_and_hears_why_in_the_usual_one(
    mosquitto: Mosquitto, subscribe: Subscribe, publish_to: Publish
) -> None:
    publisher = publish_to(mosquitto.port)
    sender = subscribe(mosquitto.port, protocol=V5)
    sender.wait_for(TOPICS.availability, b"online")
    sender.publish(TOPICS.command("resume"), '{"id": "a"}', ResponseTopic=f"{NAME}/command/pause", CorrelationData=b"1")
    answer = json.loads(sender.wait_for(TOPICS.result("resume")))
    assert (answer["ok"], answer["id"]) == (False, "a")
    assert "not for answers" in answer["message"]
    assert publisher.poll_command() is None
    assert sender.payloads(TOPICS.command("pause")) == []


def test_a_broker_that_refuses_the_response_topic_is_no_problem_of_the_device(
    make_mosquitto: Callable[..., Mosquitto],
    subscribe: Subscribe,
    publish_to: Publish,
    until: Callable[..., None],
    tmp_path: Path,
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic readwrite {NAME}/#\ntopic read forbidden/#\n")
    acl.chmod(0o600)
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {acl}")
    publisher = publish_to(broker.port, discovery=False)
    sender = subscribe(broker.port, protocol=V5)
    sender.wait_for(TOPICS.availability, b"online")
    for number in range(3):
        sender.publish(TOPICS.command("resume"), ResponseTopic=f"forbidden/{number}")
        obey(publisher, until)
        sender.wait_for(TOPICS.result("resume"), count=number + 1)
    publisher.publish_alert(made_alert(board_stamp()))
    until(lambda: publisher.outbox_health().depth == 0, "the delivery")
    assert publisher.problems == ()
