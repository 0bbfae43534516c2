"""The newest frame of a camera, which is read in a thread of its own and reopened when it is lost."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge.board.clock import uptime_s
from edge.camera import Camera, Clock, EndOfStream
from edge.compat import Self
from edge.config import CameraConfig
from edge.config.secrets import redact
from edge.domain import Frame, Sight
from edge.errors import CameraError

_log = logging.getLogger(__name__)

STALL_S = 60.0
"""A capture thread that has been inside one call of its camera for so much longer than agreed is stuck."""


class FrozenError(CameraError):
    """The camera gives the same picture to the bit, again and again."""


class FrozenGuard:
    """Tells a picture that stays the same to the bit for ``frozen_s`` seconds.

    Only every 8th pixel of every 8th row is compared: sensor noise changes some of them from frame to frame. A flat
    picture (all samples equal) says nothing: that is a dark or covered camera, judged from the picture itself.
    """

    def __init__(self, frozen_s: float) -> None:
        self._frozen_s = frozen_s
        self._sample: NDArray[np.uint8] | None = None
        self._since = 0.0

    def is_frozen(self, frame: Frame) -> bool:
        """True where the picture has not changed for ``frozen_s``."""
        sample = frame.luma[::8, ::8]
        same = self._sample is not None and np.array_equal(sample, self._sample)
        if not same or sample.min() == sample.max():
            self._sample = sample.copy()
            self._since = frame.t
            return False
        return frame.t - self._since >= self._frozen_s


class NewestFrame:
    """Keeps the newest frame only: what nobody took before the next one came is dropped, and counted.

    ``bad_frames`` counts those that could not be read; the camera passes them over, and the log tells of the first, the
    tenth, the hundredth, …

    A camera that fails is closed and opened again after pauses that double from ``reopen_min_s`` to ``reopen_max_s``;
    with ``reopen=False`` (a file, which does not mend itself) its failure is the end.

    Used as a context manager: the thread runs inside it. ``open_source`` raises CameraError where there is no camera.
    ``clock`` tells the age of what was seen; ``awake`` stands still while the board sleeps, as the camera's waits do.
    """

    def __init__(
        self,
        open_source: Callable[[], Camera],
        config: CameraConfig,
        *,
        reopen: bool = True,
        clock: Clock = uptime_s,
        awake: Clock = time.monotonic,
    ) -> None:
        self.dropped = 0
        self.bad_frames = 0
        self.paced = True
        self._open = open_source
        self._config = config
        self._reopen = reopen
        self._clock = clock
        self._awake = awake
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._fault: CameraError | None = None
        self._end: EndOfStream | CameraError | None = None
        self._stop = threading.Event()
        self._frozen = FrozenGuard(config.frozen_s)
        self._pause_s = config.reopen_min_s
        self._last_t = clock()
        self._due_t = awake()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> Self:
        self._last_t = self._clock()
        self._due_t = self._awake()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop capturing. A thread that hangs in its camera is left behind: it is a daemon and dies with us."""
        self._stop.set()
        self._thread.join(timeout=0.5)

    def take(self, timeout_s: float, came_after: float = -math.inf) -> Frame | None:
        """The newest frame that was not taken yet and came in after that time, waited for ``timeout_s`` at most.

        Raises:
            EndOfStream: a file has given its last frame.
            CameraError: the source has failed and is not to be reopened.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_there(came_after) or self._end is not None, timeout_s)
            if not self._is_there(came_after):
                if self._end is not None:
                    raise self._end
                return None
            frame, self._frame = self._frame, None
            # after the service itself has slept, the newest frame may be of long ago
            return frame if self.age_s <= self._config.timeout_s else None

    def _is_there(self, came_after: float) -> bool:
        return self._frame is not None and self._last_t >= came_after

    def blindness(self) -> tuple[Sight, str] | None:
        """Why there is no picture, or None while frames come as they should."""
        with self._changed:
            if self._fault is not None:
                sight = Sight.FROZEN if isinstance(self._fault, FrozenError) else Sight.NO_PICTURE
                return sight, redact(str(self._fault))
            if self._end is None and self.age_s >= self._config.timeout_s:
                return Sight.NO_PICTURE, f"no frame within {self._config.timeout_s:g} s"
            return None

    @property
    def age_s(self) -> float:
        """Seconds since the last good frame came in (or since the start)."""
        return max(0.0, self._clock() - self._last_t)

    @property
    def stuck(self) -> bool:
        """True where the thread hangs inside its camera: nothing but a restart of the process mends that."""
        return self._end is None and self._awake() > self._due_t + STALL_S

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._open() as camera:
                    self._capture(camera)
            except EndOfStream as end:
                self._finish(end)
                return
            except CameraError as fault:
                if not self._reopen:
                    self._finish(fault)
                    return
                self._lose(fault)
            except Exception as fault:  # noqa: BLE001 - a driver may raise anything; the service says blind and goes on
                _log.exception("camera driver failed")
                failed = CameraError(f"camera driver failed: {type(fault).__name__}")
                if not self._reopen:
                    self._finish(failed)
                    return
                self._lose(failed)

    def _capture(self, camera: Camera) -> None:
        before = self.bad_frames
        while not self._stop.is_set():
            self._due_t = self._awake() + self._config.timeout_s
            frame = camera.read(self._config.timeout_s)
            self._count_bad(before + camera.bad_frames, camera.bad_frame)
            if camera.live and self._frozen.is_frozen(frame):
                raise FrozenError(f"the picture has not changed for {self._config.frozen_s:g} s")
            self._offer(frame)

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            if self._fault is not None:
                _log.info("camera is back")
            if self._frame is not None:
                self.dropped += 1
            self._frame, self._fault = frame, None
            self._last_t = self._clock()
            self._pause_s = self._config.reopen_min_s
            self._changed.notify_all()

    def _count_bad(self, count: int, last: str) -> None:
        if self.bad_frames < 10 ** (len(str(count)) - 1) <= count:
            _log.warning("unreadable frames skipped so far: %d; last: %s", count, last)
        self.bad_frames = count

    def _finish(self, end: EndOfStream | CameraError) -> None:
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _lose(self, fault: CameraError) -> None:
        if self._stop.is_set():  # whoever asked has gone: a late fault is no news
            return
        with self._changed:
            if str(fault) != str(self._fault):
                _log.warning("%s; retrying", fault)
            self._fault, self._frame = fault, None
            pause_s = self._pause_s
            self._pause_s = min(2 * pause_s, self._config.reopen_max_s)
            self._due_t = self._awake() + pause_s
            self._changed.notify_all()
        self._stop.wait(pause_s)
