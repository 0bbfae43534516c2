"""A Debian for arm64 in a folder, whose programs run here through qemu-user.

Every command gets namespaces of its own: its mounts go with it, its processes too, and it sees no network but loopback,
as on a board in a vehicle. What it changes goes to a layer above the cached system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import bootstrap

BINFMT = Path("/proc/sys/fs/binfmt_misc")
QEMU = BINFMT / "qemu-aarch64"
PACKAGES = (
    "python3-venv",
    "python3-numpy",
    "mosquitto",
    "mosquitto-clients",
    "netbase",
    "openssl",
    "procps",
    "systemd",
)
"""What a Raspberry Pi OS brings, or its owner installs, before Evenkeel comes."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ENTER = """
set -eu
base=$1 run=$2 stage=$3 cpuinfo=$4
shift 4
mkdir -p "$run/upper" "$run/work" "$run/root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$run/upper,workdir=$run/work" "$run/root"
mount -t proc proc "$run/root/proc"
mount --bind "$cpuinfo" "$run/root/proc/cpuinfo"
mount --bind /sys "$run/root/sys"
mount -o remount,bind,ro "$run/root/sys"
mount --bind "$stage" "$run/root/mnt"
mkdir -p "$run/root/dev/shm"
mount -t tmpfs tmpfs "$run/root/dev/shm"
ip link set lo up
exec chroot "$run/root" /usr/bin/env -i "$@"
"""

_CPUINFO = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: {revision}

"""


class EmulationError(Exception):
    """This machine cannot emulate a board; the message tells the remedy."""


@dataclass(frozen=True, slots=True)
class Board:
    """A system, and the processor that qemu plays.

    ``cpu`` is qemu's name for it; what /proc/cpuinfo says of it must go with that, because LiteRT's kernels are chosen
    by both (without a cpuinfo of arm64 XNNPACK is not used at all).
    """

    debian: int
    codename: str
    python: str
    model: str
    cpu: str
    features: str
    variant: str
    part: str
    revision: int

    def cpuinfo(self, processors: int) -> str:
        """What Linux tells of this processor."""
        return "".join(
            _CPUINFO.format(
                number=number, features=self.features, variant=self.variant, part=self.part, revision=self.revision
            )
            for number in range(processors)
        )


BOARDS = (
    Board(12, "bookworm", "3.11", "Pi 4", "cortex-a72", "fp asimd evtstrm crc32 cpuid", "0x0", "0xd08", 3),
    Board(
        13,
        "trixie",
        "3.13",
        "Pi 5",
        "cortex-a76",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        "0x4",
        "0xd0b",
        1,
    ),
)


class Root:
    """``board``'s system below ``folder``; ``stage`` is seen from inside as ``/mnt``."""

    def __init__(self, board: Board, folder: Path, stage: Path) -> None:
        self._board = board
        self._base = folder / "base"
        self._run = folder / "run"
        self._stage = stage
        self._cpuinfo = folder / "cpuinfo"

    def make(self, mirror: str) -> bool:
        """Bootstrap the system where it is not cached; False where it was.

        Raises:
            subprocess.CalledProcessError: debootstrap failed; its reason is on stderr.
        """
        self._cpuinfo.parent.mkdir(parents=True, exist_ok=True)
        self._cpuinfo.write_text(self._board.cpuinfo(os.cpu_count() or 1))
        return bootstrap(self._base, self._board.codename, PACKAGES, mirror, "--arch=arm64")

    def forget_changes(self) -> None:
        """Be as freshly bootstrapped again."""
        shutil.rmtree(self._run, ignore_errors=True)

    def run(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, folder: str = "/"
    ) -> int:
        """Run ``command`` as root inside, in ``folder``; what it prints goes to ``log``. Returns its exit code."""
        settings = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "QEMU_CPU": self._board.cpu} | dict(
            environment or {}
        )
        namespaces = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child")
        enter = ("sh", "-c", _ENTER, "sh", *map(str, (self._base, self._run, self._stage, self._cpuinfo)))
        inside = (*(f"{name}={value}" for name, value in settings.items()), "env", f"--chdir={folder}", *command)
        with log.open("w") as file:
            return subprocess.run(  # noqa: S603
                [*namespaces, *enter, *inside], stdout=file, stderr=subprocess.STDOUT, check=False
            ).returncode


def require_emulation() -> None:
    """Find what is needed, and let the kernel start arm64 programs.

    Raises:
        EmulationError: something is missing and cannot be set up from here.
    """
    for program, package in (("debootstrap",) * 2, ("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            raise EmulationError(f"{program} is missing: apt-get install {package}")
    if not (BINFMT / "status").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=False)  # noqa: S603, S607
    if not (BINFMT / "status").exists():
        raise EmulationError("this kernel has no binfmt_misc, or this user may not mount it: run as root, on a machine")
    if not QEMU.exists():
        raise EmulationError(
            "arm64 programs cannot be started: apt-get install qemu-user-static binfmt-support, then "
            "`update-binfmts --enable qemu-aarch64`"
        )
    if "F" not in QEMU.read_text().partition("flags:")[2].split("\n")[0]:
        raise EmulationError(f"{QEMU}: qemu is looked for inside the board's system; register it with the flag F")
