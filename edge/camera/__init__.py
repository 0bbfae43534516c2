"""Where frames come from: one file a source, opened by name and imported only when asked for."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from edge.board.clock import uptime_s
from edge.compat import Self
from edge.config import CameraConfig
from edge.config.secrets import redact
from edge.domain import Frame
from edge.errors import CameraError

Clock = Callable[[], float]


class EndOfStream(Exception):  # noqa: N818 - like StopIteration it is an answer, not an error
    """A file source has given its last frame. A camera never raises this: when it fails, that is a CameraError."""


class Camera(Protocol):
    """A source of frames, used as a context manager.

    ``fps`` is the rate that the source promises, 0 where it does not say. ``live`` is True for a real camera, whose
    pictures always differ in their noise, and False for files. ``bad_frames`` counts the frames so far that could not
    be read, and were passed over for the good one after them; ``bad_frame`` says what was wrong with the last of them.
    """

    fps: float
    live: bool
    bad_frames: int
    bad_frame: str

    def read(self, timeout_s: float) -> Frame:
        """The next good frame, waited for ``timeout_s`` seconds at most where the source can be hurried.

        Raises:
            CameraError: no good frame came in time, or the source failed. The camera is of no more use: close it.
            EndOfStream: a file has come to its end.
        """

    def close(self) -> None:
        """Let go of the device; may be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BadFrameError(CameraError):
    """One frame cannot be had; the next one may be as good as ever."""


class Source:
    """What all cameras share: closing themselves at the end of a ``with``."""

    fps: float = 0.0
    live: bool = True
    bad_frames: int = 0
    bad_frame: str = ""

    def close(self) -> None:
        """Let go of the device; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LiveSource(Source):
    """A real camera, which drops a frame now and then: it is lost only when none was good for ``timeout_s``.

    ``period_s`` is how long a frame takes. A backend says ``take`` only: one frame, or why it cannot be had.
    """

    def __init__(self, period_s: float, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self._period_s = period_s
        self._clock = clock
        self._sleep = sleep

    def take(self, timeout_s: float) -> Frame:
        """The next frame, waited for ``timeout_s`` seconds at most where the backend can be hurried.

        Raises:
            BadFrameError: this one cannot be had.
            CameraError: the camera is lost.
        """
        raise NotImplementedError

    def read(self, timeout_s: float) -> Frame:
        """The next good frame; bad ones before it are counted.

        Raises:
            CameraError: none was good for ``timeout_s``; it says what was wrong with the last one.
        """
        end, bad = self._clock() + timeout_s, 0
        while True:
            begin = self._clock()
            try:
                frame = self.take(timeout_s)
            except BadFrameError as fault:
                bad, self.bad_frame = bad + 1, str(fault)
                now = self._clock()
                if now >= end:
                    raise CameraError(str(fault)) from fault
                # a backend that fails at once shall not be asked faster than frames can come
                self._sleep(min(max(0.0, begin + self._period_s - now), end - now))
            else:
                self.bad_frames += bad
                return frame


def open_camera(config: CameraConfig, *, clock: Clock = uptime_s, loop: bool = False, realtime: bool = True) -> Camera:
    """Open the source that ``config.source`` names.

    A file plays in real time on ``clock``, like a camera, and drops what is late; with ``realtime=False`` it gives
    every frame as fast as it is read, with times that start at 0. ``loop`` plays a file again and again.

    Raises:
        CameraError: one line that names the source and the remedy; credentials in an address are left out.
    """
    source = config.source
    if source == "picamera2":
        from edge.camera.picamera2 import PiCamera  # noqa: PLC0415 - only the backend that is asked for

        return PiCamera(config, clock=clock)
    _check_name(source)
    if source.startswith(("v4l2:", "gst:")) or is_address(source):
        from edge.camera.opencv import OpenCvCamera  # noqa: PLC0415 - as above

        return OpenCvCamera(config, clock=clock)
    path = Path(source)
    if os.path.isdir(source):  # noqa: PTH112 - unlike Path's, it takes a name that is too long for a name like any other
        from edge.camera.folder import PictureFolder  # noqa: PLC0415 - as above

        return PictureFolder(path, config, clock=clock, loop=loop, realtime=realtime)
    if os.path.isfile(source):  # noqa: PTH113 - as above
        from edge.camera.video import VideoFile  # noqa: PLC0415 - as above

        return VideoFile(path, config, clock=clock, loop=loop, realtime=realtime)
    raise CameraError(
        f"camera {without_credentials(source)}: no such file or folder, and not a known source; "
        "use picamera2, v4l2:/dev/video0, gst:PIPELINE, rtsp://…, a video file or a folder of pictures"
    )


def _check_name(source: str) -> None:
    """OpenCV dies of a name that is not UTF-8; the pictures of a folder are opened without it."""
    try:
        source.encode()
    except UnicodeEncodeError:
        if not os.path.isdir(source):  # noqa: PTH112 - as above
            raise CameraError(f"camera {source}: its name is not UTF-8, which OpenCV needs; rename it") from None


def is_file_source(source: str) -> bool:
    """True where ``source`` is a file or folder, whose end is the end of the run."""
    return source != "picamera2" and not source.startswith(("v4l2:", "gst:")) and not is_address(source)


def is_address(source: str) -> bool:
    """True where ``source`` is a network stream."""
    return re.match(r"[a-z][a-z0-9+.-]*://", source, re.IGNORECASE) is not None


def without_credentials(source: str) -> str:
    """``source`` as it may be shown: an address without user, password and query, a pipeline by its first element."""
    if source.startswith("gst:"):
        first, *rest = source.split(maxsplit=1)
        return redact(f"{first} …" if rest else first)
    return redact(re.sub(r"^(\s*[\w+.-]+:/+).*@", r"\1", source))
