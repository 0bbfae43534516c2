"""Speed and ignition by topics of a real mosquitto."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.mosquitto import Mosquitto
from edge.board.clock import uptime_s
from edge.config import Config, MqttConfig
from edge.config.vehicle import MqttSourceConfig, VehicleConfig
from edge.vehicle import Vehicle


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


@contextmanager
def sender(port: int) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_topic_tells_speed_and_ignition_and_nonsense_on_it_is_refused(mosquitto: Mosquitto, protocol: str) -> None:
    source = MqttSourceConfig(
        speed_topic="van/gps",
        speed_pointer="/speed",
        speed_unit="m/s",
        ignition_topic="van/ignition",
    )
    config = Config(
        mqtt=MqttConfig.model_validate({"host": "127.0.0.1", "port": mosquitto.port, "protocol": protocol}),
        vehicle=VehicleConfig(mqtt=source),
    )
    with sender(mosquitto.port) as client, Vehicle.from_config(config, {}, uptime_s) as vehicle:

        def told(payload: object, *, retain: bool = False) -> None:
            client.publish("van/gps", json.dumps(payload), retain=retain).wait_for_publish(5)

        def speed() -> float | None:
            return vehicle.context(uptime_s()).speed_kmh

        def said() -> bool:
            told({"speed": 20.0})
            return speed() == 72.0

        eventually(said)
        client.publish("van/ignition", "on").wait_for_publish(5)
        eventually(lambda: vehicle.context(uptime_s()).ignition is True)
        nonsense: tuple[object, ...] = ({"speed": "20"}, {"speed": 1e9}, {}, [], "x")
        for each in nonsense:
            told(each)
        eventually(lambda: vehicle.health(uptime_s())["mqtt"].refused == 5)
        assert speed() in (72.0, None)
        eventually(said)


def test_what_a_broker_retains_is_of_an_earlier_time_and_ignored(mosquitto: Mosquitto) -> None:
    for protocol in ("5", "3.1.1"):
        config = Config(
            mqtt=MqttConfig.model_validate({"host": "127.0.0.1", "port": mosquitto.port, "protocol": protocol}),
            vehicle=VehicleConfig(mqtt=MqttSourceConfig(speed_topic="van/speed", ignition_topic="van/ignition")),
        )
        with sender(mosquitto.port) as client:
            client.publish("van/ignition", "off", retain=True).wait_for_publish(5)
            with Vehicle.from_config(config, {}, uptime_s) as vehicle:

                def moves(vehicle: Vehicle = vehicle, client: paho.Client = client) -> bool:
                    client.publish("van/speed", "50").wait_for_publish(5)
                    return vehicle.context(uptime_s()).speed_kmh == 50.0

                eventually(moves)
                assert vehicle.context(uptime_s()).ignition is None


def test_a_broker_that_is_not_there_is_said() -> None:
    config = Config(
        mqtt=MqttConfig(host="127.0.0.1", port=9),
        vehicle=VehicleConfig(mqtt=MqttSourceConfig(speed_topic="van/speed")),
    )
    with Vehicle.from_config(config, {}, uptime_s) as vehicle:
        eventually(lambda: vehicle.health(uptime_s())["mqtt"].problem is not None)
        assert "broker 127.0.0.1:9: refused" in (vehicle.health(uptime_s())["mqtt"].problem or "")


@pytest.mark.parametrize("topic", ["van/+", "van/#", "van\0"])
def test_a_filter_is_no_topic(topic: str) -> None:
    with pytest.raises(ValueError, match="one topic is needed"):
        MqttSourceConfig(speed_topic=topic)
