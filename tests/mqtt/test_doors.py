"""The same behaviour through every door: MQTT 5 and 3.1.1, passwords, TLS, client certificates, the embedded broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from benchmarks.messages import made_alert, made_health
from benchmarks.network import Network
from benchmarks.server import free_port
from edge.mqtt.client import Publisher
from edge.mqtt.messages import Topics
from edge.service.loop import board_stamp
from edge.tools.demo.broker import EmbeddedBroker

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber
    from tests.mqtt.conftest import Certificates

TOPICS = Topics("evenkeel", "van-7")
NAMES = [
    "5",
    "3.1.1",
    "5 with a password",
    "3.1.1 with a password",
    "5 with TLS and a password",
    "3.1.1 with TLS and a password",
    "5 with a client certificate",
    "3.1.1 with a client certificate",
    "embedded",
]

Publish = Callable[..., Publisher]
Subscribe = Callable[..., "Subscriber"]
Until = Callable[..., None]


@dataclass
class Door:
    """A broker and how to enter it: ``mqtt`` for the device, ``plain`` is the port of an independent subscriber."""

    port: int
    plain: int
    mqtt: dict[str, Any] = field(default_factory=dict)
    broker: Mosquitto | None = None


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    name: str = request.param
    if name != "embedded":
        yield _mosquitto_door(name, request)
        return
    pytest.importorskip("amqtt")
    with EmbeddedBroker() as broker:
        # it leaves a CONNECT of MQTT 5 without an answer
        yield Door(broker.port, broker.port, {"answer_s": 0.5})


def _mosquitto_door(name: str, request: pytest.FixtureRequest) -> Door:
    """Two listeners: one as ``name`` says, one that lets the subscriber in."""
    make_mosquitto = request.getfixturevalue("make_mosquitto")  # first: it skips where there is no mosquitto
    protocol, _, how = name.partition(" with ")
    guarded = free_port()
    mqtt: dict[str, Any] = {"protocol": protocol}
    settings, listener = "allow_anonymous true", ""
    if "password" in how:
        users: Path = request.getfixturevalue("passwords")("van-7")
        secret: Path = request.getfixturevalue("tmp_path") / "secret"
        secret.write_text("van-7\n")
        mqtt |= {"username": "van-7", "password_file": secret}
        settings = f"allow_anonymous false\npassword_file {users}"
    if "TLS" in how or "certificate" in how:
        certificates: Certificates = request.getfixturevalue("certificates")
        demands = "require_certificate true\nuse_identity_as_username true"
        with_client = "certificate" in how
        listener = certificates.listener(demands if with_client else "")
        settings = "allow_anonymous false" if with_client else settings
        mqtt["tls"] = certificates.client_tls if with_client else {"enabled": True, "ca_file": certificates.ca}
    lines = f"allow_anonymous true\nlistener {guarded} 127.0.0.1\n{listener}\n{settings}"
    broker = make_mosquitto(lines, per_listener=True)
    return Door(guarded, broker.port, mqtt, broker)


def reasons(subscriber: Subscriber) -> list[str]:
    """What the alerts were about, in the order of their first arrival."""
    received = [json.loads(payload) for payload in subscriber.payloads(TOPICS.alert)]
    first = {one["sequence"]: one["reason"] for one in reversed(received)}
    order = list(dict.fromkeys(one["sequence"] for one in received))
    assert order == sorted(order)
    return [first[sequence] for sequence in order]


def test_birth_alerts_commands_and_goodbye_pass(
    door: Door, publish_to: Publish, subscribe: Subscribe, until: Until
) -> None:
    hears = subscribe(door.plain)
    publisher = publish_to(door.port, **door.mqtt)
    hears.wait_for(TOPICS.availability, b"online")
    hears.wait_for(TOPICS.state)
    for number in range(40):
        publisher.publish_alert(made_alert(board_stamp(), str(number)))
    until(lambda: publisher.outbox_health().depth == 0, "the delivery of all")
    hears.wait_for(TOPICS.alert, count=40)
    assert reasons(hears) == [str(number) for number in range(40)]
    hears.publish(TOPICS.command("resume"), '{"id": "a"}')
    until(lambda: publisher.poll_command() is not None, "the command")
    assert publisher.stop()
    hears.wait_for(TOPICS.availability, b"offline")


def test_two_devices_of_one_name_are_told_of_each_other(
    mosquitto: Mosquitto, publish_to: Publish, until: Until
) -> None:
    first = publish_to(mosquitto.port)
    until(lambda: first.connected, "a connection")
    publish_to(mosquitto.port)
    until(lambda: "with the same device.id" in (first.problem or ""), "the word of the other one")


def test_alerts_of_an_outage_arrive_afterwards_in_order(
    door: Door, publish_to: Publish, subscribe: Subscribe, until: Until
) -> None:
    if door.broker is None:
        pytest.skip("the embedded broker lives and dies with its process")
    network = Network()
    link, port = network.link(door.port)
    publisher = publish_to(port, **door.mqtt)
    until(lambda: publisher.connected, "a connection")
    door.broker.kill()
    network.do(link.shut)
    until(lambda: not publisher.connected, "the loss")
    for number in range(30):
        publisher.publish_alert(made_alert(board_stamp(), str(number)))
    door.broker.start()
    hears = subscribe(door.plain)
    network.do(link.open)
    until(lambda: publisher.outbox_health().depth == 0, "the delivery of all")
    hears.wait_for(TOPICS.alert, count=30)
    assert reasons(hears) == [str(number) for number in range(30)]


@pytest.mark.parametrize("kept", ["persistence true\nautosave_interval 1", "persistence false"])
def test_a_restarted_broker_shows_the_present_and_not_what_it_kept(
    make_mosquitto: Callable[..., Mosquitto],
    publish_to: Publish,
    subscribe: Subscribe,
    until: Until,
    tmp_path: Path,
    kept: str,
) -> None:
    broker = make_mosquitto(f"allow_anonymous true\n{kept}\npersistence_location {tmp_path}/")
    publisher = publish_to(broker.port, unheard_s=0)
    until(lambda: publisher.connected, "a connection")
    publisher.publish_alert(made_alert(board_stamp(), "on"))
    until(lambda: publisher.outbox_health().depth == 0, "the delivery")
    broker.stop()
    until(lambda: not publisher.connected, "the loss")
    broker.start()
    late = subscribe(broker.port)
    late.wait_for(TOPICS.availability, b"online")
    late.wait_for(TOPICS.active(made_alert(board_stamp()).kind), b"ON")
    assert late.payloads(TOPICS.availability)[-1] == b"online"


@pytest.mark.parametrize(("protocol", "expires"), [("5", True), ("3.1.1", False)])
def test_with_mqtt_5_alerts_and_health_go_stale_at_the_broker_and_the_last_state_does_not(
    mosquitto: Mosquitto,
    publish_to: Publish,
    subscribe: Subscribe,
    until: Until,
    *,
    protocol: str,
    expires: bool,
) -> None:
    hears = subscribe(mosquitto.port, protocol=MQTTProtocolVersion.MQTTv5)
    publisher = publish_to(mosquitto.port, protocol=protocol)
    until(lambda: publisher.connected, "a connection")
    publisher.publish_health(made_health(board_stamp(), publisher.outbox_health()))
    publisher.publish_alert(made_alert(board_stamp()))
    for topic in (TOPICS.health, TOPICS.alert, TOPICS.state):
        hears.wait_for(topic)
    lives = {message.topic: message.expires_s for message in hears.messages}
    assert lives[TOPICS.alert] == (7 * 86_400 if expires else None)
    assert lives[TOPICS.health] == (90 if expires else None)
    assert lives[TOPICS.state] is None
