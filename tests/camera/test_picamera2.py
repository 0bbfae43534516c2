"""The Raspberry Pi camera, against a fake that behaves as picamera2 documents and its source shows."""

from __future__ import annotations

import sys
import time
from concurrent.futures import CancelledError
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import open_camera
from edge.config import CameraConfig
from edge.errors import CameraError

STRIDE = 704  # libcamera pads rows: 640 pixels wide, 704 bytes apart


class FakeRequest:
    def __init__(self, camera: FakePicamera2) -> None:
        self.camera = camera
        camera.held += 1

    def make_buffer(self, name: str) -> NDArray[np.uint8]:
        """The stream's bytes as one row: Y plane, then U and V, every row padded to the stride."""
        _, height = self.camera.config[name]["size"]
        y = np.full((height, STRIDE), 255, np.uint8)
        y[:, :640] = np.arange(640, dtype=np.uint32).astype(np.uint8)
        return np.concatenate([y.ravel(), np.full(height * STRIDE // 2, 128, np.uint8)])

    def get_metadata(self) -> dict[str, Any]:
        return self.camera.metadata

    def release(self) -> None:
        self.camera.held -= 1


class FakeJob:
    def __init__(self, camera: FakePicamera2) -> None:
        self.camera = camera

    def get_result(self, timeout: float | None = None) -> FakeRequest:
        assert timeout is not None, "without a timeout a dead camera blocks for ever"
        if self.camera.fault is not None:
            raise self.camera.fault
        self.camera.jobs.remove(self)
        return FakeRequest(self.camera)


class FakePicamera2:
    """The part of picamera2.Picamera2 that is used, for one camera; what goes wrong is set on the class."""

    attached = True
    busy = False
    adjusted_format = "YUV420"
    fault: Exception | None = None
    metadata: dict[str, Any]
    instances: list[FakePicamera2]

    def __init__(self) -> None:
        if not self.attached:
            raise IndexError("list index out of range")
        if self.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        self.config: dict[str, Any] = {}
        self.jobs: list[FakeJob] = []
        self.held = 0
        self.started = self.closed = False
        self.instances.append(self)

    def create_video_configuration(self, **settings: Any) -> dict[str, Any]:
        return settings

    def configure(self, config: dict[str, Any]) -> None:
        assert not self.started
        self.config = {
            name: stream | {"stride": STRIDE, "format": self.adjusted_format}
            for name, stream in config.items()
            if name in ("main", "lores") and stream is not None
        } | {"controls": config["controls"]}

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self) -> None:
        self.started = True

    def capture_request(self, *, wait: bool) -> FakeJob:
        assert self.started
        assert not wait
        self.jobs.append(FakeJob(self))
        return self.jobs[-1]

    def cancel_all_and_flush(self) -> None:
        self.jobs.clear()

    def close(self) -> None:
        assert not self.jobs, "stop() queues behind a waiting capture, and would hang"
        assert not self.held, "a request was not given back"
        self.closed = True


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    class Fresh(FakePicamera2):
        metadata: dict[str, Any] = {}  # noqa: RUF012 - one for each test
        instances: list[FakePicamera2] = []  # noqa: RUF012 - as above

    module = ModuleType("picamera2")
    module.__dict__["Picamera2"] = Fresh
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Fresh


@pytest.mark.parametrize("stream", ["main", "lores"])
def test_luma_is_the_y_plane_in_place_at_its_stride(picamera2: type[FakePicamera2], stream: str) -> None:
    config = CameraConfig.model_validate({"stream": stream})
    with open_camera(config) as camera:
        luma = camera.read(1.0).luma
    assert luma.shape == (480, 640)
    assert luma.strides == (STRIDE, 1)
    assert (luma[7] == np.arange(640, dtype=np.uint32).astype(np.uint8)).all()
    assert picamera2.instances[0].closed


def test_the_sensor_is_asked_for_the_configured_rate(picamera2: type[FakePicamera2]) -> None:
    with open_camera(CameraConfig(fps=20)) as camera:
        assert camera.fps == 20
        assert camera.live
    assert picamera2.instances[0].config["controls"] == {"FrameDurationLimits": (50000, 50000)}


def test_a_frames_time_is_its_exposure_on_our_clock(picamera2: type[FakePicamera2]) -> None:
    picamera2.metadata = {"SensorTimestamp": time.monotonic_ns() - 100_000_000}
    with open_camera(CameraConfig(), clock=lambda: 500.0) as camera:
        assert camera.read(1.0).t == pytest.approx(499.9, abs=0.09)


@pytest.mark.parametrize("metadata", [{}, {"SensorTimestamp": 1}, {"SensorTimestamp": 2**62}])
def test_a_time_that_makes_no_sense_gives_way_to_the_time_of_arrival(
    picamera2: type[FakePicamera2], metadata: dict[str, Any]
) -> None:
    picamera2.metadata = metadata
    with open_camera(CameraConfig(), clock=lambda: 500.0) as camera:
        assert camera.read(0.001).t == 500.0


def test_every_request_goes_back_to_the_camera(picamera2: type[FakePicamera2]) -> None:
    with open_camera(CameraConfig()) as camera:
        for _ in range(20):
            camera.read(1.0)
            assert picamera2.instances[0].held == 0


def test_a_hanging_camera_is_an_error_after_the_timeout_and_can_be_closed(picamera2: type[FakePicamera2]) -> None:
    with open_camera(CameraConfig()) as camera:
        picamera2.fault = TimeoutError()
        with pytest.raises(CameraError, match=r"no frame for 1\.5 s; check the ribbon cable"):
            camera.read(1.5)
    assert picamera2.instances[0].closed


@pytest.mark.parametrize("fault", [RuntimeError("device removed"), CancelledError()])
def test_an_unplugged_camera_is_an_error(picamera2: type[FakePicamera2], fault: Exception) -> None:
    with open_camera(CameraConfig()) as camera:
        picamera2.fault = fault
        with pytest.raises(CameraError, match="capture failed"):
            camera.read(1.0)


def test_no_camera_attached_is_said_with_the_remedy(picamera2: type[FakePicamera2]) -> None:
    picamera2.attached = False
    with pytest.raises(CameraError, match="no camera found; check the ribbon cable"):
        open_camera(CameraConfig())


def test_a_busy_camera_is_said_with_the_remedy(picamera2: type[FakePicamera2]) -> None:
    picamera2.busy = True
    with pytest.raises(CameraError, match=r"busy; stop the other program"):
        open_camera(CameraConfig())


def test_a_usb_camera_is_sent_to_v4l2_and_let_go_of(picamera2: type[FakePicamera2]) -> None:
    picamera2.adjusted_format = "MJPEG"
    with pytest.raises(CameraError, match=r"MJPEG instead of YUV420; open a USB camera as v4l2:"):
        open_camera(CameraConfig())
    assert picamera2.instances[0].closed


def test_a_missing_picamera2_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match=r"apt install python3-picamera2.*--system-site-packages") as caught:
        open_camera(CameraConfig())
    assert "\n" not in str(caught.value)
