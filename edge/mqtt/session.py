"""One connection to the broker, from its first byte to its last, driven by one thread.

Each connection has a paho client of its own. So nothing is left over inside paho when a connection ends: what must not
get lost waits in the outbox and in the publisher's slots, and is sent again. All calls of paho and all its callbacks
happen in the thread that runs ``Session.run``; other threads only ``Wake`` it.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Protocol, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import MqttConfig
from edge.mqtt.reasons import NOT_MQTT, WRONG_VERSION, explain_error, explain_loss, explain_refusal
from edge.mqtt.security import Credentials

_log = logging.getLogger(__name__)

WINDOW = 16
"""Messages of QoS 1 on their way at once; below mosquitto's default of 20 (``max_inflight_messages``)."""

ANSWER_S = 5.0
"""Longest wait for the TCP connection, for the TLS handshake and for CONNACK, each."""

TICK_S = 0.5
MAX_PACKET_BYTES = 8192
"""Told to an MQTT 5 broker; a command is far smaller."""


class Wake:
    """Ends another thread's wait in ``select``."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.settimeout(0)

    def set(self) -> None:
        """Wake the other thread, now or when it next waits."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well as one byte more
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Forget all wakings so far."""
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)

    def fileno(self) -> int:
        """For ``select``."""
        return self._reader.fileno()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of QoS 1 on its way. ``place`` is set where it is an alert: its place in the outbox."""

    topic: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended. ``other_version``: the peer may well understand another version of MQTT."""

    reason: str
    other_version: bool = False
    connected_s: float = 0.0


class Owner(Protocol):
    """What a session asks and tells its publisher, always in the session's thread."""

    @property
    def stopping(self) -> bool:
        """Whether a connection that does not stand yet should be given up."""

    def established(self, session: Session) -> None:
        """The broker has accepted the connection."""

    def pump(self, session: Session) -> None:
        """Send what is to be sent; called after every event and at least every TICK_S."""

    def acknowledged(self, delivery: Delivery, refusal: str | None) -> None:
        """The broker has answered for a message; ``refusal`` tells why it does not take it."""

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """A message has arrived."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class Session:
    """One connection. ``free`` tells how many more messages may be sent, ``under_way`` which topics await an answer."""

    def __init__(
        self,
        config: MqttConfig,
        protocol: MQTTProtocolVersion,
        *,
        client_id: str,
        will: Will | None,
        credentials: Credentials | None,
        tls: ssl.SSLContext | None,
        wake: Wake,
        owner: Owner,
    ) -> None:
        self._config = config
        self._protocol = protocol
        self._wake = wake
        self._owner = owner
        self._deliveries: dict[int, Delivery] = {}
        self._window = WINDOW
        self._connected_at: float | None = None
        self._ending: Ending | None = None
        self._client = self._make_client(client_id, will, credentials, tls)

    @property
    def name(self) -> str:
        """The version of MQTT in words."""
        return "MQTT 5" if self._protocol == MQTTProtocolVersion.MQTTv5 else "MQTT 3.1.1"

    @property
    def free(self) -> int:
        """How many more messages of QoS 1 may be sent now."""
        return max(self._window - len(self._deliveries), 0)

    @property
    def under_way(self) -> set[str]:
        """Topics of the messages that the broker has not answered for."""
        return {delivery.topic for delivery in self._deliveries.values()}

    @property
    def congested(self) -> bool:
        """Whether the network has not yet taken what was sent."""
        return self._client.want_write()

    def run(self) -> Ending:
        """Connect, drive the connection until it ends, and tell why it did."""
        try:
            config = self._config
            self._client.connect(config.host, config.port, config.keepalive_s, properties=self._properties())
            self._drive()
        except OSError as error:
            self._end(explain_error(error))
        except Exception as error:  # noqa: BLE001 - a peer's nonsense may raise anything in paho and must not end us
            _log.exception("MQTT connection failed unexpectedly")
            self._end(f"internal error: {error!r}")
        finally:
            self.drop()
        return self._ending or Ending("connection lost")

    def send(self, delivery: Delivery, payload: bytes, *, retain: bool, expires_s: int | None = None) -> None:
        """Publish with QoS 1; the owner hears of the broker's answer. Call from ``pump`` only.

        With MQTT 5 the broker forgets the message ``expires_s`` seconds later.
        """
        properties = self._expiry(expires_s)
        info = self._client.publish(delivery.topic, payload, qos=1, retain=retain, properties=properties)
        self._deliveries[info.mid] = delivery

    def send_lossy(self, topic: str, payload: bytes, *, retain: bool, expires_s: int | None = None) -> None:
        """Publish with QoS 0; ``expires_s`` as in ``send``."""
        self._client.publish(topic, payload, qos=0, retain=retain, properties=self._expiry(expires_s))

    def subscribe(self, topics: dict[str, int]) -> None:
        """Subscribe to filters with their QoS."""
        self._client.subscribe(list(topics.items()))

    def goodbye(self) -> None:
        """Disconnect so that the broker discards the will."""
        self._end("stopped")
        self._client.disconnect()

    def drop(self) -> None:
        """Close the connection without a goodbye, so that the broker publishes the will."""
        self._end("stopped")
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _properties(self) -> Properties | None:
        if self._protocol != MQTTProtocolVersion.MQTTv5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0  # the outbox sends again by itself, and old commands are not wanted
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        return properties

    def _expiry(self, expires_s: int | None) -> Properties | None:
        if expires_s is None or self._protocol != MQTTProtocolVersion.MQTTv5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = expires_s
        return properties

    def _make_client(
        self, client_id: str, will: Will | None, credentials: Credentials | None, tls: ssl.SSLContext | None
    ) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=self._protocol, reconnect_on_failure=False
        )
        client.connect_timeout = ANSWER_S
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        if credentials is not None:
            client.username_pw_set(credentials.username, credentials.password)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _drive(self) -> None:
        answer_by = time.monotonic() + ANSWER_S
        while self._ending is None and (sock := cast("socket.socket | None", self._client.socket())) is not None:
            pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
            writing = [sock] if self._client.want_write() else []
            reading: list[socket.socket | Wake] = [sock, self._wake]
            readable, writable, _ = select.select(reading, writing, [], 0 if pending else TICK_S)
            if self._wake in readable:
                self._wake.clear()
            if pending or sock in readable:
                self._client.loop_read()
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
            if self._connected_at is not None and self._ending is None:
                self._owner.pump(self)
            elif self._owner.stopping:
                self._end("stopped")
            elif time.monotonic() > answer_by:
                self._end(NOT_MQTT, other_version=True)

    def _end(self, reason: str, *, other_version: bool = False) -> None:
        """Settle how the connection ended; what was settled first stands."""
        if self._ending is None:
            lasted = 0.0 if self._connected_at is None else time.monotonic() - self._connected_at
            self._ending = Ending(reason, other_version, lasted)

    def _on_socket_open(self, client: paho.Client, _data: Any, sock: Any) -> None:
        del client
        # an alert must not wait for the acknowledgement of the message before it (Nagle's algorithm): 40 ms a time
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client
        if code.is_failure:
            self._end(explain_refusal(code), other_version=code.value == WRONG_VERSION)
            return
        self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self._connected_at = time.monotonic()
        self._owner.established(self)

    def _on_disconnect(
        self, client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        del client
        if self._connected_at is None:
            self._end(NOT_MQTT, other_version=True)
        else:
            self._end(explain_loss(code))

    def _on_publish(
        self, client: paho.Client, _data: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        del client
        if (delivery := self._deliveries.pop(mid, None)) is not None:
            self._owner.acknowledged(delivery, str(code) if code.is_failure else None)

    def _on_subscribe(
        self, client: paho.Client, _data: Any, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        del client
        if any(code.is_failure for code in codes):
            _log.warning("the broker refuses a subscription: %s", ", ".join(str(code) for code in codes))

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        del client
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # not a topic that we subscribe to, whatever it is
        self._owner.received(topic, bytes(message.payload), retained=message.retain)
