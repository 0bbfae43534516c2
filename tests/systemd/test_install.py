"""The installer, as far as it goes without root: its checks, its options, and what it says that it would do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.tools.doctor import dashboard
from edge.tools.doctor.installed import INSTALLERS
from edge.tools.drop_in import PATH

FOLDER = Path(__file__).parents[2] / "systemd"
CHANGING = (
    "apt-get",
    "cp",
    "flock",
    "install",
    "ln",
    "mkdir",
    "mv",
    "rm",
    "runuser",
    "systemctl",
    "useradd",
    "userdel",
)
"""Programs that a check has no need of."""

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A folder in front of the search path, with stand-ins that note in ``called`` that they were called.

    ``id`` denies that this is root, so that no fault of a script can change the machine that tests it.
    """
    folder = tmp_path / "stubs"
    folder.mkdir()
    stub(folder, "id", "echo 1000")
    for name in CHANGING:
        stub(folder, name, f'echo "{name} $*" >>{tmp_path}/called')
    stub(folder, "df", 'echo "Filesystem"; echo "/dev/sda1 9000000 1000000 8000000 12% /"')
    return folder


@pytest.fixture
def script(stubs: Path) -> Script:
    def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            ["/bin/sh", FOLDER / name, *arguments],
            env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "evenkeel-9.9.9-py3-none-any.whl").touch()
    return folder


def stub(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def interpreter(folder: Path, version: str, machine: str) -> Path:
    """A Python that says of itself ``version`` ('3.11') and ``machine`` ('64 aarch64')."""
    return stub(folder, "another-python", f'case "$*" in *version_info*) echo {version};; *) echo "{machine}";; esac')


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_an_option_that_is_not_known_is_refused_by_its_name(script: Script, name: str) -> None:
    done = script(name, "--wheel")
    assert done.returncode == 2
    assert "unknown option '--wheel'" in done.stderr


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_help_tells_every_option_that_the_script_takes(script: Script, name: str) -> None:
    done = script(name, "--help")
    taken = re.findall(r"^ +(--[a-z-]+)\)", (FOLDER / name).read_text(), flags=re.MULTILINE)
    assert done.returncode == 0
    assert len(taken) > 2
    assert [option for option in taken if option != "--help" and f"  {option}" not in done.stdout] == []


@pytest.mark.parametrize("arguments", [["--wheels"], ["--python"], ["--wheels", "--no-start"]])
def test_an_option_without_its_value_is_refused(script: Script, arguments: list[str]) -> None:
    done = script("install.sh", *arguments)
    assert done.returncode == 2
    assert f"{arguments[0]} needs a value" in done.stderr


def test_going_back_takes_no_wheels(script: Script, wheels: Path) -> None:
    assert script("install.sh", "--rollback", "--wheels", wheels).returncode == 2


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_changes_need_root(script: Script, tmp_path: Path, name: str) -> None:
    done = script(name)
    assert done.returncode == 1
    assert "needs root; run it with sudo" in done.stderr
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("from_source", [True, False])
def test_a_dry_run_shows_every_step_in_order_and_takes_none(
    script: Script, wheels: Path, tmp_path: Path, *, from_source: bool
) -> None:
    python = interpreter(tmp_path, "3.11", "64 aarch64")
    done = script("install.sh", "--dry-run", "--python", python, *([] if from_source else ["--wheels", wheels]))
    assert done.returncode == 0, done.stderr
    packages = "cp -R" if from_source else "--no-index"
    steps = ["-m venv", packages, "would verify", "/opt/evenkeel/current", "systemctl --quiet enable"]
    assert all(step in done.stdout for step in steps)
    assert steps == sorted(steps, key=done.stdout.find)
    assert not (tmp_path / "called").exists()


def test_a_dry_run_of_the_removal_takes_no_step(script: Script, tmp_path: Path) -> None:
    done = script("uninstall.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    for folder in ("/opt/evenkeel", "/etc/evenkeel", "/var/lib/evenkeel"):
        assert re.search(rf"would run: rm -rf .*{folder}\b", done.stdout)
    assert not (tmp_path / "called").exists()


def test_a_removal_that_keeps_the_data_leaves_configuration_alerts_and_user(script: Script) -> None:
    printed = script("uninstall.sh", "--dry-run", "--keep-data").stdout
    assert "/opt/evenkeel" in printed
    assert not re.search(r"/etc/evenkeel|/var/lib|userdel", printed)


@pytest.mark.parametrize(
    ("version", "machine", "said"),
    [
        ("3.9", "64 aarch64", "is Python 3.9; Evenkeel needs 3.10 to 3.13"),
        ("3.14", "64 aarch64", "is Python 3.14; Evenkeel needs 3.10 to 3.13"),
        ("3.11", "32 armv7l", "is a 32-bit program; install the 64-bit Raspberry Pi OS"),
        ("3.13", "64 riscv64", "there is no TFLite runtime for this processor"),
    ],
)
def test_a_python_that_cannot_run_it_is_refused_with_the_remedy(
    script: Script, wheels: Path, tmp_path: Path, version: str, machine: str, said: str
) -> None:
    python = interpreter(tmp_path, version, machine)
    done = script("install.sh", "--dry-run", "--wheels", wheels, "--python", python)
    assert done.returncode == 1
    assert said in done.stderr
    assert "would" not in done.stdout


def test_a_python_that_the_service_cannot_see_is_refused(script: Script, wheels: Path, stubs: Path) -> None:
    stub(stubs, "readlink", "echo /home/somebody/.pyenv/versions/3.12.1/bin/python3.12")
    python = interpreter(stubs, "3.12", "64 x86_64")
    done = script("install.sh", "--dry-run", "--wheels", wheels, "--python", python)
    assert done.returncode == 1
    assert "lies in a home folder, which the service cannot see" in done.stderr


def test_all_that_is_wrong_is_said_at_once(script: Script, stubs: Path, tmp_path: Path) -> None:
    stub(stubs, "df", 'echo "Filesystem"; echo "/dev/sda1 9000000 8900000 100000 99% /"')
    (tmp_path / "empty").mkdir()
    done = script("install.sh", "--dry-run", "--python", "no-such-python", "--wheels", tmp_path / "empty")
    assert done.returncode == 1
    for fault in ("holds no evenkeel-*.whl", "has 97 MB free", "no-such-python: no such program"):
        assert fault in done.stderr


@pytest.mark.skipif(Path("/opt/evenkeel").exists(), reason="there is an installation")
def test_nothing_is_allowed_where_nothing_is_installed(script: Script, tmp_path: Path) -> None:
    done = script("install.sh", "--dry-run", "--allow")
    assert done.returncode == 1
    assert "there is no installation" in done.stderr
    assert not (tmp_path / "called").exists()


def test_what_the_configuration_uses_is_allowed_before_the_service_starts(script: Script, wheels: Path) -> None:
    python = interpreter(wheels, "3.11", "64 aarch64")
    printed = script("install.sh", "--dry-run", "--wheels", wheels, "--python", python).stdout
    steps = ["install -m 644", f"would write: /etc/systemd/system/{Path(PATH).parent.name}/uses.conf", "enable"]
    assert all(step in printed for step in steps)
    assert printed.index(steps[1]) < printed.index(steps[2])
    assert f"/{PATH}" == "/etc/systemd/system/evenkeel.service.d/uses.conf"


@pytest.mark.parametrize(
    ("tables", "extras"),
    [
        (("vehicle.can",), "can"),
        (("vss", "metrics"), "vss,metrics"),
        (("dashboard",), "dashboard"),
        (("dashboard", "dashboard.history"), "dashboard,history"),
        (("vehicle.gpio",), "gpio"),
        (('dashboard]\nmetrics = "127.0.0.1:9466"\n[camera',), "metrics,dashboard"),
        (("dashboard]\nhistory.collect = true\n[camera",), "dashboard,history"),
        (("dashboard]\nhistory = { collect = true }\n[camera",), "dashboard,history"),
        (('device]\nid = "history"\n[ dashboard.history ',), "history"),
        (('dashboard.history]\ndatabase = "postgresql+psycopg://e@db/e"\n[camera',), "history,postgresql"),
        (('device]\nid = "x"\n#[metrics]\n#history.collect = true\n[camera',), None),
        (("vehicle.mqtt", "vehicle.gpsd"), None),
    ],
)
def test_packages_come_for_what_the_configuration_names(
    script: Script, stubs: Path, wheels: Path, tmp_path: Path, tables: tuple[str, ...], extras: str | None
) -> None:
    config = tmp_path / "evenkeel.toml"
    config.write_text("".join(f"[{table}]\n" for table in tables))
    grep = str(shutil.which("grep"))
    stub(stubs, "grep", f'case "$*" in *evenkeel.toml) exec {grep} "$1" "$2" {config} ;; *) exec {grep} "$@" ;; esac')
    python = interpreter(wheels, "3.11", "64 aarch64")
    printed = script("install.sh", "--dry-run", "--wheels", wheels, "--python", python).stdout
    found = re.findall(r"pip install .*evenkeel\[(.*)\]", printed)
    assert found == ([] if extras is None else [extras])


@pytest.fixture
def dashboards(wheels: Path) -> Path:
    """A folder of wheels with what the dashboard needs."""
    (wheels / "starlette-0.50.0-py3-none-any.whl").touch()
    return wheels


def test_the_dashboard_becomes_a_service_of_a_user_of_its_own_behind_the_monitor(
    script: Script, dashboards: Path
) -> None:
    python = interpreter(dashboards, "3.11", "64 aarch64")
    done = script("install.sh", "--dry-run", "--dashboard", "--wheels", dashboards, "--python", python)
    assert done.returncode == 0, done.stderr
    assert re.search(r"pip install .*evenkeel\[dashboard\]", done.stdout)
    steps = [
        "systemctl --quiet enable evenkeel.service",
        "useradd --system",
        "mv /etc/systemd/system/evenkeel-dashboard",
    ]
    steps = [f"would run: {step}" for step in (*steps, "systemctl --quiet enable evenkeel-dashboard.service")]
    places = [done.stdout.rfind(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    (made,) = re.findall(r"useradd .* evenkeel-dashboard$", done.stdout, re.MULTILINE)
    assert "--groups" not in made
    assert not re.search(r"usermod .*evenkeel-dashboard", done.stdout)


def test_without_being_asked_for_there_is_no_dashboard(script: Script, wheels: Path) -> None:
    python = interpreter(wheels, "3.11", "64 aarch64")
    printed = script("install.sh", "--dry-run", "--wheels", wheels, "--python", python).stdout
    assert not re.search(r"useradd .*evenkeel-dashboard|systemctl .*evenkeel-dashboard|/etc/.*dashboard", printed)
    assert "evenkeel[" not in printed


def test_wheels_without_the_dashboard_s_are_refused_before_anything_is_changed(
    script: Script, wheels: Path, tmp_path: Path
) -> None:
    python = interpreter(tmp_path, "3.11", "64 aarch64")
    done = script("install.sh", "--dry-run", "--dashboard", "--wheels", wheels, "--python", python)
    assert done.returncode == 1
    assert "holds nothing for the dashboard; make such a folder with 'make wheelhouse EXTRAS=dashboard'" in done.stderr
    assert "would" not in done.stdout


def test_going_back_does_not_add_a_dashboard(script: Script) -> None:
    done = script("install.sh", "--dry-run", "--rollback", "--dashboard")
    assert done.returncode == 2
    assert "--allow --dashboard adds the dashboard" in done.stderr


def test_a_dashboard_that_is_not_wanted_any_more_is_taken_away(script: Script, wheels: Path) -> None:
    python = interpreter(wheels, "3.11", "64 aarch64")
    printed = script("install.sh", "--dry-run", "--no-dashboard", "--wheels", wheels, "--python", python).stdout
    unit = "/etc/systemd/system/evenkeel-dashboard.service"
    assert f"would run: rm -rf {unit} {unit}.d" in printed
    assert "enable evenkeel-dashboard" not in printed


def test_a_removal_takes_the_dashboard_along(script: Script) -> None:
    printed = script("uninstall.sh", "--dry-run").stdout
    unit = "/etc/systemd/system/evenkeel-dashboard.service"
    assert f"would run: rm -rf {unit} {unit}.d" in printed
    assert re.search(r"rm -rf .*/var/lib/evenkeel-dashboard\b", printed)


@pytest.mark.skipif(Path("/opt/evenkeel").exists(), reason="there may be a version to go back to")
@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("installed", 1, "the package evenkeel is installed; upgrade it with apt-get, or remove it first"),
        ("config-files", 0, "the removed package evenkeel still owns /etc/evenkeel/evenkeel.toml"),
        ("not-installed", 0, ""),
    ],
)
def test_beside_the_debian_package_it_changes_nothing(
    script: Script, wheels: Path, tmp_path: Path, stubs: Path, state: str, code: int, said: str
) -> None:
    stub(stubs, "dpkg-query", f"echo {state}")
    python = interpreter(tmp_path, "3.11", "64 aarch64")
    done = script("install.sh", "--dry-run", "--python", python, "--wheels", wheels)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert ("package evenkeel" in done.stderr) == bool(said)
    assert not (tmp_path / "called").exists()


def test_there_is_no_way_back_from_the_first_version(script: Script, tmp_path: Path) -> None:
    done = script("install.sh", "--dry-run", "--rollback")
    assert done.returncode == 1
    assert "there is no earlier version to go back to" in done.stderr
    assert not (tmp_path / "called").exists()


def test_the_unit_runs_the_program_where_the_installer_puts_it_as_the_user_that_it_makes() -> None:
    common = dict(re.findall(r"^([A-Z_]+)=(\S+)$", (FOLDER / "common.sh").read_text(), flags=re.MULTILINE))
    unit = (FOLDER / "evenkeel.service").read_text()
    assert f"ExecStart={common['PREFIX']}/current/bin/evenkeel run --config {common['CONFIG_DIR']}/" in unit
    assert f"User={common['SERVICE_USER']}\n" in unit
    assert common["STATE_DIR"] == "/var/lib/evenkeel"
    assert "StateDirectory=evenkeel\n" in unit
    pages = (FOLDER / common["DASHBOARD"]).read_text()
    assert f"ExecStart={common['PREFIX']}/current/bin/evenkeel dashboard --config " in pages
    assert f"User={common['DASHBOARD_USER']}\n" in pages
    assert f"StateDirectory={Path(common['DASHBOARD_DIR']).name}\n" in pages
    assert (f"/{INSTALLERS}/{dashboard.UNIT}", dashboard.USER) == (
        f"/etc/systemd/system/{common['DASHBOARD']}",
        common["DASHBOARD_USER"],
    )


def test_wheels_are_collected_for_pythons_that_it_runs_on_only(script: Script, tmp_path: Path) -> None:
    assert script("wheelhouse.sh").returncode == 2
    done = script("wheelhouse.sh", sys.executable, "aarch64", "3.9", tmp_path / "wheelhouse")
    assert done.returncode == 2
    assert "Python 3.9: Evenkeel needs 3.10, 3.11, 3.12 or 3.13" in done.stderr


def test_the_configuration_is_for_root_and_the_service_s_group(script: Script, wheels: Path, tmp_path: Path) -> None:
    python = interpreter(tmp_path, "3.11", "64 aarch64")
    done = script("install.sh", "--dry-run", "--wheels", wheels, "--python", python)
    text = (FOLDER / "install.sh").read_text()
    if not Path("/etc/evenkeel/evenkeel.toml").exists():
        assert "would run: install -m 640 -o root -g evenkeel" in done.stdout
    assert text.index("    make_user\n") < text.index("    make_config\n")  # the group is there by then
