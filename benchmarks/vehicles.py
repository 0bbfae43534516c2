"""Thousands of simulated devices in one process, each with a connection of its own and the contract's messages.

What they share with the real device is the contract: topics, payloads, QoS, retain, will, subscription. They have no
outbox and no camera. One thread drives all connections.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.limits import raise_file_limit
from benchmarks.messages import made_alert, made_health, made_state
from edge.compat import UTC
from edge.config import PublishConfig
from edge.domain import Stamp
from edge.mqtt.messages import OutboxPart, Topics
from edge.mqtt.sending import OFF, OFFLINE, ONLINE

KEEPALIVE_S = 60
KINDS = ("anger", "distress")
MISC_S = 10.0
EMPTY = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)


def stamp() -> Stamp:
    """This moment."""
    return Stamp(datetime.now(UTC), time.monotonic(), clock_synced=True)


class Vehicle:
    """One device and its connection."""

    def __init__(self, number: int, port: int, chance: random.Random) -> None:
        name = f"van-{number}"
        self._topics = Topics("evenkeel", name)
        self._chance = chance
        self._alerts = 0
        self.connected = False
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, f"evenkeel-{name}", protocol=MQTTProtocolVersion.MQTTv5, userdata=name
        )
        self.client.will_set(self._topics.availability, OFFLINE, qos=1, retain=True)
        self.client.on_socket_open = _send_at_once
        self.client.on_connect = self._on_connect
        self.client.connect("127.0.0.1", port, KEEPALIVE_S)

    @property
    def socket(self) -> socket.socket:
        """The connection's socket.

        Raises:
            ConnectionError: the broker has closed it.
        """
        if (sock := self.client.socket()) is None:
            raise ConnectionError("the broker closed a device's connection; see its log")
        return cast("socket.socket", sock)

    def say_state(self) -> None:
        """A heartbeat."""
        self._publish(self._topics.state, made_state(stamp(), f"state {time.monotonic_ns()}").payload(), retain=True)

    def say_health(self) -> None:
        """How it is."""
        problems = (f"health {time.monotonic_ns()}",)
        self._publish(self._topics.health, made_health(stamp(), EMPTY, problems).payload(), retain=True, qos=0)

    def alert(self) -> None:
        """An alert, named so that its latency can be told."""
        self._alerts += 1
        reason = f"{self._alerts} {time.monotonic_ns()}"
        alert = made_alert(stamp(), reason, sequence=self._alerts, device_id=self._topics.device_id)
        self._publish(self._topics.alert, alert.payload())

    def keep_alive(self) -> None:
        """Ping the broker where it is time."""
        self.client.loop_misc()

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        self.client.publish(topic, payload, qos=qos, retain=retain)

    def _on_connect(self, *_: Any) -> None:
        self.connected = True
        self.client.subscribe(self._topics.command("+"), qos=1)
        self._publish(self._topics.availability, ONLINE, retain=True)
        for kind in KINDS:
            self._publish(self._topics.active(kind), OFF, retain=True)
        self.say_state()


def _send_at_once(_client: paho.Client, _data: Any, sock: Any) -> None:
    # as the real device does: no waiting for the acknowledgement of what was sent before (Nagle's algorithm)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Fleet:
    """All vehicles, their connections and what is due."""

    def __init__(self, count: int, port: int, alert_period_s: float) -> None:
        self._chance = random.Random(count)  # noqa: S311 - moments, not secrets
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Callable[[], None], float]] = []
        self._vehicles: list[Vehicle] = []
        published = PublishConfig()
        for number in range(count):
            vehicle = Vehicle(number, port, self._chance)
            self._vehicles.append(vehicle)
            self._selector.register(vehicle.socket, selectors.EVENT_READ, vehicle)
            self._plan(vehicle.say_state, published.heartbeat_s)
            self._plan(vehicle.say_health, published.health_s)
            self._plan(vehicle.alert, alert_period_s)
            self._plan(vehicle.keep_alive, MISC_S)
            self._serve(0.0)

    @property
    def ready(self) -> bool:
        """Whether every vehicle is connected."""
        return all(vehicle.connected for vehicle in self._vehicles)

    def volley(self, within_s: float) -> None:
        """Have each vehicle alert once, at a moment of its own from now on."""
        for vehicle in self._vehicles:
            at = time.monotonic() + self._chance.uniform(0.0, within_s)
            heapq.heappush(self._due, (at, len(self._due), vehicle.alert, math.inf))

    def turn(self) -> None:
        """Do what is due, then wait for the network until the next thing is."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            at, number, action, period_s = heapq.heappop(self._due)
            action()
            heapq.heappush(self._due, (at + period_s, number, action, period_s))
        self._serve(max(0.0, self._due[0][0] - time.monotonic()))

    def _plan(self, action: Callable[[], None], period_s: float) -> None:
        first = time.monotonic() + self._chance.uniform(0.0, period_s)
        heapq.heappush(self._due, (first, len(self._due), action, period_s))

    def _serve(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            vehicle: Vehicle = key.data
            vehicle.client.loop_read()
            if vehicle.client.want_write():
                vehicle.client.loop_write()


def main() -> None:
    """Run until SIGTERM; print ``ready`` when all are connected."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alert-period-s", type=float, default=60.0)
    parser.add_argument("--volley-s", type=float, help="each alerts once within this time of a SIGUSR1")
    options = parser.parse_args()
    raise_file_limit(options.count)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    fleet = Fleet(options.count, options.port, options.alert_period_s)
    if options.volley_s is not None:
        signal.signal(signal.SIGUSR1, lambda *_: fleet.volley(options.volley_s))
    said = False
    while True:
        fleet.turn()
        if not said and fleet.ready:
            said = True
            print("ready", flush=True)  # noqa: T201 - for the process that waits for it


if __name__ == "__main__":
    main()
