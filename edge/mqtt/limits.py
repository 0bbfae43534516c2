"""What a broker allows, as its CONNACK says it, and how large a message is on the wire."""

from __future__ import annotations

from dataclasses import dataclass

from paho.mqtt.properties import Properties

from edge.compat import Self

WINDOW = 16
"""Messages on their way at once at most; below mosquitto's default of 20 (``max_inflight_messages``)."""

_MID_BYTES = 2


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """Something that a broker does not do, and the remedy. ``key`` tells it from others."""

    key: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


NO_WILL = Shortcoming(
    "will",
    "the broker accepts no last will: nobody learns when this device drops out",
    "allow it there, for this device's availability topic",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection. ``packet_bytes``: the largest packet that the broker takes; None: any."""

    window: int = WINDOW
    packet_bytes: int | None = None
    qos: int = 1
    retain: bool = True

    @classmethod
    def told(cls, properties: Properties | None, assumed: Limits) -> Self:
        """What CONNACK says (MQTT 5.0, section 3.2.2.3), and ``assumed`` where it says nothing.

        Server Keep Alive is obeyed by paho. No topic alias, shared or wildcard subscription is ever asked for, and the
        client id is never empty, so those limits cannot be broken.
        """
        return cls(
            window=min(assumed.window, getattr(properties, "ReceiveMaximum", assumed.window)),
            packet_bytes=getattr(properties, "MaximumPacketSize", assumed.packet_bytes),
            qos=min(assumed.qos, getattr(properties, "MaximumQoS", assumed.qos)),
            retain=assumed.retain and bool(getattr(properties, "RetainAvailable", True)),
        )

    def allow(self, size: int) -> bool:
        """Whether a packet of so many bytes may be sent."""
        return self.packet_bytes is None or size <= self.packet_bytes

    def shortcomings(self) -> list[Shortcoming]:
        """What the contract promises and this broker does not allow."""
        found = []
        if self.qos == 0:
            text = "the broker takes QoS 0 only: delivery is not confirmed, and what it loses is lost"
            found.append(Shortcoming("qos", text, "allow QoS 1 there (mosquitto: max_qos)"))
        if not self.retain:
            text = "the broker keeps no retained messages: who subscribes later does not hear what holds by then"
            found.append(Shortcoming("retain", text, "allow them there (mosquitto: retain_available)"))
        return found

    def too_small_for(self, what: str) -> Shortcoming:
        """That a message is larger than the broker takes."""
        text = f"left out: {what}; larger than the {self.packet_bytes} bytes that the broker takes"
        return Shortcoming(what, text, "raise its limit (mosquitto: max_packet_size, message_size_limit)")


def publish_bytes(topic: str, payload: bytes, properties_bytes: int) -> int:
    """Size of a PUBLISH of QoS 1, bytes. ``properties_bytes``: those of MQTT 5 with their length (section 3.3)."""
    length = 2 + len(topic.encode()) + _MID_BYTES + properties_bytes + len(payload)
    return 1 + _varint_bytes(length) + length


def _varint_bytes(value: int) -> int:
    return 1 + (value > 127) + (value > 16_383) + (value > 2_097_151)
