"""The board's clock for durations: it never goes back, is not set by anybody, and runs on while the board sleeps."""

from __future__ import annotations

import time


def uptime_s() -> float:
    """Seconds since the board was started, time asleep (suspend) included.

    Python's ``time.monotonic`` stands still in a suspend: by it, what was seen before a night asleep would be of a
    moment ago. By this one the night is a gap in which nobody saw anything, in what is decided and in every duration.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
