"""Secrets at the broker: the service must be able to read them, and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.errors import EXIT_CONFIG
from edge.tools.doctor import broker, software, storage
from edge.tools.doctor.finding import Finding, Verdict
from edge.tools.doctor.target import Host, User
from tests.tools.doctor.conftest import MakeHost


def credentials(host: Host) -> Finding:
    assert host.config is not None
    return broker.credentials(host, host.config)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A client's key, as the installer's guide has it: root's, and readable for the service's group."""
    path = tmp_path / "client.key"
    path.touch()
    path.chmod(0o640)
    return path


@pytest.fixture
def service(key: Path) -> User:
    """Neither the key's owner nor root."""
    gid = key.stat().st_gid
    return User("evenkeel", os.getuid() + 12345, frozenset({gid}), gid)


def with_key(key: Path) -> dict[str, object]:
    return {"tls": {"enabled": True, "cert_file": str(key), "key_file": str(key)}}


def test_a_key_that_the_service_s_own_group_can_read_is_good(make_host: MakeHost, key: Path, service: User) -> None:
    assert credentials(make_host(user=service, mqtt=with_key(key))).verdict is Verdict.PASS


@pytest.mark.parametrize("mode", [0o644, 0o641])
def test_a_key_that_everybody_gets_at_is_warned_of(make_host: MakeHost, key: Path, service: User, mode: int) -> None:
    key.chmod(mode)
    finding = credentials(make_host(user=service, mqtt=with_key(key)))
    assert finding.verdict is Verdict.WARN
    assert f"(mode {mode:o})" in finding.text


def test_a_key_that_another_group_of_the_service_can_read_is_warned_of(
    make_host: MakeHost, key: Path, service: User
) -> None:
    in_video = User(service.name, service.uid, service.groups, 54321)
    assert credentials(make_host(user=in_video, mqtt=with_key(key))).verdict is Verdict.WARN


def test_a_key_or_password_that_only_root_can_read_is_told_though_root_asks(
    make_host: MakeHost, key: Path, service: User
) -> None:
    key.chmod(0o600)
    for mqtt in (with_key(key), {"username": "van-7", "password_file": str(key)}):
        finding = credentials(make_host(user=service, mqtt=mqtt))
        assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, EXIT_CONFIG)
        assert f"{key} cannot be read by evenkeel" in finding.text


def test_a_password_that_systemd_hands_over_is_read_by_root(make_host: MakeHost, tmp_path: Path, service: User) -> None:
    password = tmp_path / "mqtt_password"
    password.write_text("secret")
    password.chmod(0o600)
    host = make_host(user=service, mqtt={"username": "van-7"}, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    finding = credentials(host)
    assert (finding.verdict, str(password) in finding.text) == (Verdict.PASS, True)


def test_the_installed_configuration_is_named_to_who_looks_at_the_defaults(make_host: MakeHost, tmp_path: Path) -> None:
    assert software.configuration(make_host()).verdict is Verdict.PASS
    installed = tmp_path / "etc/evenkeel/evenkeel.toml"
    installed.parent.mkdir(parents=True)
    installed.touch()
    finding = software.configuration(make_host())
    assert (finding.verdict, finding.remedy) == (Verdict.WARN, f"look with `--config {installed}`")
    assert software.configuration(make_host(config_file=installed)).verdict is Verdict.PASS


def test_a_camera_s_address_in_a_file_that_others_can_read_is_warned_of(
    make_host: MakeHost, key: Path, service: User
) -> None:
    key.write_text("rtsp://driver:canary@127.0.0.1/")
    host = make_host(user=service, camera={"source_file": str(key)})
    assert credentials(host).verdict is Verdict.PASS
    key.chmod(0o644)
    assert (credentials(host).verdict, "others can read" in credentials(host).text) == (Verdict.WARN, True)
    key.chmod(0o600)
    assert (credentials(host).verdict, credentials(host).exit_code) == (Verdict.FAIL, EXIT_CONFIG)


@pytest.mark.parametrize(
    ("mqtt", "told"),
    [
        ({"host": "broker.example"}, ["without TLS", "without a user"]),
        ({"host": "192.0.2.7", "username": "van-7"}, ["without TLS"]),
        ({"host": "broker.example", "tls": {"enabled": True}}, ["without a user"]),
        ({"host": "broker.example", "username": "van-7", "tls": {"enabled": True}}, []),
        ({"host": "localhost"}, []),
        ({"host": "127.0.0.1"}, []),
        ({"host": "::1"}, []),
    ],
)
def test_a_broker_elsewhere_without_tls_or_a_user_is_warned_of(
    make_host: MakeHost, mqtt: dict[str, object], told: list[str]
) -> None:
    finding = credentials(make_host(mqtt=mqtt))
    assert finding.verdict is (Verdict.WARN if told else Verdict.PASS)
    for door in ("without TLS", "without a user"):
        assert (door in finding.text) is (door in told)


def test_a_broker_elsewhere_that_knows_us_by_a_certificate_is_good(
    make_host: MakeHost, key: Path, service: User
) -> None:
    host = make_host(user=service, mqtt={"host": "broker.example", **with_key(key)})
    assert credentials(host).verdict is Verdict.PASS


@pytest.mark.parametrize(("mode", "verdict"), [(0o644, Verdict.WARN), (0o640, Verdict.PASS)])
def test_a_password_in_a_configuration_that_everybody_can_read_is_warned_of(
    make_host: MakeHost, tmp_path: Path, mode: int, verdict: Verdict
) -> None:
    file = tmp_path / "evenkeel.toml"
    file.touch()
    file.chmod(mode)
    finding = storage.config_readable(make_host(config_file=file, camera={"source": "rtsp://driver:canary@127.0.0.1/"}))
    assert finding.verdict is verdict
    assert "canary" not in finding.text + finding.remedy
    assert storage.config_readable(make_host(config_file=file)).verdict is Verdict.PASS


def test_a_configuration_that_the_service_cannot_read_is_not_opened_to_everybody(
    make_host: MakeHost, tmp_path: Path, service: User
) -> None:
    file = tmp_path / "evenkeel.toml"
    file.touch()
    file.chmod(0o600)
    finding = storage.config_readable(make_host(config_file=file, user=service))
    assert (finding.verdict, "chmod 640" in finding.remedy) == (Verdict.FAIL, True)
