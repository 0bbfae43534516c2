"""Why there is no connection, in one line each that names the remedy where there is one."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

WRONG_VERSION = 132

# Reason codes of CONNACK, MQTT 5.0 section 3.2.2.2; paho maps the codes of 3.1.1 onto them.
_REFUSALS = {
    WRONG_VERSION: "wrong version: the broker does not speak this version of MQTT; set mqtt.protocol",
    133: "the broker does not accept the client id; change device.id",
    134: "bad user name or password; check mqtt.username and the password file",
    135: "not authorised; check mqtt.username, the password file and the broker's access list",
    136: "the broker is unavailable",
    137: "the broker is busy",
    138: "the broker has banned this client",
    151: "the broker's quota is exceeded",
    159: "the broker limits the rate of connections",
}
_UNSPECIFIED = 128
_SESSION_TAKEN_OVER = 142

NOT_MQTT = "no answer in MQTT; is this the broker's port, and does it expect TLS?"


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


def explain_refusal(code: ReasonCode) -> str:
    """Why the broker did not accept the connection."""
    return _REFUSALS.get(code.value, f"refused by the broker: {code}")


def explain_loss(code: ReasonCode) -> str:
    """Why an accepted connection ended."""
    if code.value == _SESSION_TAKEN_OVER:
        return "another client with the same device.id took over; give each device its own"
    # paho's word for a socket that the other side closed; mosquitto 2.0 does so for a taking over too, without a code
    if code.value == _UNSPECIFIED:
        return "connection lost: closed by the broker, the network, or a second client with the same device.id"
    return f"connection lost: {code}"
