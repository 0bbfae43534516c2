"""The newest value of each retained topic, and which of them the broker does not have yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping


class Slots:
    """Filled by the service's thread, emptied by the publisher's; a value that is overtaken is never sent."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._lock = threading.Lock()
        self._values = dict(values)
        self._unsent: dict[str, None] = {}

    def fill(self, topic: str, payload: bytes) -> None:
        """This is the topic's value from now on."""
        with self._lock:
            self._values[topic] = payload
            self._unsent[topic] = None

    def renew(self, topic: str) -> None:
        """Have a topic sent again, if it has a value."""
        with self._lock:
            if topic in self._values:
                self._unsent[topic] = None

    def restart(self) -> None:
        """A broker that may remember nothing: all are unsent."""
        with self._lock:
            self._unsent = dict.fromkeys(self._values)

    def ready(self, wanted: Callable[[str], bool]) -> list[str]:
        """The unsent topics that are ``wanted``."""
        with self._lock:
            return [topic for topic in self._unsent if wanted(topic)]

    def value(self, topic: str) -> bytes:
        """The topic's value."""
        with self._lock:
            return self._values[topic]

    def take(self, topic: str) -> bytes:
        """The topic's value, which is sent from now on."""
        with self._lock:
            self._unsent.pop(topic, None)
            return self._values[topic]
