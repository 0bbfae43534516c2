"""An emulated machine as the checks get it: booted from its disk, or going on from where it ran well."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.vehicle.guest import Guest, Start, command_line, overlay
from benchmarks.vehicle.image import Image
from benchmarks.vehicle.listener import TOPICS, Listener
from benchmarks.vehicle.systems import System

READY_S = 180.0
"""The unit's own deadline is 60 s; the rest is the boot under emulation."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A guest that runs, and who listens to it."""

    guest: Guest
    listener: Listener


@dataclass(frozen=True, slots=True)
class Frozen:
    """A machine that stands still in a file: its memory, and the disk of that moment, which nothing writes to."""

    state: Path
    disk: Path

    @property
    def made(self) -> bool:
        """Whether it is there."""
        return self.state.exists() and self.disk.exists()


@dataclass(frozen=True, slots=True)
class Lab:
    """Where one system's machines run: ``folder`` holds disks and logs, ``port`` is the broker's on this machine."""

    system: System
    image: Image
    folder: Path
    port: int

    @property
    def warm(self) -> Frozen:
        """The machine with the service running and the clip playing."""
        return Frozen(self.folder / "warm.state", self.folder / "warm.qcow2")

    @contextlib.contextmanager
    def booted(
        self, disk: Mapping[str, Any], words: Sequence[str] = (), rtc: str = "utc", name: str = "console"
    ) -> Iterator[Machine]:
        """A machine that is being started."""
        start = Start(disk, words, rtc)
        with (
            Guest(self.system, self.image, start, self.port, self.folder / f"{name}.log") as guest,
            Listener(self.port) as listener,
        ):
            yield Machine(guest, listener)

    @contextlib.contextmanager
    def going_on(self, frozen: Frozen | None = None, disk: Mapping[str, Any] | None = None) -> Iterator[Machine]:
        """A machine that goes on from where it was frozen, on ``disk`` or on a layer that is thrown away."""
        frozen = frozen or self.warm
        disk = disk or overlay(frozen.disk, self.folder / "check.qcow2")
        start = Start(disk, state=frozen.state)
        with Guest(self.system, self.image, start, self.port, self.folder / "check.log") as guest:
            guest.thaw()
            with Listener(self.port) as listener:
                yield Machine(guest, listener)

    def is_of_this_machine(self) -> bool:
        """Whether what stands frozen here was frozen on this disk, by a machine like the one that would go on."""
        return self._stamp.exists() and self._stamp.read_text() == self._made_of()

    def forget(self) -> None:
        """Throw away what stands frozen, and what came of it."""
        for path in (*self.folder.glob("*.state"), *self.folder.glob("*.qcow2"), *self.folder.glob("*.flat.raw")):
            path.unlink()

    @property
    def _stamp(self) -> Path:
        return self.folder / "warm.stamp"

    def _made_of(self) -> str:
        line = command_line(self.system, self.image, Start({}), 0, Path(), Path())
        return f"{self.image.disk.stat().st_mtime_ns} {' '.join(line)}"

    def make_warm(self, check: Callable[[Machine], None]) -> None:
        """Boot from the disk as it was installed, let ``check`` see that it is well, and freeze it."""
        frozen = self.warm
        frozen.state.unlink(missing_ok=True)
        with self.booted(overlay(self.image.disk, frozen.disk), name="first-boot") as machine:
            check(machine)
            machine.guest.freeze(frozen.state)
        self._stamp.write_text(self._made_of())


def is_ready(guest: Guest) -> bool:
    """Whether the service has said READY=1."""
    return guest.run("systemctl is-active evenkeel").text.strip() == "active"


def is_online(listener: Listener) -> bool:
    """Whether the device says that it is there."""
    return bool(listener.newest(TOPICS.availability) == "online")
