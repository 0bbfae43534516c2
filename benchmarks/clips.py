"""What the soak's cameras show: clips at one rate and size, then an empty seat, then the dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (640, 480)
EMPTY_S, DARK_S = 12.0, 6.0
NOISE = 2.0  # standard deviation in luma steps: a picture that never changes would be a frozen camera


def bundled_clip() -> Path:
    """The demo's clip."""
    return Path(str(resources.files("edge") / "tools" / "demo" / "clip.mp4"))


def drive(clips: Sequence[Path], fps: float) -> Iterator[NDArray[np.uint8]]:
    """The clips, the empty seat, the dark.

    Raises:
        ValueError: a clip cannot be read.
    """
    for clip in clips:
        yield from _resampled(clip, fps)
    yield from empty_seat(fps)
    yield from _noisy(np.full(SIZE[0], 3.0), DARK_S, fps)


def empty_seat(fps: float) -> Iterator[NDArray[np.uint8]]:
    """A picture without anything in it."""
    yield from _noisy(np.linspace(60, 140, SIZE[0]), EMPTY_S, fps)


def record(pictures: Iterable[NDArray[np.uint8]], fps: float, path: Path) -> list[bytes]:
    """Write BGR pictures to ``path`` as a video (MPEG-4) and return them as JPEG."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, SIZE)
    stills: list[bytes] = []
    try:
        for picture in pictures:
            writer.write(picture)
            stills.append(cv2.imencode(".jpg", picture)[1].tobytes())
    finally:
        writer.release()
    return stills


def _noisy(row: NDArray[np.float64], seconds: float, fps: float) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(1)
    for _ in range(round(seconds * fps)):
        luma = row + random.normal(0, NOISE, SIZE[::-1])
        yield np.repeat(luma.clip(0, 255).astype(np.uint8)[:, :, None], 3, 2)


def _resampled(clip: Path, fps: float) -> Iterator[NDArray[np.uint8]]:
    """``fps`` pictures a second of the clip's own time: some come twice, or are left out."""
    capture = cv2.VideoCapture(str(clip))
    clip_fps = capture.get(cv2.CAP_PROP_FPS)
    if not capture.isOpened() or not clip_fps > 0:
        raise ValueError(f"{clip}: not a video that OpenCV can read")
    shown = read = 0
    while True:
        ok, picture = capture.read()
        if not ok:
            break
        read += 1
        scaled = np.asarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        while shown < read * fps / clip_fps:
            shown += 1
            yield scaled
    capture.release()
