"""Where faces are missed: by the brightness of the skin, at an eighth of the light, and in clips that were hard."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig
from models.training.face_data import Picture, face_sizes
from models.training.fairness import Grouping

Luma = NDArray[np.uint8]
Points = NDArray[np.float32]
Find = Callable[[Luma], Points | None]

DIM = 8  # the dim portraits have so little of the light
SKIN_BOUNDS = (80, 110, 140, 170)  # grey levels
SKIN_REACH = 0.16  # of the face's size around the nose; half as far down, so that neither eyes nor mouth are in it
CLIPS = {"night": "clips/hard/driver_night_film.mp4", "side": "clips/hard/side_on_laughing.mp4"}
YUNET_LEAST = 0.6  # what YuNet is as sure of as this is a face


def skin_luma(picture: Picture) -> float:
    """Mean grey level of the skin between eyes and mouth of a picture's first face."""
    x, y = picture.points[0, 2]
    across = SKIN_REACH * float(face_sizes(picture)[0])
    rows = slice(max(0, int(y - across / 2)), max(1, math.ceil(y + across / 2)))
    columns = slice(max(0, int(x - across)), max(1, math.ceil(x + across)))
    return float(picture.luma[rows, columns].mean())


def by_skin(pictures: list[Picture]) -> Grouping:
    """Pictures grouped by the grey level of the skin."""
    bounds = [str(bound) for bound in SKIN_BOUNDS]
    between = [f"{low} to {high}" for low, high in pairwise(bounds)]
    names = (f"below {bounds[0]}", *between, f"above {bounds[-1]}")
    which = np.searchsorted(SKIN_BOUNDS, [skin_luma(picture) for picture in pictures], side="right")
    return Grouping(np.array(names)[which], names)


def dimmed(picture: Picture) -> Picture:
    """The picture at a share of its light, as a short exposure without gain has it."""
    return replace(picture, luma=(picture.luma // DIM).astype(np.uint8))


@dataclass(frozen=True)
class Clip:
    """Frames (H, W) with the middles (N, 2) and sizes (N,) of the faces that YuNet sees in each."""

    frames: list[Luma]
    middles: list[NDArray[np.float32]]
    sizes: list[NDArray[np.float32]]


def read_clips(root: Path, detector: Path) -> dict[str, Clip]:
    """The hard clips that are there, by their short names."""
    there = {name: root / file for name, file in CLIPS.items() if (root / file).exists()}
    return {name: _read_clip(path, detector) for name, path in there.items()}


def _read_clip(path: Path, detector: Path) -> Clip:
    frames: list[Luma] = []
    with open_camera(CameraConfig(source=str(path)), realtime=False) as camera, suppress(EndOfStream):
        while True:
            frames.append(camera.read(1.0).luma)
    yunet = cv2.FaceDetectorYN.create(str(detector), "", frames[0].shape[::-1], YUNET_LEAST)
    middles, sizes = [], []
    for luma in track(frames, f"YuNet, {path.stem}", transient=True):
        _, found = yunet.detect(cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR))
        faces = np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)
        middles.append(faces[:, 4:14].reshape(-1, 5, 2).mean(1))
        sizes.append(np.sqrt(faces[:, 2] * faces[:, 3]))
    return Clip(frames, middles, sizes)


def clip_figures(find: Find, clips: dict[str, Clip]) -> dict[str, float]:
    """Of the frames in which YuNet sees a face: how many, in which one is found at all, and the same one as YuNet's."""
    figures: dict[str, float] = {}
    for name, clip in clips.items():
        shown = [number for number, sizes in enumerate(clip.sizes) if len(sizes)]
        found = [(number, find(clip.frames[number])) for number in track(shown, name, transient=True)]
        same = [points is not None and _is_one_of(points, clip, number) for number, points in found]
        figures[f"{name}_n"] = len(shown)
        figures[f"{name}_found"] = float(np.mean([points is not None for _, points in found]))
        figures[f"{name}_same"] = float(np.mean(same))
    return figures


def _is_one_of(points: Points, clip: Clip, number: int) -> bool:
    """Whether points (N, 2), of which the first three are the eyes and the nose, are of a face that YuNet sees."""
    away = np.linalg.norm(clip.middles[number] - points.mean(0), axis=1)
    return bool((away < 0.5 * clip.sizes[number]).any())
