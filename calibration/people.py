"""Simulated drivers: faces that look alike, and every picture of them that a drive needs.

A source has one picture of each person, so a driver is made of several people's: a face at rest, the resting faces
most like it, and of each other look the faces most like it, by the correlation of small thumbnails (layout, pose,
light, hair). Between two of them a picture is a mixture, as in a cross-fade of aligned faces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.faces import Crops, FaceSource, bow_head, cover_mouth, darken, lower_brows, put_on_sunglasses
from edge.config import QualityConfig
from edge.domain import Face
from edge.vision.crop import CropRule
from edge.vision.quality import assess
from models.training import near_copies
from models.training.expression_data import typical_points

Read = Callable[[Crops], NDArray[np.float32]]
FULL = 4
"""A mixture has so many steps from one face to the other."""
VIEWS = 3
"""In how many slightly different views a picture is seen, from frame to frame."""
DRESSES: dict[str, Callable[[Crops], Crops]] = {
    "none": lambda crop: crop,
    "sunglasses": put_on_sunglasses,
    "head down": bow_head,
    "low brows": lower_brows,
    "hand": cover_mouth,
    "dark": darken,
}
RESTS, EMOTIONS, LIKE = 4, 4, 12
"""How many resting faces a driver has, how many of each kind, and from how many of the most alike they are drawn."""
SHOT_FIELDS = 5


@dataclass(frozen=True)
class Person:
    """Numbers of faces of a source: ``rest`` and the others by look, the most usual first."""

    rest: tuple[int, ...]
    smile: tuple[int, ...]
    surprise: tuple[int, ...]
    shown: Mapping[str, tuple[int, ...]]
    yawn: tuple[int, ...]


def cast(source: FaceSource, count: int, seed: int) -> list[Person]:
    """``count`` drivers of a source, no two with the same first face; the same for the same ``seed``.

    Raises:
        ValueError: the source has too few resting faces.
    """
    random = np.random.default_rng(seed)
    thumbs = near_copies.thumbnails(source.crops)
    rests = source.of("rest")
    if len(rests) < count:
        raise ValueError(f"{source.name} has {len(rests)} resting faces for {count} drivers")
    drivers = np.unique(source.driver[source.of("yawn")])

    def like(first: int, look: str, number: int) -> tuple[int, ...]:
        pool = source.of(look)
        alike = thumbs[pool] @ thumbs[first]
        pool, alike = pool[alike <= near_copies.ALIKE], alike[alike <= near_copies.ALIKE]
        nearest = pool[np.argsort(-alike, kind="stable")[:LIKE]]
        return tuple(random.permutation(nearest)[:number].tolist())

    people = []
    for first in random.permutation(rests)[:count].tolist():
        shown = {kind: like(first, kind, EMOTIONS) for kind in ("anger", "distress")}
        rest = (first, *like(first, "rest", RESTS - 1))
        seat = random.choice(drivers)
        yawns = tuple(np.intersect1d(source.of("yawn"), np.flatnonzero(source.driver == seat)).tolist())
        people.append(Person(rest, like(first, "smile", 2), like(first, "surprise", 2), shown, yawns))
    return people


def shot(first: int, second: int, step: int, dress: str, view: int) -> tuple[int, int, int, int, int]:
    """The row of a picture: ``step`` of FULL from one face to another, what is put over it, and the view."""
    if step == 0:
        second = first
    elif step == FULL:
        first, step = second, 0
    return first, second, step, list(DRESSES).index(dress), view


def draw(source: FaceSource, shots: NDArray[np.int64]) -> Crops:
    """The pictures (P, S, S) of ``shots`` (P, 5), each as its row says and so in every run."""
    return np.array([_draw(source.crops, row) for row in shots.tolist()], np.uint8)


def _draw(crops: Crops, row: list[int]) -> Crops:
    first, second, step, dress, _ = row
    crop = crops[first]
    if step:
        crop = np.asarray(cv2.addWeighted(crops[second], step / FULL, crop, 1 - step / FULL, 0), np.uint8)
    dressed = list(DRESSES.values())[dress](crop)
    return _view(dressed, np.random.default_rng(row))


def weigh(crop: Crops, rule: CropRule, quality: QualityConfig) -> float:
    """The weight that the board gives to such a face, with points where the crop rule puts them."""
    side = float(rule.size_px)
    face = Face((0.0, 0.0, side, side), typical_points(rule) * np.float32(side), 1.0)
    weight = assess(crop, face, quality).weight
    return weight if weight >= quality.min_weight else 0.0


def _view(crop: Crops, random: Generator) -> Crops:
    """Moved, turned, lit and noisy as from frame to frame."""
    side = crop.shape[0]
    centre, angle, scale = (side / 2, side / 2), random.normal(0, 2), float(np.exp(random.normal(0, 0.02)))
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, scale), np.float64)
    matrix[:, 2] += random.normal(0, 0.7 / 48, 2) * side
    moved = cv2.warpAffine(crop, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lit = moved * float(np.exp(random.normal(0, 0.05))) + random.normal(0, 2, moved.shape)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)
