"""Faces for the expression model: crowd-voted web faces, and yawning and calm drivers."""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from edge.vision.crop import CropRule, cut_crop
from models.training import augment

SIDE = 48
CROWD_PX = 48  # side of FER2013's faces
CLASSES = len(EXPRESSIONS)
YAWN = EXPRESSIONS.index("yawn")
CALM = [EXPRESSIONS.index(name) for name in ("neutral", "happiness", "surprise", "contempt")]

# How FER2013 frames a face: medians over the validation split of the points that YuNet finds on its tiles.
CROP_RULE = CropRule(size_px=SIDE, centre_x=0.50, centre_y=0.575, unit=0.376)
MOUTH_Y = 0.76  # of the crop's height, in the middle of a typical face
HANDS = 0.06  # of crops that get a hand at the mouth or the chin
YAWN_HANDS = 0.35  # the same of yawns, which are often hidden so
# Driver crops are stored this much wider than the model sees, so that shifts and turns do not run out of picture.
MARGIN = 1.5
# The web faces' tiles show a face 0.332 of their side large by the rule's measure: at nine eighths of the crop's side
# it is as large as the rule wants.
WEB_TILE_PX = 64
WEB_SIDE = SIDE * 54 // 48
WEB_TRUST = 0.5


NOSE_Y = 0.576
"""How far below the eyes the tip of an average nose is taken to be, in units of the crop's rule."""


def typical_points(rule: CropRule) -> NDArray[np.float32]:
    """The five points (5, 2) of a face that fills a crop as its rule wants, in shares of the crop's side."""
    half = rule.unit / 2
    x, eyes, mouth = rule.centre_x, rule.centre_y - half, rule.centre_y + half
    nose = x, eyes + NOSE_Y * rule.unit
    corner = 0.7 * half
    return np.array([(x - half, eyes), (x + half, eyes), nose, (x - corner, mouth), (x + corner, mouth)], np.float32)


@dataclass(frozen=True)
class Faces:
    """``crops`` (N, S, S) uint8; ``target`` (N, 9), a distribution or, where ``is_set``, a mark on allowed classes."""

    crops: NDArray[np.uint8]
    target: NDArray[np.float32]
    is_set: NDArray[np.bool_]
    trust: NDArray[np.float32]


@dataclass(frozen=True)
class Drivers:
    """Driver frames: wide crops (N, S, S) uint8, yawn (N,) bool, driver group (N,)."""

    crops: NDArray[np.uint8]
    yawn: NDArray[np.bool_]
    group: NDArray[np.str_]


def read_tiles(path: Path, count: int, side: int) -> NDArray[np.uint8]:
    """Cut a mosaic of square tiles, row by row, into (count, side, side)."""
    mosaic = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mosaic is None:
        raise SystemExit(f"{path}: cannot be read; see models/training/README.md for the data layout")
    rows, columns = mosaic.shape[0] // side, mosaic.shape[1] // side
    return mosaic.reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(-1, side, side)[:count]


def resized(crops: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Crops (N, S, S) as (N, side, side)."""
    if crops.shape[1] == side:
        return crops
    way = cv2.INTER_AREA if side < crops.shape[1] else cv2.INTER_CUBIC
    parts = [cv2.resize(crop, (side, side), interpolation=way) for crop in crops]
    return np.array(parts, np.uint8).reshape(-1, side, side)


def read_votes(data: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crops (N, SIDE, SIDE) and crowd votes (N, 10) of one split."""
    votes = np.load(data / "expressions/votes.npz")[split].astype(np.float32)
    return resized(read_tiles(data / f"expressions/{split}.png", len(votes), CROWD_PX), SIDE), votes


def crowd_faces(data: Path, split: str) -> Faces:
    """All faces of a split with soft targets: the crowd's votes for the eight expressions; the rest lowers the trust.

    A face that the crowd knows no expression for has trust 0.
    """
    crops, votes = read_votes(data, split)
    expressions = votes[:, :8]
    total = votes.sum(1)
    known = (expressions.sum(1) >= 0.4 * total) & (votes.argmax(1) < 8)
    target = np.zeros((len(expressions), CLASSES), np.float32)
    target[:, :8] = expressions / np.maximum(expressions.sum(1, keepdims=True), 1)
    trust = np.where(known, expressions.sum(1) / np.maximum(total, 1), 0)
    return Faces(crops, target, np.zeros(len(target), bool), trust.astype(np.float32))


def web_faces(data: Path) -> Faces:
    """Web faces with one annotator's noisy label, scaled so that their typical face fills the crop as the rule says."""
    labels = np.load(data / "expressions/web_labels.npz")["label"]
    tiles = read_tiles(data / "expressions/web.jpg", len(labels), WEB_TILE_PX)
    crops = np.stack([cv2.resize(tile, (WEB_SIDE, WEB_SIDE), interpolation=cv2.INTER_AREA) for tile in tiles])
    target = np.eye(CLASSES, dtype=np.float32)[labels]
    return Faces(crops, target, np.zeros(len(labels), bool), np.full(len(labels), WEB_TRUST, np.float32))


def taught(faces: Faces, answers: NDArray[np.float32], share: float) -> Faces:
    """The same faces with a teacher's ``answers`` (N, 9) blended in by ``share`` (Hinton et al. 2015)."""
    return replace(faces, target=np.asarray((1 - share) * faces.target + share * answers, np.float32))


def read_drivers(data: Path) -> Drivers:
    """All driver frames, cut wide around the labelled points."""
    with (data / "cabin/frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wide = CropRule(
        round(SIDE * MARGIN),
        0.5 + (CROP_RULE.centre_x - 0.5) / MARGIN,
        0.5 + (CROP_RULE.centre_y - 0.5) / MARGIN,
        CROP_RULE.unit / MARGIN,
    )
    crops = []
    for row in rows:
        frame = np.asarray(cv2.imread(str(data / row["file"]), cv2.IMREAD_GRAYSCALE), np.uint8)
        crops.append(cut_crop(frame, row_points(row), wide))
    yawn = np.array([row["yawn"] == "1" for row in rows])
    return Drivers(np.stack(crops), yawn, np.array([row["driver_group"] for row in rows]))


def row_points(row: dict[str, str]) -> NDArray[np.float32]:
    """The five points (5, 2) of a labels row."""
    names = ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")
    return np.array([[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in names], np.float32)


def held_out(group: NDArray[np.str_]) -> NDArray[np.bool_]:
    """True for one driver group in five, chosen by a checksum of its name: the same in every run."""
    return np.array([zlib.crc32(f"driver {name}".encode()) % 5 == 0 for name in group])


def driver_faces(drivers: Drivers) -> Faces:
    """Yawns as a class of their own; a driver who does not yawn is anything calm, not necessarily neutral."""
    target = np.zeros((len(drivers.crops), CLASSES), np.float32)
    target[drivers.yawn, YAWN] = 1.0
    target[np.ix_(~drivers.yawn, CALM)] = 1.0
    return Faces(drivers.crops, target, ~drivers.yawn, np.ones(len(target), np.float32))


def narrow(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The model's view of wide crops: the middle, without augmentation."""
    edge = (crops.shape[1] - SIDE) // 2
    return np.ascontiguousarray(crops[:, edge : edge + SIDE, edge : edge + SIDE])


class TrainingFaces:
    """Augmented crops (1, SIDE, SIDE), 0 to 1, with target, is_set, trust and number of their ``Faces``, for a loader.

    ``data[epoch, index]`` is the same however often and wherever it is asked for.
    """

    def __init__(self, parts: list[Faces], seed: int, cabin_share: float, detail_share: float = 0.0) -> None:
        self.parts = parts
        self.seed = seed
        self.cabin_share = cabin_share
        self.detail_share = detail_share
        self.starts = np.cumsum([0, *(len(part.crops) for part in parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(
        self, key: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], np.bool_, np.float32, int]:
        epoch, index = key
        part_number = int(np.searchsorted(self.starts, index, side="right")) - 1
        part, row = self.parts[part_number], index - self.starts[part_number]
        rng = np.random.default_rng([self.seed, epoch, index])
        hand_share = YAWN_HANDS if part.target[row, YAWN] > 0.5 else HANDS
        crop = distort(rng, part.crops[row], self.cabin_share, hand_share, self.detail_share)
        return crop.astype(np.float32)[None] / 255, part.target[row], part.is_set[row], part.trust[row], part_number


def distort(
    rng: Generator, crop: NDArray[np.uint8], cabin_share: float, hand_share: float, detail_share: float = 0.0
) -> NDArray[np.uint8]:
    """Flip, turn, scale, shift as imperfect points do, hide parts: (SIDE, SIDE).

    ``cabin_share`` of the crops get a cabin's light and sensor; the others keep those they were taken with.
    ``hand_share`` of them get a hand at the mouth or the chin, ``detail_share`` become softer or crisper.
    """
    side = crop.shape[0]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    # Most crops are turned little; one in five up to 25 degrees, as a head leans or a camera hangs askew.
    angle = rng.uniform(-25, 25) if rng.random() < 0.2 else rng.normal(0, 6)
    scale = float(np.exp(rng.normal(0, 0.08)))
    shift = rng.normal(0, 0.03, 2) * SIDE
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, scale)
    matrix[0, 2] += shift[0] + (SIDE - side) / 2
    matrix[1, 2] += shift[1] + (SIDE - side) / 2
    aspect = float(np.exp(rng.normal(0, 0.05)))
    matrix[0] *= aspect
    matrix[0, 2] += (1 - aspect) * SIDE / 2
    crop = cv2.warpAffine(crop, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if detail_share and rng.random() < detail_share:
        crop = augment.detail(rng, crop)
    if rng.random() < 0.06:
        eyes = np.array([[0.5 - CROP_RULE.unit / 2, 0.39], [0.5 + CROP_RULE.unit / 2, 0.39]]) * SIDE
        crop = augment.glasses(rng, crop, eyes + rng.normal(0, 1.0, (2, 2)))
    if rng.random() < hand_share:
        crop = augment.hand(rng, crop, np.array([CROP_RULE.centre_x, MOUTH_Y]) * SIDE, CROP_RULE.unit * SIDE)
    hidden = rng.random()
    if hidden < 0.04:
        crop = augment.band(rng, crop, rng.uniform(0.5, 0.64), 2.0)
    elif hidden < 0.07:
        crop = augment.band(rng, crop, -1.0, rng.uniform(0.16, 0.36))
    return augment.cabin(rng, crop) if rng.random() < cabin_share else crop
