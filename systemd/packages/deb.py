"""The Debian packages, made by debhelper from a folder of wheels: ``python -m systemd.packages.deb --help``.

A package is for one Python and one processor; neither is run, so that any machine can make packages for any board.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path

from edge.compat import UTC

SOURCE = Path(__file__).parents[2]
SYSTEMD = SOURCE / "systemd"
TEMPLATES = Path(__file__).with_name("debian")
HOME = "usr/lib/evenkeel"
"""Where the package has the program, below the root folder."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SYSTEMS_OWN = ("numpy",)
"""Comes from apt, because apt's picamera2 and libcamera were built against it."""


class PackagingError(Exception):
    """A package cannot be made; the message tells the remedy."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A release of Debian or Ubuntu, and the only Python that it has. ``name`` ends the package's version."""

    name: str
    codename: str
    python: str
    glibc: str

    @property
    def next_python(self) -> str:
        """The first version that is too new."""
        major, minor = self.python.split(".")
        return f"{major}.{int(minor) + 1}"


SUITES = {
    suite.python: suite
    for suite in (
        Suite("deb12", "bookworm", "3.11", "2.36"),
        Suite("ubuntu24.04", "noble", "3.12", "2.39"),
        Suite("deb13", "trixie", "3.13", "2.41"),
    )
}


def main() -> int:
    """Make the packages that the command line asks for; print their paths."""
    parser = argparse.ArgumentParser(prog="make deb", description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder that 'make wheelhouse' has made")
    parser.add_argument("--machine", choices=ARCHITECTURES, required=True, help="the boards' processor")
    parser.add_argument("--python", nargs="+", required=True, help="the boards' Python versions, such as 3.11 3.13")
    parser.add_argument("--extras", default="", help="what the wheels hold beyond the monitor, such as can,dashboard")
    parser.add_argument("--work", type=Path, required=True, help="folder to build in")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packages")
    parser.add_argument("--maintainer", required=True, help="'Name <address>' of who makes them")
    asked = parser.parse_args()
    os.umask(0o022)
    try:
        for python in asked.python:
            for path in build(asked, suite_of(python)):
                sys.stdout.write(f"{path}\n")
    except PackagingError as error:
        sys.stderr.write(f"make deb: {error}\n")
        return 1
    return 0


def suite_of(python: str) -> Suite:
    """The system whose Python this is.

    Raises:
        PackagingError: none that packages are made for.
    """
    if python not in SUITES:
        known = ", ".join(f"{name} ({suite.codename})" for name, suite in SUITES.items())
        raise PackagingError(f"Python {python}: packages are made for {known}; elsewhere install.sh installs Evenkeel")
    return SUITES[python]


def build(asked: argparse.Namespace, suite: Suite) -> list[Path]:
    """Make the packages for ``suite``.

    Raises:
        PackagingError: a program, a wheel or the time of the sources is missing, or debhelper refused.
    """
    for program, package in (("dh", "debhelper"), ("dpkg-buildpackage", "dpkg-dev")):
        if shutil.which(program) is None:
            raise PackagingError(f"{program} is missing: apt-get install {package}")
    architecture = ARCHITECTURES[asked.machine]
    work = asked.work / f"{suite.name}-{architecture}"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "evenkeel"
    stage = tree / "stage"
    packages = stage / HOME / "lib" / f"python{suite.python}" / "site-packages"
    install_wheels(asked, suite, packages)
    version = f"{version_in(packages)}+{suite.name}"
    stage_program(stage, suite)
    write_debian(tree, suite, version, asked.maintainer, packages)
    run(["dpkg-buildpackage", "--build=binary", "--no-sign", "--no-check-builddeps", f"-a{architecture}"], tree)
    asked.out.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(path, asked.out)) for path in sorted(work.glob("*.deb"))]


def install_wheels(asked: argparse.Namespace, suite: Suite, folder: Path) -> None:
    """Unpack what Evenkeel needs for ``suite`` into ``folder``, less what the system has.

    Raises:
        PackagingError: a wheel is missing; pip's reason is on stderr.
    """
    extras = f"[{asked.extras}]" if asked.extras else ""
    platforms = [f"--platform=manylinux_2_{minor}_{asked.machine}" for minor in range(17, 36)]
    run(
        [
            *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"),
            *("--no-warn-script-location", "--no-index", f"--find-links={asked.wheels.resolve()}"),
            *(f"--target={folder.resolve()}", "--only-binary=:all:", "--implementation=cp"),
            *(f"--python-version={suite.python}", *platforms, f"--platform=manylinux2014_{asked.machine}"),
            f"evenkeel{extras}",
        ],
        SOURCE,
    )
    for distribution in metadata.distributions(path=[str(folder)]):
        if distribution.name in SYSTEMS_OWN:
            _remove(distribution, folder)
    # scripts of other packages would be on nobody's path, and name this machine's interpreter
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for record in folder.glob("*.dist-info/RECORD"):
        _without_scripts(record)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # imported or loaded, never started


def version_in(folder: Path) -> str:
    """Evenkeel's version, as its package in ``folder`` tells it."""
    (version,) = (found.version for found in metadata.distributions(path=[str(folder)]) if found.name == "evenkeel")
    return version


def stage_program(stage: Path, suite: Suite) -> None:
    """What is beside the Python packages: an environment's frame around them, the commands, the configuration."""
    home = stage / HOME
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(f"/usr/bin/python{suite.python}")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {suite.python}\n", encoding="utf-8"
    )
    start = f"#!/{HOME}/bin/python3 -I\nimport sys\n\nfrom edge.start import main\n\nsys.exit(main())\n"
    _write(home / "bin/evenkeel", start, 0o755)
    _write(home / "systemd/common.sh", (SYSTEMD / "common.sh").read_text(encoding="utf-8"))
    _write(stage / "usr/bin/evenkeel", _packaged(SYSTEMD / "evenkeel"), 0o755)
    _write(stage / "usr/sbin/evenkeel-allow", (TEMPLATES / "evenkeel-allow").read_text(encoding="utf-8"), 0o755)
    _write(home / "bin/evenkeel-alive", (TEMPLATES / "evenkeel-alive").read_text(encoding="utf-8"), 0o755)
    _write(stage / "etc/evenkeel/evenkeel.toml", (SYSTEMD / "evenkeel.toml").read_text(encoding="utf-8"))


def write_debian(tree: Path, suite: Suite, version: str, maintainer: str, packages: Path) -> None:
    """The folder ``debian``: the templates filled in, the units, changelog and licences.

    Raises:
        PackagingError: it is not known when the sources were last changed.
    """
    debian = tree / "debian"
    shutil.copytree(TEMPLATES, debian, ignore=shutil.ignore_patterns("evenkeel-allow", "evenkeel-alive"))
    values = {
        "@MAINTAINER@": maintainer,
        "@GLIBC@": glibc_needed(packages),
        "@PYTHON@": suite.python,
        "@NEXT_PYTHON@": suite.next_python,
    }
    for name in ("control", "evenkeel.postinst"):
        text = (debian / name).read_text(encoding="utf-8")
        _write(debian / name, re.sub("@[A-Z_]+@", lambda found: values[found[0]], text))
    for unit in ("evenkeel.service", "evenkeel-dashboard.service"):
        _write(debian / unit, _packaged(SYSTEMD / unit))
    changed = f"{source_date():%a, %d %b %Y %H:%M:%S +0000}"
    entry = "  * What is new stands in changelog.gz beside this file."
    _write(debian / "changelog", f"evenkeel ({version}) {suite.codename}; urgency=medium\n\n{entry}\n")
    with (debian / "changelog").open("a", encoding="utf-8") as file:
        file.write(f"\n -- {maintainer}  {changed}\n")
    with (debian / "copyright").open("a", encoding="utf-8") as file:
        file.writelines(_licences(packages))
    shutil.copy(SOURCE / "CHANGELOG.md", tree)


def source_date() -> datetime:
    """When the sources were last changed, by $SOURCE_DATE_EPOCH.

    Raises:
        PackagingError: it is not set.
    """
    if not (epoch := os.environ.get("SOURCE_DATE_EPOCH", "")).isdecimal():
        raise PackagingError(
            "SOURCE_DATE_EPOCH is not set: outside a git checkout say when the sources were last changed"
        )
    return datetime.fromtimestamp(int(epoch), UTC)


def glibc_needed(packages: Path) -> str:
    """The newest glibc that one of the wheels in ``packages`` was built for, as its tags tell: at least 2.17.

    A wheel with several tags runs on the oldest of them.
    """
    needed = [(2, 17)]
    for file in packages.glob("*.dist-info/WHEEL"):
        tags = re.findall(r"^Tag: .*-manylinux_(\d+)_(\d+)_", file.read_text(encoding="utf-8"), re.MULTILINE)
        if tags:
            needed.append(min((int(major), int(minor)) for major, minor in tags))
    return ".".join(map(str, max(needed)))


def _licences(packages: Path) -> list[str]:
    """A paragraph of the copyright file for each package that is another's."""
    paragraphs = []
    for one in sorted(metadata.distributions(path=[str(packages)]), key=lambda found: found.name.lower()):
        if one.name == "evenkeel":
            continue
        about = one.metadata
        licence = about["License-Expression"] or " ".join((about["License"] or "").split())[:60]
        named = licence or "; ".join(
            text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if text.startswith("License")
        )
        who = about["Author"] or about["Author-email"] or about["Maintainer"] or f"the authors of {one.name}"
        tops = sorted({file.parts[0] for file in one.files or () if file.parts[0] != ".." and len(file.parts) > 1})
        files = "\n ".join(f"{HOME}/lib/python*/site-packages/{top}/*" for top in tops)
        short = f"{re.sub('[^A-Za-z0-9.+-]+', '-', one.name)}-licence"
        paragraphs.append(
            f"\nFiles: {files}\nCopyright: {' '.join(who.split())}\nLicense: {short}\n"
            f" {one.name} {one.version}: {named or 'see its folder .dist-info'}.\n"
        )
    return paragraphs


def _packaged(path: Path) -> str:
    """A unit or script of install.sh, with the package's paths and words."""
    text = (
        path.read_text(encoding="utf-8")
        .replace("/opt/evenkeel/current", f"/{HOME}")
        .replace("/opt/evenkeel", f"/{HOME}")
    )
    return text.replace("install.sh --dashboard puts it\n# here. It", "in the\n# package evenkeel-dashboard. It")


def _without_scripts(record: Path) -> None:
    with record.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if not row[0].startswith("../")]
    with record.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(rows))


def _remove(distribution: metadata.Distribution, folder: Path) -> None:
    for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
        shutil.rmtree(folder / top) if (folder / top).is_dir() else (folder / top).unlink()


def _write(path: Path, text: str, mode: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if mode is not None:
        path.chmod(mode)


def run(command: list[str], folder: Path) -> None:
    """Run a program of the build, quietly.

    Raises:
        PackagingError: it failed; what it said is on stderr.
    """
    done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise PackagingError(f"{Path(command[0]).name} failed; its reason stands above")


if __name__ == "__main__":
    sys.exit(main())
