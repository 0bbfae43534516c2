"""The machines that can be emulated, and what this machine must have to do it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "unshare": "util-linux",
    "ip": "iproute2",
}
"""Programs by the Debian package that brings them."""


class MissingError(Exception):
    """This machine cannot make or run the emulated one; the message tells the remedy."""


@dataclass(frozen=True, slots=True)
class System:
    """A Debian on a kind of processor, and how QEMU plays it.

    ``arch`` is Debian's word for the processor, ``machine`` the kernel's and the wheels'.
    """

    debian: int
    codename: str
    python: str
    arch: str
    machine: str
    qemu: str
    package: str
    options: tuple[str, ...]
    console: str

    @property
    def name(self) -> str:
        """As folders and the state file call it."""
        return f"debian{self.debian}-{self.arch}"

    @property
    def title(self) -> str:
        """As tables call it."""
        return f"Debian {self.debian}, {self.arch}"


_X86 = ("-machine", "q35", "-cpu", "max")
_ARM = ("-machine", "virt", "-cpu", "cortex-a72")


def _systems() -> tuple[System, ...]:
    found = []
    for debian, codename, python in ((12, "bookworm", "3.11"), (13, "trixie", "3.13")):
        found += [
            System(debian, codename, python, "amd64", "x86_64", "qemu-system-x86_64", "qemu-system-x86", _X86, "ttyS0"),
            System(
                debian, codename, python, "arm64", "aarch64", "qemu-system-aarch64", "qemu-system-arm", _ARM, "ttyAMA0"
            ),
        ]
    return tuple(found)


SYSTEMS = _systems()


def system_of(debian: int, arch: str) -> System:
    """The system of that release for that processor.

    Raises:
        KeyError: there is none.
    """
    for system in SYSTEMS:
        if system.debian == debian and arch in {system.arch, system.machine}:
            return system
    raise KeyError(f"Debian {debian} for {arch}")


def require(system: System) -> None:
    """See that this machine has all that making and running ``system`` takes.

    Raises:
        MissingError: it does not; the message names every missing part with its remedy.
    """
    if os.geteuid() != 0:
        raise MissingError("needs root, to make a system in a folder with its owners and devices")
    needed = PROGRAMS | {system.qemu: system.package}
    if system.machine != os.uname().machine:
        needed |= {f"qemu-{system.machine}-static": "qemu-user-static"}
    missing = {program: package for program, package in needed.items() if shutil.which(program) is None}
    if missing:
        raise MissingError(f"{', '.join(missing)} missing: apt-get install {' '.join(sorted(set(missing.values())))}")
