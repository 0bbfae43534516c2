"""How large Home Assistant's database grows in simulated hours of what a device really says."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.config import Config
from edge.mqtt.discovery import descriptions
from edge.mqtt.messages import Topics


@dataclass(frozen=True, slots=True)
class Said:
    """One message, ``at`` seconds after the first."""

    at: float
    topic: str
    payload: bytes
    retain: bool


class Listener:
    """Notes what a device says from now on."""

    def __init__(self, port: int, topics: Topics) -> None:
        self.heard: list[Said] = []
        self._retained = topics.retained
        self._began = time.monotonic()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topics.name}/#", 1)
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Stop listening."""
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        at = time.monotonic() - self._began
        self.heard.append(Said(at, message.topic, bytes(message.payload), message.topic in self._retained))


def describe(port: int, config: Config) -> None:
    """Have the broker retain a device's description."""
    with _connected(port) as client:
        for topic, told in descriptions(config, "0").items():
            client.publish(topic, told, qos=1, retain=True).wait_for_publish(10)


def repeat(port: int, said: Sequence[Said], lasts_s: float, hours: float, speed: float) -> None:
    """Say it again and again, each round of ``lasts_s``, for so many hours of a clock that is ``speed`` as fast."""
    began, end, start = time.monotonic(), hours * 3600, 0.0
    with _connected(port) as client:
        while start < end:
            for one in said:
                time.sleep(max(0.0, began + (start + one.at) / speed - time.monotonic()))
                client.publish(one.topic, one.payload, qos=1, retain=one.retain)
            start += lasts_s
        time.sleep(max(0.0, began + end / speed - time.monotonic()))


@contextmanager
def _connected(port: int) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def size_mb(database: Path) -> float:
    """What the database holds, free pages left out, megabytes."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return float((pages - free) * size / 1e6)


def rows(database: Path) -> dict[str, int]:
    """How many states are stored of each entity."""
    query = "SELECT states_meta.entity_id, count(*) FROM states JOIN states_meta USING (metadata_id) GROUP BY 1"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute(query))
