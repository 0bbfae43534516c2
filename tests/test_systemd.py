"""The unit file: what systemd itself says of it, and what it shares with the code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge.errors import EXIT_CONFIG, EXIT_USAGE

UNIT = Path(__file__).parents[1] / "systemd" / "evenkeel.service"
MAX_EXPOSURE = 20  # tenths, as --threshold takes them

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings() -> dict[str, str]:
    lines = (line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(lines)


def test_faults_that_a_restart_cannot_mend_are_not_retried() -> None:
    assert set(settings()["RestartPreventExitStatus"].split()) == {str(EXIT_CONFIG), str(EXIT_USAGE)}


def test_the_service_is_watched_not_root_and_reloads_by_sighup() -> None:
    unit = settings()
    assert unit["Type"] == "notify"
    assert float(unit["WatchdogSec"]) > 0
    assert unit["User"] != "root"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_clock_s_state_may_be_asked_for_after_all_that_is_forbidden() -> None:
    filters = [line for line in UNIT.read_text().splitlines() if line.startswith("SystemCallFilter=")]
    assert {"adjtimex", "clock_adjtime"} <= set(filters[-1].removeprefix("SystemCallFilter=").split())


@needs_systemd
def test_systemd_finds_it_well_confined() -> None:
    done = subprocess.run(  # noqa: S603
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", str(UNIT)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@needs_systemd
def test_systemd_knows_every_setting() -> None:
    done = subprocess.run(  # noqa: S603
        ["systemd-analyze", "verify", "--man=no", str(UNIT)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line and "not executable" not in line]
    assert complaints == []
