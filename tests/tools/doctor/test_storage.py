"""Files and folders, judged for the service's user rather than for whoever asks."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from edge.errors import EXIT_CONFIG, EXIT_UNAVAILABLE
from edge.tools.doctor import storage
from edge.tools.doctor.finding import Finding, Verdict
from edge.tools.doctor.target import Host, User, service_environ
from tests.tools.doctor.conftest import MakeHost

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil's own


def outbox(host: Host) -> Finding:
    assert host.config is not None
    return storage.outbox(host, host.config)


def test_an_outbox_whose_folder_can_be_made_is_good_and_is_not_made(make_host: MakeHost, tmp_path: Path) -> None:
    finding = outbox(make_host())
    assert finding.verdict is Verdict.PASS
    assert finding.text.endswith("the folder will be created")
    assert not (tmp_path / "state").exists()


def test_a_folder_that_the_service_s_user_may_not_write_fails(
    make_host: MakeHost, tmp_path: Path, nobody: User
) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    finding = outbox(make_host(user=nobody))
    assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, EXIT_UNAVAILABLE)
    assert "sudo chown somebody" in finding.remedy


def test_a_group_s_right_to_write_counts(make_host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o775)
    group = (tmp_path / "state").stat().st_gid
    assert outbox(make_host(user=User("somebody", 12345, frozenset({group})))).verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-wal", "outbox.db.lock", "outbox.db.epoch"])
def test_a_file_that_root_left_behind_is_given_back_to_the_service(
    make_host: MakeHost, tmp_path: Path, nobody: User, name: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    (tmp_path / "state" / name).touch(mode=0o644)
    finding = outbox(make_host(user=nobody))
    assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, EXIT_UNAVAILABLE)
    assert finding.remedy.endswith(f"`sudo chown somebody {tmp_path / 'state' / name}`")


def test_a_file_in_the_outbox_s_place_that_is_none_is_named(make_host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "outbox.db").write_text("a shopping list" * 100)
    finding = outbox(make_host())
    assert finding.verdict is Verdict.WARN
    assert "not a database" in finding.text
    assert finding.remedy is not None
    assert "outbox.path" in finding.remedy


@pytest.mark.parametrize(("free_mb", "verdict"), [(5, "fail"), (100, "warn"), (5000, "pass")])
def test_room_is_judged_by_what_a_full_outbox_takes(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch, free_mb: int, verdict: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 0, free_mb * 10**6))
    assert outbox(make_host()).verdict == verdict


@pytest.mark.parametrize(
    ("mode", "verdict", "code"), [(0o644, "pass", 0), (0o600, "fail", EXIT_CONFIG), (0o666, "warn", 0)]
)
def test_the_configuration_must_be_readable_for_the_service_and_changeable_for_nobody(
    make_host: MakeHost, tmp_path: Path, nobody: User, mode: int, verdict: str, code: int
) -> None:
    path = tmp_path / "evenkeel.toml"
    path.touch()
    path.chmod(mode)
    finding = storage.config_readable(make_host(user=nobody, config_file=path))
    assert (finding.verdict, finding.exit_code) == (verdict, code)


def test_a_device_that_the_user_may_not_use_names_the_group_to_join(
    make_host: MakeHost, tmp_path: Path, nobody: User
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/video0").touch(mode=0o660)
    host = make_host(user=nobody, camera={"source": "picamera2"})
    assert host.config is not None
    finding = storage.device_permissions(host, host.config)
    assert finding.verdict is Verdict.WARN
    assert finding.remedy.startswith("`sudo usermod -aG ")


def test_the_installed_service_s_folders_are_looked_at_unless_the_environment_names_others(tmp_path: Path) -> None:
    (tmp_path / "var/lib/evenkeel").mkdir(parents=True)
    (tmp_path / "etc/evenkeel").mkdir(parents=True)
    (tmp_path / "etc/evenkeel/mqtt_password").touch()
    known = service_environ({"STATE_DIRECTORY": "/mine"}, tmp_path)
    assert known == {"STATE_DIRECTORY": "/mine", "CREDENTIALS_DIRECTORY": str(tmp_path / "etc/evenkeel")}
    assert service_environ({}, tmp_path / "elsewhere") == {}
