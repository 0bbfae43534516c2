"""Fixtures that every area may use: a real mosquitto on a free loopback port, and a subscriber that waits."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypotheses
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.mosquitto import Mosquitto, executable

# how long an example takes says more of the machine than of what is tried
hypotheses.register_profile("evenkeel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypotheses.load_profile("evenkeel")


@dataclass(frozen=True)
class Received:
    """A message as the subscriber got it."""

    topic: str
    payload: bytes
    retained: bool
    qos: int
    # MQTT 5
    expires_s: int | None = None
    content_type: str | None = None
    is_utf8: bool = False
    correlation: bytes | None = None


class Subscriber:
    """An independent client that keeps everything it receives on ``filters``; it comes back by itself."""

    def __init__(
        self,
        port: int,
        filters: str = "#",
        *,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        user: tuple[str, str] | None = None,
    ) -> None:
        self.messages: list[Received] = []
        self._changed = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(filters, qos=1)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._subscribed = False
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait(lambda: self._subscribed, "the subscription")

    def publish(
        self, topic: str, payload: bytes | str = b"", *, retain: bool = False, qos: int = 1, **properties: Any
    ) -> None:
        """Publish and return when the broker has it, or with QoS 0 when the network has.

        ``properties`` are those of MQTT 5 by the names of the standard: ``ResponseTopic="replies"``.
        """
        extra = Properties(PacketTypes.PUBLISH) if properties else None  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(extra, name, value)
        self._client.publish(topic, payload, qos=qos, retain=retain, properties=extra).wait_for_publish(10)

    def payloads(self, topic: str) -> list[bytes]:
        """What has come on one topic, in order."""
        with self._changed:
            return [message.payload for message in self.messages if message.topic == topic]

    def wait_for(self, topic: str, payload: bytes | None = None, *, count: int = 1) -> bytes:
        """The ``count``-th message on ``topic`` (with ``payload``), waited for."""

        def found() -> list[bytes]:
            return [p for p in self.payloads(topic) if payload in (None, p)]

        self.wait(lambda: len(found()) >= count, f"message {count} on {topic}")
        return found()[count - 1]

    def wait(self, condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
        """Wait until ``condition`` holds; it is looked at after each message."""
        end = time.monotonic() + deadline_s
        with self._changed:
            while not condition():
                if time.monotonic() > end:
                    got = "\n".join(f"{m.topic} {m.payload[:120]!r}" for m in self.messages)
                    pytest.fail(f"{what} did not come within {deadline_s} s; got:\n{got}")
                self._changed.wait(0.05)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            received = Received(
                message.topic,
                bytes(message.payload),
                message.retain,
                message.qos,
                expires_s=getattr(message.properties, "MessageExpiryInterval", None),
                content_type=getattr(message.properties, "ContentType", None),
                is_utf8=getattr(message.properties, "PayloadFormatIndicator", 0) == 1,
                correlation=getattr(message.properties, "CorrelationData", None),
            )
            self.messages.append(received)
            self._changed.notify_all()


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """Commands set the process's log level; the next test shall hear its warnings all the same."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    """Makes subscribers: ``subscribe(port)``, ``subscribe(port, "evenkeel/+/alert")``."""
    subscribers: list[Subscriber] = []

    def make(*args: Any, **options: Any) -> Subscriber:
        subscribers.append(Subscriber(*args, **options))
        return subscribers[-1]

    yield make
    for subscriber in subscribers:
        subscriber.close()


@pytest.fixture
def make_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Starts further brokers: ``make_mosquitto(settings="password_file …", listener="cafile …")``."""
    if executable() is None:
        reason = "mosquitto is not installed (apt-get install mosquitto)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    brokers: list[Mosquitto] = []

    def make(settings: str = "allow_anonymous true", listener: str = "", **options: Any) -> Mosquitto:
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), settings, listener, **options)
        brokers.append(broker)
        broker.start()
        return broker

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running mosquitto that lets everybody in: ``.port``, ``.stop()``, ``.start()``, ``.kill()``, ``.log``."""
    return make_mosquitto()


def lacks(missing: str) -> None:
    """Say what a test needs; CI must have it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


@pytest.fixture
def espeak() -> None:
    """The program that makes words."""
    if shutil.which("espeak-ng") is None:
        lacks("espeak-ng is not installed; on Debian: apt-get install espeak-ng")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sound cards that write into the file that is returned: ``file`` what it played last, ``tape`` all of it."""
    try:
        ctypes.CDLL("libasound.so.2")
    except OSError:
        lacks("libasound.so.2 is not installed; on Debian: apt-get install libasound2")
    heard, config = tmp_path / "heard.raw", tmp_path / "asoundrc"
    config.write_text(
        f'pcm.file {{ type file slave.pcm {{ type null }} file "{heard}" format "raw" }}\n'
        f'pcm.tape {{ type file slave.pcm {{ type null }} file "|cat >>{heard}" format "raw" }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    return heard
