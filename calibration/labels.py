"""Labels of recorded drives: a CSV file with start, end, kind and, for more than one trace, trace."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.score import Episode
from edge.domain import Kind
from edge.errors import UnavailableError, UsageError

COLUMNS = ("start", "end", "kind")


@dataclass(frozen=True, slots=True)
class Label:
    """One line of the file at ``line``."""

    episode: Episode
    line: int


def read_labels(path: Path, traces: Sequence[Path], on_fault: Callable[[str], None]) -> list[Label]:
    """The labels of ``traces``, whose numbers their episodes have; a wrong line is left out and said with its number.

    Raises:
        UnavailableError: the file cannot be read.
        UsageError: a column is missing, or it is not said which of several traces a label is for.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(
                    f"{path}:1: no column {', '.join(missing)}; the first line is 'start,end,kind[,trace]'"
                )
            if len(traces) > 1 and "trace" not in (reader.fieldnames or ()):
                raise UsageError(f"{path}:1: no column trace, which says which of the {len(traces)} traces is meant")
            numbers = {trace.name: number for number, trace in enumerate(traces)}
            found = [_parse(row, f"{path}:{reader.line_num}", reader.line_num, numbers, on_fault) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnavailableError(f"{path}: labels cannot be read: {error}") from error
    labels = [each for each in found if each is not None]
    if not labels:
        on_fault(f"{path}: no label; only false alarms can be counted")
    return labels


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
    """Cut labels to the ``spans`` of their drives and join those of a kind that overlap; both are said."""
    fitted: list[Episode] = []
    for label in sorted(labels, key=lambda each: (each.episode.drive, each.episode.kind, each.episode.start)):
        episode, where = label.episode, f"{path}:{label.line}"
        begin, end = spans[episode.drive]
        cut = replace(episode, start=max(episode.start, begin), end=min(episode.end, end))
        if cut.start >= cut.end:
            on_fault(f"{where}: lies outside its trace, which goes from {begin:g} s to {end:g} s; label left out")
            continue
        if cut != episode:
            on_fault(f"{where}: reaches out of its trace, which goes from {begin:g} s to {end:g} s; label cut")
        last = fitted[-1] if fitted else None
        if last and (last.drive, last.kind) == (cut.drive, cut.kind) and cut.start <= last.end:
            on_fault(f"{where}: overlaps the {cut.kind} before it; joined to one")
            fitted[-1] = replace(last, end=max(last.end, cut.end))
        else:
            fitted.append(cut)
    return fitted


def _parse(
    row: Mapping[str, str | None], where: str, line: int, numbers: Mapping[str, int], on_fault: Callable[[str], None]
) -> Label | None:
    try:
        start, end = float(row["start"] or ""), float(row["end"] or "")
    except ValueError:
        on_fault(f"{where}: start = {row['start']!r}, end = {row['end']!r}: both must be seconds; label left out")
        return None
    kind, trace = (row["kind"] or "").strip(), (row.get("trace") or "").strip()
    if kind not in tuple(Kind):
        on_fault(f"{where}: kind = {kind!r}: must be {' or '.join(Kind)}; label left out")
    elif not (math.isfinite(start) and math.isfinite(end) and start < end):
        on_fault(f"{where}: start = {start:g} must be before end = {end:g}; label left out")
    elif len(numbers) > 1 and trace not in numbers:
        on_fault(f"{where}: trace = {trace!r}: not one of the traces given; label left out")
    else:
        return Label(Episode(numbers.get(trace, 0), Kind(kind), start, end), line)
    return None
