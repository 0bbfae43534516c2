"""What MQTT 5 lets a message carry beside its payload: what it is, how long it holds, and to whom it answers."""

from __future__ import annotations

from dataclasses import dataclass

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

JSON = "application/json"
_UTF_8 = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """Where the sender of a command wants its answer (``topic``), and what tells it which one it is."""

    topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """What one message carries. The broker forgets it ``expires_s`` seconds later."""

    expires_s: int | None = None
    correlation: bytes | None = None


NONE = Extras()


def publish_properties(payload: bytes, extras: Extras) -> Properties:
    """The properties of a PUBLISH. Every JSON payload of the contract is an object, so its first byte tells it."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if payload.startswith(b"{"):
        properties.PayloadFormatIndicator = _UTF_8
        properties.ContentType = JSON
    if extras.expires_s is not None:
        properties.MessageExpiryInterval = extras.expires_s
    if extras.correlation is not None:
        properties.CorrelationData = extras.correlation
    return properties


def wanted_reply(properties: Properties | None) -> Reply | None:
    """What a PUBLISH says of its answer; None where it says nothing."""
    topic = getattr(properties, "ResponseTopic", None)
    correlation = getattr(properties, "CorrelationData", None)
    return None if topic is None and correlation is None else Reply(topic, correlation)
