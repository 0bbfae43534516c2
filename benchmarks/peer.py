"""What people would build instead: BlazeFace and a float classifier, wired by hand with LiteRT and OpenCV.

Written as a competent user would: buffers made once, one resize, only the best anchor decoded, a crop classified.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.tflite import open_runtime

FACE_MODEL = "blazeface_short_range.tflite"
EXPRESSION_MODEL = "ferplus_small_float.tflite"
FACE_PX = 128
CROP_PX = 48
HALF_LOGIT = 0.0
"""BlazeFace's score is a logit: from here on a face is likelier than none."""


def missing(folder: Path) -> str | None:
    """Why the peer cannot be run from this folder, or None."""
    absent = [name for name in (FACE_MODEL, EXPRESSION_MODEL) if not (folder / name).exists()]
    return f"{folder}: no {' and no '.join(absent)}" if absent else None


class Peer:
    """Luma in, the strongest of eight expressions out."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._face = _load(folder / FACE_MODEL, threads)
        self._expression = _load(folder / EXPRESSION_MODEL, threads)
        self._face_input = self._face.get_input_details()[0]["index"]
        outputs = {detail["shape"][-1]: detail["index"] for detail in self._face.get_output_details()}
        self._scores, self._boxes = outputs[1], outputs[16]
        self._expression_input = self._expression.get_input_details()[0]["index"]
        self._logits = self._expression.get_output_details()[0]["index"]
        self._anchors = _anchors()
        self._square = np.zeros((FACE_PX, FACE_PX), np.uint8)

    def step(self, luma: NDArray[np.uint8]) -> int | None:
        """Number of the strongest expression in the picture (H, W); None where there is no face."""
        box = self._find(luma)
        return None if box is None else self._read(luma, box)

    def _find(self, luma: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom of the best face, pixels."""
        side = max(luma.shape)
        height, width = (round(extent * FACE_PX / side) for extent in luma.shape)
        cv2.resize(luma, (width, height), dst=self._square[:height, :width], interpolation=cv2.INTER_LINEAR)
        scaled = self._square.astype(np.float32) * (1 / 127.5) - 1.0
        self._face.set_tensor(self._face_input, np.repeat(scaled[None, :, :, None], 3, 3))
        self._face.invoke()
        scores = self._face.get_tensor(self._scores)[0, :, 0]
        best = int(scores.argmax())
        if scores[best] < HALF_LOGIT:
            return None
        x, y, w, h = (self._face.get_tensor(self._boxes)[0, best, :4] / FACE_PX * side).tolist()
        x, y = x + self._anchors[best, 0] * side, y + self._anchors[best, 1] * side
        left, top = max(0, int(x - w / 2)), max(0, int(y - h / 2))
        return left, top, min(luma.shape[1], int(x + w / 2)), min(luma.shape[0], int(y + h / 2))

    def _read(self, luma: NDArray[np.uint8], box: tuple[int, int, int, int]) -> int | None:
        left, top, right, bottom = box
        if left >= right or top >= bottom:
            return None
        crop = cv2.resize(luma[top:bottom, left:right], (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
        scaled = crop.astype(np.float32) * (1 / 255)
        self._expression.set_tensor(self._expression_input, scaled[None, :, :, None])
        self._expression.invoke()
        return int(self._expression.get_tensor(self._logits)[0].argmax())


def _anchors() -> NDArray[np.float32]:
    """Centres (896, 2) of BlazeFace's anchors, shares of the square: two for each of 16 x 16 cells, six of 8 x 8."""
    grids = []
    for cells, count in ((16, 2), (8, 6)):
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grids.append(np.repeat(np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2), count, 0))
    return np.concatenate(grids)


def _load(path: Path, threads: int) -> Any:
    interpreter = open_runtime("auto")[1](model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter
