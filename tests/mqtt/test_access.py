"""The access lists that are shipped, and the bridge, on a real mosquitto: who may say and hear what."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

import edge.mqtt
from benchmarks.messages import made_alert, made_health
from edge.mqtt.client import Publisher
from edge.mqtt.messages import OutboxPart
from edge.service.loop import board_stamp

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

SHIPPED = Path(edge.mqtt.__file__).parent / "mosquitto"
EVERYTHING = "\nuser tester\ntopic readwrite #\n"
OWN = (
    "availability",
    "state",
    "alert",
    "alert/anger",
    "alert/distress",
    "health",
    "live",
    "episode/7/1",
    "command/pause/result",
    "reply/desk",
)

Guarded = Callable[..., "Mosquitto"]
Publish = Callable[..., Publisher]
Subscribe = Callable[..., "Subscriber"]


@pytest.fixture
def guarded(make_mosquitto: Callable[..., Mosquitto], passwords: Callable[..., Path], tmp_path: Path) -> Guarded:
    """A broker with a shipped access list and its users; ``tester`` may do everything."""

    def make(acl: str, *users: str) -> Mosquitto:
        file = tmp_path / acl
        file.write_text((SHIPPED / acl).read_text() + EVERYTHING)
        file.chmod(0o600)
        password_file = passwords("tester", *users)
        return make_mosquitto(f"allow_anonymous false\npassword_file {password_file}\nacl_file {file}")

    return make


def may_say(broker: Mosquitto, user: str, topics: list[str]) -> dict[str, bool]:
    """What the broker answers to a message on each topic, with MQTT 5's reason codes."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(user, user)
    answers: dict[int, bool] = {}
    changed = threading.Condition()

    def on_publish(_client: Any, _data: Any, mid: int, code: Any, _properties: Any) -> None:
        with changed:
            answers[mid] = not code.is_failure
            changed.notify()

    client.on_publish = on_publish
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    asked = {client.publish(topic, "x", qos=1).mid: topic for topic in topics}
    with changed:
        assert changed.wait_for(lambda: len(answers) == len(asked), 10)
    client.disconnect()
    client.loop_stop()
    return {topic: answers[mid] for mid, topic in asked.items()}


def heard(broker: Mosquitto, subscribe: Subscribe, user: str, topics: list[str], filters: str = "#") -> set[str]:
    """Which of these topics reach a user who subscribes to ``filters``."""
    listener, tester = subscribe(broker.port, filters, user=(user, user)), subscribe(broker.port, user=("tester",) * 2)
    for topic in topics:
        tester.publish(topic, "x")
        tester.wait_for(topic)
    readable = f"evenkeel/van-7/{'command/zzz' if user in ('evenkeel', 'van-7') else 'alert'}"
    tester.publish(readable, "end")
    listener.wait_for(readable, b"end")
    return {message.topic for message in listener.messages if message.payload == b"x"}


def everything_is_taken(publisher: Publisher, hears: Subscriber, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        hears.wait_for("evenkeel/van-7/availability", b"online")
        publisher.publish_alert(made_alert(board_stamp(), "a"))
        publisher.publish_health(made_health(board_stamp(), OutboxPart(depth=0, bytes=0, dropped=0, problem=None)))
        hears.wait_for("evenkeel/van-7/alert")
        for topic in ("availability", "state", "health", "alert/anger", "alert/distress"):
            hears.wait_for(f"evenkeel/van-7/{topic}")
        hears.publish("evenkeel/van-7/command/pause", '{"seconds": -1}')
        answer = json.loads(hears.wait_for("evenkeel/van-7/command/pause/result"))
        assert answer["ok"] is False
    assert "refuses" not in caplog.text


def test_on_the_vehicle_the_monitor_may_do_all_that_it_does(
    guarded: Guarded, publish_to: Publish, subscribe: Subscribe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = guarded("vehicle.acl", "evenkeel", "homeassistant")
    secret = tmp_path / "secret"
    secret.write_text("evenkeel\n")
    hears = subscribe(broker.port, user=("homeassistant", "homeassistant"))
    publisher = publish_to(broker.port, username="evenkeel", password_file=secret, protocol="5")
    everything_is_taken(publisher, hears, caplog)
    hears.wait_for("homeassistant/device/van-7_e-health/config")


def test_on_the_vehicle_the_monitor_may_not_command_and_a_display_may_say_nothing(guarded: Guarded) -> None:
    broker = guarded("vehicle.acl", "evenkeel", "display", "homeassistant")
    topics = ["evenkeel/van-7/command/pause", "homeassistant/status", "evenkeel/van-7/alert", "other"]
    assert may_say(broker, "evenkeel", topics) == dict(zip(topics, [False, False, True, False], strict=True))
    assert not any(may_say(broker, "display", topics).values())
    assert may_say(broker, "homeassistant", topics) == dict(zip(topics, [True, True, False, False], strict=True))


def test_on_the_vehicle_a_display_hears_states_and_alerts_but_no_commands(
    guarded: Guarded, subscribe: Subscribe
) -> None:
    broker = guarded("vehicle.acl", "display", "evenkeel")
    said = ["evenkeel/van-7/state", "evenkeel/van-7/alert/anger", "evenkeel/van-7/command/pause", "other"]
    assert heard(broker, subscribe, "display", said) == {said[0], said[1]}
    assert heard(broker, subscribe, "evenkeel", said) == {said[2]}


def test_in_the_fleet_a_vehicle_may_do_all_that_it_does(
    guarded: Guarded, publish_to: Publish, subscribe: Subscribe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = guarded("fleet.acl", "van-7", "fleet-operator")
    secret = tmp_path / "secret"
    secret.write_text("van-7\n")
    hears = subscribe(broker.port, user=("fleet-operator", "fleet-operator"))
    publisher = publish_to(broker.port, discovery=False, username="van-7", password_file=secret, protocol="5")
    everything_is_taken(publisher, hears, caplog)


def test_in_the_fleet_a_vehicle_speaks_for_itself_alone(guarded: Guarded) -> None:
    broker = guarded("fleet.acl", "van-7", "fleet-reader", "fleet-operator")
    own = [f"evenkeel/van-7/{name}" for name in (*OWN, "link")]
    others = [f"evenkeel/van-8/{name}" for name in (*OWN, "link")]
    commands = ["evenkeel/van-7/command/pause", "evenkeel/van-8/command/pause"]
    assert all(may_say(broker, "van-7", own).values())
    assert not any(may_say(broker, "van-7", others + commands).values())
    assert not any(may_say(broker, "fleet-reader", own + commands).values())
    assert all(may_say(broker, "fleet-operator", commands).values())
    assert not any(may_say(broker, "fleet-operator", own).values())


def test_in_the_fleet_a_vehicle_hears_its_own_commands_alone(guarded: Guarded, subscribe: Subscribe) -> None:
    broker = guarded("fleet.acl", "van-7", "fleet-reader")
    said = ["evenkeel/van-7/command/pause", "evenkeel/van-8/command/pause", "evenkeel/van-8/state", "other"]
    assert heard(broker, subscribe, "van-7", said) == {said[0]}
    assert heard(broker, subscribe, "fleet-reader", said) == set(said[:3])


def test_readers_that_share_a_subscription_get_every_alert_once(guarded: Guarded, subscribe: Subscribe) -> None:
    broker = guarded("fleet.acl", "fleet-reader")
    share = "$share/archive/evenkeel/+/alert"
    v5 = MQTTProtocolVersion.MQTTv5
    readers = [subscribe(broker.port, share, user=("fleet-reader",) * 2, protocol=v5) for _ in range(2)]
    tester = subscribe(broker.port, user=("tester", "tester"))
    for number in range(20):
        tester.publish("evenkeel/van-7/alert", str(number))

    def received() -> list[bytes]:
        return [payload for reader in readers for payload in reader.payloads("evenkeel/van-7/alert")]

    tester.wait(lambda: len(received()) >= 20, "all alerts")
    assert sorted(received(), key=int) == [str(number).encode() for number in range(20)]
    assert all(reader.messages for reader in readers)


def bridge_to(port: int) -> str:
    """The bridge of the shipped configuration, to a broker on this machine instead of the fleet's with TLS."""
    text = (SHIPPED / "vehicle.conf").read_text()
    lines = text[text.index("connection fleet") :].replace("fleet.example:8883", f"127.0.0.1:{port}").splitlines()
    return "\n".join(line for line in lines if not line.startswith(("bridge_cafile", "bridge_certfile", "bridge_key")))


def test_alerts_cross_the_bridge_also_those_of_a_time_without_network(
    guarded: Guarded, make_mosquitto: Callable[..., Mosquitto], publish_to: Publish, subscribe: Subscribe
) -> None:
    fleet = guarded("fleet.acl", "van-7", "fleet-operator")
    bridge = bridge_to(fleet.port) + "\nremote_password van-7"
    vehicle = make_mosquitto(f"allow_anonymous true\n{bridge}")
    publisher = publish_to(vehicle.port)
    desk = subscribe(fleet.port, user=("fleet-operator",) * 2)
    desk.wait_for("evenkeel/van-7/link", b"1")
    desk.wait_for("evenkeel/van-7/state")
    publisher.publish_alert(made_alert(board_stamp(), "before"))
    desk.wait_for("evenkeel/van-7/alert")
    desk.publish("evenkeel/van-7/command/pause", '{"seconds": -1}')
    desk.wait_for("evenkeel/van-7/command/pause/result")

    fleet.kill()
    onboard = subscribe(vehicle.port)
    for name in ("first", "second"):
        publisher.publish_alert(made_alert(board_stamp(), name))
    onboard.wait_for("evenkeel/van-7/alert", count=2)
    fleet.start()
    later = subscribe(fleet.port, user=("fleet-operator",) * 2)
    later.wait_for("evenkeel/van-7/alert", count=2)
    alerts = [json.loads(payload)["reason"] for payload in later.payloads("evenkeel/van-7/alert")]
    assert alerts == ["first", "second"]


def test_a_retained_command_that_a_bridge_brings_is_not_obeyed(
    guarded: Guarded, make_mosquitto: Callable[..., Mosquitto], publish_to: Publish, subscribe: Subscribe
) -> None:
    """The device is connected before the bridge brings it, so the broker on board sends it as it comes."""
    fleet = guarded("fleet.acl", "van-7", "fleet-operator")
    vehicle = make_mosquitto(f"allow_anonymous true\n{bridge_to(fleet.port)}\nremote_password van-7")
    publisher = publish_to(vehicle.port)
    desk = subscribe(fleet.port, user=("fleet-operator",) * 2)
    onboard = subscribe(vehicle.port)
    desk.wait_for("evenkeel/van-7/link", b"1")
    desk.wait_for("evenkeel/van-7/state")
    desk.publish("evenkeel/van-7/command/pause", '{"seconds": 60}', retain=True)
    onboard.wait_for("evenkeel/van-7/command/pause")
    desk.publish("evenkeel/van-7/command/pause", '{"seconds": -1}')
    desk.wait_for("evenkeel/van-7/command/pause/result")  # of the second one: it was taken up, so the first had come
    assert publisher.poll_command() is None
