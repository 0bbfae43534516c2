"""Each frame of a clip in its turn, as fast as the service takes them, under the clip's own times."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from edge.camera import Camera, open_camera
from edge.compat import Self
from edge.config import CameraConfig
from edge.domain import Frame, Sight, Stamp
from edge.service.loop import board_stamp

READY_WITHIN_S = 10.0
LOOK_AGAIN_S = 0.02


class EveryFrame:
    """Stands in for ``NewestFrame``: none is dropped, none is waited for. ``clock`` and ``stamp`` go on with the clip.

    Behind the first frame, with which the service begins to speak, the others are held back until ``ready``,
    READY_WITHIN_S at most: whoever listens hears the clip from its start.

    Raises:
        CameraError: the clip cannot be read.
    """

    paced = False
    dropped = 0
    stuck = False
    age_s = 0.0

    def __init__(self, config: CameraConfig, ready: Callable[[], bool] = lambda: True) -> None:
        self._camera: Camera = open_camera(config, realtime=False)
        self._ready = ready
        self._taken = 0
        self._wait_until = time.monotonic() + READY_WITHIN_S
        self._start = board_stamp()
        self._t = 0.0

    @property
    def bad_frames(self) -> int:
        """Frames of the clip that could not be read."""
        return self._camera.bad_frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()

    def take(self, timeout_s: float, came_after: float) -> Frame | None:  # noqa: ARG002 - none is left out
        """The next frame; None while it is held back.

        Raises:
            EndOfStream: that was the last one.
        """
        if self._taken == 1 and not self._ready() and time.monotonic() < self._wait_until:
            time.sleep(min(timeout_s, LOOK_AGAIN_S))
            return None
        frame = self._camera.read(timeout_s)
        self._taken += 1
        self._t = frame.t
        return frame

    def blindness(self) -> tuple[Sight, str] | None:
        """None: a clip has a picture until it ends."""
        return None

    def clock(self) -> float:
        """Seconds from the start of the clip."""
        return self._t

    def stamp(self) -> Stamp:
        """The board's clocks as they would stand had the clip been played in real time."""
        return Stamp(
            time=self._start.time + timedelta(seconds=self._t),
            uptime_s=self._start.uptime_s + self._t,
            clock_synced=self._start.clock_synced,
        )
