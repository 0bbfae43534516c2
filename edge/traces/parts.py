"""A trace that goes on for weeks: parts of bounded size and age instead of one file that grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.config import TraceConfig
from edge.domain import Step
from edge.errors import UnavailableError
from edge.traces.trace import TraceWriter

PARTS = 5
"""Files that the allowed size is shared by: the newest is ``drive.jsonl``, the ones before ``drive.1.jsonl``, …"""
DAY_S = 86400.0
LOOK_S = 3600.0
"""How often it is looked for parts that have become too old."""


class RotatingTrace:
    """Writes steps as ``TraceWriter`` does, and begins a new part when one is full. Used as a context manager.

    A trace that lies at ``path`` already is kept as the part before. Times count from the first step on through all
    parts. ``now`` is the wall clock in seconds, as the files' times are.

    Raises:
        UnavailableError: a part cannot be written, moved or removed; also from ``write``.
    """

    def __init__(self, path: Path, config: TraceConfig, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._part_bytes = config.max_mb * 1e6 / PARTS
        self._max_age_s = config.max_age_days * DAY_S
        self._now = now
        self._looked = now()
        self._origin_t: float | None = None
        self._make_room()
        self._writer = TraceWriter(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def write(self, step: Step) -> None:
        """Add one step."""
        if self._origin_t is None:
            self._origin_t = step.observation.t
        if self._is_full():
            self._writer.__exit__(None, None, None)
            self._make_room()
            self._writer = TraceWriter(self._path, self._origin_t)
        elif abs(self._now() - self._looked) >= LOOK_S:
            self._looked = self._now()
            self._remove_old()
        self._writer.write(step)

    def _is_full(self) -> bool:
        try:
            return self._path.stat().st_size >= self._part_bytes
        except OSError as error:
            raise self._fault(error) from error

    def _make_room(self) -> None:
        """Count every part up by one; the last one and those too old go."""
        try:
            if self._path.exists() and not self._path.is_file():  # a folder or a device would be renamed like a part
                raise UnavailableError(f"{self._path}: trace cannot be written: not a regular file; use another file")
            for number in range(PARTS - 1, 0, -1):
                before = self._part(number - 1)
                if before.exists():
                    before.replace(self._part(number))
        except OSError as error:
            raise self._fault(error) from error
        self._remove_old()

    def _remove_old(self) -> None:
        try:
            for number in range(1, PARTS):
                part = self._part(number)
                if part.exists() and self._now() - part.stat().st_mtime > self._max_age_s:
                    part.unlink()
        except OSError as error:
            raise self._fault(error) from error

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.{number}{self._path.suffix}") if number else self._path

    def _fault(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"{self._path}: trace cannot be rotated: {error.strerror}; use another file")
