"""A video file as camera."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.board.clock import uptime_s
from edge.camera import BadFrameError, Clock, EndOfStream, Source
from edge.camera.luma import to_luma, upright
from edge.camera.opencv import quieten
from edge.camera.playback import Playback
from edge.config import CameraConfig
from edge.domain import MAX_GAP_S, Frame
from edge.errors import CameraError

_log = logging.getLogger(__name__)

_FALLBACK_FPS = 25.0

MAX_BACK_S = 1.0
"""Frames whose times go back by more begin a new count of time; less is a decoder's disorder."""


class VideoFile(Source):
    """Frames of a clip with the clip's own times from 0 on; ``frames`` is how many are expected (0: unknown).

    Some containers hold no number of frames, and OpenCV makes one of duration and rate. A clip that breaks off ends
    like a whole one, with a warning in the log; frames that cannot be decoded are passed over.

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
        self._patience = 1 + round(config.timeout_s * self.fps)
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._clip_t = self._origin_t = self._container_t = 0.0
        self._count = self._good = 0
        self._pending = self._grab()
        if not self._pending:
            self.close()
            raise CameraError(f"camera {path}: no frame in this clip; record or convert it again")

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - a file does not stall
        """The next frame; in real time the next one that is not late.

        Raises:
            EndOfStream: after the last frame, unless the file is played in a loop.
            CameraError: not one frame can be decoded.
        """
        while True:
            self._step()
            while self._playback.is_late(self._clip_t, 1.0 / self.fps):
                self._step()
            try:
                luma = self._decode()
            except BadFrameError as fault:
                self.bad_frames, self.bad_frame = self.bad_frames + 1, str(fault)
                continue
            self._good += 1
            return Frame(luma=luma, t=self._playback.wait(self._clip_t))

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise CameraError(f"camera {self._path}: not a video that OpenCV can read; convert it, for example to MP4")
        return capture

    def _decode(self) -> NDArray[np.uint8]:
        what = f"camera {self._path}: frame {self._count} cannot be decoded"
        try:
            ok, picture = self._capture.retrieve()
        except cv2.error as error:
            raise BadFrameError(f"{what}: {error.err}") from error
        if not ok or picture is None:
            raise BadFrameError(f"{what}; convert the clip again")
        return upright(to_luma(picture), self._rotate_deg)

    def _step(self) -> None:
        if self._pending:
            self._pending = False
        elif not self._grab():
            self._end()

    def _grab(self) -> bool:
        """Take the next frame undecoded; False at the end."""
        for missed in range(self._patience):  # a frame that a backend cannot decode may look like the end
            if self._capture.grab():
                if missed:
                    self.bad_frames += missed
                    self.bad_frame = f"camera {self._path}: frame {self._count + missed} cannot be decoded"
                self._tell_time(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0)
                self._count += 1 + missed
                return True
        return False

    def _tell_time(self, container_t: float) -> None:
        """The frame's time is the container's where that advances, else the frame rate's."""
        if self._count == 0:
            self._origin_t = container_t - self._clip_t
        t = container_t - self._origin_t
        gap_s, self._container_t = t - self._clip_t, container_t
        if gap_s > MAX_GAP_S:
            _log.warning("camera %s: timestamps jump by %.0f s, counted as %g s", self._path, gap_s, MAX_GAP_S)
            self._origin_t += gap_s - MAX_GAP_S
            t = self._clip_t + MAX_GAP_S
        elif gap_s < -MAX_BACK_S:
            t = self._clip_t + 1.0 / self.fps
            self._origin_t = container_t - t
        advances = t > self._clip_t or self._count == 0
        self._clip_t = t if advances else self._clip_t + 1.0 / self.fps

    def _end(self) -> None:
        if self._good == 0:
            raise CameraError(f"camera {self._path}: no frame of this clip can be decoded; convert it again")
        self._tell_whether_whole()
        if not self._loop:
            raise EndOfStream
        self.close()
        self._capture = self._open()
        self._clip_t += 1.0 / self.fps
        self._count = self._good = 0
        if not self._grab():
            raise CameraError(f"camera {self._path}: this clip has no frame any more; was it replaced?")

    def _tell_whether_whole(self) -> None:
        """By time as well as by number, since OpenCV makes up a number where the container has none."""
        expected_s, end_s = self.frames / self.fps, self._container_t + 1.0 / self.fps
        if self._count < self.frames and end_s < expected_s - _slack_s(expected_s):
            _log.warning("camera %s: clip ends early, after %.1f of %.1f s", self._path, end_s, expected_s)


def _slack_s(expected_s: float) -> float:
    """How much shorter than its container, or its sound, a whole clip's picture may be."""
    return 0.25 + 0.02 * expected_s
