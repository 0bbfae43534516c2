"""Marks on drives: the labels that ``evenkeel tune`` reads, changed one by one in their file.

Whatever else stands in the file stays as it is: lines of other traces, further columns, what makes no sense.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.board.whole import write_whole
from edge.dashboard.tune.drives import Drive
from edge.decision.kinds import registered
from edge.errors import EvenkeelError, UnavailableError, UsageError
from edge.tuning.labels import COLUMNS, TOLD, Named, UnknownLabelError, WrongLabelError, parse
from edge.tuning.score import Episode

TRACE = "trace"


class ConflictError(EvenkeelError):
    """Somebody else has changed the same mark meanwhile."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A spell of a drive, in seconds of its trace, that somebody marked as showing ``kind``."""

    start: float
    end: float
    kind: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The marks of each drive by its name, and what of the file makes no sense."""

    marks: dict[str, list[Mark]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


class Marks:
    """The file at ``path``, which need not be there yet; names of drives are their paths within ``folder``."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self._folder = folder

    @property
    def version(self) -> str:
        """Another one after each change, by whomever."""
        try:
            status = self.path.stat()
        except OSError:
            return ""
        return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"

    def read(self, names: Sequence[str]) -> Marked:
        """The marks of the drives of these names.

        Raises:
            UnavailableError: the file cannot be read, or is none of labels.
        """
        return _Table.read(self.path).marked(self._named(names), names)

    def file(self) -> bytes | None:
        """The file as it is; None where there is none yet.

        Raises:
            UnavailableError: as ``read``: what is none of labels, but a link to something else, say, is told to nobody.
        """
        _Table.read(self.path)
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"{self.path.name}: labels cannot be read: {error.strerror}") from error

    def change(self, drive: Drive, names: Sequence[str], remove: Sequence[Mark], add: Sequence[Mark]) -> list[Mark]:
        """Take marks of a drive away and put others there; return what it then has.

        Raises:
            ConflictError: one that is to be taken away is not there any more.
            UsageError: one to be put there lies outside of the drive, overlaps another of its kind, or has no known
                kind.
            UnavailableError: the file cannot be read or written.
        """
        with _locked(self.path.parent):
            table, named = _Table.read(self.path), self._named(names)
            table.remove(drive.name, names.index(drive.name), named, remove)
            kept = table.marked(named, names).marks.get(drive.name, [])
            for mark in add:
                _check(mark, drive, kept)
                table.add(drive.name, mark)
                kept.append(mark)
            table.write(self.path)
        return sorted(kept, key=lambda mark: (mark.start, mark.kind))

    def _named(self, names: Sequence[str]) -> Named:
        return Named([self._folder / name for name in names], self._folder)


def _check(mark: Mark, drive: Drive, others: Sequence[Mark]) -> None:
    if mark.kind not in registered():
        raise UsageError(f"kind = {mark.kind!r}: must be one of {', '.join(registered())}")
    if not mark.start < mark.end:
        raise UsageError(f"start = {mark.start:g} must be before end = {mark.end:g}")
    if mark.start < drive.start_s or mark.end > drive.end_s:
        raise UsageError(
            f"{mark.start:g} s to {mark.end:g} s lies outside of the drive, which goes from {drive.start_s:g} s to "
            f"{drive.end_s:g} s"
        )
    for other in others:
        if other.kind == mark.kind and other.start < mark.end and mark.start < other.end:
            raise UsageError(f"overlaps the {other.kind} from {other.start:g} s to {other.end:g} s")


class _Table:
    """The lines of the file as they stand, with their numbers."""

    def __init__(self, columns: list[str], rows: list[tuple[int, list[str]]]) -> None:
        self._columns = columns
        self._rows = rows

    @classmethod
    def read(cls, path: Path) -> _Table:
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # of a pipe nothing may ever come
                raise UnavailableError(f"{path.name}: labels cannot be read: not a regular file")
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, skipinitialspace=True)
                columns = next(reader, [*COLUMNS, TRACE])
                rows = [(reader.line_num, row) for row in reader]
        except FileNotFoundError:
            return cls([*COLUMNS, TRACE], [])
        except OSError as error:
            raise UnavailableError(f"{path.name}: labels cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise UnavailableError(f"{path.name}: labels cannot be read: {error}; correct the file") from error
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise UnavailableError(
                f"{path.name}: no column {', '.join(missing)}; its first line is 'start,end,kind,trace'"
            )
        return cls(columns, rows)

    def marked(self, named: Named, names: Sequence[str]) -> Marked:
        marks: dict[str, list[Mark]] = {}
        faults = []
        for line, row in self._rows:
            try:
                episode = self._episode(row, named)
            except (WrongLabelError, UnknownLabelError) as fault:
                faults.append(f"line {line}: {fault}")
                continue
            if episode is not None:
                marks.setdefault(names[episode.drive], []).append(Mark(episode.start, episode.end, episode.kind))
        more = [f"and {len(faults) - TOLD} more"] if len(faults) > TOLD else []
        return Marked(marks, (*faults[:TOLD], *more))

    def remove(self, name: str, number: int, named: Named, marks: Sequence[Mark]) -> None:
        for mark in marks:
            wanted = Episode(number, mark.kind, mark.start, mark.end)
            at = next((at for at, (_, row) in enumerate(self._rows) if self._is(row, named, wanted)), None)
            if at is None:
                raise ConflictError(
                    f"the {mark.kind} from {mark.start:g} s to {mark.end:g} s of {name} is not there any more: "
                    "somebody else has changed it"
                )
            del self._rows[at]

    def add(self, name: str, mark: Mark) -> None:
        if TRACE not in self._columns:
            self._columns.append(TRACE)
        told = {"start": _seconds(mark.start), "end": _seconds(mark.end), "kind": mark.kind, TRACE: name}
        self._rows.append((0, [told.get(column, "") for column in self._columns]))

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([self._columns, *(row for _, row in self._rows)])
        try:
            write_whole(path, text.getvalue())
        except OSError as error:
            raise UnavailableError(f"{path.name}: marks cannot be kept: {error.strerror}") from error

    def _is(self, row: list[str], named: Named, wanted: Episode) -> bool:
        try:
            return self._episode(row, named) == wanted
        except (WrongLabelError, UnknownLabelError):
            return False

    def _episode(self, row: list[str], named: Named) -> Episode | None:
        """What a line says; None where it is empty."""
        return parse(dict(zip(self._columns, [*row, *[""] * len(self._columns)], strict=False)), named) if row else None


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone, among all dashboards that keep marks in this folder."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UnavailableError(f"{folder}: marks cannot be kept: {error.strerror}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
