"""A Raspberry Pi camera through picamera2 (from apt: only that build matches the system's libcamera)."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.board.clock import uptime_s
from edge.camera import BadFrameError, Clock, LiveSource
from edge.camera.luma import upright
from edge.config import CameraConfig
from edge.domain import Frame
from edge.errors import CameraError

_log = logging.getLogger(__name__)

BUFFERS = 4
"""Enough for the sensor to fill one while one is copied out and others wait; each costs contiguous memory."""


class PiCamera(LiveSource):
    """YUV420 from the ``main`` or ``lores`` stream: the Y plane is the luma, used where it lies, at its stride.

    It lies in a copy: a request that is held back for as long as its frame lives would have to outlive the camera.

    Raises:
        CameraError: picamera2 is missing, no camera is attached, or another program holds it.
    """

    live = True

    def __init__(self, config: CameraConfig, *, clock: Clock = uptime_s) -> None:
        super().__init__(1.0 / config.fps, clock)
        self.fps = config.fps
        self._stream = config.stream
        self._rotate_deg = config.rotate_deg
        self._camera = _open(_import_picamera2())
        try:
            self._start(config)
        except (RuntimeError, ValueError, OSError) as error:  # OSError: no contiguous memory for the buffers
            self.close()
            raise CameraError(
                f"camera picamera2: does not start at {config.width_px}x{config.height_px}, {config.fps:g} fps: {error}"
            ) from error
        except CameraError:
            self.close()
            raise

    def _start(self, config: CameraConfig) -> None:
        if "FrameDurationLimits" not in self._camera.camera_controls:
            raise CameraError("camera picamera2: its frame rate cannot be set; open a USB camera as v4l2:/dev/video0")
        stream = {"format": "YUV420", "size": (config.width_px, config.height_px)}
        duration_us = round(1e6 / config.fps)
        self._camera.configure(
            self._camera.create_video_configuration(
                main=stream,
                lores=stream if config.stream == "lores" else None,
                buffer_count=BUFFERS,
                queue=False,  # every capture waits for a new exposure: a queued one would be old
                display=None,
                encode=None,
                controls={"FrameDurationLimits": (duration_us, duration_us)},
            )
        )
        actual = self._camera.camera_configuration()[config.stream]
        if actual["format"] != "YUV420":
            raise CameraError(
                f"camera picamera2: gives {actual['format']} instead of YUV420; open a USB camera as v4l2:/dev/video0"
            )
        self._size = actual["size"]  # libcamera may have adjusted it
        self._stride = actual["stride"]
        self._camera.start()

    def take(self, timeout_s: float) -> Frame:
        """The next exposure, with the time at which its first row was exposed."""
        job = self._camera.capture_request(wait=False)
        try:
            request = job.get_result(timeout=timeout_s)
        except FutureTimeoutError:
            raise CameraError(
                f"camera picamera2: no frame for {timeout_s:g} s; check the ribbon cable and `dmesg`"
            ) from None
        except (CancelledError, RuntimeError) as error:
            raise BadFrameError(f"camera picamera2: capture failed: {error}") from error
        try:
            buffer = request.make_buffer(self._stream)
            exposed_ns = request.get_metadata().get("SensorTimestamp")
        finally:
            request.release()
        return Frame(luma=upright(self._luma(buffer), self._rotate_deg), t=self._monotonic(exposed_ns, timeout_s))

    def _luma(self, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        width, height = self._size
        return buffer[: height * self._stride].reshape(height, self._stride)[:, :width]

    def _monotonic(self, exposed_ns: int | None, timeout_s: float) -> float:
        """The sensor's time on our clock.

        libcamera documents SensorTimestamp as CLOCK_BOOTTIME, yet V4L2 buffers carry CLOCK_MONOTONIC: the two differ
        once a board has slept. So the age of the frame is taken on the clock on which it makes sense.
        """
        now = self._clock()
        if exposed_ns is not None:
            for clock_id in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME):
                age_s = (time.clock_gettime_ns(clock_id) - exposed_ns) / 1e9
                if 0 <= age_s <= timeout_s + 1.0:
                    return now - age_s
        return now

    def close(self) -> None:
        """Stop and release the camera.

        Waiting captures are cancelled first: ``stop`` queues behind them, and they would never end once frames have
        ceased to come. A camera that does not let go is told in the log; what is raised is why it was closed.
        """
        self._camera.cancel_all_and_flush()
        try:
            self._camera.close()
        except (RuntimeError, OSError) as error:
            _log.warning("camera picamera2: cannot be closed: %s", error)


def _open(camera_type: Any) -> Any:
    camera = camera_type.__new__(camera_type)  # apart from __init__, so that what a failed one leaves behind is at hand
    try:
        camera.__init__()
    except IndexError:
        _close_pipe(camera)
        raise CameraError(
            "camera picamera2: no camera found; check the ribbon cable and `rpicam-hello --list-cameras`"
        ) from None
    except RuntimeError as error:
        _close_pipe(camera)
        reason = str(error).rstrip(".")
        raise CameraError(
            f"camera picamera2: cannot be opened: {reason}; stop the other program that uses it"
        ) from error
    return camera


def _close_pipe(camera: Any) -> None:
    """Close the pipe that picamera2 leaves open when it cannot be made.

    It is a file or two for every try: a camera that is away for a night would use up all that a process may have. The
    two ends must belong together, in case picamera2 has closed one and its number is another file's by now.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed already
        if os.fstat(camera.notifyme_w).st_ino == os.fstat(camera.notifymeread.fileno()).st_ino:
            os.close(camera.notifyme_w)
            camera.notifymeread.close()


def _import_picamera2() -> Any:
    try:
        from picamera2 import Picamera2  # noqa: PLC0415 - there only on a Raspberry Pi
    except (ImportError, ValueError) as error:  # ValueError: a numpy of another ABI than apt's build
        raise CameraError(
            f"camera picamera2: not importable ({error}); `sudo apt install python3-picamera2`, "
            "and make the venv with --system-site-packages"
        ) from error
    return Picamera2
