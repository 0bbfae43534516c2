"""A folder of pictures as camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.board.clock import uptime_s
from edge.camera import BadFrameError, Clock, EndOfStream, Source
from edge.camera.luma import upright
from edge.camera.opencv import quieten
from edge.camera.playback import Playback
from edge.config import CameraConfig
from edge.domain import Frame
from edge.errors import CameraError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class PictureFolder(Source):
    """The pictures of a folder in the order of their names, ``config.fps`` of them a second.

    A file that is no picture is passed over as if it were not there.

    Raises:
        CameraError: the folder cannot be listed or holds no picture.
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
        self.fps = config.fps
        self._rotate_deg = config.rotate_deg
        self._loop = loop
        self._playback = Playback(realtime=realtime, clock=clock, sleep=sleep)
        self._next = 0
        quieten()
        try:
            self._pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise CameraError(f"camera {path}: cannot be listed: {error.strerror}") from error
        self.frames = len(self._pictures)
        if not self._pictures:
            raise CameraError(f"camera {path}: no picture in this folder; it takes {', '.join(sorted(SUFFIXES))}")

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - a file does not stall
        """The next picture; in real time the next one that is not late.

        Raises:
            EndOfStream: after the last picture, unless the folder is played in a loop.
            CameraError: not one of them can be read.
        """
        period_s = 1.0 / self.fps
        while self._playback.is_late(self._next * period_s, period_s):
            self._next += 1
        while self._next < len(self._pictures) or self._loop:
            place = self._next % len(self._pictures)
            try:
                luma = upright(_decode(self._pictures[place]), self._rotate_deg)
            except BadFrameError as fault:
                self._leave_out(place, fault)
                continue
            t = self._playback.wait(self._next * period_s)
            self._next += 1
            return Frame(luma=luma, t=t)
        raise EndOfStream

    def _leave_out(self, place: int, fault: BadFrameError) -> None:
        """Go on as if the picture were not there."""
        del self._pictures[place]
        self.bad_frames, self.bad_frame = self.bad_frames + 1, str(fault)
        if not self._pictures:
            raise CameraError(f"{fault}; there is no other picture in this folder") from fault


def _decode(path: Path) -> NDArray[np.uint8]:
    """The picture's luma; the decoder reduces colour, alpha and 16 bits itself, JPEG without any conversion."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        luma = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    except OSError as error:
        raise BadFrameError(f"camera {path}: cannot be read: {error.strerror}") from error
    except cv2.error as error:
        raise BadFrameError(f"camera {path}: cannot be decoded: {error.err}; remove it from the folder") from error
    if luma is None:
        raise BadFrameError(f"camera {path}: not a picture that OpenCV can decode; remove it from the folder")
    return np.asarray(luma, np.uint8)
