"""What the soak's cameras show: clips at one rate and size, then an empty seat, then the dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    return Path(str(resources.files("edge") / "demo" / "clip.mp4"))


def pictures(clips: Sequence[Path], fps: float) -> Iterator[NDArray[np.uint8]]:
    """BGR pictures, ``fps`` a second of the clips' own time: some come twice, or are left out.

    Raises:
        ValueError: a clip cannot be read.
    """
    for clip in clips:
        yield from _resampled(clip, fps)
    random = np.random.default_rng(1)
    for seconds, luma in ((EMPTY_S, np.linspace(60, 140, SIZE[0])), (DARK_S, np.full(SIZE[0], 3.0))):
        for _ in range(round(seconds * fps)):
            noisy = luma + random.normal(0, NOISE, SIZE[::-1])
            yield np.repeat(noisy.clip(0, 255).astype(np.uint8)[:, :, None], 3, 2)


def record(clips: Sequence[Path], fps: float, path: Path) -> list[bytes]:
    """Write the pictures to ``path`` as a video (MPEG-4) and return them as JPEG."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, SIZE)
    stills: list[bytes] = []
    try:
        for picture in pictures(clips, fps):
            writer.write(picture)
            stills.append(cv2.imencode(".jpg", picture)[1].tobytes())
    finally:
        writer.release()
    return stills


def _resampled(clip: Path, fps: float) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(clip))
    clip_fps = capture.get(cv2.CAP_PROP_FPS)
    if not capture.isOpened() or not clip_fps > 0:
        raise ValueError(f"{clip}: not a video that OpenCV can read")
    shown = 0
    read = 0
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
