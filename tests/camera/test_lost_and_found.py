"""Cameras that are lost and found again and again, behind the capture thread and the whole service.

The pictures come over loopback through OpenCV's own FFmpeg, from a camera that a test can cut off, stall and freeze.
A V4L2 device is played by a fake: no test can make one without the kernel's v4l2loopback.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, overload

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.webcam import Webcam
from edge.camera import open_camera
from edge.camera.newest import NewestFrame
from edge.config import CameraConfig
from edge.domain import Sight

DEADLINE_S = 60.0
TIMES = 3
FPS = 25.0
TIMEOUT_S = 0.5
FROZEN_S = 0.4


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


class Scene(Sequence[bytes]):
    """Pictures of noise; while ``still``, the first one again and again; one in ``bad_every`` is no JPEG at all."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        noise = [random.integers(0, 255, (96, 128), np.uint8) for _ in range(8)]
        self._pictures = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in noise]
        self.still = False
        self.bad_every = 0
        self._shown = 0

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        self._shown += 1
        if self.bad_every and self._shown % self.bad_every == 0:
            return b"no picture" * 50
        return self._pictures[0 if self.still else index]


class Cabin:
    """A webcam with what it looks at, and the ways to lose it."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.webcam = Webcam(self.scene, FPS)

    def cut(self) -> None:
        self.webcam.unplug()

    def stall(self) -> None:
        self.webcam.stall()

    def freeze(self) -> None:
        self.scene.still = True

    def mend(self) -> None:
        self.scene.still = False
        self.webcam.mend()


@pytest.fixture
def cabin() -> Iterator[Cabin]:
    cabin = Cabin()
    with cabin.webcam.serving():
        yield cabin


def config(source: str) -> CameraConfig:
    return CameraConfig(
        source=source, timeout_s=TIMEOUT_S, reopen_min_s=0.01, reopen_max_s=0.05, frozen_s=FROZEN_S, fps=FPS
    )


@pytest.mark.parametrize(
    ("lose", "sight", "reason"),
    [
        (Cabin.cut, Sight.NO_PICTURE, "cannot be opened; check address"),
        (Cabin.stall, Sight.NO_PICTURE, "no frame"),
        (Cabin.freeze, Sight.FROZEN, "the picture has not changed for 0.4 s"),
    ],
)
def test_a_stream_lost_and_found_three_times_says_why_and_comes_back_by_itself(
    cabin: Cabin, lose: Callable[[Cabin], None], sight: Sight, reason: str
) -> None:
    camera = config(cabin.webcam.address)
    with NewestFrame(lambda: open_camera(camera), camera) as newest:
        for _ in range(TIMES):
            eventually(lambda: newest.take(0.1) is not None)
            lose(cabin)
            eventually(lambda: _says(newest, sight, reason))
            assert newest.take(0.0) is None, "a picture from before the loss is old"
            cabin.mend()
        eventually(lambda: newest.take(0.1) is not None)


def test_a_stream_with_one_broken_frame_in_ten_is_never_blind_and_tells_how_many_were_broken(
    cabin: Cabin, caplog: pytest.LogCaptureFixture
) -> None:
    cabin.scene.bad_every = 10
    camera = config(cabin.webcam.address)
    with NewestFrame(lambda: open_camera(camera), camera) as newest:
        eventually(lambda: newest.take(0.1) is not None)
        for _ in range(30):
            assert newest.take(TIMEOUT_S) is not None
            assert newest.blindness() is None
        eventually(lambda: newest.bad_frames >= 3)
    assert caplog.text.count("unreadable frames skipped") == 1, "the first is told, the second is not"
    assert "retrying" not in caplog.text


def _says(newest: NewestFrame, sight: Sight, reason: str) -> bool:
    said = newest.blindness()
    return said is not None and said[0] is sight and reason in said[1]


class UsbPort:
    """cv2.VideoCapture on a device whose plug a test holds: a reset makes it a new device that knows no settings."""

    plugged = True
    made: ClassVar[list[UsbPort]] = []

    def __init__(self, *_: Any) -> None:
        self._opened = self.plugged
        self.settings: dict[int, float] = {}
        self.released = False
        self._random = np.random.default_rng(len(self.made))
        self.made.append(self)

    def isOpened(self) -> bool:  # noqa: N802 - cv2's name
        return self._opened

    def set(self, key: int, value: float) -> bool:
        self.settings[key] = value
        return True

    def get(self, key: int) -> float:
        return self.settings.get(key, 0.0)

    def grab(self) -> bool:
        return self.plugged

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        return True, self._random.integers(0, 255, (48, 64), np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_usb_camera_that_is_reset_three_times_comes_back_with_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    class Port(UsbPort):
        made: ClassVar[list[UsbPort]] = []

    monkeypatch.setattr(cv2, "VideoCapture", Port)
    camera = config("v4l2:/dev/video-of-no-machine")
    with NewestFrame(lambda: open_camera(camera), camera) as newest:
        for _ in range(TIMES):
            eventually(lambda: newest.take(0.1) is not None)
            Port.plugged = False
            eventually(lambda: _says(newest, Sight.NO_PICTURE, "cannot be opened: no such device"))
            Port.plugged = True
        eventually(lambda: newest.take(0.1) is not None)
    opened = [port for port in Port.made if port.isOpened()]
    assert len(opened) == TIMES + 1
    assert all(port.settings == opened[0].settings for port in opened)
    assert all(port.released for port in opened[:-1])


def test_the_service_says_blind_and_is_fed_and_back_each_time(
    cabin: Cabin, mosquitto: Any, subscribe: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "evenkeel.toml"
    file.write_text(f"""
[device]
id = "van-7"
[camera]
source = "{cabin.webcam.address}"
timeout_s = {TIMEOUT_S}
reopen_min_s = 0.01
reopen_max_s = 0.05
[mqtt]
port = {mosquitto.port}
[outbox]
path = "{tmp_path}/outbox.db"
""")
    subscriber = subscribe(mosquitto.port, "evenkeel/van-7/state")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(DEADLINE_S)
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", "from edge.cli import main; main()", "run", "--config", str(file)],
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            for _ in range(TIMES):
                subscriber.wait(lambda: _is_blind(subscriber) is False, "a state that sees", DEADLINE_S)
                cabin.cut()
                subscriber.wait(lambda: _is_blind(subscriber) is True, "blind", DEADLINE_S)
                assert b"camera http://127.0.0.1" in subscriber.messages[-1].payload
                _drain(manager)
                assert _next_message(manager) == b"WATCHDOG=1", "an honest blind feeds the watchdog"
                cabin.mend()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)
    assert process.returncode == 0


def _is_blind(subscriber: Any) -> bool | None:
    """What the newest state says; None where there is none yet."""
    return b'"state":"blind"' in subscriber.messages[-1].payload if subscriber.messages else None


def _drain(manager: socket.socket) -> None:
    manager.settimeout(0.0)
    try:
        while True:
            manager.recv(4096)
    except BlockingIOError:
        manager.settimeout(DEADLINE_S)


def _next_message(manager: socket.socket) -> bytes:
    while (message := manager.recv(4096)).startswith(b"STATUS="):
        pass
    return message
