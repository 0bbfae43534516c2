"""The collector's connection to the broker, which keeps a session for it: what comes while it is away waits there.

One thread drives it. A message is acknowledged when its owner says so, which is after it is in the database: what was
not acknowledged the broker sends again on the next connection.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.collect.config import CollectConfig
from edge.collect.reading import OPTIONAL, filters
from edge.errors import ConfigError, EvenkeelError
from edge.mqtt.reasons import NOT_MQTT, WRONG_VERSION, explain_error, explain_loss, explain_refusal
from edge.mqtt.security import load_credentials, tls_context
from edge.mqtt.session import Wake

_log = logging.getLogger(__name__)

ANSWER_S = 5.0
"""Longest wait for TCP, for TLS, for CONNACK and for SUBACK, each."""

TICK_S = 0.25
BURST_S = 0.02
"""Longest time to go on reading before what was read is written to the database."""

WINDOW = 1000
"""Messages of QoS 1 that an MQTT 5 broker may send before the first is acknowledged."""

MAX_PACKET_BYTES = 131_072
DAY_S = 86_400
_PROTOCOLS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a message of QoS 1 is acknowledged with; on another connection it is worth nothing."""

    connection: int
    mid: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended, and how long it had stood."""

    reason: str
    other_version: bool = False
    subscribed_s: float = 0.0


class Owner(Protocol):
    """Whom a link serves, always in the thread that drives it."""

    @property
    def stopping(self) -> bool:
        """Whether the connection should end."""

    @property
    def full(self) -> bool:
        """Whether nothing more can be taken for now."""

    def received(self, topic: str, payload: bytes, receipt: Receipt | None, *, retained: bool) -> None:
        """A message has come; without a receipt it needs no acknowledgement."""

    def tick(self) -> None:
        """Do what is due; called after each burst of messages and at least every TICK_S."""


class Link:
    """Connects to the broker, one connection after the other.

    Raises:
        ConfigError: credentials or certificates cannot be used, or the host is no name.
    """

    def __init__(self, config: CollectConfig, environ: Mapping[str, str], owner: Owner, wake: Wake) -> None:
        self._config = config
        self._owner = owner
        self._wake = wake
        self._credentials = load_credentials(config.mqtt, environ)
        self._tls = tls_context(config.mqtt.tls)
        try:
            config.mqtt.host.encode("idna")
        except UnicodeError:
            raise ConfigError(f"mqtt.host = {config.mqtt.host!r}: not a host name or address") from None
        self._count = 0
        self._client: paho.Client | None = None
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._ending: Ending | None = None
        self._answer_by = 0.0
        self._accepted = False
        self._qos = 1
        self._asked: dict[int, dict[str, int]] = {}
        self._subscribed_at: float | None = None

    @property
    def subscribed(self) -> bool:
        """Whether messages come, and questions can be asked."""
        return self._subscribed_at is not None and self._ending is None

    def attempt(self) -> Ending:
        """One connection, in the first version of MQTT that the broker understands, until it ends."""
        ending = Ending("not tried")
        for protocol in _PROTOCOLS[self._config.mqtt.protocol]:
            ending = self._run(protocol)
            if not ending.other_version or self._owner.stopping:
                break
        return ending

    def acknowledge(self, receipt: Receipt) -> None:
        """Tell the broker that a message is safe; nothing happens where its connection is gone."""
        if receipt.connection == self._count and self._client is not None and self._ending is None:
            self._client.ack(receipt.mid, 1)

    def ask(self, topic: str, payload: bytes, expires_s: int) -> None:
        """Publish a command with QoS 1, or as the broker allows; with MQTT 5 it forgets it after ``expires_s``."""
        if self._client is None or not self.subscribed:
            return
        properties = None
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expires_s
        self._client.publish(topic, payload, qos=self._qos, properties=properties)

    def _run(self, protocol: MQTTProtocolVersion) -> Ending:
        self._count += 1
        self._protocol = protocol
        self._ending = None
        self._accepted = False
        self._qos = 1
        self._asked = {}
        self._subscribed_at = None
        client = self._client = self._make_client()
        mqtt = self._config.mqtt
        try:
            if protocol == MQTTProtocolVersion.MQTTv5:
                properties = self._connect_properties()
                client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s, clean_start=False, properties=properties)
            else:
                client.connect(mqtt.host, mqtt.port, mqtt.keepalive_s)
            self._drive(client)
        except EvenkeelError:
            raise
        except OSError as error:
            self._end(explain_error(error))
        except Exception as error:  # noqa: BLE001 - a peer's nonsense may raise anything in paho and must not end us
            _log.exception("MQTT connection failed unexpectedly")
            self._end(f"internal error: {error!r}")
        finally:
            self._client = None
            if (sock := client.socket()) is not None:
                sock.close()
        return self._ending or Ending("connection lost")

    def _make_client(self) -> paho.Client:
        old = self._protocol == MQTTProtocolVersion.MQTTv311
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self._config.collect.client_id,
            clean_session=False if old else None,
            protocol=self._protocol,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = ANSWER_S
        if self._credentials is not None:
            client.username_pw_set(self._credentials.username, self._credentials.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = round(self._config.collect.session_days * DAY_S)
        properties.ReceiveMaximum = WINDOW
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        return properties

    def _drive(self, client: paho.Client) -> None:
        self._answer_by = time.monotonic() + ANSWER_S
        while self._ending is None and (sock := cast("socket.socket | None", client.socket())) is not None:
            self._turn(client, sock)
            if self._ending is None:
                self._owner.tick()
            if self._ending is None and self._owner.stopping:
                self._end("stopped")
                client.disconnect()
            elif self._subscribed_at is None and time.monotonic() > self._answer_by:
                if self._accepted:
                    self._end("the broker leaves the subscription without an answer")
                else:
                    self._end(NOT_MQTT, other_version=True)

    def _turn(self, client: paho.Client, sock: socket.socket) -> None:
        pending = _pending(sock) and not self._owner.full
        reading: list[socket.socket | Wake] = [self._wake]
        if not self._owner.full:
            reading.append(sock)
        writing = [sock] if client.want_write() else []
        readable, writable, _ = select.select(reading, writing, [], 0 if pending else TICK_S)
        if self._wake in readable:
            self._wake.clear()
        if sock in readable or pending:
            self._read_burst(client, sock)
        if writable:
            client.loop_write()
        client.loop_misc()

    def _read_burst(self, client: paho.Client, sock: socket.socket) -> None:
        """Read what has come: under load much goes into one transaction, and a lone message does not wait."""
        until = time.monotonic() + BURST_S
        while self._ending is None and not self._owner.full:
            client.loop_read()
            if client.socket() is None or time.monotonic() > until:
                return
            if not _pending(sock) and not select.select([sock], [], [], 0)[0]:
                return

    def _end(self, reason: str, *, other_version: bool = False) -> None:
        """Settle how the connection ended; what was settled first stands."""
        if self._ending is None:
            lasted = 0.0 if self._subscribed_at is None else time.monotonic() - self._subscribed_at
            self._ending = Ending(reason, other_version, lasted)

    def _on_socket_open(self, client: paho.Client, _data: Any, sock: Any) -> None:
        del client
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._end(explain_refusal(code.value, str(code)), other_version=code.value == WRONG_VERSION)
            return
        self._accepted = True
        group = self._config.collect.group
        if getattr(properties, "WildcardSubscriptionAvailable", 1) == 0:
            self._end("the broker allows no wildcards in subscriptions; the collector needs them")
            return
        if group and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._end("the broker knows no shared subscriptions; leave collect.group out")
            return
        if group and self._protocol != MQTTProtocolVersion.MQTTv5:
            self._end("shared subscriptions need MQTT 5, which the broker does not speak; leave collect.group out")
            return
        self._say_session(properties)
        self._answer_by = time.monotonic() + ANSWER_S
        for prefix in self._config.prefixes:  # apart: a broker may take eight filters at once and no more
            wanted = filters((prefix,), group)
            if self._protocol == MQTTProtocolVersion.MQTTv5:
                _, mid = client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic, qos in wanted.items()])
            else:
                _, mid = client.subscribe(list(wanted.items()))
            if mid is not None:  # None: the connection is gone already
                self._asked[mid] = wanted

    def _say_session(self, properties: Properties | None) -> None:
        """A broker may keep the session for a shorter time than asked; then what is missing has to be asked for."""
        wanted_s = round(self._config.collect.session_days * DAY_S)
        granted_s = getattr(properties, "SessionExpiryInterval", wanted_s)
        if granted_s < wanted_s:
            _log.warning("the broker keeps messages for only %d s while the collector is offline", granted_s)

    def _on_subscribe(
        self, client: paho.Client, _data: Any, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        del client
        if (wanted := self._asked.pop(mid, None)) is None:
            return
        refused = [topic for topic, code in zip(wanted, codes, strict=False) if code.is_failure]
        if refused and all(topic.endswith(f"/{OPTIONAL}") for topic in refused):
            _log.warning("the broker refuses the numbers around alerts (%s); check its access list", refused[0])
        elif refused:
            self._end(f"the broker refuses the subscription to {', '.join(refused)}; check its access list")
            return
        lower = [topic for topic, code in zip(wanted, codes, strict=False) if code.value < wanted[topic]]
        if lower:
            self._qos = 0  # so it is with MQTT 3.1.1 too, in which the broker does not say what it takes
            _log.warning("the broker delivers %s with QoS 0 only: the collector requests lost alerts again", lower[0])
        if self._asked:
            return
        self._subscribed_at = time.monotonic()
        _log.info(
            "collecting %s from %s:%d (%s)",
            ", ".join(f"{prefix}/+" for prefix in self._config.prefixes),
            self._config.mqtt.host,
            self._config.mqtt.port,
            "MQTT 5" if self._protocol == MQTTProtocolVersion.MQTTv5 else "MQTT 3.1.1",
        )

    def _on_disconnect(
        self, client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        del client
        if self._accepted:
            self._end(explain_loss(code.value, str(code)).replace("device.id", "collect.client_id"))
        else:
            self._end(NOT_MQTT, other_version=True)

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        del client
        receipt = Receipt(self._count, message.mid) if message.qos == 1 else None
        with contextlib.suppress(UnicodeDecodeError):  # paho raises it for a topic that is no text
            self._owner.received(message.topic, bytes(message.payload), receipt, retained=message.retain)
            return
        self._owner.received("", b"", receipt, retained=message.retain)


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
