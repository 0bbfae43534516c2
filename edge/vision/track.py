"""Says where a face that was seen a moment ago is now, with a model that is a fraction of the face model's size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.config import VisionConfig
from edge.domain import Face
from edge.errors import ModelError
from edge.vision.face import face_middle, face_size
from edge.vision.manifest import Manifest, WindowSpec, bundled
from edge.vision.shrink import halve
from edge.vision.tflite import TfliteModel

NUMBERS = 14
"""Of each answer: x, y of the five points, x, y of the box's middle, log2 of its size, log2 of width over height."""
ASPECT = 0.5
"""What is told of the box's shape is log2 of width over height plus this, which is near 0 for most faces."""
VOTES = 4
"""The model answers so many times: each number is rounded to a 256th of its range, and their mean to less."""
SURE = (1, 2)
"""Shape of the output that says how likely there is a face, and how likely the points are true."""
SAME_WINDOW = 0.03
"""A window is kept until it would move, grow or shrink by more than this share of its side."""
COARSEST = 1.5
"""Pixels of a window that is not halved once more lie no farther apart than this many of the picture's."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a picture: its first column and row, and its side, in pixels; it may reach beyond the picture."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, face: Face, span: float, size_px: int) -> Self:
        """The window of ``span`` face sizes around a face's points, such that it halves evenly towards ``size_px``."""
        x, y = face_middle(face)
        wanted = span * face_size(face)
        factor = halvings(wanted, size_px)
        side = max(1, round(wanted / factor)) * factor
        return cls(round(x - (side - 1) / 2), round(y - (side - 1) / 2), side)

    def is_about(self, other: Window) -> bool:
        """Whether the other window shows about the same, so that it may be kept."""
        most, middle = SAME_WINDOW * self.side, (self.side - other.side) / 2
        off_x, off_y = self.left - other.left + middle, self.top - other.top + middle
        return abs(off_x) <= most and abs(off_y) <= most and abs(self.side - other.side) <= most


def halvings(side: float, size_px: int) -> int:
    """By what a window of this side is shrunk (1, 2, 4 …) before it is brought to ``size_px`` pixels."""
    factor = 1
    while side >= factor * COARSEST * size_px:
        factor *= 2
    return factor


def cut_window(luma: NDArray[np.uint8], window: Window, into: NDArray[np.uint8]) -> None:
    """Put what a window shows of the picture (H, W) into (S, S) pixels; black where it reaches beyond the picture."""
    left, top, side = window.left, window.top, window.side
    part = luma[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if part.shape != (side, side):
        whole = np.zeros((side, side), np.uint8)
        x, y = max(-left, 0), max(-top, 0)
        whole[y : y + part.shape[0], x : x + part.shape[1]] = part
        part = whole
    small, _ = halve(part, halvings(side, into.shape[0]))
    cv2.resize(small, into.shape, dst=into, interpolation=cv2.INTER_LINEAR)


def read_answer(numbers: list[float], window: Window, span: float, score: float) -> Face:
    """The face that the model's fourteen numbers speak of, which are in face sizes from the window's middle."""
    size = window.side / span
    x, y = window.left + (window.side - 1) / 2, window.top + (window.side - 1) / 2
    points = np.array(numbers[:10], np.float32).reshape(5, 2) * size + np.array([x, y], np.float32)
    box_x, box_y, log_size, log_aspect = numbers[10:]
    side = size * 2**log_size
    shape = 2 ** ((log_aspect - ASPECT) / 2)
    wide, high = side * shape, side / shape
    return Face((x + box_x * size - wide / 2, y + box_y * size - high / 2, wide, high), points, score)


def answer_for(face: Face, window: Window, span: float) -> list[float]:
    """What the model shall say of a face in a window: the inverse of ``read_answer``."""
    size = window.side / span
    middle = np.array([window.left, window.top], np.float32) + (window.side - 1) / 2
    left, top, wide, high = face.box
    offsets = (np.vstack([face.points, [[left + wide / 2, top + high / 2]]]) - middle) / size
    return [*offsets.reshape(-1).tolist(), math.log2(face_size(face) / size), math.log2(wide / high) + ASPECT]


class FaceTracker:
    """The model that follows a face. Not thread-safe.

    It keeps nothing but its last window: where a face hardly moves the window stays, and with it what is seen in it.
    """

    def __init__(self, model: TfliteModel, window: WindowSpec) -> None:
        self.model = model
        self._span, self._least_trust, self._min_score = window.span, window.least_trust, model.manifest.min_score
        self._input = np.zeros(model.manifest.input.shape, np.uint8)
        self._shown = self._input[0, :, :, 0]
        self._window = Window(0, 0, 1)

    @classmethod
    def load(cls, config: VisionConfig | None = None) -> Self:
        """Load the configured model, by default the bundled one.

        Raises:
            ModelError: the model or its manifest is missing, damaged, or tells something else.
            UnavailableError: no TFLite runtime.
        """
        config = config or VisionConfig()
        path = config.follow_model or bundled("follow")
        model = TfliteModel.load(path, "follow", config.runtime, config.threads)
        return cls(model, require_window(path, model.manifest))

    @classmethod
    def wanted(cls, config: VisionConfig) -> Self | None:
        """The tracker that a configuration asks for, if it asks for one; raises what ``load`` raises."""
        return cls.load(config) if config.tracking else None

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def track(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        """Where in the picture (H, W) the ``face`` of a moment ago is; None where that is not sure."""
        found, trust = self.look(luma, face)
        return found if found.score >= self._min_score and trust >= self._least_trust else None

    def look(self, luma: NDArray[np.uint8], face: Face) -> tuple[Face, float]:
        """What the model makes of the place where the ``face`` was a moment ago, and how much the points are trusted.

        Its score says how likely it is a face at all.
        """
        window = Window.around(face, self._span, len(self._shown))
        if window.is_about(self._window):
            window = self._window
        self._window = window
        cut_window(luma, window, self._shown)
        sure, answers = self.model.run(self._input)
        (score, trust), numbers = sure[0].tolist(), (answers[0].sum(0) / VOTES).tolist()
        return read_answer(numbers, window, self._span, score), trust


def require_window(path: Path, manifest: Manifest) -> WindowSpec:
    """The window of the manifest at ``path``, once its tensors are held to what is read here.

    Raises:
        ModelError: the model tells other things, or its manifest does not say what part of a picture it sees.
    """
    found = [(output.name, output.shape) for output in manifest.outputs]
    wanted = [("sure", SURE), ("answers", (1, VOTES, NUMBERS))]
    if found != wanted:
        raise ModelError(f"{path}: expected outputs {wanted}, found {found}")
    side = manifest.input.shape[1]
    if manifest.input.shape != (1, side, side, 1):
        raise ModelError(f"{path}: expected a square input of one picture, found {manifest.input.shape}")
    if manifest.window is None:
        raise ModelError(f"{path}: expected a [window] section, found none")
    return manifest.window
