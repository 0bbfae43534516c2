"""The packages, as far as they go without debhelper; `make deb-try` tries them in a fresh Debian."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

import pytest

from edge.compat import tomllib
from edge.tools.doctor.installed import PACKAGED
from systemd.packages import deb

SOURCE = Path(__file__).parents[2]
SUITE = deb.SUITES["3.11"]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The folder of a package's Python packages: Evenkeel, and a compiled one of somebody else."""
    folder = tmp_path / "evenkeel/stage" / deb.HOME / "lib/python3.11/site-packages"
    for name, licence, tags in (
        ("evenkeel", "Apache-2.0", ["py3-none-any"]),
        ("other", "MIT", ["cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_34_x86_64"]),
    ):
        info = folder / f"{name}-9.9.9.dist-info"
        info.mkdir(parents=True)
        (folder / name).mkdir()
        about = (
            f"Metadata-Version: 2.4\nName: {name}\nVersion: 9.9.9\nLicense-Expression: {licence}\nAuthor: A. Person\n"
        )
        (info / "METADATA").write_text(about)
        (info / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n../../bin/{name},,\n{info.name}/METADATA,,\n")
    return folder


@pytest.fixture
def tree(tmp_path: Path, packages: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What debhelper gets."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795822130")
    tree = tmp_path / "evenkeel"
    deb.stage_program(tree / "stage", SUITE)
    deb.write_debian(tree, SUITE, "9.9.9+deb12", "A. Person <person@example.org>", packages)
    return tree


def test_one_version_number_is_everywhere() -> None:
    version = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\d\S*)$", (SOURCE / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert version == newest[1] == metadata.version("evenkeel")


def test_another_python_than_a_system_s_own_is_refused_with_what_there_is() -> None:
    with pytest.raises(deb.PackagingError, match=r"Python 3\.10: packages are made for 3\.11 \(bookworm\)"):
        deb.suite_of("3.10")


def test_without_the_time_of_the_sources_no_package_is_made(tmp_path: Path, packages: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("SOURCE_DATE_EPOCH", raising=False)
        with pytest.raises(deb.PackagingError, match="SOURCE_DATE_EPOCH"):
            deb.write_debian(tmp_path / "evenkeel", SUITE, "9.9.9", "A. Person <person@example.org>", packages)


def test_the_oldest_glibc_that_all_wheels_run_on_is_asked_for(packages: Path, tmp_path: Path) -> None:
    assert deb.glibc_needed(packages) == "2.28"
    assert deb.glibc_needed(tmp_path) == "2.17"


def test_every_placeholder_of_the_templates_is_filled_in(tree: Path) -> None:
    left = [path.name for path in (tree / "debian").iterdir() if re.search("@[A-Z_]+@", path.read_text())]
    assert left == []
    control = (tree / "debian/control").read_text()
    assert "libc6 (>= 2.28)" in control
    assert "python3 (<< 3.12)" in control
    assert "evenkeel (9.9.9+deb12) bookworm" in (tree / "debian/changelog").read_text()


def test_others_licences_are_named(tree: Path) -> None:
    copyright_file = (tree / "debian/copyright").read_text()
    assert "Files: usr/lib/evenkeel/lib/python*/site-packages/other/*\n usr/" in copyright_file
    assert "other 9.9.9: MIT." in copyright_file


@pytest.mark.parametrize("unit", ["evenkeel.service", "evenkeel-dashboard.service"])
def test_the_package_s_units_start_the_package_s_program_and_are_the_installer_s_otherwise(
    tree: Path, unit: str
) -> None:
    mine = (tree / "debian" / unit).read_text()
    theirs = (SOURCE / "systemd" / unit).read_text()
    assert f"ExecStart={PACKAGED}/bin/evenkeel " in mine
    assert "/opt/" not in mine
    assert "install.sh" not in mine

    def settings(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith(("#", "ExecStart="))]

    assert settings(mine) == settings(theirs)


def test_what_the_package_starts_lies_where_it_says(tree: Path) -> None:
    stage = tree / "stage"
    assert os.access(stage / "usr/bin/evenkeel", os.X_OK)
    assert f"exec {PACKAGED}/bin/evenkeel" in (stage / "usr/bin/evenkeel").read_text()
    assert (stage / deb.HOME / "bin/evenkeel").read_text().startswith(f"#!{PACKAGED}/bin/python3 -I\n")
    assert os.readlink(stage / deb.HOME / "bin/python3") == "/usr/bin/python3.11"  # noqa: PTH115 - need not exist here
    assert f". {PACKAGED}/systemd/common.sh" in (stage / "usr/sbin/evenkeel-allow").read_text()
    assert (stage / deb.HOME / "systemd/common.sh").is_file()


def test_a_package_of_it_has_its_configuration_as_one_that_dpkg_asks_about(tree: Path, tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        missing = "dpkg-deb is not installed: this is no Debian"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    stage = tree / "stage"
    (stage / "DEBIAN").mkdir()
    about = "Package: evenkeel\nVersion: 9.9.9+deb12\nArchitecture: amd64\nMaintainer: A. Person <person@example.org>\n"
    (stage / "DEBIAN/control").write_text(f"{about}Description: driver monitor\n")
    for script in ("preinst", "postinst", "prerm", "postrm"):
        shutil.copy(tree / f"debian/evenkeel.{script}", stage / f"DEBIAN/{script}")
        (stage / f"DEBIAN/{script}").chmod(0o755)
    (stage / "DEBIAN/conffiles").write_text("/etc/evenkeel/evenkeel.toml\n")
    made = tmp_path / "evenkeel.deb"
    build: list[str | Path] = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", stage, made]
    done = subprocess.run(build, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    asked = subprocess.run(["dpkg-deb", "--field", made, "Version"], capture_output=True, text=True, check=True)  # noqa: S603, S607
    assert asked.stdout == "9.9.9+deb12\n"


def test_a_package_beside_the_installer_s_release_is_refused_with_the_remedy(tree: Path, tmp_path: Path) -> None:
    script = (tree / "debian/evenkeel.preinst").read_text()
    current = tmp_path / "current"
    here = script.replace("-e /opt/evenkeel/current", f"-e {current}")
    assert here != script

    def refused() -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", "-c", here, "preinst", "install"]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert refused().returncode == 0
    current.touch()
    assert refused().returncode == 1
    assert "/opt/evenkeel/current/systemd/uninstall.sh --keep-data" in refused().stderr


@pytest.mark.parametrize(
    ("age_s", "code", "said"), [(5, 0, ""), (25, 1, "no frame for 20 s"), (None, 1, "not started")]
)
def test_a_container_is_healthy_while_its_watchdog_is_fed(
    tmp_path: Path, age_s: int | None, code: int, said: str
) -> None:
    file = tmp_path / "alive"
    if age_s is not None:
        file.touch()
        os.utime(file, (time.time() - age_s,) * 2)
    command: list[str | Path] = ["/bin/sh", deb.TEMPLATES / "evenkeel-alive"]
    environment = {**os.environ, "ALIVE_FILE": str(file)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == code
    assert said in done.stderr


def test_a_container_waits_as_long_for_a_frame_as_systemd_does() -> None:
    unit = (SOURCE / "systemd/evenkeel.service").read_text()
    assert "\nWatchdogSec=20\n" in unit
    assert "-lt 20 ]" in (deb.TEMPLATES / "evenkeel-alive").read_text()
