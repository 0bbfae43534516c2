"""Clips and clocks for the camera tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

MakeClip = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Write a clip whose every frame has its own grey level: 10, 20, 30, …"""

    def make(frames: int = 5, fps: float = 10.0, name: str = "clip.avi") -> Path:
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
        for i in range(frames):
            writer.write(np.full((48, 64, 3), 10 * (i + 1), np.uint8))
        writer.release()
        return path

    return make


class FakeClock:
    """A clock that stands still until it is slept on."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
