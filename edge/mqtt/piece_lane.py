"""The lane of the numbers around alerts: in memory, bounded, one piece at a time, behind everything else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from edge.domain import Stamp
from edge.mqtt.around import Around

MOST_SAMPLES = 4000
"""Samples that wait at most, some two megabytes in memory; the oldest alert's give way."""


class PieceLane:
    """Any thread puts, the publisher's thread sends. What was not acknowledged is sent again on the next connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Around] = deque()
        self._first = 0
        self._count: int | None = None
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """Of how many alerts something waits."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """Of how many alerts something was given up."""
        return self._dropped

    def put(self, around: Around) -> None:
        """Have these sent."""
        with self._lock:
            self._waiting.append(around)
            while len(self._waiting) > 1 and sum(len(one.samples) for one in self._waiting) > MOST_SAMPLES:
                self._drop_oldest()

    def next(self, stamp: Stamp, fits: Callable[[Around, bytes], bool]) -> tuple[Around, bytes] | None:
        """The next piece, as large as it ``fits``; None where nothing waits or not one sample fits."""
        with self._lock:
            if not self._waiting:
                return None
            around = self._waiting[0]
            found = around.largest(self._first, stamp, lambda payload: fits(around, payload))
            if found is None:
                return None
            self._count, payload = found
            return around, payload

    def restart(self) -> None:
        """What was under way is sent again, cut anew: on another connection, or because it was too large."""
        with self._lock:
            self._count = None

    def passed(self) -> None:
        """The broker has the piece that was under way."""
        with self._lock:
            if self._count is None or not self._waiting:  # it has given way meanwhile
                return
            self._first += self._count
            self._count = None
            if self._first >= len(self._waiting[0].samples):
                self._waiting.popleft()
                self._first = 0

    def give_up(self) -> None:
        """Send no more of the alert whose turn it is."""
        with self._lock:
            if self._waiting:
                self._drop_oldest()

    def clear(self) -> None:
        """Give up all that waits."""
        with self._lock:
            while self._waiting:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._waiting.popleft()
        self._first, self._count = 0, None
        self._dropped += 1
