"""A trace that goes on for weeks: parts of bounded size and age instead of one file that grows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from edge.board.clock import uptime_s
from edge.compat import UTC, Self
from edge.config import TraceConfig
from edge.domain import Step
from edge.errors import UnavailableError
from edge.traces.trace import Origin, TraceWriter

PARTS = 5
"""Files that the allowed size is shared by: the newest is ``drive.jsonl``, the ones before ``drive.1.jsonl``, …"""
DAY_S = 86400.0
LOOK_S = 3600.0
"""How often it is looked for parts that have become too old."""

_log = logging.getLogger(__name__)
_Ages = TypeAdapter(dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]])


class RotatingTrace:
    """Writes steps as ``TraceWriter`` does, and begins a new part when one is full. Used as a context manager.

    A trace that lies at ``path`` already is kept as the part before. Times count from the first step on through all
    parts. ``now`` is the wall clock in seconds, None while it cannot be believed; ``clock`` a monotonic one. Each part
    tells of which ``device`` it is, and when it begins where that is known.

    A file's own time may come from a clock that was not set, so a part's age counts from the first moment of a
    believed clock at which it was full; a file beside the parts, ``drive.jsonl.ages``, keeps these. Every part that is
    removed is named in the log.

    Raises:
        UnavailableError: a part cannot be written, moved or removed; also from ``write``, after which the next step may
            be written again.
    """

    def __init__(
        self,
        path: Path,
        config: TraceConfig,
        now: Callable[[], float | None],
        clock: Callable[[], float] = uptime_s,
        *,
        device: str | None = None,
    ) -> None:
        self._path = path
        self._origin = None if device is None else Origin(device, self._time)
        self._max_mb = config.max_mb
        self._part_bytes = config.max_mb * 1e6 / PARTS
        self._max_age_s = config.max_age_days * DAY_S
        self._ages = PartAges(path.with_name(path.name + ".ages"))
        self._now = now
        self._clock = clock
        self._looked_t = clock()
        self._origin_t: float | None = None
        self._make_room()
        self._writer = TraceWriter(path, origin=self._origin)
        self._broken = False

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
        broken, self._broken = self._broken, True
        if broken:  # the disk may have room again; the part goes on where it broke off
            self._writer = TraceWriter(self._path, self._origin_t, append=True)
        if self._is_full():
            self._writer.__exit__(None, None, None)
            self._make_room()
            self._writer = TraceWriter(self._path, self._origin_t, origin=self._origin)
        elif self._clock() - self._looked_t >= LOOK_S:
            self._remove_old()
        self._writer.write(step)
        self._broken = False

    def _time(self) -> datetime | None:
        now = self._now()
        return None if now is None else datetime.fromtimestamp(now, UTC)

    def _is_full(self) -> bool:
        try:
            return self._path.stat().st_size >= self._part_bytes
        except OSError as error:
            raise self._fault(error) from error

    def _make_room(self) -> None:
        """Count every part up by one, as far as there are some without a gap; the last one and those too old go."""
        try:
            if self._path.exists() and not self._path.is_file():  # a folder or a device would be renamed like a part
                raise UnavailableError(f"{self._path}: trace cannot be written: not a regular file; use another file")
            free = next((number for number in range(PARTS) if not self._part(number).exists()), PARTS - 1)
            if self._part(free).exists():
                self._remove(self._part(free), f"all parts together may have {self._max_mb:g} MB (trace.max_mb)")
            for number in range(free, 0, -1):
                self._part(number - 1).replace(self._part(number))
        except OSError as error:
            raise self._fault(error) from error
        self._remove_old()

    def _remove_old(self) -> None:
        self._looked_t = self._clock()
        now = self._now()
        if now is None:
            return
        try:
            parts = [part for part in map(self._part, range(1, PARTS)) if part.exists()]
            for part, age_s in zip(parts, self._ages.of(parts, now), strict=True):
                if age_s > self._max_age_s:
                    self._remove(part, f"full for {age_s / DAY_S:.1f} days (trace.max_age_days)")
        except OSError as error:
            raise self._fault(error) from error

    def _remove(self, part: Path, why: str) -> None:
        part.unlink()
        _log.info("trace part %s removed: %s", part, why)

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}.{number}{self._path.suffix}") if number else self._path

    def _fault(self, error: OSError) -> UnavailableError:
        return UnavailableError(f"{self._path}: trace cannot be rotated: {error.strerror}; use another file")


class PartAges:
    """Since when parts are full, by a clock that can be believed, kept in a file at ``path``.

    A part is known by its inode and size, which stay when it is renamed. What is not known begins to age now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, parts: list[Path], now: float) -> list[float]:
        """The age of each part in seconds at ``now``; what is no part any more is forgotten.

        Raises:
            OSError: the file cannot be read or written.
        """
        known = self._read()
        stats = [part.stat() for part in parts]
        names = [f"{stat.st_ino}:{stat.st_size}" for stat in stats]
        since = {name: min(known.get(name, now), now) for name in names}  # none from a clock that was ahead
        if since != known:
            self._write(since)
        return [now - since[name] for name in names]

    def _read(self) -> dict[str, float]:
        try:
            return _Ages.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError:
            _log.warning("%s: damaged; the trace's parts start to age now", self._path)
            return {}

    def _write(self, since: dict[str, float]) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_text(json.dumps(since), encoding="utf-8")
        fresh.replace(self._path)
