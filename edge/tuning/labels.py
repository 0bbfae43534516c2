"""Labels of recorded drives: a CSV file with start, end, kind and, for more than one trace, trace."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from edge.decision.kinds import registered
from edge.errors import UnavailableError, UsageError
from edge.tuning.score import Episode

COLUMNS = ("start", "end", "kind")
TOLD = 20
"""Wrong lines that are named; how many more there are is said."""


@dataclass(frozen=True, slots=True)
class Label:
    """One line of the file at ``line``."""

    episode: Episode
    line: int


class WrongLabelError(ValueError):
    """What is wrong with a line."""


class UnknownLabelError(ValueError):
    """A line that may be meant for other kinds or other traces."""


def read_labels(
    path: Path,
    traces: Sequence[Path],
    on_fault: Callable[[str], None],
    *,
    leave_out_unknown: bool = False,
    others: Sequence[Path] = (),
) -> list[Label]:
    """The labels of ``traces``, whose numbers their episodes have.

    A label names its trace by the end of its path, as much of it as no other trace has, or by its path from the labels'
    folder. With ``leave_out_unknown`` labels of other kinds and of other traces are left out and said; otherwise they
    are as wrong as those whose numbers make no sense. Those of ``others``, traces that are known and not asked for, are
    left out without a word.

    Raises:
        UnavailableError: the file cannot be read.
        UsageError: a column is missing, labels are wrong (each is said with its line), or a trace is given twice.
    """
    named = Named([*traces, *others], path.parent)
    labels: list[Label] = []
    wrong: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            _check_columns(path, reader.fieldnames or (), len(traces))
            for row in reader:
                where = f"{path}:{reader.line_num}"
                try:
                    episode = parse(row, named)
                    if episode.drive < len(traces):
                        labels.append(Label(episode, reader.line_num))
                except WrongLabelError as fault:
                    wrong.append(f"{where}: {fault}")
                except UnknownLabelError as fault:
                    if leave_out_unknown:
                        on_fault(f"{where}: {fault}; label left out")
                    else:
                        wrong.append(f"{where}: {fault} (--leave-out-unknown goes on without such labels)")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnavailableError(f"{path}: labels cannot be read: {error}") from error
    if wrong:
        more = [f"{path}: and {len(wrong) - TOLD} more labels are wrong"] if len(wrong) > TOLD else []
        raise UsageError("\n".join([*wrong[:TOLD], *more]))
    if not labels:
        on_fault(f"{path}: no label; only false alarms can be counted")
    return labels


def _check_columns(path: Path, columns: Sequence[str], traces: int) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise UsageError(f"{path}:1: no column {', '.join(missing)}; the first line is 'start,end,kind[,trace]'")
    if traces > 1 and "trace" not in columns:
        raise UsageError(f"{path}:1: no column trace, which says which of the {traces} traces is meant")


class Named:
    """Finds traces by what labels in a file in ``folder`` call them.

    Raises:
        UsageError: a trace is given twice.
    """

    def __init__(self, traces: Sequence[Path], folder: Path) -> None:
        self._traces = traces
        self._folder = folder
        self._paths = [trace.resolve() for trace in traces]
        for number, path in enumerate(self._paths):
            if path in self._paths[:number]:
                raise UsageError(f"{traces[number]}: this trace is given twice")

    def number(self, name: str) -> int:
        """The number of the one trace whose path ends in ``name``; without a name that of the only one."""
        if not name:
            if len(self._traces) == 1:
                return 0
            raise WrongLabelError("trace is empty; it says which of the traces is meant")
        parts = tuple(part for part in PurePath(name).parts if part != ".")
        ends = [number for number, path in enumerate(self._paths) if path.parts[-len(parts) :] == parts]
        exact = [number for number in ends if self._traces[number] in (Path(name), self._folder / name)]
        found = exact or ends
        if not found:
            raise UnknownLabelError(f"trace = {name!r}: not one of the traces given")
        if len(found) > 1:
            meant = " or ".join(str(self._traces[number]) for number in found)
            raise WrongLabelError(f"trace = {name!r}: may be {meant}; write as much of the path as tells them apart")
        return found[0]


def renumber(labels: Sequence[Label], kept: Sequence[int], path: Path, on_fault: Callable[[str], None]) -> list[Label]:
    """The labels of the drives ``kept``, numbered in that order; those of other drives are left out and said."""
    places = {drive: place for place, drive in enumerate(kept)}
    found = []
    for label in labels:
        place = places.get(label.episode.drive)
        if place is None:
            on_fault(f"{path}:{label.line}: its trace cannot be used; label left out")
        else:
            found.append(replace(label, episode=replace(label.episode, drive=place)))
    return found


def fit_labels(
    labels: Sequence[Label], spans: Mapping[int, tuple[float, float]], path: Path, on_fault: Callable[[str], None]
) -> list[Episode]:
    """Cut labels to the ``spans`` of their drives and join those of a kind that overlap; both are said.

    Raises:
        UsageError: labels lie outside their drives.
    """
    fitted: list[Episode] = []
    outside: list[str] = []
    for label in sorted(labels, key=lambda each: (each.episode.drive, each.episode.kind, each.episode.start)):
        episode, where = label.episode, f"{path}:{label.line}"
        begin, end = spans[episode.drive]
        cut = replace(episode, start=max(episode.start, begin), end=min(episode.end, end))
        if cut.start >= cut.end:
            outside.append(f"{where}: lies outside its trace, which goes from {begin:g} s to {end:g} s")
            continue
        if cut != episode:
            on_fault(f"{where}: reaches out of its trace, which goes from {begin:g} s to {end:g} s; label cut")
        last = fitted[-1] if fitted else None
        if last and (last.drive, last.kind) == (cut.drive, cut.kind) and cut.start <= last.end:
            on_fault(f"{where}: overlaps the {cut.kind} before it; joined to one")
            fitted[-1] = replace(last, end=max(last.end, cut.end))
        else:
            fitted.append(cut)
    if outside:
        raise UsageError("\n".join(outside[:TOLD]))
    return fitted


def parse(row: Mapping[str, str | None], named: Named) -> Episode:
    """What one line of the file says.

    Raises:
        WrongLabelError: it makes no sense.
        UnknownLabelError: its kind or its trace is not known.
    """
    try:
        start, end = float(row["start"] or ""), float(row["end"] or "")
    except ValueError:
        raise WrongLabelError(f"start = {row['start']!r}, end = {row['end']!r}: both must be seconds") from None
    if not (math.isfinite(start) and math.isfinite(end) and start < end):
        raise WrongLabelError(f"start = {start:g} must be before end = {end:g}")
    kind = (row["kind"] or "").strip()
    number = named.number((row.get("trace") or "").strip())
    if kind not in registered():
        raise UnknownLabelError(f"kind = {kind!r}: must be one of {', '.join(registered())}")
    return Episode(number, kind, start, end)
