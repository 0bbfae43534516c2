"""Faces that belong to nobody: each the mean of many people who show one expression.

Faces are aligned by their eyes, near copies of one photograph are left out, and the members are those around a mode of
the set, so that open and closed mouths do not blur into each other. Then the members are registered to each other by
optical flow: the mean of the warped faces, moved back to the members' mean shape, is sharp although none of them shows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.crop import CropRule, cut_crop
from models.training import cue_measures
from models.training.expression_data import read_votes, row_points
from models.training.eye_data import read_labels

SIDE = 256
FACE_RULE = CropRule(size_px=SIDE, centre_x=0.5, centre_y=0.53, unit=0.30)
HEAD_SIDE = 404
HEAD_RULE = CropRule(size_px=HEAD_SIDE, centre_x=0.5, centre_y=0.46, unit=0.19)
# Mouth below eyes in eye distances, on a face at rest: the medians of FER's tiles.
MOUTH_BELOW_EYES = 1.045
MAX_TURN = 0.12  # nose off the eyes' midline, in eye distances
LIPS = cue_measures.MEASURES.index("lips")
NEAR_COPY = 0.9  # correlation from which two faces are taken for one photograph

Picture = NDArray[np.float32]
Points = NDArray[np.float32]


def turn(points: Points) -> float:
    """How far the nose lies off the eyes' midline, in eye distances: 0 seen from the front."""
    across = points[1] - points[0]
    return abs(float((points[2] - (points[0] + points[1]) / 2) @ across)) / float(across @ across)


def align(luma: NDArray[np.uint8], points: Points, rule: CropRule) -> Picture:
    """Cut the face by its eyes alone: an open mouth then moves down instead of shrinking the face."""
    across = points[1] - points[0]
    down = np.array([-across[1], across[0]], np.float32) * MOUTH_BELOW_EYES
    at_rest = np.vstack([points[:3], points[:2] + down])
    return cut_crop(luma, at_rest, rule).astype(np.float32)


@dataclass(frozen=True)
class Voted:
    """A look of crowd-voted tiles: the expression, its least share of the votes, and whether the lips must meet."""

    expression: str
    share: float
    lips_meet: bool = False


def tile_faces(data: Path, detector: Path, wanted: Voted, limit: int = 1500) -> Picture:
    """Aligned frontal tiles (N, SIDE, SIDE) that the crowd voted as ``wanted``.

    YuNet (``detector``, ONNX) finds the eyes: the tiles have no labelled points.
    """
    tiles, votes = read_votes(data, "train")
    column = [str(name) for name in np.load(data / "expressions/votes.npz")["names"]].index(wanted.expression)
    agreed = votes[:, column] >= wanted.share * votes.sum(1)
    if wanted.lips_meet:
        lips = cue_measures.read(cue_measures.FILE, {"ferplus": len(votes)}).by_source["ferplus"][:, LIPS]
        agreed &= lips < cue_measures.LIPS_MEET[0]
    chosen = np.flatnonzero(agreed)[:limit]
    zoom, margin = 2, 32  # YuNet sees small tiles better when they are enlarged, in a grey surround
    side = zoom * tiles.shape[1] + 2 * margin
    finder = cv2.FaceDetectorYN.create(str(detector), "", (side, side), 0.5)
    faces = []
    for tile in tiles[chosen]:
        large = np.asarray(cv2.resize(tile, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), np.uint8)
        canvas = cv2.copyMakeBorder(large, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=128)
        _, found = finder.detect(cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR))
        if found is None:
            continue
        points = found[0, 4:14].reshape(5, 2).astype(np.float32) - margin
        if turn(points) < MAX_TURN:
            faces.append(align(large, points, FACE_RULE))
    return np.stack(faces)


def yawning_drivers(data: Path, per_driver: int = 4, max_turn: float = 0.18) -> Picture:
    """Aligned yawns (N, SIDE, SIDE), the ``per_driver`` widest of each driver, so that no driver stands out."""
    rows = [row for row in _rows(data / "cabin/frames.csv") if row["yawn"] == "1"]
    rows = [row for row in rows if turn(row_points(row)) < max_turn]
    taken: dict[str, int] = {}
    faces = []
    for row in sorted(rows, key=lambda row: -_mouth_drop(row_points(row))):
        taken[row["driver_group"]] = taken.get(row["driver_group"], 0) + 1
        if taken[row["driver_group"]] <= per_driver:
            faces.append(align(_read(data / row["file"]), row_points(row), FACE_RULE))
    return np.stack(faces)


def sleeping_portraits(data: Path, max_turn: float = 0.18) -> Picture:
    """Aligned portraits (N, SIDE, SIDE) whose eyes are both closed, as was told by eye."""
    told = read_labels()
    rows = [row for row in _rows(data / "faces/faces.csv") if told.get(row["file"]) == ("closed", "closed")]
    rows = [row for row in rows if row["auto"] == "0" and turn(row_points(row)) < max_turn]
    return np.stack([align(_read(data / row["file"]), row_points(row), FACE_RULE) for row in rows])


def portrait_heads(data: Path) -> Picture:
    """Whole frontal heads (N, HEAD_SIDE, HEAD_SIDE) of the portraits that reach from crown to shoulders."""
    heads = []
    for row in _rows(data / "faces/faces.csv"):
        if row["source"] != "cuhk" or row["auto"] != "0" or row["split"] != "train":
            continue
        points = row_points(row)
        if turn(points) > MAX_TURN:
            continue
        picture = _read(data / row["file"])
        # what lies outside the picture is told by a padded mask: the cut itself repeats the edge
        pad = max(picture.shape)
        inside = np.pad(np.full(picture.shape, 255, np.uint8), pad)
        top, bottom, left, right = (round(share * HEAD_SIDE) for share in (0.07, 0.82, 0.2, 0.8))
        if align(inside, points + pad, HEAD_RULE)[top:bottom, left:right].min() == 255:
            heads.append(align(picture, points, HEAD_RULE))
    return np.stack(heads)


def level(picture: Picture, mean: float = 128.0, spread: float = 48.0) -> Picture:
    """Bring mean and spread of luma in the face to common values, so that none counts more by its contrast."""
    inner = picture[face_oval(picture.shape[0]) > 0.5]
    return np.clip((picture - inner.mean()) / max(float(inner.std()), 1.0) * spread + mean, 0, 255).astype(np.float32)


def face_oval(side: int, width: float = 0.29, height: float = 0.37, centre_y: float = 0.53) -> Picture:
    """1 inside the face of an aligned picture, 0 outside, with a soft rim."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    radius = np.sqrt(((x - 0.5) / width) ** 2 + ((y - centre_y) / height) ** 2)
    return np.clip((1.08 - radius) / 0.16, 0, 1).astype(np.float32)


def lower_face(side: int) -> Picture:
    """The part of ``face_oval`` below the eyes, with a soft upper edge."""
    y = np.arange(side, dtype=np.float32)[:, None] / side
    return face_oval(side) * np.clip((y - 0.46) / 0.08, 0, 1)


def mode_members(faces: Picture, region: Picture, count: int) -> NDArray[np.intp]:
    """Rows of at most ``count`` faces around the mode that mean shift reaches from the overall mean; no near copies."""
    features = _features(faces, region)
    centre = features.mean(0)
    members = np.array([], np.intp)
    for _ in range(20):
        nearest = _distinct(features, np.argsort(-(features @ centre)), count)
        if np.array_equal(nearest, members):
            break
        members = nearest
        centre = features[members].mean(0)
    return members


def registered_mean(faces: Picture, rounds: int = 3) -> Picture:
    """The sharp mean of aligned ``faces`` and their mirror images."""
    faces = np.concatenate([faces, faces[:, :, ::-1]])
    mean = faces.mean(0)
    for number in range(rounds):
        flows = [flow_between(mean, face, smooth=8.0 - number) for face in faces]
        warped = np.mean([warp(face, flow) for face, flow in zip(faces, flows, strict=True)], axis=0)
        mean = warp(warped.astype(np.float32), -np.mean(flows, axis=0))
    return np.asarray((mean + mean[:, ::-1]) / 2, np.float32)


def flow_between(target: Picture, source: Picture, smooth: float) -> Picture:
    """Where in ``source`` each pixel of ``target`` is found: (S, S, 2) offsets in pixels, smoothed."""
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    first, second = (cv2.GaussianBlur(p, (0, 0), 1.5).clip(0, 255).astype(np.uint8) for p in (target, source))
    flow = engine.calc(first, second, None)  # type: ignore[call-overload]
    return np.asarray(cv2.GaussianBlur(flow, (0, 0), smooth), np.float32)


def warp(picture: Picture, flow: NDArray[np.floating]) -> Picture:
    """Fetch each pixel from its place plus ``flow`` (H, W, 2)."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    at_x, at_y = (x + flow[..., 0]).astype(np.float32), (y + flow[..., 1]).astype(np.float32)
    return np.asarray(cv2.remap(picture, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _features(faces: Picture, region: Picture) -> Picture:
    """Unit vectors that compare faces by their features, not by lighting: a band-pass within ``region``."""
    vectors = []
    for face in faces:
        band = cv2.GaussianBlur(face, (0, 0), 4) - cv2.GaussianBlur(face, (0, 0), 28)
        vectors.append(cv2.resize(band * region, (40, 40), interpolation=cv2.INTER_AREA).ravel())
    stacked = np.stack(vectors)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)


def _distinct(features: Picture, order: Iterable[np.intp], count: int) -> NDArray[np.intp]:
    """The first ``count`` rows of ``order`` that are no near copies of each other."""
    kept: list[np.intp] = []
    for row in order:
        if not kept or float((features[kept] @ features[row]).max()) < NEAR_COPY:
            kept.append(row)
        if len(kept) == count:
            break
    return np.sort(np.array(kept))


def _mouth_drop(points: Points) -> float:
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    return float(np.hypot(*(mouth - eyes)) / np.hypot(*(points[1] - points[0])))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SystemExit(f"{path}: cannot be read; see models/training/README.md for the data layout")
    return np.asarray(picture, np.uint8)
