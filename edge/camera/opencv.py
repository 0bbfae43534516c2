"""Cameras through OpenCV: V4L2 devices, GStreamer pipelines, network streams."""

from __future__ import annotations

import os

import cv2

from edge.board.clock import uptime_s
from edge.camera import BadFrameError, Clock, LiveSource, without_credentials
from edge.camera.luma import to_luma, upright
from edge.config import CameraConfig
from edge.domain import Frame
from edge.errors import CameraError

_OPEN_TIMEOUT_MS = 5000


class OpenCvCamera(LiveSource):
    """``v4l2:/dev/video0``, ``gst:PIPELINE`` (ending in ``appsink``) or ``rtsp://…``.

    V4L2 is asked for GREY, then YUYV, whose luma is taken without a colour conversion; a device that has neither is
    converted. ``read`` cannot be hurried: how long a stalled device blocks is the backend's affair, so a service reads
    in a thread of its own. A frame that cannot be decoded is told by some backends as one that did not come, so either
    is passed over for as long.

    Raises:
        CameraError: the device, pipeline or address cannot be opened, or cv2 was built without its backend.
    """

    live = True

    def __init__(self, config: CameraConfig, *, clock: Clock = uptime_s) -> None:
        super().__init__(1.0 / config.fps, clock)
        self._name = without_credentials(config.source)
        self._rotate_deg = config.rotate_deg
        quieten()
        if config.source.startswith("v4l2:"):
            self._capture = _open_v4l2(config)
        elif config.source.startswith("gst:"):
            self._capture = _open_gstreamer(config)
        else:
            self._capture = _open_address(config)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.fps = max(0.0, self._capture.get(cv2.CAP_PROP_FPS))
        # A pipeline that ends in I420 or NV12 hands out its chroma as further rows below the luma.
        planar = config.source.startswith("gst:")
        self._luma_rows = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) if planar else 0

    def take(self, timeout_s: float) -> Frame:  # noqa: ARG002 - OpenCV's backends have timeouts of their own
        """The next frame, timed when its buffer was taken from the device, before decoding."""
        grabbed = self._capture.grab()
        t = self._clock()
        if not grabbed:
            raise BadFrameError(f"camera {self._name}: no frame; is it unplugged, or has the stream ended?")
        try:
            ok, picture = self._capture.retrieve()
            if not ok or picture is None:
                raise BadFrameError(f"camera {self._name}: no frame can be decoded; check cable, power and stream")
            if self._luma_rows and picture.ndim == 2:
                picture = picture[: self._luma_rows]
            return Frame(luma=upright(to_luma(picture), self._rotate_deg), t=t)
        except cv2.error as error:
            raise BadFrameError(f"camera {self._name}: no frame can be decoded: {error.err}") from error

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


def quieten() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: what matters is raised, and they would print addresses."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4; OpenCV 5
    set_level(0)  # LOG_LEVEL_SILENT


def _open_v4l2(config: CameraConfig) -> cv2.VideoCapture:
    device = config.source.removeprefix("v4l2:")
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise CameraError(f"camera {config.source}: cannot be opened: {_device_remedy(device)}")
    for fourcc in ("GREY", "YUYV"):
        wanted = cv2.VideoWriter.fourcc(*fourcc)
        capture.set(cv2.CAP_PROP_FOURCC, wanted)
        if int(capture.get(cv2.CAP_PROP_FOURCC)) == wanted:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            break
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width_px)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height_px)
    capture.set(cv2.CAP_PROP_FPS, config.fps)
    return capture


def _device_remedy(device: str) -> str:
    if not os.path.exists(device):  # noqa: PTH110 - a device's name is no path to work with
        return "no such device; `v4l2-ctl --list-devices` lists what is there"
    if not os.access(device, os.R_OK | os.W_OK):
        return "permission denied; add this user to the group 'video'"
    return "it is no camera, or another program holds it; `fuser -v` tells which"


def _open_gstreamer(config: CameraConfig) -> cv2.VideoCapture:
    if not any(
        line.split(":")[1].strip().startswith("YES")
        for line in cv2.getBuildInformation().splitlines()
        if line.strip().startswith("GStreamer:")
    ):
        raise CameraError(
            "camera gst: this cv2 was built without GStreamer; use the system's (`sudo apt install python3-opencv`, or "
            "JetPack's, and a venv with --system-site-packages and no opencv wheel of its own)"
        )
    capture = cv2.VideoCapture(config.source.removeprefix("gst:"), cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise CameraError(
            f"camera {without_credentials(config.source)}: the pipeline does not start; "
            "try it with gst-launch-1.0, and end it in 'appsink drop=1 max-buffers=1'"
        )
    return capture


def _open_address(config: CameraConfig) -> cv2.VideoCapture:
    timeout_ms = round(config.timeout_s * 1000)
    capture = cv2.VideoCapture(
        config.source,
        cv2.CAP_FFMPEG,
        [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, max(_OPEN_TIMEOUT_MS, timeout_ms), cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms],
    )
    if not capture.isOpened():
        raise CameraError(
            f"camera {without_credentials(config.source)}: cannot be opened; check address, user, password and network"
        )
    return capture
