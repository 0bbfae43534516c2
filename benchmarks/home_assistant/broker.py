"""What the broker has heard and keeps, as a client that listens to everything sees it."""

from __future__ import annotations

import re
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

SETTLE_S = 2.0


def retained(port: int) -> dict[str, bytes]:
    """All that the broker retains, by topic."""
    found: dict[str, bytes] = {}
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("#")
    client.on_message = lambda _client, _data, message: found.__setitem__(message.topic, bytes(message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    time.sleep(SETTLE_S)
    client.disconnect()
    client.loop_stop()
    return found


def subscriptions(log: str, below: str) -> dict[str, set[int]]:
    """From mosquitto's log: with which QoS each topic that starts with ``below`` was subscribed."""
    found: dict[str, set[int]] = {}
    for topic, qos in re.findall(r"\t(\S+) \(QoS (\d)\)", log):
        if topic.startswith(below):
            found.setdefault(topic, set()).add(int(qos))
    return found
