"""Who the device says it is, and how it makes sure of the broker: passwords, certificates, TLS."""

from __future__ import annotations

import codecs
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.config import MAX_MQTT_TEXT_BYTES, MqttConfig, TlsConfig
from edge.config.secrets import shown
from edge.errors import ConfigError

CREDENTIAL = "mqtt_password"
"""Name of systemd's credential (``LoadCredential=mqtt_password:…``)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user at the broker. The password is left out of every text form."""

    username: str
    password: str | None = field(repr=False)


def load_credentials(config: MqttConfig, environ: Mapping[str, str]) -> Credentials | None:
    """The user that the configuration names, with the password from its file or from systemd's credential.

    Raises:
        ConfigError: password file missing, unreadable or empty, password without a user, or a password that would
            cross the network in the clear.
    """
    if config.username is None:
        if config.password_file is not None:
            raise ConfigError("mqtt.password_file is set but mqtt.username is not; set both or neither")
        return None
    path = password_file(config, environ)
    password = None if path is None else _read_password(path)
    if password and not (config.tls.enabled or config.allow_plain_password or is_loopback(config.host)):
        raise ConfigError(
            f"mqtt: refusing to send the password to {config.host} without TLS; "
            "set mqtt.tls.enabled = true (or mqtt.allow_plain_password = true)"
        )
    return Credentials(config.username, password)


def tls_context(config: TlsConfig) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the certificates of the configuration; None where TLS is off.

    Raises:
        ConfigError: a certificate or key is missing, unreadable or not what it should be.
    """
    if not config.enabled:
        return None
    for key, path in (("ca_file", config.ca_file), ("cert_file", config.cert_file), ("key_file", config.key_file)):
        if path is not None:
            _read_file(f"mqtt.tls.{key}", path)
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"mqtt.tls.ca_file = {config.ca_file}: not PEM certificates ({error.reason})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.cert_file is not None:
        try:
            # without a password callback OpenSSL would ask for one at the terminal
            context.load_cert_chain(config.cert_file, config.key_file, password=lambda: "")
        except ssl.SSLError as error:
            raise ConfigError(
                f"mqtt.tls: {config.cert_file} and {config.key_file} are no certificate and unencrypted key "
                f"that belong together, both PEM ({error.reason})"
            ) from None
    return context


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, so that nothing said to it crosses a network.

    As the system's resolver understands it: ``LOCALHOST.`` and ``127.1`` are this machine too.
    """
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_short_loopback(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_short_loopback(host: str) -> bool:
    """Whether it is a loopback address in one of the short forms of IPv4."""
    if not re.fullmatch(r"[0-9a-fxA-FX.]+", host):
        return False
    try:
        packed = socket.inet_aton(host)
    except OSError:
        return False
    return ipaddress.IPv4Address(packed).is_loopback


def password_file(config: MqttConfig, environ: Mapping[str, str]) -> Path | None:
    """The file that the password is read from: the configured one, else systemd's credential, or none.

    Where the board has no password, the unit's credential is an empty line.
    """
    if config.password_file is not None:
        return config.password_file
    folder = environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / CREDENTIAL if folder else None
    if credential is None or not credential.exists():
        return None
    if not _read_file("mqtt.password_file", credential).removeprefix(codecs.BOM_UTF8).strip():
        return None
    return credential


def _read_password(path: Path) -> str:
    try:
        # an editor's mark at the beginning is no part of the password
        password = _read_file("mqtt.password_file", path).removeprefix(codecs.BOM_UTF8).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"mqtt.password_file = {path}: not UTF-8 text") from None
    if not password:
        raise ConfigError(f"mqtt.password_file = {path}: empty; write the password into it")
    if (size := len(password.encode())) > MAX_MQTT_TEXT_BYTES:
        raise ConfigError(
            f"mqtt.password_file = {shown(path)}: {size} bytes, but MQTT takes at most {MAX_MQTT_TEXT_BYTES}; "
            "is this the right file?"
        )
    return password


def _read_file(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{key} = {shown(path)}: cannot be read: {error.strerror}; it takes the path of a file"
        ) from None
