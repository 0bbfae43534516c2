"""A video file as camera."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from edge.board.clock import uptime_s
from edge.camera import Clock, EndOfStream, Source
from edge.camera.luma import to_luma, upright
from edge.camera.opencv import quieten
from edge.camera.playback import Playback
from edge.config import CameraConfig
from edge.domain import Frame
from edge.errors import CameraError

_log = logging.getLogger(__name__)

_FALLBACK_FPS = 25.0


class VideoFile(Source):
    """Frames of a clip with the clip's own times; ``frames`` is how many the container promises (0: unknown).

    A clip that breaks off ends like a whole one, with a warning in the log.

    Raises:
        CameraError: the file is no video, or holds no frame.
    """

    live = False

    def __init__(
        self,
        path: Path,
        config: CameraConfig,
        *,
        clock: Clock = uptime_s,
        loop: bool = False,
        realtime: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._rotate_deg = config.rotate_deg
        self._loop = loop
        self._playback = Playback(realtime=realtime, clock=clock, sleep=sleep)
        quieten()
        self._capture = self._open()
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = self.fps if 0 < self.fps < 1000 else _FALLBACK_FPS
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._offset_s = 0.0
        self._clip_t = 0.0
        self._count = 0
        self._pending = self._grab()
        if not self._pending:
            self.close()
            raise CameraError(f"camera {path}: no frame in this clip; record or convert it again")

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - a file does not stall
        """The next frame; in real time the next one that is not late.

        Raises:
            EndOfStream: after the last frame, unless the file is played in a loop.
            CameraError: a frame cannot be decoded.
        """
        self._step()
        while self._playback.is_late(self._clip_t, 1.0 / self.fps):
            self._step()
        ok, picture = self._capture.retrieve()
        if not ok or picture is None:
            raise CameraError(f"camera {self._path}: frame {self._count} cannot be decoded; convert the clip again")
        return Frame(luma=upright(to_luma(picture), self._rotate_deg), t=self._playback.wait(self._clip_t))

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise CameraError(f"camera {self._path}: not a video that OpenCV can read; convert it, for example to MP4")
        return capture

    def _step(self) -> None:
        if self._pending:
            self._pending = False
        elif not self._grab():
            self._end()

    def _grab(self) -> bool:
        """Take the next frame undecoded. Its time is the container's where that advances, else the frame rate's."""
        if not self._capture.grab():
            return False
        t = self._offset_s + self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        self._clip_t = t if t > self._clip_t or self._count == 0 else self._clip_t + 1.0 / self.fps
        self._count += 1
        return True

    def _end(self) -> None:
        if self._count < self.frames:
            _log.warning("camera %s: clip breaks off after %d of %d frames", self._path, self._count, self.frames)
        if not self._loop:
            raise EndOfStream
        self.close()
        self._capture = self._open()
        self._offset_s = self._clip_t + 1.0 / self.fps
        self._count = 0
        if not self._grab():
            raise CameraError(f"camera {self._path}: no frame in this clip any more; was it replaced?")
