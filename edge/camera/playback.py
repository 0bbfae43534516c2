"""What a video file and a folder of pictures share: time, as a camera would give it."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.camera import Clock


class Playback:
    """Maps clip times (seconds from the clip's start) to frame times.

    In real time, clip time 0 is the moment of the first frame on ``clock``, a frame is waited for until it is due, and
    is late once the one after it is due. Otherwise frame times are clip times and nothing is waited for.
    """

    def __init__(self, *, realtime: bool, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self._realtime = realtime
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None

    def is_late(self, clip_t: float, period_s: float) -> bool:
        """True where a camera would by now have replaced this frame by the next one."""
        if not self._realtime or self._start is None:
            return False
        return self._clock() >= self._start + clip_t + period_s

    def wait(self, clip_t: float) -> float:
        """Wait until the frame is due; return its time."""
        if not self._realtime:
            return clip_t
        if self._start is None:
            self._start = self._clock() - clip_t
        due = self._start + clip_t
        self._sleep(max(0.0, due - self._clock()))
        return due
