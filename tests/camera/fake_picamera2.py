"""A picamera2 without a camera, made after its manual and its source (picamera2.py, request.py and job.py of 0.3.x).

It keeps what a driver can trip over: widths made even, rows padded to the processor's stride, a job that is answered by
the next exposure or never, requests that must go back or the sensor runs dry, one owner at a time, a constructor that
leaves a pipe open when it fails, and ``stop`` that waits behind a capture.
"""

from __future__ import annotations

import os
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

STREAM_KEYS = ("format", "size", "stride", "preserve_ar")


class Sensor:
    """The hardware: what a test plugs in, pulls out, covers or hands to another program.

    ``row_alignment`` is the image processor's: 64 bytes up to the Pi 4, 128 on the Pi 5.
    """

    def __init__(self) -> None:
        self.attached = True
        self.exposing = True
        self.still = False
        self.kind = "pi"  # or "usb": other formats, and no control over the rate
        self.row_alignment = 64
        self.out_of_memory = False
        self.lets_go = True
        self.busy = False  # another program has it
        self.owner: FakePicamera2 | None = None
        self.capture_fault: Exception | None = None
        self.metadata: dict[str, Any] = {}
        self.opened: list[FakePicamera2] = []
        self._exposures = 0

    def expose(self, width: int, height: int) -> NDArray[np.uint8]:
        """The next picture, (height, width); the same to the bit as the one before where the sensor stands still."""
        self._exposures += not self.still
        return np.random.default_rng(self._exposures).integers(0, 255, (height, width), np.uint8)


class Job:
    """What a capture without waiting returns (job.py)."""

    def __init__(self) -> None:
        self.future: Future[Request] = Future()

    def get_result(self, timeout: float | None = None) -> Request:
        assert timeout is not None, "without a timeout a dead camera blocks for ever"
        return self.future.result(timeout)


class Request:
    """A completed request: buffers on loan from the camera until ``release`` (request.py)."""

    def __init__(self, camera: FakePicamera2) -> None:
        self.camera = camera
        self.config: dict[str, Any] | None = camera.camera_configuration()
        width, height = camera.camera_configuration()["main"]["size"]
        self.luma = camera.sensor.expose(width, height)

    def make_buffer(self, name: str) -> NDArray[np.uint8]:
        """A copy of the stream's bytes as one row: Y, then U and V; rows are padded, and the padding is rubbish."""
        assert self.config is not None, "the request was given back"
        if self.config.get(name) is None:
            raise RuntimeError(f"Stream {name!r} is not defined")
        (width, height), stride = self.config[name]["size"], self.config[name]["stride"]
        y = np.full((height, stride), 255, np.uint8)
        y[:, :width] = self.luma[:height, :width]
        return np.concatenate([y.ravel(), np.full(self.config[name]["framesize"] - y.size, 128, np.uint8)])

    def make_array(self, name: str) -> NDArray[np.uint8]:
        """The stream as picamera2 shapes YUV420: half as high again, and as wide as the stride."""
        assert self.config is not None, "the request was given back"
        (_, height), stride = self.config[name]["size"], self.config[name]["stride"]
        return self.make_buffer(name).reshape(height * 3 // 2, stride)

    def get_metadata(self) -> dict[str, Any]:
        assert self.config is not None, "the request was given back"
        return dict(self.camera.sensor.metadata)

    def release(self) -> None:
        if self.config is None:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.config = None
        self.camera.lent -= 1


class FakePicamera2:
    """``picamera2.Picamera2`` as far as it is used. A subclass names its ``sensor``."""

    sensor: Sensor

    def __init__(self, camera_num: int = 0) -> None:
        reading, self.notifyme_w = os.pipe2(os.O_NONBLOCK)
        self.notifymeread = os.fdopen(reading, "rb")
        self.is_open = self.started = False
        _ = [self.sensor][: int(self.sensor.attached)][camera_num]  # IndexError, as from global_camera_info()
        if self.sensor.busy or self.sensor.owner is not None:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.sensor.owner = self
        self.is_open = True
        self.lent = 0
        self._jobs: list[Job] = []
        self._config: dict[str, Any] | None = None
        self.sensor.opened.append(self)

    @property
    def camera_controls(self) -> dict[str, tuple[int, int, int]]:
        return {"FrameDurationLimits": (11_000, 10_000_000, 33_333)} if self.sensor.kind == "pi" else {}

    def create_video_configuration(
        self,
        main: dict[str, Any],
        lores: dict[str, Any] | None = None,
        *,
        buffer_count: int = 6,
        queue: bool = True,
        display: str | None = "main",
        encode: str | None = "main",
        controls: dict[str, Any],
    ) -> dict[str, Any]:
        streams = {"main": _stream(main), "lores": None if lores is None else _stream(lores)}
        for shown in (display, encode):
            if shown is not None and streams.get(shown) is None:
                raise RuntimeError(f"Display stream {shown} was not defined")
        return streams | {"buffer_count": buffer_count, "queue": queue, "controls": controls}

    def configure(self, config: dict[str, Any]) -> None:
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        for name in set(config["controls"]) - set(self.camera_controls):
            raise RuntimeError(f"Control {name} is not advertised by libcamera")
        if self.sensor.out_of_memory:
            raise OSError(12, "Cannot allocate memory")
        self._config = config | {
            name: self._laid_out(config[name]) for name in ("main", "lores") if config[name] is not None
        }

    def camera_configuration(self) -> dict[str, Any]:
        assert self._config is not None
        return self._config

    def start(self) -> None:
        if self._config is None:
            raise RuntimeError("Camera has not been configured")
        self.started = True

    def capture_request(self, wait: bool | None = None) -> Job:  # noqa: FBT001 - picamera2's signature
        assert wait is False, "anything else waits for a dead camera for ever"
        job = Job()
        self._jobs.append(job)
        if self.sensor.capture_fault is not None:
            self._jobs.remove(job)
            job.future.set_exception(self.sensor.capture_fault)
        elif self._delivers():
            self._jobs.remove(job)
            self.lent += 1
            job.future.set_result(Request(self))
        return job

    def cancel_all_and_flush(self) -> None:
        for job in self._jobs:
            job.future.set_exception(CancelledError())
        self._jobs.clear()

    def stop(self) -> None:
        assert not self._jobs, "queues behind a waiting capture, and would hang"
        self.started = False

    def close(self) -> None:
        if not self.is_open:
            return
        self.stop()
        if not self.sensor.lets_go:
            raise RuntimeError("Failed to release camera: Device or resource busy")
        self.sensor.owner = None
        self.is_open = False
        self.notifymeread.close()
        os.close(self.notifyme_w)

    def _delivers(self) -> bool:
        assert self._config is not None
        return (
            self.started
            and self.sensor.attached
            and self.sensor.exposing
            and self.lent < int(self._config["buffer_count"])
        )

    def _laid_out(self, stream: dict[str, Any]) -> dict[str, Any]:
        width, height = stream["size"]
        stride = -(-width // self.sensor.row_alignment) * self.sensor.row_alignment
        format_ = stream["format"] if self.sensor.kind == "pi" else "YUYV"
        return stream | {"format": format_, "stride": stride, "framesize": stride * height * 3 // 2}


def _stream(wanted: dict[str, Any]) -> dict[str, Any]:
    for key in wanted:
        if key not in STREAM_KEYS:
            raise ValueError(f"Bad key {key!r}: valid stream configuration keys are {STREAM_KEYS}")
    width, height = wanted["size"]
    return wanted | {"size": (width - width % 2, height - height % 2)}
