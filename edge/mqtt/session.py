"""One connection to the broker, from its first byte to its last, driven by one thread.

Each connection has a paho client of its own. So nothing is left over inside paho when a connection ends: what must not
get lost waits in the outbox and in the publisher's slots, and is sent again. All calls of paho and all its callbacks
happen in the thread that runs ``Session.run``; other threads only ``Wake`` it.

**Every wait has a deadline**, ``mqtt.answer_s``: TCP, TLS and CONNACK each, and then the oldest of all that the broker
has not answered for yet, be it a message, a subscription or a ping. A message of QoS 0, which nobody acknowledges, is
followed by a ping: its answer shows that the broker has read the message and still stands.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config import MqttConfig
from edge.mqtt.extras import NONE, Extras, Reply, publish_properties, wanted_reply
from edge.mqtt.limits import Limits, publish_bytes
from edge.mqtt.pace import Pace
from edge.mqtt.reasons import (
    INNOCENT,
    NO_SUBSCRIBERS,
    NOT_MQTT,
    SUCCESS,
    TOO_LARGE,
    WRONG_VERSION,
    explain_answer,
    explain_error,
    explain_loss,
    explain_refusal,
)
from edge.mqtt.security import Credentials

_log = logging.getLogger(__name__)

TICK_S = 0.5
FILTERS_AT_ONCE = 8
"""What a broker takes in one SUBSCRIBE: AWS IoT Core no more, others at least as many."""
MAX_PACKET_BYTES = 8192
"""Told to an MQTT 5 broker; a command is far smaller."""
READ_BYTES = 65_536
"""So much is taken from the network at once."""
TAKES = 2
"""So often at most before others have their turn: where more comes than can be dealt with, taking would never end."""

_IMPLEMENTATION_SPECIFIC = 131
_VERSION_OF_3 = 1
"""A broker without MQTT 5 refuses its CONNECT with this, a code of MQTT 3.1.1."""


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
    """A message, or a subscription, on its way. ``place`` is set where it is an alert from the outbox.

    ``asked``: its topic is one that somebody outside has asked for.
    """

    topic: str
    place: int | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's word on a delivery: a reason code of MQTT 5, and what it means."""

    code: int = SUCCESS
    text: str = ""

    @property
    def refused(self) -> bool:
        """Whether the broker does not take it."""
        return self.code >= 128

    @property
    def unheard(self) -> bool:
        """Whether the broker took it though nobody is subscribed to it."""
        return self.code == NO_SUBSCRIBERS


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended.

    ``accepted``: it stood, for ``connected_s``. ``other_version``: the peer may well understand another version of
    MQTT; ``closed``: it ended the connection instead of an answer to CONNECT. ``code``: the broker's reason code, if it
    told one. ``under_way`` had no answer yet; ``blame``: one of these may have broken the connection.
    """

    reason: str
    other_version: bool = False
    connected_s: float = 0.0
    accepted: bool = False
    closed: bool = False
    code: int | None = None
    under_way: tuple[Delivery, ...] = ()
    blame: bool = False


class Owner(Protocol):
    """What a session asks and tells its publisher, always in the session's thread."""

    @property
    def stopping(self) -> bool:
        """Whether a connection that does not stand yet should be given up."""

    def established(self, session: Session) -> None:
        """The broker has accepted the connection."""

    def pump(self, session: Session) -> None:
        """Send what is to be sent; called after every event and at least every ``Session.tick_s``."""

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        """The broker has answered for a message or a subscription."""

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        """A message has arrived; ``reply``: what it says of its answer."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the connection ends without a goodbye; retained, where it allows that."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(slots=True)
class _Awaited:
    """What an answer is awaited for. ``overtaken``: the broker has answered something that was sent later."""

    deliveries: tuple[Delivery, ...]
    size: int = 0
    overtaken: bool = False


class _Client(paho.Client):
    """paho's client, which tells of pings, and reads reason codes that its tables do not have for a packet.

    Where it ``gathers``, it takes all that has come from the network in one go; paho asks the system for each byte of a
    packet's length. Only where nobody has to keep up with each message: between paho's reads other threads get a turn.
    ``takes`` counts how often it did.

    paho has no public way to do any of it. mosquitto answers a message that is too large with 149, which the standard
    keeps for CONNACK and DISCONNECT; paho takes such a packet for damage and closes. Here the code becomes 131 for
    paho, and ``true_code`` is what it was, for as long as the packet is dealt with.
    """

    def __init__(
        self,
        *args: Any,
        on_ping: Callable[[], None],
        on_pong: Callable[[], None],
        gathers: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.true_code: int | None = None
        self._told_ping = on_ping
        self._told_pong = on_pong
        self._gathers = gathers
        self.takes = 0
        self._taken = b""
        self._used = 0
        self._over = False

    @property
    def has_more(self) -> bool:
        """Whether something came from the network that nobody has dealt with, be it the connection's end."""
        return (self._used < len(self._taken) or self._over) and self.socket() is not None

    def _take(self) -> bytes:
        """What has come, up to READ_BYTES: with TLS many records, of which the system hands out one at a time."""
        self.takes += 1
        taken = bytearray(super()._sock_recv(READ_BYTES))
        secured = isinstance(self.socket(), ssl.SSLSocket)
        while secured and not self._over and len(taken) < READ_BYTES:
            try:
                more = super()._sock_recv(READ_BYTES - len(taken))
            except BlockingIOError:
                break
            except OSError:  # whoever asks again, behind what came before it, gets it again
                more = b""
            taken += more
            self._over = not more
        return bytes(taken)

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._gathers:
            return super()._sock_recv(bufsize)
        if self._used == len(self._taken):
            self._taken, self._used, self._over = b"", 0, False
            self._taken = self._take()
        piece = self._taken[self._used : self._used + bufsize]
        self._used += len(piece)
        return piece

    def ping(self) -> None:
        """Ask the broker for a sign of life, behind all that was sent so far."""
        self._send_pingreq()

    def _send_pingreq(self) -> MQTTErrorCode:
        result = super()._send_pingreq()
        self._ping_t = 0.0  # the session has a deadline of its own for the answer
        self._told_ping()
        return result

    def _handle_pingresp(self) -> MQTTErrorCode:
        result = super()._handle_pingresp()
        self._told_pong()
        return result

    def _handle_connack(self) -> MQTTErrorCode:
        self._mend(PacketTypes.CONNACK, 1)
        return super()._handle_connack()

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        if cmd == "PUBACK":
            self._mend(PacketTypes.PUBACK, 2)
        return super()._handle_pubackcomp(cmd)

    def _handle_disconnect(self) -> None:
        self._mend(PacketTypes.DISCONNECT, 0)
        super()._handle_disconnect()

    def _mend(self, kind: int, position: int) -> None:
        """Where paho does not know the code at ``position`` for packets of this ``kind``, give it one that it knows."""
        self.true_code = None
        packet = self._in_packet["packet"]
        if self.protocol != MQTTProtocolVersion.MQTTv5 or len(packet) <= position:
            return
        code = packet[position]
        if code != _VERSION_OF_3 and not any(kind in kinds for kinds in ReasonCode.names.get(code, {}).values()):
            self.true_code, packet[position] = code, _IMPLEMENTATION_SPECIFIC


class Session:
    """One connection. ``limits`` are the broker's, ``will`` is the one that it was asked with.

    Of a client to which very much is told, what comes within ``gather_s`` of a read waits for the next one: what each
    costs is mostly to be woken for it.
    """

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
        gather_s: float = 0.0,
    ) -> None:
        self._config = config
        self._gather_s = gather_s
        self.tick_s = TICK_S
        """Its owner is asked (``pump``) again after so long at the latest, and may want that sooner."""
        self._read_from = -math.inf
        self._protocol = protocol
        self._wake = wake
        self._owner = owner
        self.will = will
        # a broker of MQTT 3.1.1 tells no limits: what it takes of a will it takes of messages
        self._limits = Limits() if will is None else Limits(qos=will.qos, retain=will.retain)
        self._pace = Pace(config.max_publish_hz)
        self._awaited: dict[object, _Awaited] = {}
        self._unfenced: list[Delivery] = []
        self._head_since = 0.0
        self._pings = self._pongs = 0
        self._connected_at: float | None = None
        self._ending: Ending | None = None
        self._client = self._make_client(client_id, will, credentials, tls)

    @property
    def name(self) -> str:
        """The version of MQTT in words."""
        return "MQTT 5" if self.speaks_5 else "MQTT 3.1.1"

    @property
    def limits(self) -> Limits:
        """What the broker allows, as far as it has told or shown."""
        return self._limits

    @property
    def free(self) -> int:
        """How many more messages may be sent now."""
        return self.free_but(0)

    def free_but(self, kept: int) -> int:
        """The same, with so many places of the window kept for others."""
        places = max(self.places - kept, 0)
        room = self._pace.room(time.monotonic())
        return places if room is None else min(places, room)

    @property
    def in_pace(self) -> bool:
        """Whether the bound on messages a second lets one go now, be the window full or not."""
        return self._pace.wait_s(time.monotonic()) is None

    @property
    def places(self) -> int:
        """How many places of the window are free, however much was sent within this second."""
        return max(self._limits.window - len(self._on_their_way()), 0)

    @property
    def under_way(self) -> set[str]:
        """Topics of what the broker has not answered for."""
        return {delivery.topic for delivery in self._on_their_way()}

    @property
    def carries_alerts(self) -> bool:
        """Whether an alert is under way."""
        return any(delivery.place is not None for delivery in self._on_their_way())

    @property
    def idle(self) -> bool:
        """Whether no answer of any kind is awaited."""
        return not (self._awaited or self._unfenced)

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
            self._end(f"internal error: {error!r}", blame=True)
        finally:
            self.drop()
        return self._ending or Ending("connection lost")

    def size(self, topic: str, payload: bytes, extras: Extras = NONE) -> int:
        """How large the packet of a message is, bytes."""
        properties = self._extra_properties(payload, extras)
        return publish_bytes(topic, payload, len(properties.pack()) if properties else 0)  # type: ignore[no-untyped-call]

    def send(self, delivery: Delivery, payload: bytes, *, retain: bool, extras: Extras = NONE) -> None:
        """Publish with QoS 1, or as the broker allows; the owner hears of its answer. Call from ``pump`` only.

        ``extras`` go with it where the broker speaks MQTT 5.
        """
        if self._limits.qos == 0:
            self.send_lossy(delivery, payload, retain=retain, extras=extras)
            return
        retain = retain and self._limits.retain
        properties = self._extra_properties(payload, extras)
        self._pace.spend()
        info = self._client.publish(delivery.topic, payload, qos=1, retain=retain, properties=properties)
        self._await(info.mid, _Awaited((delivery,), self.size(delivery.topic, payload, extras)))

    def send_lossy(self, delivery: Delivery, payload: bytes, *, retain: bool, extras: Extras = NONE) -> None:
        """Publish with QoS 0; the owner hears when the broker has read it. ``extras`` as in ``send``."""
        retain = retain and self._limits.retain
        properties = self._extra_properties(payload, extras)
        self._pace.spend()
        self._client.publish(delivery.topic, payload, qos=0, retain=retain, properties=properties)
        self._unfenced.append(delivery)

    def subscribe(
        self,
        delivery: Delivery,
        filters: Iterable[str],
        *,
        qos: int = 1,
        retained: bool = False,
        as_published: bool = True,
    ) -> None:
        """Subscribe; the owner hears of each of the broker's answers under the name of ``delivery``.

        Unless what is ``retained`` is wanted, it is not even sent with MQTT 5. What comes is marked as retained where
        its sender had it retained (``as_published``, with MQTT 5) or only where the broker had kept it.
        """
        wanted = list(filters)
        for first in range(0, len(wanted), FILTERS_AT_ONCE):
            asked = wanted[first : first + FILTERS_AT_ONCE]
            if self.speaks_5:
                handling = (
                    SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
                )
                options = SubscribeOptions(qos=qos, retainAsPublished=as_published, retainHandling=handling)
                _, mid = self._client.subscribe([(one, options) for one in asked])
            else:
                _, mid = self._client.subscribe([(one, qos) for one in asked])
            self._await(mid, _Awaited((delivery,)))

    def fence(self) -> None:
        """Ask for a sign that the broker has dealt with all that was sent so far."""
        self._client.ping()

    def goodbye(self) -> None:
        """Disconnect so that the broker discards the will."""
        self._end("stopped")
        self._client.disconnect()

    def drop(self) -> None:
        """Close the connection without a goodbye, so that the broker publishes the will."""
        self._end("stopped")
        if (sock := self._client.socket()) is not None:
            sock.close()

    @property
    def speaks_5(self) -> bool:
        """Whether this connection is of MQTT 5."""
        return self._protocol == MQTTProtocolVersion.MQTTv5

    def _on_their_way(self) -> list[Delivery]:
        awaited = [delivery for one in self._awaited.values() for delivery in one.deliveries]
        return awaited + self._unfenced

    def _properties(self) -> Properties | None:
        if not self.speaks_5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0  # the outbox sends again by itself, and old commands are not wanted
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        return properties

    def _extra_properties(self, payload: bytes, extras: Extras) -> Properties | None:
        return publish_properties(payload, extras) if self.speaks_5 else None

    def _make_client(
        self, client_id: str, will: Will | None, credentials: Credentials | None, tls: ssl.SSLContext | None
    ) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=self._protocol,
            reconnect_on_failure=False,
            on_ping=self._on_ping,
            on_pong=self._on_pong,
            gathers=self._gather_s > 0,
        )
        client.connect_timeout = self._config.answer_s
        if will is not None:
            client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
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
        answer_by = time.monotonic() + self._config.answer_s
        while self._ending is None and (sock := cast("socket.socket | None", self._client.socket())) is not None:
            left = self._client.has_more
            rest_s = 0.0 if left else max(0.0, self._read_from - time.monotonic())
            pending = left or (not rest_s and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)
            reading: list[socket.socket | Wake] = [self._wake] if rest_s else [self._wake, sock]
            writing = [sock] if self._client.want_write() else []
            wait_s = 0.0 if pending else min(rest_s or TICK_S, self._tick_s())
            readable, writable, _ = select.select(reading, writing, [], wait_s)
            if self._wake in readable:
                self._wake.clear()
            if pending or sock in readable:
                enough = self._client.takes + TAKES
                self._client.loop_read()
                while self._client.has_more and self._ending is None and self._client.takes < enough:
                    self._client.loop_read()
                self._read_from = time.monotonic() + self._gather_s
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
            if self._connected_at is not None and self._ending is None:
                self._owner.pump(self)
                if self._unfenced and self._ending is None:
                    self.fence()
                self._check_deadline()
            elif self._owner.stopping:
                self._end("stopped")
            elif time.monotonic() > answer_by:
                self._end(NOT_MQTT, other_version=True)

    def _tick_s(self) -> float:
        """How long to wait for the network: no longer than until the next message may go."""
        wait_s = self._pace.wait_s(time.monotonic())
        return self.tick_s if wait_s is None else min(wait_s, self.tick_s)

    # ---- what is awaited ----

    def _await(self, key: object, awaited: _Awaited) -> None:
        if not self._awaited:
            self._head_since = time.monotonic()
        self._awaited[key] = awaited

    def _answered(self, key: object) -> _Awaited | None:
        """What this was the answer to. The clock of the next one starts when it has become the oldest."""
        if key not in self._awaited:
            return None
        for earlier, awaited in self._awaited.items():
            if earlier == key:
                break
            awaited.overtaken = True
        was_oldest = next(iter(self._awaited)) == key
        awaited = self._awaited.pop(key)
        if was_oldest:
            self._head_since = time.monotonic()
        return awaited

    def _check_deadline(self) -> None:
        """End a connection whose oldest question has been open for too long.

        Only the oldest one's time runs: on a slow link sixteen messages may take longer than one.
        """
        if not self._awaited or time.monotonic() - self._head_since <= self._config.answer_s:
            return
        overtaken = [delivery for one in self._awaited.values() if one.overtaken for delivery in one.deliveries]
        head = next(iter(self._awaited.values()))
        what = head.deliveries[0].topic if head.deliveries else "a ping"
        self._end(
            f"no answer to {what} within {self._config.answer_s:g} s (mqtt.answer_s)",
            under_way=overtaken,
            blame=bool(overtaken),
        )

    def _on_ping(self) -> None:
        self._pings += 1
        fenced, self._unfenced = tuple(self._unfenced), []
        self._await(("ping", self._pings), _Awaited(fenced))

    def _on_pong(self) -> None:
        self._pongs += 1
        if (awaited := self._answered(("ping", self._pongs))) is not None:
            for delivery in awaited.deliveries:
                self._owner.acknowledged(delivery, Answer())

    # ---- paho's callbacks ----

    def _true(self, code: ReasonCode) -> tuple[int, str]:
        """The code that the broker told, and its name."""
        value = self._client.true_code
        return (code.value, str(code)) if value is None else (value, f"reason code {value}")

    def _end(
        self,
        reason: str,
        *,
        other_version: bool = False,
        closed: bool = False,
        code: int | None = None,
        under_way: Iterable[Delivery] | None = None,
        blame: bool = False,
    ) -> None:
        """Settle how the connection ended; what was settled first stands."""
        if self._ending is None:
            lasted = 0.0 if self._connected_at is None else time.monotonic() - self._connected_at
            self._ending = Ending(
                reason,
                other_version,
                lasted,
                accepted=self._connected_at is not None,
                closed=closed,
                code=code,
                under_way=tuple(self._on_their_way() if under_way is None else under_way),
                blame=blame,
            )

    def _on_socket_open(self, client: paho.Client, _data: Any, sock: Any) -> None:
        del client
        # an alert must not wait for the acknowledgement of the message before it (Nagle's algorithm): 40 ms a time
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        del client
        if code.is_failure:
            value, text = self._true(code)
            self._end(explain_refusal(value, text, properties), other_version=value == WRONG_VERSION, code=value)
            return
        self._limits = Limits.told(properties, self._limits)
        self._connected_at = time.monotonic()
        self._owner.established(self)

    def _on_disconnect(
        self,
        client: paho.Client,
        _data: Any,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client
        if self._connected_at is None:
            self._end(NOT_MQTT, other_version=True, closed=True)
            return
        told = flags.is_disconnect_packet_from_server
        value, text = self._true(code) if told else (code.value, str(code))
        self._end(explain_loss(value, text, properties), code=value if told else None, blame=value not in INNOCENT)

    def _on_publish(
        self, client: paho.Client, _data: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        del client
        if (awaited := self._answered(mid)) is None:
            return
        value, text = self._true(code)
        if value == TOO_LARGE:
            self._limits = replace(self._limits, packet_bytes=awaited.size - 1)
        answer = Answer(value, explain_answer(value, text) if value >= 128 else "")
        for delivery in awaited.deliveries:
            self._owner.acknowledged(delivery, answer)

    def _on_subscribe(
        self, client: paho.Client, _data: Any, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        del client
        if (awaited := self._answered(mid)) is None:
            return
        worst = max(codes, key=lambda code: code.value, default=None)
        refused = worst is not None and worst.is_failure
        answer = Answer(worst.value, explain_answer(worst.value, str(worst))) if worst and refused else Answer()
        for delivery in awaited.deliveries:
            self._owner.acknowledged(delivery, answer)

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        del client
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # not a topic that we subscribe to, whatever it is
        reply = wanted_reply(message.properties)
        self._owner.received(topic, bytes(message.payload), retained=message.retain, reply=reply)
