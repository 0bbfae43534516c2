"""One emulated machine: started, asked, frozen into a file, and cut off from its power."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.vehicle.image import Image
from benchmarks.vehicle.sockets import PATIENCE, Agent, AnswerError, Monitor, Output
from benchmarks.vehicle.systems import System
from edge.compat import Self

MEMORY_MB = 1024
BOOT_S = 200.0
ICOUNT = "shift=1,sleep=on"
"""Time inside goes by instructions, 500 million a second: a loaded host makes the machine late, but not slow."""
_AGENT = "org.qemu.guest_agent.0"


class GuestError(Exception):
    """The machine did not do what it must for a check to be possible; the message says what."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a machine starts.

    ``disk`` are the options of QEMU's block device; ``words`` go to the kernel's command line; ``rtc`` is what the
    clock on the board shows (``utc``, or a date); ``state`` a file that another machine was frozen into.
    """

    disk: Mapping[str, Any]
    words: Sequence[str] = ()
    rtc: str = "utc"
    state: Path | None = None


@dataclass
class Guest:
    """A machine that runs while the ``with`` lasts; its console is a file beside its sockets."""

    system: System
    image: Image
    start: Start
    port: int
    log: Path
    _folder: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _agent: Agent | None = field(default=None, init=False)
    _monitor: Monitor | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="vehicle-"))  # sockets' names must be short
        self._process = subprocess.Popen(  # noqa: S603
            command_line(self.system, self.image, self.start, self.port, self._folder, self.log),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors.open("wb"),
        )
        try:
            self._monitor = Monitor(self._folder / "qmp")
            self._agent = Agent(self._folder / "agent", 20.0)
        except AnswerError as error:
            self.cut()
            raise GuestError(f"QEMU did not start: {self._errors.read_text(errors='replace').strip()}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _errors(self) -> Path:
        return self._folder / "errors"

    @property
    def monitor(self) -> Monitor:
        """QEMU's side."""
        if self._monitor is None:
            raise GuestError("the machine does not run")
        return self._monitor

    def boot(self, timeout_s: float = BOOT_S) -> float:
        """Wait until it can be asked; how long that took, s."""
        began = time.monotonic()
        self._asked().wait(timeout_s)
        return time.monotonic() - began

    def run(self, command: str, timeout_s: float = 120.0) -> Output:
        """What a shell's ``command`` comes to inside, as root."""
        return self._asked().run(command, timeout_s)

    def tell(self, command: str, timeout_s: float = 120.0) -> str:
        """What a command prints that must succeed.

        Raises:
            GuestError: it fails.
        """
        found = self.run(command, timeout_s)
        if found.code:
            raise GuestError(f"`{command}`: exit {found.code}: {found.text.strip()[-300:]}")
        return found.text.strip()

    def uptime_s(self) -> float:
        """The machine's own time since it was switched on."""
        return float(self.tell("cut -d' ' -f1 /proc/uptime"))

    def until(self, what: str, holds: Callable[[], bool], timeout_s: float, pause_s: float = 1.0) -> float:
        """Wait until it holds; how long that took here, s.

        Raises:
            GuestError: it did not come to that; ``what`` says what was waited for.
        """
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > timeout_s * PATIENCE:
                raise GuestError(f"{what}: not within {timeout_s:g} s")
            time.sleep(pause_s)
        return time.monotonic() - began

    def freeze(self, state: Path) -> None:
        """Write all of it into a file, from which it goes on as if nothing had been; it stands still afterwards.

        Raises:
            GuestError: QEMU cannot.
        """
        self.monitor.ask("migrate-set-parameters", **{"max-bandwidth": 2**40})
        self.monitor.ask("stop")
        self.monitor.ask("migrate", uri=f"exec:cat > {state}")
        self.until("freezing", lambda: self._migration() == "completed", 120.0, 0.1)

    def thaw(self) -> None:
        """Have it go on that was started from a file."""
        arrived: Callable[[], bool] = lambda: self.monitor.ask("query-status")["status"] != "inmigrate"  # noqa: E731
        self.until("thawing", arrived, 120.0, 0.05)
        self.monitor.ask("cont")  # it was stopped when it was frozen, and remembers that
        self._asked().wait(30.0)

    def cut(self) -> None:
        """Take its power away: QEMU gets SIGKILL."""
        for one in (self._agent, self._monitor):
            if one is not None:
                one.close()
        self._agent = self._monitor = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def console(self) -> str:
        """What it has written to its serial console."""
        with contextlib.suppress(FileNotFoundError):
            return self.log.read_text(errors="replace")
        return ""

    def _asked(self) -> Agent:
        if self._agent is None:
            raise GuestError("the machine does not run")
        return self._agent

    def _migration(self) -> str:
        found = self.monitor.ask("query-migrate")
        if found.get("status") == "failed":
            raise GuestError(f"freezing failed: {found.get('error-desc', 'QEMU gives no reason')}")
        return str(found.get("status"))


def command_line(system: System, image: Image, start: Start, port: int, folder: Path, log: Path) -> list[str]:
    """QEMU's, for one machine; what is not named here it does not have."""
    words = ("root=/dev/vda", "ro", f"console={system.console}", "net.ifnames=0", *start.words)
    options: list[tuple[str, ...]] = [
        ("-accel", "tcg"),
        ("-icount", ICOUNT),
        system.options,
        ("-smp", "1"),
        ("-m", str(MEMORY_MB)),
        ("-nodefaults",),
        ("-display", "none"),
        ("-kernel", str(image.kernel)),
        ("-initrd", str(image.initrd)),
        ("-append", " ".join(words)),
        ("-rtc", f"base={start.rtc},clock=vm"),
        ("-serial", f"file:{log}"),
        ("-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
        ("-blockdev", _pairs({"node-name": "root", **start.disk})),
        ("-device", "virtio-blk-pci,drive=root,write-cache=on"),
        ("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:1883"),
        ("-device", "virtio-net-pci,netdev=net"),
        ("-device", "virtio-serial-pci"),
        ("-chardev", f"socket,id=agent,path={folder}/agent,server=on,wait=off"),
        ("-device", f"virtserialport,chardev=agent,name={_AGENT}"),
        ("-device", "virtio-rng-pci"),
    ]
    if start.state is not None:
        options.append(("-incoming", f"exec:cat {start.state}"))
    return [system.qemu, *(word for option in options for word in option)]


def _pairs(options: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


def overlay(disk: Path, above: Path) -> Mapping[str, Any]:
    """A layer ``above`` a disk that stays as it is, for ``Start``.

    Raises:
        GuestError: qemu-img cannot make it.
    """
    above.unlink(missing_ok=True)
    kind = "qcow2" if disk.suffix == ".qcow2" else "raw"
    made = subprocess.run(  # noqa: S603
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk), "-F", kind, str(above)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise GuestError(f"qemu-img: {made.stderr.strip()}")
    return layer(above)


def layer(path: Path) -> Mapping[str, Any]:
    """A qcow2 file as a disk, with the writes going through the host's memory: what was written outlives QEMU."""
    return {"driver": "qcow2", "file.driver": "file", "file.filename": str(path)}
