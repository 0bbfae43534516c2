"""Speed and ignition from topics of the configured broker, over a connection of their own.

A second client beside the publisher's: what floods or breaks this one costs no alert, and the outbox's session keeps
its limits. It uses the same door, user and certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.config import Config
from edge.errors import UnavailableError
from edge.mqtt.connect import Connector
from edge.mqtt.extras import Reply
from edge.mqtt.names import client_id
from edge.mqtt.session import Answer, Delivery, Session, Wake
from edge.vehicle.payload import PayloadError, value_at
from edge.vehicle.source import Stop
from edge.vehicle.store import Store

_ASKED = "the vehicle's topics"


class MqttSource:
    """Subscribes to the topics of ``[vehicle.mqtt]``.

    Raises:
        ConfigError: credentials or certificates of [mqtt] cannot be used.
    """

    name = "mqtt"

    def __init__(self, config: Config, environ: Mapping[str, str], role: str = "vehicle") -> None:
        self._config = config
        self._source = config.vehicle.mqtt
        self._wake = Wake()
        self._connector = Connector(config, environ, client_id=client_id(config, role), will=None, wake=self._wake)

    @property
    def tells_speed(self) -> bool:
        """Whether a topic of the speed is configured."""
        return self._source.speed_topic is not None

    def run(self, store: Store, stop: Stop) -> None:
        """Stay connected until ``stop``, or until the connection is lost."""
        listener = _Listener(self._readers(store), store, stop)
        ending = self._connector.attempt(listener)
        if not stop.is_set():
            raise UnavailableError(f"broker {self._config.mqtt.host}:{self._config.mqtt.port}: {ending.reason}")

    def interrupt(self) -> None:
        """Wake the connection."""
        self._wake.set()

    def _readers(self, store: Store) -> dict[str, list[Callable[[bytes], None]]]:
        """What reads a payload, by its topic; both values may come on one."""
        source, unit = self._source, self._source.speed_unit
        readers: dict[str, list[Callable[[bytes], None]]] = {}
        if source.speed_topic is not None:
            read = _reader(store, "speed", source.speed_pointer, lambda value: store.speed(value, unit))
            readers.setdefault(source.speed_topic, []).append(read)
        if source.ignition_topic is not None:
            read = _reader(store, "ignition", source.ignition_pointer, store.ignition)
            readers.setdefault(source.ignition_topic, []).append(read)
        return readers


def _reader(store: Store, about: str, pointer: str, take: Callable[[Any], None]) -> Callable[[bytes], None]:
    def read(payload: bytes) -> None:
        try:
            take(value_at(payload, pointer))
        except PayloadError as error:
            store.refuse(about, f"no {about} in the payload: {error}")

    return read


class _Listener:
    """The owner of one connection."""

    def __init__(self, readers: Mapping[str, list[Callable[[bytes], None]]], store: Store, stop: Stop) -> None:
        self._readers = readers
        self._store = store
        self._stop = stop
        self._marks_retained = True

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def established(self, session: Session) -> None:
        # with MQTT 5 nothing of an earlier time is sent, and the mark says only how the sender publishes
        self._marks_retained = not session.speaks_5
        session.subscribe(Delivery(_ASKED), self._readers)
        self._store.mend("source")

    def pump(self, session: Session) -> None:
        if self._stop.is_set():
            session.goodbye()

    def acknowledged(self, delivery: Delivery, answer: Answer) -> None:
        if answer.refused:
            topics = ", ".join(self._readers)
            self._store.fail("subscription", f"the broker refuses the subscription to {topics}: {answer.text}")
        else:
            self._store.mend("subscription")
        del delivery

    def received(self, topic: str, payload: bytes, *, retained: bool, reply: Reply | None = None) -> None:
        del reply  # nobody asks a listener for anything
        if retained and self._marks_retained:
            return
        for read in self._readers.get(topic, ()):
            read(payload)
