"""Simulated drives: who shows what when is drawn by a seed; what a model reads of it comes from real pictures.

There are no drives with labelled anger, so they are put together. A driver has some faces at rest; a pose lasts some
tenths of a second and is one picture, seen in a slightly different view in each frame. An episode of 5 to 15 s shows
several pictures of its expression in turn. The pictures are of different people, so a pose changes more than a real
face does, and a model that is wrong about one picture is wrong for a pose, not for an episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.config import QualityConfig
from edge.domain import EXPRESSION, EXPRESSIONS, Face, Kind, Observation, Quality, Reading, Sight
from edge.tuning.score import Episode
from edge.vision.crop import CropRule
from edge.vision.quality import assess

DRIVE_S = 600.0
FPS = 15.0
VIEWS = 5

Read = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Pictures = Mapping[str, NDArray[np.uint8]]
"""Crops (N, 48, 48) for each look: rest, frown, surprise, smile, anger, distress, yawn, cabin."""
SHOWN: tuple[Kind, ...] = ("anger", "distress")
"""The kinds of which the drives have episodes."""
LOOKS = ("rest", "frown", "surprise", "smile", "anger", "distress", "yawn", "cabin", "dark", "covered")

_DECK = {
    "anger": 3,
    "distress": 3,
    "yawn": 3,
    "talk": 2,
    "glance": 2,
    "grimace": 2,
    "dark": 1,
    "covered": 1,
    "black": 1,
    "stall": 1,
}
"""What happens in a drive, and how often."""


@dataclass(frozen=True)
class Readings:
    """What a model and the quality make of each look's pictures: probabilities (N, VIEWS, 9) and weights (N, VIEWS)."""

    probabilities: Mapping[str, NDArray[np.float32]]
    weights: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Plan:
    """What a driver shows: for each of T frames the time, the sight, and the look, picture and view where a face."""

    t: NDArray[np.float64]
    sight: tuple[Sight, ...]
    look: NDArray[np.int64]
    picture: NDArray[np.int64]
    view: NDArray[np.int64]
    episodes: tuple[tuple[Kind, float, float], ...]


@dataclass(frozen=True)
class Drive:
    """A drive as a model reads it: times (T,), sights, weights (T,), probabilities (T, 9), and the true episodes."""

    t: NDArray[np.float64]
    sight: tuple[Sight, ...]
    weight: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    episodes: tuple[tuple[Kind, float, float], ...]

    def labels(self, number: int) -> list[Episode]:
        """The episodes, as those of drive ``number``."""
        return [Episode(number, *each) for each in self.episodes]

    def observations(self) -> Iterator[Observation]:
        """The drive as the decision gets it."""
        face = Face((0.0, 0.0, 48.0, 48.0), np.zeros((5, 2), np.float32), 1.0)
        for t, sight, weight, read in zip(self.t.tolist(), self.sight, self.weight, self.probabilities, strict=True):
            if sight is not Sight.FACE:
                yield Observation(t, sight)
                continue
            quality = Quality(0.5, 0.5, 48.0, 0.0, 0.0, 0.0, float(weight))
            readings = {EXPRESSION: Reading.expression(read)} if weight > 0 else {}
            yield Observation(t, sight, face, quality, readings)


def all_looks(pictures: Pictures, random: Generator) -> dict[str, NDArray[np.uint8]]:
    """The given looks, and the faces at rest in the dark and behind a hand."""
    rest = pictures["rest"][:60]
    light = random.uniform(0.08, 0.3, (len(rest), 1, 1))
    dark = np.clip(rest * light + random.normal(0, 3, rest.shape), 0, 255).astype(np.uint8)
    covered = rest.copy()
    for crop in covered:
        top, left = int(random.integers(24, 36)), int(random.integers(0, 20))
        crop[top:, left : left + 28] = int(crop.mean())
    return {**pictures, "dark": dark, "covered": covered}


def read_looks(read: Read, looks: Pictures, rule: CropRule, quality: QualityConfig, seed: int) -> Readings:
    """Read every picture in VIEWS slightly different views: moved, turned, lit and noisy as from frame to frame."""
    probabilities, weights = {}, {}
    for name, crops in looks.items():
        random = np.random.default_rng([seed, LOOKS.index(name)])
        views = [[_view(crop, random) for _ in range(VIEWS)] for crop in crops]
        probabilities[name] = np.array([[read(view) for view in row] for row in views], np.float32)
        weights[name] = np.array([[_weigh(view, rule, quality) for view in row] for row in views], np.float32)
    return Readings(probabilities, weights)


def plan(seed: int, sizes: Mapping[str, int], groups: Mapping[str, NDArray[np.int64]]) -> Plan:
    """Ten minutes with one driver, all drawn from ``seed``.

    ``sizes`` are the numbers of pictures of each look; ``groups`` tell which driver a yawn and a cabin picture is of,
    so that one drive shows one.
    """
    return _Director(np.random.default_rng(seed), sizes, groups, frowns=seed % 4 == 0).direct()


def film(script: Plan, readings: Readings) -> Drive:
    """The drive as one model reads it."""
    count = len(script.t)
    probabilities, weight = np.zeros((count, len(EXPRESSIONS)), np.float32), np.zeros(count, np.float32)
    for code, name in enumerate(LOOKS):
        at = np.flatnonzero(script.look == code)
        probabilities[at] = readings.probabilities[name][script.picture[at], script.view[at]]
        weight[at] = readings.weights[name][script.picture[at], script.view[at]]
    return Drive(script.t, script.sight, weight, probabilities, script.episodes)


class _Director:
    """Draws a drive: spells of rest, and between them what the deck deals."""

    def __init__(
        self, random: Generator, sizes: Mapping[str, int], groups: Mapping[str, NDArray[np.int64]], *, frowns: bool
    ) -> None:
        self._random, self._sizes, self._groups = random, sizes, groups
        rest = self._draw("rest", 4 if frowns else 7)
        self._rest = [*rest, *self._draw("frown", 3 if frowns else 0), *self._draw("smile", 2)]
        self._mouth = [*rest[:3], *self._draw("surprise", 2), *self._draw("smile", 2)]
        self._mouth += [*self._draw("anger", 1), *self._draw("distress", 1)]
        self._cabin, self._yawn = self._same_driver("cabin"), self._same_driver("yawn")
        self._now = 0.0
        self._rows: list[tuple[float, Sight, int, int, int]] = []
        self._episodes: list[tuple[Kind, float, float]] = []

    def direct(self) -> Plan:
        deck = [name for name, times in _DECK.items() for _ in range(times)]
        self._show(self._rest, 30.0, (0.4, 1.5))
        for name in self._random.permutation(deck):
            self._play(str(name))
            calm = self._cabin if self._random.random() < 0.25 else self._rest
            self._show(calm, self._random.uniform(16.0, 28.0), (0.4, 1.5))
            if self._now > DRIVE_S:
                break
        t, sight, look, picture, view = zip(*self._rows, strict=True)
        return Plan(np.array(t), sight, np.array(look), np.array(picture), np.array(view), tuple(self._episodes))

    def _play(self, name: str) -> None:
        uniform = self._random.uniform
        if name in SHOWN:
            self._show_episode(name)
        elif name == "yawn":
            self._show(self._yawn, uniform(3.0, 6.0), (0.4, 1.5))
        elif name == "talk":
            self._show(self._mouth, uniform(5.0, 12.0), (0.13, 0.4))
        elif name == "grimace":
            self._show(self._draw(str(self._random.choice(list(SHOWN))), 1), uniform(0.3, 0.9), (1.0, 1.0))
        elif name in ("dark", "covered"):
            self._show(self._draw(name, 3), uniform(3.0, 10.0), (0.4, 1.5))
        elif name == "glance":
            for _ in range(3):
                self._miss(Sight.NO_FACE, uniform(0.6, 2.5))
                self._show(self._rest, uniform(1.0, 3.0), (0.4, 1.5))
        elif name == "black":
            self._miss(Sight.DARK, uniform(2.0, 6.0))
        else:
            self._now += uniform(1.0, 4.0)  # a stall: no frame at all

    def _show_episode(self, kind: Kind) -> None:
        begin, faces = self._now, self._draw(kind, 6)
        self._show(faces, self._random.uniform(5.2, 12.0), (0.4, 1.5))
        if self._random.random() < 0.3:
            self._miss(Sight.NO_FACE, self._random.uniform(0.5, 1.2))
            self._show(faces, self._random.uniform(1.0, 3.0), (0.4, 1.5))
        self._episodes.append((kind, begin, self._now))

    def _show(self, faces: list[tuple[int, int]], seconds: float, pose_s: tuple[float, float]) -> None:
        end, until, pose = self._now + seconds, -1.0, faces[0]
        while self._now < end:
            if self._now >= until:
                pose = faces[int(self._random.integers(len(faces)))]
                until = self._now + self._random.uniform(*pose_s)
            self._rows.append((self._now, Sight.FACE, *pose, int(self._random.integers(VIEWS))))
            self._now += self._random.uniform(0.8, 1.2) / FPS

    def _miss(self, sight: Sight, seconds: float) -> None:
        end = self._now + seconds
        while self._now < end:
            self._rows.append((self._now, sight, -1, 0, 0))
            self._now += self._random.uniform(0.8, 1.2) / FPS

    def _draw(self, look: str, count: int) -> list[tuple[int, int]]:
        code = LOOKS.index(look)
        return [(code, int(each)) for each in self._random.integers(self._sizes[look], size=count)]

    def _same_driver(self, look: str) -> list[tuple[int, int]]:
        group = self._groups[look]
        return [(LOOKS.index(look), int(each)) for each in np.flatnonzero(group == self._random.choice(group))]


def _view(crop: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    side = crop.shape[0]
    centre, angle, scale = (side / 2, side / 2), random.normal(0, 2), float(np.exp(random.normal(0, 0.02)))
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, scale), np.float64)
    matrix[:, 2] += random.normal(0, 0.7, 2)
    moved = cv2.warpAffine(crop, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lit = moved * float(np.exp(random.normal(0, 0.05))) + random.normal(0, 2, moved.shape)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _weigh(crop: NDArray[np.uint8], rule: CropRule, quality: QualityConfig) -> float:
    """The weight that the board gives to such a face, with points where the crop rule puts them."""
    side, half = rule.size_px, rule.unit / 2
    x, eyes, mouth = rule.centre_x, rule.centre_y - half, rule.centre_y + half
    nose = eyes + 0.576 * rule.unit  # where pose() takes an average nose to be
    points = np.array([[x - half, eyes], [x + half, eyes], [x, nose], [x - half * 0.7, mouth], [x + half * 0.7, mouth]])
    face = Face((0.0, 0.0, float(side), float(side)), (points * side).astype(np.float32), 1.0)
    weight = assess(crop, face, quality).weight
    return weight if weight >= quality.min_weight else 0.0
