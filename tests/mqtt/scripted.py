"""A broker that does exactly what a test says, packet by packet, for what no real one can be made to do on demand."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.compat import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    PacketTypes.CONNECT,
    PacketTypes.CONNACK,
    PacketTypes.PUBLISH,
    PacketTypes.PUBACK,
    PacketTypes.SUBSCRIBE,
    PacketTypes.SUBACK,
    PacketTypes.PINGREQ,
    PacketTypes.PINGRESP,
    PacketTypes.DISCONNECT,
)
CLOSE = b"close"
"""Returned by a script: end the connection without a word."""

SILENCE = b""
"""Returned by a script: say nothing."""


@dataclass(frozen=True)
class Packet:
    """One packet from the device, and in which connection it came (0, 1, …)."""

    connection: int
    kind: int
    mid: int = 0
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    filters: tuple[str, ...] = ()
    options: tuple[int, ...] = ()
    will_retain: bool = False
    will_qos: int = 0
    will_topic: str = ""
    client_id: str = ""
    user: str = ""
    keepalive_s: int = 0
    user_properties: int = 0
    size: int = 0


@dataclass(frozen=True)
class Later:
    """An answer that comes ``seconds`` later; ``sent`` is called just before it goes."""

    seconds: float
    answer: bytes
    sent: Callable[[], None]


Script = Callable[[Packet], bytes | Later | None]
"""The answer to a packet; None: as a well-behaved broker would."""


def packet(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """A packet of at most 127 bytes after its header."""
    return bytes([kind << 4 | flags, len(body)]) + body


def connack(code: int = 0, **limits: Any) -> bytes:
    """CONNACK of MQTT 5, with properties by the names of the standard: ``connack(ReceiveMaximum=1)``."""
    return packet(CONNACK, bytes([0, code]) + _properties(PacketTypes.CONNACK, limits))


def puback(mid: int, code: int = 0) -> bytes:
    """PUBACK of MQTT 5."""
    return packet(PUBACK, mid.to_bytes(2, "big") + (bytes([code]) if code else b""))


def disconnect(code: int, **more: Any) -> bytes:
    """DISCONNECT of MQTT 5, as a broker sends it before it closes."""
    return packet(DISCONNECT, bytes([code]) + _properties(PacketTypes.DISCONNECT, more))


def _properties(kind: int, values: dict[str, Any]) -> bytes:
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    packed: bytes = properties.pack()  # type: ignore[no-untyped-call]
    return packed


class ScriptedBroker:
    """Speaks MQTT 5 or 3.1.1, as the device asks, on a free port; ``received`` holds every packet in order."""

    def __init__(self, script: Script = lambda _: None, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._received: list[Packet] = []
        self._came = threading.Condition()
        self._count = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._open: list[socket.socket] = []
        self._rest = b""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            connection.close()
        self._thread.join(5)

    @property
    def received(self) -> list[Packet]:
        """Every packet so far."""
        with self._came:
            return list(self._received)

    def wait_for(self, kind: int, deadline_s: float = 10.0) -> None:
        """Return when a packet of this kind has come: one that was sent may be on its way still."""
        with self._came:
            came = self._came.wait_for(lambda: any(one.kind == kind for one in self._received), deadline_s)
        assert came, f"no packet of kind {kind} within {deadline_s:g} s"

    def published(self, topic: str, connection: int | None = None) -> list[Packet]:
        """The messages on one topic."""
        wanted = [one for one in self.received if one.kind == PUBLISH and one.topic == topic]
        return [one for one in wanted if connection in (None, one.connection)]

    def send(self, topic: str, payload: bytes = b"", *, retain: bool = False, **properties: Any) -> None:
        """Send a message of QoS 0 to the device that is connected, by MQTT 5; at most 127 bytes."""
        self._open[-1].sendall(message(topic, payload, retain=retain, **properties))

    def send_all(self, topic: str, payloads: Iterable[bytes], *, left_out: int = 0, behind: bytes = b"") -> None:
        """Send messages at once, with other bytes ``behind``; so many bytes are left for ``send_rest``."""
        told = b"".join(message(topic, payload) for payload in payloads) + behind
        end = len(told) - left_out
        self._rest = told[end:]
        self._open[-1].sendall(told[:end])

    def send_rest(self) -> None:
        """Send what was left out."""
        self._open[-1].sendall(self._rest)

    def cut(self) -> None:
        """End the newest connection without a word."""
        self._open[-1].shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            number, self._count = self._count, self._count + 1
            threading.Thread(target=self._speak, args=(connection, number), daemon=True).start()

    def _speak(self, connection: socket.socket, number: int) -> None:
        version = 5
        try:
            while (header := connection.recv(1)) and (body := _body(connection)) is not None:
                if header[0] >> 4 == CONNECT:
                    version = body[6]
                got = _parse(number, header[0], body, version)
                with self._came:
                    self._received.append(got)
                    self._came.notify_all()
                answer = self._script(got)
                if isinstance(answer, Later):
                    threading.Timer(answer.seconds, _send, (connection, answer)).start()
                    continue
                if answer is None:
                    answer = _ordinary(got, version)
                if answer == CLOSE:
                    break
                connection.sendall(answer)
                if answer[:1] == bytes([DISCONNECT << 4]) or (answer[:1] == bytes([CONNACK << 4]) and answer[3]):
                    break
        except OSError:
            pass  # the device has closed
        finally:
            connection.close()


def message(topic: str, payload: bytes, *, retain: bool = False, **properties: Any) -> bytes:
    """PUBLISH of MQTT 5, QoS 0."""
    name = topic.encode()
    return packet(PUBLISH, len(name).to_bytes(2, "big") + name + _properties(PUBLISH, properties) + payload, retain)


def _send(connection: socket.socket, later: Later) -> None:
    later.sent()
    with contextlib.suppress(OSError):  # the device has closed
        connection.sendall(later.answer)


def _body(connection: socket.socket) -> bytes | None:
    length = shift = 0
    while True:
        byte = connection.recv(1)
        if not byte:
            return None
        length |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            break
    body = b""
    while len(body) < length:
        data = connection.recv(length - len(body))
        if not data:
            return None
        body += data
    return body


def _parse(number: int, header: int, body: bytes, version: int) -> Packet:
    kind, qos = header >> 4, header >> 1 & 3
    if kind == CONNECT:
        return _parse_connect(number, body)
    if kind == PUBLISH:
        size = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        mid, rest = (int.from_bytes(rest[:2], "big"), rest[2:]) if qos else (0, rest)
        payload = _behind_properties(rest) if version == 5 else rest
        return Packet(number, kind, mid, topic, payload, qos, bool(header & 1), size=len(body) + 2)
    if kind == SUBSCRIBE:
        rest = body[3 + body[2] :] if version == 5 else body[2:]
        filters, options = [], []
        while rest:
            size = int.from_bytes(rest[:2], "big")
            filters.append(rest[2 : 2 + size].decode())
            options.append(rest[2 + size])
            rest = rest[3 + size :]
        return Packet(number, kind, int.from_bytes(body[:2], "big"), filters=tuple(filters), options=tuple(options))
    return Packet(number, kind)


def _parse_connect(number: int, body: bytes) -> Packet:
    version, flags = body[6], body[7]
    properties = Properties(CONNECT)  # type: ignore[no-untyped-call]
    rest = body[10:]
    if version == 5:
        _, used = properties.unpack(rest)  # type: ignore[no-untyped-call]
        rest = rest[used:]
    client_id, rest = _text(rest)
    will_topic = user = ""
    if flags & 0x04:
        will_topic, rest = _text(_behind_properties(rest) if version == 5 else rest)
        _, rest = _text(rest)
    if flags & 0x80:
        user, rest = _text(rest)
    return Packet(
        number,
        CONNECT,
        will_retain=bool(flags & 0x20),
        will_qos=flags >> 3 & 3,
        will_topic=will_topic,
        client_id=client_id,
        user=user,
        keepalive_s=int.from_bytes(body[8:10], "big"),
        user_properties=len(getattr(properties, "UserProperty", ())),
    )


def _text(data: bytes) -> tuple[str, bytes]:
    size = int.from_bytes(data[:2], "big")
    return data[2 : 2 + size].decode(), data[2 + size :]


def _behind_properties(data: bytes) -> bytes:
    length = shift = 0
    for place, byte in enumerate(data):
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return data[place + 1 + length :]
    return b""


def _ordinary(got: Packet, version: int) -> bytes:
    """What a broker without limits answers."""
    if got.kind == CONNECT:
        return connack() if version == 5 else packet(CONNACK, b"\0\0")
    if got.kind == PUBLISH and got.qos:
        return puback(got.mid)
    if got.kind == SUBSCRIBE:
        return packet(SUBACK, got.mid.to_bytes(2, "big") + (b"\0" if version == 5 else b"") + bytes(len(got.filters)))
    return packet(PINGRESP) if got.kind == PINGREQ else SILENCE
