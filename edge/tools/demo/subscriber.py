"""A client of its own, on its own connection: it knows of the driver monitor what the broker tells it."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.compat import Self
from edge.errors import UnavailableError

SUBSCRIBE_S = 10.0


class Subscriber:
    """Receives everything below ``topic_filter``; used as a context manager, subscribed from its entry on.

    Raises:
        UnavailableError: the broker cannot be reached, or does not answer.
    """

    def __init__(self, host: str, port: int, topic_filter: str) -> None:
        self._address = host, port
        self._filter = topic_filter
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        host, port = self._address
        try:
            self._client.connect(host, port)
        except OSError as error:
            raise UnavailableError(f"no MQTT broker at {host}:{port}: {error}") from error
        self._client.loop_start()
        if not self._subscribed.wait(SUBSCRIBE_S):
            self._close()
            raise UnavailableError(f"the broker at {host}:{port} did not answer within {SUBSCRIBE_S:g} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def next(self, timeout_s: float) -> tuple[str, bytes] | None:
        """The next message (topic, payload), waited for; None where none came in time."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self._filter, qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._messages.put((message.topic, bytes(message.payload)))
