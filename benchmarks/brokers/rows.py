"""The brokers and the limits that each is tried with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.brokers.aedes import Aedes
from benchmarks.brokers.ejabberd import Ejabberd
from benchmarks.brokers.embedded import Embedded
from benchmarks.brokers.rabbitmq import RabbitMq
from benchmarks.mosquitto import Mosquitto
from benchmarks.server import Server

NO_LIMIT = "as it comes"
PERSISTENCE = """persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1"""


@dataclass(frozen=True, slots=True)
class Row:
    """One broker with one limit. ``protocol`` is the device's version of MQTT.

    ``named`` is a word that the device's problems must hold: where something cannot pass, it says so.
    """

    kind: type[Server]
    limit: str
    make: Callable[[Path], Server]
    protocol: str = "auto"
    named: str | None = None

    @property
    def name(self) -> str:
        """For people and for choosing rows."""
        return f"{self.kind.name}: {self.limit}"


def _mosquitto(limit: str, *, protocol: str = "auto", named: str | None = None) -> Row:
    settings = "" if limit == NO_LIMIT else limit

    def make(folder: Path) -> Mosquitto:
        # max_qos belongs to the listener, everything else to the broker
        listener, general = (settings, "") if settings.startswith("max_qos") else ("", settings)
        return Mosquitto(folder, f"allow_anonymous true\n{general}", listener)

    told = limit if protocol == "auto" else f"{limit}, MQTT {protocol}"
    return Row(Mosquitto, told, make, protocol, named)


ROWS = (
    _mosquitto(NO_LIMIT),
    Row(Mosquitto, "persistence true", lambda folder: Mosquitto(folder, f"allow_anonymous true\n{PERSISTENCE}")),
    _mosquitto("max_inflight_messages 1"),
    _mosquitto("max_queued_messages 1"),
    _mosquitto("max_packet_size 1500", named="left out"),
    _mosquitto("max_packet_size 2000"),
    _mosquitto("max_packet_size 1500", protocol="3.1.1", named="left out"),
    _mosquitto("max_packet_size 2000", protocol="3.1.1"),
    _mosquitto("message_size_limit 1500", named="left out"),
    _mosquitto("message_size_limit 2000"),
    _mosquitto("max_qos 0", named="QoS"),
    _mosquitto("retain_available false", named="retain"),
    Row(RabbitMq, NO_LIMIT, RabbitMq),
    Row(
        RabbitMq,
        "max_message_size 1500",
        lambda folder: RabbitMq(folder, "max_message_size = 1500\n"),
        named="left out",
    ),
    Row(RabbitMq, "max_message_size 2000", lambda folder: RabbitMq(folder, "max_message_size = 2000\n")),
    Row(RabbitMq, "prefetch 1", lambda folder: RabbitMq(folder, "mqtt.prefetch = 1\n")),
    Row(
        RabbitMq,
        "no retained store",
        lambda folder: RabbitMq(folder, "mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_noop\n"),
    ),
    Row(Ejabberd, NO_LIMIT, Ejabberd),
    Row(
        Ejabberd,
        "max_payload_size 1500",
        lambda folder: Ejabberd(folder, listener="max_payload_size: 1500"),
        named="left out",
    ),
    Row(Ejabberd, "max_payload_size 2000", lambda folder: Ejabberd(folder, listener="max_payload_size: 2000")),
    Row(
        Ejabberd,
        "max_queue 50, session_expiry 0",
        lambda folder: Ejabberd(folder, "max_queue: 50\nsession_expiry: 0"),
    ),
    Row(Aedes, NO_LIMIT, Aedes),
    Row(Aedes, "concurrency 1, queueLimit 1", lambda folder: Aedes(folder, {"concurrency": 1, "queueLimit": 1})),
    Row(Aedes, "no retain", lambda folder: Aedes(folder, retain=False)),
    Row(Embedded, NO_LIMIT, Embedded),
)
