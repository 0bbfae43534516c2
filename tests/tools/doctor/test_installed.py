"""Remedies go by how Evenkeel was installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.tools.doctor.installed import PACKAGED, add_dashboard, allow, has_unit


def test_the_package_s_users_are_sent_to_its_commands_and_others_to_the_installer() -> None:
    assert (allow(PACKAGED), add_dashboard(PACKAGED)) == (
        "`sudo evenkeel-allow`",
        "`sudo apt-get install evenkeel-dashboard`",
    )
    assert "install.sh --allow`" in allow("/opt/evenkeel/releases/1")
    assert "install.sh --allow --dashboard`" in add_dashboard("/opt/evenkeel/releases/1")


@pytest.mark.parametrize("folder", ["etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"])
def test_a_unit_is_found_wherever_systemd_finds_it(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert not has_unit(tmp_path, "evenkeel.service")
    (tmp_path / folder / "evenkeel.service").touch()
    assert has_unit(tmp_path, "evenkeel.service")
