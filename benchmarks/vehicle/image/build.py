"""Makes the disk: mmdebstrap, the camera's module, ``systemd/install.sh`` without a network, mke2fs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.board.stage import CLIP as DEMO_CLIP
from benchmarks.board.stage import SOURCE, thin
from benchmarks.vehicle.image.files import CAMERA_FPS, CLIP, FEED, FILES
from benchmarks.vehicle.systems import System

DISK_GB = 4
OLDER = "0.0.1"
"""Version of the release before, which going back leads to."""

PACKAGES = (
    "apparmor",
    "dbus",
    "e2fsprogs",
    "ffmpeg",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "mosquitto",
    "netbase",
    "procps",
    "psmisc",
    "python3",
    "python3-venv",
    "qemu-guest-agent",
    "systemd",
    "systemd-sysv",
    "udev",
    "v4l-utils",
)
MODULE_PACKAGES = ("v4l2loopback-dkms", "gcc", "make")
"""What builds the module of the camera; it goes again when that is built."""

_INSIDE = """
set -eu
root=$1
shift
mount -t proc proc "$root/proc"
ip link set lo up
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
"""

_MODULE = """
set -eu
kernels=/lib/modules
apt-get update -q
apt-get install -qy --no-install-recommends "linux-headers-$1" $2
cp $kernels/*/updates/dkms/v4l2loopback.ko* /root/
apt-get purge -qy --auto-remove "linux-headers-$1" $2
for kernel in $kernels/*; do
    mkdir -p "$kernel/updates"
    cp /root/v4l2loopback.ko* "$kernel/updates/"
    depmod "${kernel##*/}"
done
rm /root/v4l2loopback.ko*
modinfo -k "${kernel##*/}" v4l2loopback vivid >/dev/null
"""

_FINISH = f"""
set -eu
update-initramfs -u -k all
systemctl -q enable systemd-networkd {FEED}
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/*
"""


class BuildError(Exception):
    """A step failed; the message names it and its log."""


@dataclass(frozen=True, slots=True)
class Image:
    """A disk (raw) with what QEMU starts it by."""

    disk: Path
    kernel: Path
    initrd: Path


def make_image(system: System, folder: Path, mirror: str) -> Image:
    """The disk of ``system`` below ``folder``; Debian's part is kept from run to run, Evenkeel's is made anew.

    Raises:
        BuildError: a step failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = fingerprint()  # of what goes onto the disk, not of what the tree has become by its end
    base = _debian(system, folder, mirror)
    image = Image(folder / "disk.raw", folder / "vmlinuz", folder / "initrd.img")
    wheels = folder / "wheels"
    stamp = folder / "disk.stamp"
    if stamp.exists() and image.disk.exists() and stamp.read_text() == mark:
        return image
    make_wheels(system, wheels, folder)
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    _run(["cp", "--archive", str(base), str(root)], folder / "copy.log")
    _write_clip(root)
    older = make_older(wheels, folder)
    for one in (older, wheels):
        _install(root, one, folder)
    for kind, path in (("vmlinuz", image.kernel), ("initrd.img", image.initrd)):
        shutil.copy(next((root / "boot").glob(f"{kind}-*")), path)
    image.disk.unlink(missing_ok=True)
    make = ["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(root), str(image.disk), f"{DISK_GB}G"]
    _run(make, folder / "mke2fs.log")
    shutil.rmtree(root)
    stamp.write_text(mark)
    return image


def fingerprint(source: Path = SOURCE) -> str:
    """What of this repository goes onto the disk, as a hash."""
    digest = hashlib.sha256()
    for folder in ("edge", "models", "systemd", "benchmarks/vehicle/image"):
        for path in sorted((source / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and "training" not in path.parts:
                digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def make_wheels(system: System, wheels: Path, folder: Path) -> None:
    """What the installer needs on ``system`` without a network.

    Raises:
        BuildError: pip cannot get a package.
    """
    script = ["sh", str(SOURCE / "systemd/wheelhouse.sh"), sys.executable, system.machine, system.python, str(wheels)]
    shutil.rmtree(wheels, ignore_errors=True)
    _run(script, folder / "wheels.log")


def make_older(wheels: Path, folder: Path) -> Path:
    """The same wheels with an Evenkeel that differs in its version alone, to go back to.

    Raises:
        BuildError: pip cannot build it.
    """
    older, source = folder / "wheels-older", folder / "older"
    for path in (older, source):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(wheels, older, copy_function=os.link)
    for path in older.glob("evenkeel-*.whl"):
        path.unlink()
    source.mkdir()
    for name in ("README.md", "LICENSE"):
        shutil.copy(SOURCE / name, source)
    for name in ("edge", "models"):
        shutil.copytree(SOURCE / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "pyproject.toml").write_text(of_version((SOURCE / "pyproject.toml").read_text(), OLDER))
    build = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", str(older), str(source)]
    _run(build, folder / "older.log")
    shutil.rmtree(source)
    return older


def of_version(project: str, version: str) -> str:
    """A ``pyproject.toml`` with another version."""
    return re.sub(r'^version = ".*"$', f'version = "{version}"', project, count=1, flags=re.MULTILINE)


def _debian(system: System, folder: Path, mirror: str) -> Path:
    base = folder / "debian"
    if base.exists():
        return base
    unfinished = folder / "debian.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    packages = ",".join((f"linux-image-{system.arch}", *PACKAGES))
    options = ["--mode=root", "--variant=minbase", f"--architectures={system.arch}", f"--include={packages}"]
    apt = ['--aptopt=APT::Install-Recommends "false"']
    _run(["mmdebstrap", *options, *apt, system.codename, str(unfinished), mirror], folder / "debian.log")
    module = ["sh", "-c", _MODULE, "sh", system.arch, " ".join(MODULE_PACKAGES)]
    _inside(unfinished, module, folder / "module.log", network=True)
    for name, text in FILES.items():
        path = unfinished / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _inside(unfinished, ["sh", "-c", _FINISH], folder / "finish.log")
    unfinished.rename(base)
    return base


def _write_clip(root: Path) -> None:
    """As a camera on USB gives it: motion JPEG, at the rate that the service asks for."""
    thin(DEMO_CLIP, root / CLIP.lstrip("/"), every=15 // CAMERA_FPS, codec="MJPG")


def _install(root: Path, wheels: Path, folder: Path) -> None:
    """By the installer's own steps, as in an image that is built in a chroot: it starts at the first boot."""
    shutil.copytree(wheels, root / "mnt/wheels")
    _inside(root, ["/mnt/wheels/systemd/install.sh", "--wheels", "/mnt/wheels"], folder / "install.log")
    shutil.rmtree(root / "mnt/wheels")


def _inside(root: Path, command: Sequence[str], log: Path, *, network: bool = False) -> None:
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *(() if network else ("--net",))]
    enter = _INSIDE if not network else _INSIDE.replace("ip link set lo up\n", "")
    _run([*namespaces, "sh", "-c", enter, "sh", str(root), *command], log)


def _run(command: Sequence[str], log: Path) -> None:
    with log.open("w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode  # noqa: S603
    if code:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise BuildError(f"{log.stem}: exit {code}: {lines[-1] if lines else 'nothing was printed'}; see {log}")
