"""Passwords and certificates: where they come from, and when they are refused."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.messages import made_outbox
from edge.compat import UTC
from edge.config import Config, MqttConfig, TlsConfig, load_config
from edge.domain import Stamp
from edge.errors import ConfigError
from edge.mqtt.client import Publisher
from edge.mqtt.security import is_loopback, load_credentials, tls_context

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.mqtt.conftest import Certificates


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    return path


def test_the_password_comes_from_its_file_without_the_line_end(secret: Path) -> None:
    credentials = load_credentials(MqttConfig(username="van", password_file=secret), {})
    assert credentials is not None
    assert (credentials.username, credentials.password) == ("van", "s3cret")


def test_the_password_comes_from_systemd_where_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mqtt_password").write_text("from-systemd")
    credentials = load_credentials(MqttConfig(username="van"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert credentials is not None
    assert credentials.password == "from-systemd"  # noqa: S105 - a test's


def test_an_empty_password_from_systemd_is_none(tmp_path: Path) -> None:
    (tmp_path / "mqtt_password").write_text("\n")
    credentials = load_credentials(MqttConfig(username="van"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert credentials is not None
    assert credentials.password is None


def test_the_password_is_in_no_text_form(secret: Path) -> None:
    assert "s3cret" not in repr(load_credentials(MqttConfig(username="van", password_file=secret), {}))


def test_a_password_is_not_sent_in_the_clear_to_another_host(secret: Path) -> None:
    mqtt: dict[str, Any] = {"host": "broker.example", "username": "van", "password_file": secret}
    with pytest.raises(ConfigError, match=r"refusing to send the password to broker\.example without TLS"):
        load_credentials(MqttConfig(**mqtt), {})
    assert load_credentials(MqttConfig(**mqtt, allow_plain_password=True), {})
    assert load_credentials(MqttConfig(**mqtt, tls=TlsConfig(enabled=True)), {})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("127.1.2.3", True),
        ("127.1", True),
        ("0x7f.1", True),
        ("2130706433", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
    ],
)
def test_this_machine_is_known_by_its_loopback_names(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "host",
    [
        "broker",
        "10.0.0.1",
        "10.1",
        "localhost.example",
        "localhost..",
        "127.0.0.1.example",
        "fade",
        "2001:db8::1",
        "::ffff:10.0.0.1",
    ],
)
def test_other_hosts_are_not_taken_for_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_a_password_file_that_is_missing_or_empty_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.password_file = .*gone: cannot be read: No such file"):
        load_credentials(MqttConfig(username="van", password_file=tmp_path / "gone"), {})
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="empty; write the password into it"):
        load_credentials(MqttConfig(username="van", password_file=tmp_path / "empty"), {})
    with pytest.raises(ConfigError, match=r"mqtt\.username is not"):
        load_credentials(MqttConfig(password_file=tmp_path / "empty"), {})


def test_certificates_that_cannot_be_used_are_one_clear_line(tmp_path: Path, secret: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.tls\.ca_file = .*gone"):
        tls_context(TlsConfig(enabled=True, ca_file=tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"ca_file = .*not PEM"):
        tls_context(TlsConfig(enabled=True, ca_file=secret))
    with pytest.raises(ConfigError, match=r"no certificate and unencrypted key"):
        tls_context(TlsConfig(enabled=True, cert_file=secret, key_file=secret))


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("a..b", "not a host name or address"),
        ("mqtt://x", "write 'x', the port in mqtt.port"),
        ("mqtts://broker.example:8883/path", "write 'broker.example'"),
        ("x:1883", "write 'x', and mqtt.port = 1883"),
        ("10.0.0.1:1883", "write '10.0.0.1', and mqtt.port = 1883"),
        ("[::1]:1883", "write '::1', and mqtt.port = 1883"),
        ("[::1]", "write '::1'"),
        (" x", "spaces around it; write 'x'"),
        ("x\n", "spaces around it; write 'x'"),
        ("a b", "not a host name or address"),
        ("van@x", "not a host name or address"),
        ("x/y", "not a host name or address"),
        ("x" * 64, "not a host name or address"),
        ("", "that is not empty"),
    ],
)
def test_a_host_that_is_no_name_or_address_is_refused_with_the_remedy(host: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        load_config(None, {"EVENKEEL_MQTT__HOST": host})


@pytest.mark.parametrize(
    "host", ["::1", "fe80::1%eth0", "127.1", "LOCALHOST", "localhost.", "broker_1", "bücher.example"]
)
def test_a_host_as_the_system_takes_it_is_left_as_it_is(host: str) -> None:
    assert load_config(None, {"EVENKEEL_MQTT__HOST": host}).mqtt.host == host


def test_a_user_name_that_mqtt_cannot_carry_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.username.*at most 65535 bytes"):
        load_config(None, {"EVENKEEL_MQTT__USERNAME": "x" * 65_536})


def test_a_password_that_mqtt_cannot_carry_is_refused_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("p4ss" * 16_384)
    with pytest.raises(ConfigError, match="65536 bytes, but MQTT takes at most 65535") as refused:
        load_credentials(MqttConfig(username="van", password_file=tmp_path / "long"), {})
    assert "p4ss" not in str(refused.value)


def test_an_editors_mark_before_the_password_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfs3cret\r\n")
    credentials = load_credentials(MqttConfig(username="van", password_file=tmp_path / "marked"), {})
    assert credentials is not None
    assert credentials.password == "s3cret"  # noqa: S105 - a test's
    (tmp_path / "mqtt_password").write_bytes(b"\xef\xbb\xbf\n")
    credentials = load_credentials(MqttConfig(username="van"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert credentials is not None
    assert credentials.password is None


def publisher(folder: Path, mqtt: dict[str, Any]) -> Publisher:
    def clock() -> Stamp:
        return Stamp(datetime(2026, 5, 4, tzinfo=UTC), time.monotonic(), clock_synced=True)

    config = Config.model_validate({"device": {"id": "van-7"}, "mqtt": {"reconnect_min_s": 0.1, **mqtt}})
    outbox = made_outbox(folder / "outbox.db", clock())
    return Publisher(config, outbox, clock=clock, environ={})


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_client_certificate_opens_a_broker_that_demands_one(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, certificates: Certificates
) -> None:
    broker = make_mosquitto(
        settings="allow_anonymous false",
        listener=certificates.listener("require_certificate true\nuse_identity_as_username true"),
    )
    mqtt = {"host": "127.0.0.1", "port": broker.port, "tls": certificates.client_tls}
    with publisher(tmp_path, mqtt) as connected:
        until(lambda: connected.connected)


def test_a_certificate_of_an_unknown_ca_and_a_wrong_name_are_refused_with_the_reason(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, certificates: Certificates
) -> None:
    broker = make_mosquitto(listener=certificates.listener())
    mqtt = {"host": "127.0.0.1", "port": broker.port, "tls": {"enabled": True}}
    with publisher(tmp_path, mqtt) as stranger:
        until(lambda: "TLS failure" in (stranger.problem or ""))
        assert "certificate is not accepted" in (stranger.problem or "")
    mqtt = {"host": "localhost", "port": broker.port, "tls": {"enabled": True, "ca_file": certificates.ca}}
    with publisher(tmp_path, mqtt) as misnamed:
        until(lambda: "mismatch" in (misnamed.problem or ""))


def test_plain_text_to_a_tls_port_is_told(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, certificates: Certificates
) -> None:
    broker = make_mosquitto(listener=certificates.listener())
    with publisher(tmp_path, {"host": "127.0.0.1", "port": broker.port}) as plain:
        until(lambda: "TLS?" in (plain.problem or ""))
