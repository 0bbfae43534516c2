"""Finds faces in a picture with the single-shot face model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, product

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.config import VisionConfig
from edge.domain import Face
from edge.errors import ModelError
from edge.vision.manifest import GridSpec, Manifest, bundled
from edge.vision.shrink import halve
from edge.vision.tflite import TfliteModel

# A second look, closer, is worth its time where the face was small in the first one.
CLOSER_BELOW_PX = 40.0
CLOSE_SIZE_PX = 60.0
# A face that is not sure from afar is looked at closer before it is given up, if it has at least this share of the
# score that makes one sure; of so many in a picture.
WORTH_A_LOOK = 0.6
MAX_LOOKS = 3
SURE_FROM_NEAR = 1.07  # what only a closer look makes a face needs so many times the score that makes one sure
# Where the whole picture shows no face, parts of it are searched this many times closer. A face that is cut by the edge
# of one part is whole in the next if it is no larger than the overlap, in pixels of the model's input.
PART_SCALE = 1.6
OVERLAP_PX = 40
# Cells whose predicted middles are nearer than this share of the face's size speak of the same face.
SAME_FACE = 0.5
SAME_SIZE = 2.0  # a face that is so many times larger or smaller than one seen a moment ago is another one
AGREE = 0.2
AS_SURE = 0.8  # cells that are less sure than this share of the surest say nothing of its face
MAX_FACES = 8
# A camera is pointed at the one it is for: of 548 training portraits with several faces the surest was another one in
# 18, the most central of those within 0.05 in 4.
ABOUT_AS_SURE = 0.05

MEAN_POINT = np.tile(np.eye(2, dtype=np.float32) / 5, (5, 1))
"""Five points (N, 10) times this are their mean (N, 2)."""

LEAST_SCORE = 1e-6
"""A score of nothing at all still gives a weight to divide by."""
QUARTERS = 4
SURER = 0.02  # of 193 upright drivers' frames 98 % are surer by 0.17 or more than any turn of them


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a picture the model looks at: ``left``, ``top`` in picture pixels, then scaled by ``scale``."""

    left: int
    top: int
    scale: float

    def to_picture(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (…, 2) from model input to picture, pixel centres at integers in both."""
        half = 0.5 / self.scale - 0.5
        return np.asarray(points / self.scale + np.array([self.left + half, self.top + half], np.float32), np.float32)


class FaceFinder:
    """The face model; stateless from picture to picture. Not thread-safe."""

    def __init__(self, model: TfliteModel, grid: GridSpec, min_score: float) -> None:
        self.model = model
        self._grid = grid
        self._min_score = min_score
        self._worth_a_look = WORTH_A_LOOK * min_score
        _, self._height, self._width, _ = model.manifest.input.shape
        self._input = np.zeros((1, self._height, self._width, 1), np.uint8)
        self._cells = cell_centres(self._height, self._width, grid.stride_px).reshape(-1, 2)

    @classmethod
    def load(cls, config: VisionConfig | None = None) -> Self:
        """Load the configured model, by default the bundled one.

        Raises:
            ModelError: the model or its manifest is missing, damaged or of another shape.
            UnavailableError: no TFLite runtime.
        """
        config = config or VisionConfig()
        path = config.face_model or bundled("face")
        model = TfliteModel.load(path, "face", config.runtime, config.threads)
        grid = model.manifest.grid
        if grid is None:
            raise ModelError(f"{path}: expected a [grid] section, found none")
        cells = tuple(side // grid.stride_px for side in model.manifest.input.shape[1:3])
        maps = [spec.shape for spec in model.manifest.outputs]
        if maps != [(1, *cells, channels) for channels in (1, 4, 10)]:
            raise ModelError(f"{path}: expected maps of {cells} cells with 1, 4 and 10 channels, found {maps}")
        own = model.manifest.min_score
        return cls(model, grid, own if config.min_face_score is None else config.min_face_score)

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def find(self, luma: NDArray[np.uint8]) -> Face | None:
        """The best face in the picture (H, W), uint8, or None: of those about as sure, the one nearest the middle.

        A small one is looked at a second time, closer, and so are unsure ones where none is sure. Where there is none
        at all, the picture is searched part by part, for smaller ones. What only a closer look finds must be upright.
        """
        faces = self.find_all(luma)
        best = _most_central([face for face in faces if self.is_sure(face)], luma.shape)
        if best is not None:
            return self.sharpen(luma, best)
        looks = (self.sharpen(luma, face) for face in faces[:MAX_LOOKS])
        parts = (self.find_small(luma, turn) for turn in range(len(self._parts(luma.shape))))
        for found in chain([[face for face in looks if face is not None]], parts):
            best = _most_central([face for face in found if self.is_upright(luma, face)], luma.shape)
            if best is not None:
                return best
        return None

    def find_all(self, luma: NDArray[np.uint8], limit: int = MAX_FACES) -> list[Face]:
        """Up to ``limit`` faces in the picture (H, W), uint8, the surest first; unsure ones too: see ``sharpen``."""
        height, width = luma.shape
        scale = min(self._width / width, self._height / height)
        return list(islice(self._look(luma, (0, 0, width, height), scale, self._worth_a_look), limit))

    def find_small(self, luma: NDArray[np.uint8], turn: int) -> list[Face]:
        """Sure faces in one part of the picture, seen closer than in ``find_all``; each turn it is another part.

        Each was found twice: in the part, and in a close view.
        """
        parts = self._parts(luma.shape)
        if not parts:
            return []
        height, width = luma.shape
        scale = min(self._width / width, self._height / height) * PART_SCALE
        seen = list(islice(self._look(luma, parts[turn % len(parts)], scale, self._worth_a_look), MAX_LOOKS))
        looks = (self.find_near(luma, face, share=SURE_FROM_NEAR) for face in seen)
        return [face for face in looks if face is not None]

    def _parts(self, shape: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
        """Parts (left, top, right, bottom) that cover a picture (H, W) PART_SCALE times closer than as a whole."""
        height, width = shape
        scale = min(self._width / width, self._height / height) * PART_SCALE
        if scale > 1:  # there is no more to be seen in it
            return []
        columns, rows = _spread(width, self._width, scale), _spread(height, self._height, scale)
        return [(left, top, right, bottom) for (top, bottom), (left, right) in product(rows, columns)]

    def is_sure(self, face: Face) -> bool:
        """Whether a face has the score that makes it one without a closer look."""
        return face.score >= self._min_score

    def sharpen(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        """A face that ``find_all`` found, seen again in a close view where it was unsure or small in the model's input.

        None where it was unsure and is no sure face from near either.
        """
        height, width = luma.shape
        scale = min(self._width / width, self._height / height)
        if not self.is_sure(face):
            return self.find_near(luma, face, share=SURE_FROM_NEAR)
        return face if face_size(face) * scale >= CLOSER_BELOW_PX else self.find_near(luma, face) or face

    def find_near(
        self, luma: NDArray[np.uint8], face: Face, within: float = SAME_FACE, share: float = 1.0
    ) -> Face | None:
        """The face nearest to where ``face`` is or was a moment ago, in a close view around it.

        None where there is none with its middle within so many face sizes and with this ``share`` of the score that
        makes a face a sure one.
        """
        middle, size = face_middle(face), face_size(face)
        # A large face is shrunk by a whole number, of which the part that is a power of two costs least.
        shrink = max(1, round(size / CLOSE_SIZE_PX))
        scale = 1 / shrink if shrink > 1 else max(1.0, CLOSE_SIZE_PX / size)
        left, right = _span(middle[0], self._width / scale, luma.shape[1])
        top, bottom = _span(middle[1], self._height / scale, luma.shape[0])
        if left >= right or top >= bottom:  # the face was in a larger picture, or at the very edge of this one
            return None
        faces = islice(self._look(luma, (left, top, right, bottom), scale, share * self._min_score), MAX_FACES)
        return _nearest(faces, middle, size, within)

    def is_upright(self, luma: NDArray[np.uint8], face: Face) -> bool:
        """Whether a face that was found is surer by SURER as it stands than turned by 90, 180 or 270 degrees.

        A model may see faces in turned ones too, and puts points on them as if they were upright. With face 0.3.0 all
        of 193 held-out drivers and 601 of 602 portraits passed, and of the faces that it was sure of from afar in
        turned pictures of them all 6 and 44 of 46 were refused.
        """
        return stands_upright([self.turned(luma, face, quarters) for quarters in range(QUARTERS)])

    def turned(self, luma: NDArray[np.uint8], face: Face, quarters: int) -> float:
        """How sure the model is of a face that was found, turned by so many quarters; 0 of one outside the picture."""
        middle, reach = face_middle(face), 2 * face_size(face)
        left, right = _span(middle[0], reach, luma.shape[1])
        top, bottom = _span(middle[1], reach, luma.shape[0])
        if left >= right or top >= bottom:
            return 0.0
        part = luma[top:bottom, left:right]
        scale = min(self._height, self._width) / max(part.shape)
        return self._surest(np.ascontiguousarray(np.rot90(part, quarters)), scale)

    def _surest(self, luma: NDArray[np.uint8], scale: float) -> float:
        """The highest score that the model gives anywhere in the picture."""
        self._show(luma, scale)
        return float(self.model.real(0, self.model.run_raw(self._input)[0]).max())

    def _look(
        self, luma: NDArray[np.uint8], part: tuple[int, int, int, int], scale: float, least: float
    ) -> Iterator[Face]:
        """The faces with at least a score of ``least`` in a part (left, top, right, bottom) of the picture.

        ``scale`` brings the part within the model's input.
        """
        left, top, right, bottom = part
        self._show(luma[top:bottom, left:right], scale)
        view = View(left, top, scale)
        return (_in_picture(face, view) for face in self._read(least))

    def _show(self, luma: NDArray[np.uint8], scale: float) -> None:
        """Put a picture into the model's input, scaled, black around."""
        small, factor = halve(luma, 1 / scale)
        height, width = (max(1, round(side * factor * scale)) for side in small.shape)
        self._input[:] = 0
        cv2.resize(small, (width, height), dst=self._input[0, :height, :width, 0], interpolation=cv2.INTER_LINEAR)

    def _read(self, least: float) -> Iterator[Face]:
        """The faces in the model's input, in its pixels; only the numbers of cells of that score are made real."""
        model = self.model
        score, box, points = model.run_raw(self._input)
        scores = model.real(0, score).reshape(-1)
        (sure,) = (scores >= least).nonzero()
        if not sure.size:
            return iter(())
        boxes = model.real(1, box.reshape(-1, 4).take(sure, 0))
        offsets = model.real(2, points.reshape(-1, 10).take(sure, 0))
        return decode(scores.take(sure), boxes, offsets, self._cells.take(sure, 0), self._grid.size_unit_px)


def stands_upright(sureness: Sequence[float]) -> bool:
    """Whether a face is surer by SURER as it stands than turned, by ``turned`` of all QUARTERS in their order."""
    upright, *turned = sureness
    return upright - max(turned) >= SURER


def cell_centres(height: int, width: int, stride: int) -> NDArray[np.float32]:
    """Centre (x, y) of each of the model's cells, (rows, columns, 2), input pixels with pixel centres at integers."""
    y, x = np.mgrid[stride / 2 : height : stride, stride / 2 : width : stride]
    return np.stack([x, y], -1).astype(np.float32) - 0.5


def decode(
    score: NDArray[np.float32],
    box: NDArray[np.float32],
    points: NDArray[np.float32],
    cells: NDArray[np.float32],
    size_unit_px: float,
) -> Iterator[Face]:
    """Faces from what N sure cells say: score (N,), box (N, 4), points (N, 10), and the cells' centres (N, 2).

    The surest comes first; one that is not asked for costs nothing. ``box`` is the centre's offset from the cell in
    face sizes, log2 of size and log2 of width over height; ``points`` are offsets in face sizes. Neighbouring cells
    that speak of the same face, about as surely, are averaged by their squared scores, which steadies the points.
    Coordinates are input pixels.
    """
    size = np.float32(size_unit_px) * np.exp2(box[:, 2])
    middle = cells + (points @ MEAN_POINT) * size[:, None]
    votes = np.maximum(score, LEAST_SCORE) ** 2
    left = score
    while left[best := int(left.argmax())] >= 0:
        away = middle - middle[best]
        apart = np.hypot(away[:, 0], away[:, 1]) / size[best]
        agree = votes * ((apart < AGREE) & (score >= AS_SURE * score[best]))
        weight = agree / agree.sum()
        yield _merge(weight, float(score[best]), size, box, points, cells, size_unit_px)
        left = np.where(apart > SAME_FACE, left, np.float32(-1.0))


def _merge(
    weight: NDArray[np.float32],
    score: float,
    size: NDArray[np.float32],
    box: NDArray[np.float32],
    points: NDArray[np.float32],
    cells: NDArray[np.float32],
    size_unit_px: float,
) -> Face:
    """The mean face of what cells say, by their ``weight`` (N,), which adds up to 1."""
    cell, of_size = weight @ cells, weight * size
    (cell_x, cell_y), (x, y, _, _) = cell.tolist(), (of_size @ box).tolist()
    _, _, log_size, log_aspect = (weight @ box).tolist()
    side = size_unit_px * 2**log_size
    wide, high = side * 2 ** (log_aspect / 2), side * 2 ** (-log_aspect / 2)
    corner = cell_x + x - wide / 2, cell_y + y - high / 2
    return Face((*corner, wide, high), (of_size @ points).reshape(5, 2) + cell, score)


def face_size(face: Face) -> float:
    """Square root of the box's area, pixels."""
    return math.sqrt(face.box[2] * face.box[3])


def face_middle(face: Face) -> tuple[float, float]:
    """Mean (x, y) of the five points."""
    # plain numbers: numpy takes several times as long to add up so few
    (x1, y1), (x2, y2), (x3, y3), (x4, y4), (x5, y5) = face.points.tolist()
    return (x1 + x2 + x3 + x4 + x5) / 5, (y1 + y2 + y3 + y4 + y5) / 5


def _nearest(faces: Iterator[Face], middle: tuple[float, float], size: float, within: float) -> Face | None:
    """The first face of about this size within SAME_FACE of a place (x, y), or else the nearest ``within`` so many."""
    best, least = None, within
    for face in faces:
        away, times = math.dist(face_middle(face), middle) / size, face_size(face) / size
        if not 1 / SAME_SIZE < times < SAME_SIZE:
            continue
        if away < SAME_FACE:
            return face
        if away < least:
            best, least = face, away
    return best


def _most_central(faces: list[Face], shape: tuple[int, ...]) -> Face | None:
    """Of the faces about as sure as the surest the one nearest the middle of a picture (H, W)."""
    surest = max((face.score for face in faces), default=0.0)
    as_sure = (face for face in faces if face.score >= surest - ABOUT_AS_SURE)
    return min(as_sure, key=lambda face: _off_middle(face, shape[1], shape[0]), default=None)


def _off_middle(face: Face, width: int, height: int) -> float:
    """How far a face's box lies from the middle of the picture, in face sizes."""
    x, y, wide, high = face.box
    return math.hypot(x + wide / 2 - width / 2, y + high / 2 - height / 2) / face_size(face)


def _span(middle: float, extent: float, limit: int) -> tuple[int, int]:
    """Begin and end of the pixels ``extent`` long around ``middle`` that lie in a picture's side of ``limit``."""
    begin = math.floor(middle - extent / 2)
    return max(begin, 0), int(min(begin + extent, limit))


def _spread(side: int, seen_px: int, scale: float) -> list[tuple[int, int]]:
    """Begins and ends of the fewest stretches that cover a picture's side, each ``seen_px`` long once scaled."""
    extent = min(side, int(seen_px / scale))
    count = max(1, math.ceil((side * scale - OVERLAP_PX) / (seen_px - OVERLAP_PX)))
    begins = np.linspace(0, side - extent, count).astype(int).tolist()
    return [(begin, begin + extent) for begin in begins]


def _in_picture(face: Face, view: View) -> Face:
    x, y, width, height = face.box
    half = 0.5 / view.scale - 0.5
    box = (x / view.scale + half + view.left, y / view.scale + half + view.top, width / view.scale, height / view.scale)
    return Face(box, view.to_picture(face.points), face.score)
