"""Why there is no connection or no delivery, in one line each that names the remedy where there is one."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.properties import Properties

SUCCESS = 0
NO_SUBSCRIBERS = 16
WRONG_VERSION = 132
TOO_LARGE = 149
PAYLOAD_INVALID = 153
NO_RETAIN = 154
NO_QOS = 155

NOT_MQTT = "no answer in MQTT; is this the broker's port, and does it expect TLS?"

# Reason codes of MQTT 5.0, section 2.4; paho maps those of 3.1.1 onto them.
_REFUSALS = {
    WRONG_VERSION: "wrong version: the broker does not speak this version of MQTT; set mqtt.protocol",
    133: "the broker does not accept the client id; change device.id",
    134: "bad user name or password; check mqtt.username and the password file",
    135: "not authorised; check mqtt.username, the password file and the broker's access list",
    136: "the broker is unavailable",
    137: "the broker is busy",
    138: "the broker has banned this client",
    140: "the broker requires another authentication method than user name and password",
    144: "the broker does not accept the topic of the last will; change mqtt.prefix or device.id, or its access list",
    TOO_LARGE: "the broker refuses even a CONNECT as too large; raise its limit (mosquitto: max_packet_size)",
    151: "the broker's quota is exceeded; allow more connections or messages there",
    PAYLOAD_INVALID: "the broker refuses the last will's payload; check its rules for payloads",
    NO_RETAIN: "the broker keeps no retained messages; allow them there (mosquitto: retain_available true)",
    NO_QOS: "the broker does not take QoS 1; allow it there (mosquitto: max_qos 1)",
    156: "the broker sends this device to another server for now; set mqtt.host",
    157: "the broker has moved for good; set mqtt.host",
    159: "the broker limits the rate of connections",
}
_LOSSES = {
    139: "the broker is shutting down",
    141: "the broker heard nothing for 1.5 times mqtt.keepalive_s",
    142: "another client with the same device.id took over; give each device its own",
    147: "the broker takes fewer messages at once than it said",
    TOO_LARGE: "the broker refuses a message as too large; raise its limit (mosquitto: max_packet_size)",
    150: "the broker limits the rate of messages; raise it there",
    151: "the broker's quota is exceeded; raise it there",
    152: "the broker's administrator ended the connection",
    PAYLOAD_INVALID: "the broker refuses a payload; check its rules for payloads",
    160: "the broker limits how long a connection may last",
}
_MESSAGE_REFUSALS = {
    135: "not authorised; check the broker's access list",
    144: "topic not accepted; check the broker's rules for topics",
    TOO_LARGE: "too large; raise the broker's limit (mosquitto: message_size_limit)",
    151: "quota exceeded; raise the broker's quota",
    PAYLOAD_INVALID: "payload not accepted; check the broker's rules for payloads",
}
_UNSPECIFIED = 128
_CLOSED = "closed by the broker, the network, or a second client with the same device.id"

INNOCENT = frozenset({136, 137, 139, 141, 142, 147, 150, 152, 156, 157, 159, 160})
"""Codes of a DISCONNECT for which no single message can be to blame."""

_TOLD_CHARS = 200


def explain_error(error: OSError) -> str:
    """Why no connection could be opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failure: the broker's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failure: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"name not found: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "no answer in time; is the broker reachable from here?"
    if isinstance(error, ConnectionRefusedError):
        return "refused: nothing listens there"
    return error.strerror or str(error)


def explain_refusal(code: int, name: str, properties: Properties | None = None) -> str:
    """Why the broker did not accept the connection; ``name`` is the reason code's."""
    return _REFUSALS.get(code, f"refused by the broker: {name}") + _details(properties)


def explain_loss(code: int, name: str, properties: Properties | None = None) -> str:
    """Why an accepted connection ended; ``name`` is the reason code's."""
    # paho's word for a socket that the other side closed; mosquitto 2.0 does so for a taking over too, without a code
    reason = _CLOSED if code == _UNSPECIFIED else _LOSSES.get(code) or _REFUSALS.get(code) or name
    return f"connection lost: {reason}{_details(properties)}"


def explain_answer(code: int, name: str) -> str:
    """Why the broker does not take a message or a subscription; ``name`` is the code's."""
    return _MESSAGE_REFUSALS.get(code) or _REFUSALS.get(code) or f"{name}; see the broker's log"


def _details(properties: Properties | None) -> str:
    """What the broker adds in words of its own, bounded and printable."""
    told = [str(getattr(properties, name, "")) for name in ("ServerReference", "ReasonString")]
    texts = ["".join(c for c in text if c.isprintable())[:_TOLD_CHARS] for text in told if text]
    return f" ({'; '.join(texts)})" if texts else ""
