"""What the kernel says of another process (Linux, proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds now. ``private_mb`` is the part of ``resident_mb`` that is not mapped files.

    ``waits`` counts how often its threads gave the processor away (voluntary context switches) so far, ``cpu_s`` the
    processor time they used.
    """

    resident_mb: float
    private_mb: float
    threads: int
    files: int
    cpu_s: float
    waits: int


def usage(pid: int) -> Usage:
    """All of it at one moment.

    Raises:
        FileNotFoundError, ProcessLookupError: there is no such process.
    """
    status = _status(Path(f"/proc/{pid}/status"))
    return Usage(
        resident_mb=resident_mb(pid),
        private_mb=status["RssAnon"] * 1024 / 1e6,
        threads=status["Threads"],
        files=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        cpu_s=cpu_s(pid),
        waits=sum(_waits(task) for task in Path(f"/proc/{pid}/task").iterdir()),
    )


def resident_mb(pid: int) -> float:
    """Resident memory, megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """Processor time used so far, user and system, seconds."""
    # the name in parentheses may hold spaces; user and system time are fields 14 and 15
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _waits(task: Path) -> int:
    try:
        return _status(task / "status")["voluntary_ctxt_switches"]
    except (FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
        return 0


def _status(path: Path) -> dict[str, int]:
    """The numbers of a status file by name; sizes are in units of 1,024 bytes."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
