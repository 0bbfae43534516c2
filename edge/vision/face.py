"""Finds faces in a picture with the single-shot face model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.errors import ModelError
from edge.records import Face
from edge.vision.manifest import GridSpec, Manifest, bundled
from edge.vision.tflite import TfliteModel

# A second look, closer, is worth its time where the face was small in the first one.
CLOSER_BELOW_PX = 40.0
CLOSE_SIZE_PX = 60.0
# Cells whose predicted middles are nearer than this share of the face's size speak of the same face.
SAME_FACE = 0.5
AGREE = 0.2
MAX_FACES = 8


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a picture the model looks at: ``left``, ``top`` in picture pixels, then scaled by ``scale``."""

    left: int
    top: int
    scale: float

    def to_picture(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (…, 2) from model input to picture, pixel centres at integers in both."""
        origin = np.array([self.left, self.top], np.float32)
        return np.asarray((points + 0.5) / self.scale - 0.5 + origin, np.float32)


class FaceFinder:
    """The face model; stateless from picture to picture. Not thread-safe."""

    def __init__(self, model: TfliteModel, grid: GridSpec, min_score: float) -> None:
        self._model = model
        self._grid = grid
        self._min_score = min_score
        _, self._height, self._width, _ = model.manifest.input.shape
        self._input = np.zeros((1, self._height, self._width, 1), np.uint8)
        self._cells = cell_centres(self._height, self._width, grid.stride_px)

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
        return cls(model, grid, config.min_face_score)

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self._model.manifest

    def find(self, luma: NDArray[np.uint8]) -> Face | None:
        """The best face in the picture (H, W), uint8, or None. A small one is looked at a second time, closer."""
        faces = self.find_all(luma, limit=1)
        return self.sharpen(luma, faces[0]) if faces else None

    def find_all(self, luma: NDArray[np.uint8], limit: int = MAX_FACES) -> list[Face]:
        """Up to ``limit`` faces in the picture (H, W), uint8, the surest first."""
        height, width = luma.shape
        return self._look(luma, (0, 0, width, height), min(self._width / width, self._height / height), limit)

    def sharpen(self, luma: NDArray[np.uint8], face: Face) -> Face:
        """A face that ``find_all`` found, seen again in a close view where it was small in the model's input."""
        height, width = luma.shape
        scale = min(self._width / width, self._height / height)
        if face_size(face) * scale >= CLOSER_BELOW_PX:
            return face
        return self.find_near(luma, face) or face

    def find_near(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        """The face that is where ``face`` is or was a moment ago, in a close view around it; None if it is gone."""
        middle, size = face.points.mean(0), face_size(face)
        # A large face is shrunk by a whole number: OpenCV averages whole pixels several times as fast as parts of them.
        shrink = max(1, round(size / CLOSE_SIZE_PX))
        scale = 1 / shrink if shrink > 1 else max(1.0, CLOSE_SIZE_PX / size)
        extent = np.array([self._width, self._height]) / scale
        corner = np.floor(middle - extent / 2)
        left, top = np.maximum(corner, 0).astype(int)
        right, bottom = np.minimum(corner + extent, luma.shape[::-1]).astype(int)
        right, bottom = right - (right - left) % shrink, bottom - (bottom - top) % shrink
        if left >= right or top >= bottom:  # the face was in a larger picture, or at the very edge of this one
            return None
        again = self._look(luma, (left, top, right, bottom), scale, limit=2)
        near = [found for found in again if np.hypot(*(found.points.mean(0) - middle)) < SAME_FACE * size]
        return near[0] if near else None

    def _look(self, luma: NDArray[np.uint8], part: tuple[int, int, int, int], scale: float, limit: int) -> list[Face]:
        """Run the model on a part (left, top, right, bottom) of the picture; ``scale`` brings it within the input."""
        left, top, right, bottom = part
        size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self._input[:] = 0
        self._input[0, : size[1], : size[0], 0] = cv2.resize(luma[top:bottom, left:right], size, interpolation=how)
        view = View(left, top, scale)
        score, box, points = (maps[0] for maps in self._model.run(self._input))
        found = decode(score[..., 0], box, points, self._cells, self._grid.size_unit_px, self._min_score, limit)
        return [_in_picture(face, view) for face in found]


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
    min_score: float,
    limit: int,
) -> list[Face]:
    """Faces from the model's maps: score (R, C), box (R, C, 4), points (R, C, 10), cells (R, C, 2).

    ``box`` is the centre's offset from the cell in face sizes, log2 of size and log2 of width over height; ``points``
    are offsets in face sizes. Neighbouring cells that speak of the same face are averaged by their squared scores,
    which steadies the points. Coordinates are input pixels.
    """
    sure = score >= min_score
    if not sure.any():
        return []
    score, box, cells = score[sure], box[sure], cells[sure]
    size = size_unit_px * np.exp2(box[:, 2])
    corners = cells[:, None] + points[sure].reshape(-1, 5, 2) * size[:, None, None]
    middle = corners.mean(1)
    faces: list[Face] = []
    left = np.ones(len(score), bool)
    while left.any() and len(faces) < limit:
        best = int(np.argmax(np.where(left, score, -1.0)))
        apart = np.linalg.norm(middle - middle[best], axis=1) / size[best]
        weight = np.where(apart < AGREE, score**2, 0.0)
        weight /= weight.sum()
        centre = weight @ (cells + box[:, :2] * size[:, None])
        side, aspect = float(np.exp2(weight @ np.log2(size))), float(weight @ box[:, 3])
        wide, high = side * 2 ** (aspect / 2), side * 2 ** (-aspect / 2)
        shape = (float(centre[0] - wide / 2), float(centre[1] - high / 2), wide, high)
        where = np.asarray(np.tensordot(weight, corners, 1), np.float32)
        faces.append(Face(shape, where, float(score[best])))
        left &= apart > SAME_FACE
    return faces


def face_size(face: Face) -> float:
    """Square root of the box's area, pixels."""
    return float(np.sqrt(face.box[2] * face.box[3]))


def _in_picture(face: Face, view: View) -> Face:
    x, y, width, height = face.box
    corner = view.to_picture(np.array([x, y], np.float32))
    box = (float(corner[0]), float(corner[1]), width / view.scale, height / view.scale)
    return Face(box, view.to_picture(face.points), face.score)
