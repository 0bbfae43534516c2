"""OpenCV's cameras, against a fake of cv2.VideoCapture where there is no device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import is_file_source, open_camera, without_credentials
from edge.camera.opencv import OpenCvCamera
from edge.config import CameraConfig
from edge.errors import CameraError

SECRET_URL = "rtsp://driver:p%40ss/w:rd@192.0.2.1:554/cabin?token=hunter2"  # noqa: S105 - nobody's


def fourcc(name: str) -> int:
    return cv2.VideoWriter.fourcc(*name)


class FakeCapture:
    """cv2.VideoCapture as far as it is used. ``formats`` are what the device can give."""

    opens = True
    formats: ClassVar[tuple[str, ...]] = ("MJPG", "YUYV")
    made: ClassVar[list[FakeCapture]] = []

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.settings: dict[int, float] = {cv2.CAP_PROP_FOURCC: fourcc(self.formats[0]), cv2.CAP_PROP_CONVERT_RGB: 1}
        self.unplugged = self.released = False
        self.made.append(self)

    def isOpened(self) -> bool:  # noqa: N802 - cv2's name
        return self.opens

    def set(self, key: int, value: float) -> bool:
        if key == cv2.CAP_PROP_FOURCC and value not in [fourcc(name) for name in self.formats]:
            return False
        self.settings[key] = value
        return True

    def get(self, key: int) -> float:
        return self.settings.get(key, 0.0)

    def grab(self) -> bool:
        return not self.unplugged

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        if self.settings[cv2.CAP_PROP_CONVERT_RGB]:
            return True, np.full((480, 640, 3), 50, np.uint8)
        grey = self.settings[cv2.CAP_PROP_FOURCC] == fourcc("GREY")
        return True, np.full((480, 640) if grey else (480, 640, 2), 60, np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    class Fresh(FakeCapture):
        made: ClassVar[list[FakeCapture]] = []

    monkeypatch.setattr(cv2, "VideoCapture", Fresh)
    return Fresh


@pytest.mark.parametrize(
    ("formats", "level"), [(("MJPG", "GREY", "YUYV"), 60), (("MJPG", "YUYV"), 60), (("MJPG", "NV12"), 50)]
)
def test_a_device_gives_its_luma_unconverted_where_it_can(
    capture: type[FakeCapture], formats: tuple[str, ...], level: int
) -> None:
    capture.formats = formats
    with open_camera(CameraConfig(source="v4l2:/dev/video7"), clock=lambda: 5.0) as camera:
        frame = camera.read(1.0)
    assert frame.luma.shape == (480, 640)
    assert frame.t == 5.0
    assert (frame.luma == level).all()


def test_a_device_keeps_one_buffer_only_and_is_released(capture: type[FakeCapture]) -> None:
    with open_camera(CameraConfig(source="v4l2:/dev/video7", fps=20)) as camera:
        assert camera.live
        assert camera.fps == 20
    assert capture.made[0].settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert capture.made[0].args == ("/dev/video7", cv2.CAP_V4L2)
    assert capture.made[0].released


def test_an_unplugged_device_is_an_error_by_name(capture: type[FakeCapture]) -> None:
    with open_camera(CameraConfig(source="v4l2:/dev/video7")) as camera:
        capture.made[0].unplugged = True
        with pytest.raises(CameraError, match="camera v4l2:/dev/video7: no frame; is it unplugged"):
            camera.read(0.05)
        assert camera.bad_frames == 0, "what never came was no bad frame"


class Flaky(FakeCapture):
    """Every tenth frame from the third on cannot be had; ``how`` tells the way in which the backend says so."""

    made: ClassVar[list[FakeCapture]] = []
    how = "retrieve"
    count = 0

    @property
    def bad(self) -> bool:
        return self.count % 10 == 3

    def grab(self) -> bool:
        self.count += 1
        return not (self.how == "grab" and self.bad)

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        if self.bad and self.how == "raise":
            raise cv2.error("(-215:Assertion failed) !buf.empty() in function 'imdecode_'\n")
        if self.bad:
            return self.how == "empty", np.zeros((0, 0), np.uint8)
        return True, np.random.default_rng(self.count).integers(0, 255, (48, 64), np.uint8)


@pytest.mark.parametrize("how", ["grab", "retrieve", "raise", "empty"])
def test_one_bad_frame_in_ten_is_passed_over_and_counted(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Flaky)
    monkeypatch.setattr(Flaky, "how", how)
    with open_camera(CameraConfig(source="v4l2:/dev/video7", fps=120)) as camera:
        for _ in range(40):
            assert camera.read(1.0).luma.shape == (48, 64)
        assert camera.bad_frames == 5
    assert camera.bad_frame.startswith("camera v4l2:/dev/video7: no frame") or how == "empty"


def test_a_camera_whose_every_frame_is_bad_is_lost_after_the_timeout_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(cv2, "VideoCapture", Flaky)
    monkeypatch.setattr(Flaky, "bad", True)
    camera = OpenCvCamera(CameraConfig(source="v4l2:/dev/video7", fps=10), clock=lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(camera, "_sleep", sleep)
    with pytest.raises(CameraError, match="no frame can be decoded; check cable, power and stream"):
        camera.read(2.0)
    assert now[0] == pytest.approx(102.0)
    assert Flaky.made[-1].count == pytest.approx(21, abs=1), "asked as often as frames come, no more"  # type: ignore[attr-defined]


def test_a_missing_device_is_said_with_the_remedy() -> None:
    with pytest.raises(CameraError, match="camera v4l2:/dev/nothing: cannot be opened: no such device; `v4l2-ctl"):
        open_camera(CameraConfig(source="v4l2:/dev/nothing"))


def test_what_is_no_camera_is_said_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("no device")
    with pytest.raises(CameraError, match="it is no camera, or another program holds it"):
        open_camera(CameraConfig(source=f"v4l2:{tmp_path}/video0"))


def test_gstreamer_without_gstreamer_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  Video I/O:\n    GStreamer:                   NO\n")
    with pytest.raises(CameraError, match=r"built without GStreamer; .*python3-opencv"):
        open_camera(CameraConfig(source="gst:videotestsrc ! appsink"))


def test_a_gstreamer_pipeline_is_passed_on_whole(capture: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.22)\n")
    with open_camera(CameraConfig(source="gst:nvarguscamerasrc ! appsink")) as camera:
        assert (camera.read(1.0).luma == 50).all()
    assert capture.made[0].args == ("nvarguscamerasrc ! appsink", cv2.CAP_GSTREAMER)


def test_the_chroma_rows_of_a_planar_pipeline_are_cut_off(
    capture: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.20.3)\n")
    monkeypatch.setattr(capture, "retrieve", lambda _: (True, np.full((480 * 3 // 2, 640), 50, np.uint8)))
    monkeypatch.setattr(capture, "get", lambda _, key: 480.0 if key == cv2.CAP_PROP_FRAME_HEIGHT else 0.0)
    with open_camera(CameraConfig(source="gst:nvarguscamerasrc ! appsink")) as camera:
        assert camera.read(1.0).luma.shape == (480, 640)


def test_an_address_is_opened_with_timeouts(capture: type[FakeCapture]) -> None:
    with open_camera(CameraConfig(source=SECRET_URL, timeout_s=3)):
        pass
    url, backend, settings = capture.made[0].args
    assert (url, backend) == (SECRET_URL, cv2.CAP_FFMPEG)
    assert settings[settings.index(cv2.CAP_PROP_READ_TIMEOUT_MSEC) + 1] == 3000


def assert_shows_no_secret(message: str) -> None:
    assert "rtsp://192.0.2.1:554/cabin" in message
    assert not [secret for secret in ("driver", "p%40ss", "w:rd", "hunter2") if secret in message]


def test_a_stream_that_cannot_be_opened_shows_no_password(capture: type[FakeCapture]) -> None:
    capture.opens = False
    with pytest.raises(CameraError) as caught:
        open_camera(CameraConfig(source=SECRET_URL))
    assert_shows_no_secret(str(caught.value))


def test_a_stream_that_breaks_off_shows_no_password(capture: type[FakeCapture]) -> None:
    camera = open_camera(CameraConfig(source=SECRET_URL))
    capture.made[0].unplugged = True
    with pytest.raises(CameraError) as caught:
        camera.read(0.05)
    assert_shows_no_secret(str(caught.value))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("rtsp://u:p@10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("rtsp://u@10.0.0.1/a?pw=x", "rtsp://10.0.0.1/a?…"),
        ("rtsp://u:p@ss@10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("rtsp://u:p/w@10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("RTSP://u:p@10.0.0.1/a", "RTSP://10.0.0.1/a"),
        ("rtmp+tls://u:p@10.0.0.1/a", "rtmp+tls://10.0.0.1/a"),
        ("gst:rtspsrc location=rtsp://u:p@h/a user-pw=secret ! appsink", "gst:rtspsrc …"),
        ("v4l2:/dev/video0", "v4l2:/dev/video0"),
    ],
)
def test_credentials_are_taken_out_of_what_is_shown(source: str, shown: str) -> None:
    assert without_credentials(source) == shown


@pytest.mark.parametrize(
    ("source", "is_file"),
    [
        ("clip.mp4", True),
        ("/pictures", True),
        ("picamera2", False),
        ("v4l2:/dev/video0", False),
        ("rtsp://h/a", False),
        ("RTSP://h/a", False),
        ("srt://h/a", False),
    ],
)
def test_only_files_and_folders_have_an_end(source: str, is_file: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_file_source(source) is is_file
