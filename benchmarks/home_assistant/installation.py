"""Home Assistant in a Debian 13 of its own: installed once below a folder, with Python's packages beside it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.debian import MIRROR, bootstrap
from benchmarks.server import program

RELEASE = "2026.2.3"
INTEGRATIONS = ("frontend", "recorder", "mqtt", "history", "logbook", "config", "automation", "tts")
"""Whose requirements are installed."""

PACKAGES = (
    "ca-certificates",
    "python3",
    "python3-venv",
    "python3-dev",
    "gcc",
    "g++",
    "libc6-dev",
    "ffmpeg",
    "faketime",
)
"""Some of Home Assistant's packages have no wheel for Python 3.13 and are compiled."""

FROM_HERE = ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt")
"""By what this machine reaches the package index."""

CONSTRAINTS = "/opt/ha/lib/python3.13/site-packages/homeassistant/package_constraints.txt"

_REQUIREMENTS = """
import json, pathlib, homeassistant.components as all_of_them
folder, wanted, found = pathlib.Path(all_of_them.__path__[0]), set({integrations}), set()
while wanted - found:
    name = (wanted - found).pop()
    manifest = json.loads((folder / name / "manifest.json").read_text())
    found.add(name)
    wanted |= set(manifest.get("dependencies", ()))
    print(*manifest.get("requirements", ()), sep="\\n")
"""

_ENTER = """
set -eu
root=$1 config=$2
shift 2
mkdir -p "$root/config"
mount --bind "$config" "$root/config"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot "$root" /usr/bin/env -i "$@"
"""


class Installation:
    """The system in the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @staticmethod
    def missing() -> str | None:
        """What is not installed, with the command that installs it; None where everything is there."""
        needed = {"debootstrap": "debootstrap", "unshare": "util-linux"}
        absent = [package for name, package in needed.items() if program(name) is None]
        return f"apt-get install {' '.join(absent)}" if absent else None

    def make(self) -> bool:
        """Install it where it is not; False where it was.

        Raises:
            subprocess.CalledProcessError: debootstrap or pip failed; the reason is on stderr.
        """
        if self._root.exists():
            return False
        self._root.parent.mkdir(parents=True, exist_ok=True)
        base, unfinished = (self._root.with_name(f"{self._root.name}.{stage}") for stage in ("base", "unfinished"))
        shutil.rmtree(unfinished, ignore_errors=True)
        bootstrap(base, "trixie", PACKAGES, MIRROR)
        base.rename(unfinished)
        Installation(unfinished).install()
        unfinished.rename(self._root)
        return True

    def install(self) -> None:
        """Install Home Assistant and what INTEGRATIONS need into the bare system."""
        for name in FROM_HERE:
            if Path("/", name).exists():
                shutil.copyfile(Path("/", name), self._root / name)
        (self._root / "config").mkdir(exist_ok=True)
        python, pip = "/opt/ha/bin/python", ("/opt/ha/bin/pip", "install", "--quiet", "--no-compile")
        for command in (
            ("python3", "-m", "venv", "/opt/ha"),
            (*pip, f"homeassistant=={RELEASE}"),
            ("sh", "-c", f'{python} -c "$0" >/requirements.txt', _REQUIREMENTS.format(integrations=INTEGRATIONS)),
            (*pip, "--constraint", CONSTRAINTS, "--requirement", "/requirements.txt"),
        ):
            subprocess.run(self.inside(command, self._root / "config"), check=True)  # noqa: S603 - fixed commands

    def inside(self, command: Sequence[str], config: Path) -> list[str]:
        """What runs ``command`` inside, where the folder ``config`` is ``/config``; it needs root."""
        settings = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "PYTHONUNBUFFERED=1")
        enter = ("unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self._root), str(config))
        return [*enter, *settings, *command]
