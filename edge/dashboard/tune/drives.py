"""A folder of recorded drives: which there are, and what the beginning and the end of each tell of it."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from edge.compat import UTC
from edge.errors import UnavailableError, UsageError
from edge.traces.trace import TRACE_SUFFIXES, TraceLine, parse_line

READ_BYTES = 65_536
"""So much of a file's beginning and of its end is looked at."""
HEADING_LINES = 40
MOST = 1000
"""Drives that are listed."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A trace at ``name``, its path within the folder. ``fault`` says why it cannot be used; then nothing is known.

    ``begun`` is when it began, None where no calendar has that time; where the trace does not tell (``told``), it is
    reckoned from the file's own time. The
    ``device`` is told by the trace, or else the name of the folder within the folder.
    """

    name: str
    start_s: float = 0.0
    end_s: float = 0.0
    begun: datetime | None = None
    told: bool = False
    device: str | None = None
    fault: str = ""


class Drives:
    """The traces in ``folder`` and in the folders within it; links are not followed.

    Raises:
        UnavailableError: there is no such folder; also from ``all``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._known: dict[str, tuple[tuple[int, int], Drive]] = {}
        self.all()

    def all(self) -> tuple[list[Drive], bool]:
        """The drives in the order of their names, and whether there are more than MOST."""
        found: list[Drive] = []
        for path in self._files():
            if len(found) == MOST:
                return found, True
            found.append(self._look(path))
        return found, False

    def names(self) -> list[str]:
        """Those of all drives."""
        return [drive.name for drive in self.all()[0]]

    def get(self, name: str) -> Drive:
        """The drive of that name.

        Raises:
            UsageError: there is none in the folder.
        """
        parts = PurePosixPath(name).parts
        path = self.folder.joinpath(*parts)
        try:
            inside = bool(parts) and path.resolve() == path and path.is_relative_to(self.folder) and ".." not in parts
            if inside and path.is_file() and path.suffix.lower() in TRACE_SUFFIXES:
                return self._look(path)
        except (OSError, ValueError):  # a name that no file can have
            pass
        raise UsageError(f"no drive {name[:200]!r} in the folder")

    def path(self, name: str) -> Path:
        """Where the drive of that name lies."""
        return self.folder / self.get(name).name

    def _files(self) -> Iterator[Path]:
        def refuse(error: OSError) -> None:
            if error.filename == str(self.folder):
                raise UnavailableError(f"{self.folder}: traces cannot be read: {error.strerror}; name another folder")

        for folder, folders, files in os.walk(self.folder, onerror=refuse):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for file in sorted(files):
                path = Path(folder) / file
                if path.suffix.lower() in TRACE_SUFFIXES and not file.startswith("."):
                    yield path

    def _look(self, path: Path) -> Drive:
        name = path.relative_to(self.folder).as_posix()
        try:
            status = path.lstat()
        except OSError as error:
            return Drive(name, fault=f"cannot be read: {error.strerror}")
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = self._known[name] = (stamp, _look(path, name, status.st_mtime))
        return known[1]


def _look(path: Path, name: str, changed_s: float) -> Drive:
    if path.is_symlink():
        return Drive(name, fault="a link; put the trace itself here")
    if not path.is_file():
        return Drive(name, fault="not a regular file")
    if name.encode(errors="replace").decode() != name:
        return Drive(name.encode(errors="replace").decode(), fault="its name is not UTF-8; rename it")
    faults: list[str] = []
    try:
        with path.open("rb") as file:
            head = _usable(file.read(READ_BYTES).removeprefix(BOM_UTF8), faults)
            file.seek(max(0, file.seek(0, os.SEEK_END) - READ_BYTES))
            tail = _usable(file.read(READ_BYTES), [])
    except OSError as error:
        return Drive(name, fault=f"cannot be read: {error.strerror}")
    if not head:
        return Drive(name, fault=faults[0] if faults else "empty")
    start_s, end_s = head[0].t, max([head[-1].t, *(line.t for line in tail)])
    device = next((line.device for line in head[:HEADING_LINES] if line.device), None)
    timed = next((line for line in head if line.time is not None), None)
    try:
        if timed is not None and timed.time is not None:
            begun: datetime | None = timed.time - timedelta(seconds=timed.t - start_s)
        else:
            begun = datetime.fromtimestamp(changed_s, UTC) - timedelta(seconds=end_s - start_s)
    except (OverflowError, ValueError, OSError):  # before the year 1, or after 9999
        begun = None
    folder = PurePosixPath(name).parent
    return Drive(name, start_s, end_s, begun, timed is not None, device or (folder.name or None))


def _usable(text: bytes, faults: list[str]) -> list[TraceLine]:
    """The lines that can be used, without the one at either end that may be cut."""

    def tell(fault: str) -> None:
        faults.append(fault.removesuffix("; line left out"))

    lines = enumerate(text.splitlines(keepends=True), 1)
    parsed = (parse_line(each, f"line {number}", tell) for number, each in lines if each.strip())
    return [line for line in parsed if line is not None]
