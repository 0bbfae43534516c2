"""Which programs run on this machine, and which of them have a device open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "evenkeel"
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A program that runs."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def services(proc: Path = PROC) -> list[Process]:
    """Every ``evenkeel run`` but this process."""
    return [Process(pid, PROGRAM) for pid in _pids(proc) if pid != os.getpid() and _is_service(proc, pid)]


def holders(nodes: set[Path], proc: Path = PROC) -> list[Process]:
    """The programs that have one of the device ``nodes`` open, as far as this user may see."""
    found = []
    for pid in _pids(proc):
        try:
            held = any(fd.readlink() in nodes for fd in (proc / str(pid) / "fd").iterdir())
        except OSError:  # gone meanwhile, or another user's
            continue
        if held:
            found.append(named(pid, proc))
    return found


def named(pid: int, proc: Path = PROC) -> Process:
    """The process of that number; ``?`` stands for a name that this user cannot see."""
    return Process(pid, PROGRAM if _is_service(proc, pid) else _name(proc, pid))


def may_see(process: Process, proc: Path = PROC) -> bool:
    """Whether this user can tell what ``process`` has open."""
    return os.access(proc / str(process.pid) / "fd", os.R_OK | os.X_OK)


def _pids(proc: Path) -> Iterator[int]:
    return (int(entry.name) for entry in proc.glob("[0-9]*"))


def _is_service(proc: Path, pid: int) -> bool:
    """Whether a command line says ``evenkeel … run``, behind an interpreter or an emulator."""
    words = [os.fsdecode(word) for word in _read(proc / str(pid) / "cmdline").split(b"\0")]
    program = next((i for i, word in enumerate(words[:4]) if Path(word).name == PROGRAM), None)
    return program is not None and "run" in words[program + 1 :]


def _name(proc: Path, pid: int) -> str:
    return os.fsdecode(_read(proc / str(pid) / "comm").strip()) or "?"


def _read(path: Path) -> bytes:
    """The file's content; nothing where the process is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
