"""An independent receiver: keeps every alert with its age on arrival, and the ages of states and health."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert as it came. ``name`` is the decision's, ``latency_ms`` from the decision to here."""

    device: str
    sequence: int
    name: str
    payload: bytes
    latency_ms: float


class Receiver:
    """Subscribes to all devices below ``prefix``, to what ``names`` says. ``connect`` connects anew each time."""

    def __init__(
        self, port: int, prefix: str = "evenkeel", names: Sequence[str] = ("alert", "state", "health")
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.count = 0
        self.state_ms: list[float] = []
        self.health_ms: list[float] = []
        self._port = port
        self._prefix = prefix
        self._names = names
        self._client: paho.Client | None = None
        self._gone = threading.Event()

    def connect(self) -> None:
        """Take what the last connection still holds, then subscribe on a new one; returns when that stands."""
        self.close()
        subscribed, self._gone = threading.Event(), threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        gone = self._gone
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_disconnect = lambda *_: gone.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        client.subscribe([(f"{self._prefix}/+/{name}", 1) for name in self._names])
        if not subscribed.wait(DEADLINE_S):
            raise TimeoutError(f"no subscription within {DEADLINE_S:g} s")
        self._client = client

    def close(self) -> None:
        """End the connection after everything that the broker had sent on it was read."""
        if self._client is None:
            return
        if self._client.is_connected():
            self._client.disconnect()
        self._gone.wait(DEADLINE_S)
        self._client.loop_stop()
        self._client = None

    def drain(self) -> None:
        """Read what a killed broker had still sent; returns when the connection has ended."""
        self._gone.wait(DEADLINE_S)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        self.count += 1
        device, kind = message.topic.split("/")[1:3]
        content = json.loads(message.payload)
        if kind == "alert":
            name, decided_ns = content["reason"].split()
            latency_ms = (now_ns - int(decided_ns)) / 1e6
            self.arrivals.append(Arrival(device, content["sequence"], name, bytes(message.payload), latency_ms))
        elif not message.retain:  # a retained one is as old as it is
            words = content["reason"] if kind == "state" else content["problems"][0]
            if " " in words:  # the first state of a device carries no time
                ages = self.state_ms if kind == "state" else self.health_ms
                ages.append((now_ns - int(words.split()[1])) / 1e6)
