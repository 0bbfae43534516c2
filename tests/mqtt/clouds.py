"""Brokers in the cloud, as strict as their documents say: a device that passes a limit is told so and cut off.

Nothing here has ever spoken to the real ones. Each limit is one that the provider documents (``edge/mqtt/CLOUD.md``
names where); what happens beyond it is the harshest of what is documented: the connection ends.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.mqtt.reasons import NO_QOS, NO_RETAIN, TOO_LARGE
from tests.mqtt.rights import POLICIES, Rights
from tests.mqtt.scripted import CLOSE, CONNECT, PUBLISH, SUBSCRIBE, Later, Packet, connack, disconnect, puback

KIB = 1024
ROUND_TRIP_S = 0.03
NOT_AUTHORISED, TOPIC_INVALID, TOO_FAST, TOO_MANY = 135, 144, 150, 147
ID_INVALID, QUOTA = 133, 151


@dataclass(frozen=True)
class Cloud:
    """One provider's limits; None: it has none that a device could meet. ``policy`` names the file that is in force."""

    name: str
    policy: str
    client_id_bytes: int = 65_535
    keepalive_s: tuple[int, int] = (0, 65_535)
    packet_bytes: int | None = None
    payload_bytes: int | None = None
    retained_bytes: int | None = None
    topic_bytes: int = 65_535
    levels: int | None = None
    filters_at_once: int | None = None
    filters: int | None = None
    window: int = 65_535
    window_bytes: int | None = None
    publish_hz: int | None = None
    connect_hz: float | None = None
    qos: int = 2
    retain: bool = True
    user_properties: bool = True
    needs_user: bool = False

    def connack(self) -> bytes:
        """Its answer to a CONNECT of MQTT 5."""
        told: dict[str, int] = {"ReceiveMaximum": self.window, "RetainAvailable": int(self.retain)}
        if self.qos < 2:
            told["MaximumQoS"] = self.qos
        if self.packet_bytes is not None:
            told["MaximumPacketSize"] = self.packet_bytes
        return connack(**told)


AWS = Cloud(
    "AWS IoT Core",
    "aws",
    client_id_bytes=128,
    keepalive_s=(30, 1200),
    payload_bytes=128 * KIB,
    topic_bytes=256,
    levels=8,
    filters_at_once=8,
    filters=50,
    window=100,
    publish_hz=100,
    connect_hz=1,
    qos=1,
)
AZURE = Cloud(
    "Azure Event Grid",
    "azure",
    client_id_bytes=128,
    keepalive_s=(0, 1160),
    packet_bytes=512 * KIB,
    retained_bytes=64 * KIB,
    topic_bytes=256,
    levels=8,
    filters_at_once=10,
    filters=50,
    window=1000,
    window_bytes=64 * KIB,
    publish_hz=1000,
    connect_hz=1,
    qos=1,
    user_properties=False,
    needs_user=True,
)
HIVEMQ = Cloud("HiveMQ", "hivemq", packet_bytes=5 * KIB * KIB, window=10, needs_user=True)
EMQX = Cloud(
    "EMQX Serverless",
    "emqx",
    client_id_bytes=1024,
    packet_bytes=KIB * KIB,
    retained_bytes=KIB * KIB,
    levels=10,
    filters=10,
    window=32,
    publish_hz=10,
    needs_user=True,
)
CLOUDS = (AWS, AZURE, HIVEMQ, EMQX)
STRICTEST = Cloud(
    "all of them at once, retaining nothing",
    "aws",
    client_id_bytes=128,
    keepalive_s=(30, 1160),
    packet_bytes=128 * KIB,
    payload_bytes=64 * KIB,
    topic_bytes=256,
    levels=8,
    filters_at_once=8,
    filters=10,
    window=10,
    window_bytes=64 * KIB,
    publish_hz=10,
    qos=1,
    retain=False,
    user_properties=False,
)


@dataclass
class Guard:
    """A script for ``ScriptedBroker`` that lets nothing beyond the limits pass; ``faults`` are what was beyond."""

    cloud: Cloud
    device: str = "van-7"
    clock: Callable[[], float] = time.monotonic
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rights: Rights = POLICIES[self.cloud.policy](self.device)
        self._lock = threading.Lock()
        self._unanswered: dict[tuple[int, int], int] = {}
        self._credit = float(self.cloud.publish_hz or 0)
        self._published_at: float | None = None
        self._connected: deque[float] = deque()
        self._filters: set[tuple[int, str]] = set()

    def __call__(self, got: Packet) -> bytes | Later | None:
        with self._lock:
            if got.kind == CONNECT:
                return self._connect(got)
            if got.kind == PUBLISH:
                return self._publish(got)
            return self._subscribe(got) if got.kind == SUBSCRIBE else None

    def _connect(self, got: Packet) -> bytes:
        cloud, now = self.cloud, self.clock()
        least, most = cloud.keepalive_s
        too_soon = bool(cloud.connect_hz and self._connected and now - self._connected[-1] < 1 / cloud.connect_hz)
        self._connected.append(now)
        wrong = [
            (len(got.client_id.encode()) > cloud.client_id_bytes, ID_INVALID, f"client id {got.client_id!r}"),
            (not least <= got.keepalive_s <= most, QUOTA, f"keep-alive of {got.keepalive_s} s"),
            (got.user_properties and not cloud.user_properties, NOT_AUTHORISED, "user properties"),
            (cloud.needs_user and got.user != self.device, NOT_AUTHORISED, f"user {got.user!r}"),
            (not self.rights.connect(got.client_id), NOT_AUTHORISED, f"client id {got.client_id!r} by the policy"),
            (bool(got.will_topic) and not self.rights.will, NOT_AUTHORISED, "a last will by the policy"),
            (bool(got.will_topic) and not self.rights.publish(got.will_topic), NOT_AUTHORISED, "the will's topic"),
            (got.will_qos > cloud.qos, NO_QOS, "the will's QoS"),
            (too_soon, 159, "a connection right after another"),
        ]
        for is_wrong, code, what in wrong:
            if is_wrong:
                self.faults.append(what)
                return connack(code)
        if got.will_retain and not cloud.retain:  # no fault: a client cannot know it before
            return connack(NO_RETAIN)
        if got.will_retain and not self.rights.retain(got.will_topic):
            self.faults.append("a retained will by the policy")
            return connack(NOT_AUTHORISED)
        return cloud.connack()

    def _publish(self, got: Packet) -> bytes | Later | None:
        cloud, now = self.cloud, self.clock()
        too_fast = self._is_too_fast(now)
        if got.qos:
            self._unanswered[got.connection, got.mid] = got.size
        on_their_way = [size for (connection, _), size in self._unanswered.items() if connection == got.connection]
        bounds = [
            (got.qos > cloud.qos, NO_QOS, f"QoS {got.qos}"),
            (got.retain and not cloud.retain, NO_RETAIN, "a retained message"),
            (_beyond(got.size, cloud.packet_bytes), TOO_LARGE, f"a packet of {got.size} bytes"),
            (_beyond(len(got.payload), cloud.payload_bytes), TOO_LARGE, f"a payload of {len(got.payload)} bytes"),
            (got.retain and _beyond(len(got.payload), cloud.retained_bytes), TOO_LARGE, "too much to retain"),
            (len(got.topic.encode()) > cloud.topic_bytes, TOPIC_INVALID, f"a topic of {len(got.topic)} characters"),
            (_beyond(got.topic.count("/") + 1, cloud.levels), TOPIC_INVALID, f"the depth of {got.topic}"),
            (len(on_their_way) > cloud.window, TOO_MANY, f"{len(on_their_way)} messages on their way"),
            (_beyond(sum(on_their_way), cloud.window_bytes), TOO_MANY, f"{sum(on_their_way)} bytes on their way"),
            (too_fast, TOO_FAST, f"more than {cloud.publish_hz} messages a second"),
            (not self.rights.publish(got.topic), NOT_AUTHORISED, f"{got.topic} by the policy"),
            (got.retain and not self.rights.retain(got.topic), NOT_AUTHORISED, f"{got.topic} retained by the policy"),
        ]
        for is_beyond, code, what in bounds:
            if is_beyond:
                self.faults.append(what)
                return disconnect(code)
        return Later(ROUND_TRIP_S, puback(got.mid), lambda: self._answered(got)) if got.qos else None

    def _is_too_fast(self, now: float) -> bool:
        """Counted as providers do, in a bucket that holds a second's messages; so what came late is no fault."""
        if self.cloud.publish_hz is None:
            return False
        since_s = 0.0 if self._published_at is None else now - self._published_at
        self._published_at = now
        self._credit = min(self._credit + since_s * self.cloud.publish_hz, self.cloud.publish_hz) - 1
        return self._credit < 0

    def _answered(self, got: Packet) -> None:
        with self._lock:
            self._unanswered.pop((got.connection, got.mid), None)

    def _subscribe(self, got: Packet) -> bytes | None:
        cloud = self.cloud
        self._filters |= {(got.connection, one) for one in got.filters}
        own = [one for connection, one in self._filters if connection == got.connection]
        bounds = [
            (_beyond(len(got.filters), cloud.filters_at_once), f"{len(got.filters)} filters in one SUBSCRIBE"),
            (_beyond(len(own), cloud.filters), f"{len(own)} subscriptions"),
            (any(_beyond(one.count("/") + 1, cloud.levels) for one in got.filters), f"the depth of {got.filters}"),
            (not all(map(self.rights.subscribe, got.filters)), f"{', '.join(got.filters)} by the policy"),
        ]
        for is_beyond, what in bounds:
            if is_beyond:
                self.faults.append(what)
                return CLOSE
        return None


def _beyond(value: int, most: int | None) -> bool:
    return most is not None and value > most
