"""The Raspberry Pi camera, against a fake that behaves as picamera2 documents and its source shows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge.camera import open_camera
from edge.camera.newest import NewestFrame
from edge.camera.picamera2 import BUFFERS
from edge.config import CameraConfig
from edge.domain import Sight
from edge.errors import CameraError
from tests.camera.fake_picamera2 import FakePicamera2, Request, Sensor

DEADLINE_S = 10.0
QUICK = CameraConfig(timeout_s=0.05, reopen_min_s=0.001, reopen_max_s=0.004, frozen_s=0.2)


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> Sensor:
    class Picamera2(FakePicamera2):
        sensor = Sensor()

    module = ModuleType("picamera2")
    module.__dict__["Picamera2"] = Picamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Picamera2.sensor


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


@pytest.mark.parametrize("stream", ["main", "lores"])
@pytest.mark.parametrize(
    ("width", "alignment", "stride"), [(640, 64, 640), (600, 64, 640), (600, 128, 640), (648, 128, 768)]
)
def test_luma_is_the_y_plane_at_its_stride_without_the_padding(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch, stream: str, width: int, alignment: int, stride: int
) -> None:
    sensor.row_alignment = alignment
    shaped: list[Any] = []
    release = Request.release

    def keep_array(request: Request) -> None:
        shaped.append(request.make_array(stream))
        release(request)

    monkeypatch.setattr(Request, "release", keep_array)
    with open_camera(CameraConfig.model_validate({"stream": stream, "width_px": width})) as camera:
        luma = camera.read(1.0).luma
    assert luma.shape == (480, width)
    assert luma.strides == (stride, 1)
    assert (luma == shaped[0][:480, :width]).all(), "the same pixels as picamera2's own make_array gives"


def test_a_size_that_libcamera_has_changed_is_the_one_that_is_read(sensor: Sensor) -> None:
    with open_camera(CameraConfig(width_px=641, height_px=481)) as camera:
        assert camera.read(1.0).luma.shape == (480, 640)
    assert not sensor.opened[0].is_open


def test_the_sensor_is_asked_for_the_configured_rate_and_for_no_old_frames(sensor: Sensor) -> None:
    with open_camera(CameraConfig(fps=20)) as camera:
        assert camera.fps == 20
        assert camera.live
        asked = sensor.opened[0].camera_configuration()
    assert asked["controls"] == {"FrameDurationLimits": (50000, 50000)}
    assert asked["queue"] is False


def test_a_frames_time_is_its_exposure_on_our_clock(sensor: Sensor) -> None:
    sensor.metadata = {"SensorTimestamp": time.monotonic_ns() - 100_000_000}
    with open_camera(CameraConfig(), clock=lambda: 500.0) as camera:
        assert 498.0 < camera.read(1.0).t <= 499.9


@pytest.mark.parametrize("metadata", [{}, {"SensorTimestamp": 1}, {"SensorTimestamp": 2**62}])
def test_a_time_that_makes_no_sense_gives_way_to_the_time_of_arrival(sensor: Sensor, metadata: dict[str, Any]) -> None:
    sensor.metadata = metadata
    with open_camera(CameraConfig(), clock=lambda: 500.0) as camera:
        assert camera.read(0.001).t == 500.0


def test_every_request_goes_back_so_that_the_sensor_never_runs_dry(sensor: Sensor) -> None:
    with open_camera(CameraConfig()) as camera:
        for _ in range(5 * BUFFERS):
            camera.read(1.0)
            assert sensor.opened[0].lent == 0


def test_a_hanging_camera_is_an_error_after_the_timeout_and_can_be_closed(sensor: Sensor) -> None:
    with open_camera(CameraConfig()) as camera:
        sensor.exposing = False
        with pytest.raises(CameraError, match=r"no frame for 0\.05 s; check the ribbon cable"):
            camera.read(0.05)
    assert sensor.owner is None


@pytest.mark.parametrize("fault", [RuntimeError("device removed"), CancelledError()])
def test_a_capture_that_fails_is_an_error(sensor: Sensor, fault: Exception) -> None:
    with open_camera(CameraConfig()) as camera:
        sensor.capture_fault = fault
        with pytest.raises(CameraError, match="capture failed"):
            camera.read(0.05)


def test_a_capture_that_fails_once_is_passed_over_and_counted(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor.capture_fault = RuntimeError("buffer error")
    with open_camera(CameraConfig(fps=120)) as camera:
        monkeypatch.setattr(camera, "_sleep", lambda _: setattr(sensor, "capture_fault", None))
        assert camera.read(1.0).luma.shape == (480, 640)
        assert camera.bad_frames == 1


def test_no_camera_attached_is_said_with_the_remedy(sensor: Sensor) -> None:
    sensor.attached = False
    with pytest.raises(CameraError, match="no camera found; check the ribbon cable"):
        open_camera(CameraConfig())


def test_a_busy_camera_is_said_with_the_remedy(sensor: Sensor) -> None:
    sensor.busy = True
    with pytest.raises(CameraError, match=r"sequence did not complete; stop the other program"):
        open_camera(CameraConfig())


@pytest.mark.parametrize("why", ["absent", "busy"])
def test_trying_all_night_uses_up_no_files(sensor: Sensor, why: str) -> None:
    sensor.attached = why != "absent"
    sensor.busy = why == "busy"
    before = open_files()
    for _ in range(20):
        with pytest.raises(CameraError):
            open_camera(CameraConfig())
    assert open_files() <= before


@pytest.mark.parametrize("control", ["rate", "format"])
def test_a_usb_camera_is_sent_to_v4l2_and_let_go_of(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch, control: str
) -> None:
    sensor.kind = "usb"
    if control == "format":  # one that lets its rate be set
        monkeypatch.setattr(FakePicamera2, "camera_controls", {"FrameDurationLimits": (1, 2, 1)})
    with pytest.raises(CameraError, match="open a USB camera as v4l2:"):
        open_camera(CameraConfig())
    assert sensor.owner is None


def test_too_little_memory_for_the_buffers_is_said_and_the_camera_let_go_of(sensor: Sensor) -> None:
    sensor.out_of_memory = True
    with pytest.raises(CameraError, match=r"does not start at 640x480, 15 fps: .*Cannot allocate memory"):
        open_camera(CameraConfig())
    assert sensor.owner is None


def test_a_camera_that_does_not_let_go_hides_not_why_it_was_closed(
    sensor: Sensor, caplog: pytest.LogCaptureFixture
) -> None:
    camera = open_camera(CameraConfig())
    sensor.exposing = sensor.lets_go = False
    with pytest.raises(CameraError, match="no frame for"), camera:
        camera.read(0.01)
    assert "cannot be closed: Failed to release camera" in caplog.text


def test_a_missing_picamera2_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match=r"apt install python3-picamera2.*--system-site-packages") as caught:
        open_camera(CameraConfig())
    assert "\n" not in str(caught.value)


def pull_out(sensor: Sensor) -> None:
    sensor.exposing = False


def put_in(sensor: Sensor) -> None:
    sensor.attached = sensor.exposing = True
    sensor.still = sensor.busy = False


def hand_over(sensor: Sensor) -> None:
    sensor.exposing = False
    sensor.busy = True


def take_away(sensor: Sensor) -> None:
    sensor.attached = False


def freeze(sensor: Sensor) -> None:
    sensor.still = True


@pytest.mark.parametrize(
    ("lose", "sight", "reason"),
    [
        (pull_out, Sight.NO_PICTURE, "no frame for 0.05 s; check the ribbon cable"),
        (hand_over, Sight.NO_PICTURE, "stop the other program"),
        (take_away, Sight.NO_PICTURE, "no camera found; check the ribbon cable"),
        (freeze, Sight.FROZEN, "the picture has not changed for 0.2 s"),
    ],
)
def test_a_camera_lost_and_found_three_times_says_why_and_comes_back_by_itself(
    sensor: Sensor, lose: Callable[[Sensor], None], sight: Sight, reason: str
) -> None:
    before = open_files()
    with NewestFrame(lambda: open_camera(QUICK), QUICK) as newest:
        for _ in range(3):
            eventually(lambda: newest.take(0.01) is not None)
            assert newest.blindness() is None
            lose(sensor)
            eventually(lambda: _says(newest, sight, reason))
            assert newest.take(0.0) is None, "a frame from before the loss is old"
            put_in(sensor)
        eventually(lambda: newest.take(0.01) is not None)
    assert sum(camera.is_open for camera in sensor.opened) <= 1, "each was closed before the next one was opened"
    eventually(lambda: sensor.owner is None)
    eventually(lambda: open_files() <= before)


def _says(newest: NewestFrame, sight: Sight, reason: str) -> bool:
    said = newest.blindness()
    return said is not None and said[0] is sight and reason in said[1]
