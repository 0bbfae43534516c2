"""Windows around where a face was a moment ago, for the model that follows it, with what the face model says of them.

Canvases like the face model's own are made of the pictures that trained it; windows are cut from each at the face,
beside it, and where there is none. Points come from the face model's mean over several views of the clean picture and
from the labels; how sure the score shall be, from what the face model says of the canvas as it was spoilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from edge.domain import Face
from edge.vision.face import FaceFinder, cell_centres
from edge.vision.track import NUMBERS, Window, answer_for, cut_window
from models.training.face_data import (
    HEIGHT,
    POSITIVE,
    STRIDE,
    WIDTH,
    Canvas,
    Picture,
    dress,
    face_sizes,
    faceless,
    lit,
    placement,
    turned,
    without_head,
)

SIDE = 64
SPAN = 1.75
"""Side of a window in sizes of the face of a moment ago: at 10 frames a second a turning head stays in it."""
PER_CANVAS = 5
SIZES_PX = (34.0, 76.0)
HEADLESS, TURNED, FACELESS = 0.09, 0.08, 0.07
"""Shares of the canvases without a face to follow: its head painted out, turned over, of what is beside it."""
EDGE, BACKDROP, ROLLED, CABIN = 0.12, 0.45, 0.25, 0.65
"""Shares with the face anywhere, before another picture with a face, rolled by up to 30 degrees, in a cabin's light."""
STILL_IT, ANOTHER = 0.42, 0.62
"""Up to the first offset, in face sizes, it is the face that is followed; from the second on it is none; between the
two nothing is asked of the score."""
GROWN, TOO_GROWN = 1.4, 1.8
"""The same for its size, as a factor."""
BY_HAND = 1 / 3
"""What the label counts beside the face model's points."""
SAME = 0.15
"""The face model's points lie no farther than this from a label, in face sizes, where both are of one face."""
IMAGINED = 0.4
"""A score of the face model where no face is labelled: there may be one after all."""
VIEWS = ((1.0, 0, 0), (0.85, 5, -3), (1.18, -4, 4), (0.93, -6, -6))
"""Scale and shift (pixels) of the views whose mean is learned from; each is mirrored too."""
MIRRORED = [1, 0, 2, 4, 3]
COLUMNS = 3 + NUMBERS
"""Of a target: the score wanted, its weight, the answers' weight, and the answers."""


class Teacher:
    """The shipped face model: what it says of pictures and canvases."""

    def __init__(self) -> None:
        self._finder = FaceFinder.load()
        self._cells = cell_centres(HEIGHT, WIDTH, STRIDE).reshape(-1, 2)

    def taught(self, picture: Picture) -> Picture:
        """The picture with the face model's faces; one that it does not find has no points any more."""
        boxes, points = picture.boxes.copy(), picture.points.copy()
        sizes = face_sizes(picture)
        for number, size in enumerate(sizes):
            label = points[number].copy()
            found = list(self._views(picture.luma, label, float(size)))
            points[number] = np.nan
            if len(found) > len(VIEWS):
                boxes[number] = np.mean([box for _, box in found], 0)
                mean = np.mean([said for said, _ in found], 0)
                points[number] = (1 - BY_HAND) * mean + BY_HAND * label
        return replace(picture, boxes=boxes, points=points, box_known=np.ones(len(boxes), bool))

    def _views(
        self, luma: NDArray[np.uint8], label: NDArray[np.float32], size: float
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Points (5, 2) and box (4,) in the picture's pixels, from each view that shows the labelled face."""
        if np.isnan(label).any():
            return
        middle = label.mean(0)
        for scale, x, y in VIEWS:
            times = 60 * scale / size
            to = np.array(
                [[times, 0, WIDTH / 2 + x - times * middle[0]], [0, times, HEIGHT / 2 + y - times * middle[1]]]
            )
            how = cv2.INTER_AREA if times < 1 else cv2.INTER_LINEAR
            view = cv2.warpAffine(_softened(luma, times), to, (WIDTH, HEIGHT), flags=how)
            for mirror in (False, True):
                shown = np.ascontiguousarray(view[:, ::-1]) if mirror else np.asarray(view, np.uint8)
                for face in self._finder.find_all(shown, 2):
                    said, box = face.points.copy(), np.array(face.box, np.float32)
                    if mirror:
                        said[:, 0] = WIDTH - 1 - said[:, 0]
                        said, box[0] = said[MIRRORED], WIDTH - 1 - box[0] - box[2]
                    said = (said - to[:, 2]) / times
                    if np.linalg.norm(said - label, axis=1).mean() < SAME * size:
                        yield said, np.array([*((box[:2] - to[:, 2]) / times), *(box[2:] / times)], np.float32)
                        break

    def scores(self, canvas: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The score of each cell of a canvas, (cells,)."""
        return self._finder.model.run(canvas[None, :, :, None])[0].reshape(-1)

    def near(self, scores: NDArray[np.float32], middle: NDArray[np.floating], reach: float) -> float:
        """The highest score within ``reach`` pixels of a place."""
        near = np.linalg.norm(self._cells - middle, axis=1) < max(reach, STRIDE)
        return float(scores[near].max(initial=0.0))

    def surest(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """The place that looks most like a face."""
        return np.asarray(self._cells[int(scores.argmax())])


def _softened(luma: NDArray[np.uint8], times: float) -> NDArray[np.uint8]:
    """Smoothed so far that it does not alias when it is shrunk."""
    return luma if times > 0.75 else np.asarray(cv2.GaussianBlur(luma, (0, 0), 0.4 / times), np.uint8)


@dataclass(frozen=True)
class Views:
    """Windows (N, 64, 64) and their targets (N, COLUMNS)."""

    windows: NDArray[np.uint8]
    targets: NDArray[np.float32]


def make_views(pictures: list[Picture], weights: NDArray[np.float64], canvases: int, seed: int) -> Views:
    """``PER_CANVAS`` windows of each of so many canvases, pictures drawn by their ``weights`` (N,)."""
    teacher = Teacher()
    windows = np.zeros((canvases * PER_CANVAS, SIDE, SIDE), np.uint8)
    targets = np.zeros((canvases * PER_CANVAS, COLUMNS), np.float32)
    rng = np.random.default_rng(seed)
    picks = rng.choice(len(pictures), canvases, p=weights / weights.sum())
    row = 0
    for index in track(picks.tolist(), "windows"):
        for window, target in _windows(rng, pictures, index, teacher):
            windows[row], targets[row] = window, target
            row += 1
    return Views(windows, targets)


def _windows(
    rng: Generator, pictures: list[Picture], index: int, teacher: Teacher
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    canvas, places = scene(rng, pictures, index)
    scores = teacher.scores(canvas.luma)
    known = np.flatnonzero((canvas.state > 0) & ~np.isnan(canvas.points[:, 0, 0]))
    for number in range(PER_CANVAS):
        if len(known) and (number or rng.random() < 0.5):
            face = int(known[0] if rng.random() < 0.5 else rng.choice(known))
            size = float(canvas.sizes[face])
            offset, ratio = jitter(rng)
            middle, size = canvas.middles[face] + offset * size, size * ratio
        else:
            size = float(np.exp(rng.uniform(*np.log(SIZES_PX))))
            draw = rng.random()
            if len(places) and draw < 0.6:
                at, size = places[0]
                middle, size = at + rng.normal(0, 0.15, 2) * size, size * np.exp(rng.normal(0, 0.15))
            elif draw < 0.8:
                middle = teacher.surest(scores) + rng.normal(0, 0.1, 2) * size
            else:
                middle = rng.uniform([0, 0], [WIDTH, HEIGHT])
        yield _window(canvas, np.asarray(middle, np.float32), size, teacher, scores)


def jitter(rng: Generator) -> tuple[NDArray[np.float64], float]:
    """How far a face has moved, in face sizes, and by what it has changed its size, since it was seen."""
    draw = rng.random()
    if draw < 0.7:
        return rng.normal(0, 0.07, 2), float(np.exp(rng.normal(0, 0.06)))
    reach = rng.uniform(0.08, 0.5) if draw < 0.9 else rng.uniform(0.5, 1.3)
    angle = rng.uniform(0, 2 * np.pi)
    return reach * np.array([np.cos(angle), np.sin(angle)]), float(np.exp(rng.uniform(-0.4, 0.4)))


def _window(
    canvas: Canvas, middle: NDArray[np.float32], size: float, teacher: Teacher, scores: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What is seen where a face of ``size`` had its ``middle`` a moment ago, and what shall be said of it."""
    before = Face((middle[0] - size / 2, middle[1] - size / 2, size, size), np.tile(middle, (5, 1)), 1.0)
    window = Window.around(before, SPAN, SIDE)
    shown = np.zeros((SIDE, SIDE), np.uint8)
    cut_window(canvas.luma, window, shown)
    target = np.zeros(COLUMNS, np.float32)
    target[1] = 1.0
    away = np.linalg.norm(canvas.middles - middle, axis=1) if len(canvas.sizes) else np.zeros(0)
    if not len(away) or away.min() > ANOTHER * size:
        labelled = bool(len(away)) and bool((away < 1.2 * size).any())
        imagined = canvas.box_known.any() and not labelled and teacher.near(scores, middle, 0.4 * size) > IMAGINED
        target[1] = 0.0 if imagined else 1.0
        return shown, target
    face = int(away.argmin())
    if canvas.state[face] == 0 or np.isnan(canvas.points[face]).any():
        target[1] = 0.0
        return shown, target
    grown = max(canvas.sizes[face] / size, size / canvas.sizes[face])
    if away[face] <= STILL_IT * size and grown <= GROWN:
        target[0] = teacher.near(scores, canvas.middles[face], POSITIVE * float(canvas.sizes[face]))
    elif grown < TOO_GROWN:
        target[1] = 0.0
    there = Face(tuple(canvas.boxes[face].tolist()), canvas.points[face], 1.0)
    target[2] = 1.0 if away[face] <= 0.5 * size and grown <= 1.6 else 0.0
    target[3:] = answer_for(there, window, SPAN)
    return shown, target


def scene(
    rng: Generator, pictures: list[Picture], index: int
) -> tuple[Canvas, list[tuple[NDArray[np.float64], float]]]:
    """A canvas around picture ``index``, and places (x, y) with sizes where a face was, of one that shows none."""
    picture = pictures[index]
    known = np.flatnonzero(~np.isnan(picture.points[:, 0, 0]))
    draw = rng.random()
    if draw < HEADLESS and picture.source == "cuhk" and len(picture.boxes) == 1 and len(known):
        return _without_its_head(rng, picture)
    if not len(known) or draw > 1 - FACELESS:
        return faceless(rng, pictures, index) or Canvas.blank(rng), []
    size = float(np.exp(rng.uniform(*np.log(SIZES_PX))))
    turn = rng.uniform(-30, 30) if rng.random() < ROLLED else rng.normal(0, 7)
    spread = (60, 45) if rng.random() < EDGE else (13, 9)
    where = np.array([WIDTH, HEIGHT]) / 2 + rng.normal(0, spread, 2)
    canvas = Canvas.blank(rng)
    number = int(rng.choice(known))
    behind = rng.random() < BACKDROP
    if behind:
        other = pictures[int(rng.integers(len(pictures)))]
        if len(other.boxes):
            angle = rng.uniform(0, 2 * np.pi)
            spot = where + rng.uniform(1.0, 2.2) * size * np.array([np.cos(angle), np.sin(angle)])
            likewise = size * float(np.exp(rng.normal(0, 0.3)))
            face = int(rng.integers(len(other.boxes)))
            canvas.paste(other, placement(rng, other, face, likewise, spot, 0.0), replicate=True)
    canvas.paste(picture, placement(rng, picture, number, size, where, turn), replicate=not behind)
    for face in np.flatnonzero((canvas.state > 0) & ~np.isnan(canvas.points[:, 0, 0])):
        dress(rng, canvas, int(face))
    canvas.luma = lit(rng, canvas.luma, CABIN)
    if rng.random() < TURNED:
        over = turned(rng, canvas)
        return over, []
    return canvas, []


def _without_its_head(rng: Generator, picture: Picture) -> tuple[Canvas, list[tuple[NDArray[np.float64], float]]]:
    """The picture with its head painted out, and the place where it was."""
    bare = replace(picture, luma=without_head(picture.luma, picture.boxes[0]), boxes=np.zeros((0, 4), np.float32))
    bare = replace(bare, points=np.zeros((0, 5, 2), np.float32), box_known=np.zeros(0, bool))
    canvas = Canvas.blank(rng)
    size = float(np.exp(rng.uniform(*np.log(SIZES_PX))))
    where = np.array([WIDTH, HEIGHT]) / 2 + rng.normal(0, 14, 2)
    canvas.paste(bare, placement(rng, picture, 0, size, where, rng.normal(0, 6)), replicate=True)
    canvas.luma = lit(rng, canvas.luma)
    return canvas, [(where, size)]


class TrainingWindows:
    """Windows (1, 64, 64), 0 to 1, mirrored and lit anew, with targets (COLUMNS,), for a loader.

    ``data[epoch, index]`` is the same however often and wherever it is asked for.
    """

    def __init__(self, views: Views, seed: int) -> None:
        self.views = views
        self.seed = seed

    def __len__(self) -> int:
        return len(self.views.windows)

    def __getitem__(self, key: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        luma, target = self.views.windows[index].astype(np.float32) / 255, self.views.targets[index].copy()
        if rng.random() < 0.5:
            luma, target = luma[:, ::-1], mirrored(target)
        if rng.random() < 0.7:
            luma = np.clip(luma * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.06), 0, 1)
        if rng.random() < 0.3:
            luma = np.clip(luma + rng.normal(0, rng.uniform(0.004, 0.025), luma.shape), 0, 1)
        return np.ascontiguousarray(luma[None], np.float32), target


def mirrored(target: NDArray[np.float32]) -> NDArray[np.float32]:
    """The target (COLUMNS,) of a mirrored window."""
    turned_over = target.copy()
    points = target[3:13].reshape(5, 2)[MIRRORED] * np.array([-1, 1], np.float32)
    turned_over[3:13] = points.reshape(-1)
    turned_over[13] = -target[13]
    return turned_over


def stored_views(
    path: Path, pictures: Callable[[], list[Picture]], shares: dict[str, float], canvases: int, seed: int
) -> Views:
    """The windows kept at ``path``; made and kept there where they are not, or are not so many.

    ``shares`` says how often pictures of each source are drawn.
    """
    if path.exists():
        with np.load(path) as kept:
            if len(kept["windows"]) == canvases * PER_CANVAS:
                return Views(kept["windows"], kept["targets"])
    found = pictures()
    views = make_views(found, np.array([shares[picture.source] for picture in found]), canvases, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".part").open("wb") as file:
        np.savez(file, windows=views.windows, targets=views.targets)
    path.with_suffix(".part").replace(path)
    return views
