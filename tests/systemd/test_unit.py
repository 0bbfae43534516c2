"""The unit file: what systemd itself says of it, and what it shares with the code and the installer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.collect.database import CREDENTIAL as DATABASE_CREDENTIAL
from edge.config import Config
from edge.config.secrets import CAMERA_CREDENTIAL
from edge.errors import EXIT_CONFIG, EXIT_USAGE
from edge.mqtt.security import CREDENTIAL
from edge.tools.drop_in import drop_in

UNIT = Path(__file__).parents[2] / "systemd" / "evenkeel.service"
COLLECTOR = UNIT.with_name("evenkeel-collect.service")
DASHBOARD = UNIT.with_name("evenkeel-dashboard.service")
UNITS = pytest.mark.parametrize("unit", [UNIT, COLLECTOR, DASHBOARD], ids=lambda unit: unit.stem)
MAX_EXPOSURE = 20  # tenths, as --threshold takes them


def settings(unit: Path = UNIT) -> dict[str, str]:
    lines = (line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(lines)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask ``systemd-analyze``; CI must have it, another machine may do without."""
    program = shutil.which("systemd-analyze")
    if program is None:
        missing = "systemd-analyze is not installed; on Debian: apt-get install systemd"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603


@UNITS
def test_faults_that_a_restart_cannot_mend_are_not_retried(unit: Path) -> None:
    assert set(settings(unit)["RestartPreventExitStatus"].split()) == {str(EXIT_CONFIG), str(EXIT_USAGE)}


def test_the_service_is_watched_not_root_and_reloads_by_sighup() -> None:
    unit = settings()
    assert unit["Type"] == "notify"
    assert float(unit["WatchdogSec"]) > 0
    assert unit["User"] != "root"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"


@UNITS
def test_no_group_is_asked_for_that_a_system_may_lack(unit: Path) -> None:
    assert "SupplementaryGroups" not in settings(unit)


def test_the_clock_s_state_may_be_asked_for_after_all_that_is_forbidden() -> None:
    filters = [line for line in UNIT.read_text().splitlines() if line.startswith("SystemCallFilter=")]
    assert {"adjtimex", "clock_adjtime"} <= set(filters[-1].removeprefix("SystemCallFilter=").split())


@pytest.mark.parametrize("name", [CREDENTIAL, CAMERA_CREDENTIAL])
def test_a_secret_is_handed_over_where_there_is_one_and_not_missed_where_there_is_none(name: str) -> None:
    lines = UNIT.read_text().splitlines()
    assert f"LoadCredential={name}:/etc/evenkeel/{name}" in lines
    assert rf"SetCredential={name}:\n" in lines


@UNITS
def test_systemd_finds_it_well_confined(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", unit)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_who_serves_the_dashboard_has_no_camera_and_none_of_the_monitor_s_files() -> None:
    unit = settings(DASHBOARD)
    assert unit["User"] == unit["Group"] != settings()["User"]
    assert (unit["PrivateDevices"], unit["DevicePolicy"]) == ("yes", "closed")
    assert "DeviceAllow" not in unit
    assert unit["StateDirectory"] != settings()["StateDirectory"]
    # the configuration is handed over, because only root and the monitor's group may read it
    assert "LoadCredential=evenkeel.toml:/etc/evenkeel/evenkeel.toml" in DASHBOARD.read_text().splitlines()
    assert unit["ExecStart"].endswith(" dashboard --config %d/evenkeel.toml")


def test_the_dashboard_s_page_tells_how_exposed_its_service_is() -> None:
    said = analyze("security", "--offline=true", "--no-pager", DASHBOARD).stdout
    exposure = re.search(r"exposure level for evenkeel-dashboard.service: ([\d.]+)", said)
    assert exposure is not None
    assert f"`systemd-analyze security` gives {exposure[1]} " in (UNIT.parents[1] / "docs/dashboard.md").read_text()


@pytest.mark.parametrize(
    ("name", "file"), [(CREDENTIAL, "mqtt_password"), (DATABASE_CREDENTIAL, "dashboard_database_password")]
)
def test_the_dashboard_is_handed_its_passwords(name: str, file: str) -> None:
    lines = DASHBOARD.read_text().splitlines()
    assert f"LoadCredential={name}:/etc/evenkeel/{file}" in lines
    assert rf"SetCredential={name}:\n" in lines


USED = (
    {"cab": {"sound": {"enabled": True}}},
    {"cab": {"gpio": {"led": 17}}},
    {"cab": {"button": {"pin": 26}}},
    {"vehicle": {"gpio": {"ignition_pin": 24}}},
    {"camera": {"source": "gst:nvarguscamerasrc ! nvvidconv ! appsink"}},
    {"cab": {"sound": {"enabled": True}, "gpio": {"led": 17}}},
)


@pytest.mark.parametrize("used", USED, ids=str)
def test_with_what_the_configuration_uses_it_is_as_well_confined(tmp_path: Path, used: dict[str, Any]) -> None:
    allowed = drop_in(Config.model_validate(used), ["audio", "gpio"])
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text() + allowed)
    done = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", unit)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
    assert allowed.count("\n") > 2


def test_a_can_bus_costs_what_the_page_on_vehicles_says(tmp_path: Path) -> None:
    page = (UNIT.parents[1] / "docs/vehicle.md").read_text()
    allowed = re.search(r"^\[Service\]\nRestrictAddressFamilies=AF_CAN$", page, re.MULTILINE)
    assert allowed is not None
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text() + allowed[0])
    said = analyze("security", "--offline=true", "--no-pager", unit).stdout
    exposure = re.search(r"exposure level for evenkeel.service: ([\d.]+)", said)
    assert exposure is not None
    assert f"`systemd-analyze security` gives {exposure[1]} then" in page


def test_nothing_is_allowed_that_is_not_used_and_no_group_is_joined_that_there_is_not() -> None:
    assert drop_in(Config(), ["audio", "gpio"]) == ""
    assert drop_in(Config.model_validate({"cab": {"command": {"program": ["/bin/warn"]}}}), ["audio"]) == ""
    all_of_it = Config.model_validate(USED[-1])
    assert "SupplementaryGroups=audio gpio\n" in drop_in(all_of_it, ["audio", "gpio", "video"])
    assert "SupplementaryGroups=audio\n" in drop_in(all_of_it, ["audio"])
    assert "SupplementaryGroups" not in drop_in(all_of_it, [])


def test_a_jetson_s_own_camera_is_allowed_and_another_pipeline_asks_for_nothing() -> None:
    allowed = drop_in(Config.model_validate(USED[-2]), [])
    assert "\nPartOf=nvargus-daemon.service\n[Service]\n" in allowed
    assert "DeviceAllow=/dev/nvmap rw\n" in allowed
    assert drop_in(Config.model_validate({"camera": {"source": "gst:v4l2src ! appsink"}}), []) == ""


@pytest.mark.parametrize("used", USED, ids=str)
def test_systemd_understands_what_is_allowed(tmp_path: Path, used: dict[str, Any]) -> None:
    allowed = drop_in(Config.model_validate(used), ["root"])
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace(settings()["ExecStart"].split()[0], sys.executable))
    (tmp_path / f"{UNIT.name}.d").mkdir()
    (tmp_path / f"{UNIT.name}.d" / "uses.conf").write_text(allowed)
    done = analyze("verify", "--man=no", tmp_path / UNIT.name)
    assert [line for line in done.stderr.splitlines() if UNIT.stem in line] == []


@UNITS
def test_systemd_has_nothing_to_say_against_it(tmp_path: Path, unit: Path) -> None:
    installed = unit.read_text().replace(settings(unit)["ExecStart"].split()[0], sys.executable)  # verify looks for it
    (tmp_path / unit.name).write_text(installed)
    done = analyze("verify", "--man=no", tmp_path / unit.name)
    about_it = [line for line in done.stderr.splitlines() if unit.stem in line]
    assert (done.returncode, about_it) == (0, []), done.stderr
