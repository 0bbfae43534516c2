"""A subscriber outside the emulated machine, through the forwarded port: what a receiver on the road would see."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.vehicle.image.files import DEVICE_ID
from benchmarks.vehicle.sockets import PATIENCE
from edge.compat import Self
from edge.mqtt.messages import Topics

TOPICS = Topics("evenkeel", DEVICE_ID)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and when it came (monotonic)."""

    t: float
    topic: str
    content: Any
    retained: bool


class Listener:
    """Hears everything below the device's topics while the ``with`` lasts, through every loss of the connection."""

    def __init__(self, port: int) -> None:
        self._changed = threading.Condition()
        self._heard: list[Heard] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPICS.name}/#", 1)
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port, keepalive=60)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, topic: str, since: float = 0.0) -> list[Heard]:
        """What came on a topic, in order."""
        with self._changed:
            return [one for one in self._heard if one.topic == topic and one.t >= since]

    def alerts(self, since: float = 0.0) -> list[dict[str, Any]]:
        """The alerts that came, in order."""
        return [one.content for one in self.heard(TOPICS.alert, since)]

    def newest(self, topic: str, since: float = 0.0) -> Any:
        """The last message of a topic; None where none came."""
        found = self.heard(topic, since)
        return found[-1].content if found else None

    def wait(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it comes to hold in time; asked after every message."""
        until = time.monotonic() + timeout_s * PATIENCE
        with self._changed:
            return self._changed.wait_for(holds, max(0.0, until - time.monotonic()))

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        text = message.payload.decode(errors="replace")
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        with self._changed:
            self._heard.append(Heard(time.monotonic(), message.topic, content, message.retain))
            self._changed.notify_all()
