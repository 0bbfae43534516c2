"""Reads how far each eye of a face is open, and whether that can be told at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.config import VisionConfig
from edge.domain import EYE_NAMES, Face, Reading
from edge.errors import ModelError
from edge.vision.crop import CropRule, cut_eyes, unit_px
from edge.vision.manifest import Manifest, bundled
from edge.vision.tflite import TfliteModel

EYES = 2
OUTPUT = ("eyes", (EYES, 2))
"""The model's one output: openness and readability of each eye of the batch."""
LEVEL, SPREAD = 104.0, 40.0
"""Mean and standard deviation that every crop is brought to, grey levels."""
LEAST_SPREAD = 3.0
"""A crop of less contrast than this is noise; it is not stretched as far as others."""
DIMMED = (1.0, 1.5)
"""So many standard deviations above the mean count at most, in turn: a lamp's reflection must not pass for contrast."""
LEAST_UNIT_PX = 18.0
"""Where the eyes lie nearer than this, a lid is less than half a pixel from shut to half open: nothing is read."""


class EyeReader:
    """The eye model with its crop rule. One run reads both eyes. Not thread-safe.

    Openness is a scale from 0 (closed) to 1 (as wide as at rest, or wider). 0.5 is where the lids leave a fifth of the
    aperture at rest, which PERCLOS P80 counts as closed (Wierwille et al. 1994); half the aperture reads as 0.74.
    """

    def __init__(self, model: TfliteModel, rule: CropRule) -> None:
        self.model = model
        self._rule = rule
        self._input = np.zeros(model.manifest.input.shape, np.uint8)
        self._slots = (self._input[0, :, :, 0], self._input[1, :, :, 0])

    @classmethod
    def load(cls, config: VisionConfig | None = None) -> Self:
        """Load the configured model, by default the bundled one.

        Raises:
            ModelError: the model or its manifest is missing, damaged, or tells something else.
            UnavailableError: no TFLite runtime.
        """
        config = config or VisionConfig()
        path = config.eye_model or bundled("eyes")
        model = TfliteModel.load(path, "eyes", config.runtime, config.threads)
        return cls(model, require_rule(path, model.manifest))

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def read(self, luma: NDArray[np.uint8], face: Face) -> Reading | None:
        """Openness and readability of both eyes of a ``face`` in the (H, W) picture, in the order EYE_NAMES.

        None where the face is too small to tell anything of its eyes. Eyes outside the picture are not readable.
        """
        if unit_px(face.points) < LEAST_UNIT_PX:
            return None
        answer = self._run(*cut_eyes(luma, face.points, self._rule))
        values = answer.T.reshape(-1)  # openness of both eyes, then readability of both
        height, width = luma.shape
        for eye, (x, y) in enumerate(face.points[:EYES].tolist()):
            if not (0 <= x < width and 0 <= y < height):
                values[EYES + eye] = 0.0
        return Reading(EYE_NAMES, values)

    def read_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Openness (N,), 0 closed to 1 open, of single eyes (N, S, S) of any side S, framed as the model's crops."""
        return self.read_crops_all(crops)[0]

    def read_crops_all(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Openness (N,) and readability (N,) of single eyes (N, S, S) of any side S, framed as the model's crops.

        Readability is the probability that the openness can be told: no opaque sunglasses, reflection, hair or hand in
        front of the eye, and no head turned away.
        """
        if crops.ndim != 3:
            raise ValueError(f"expected crops (N, S, S), found shape {crops.shape}")
        found = np.zeros((len(crops), 2), np.float32)
        for start in range(0, len(crops), EYES):
            pair = [fitted(crop, self._rule.size_px) for crop in crops[start : start + EYES]]
            found[start : start + len(pair)] = self._run(pair[0], pair[-1])[: len(pair)]
        return found[:, 0], found[:, 1]

    def _run(self, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Openness and readability (2, 2) of two crops of the model's size."""
        for crop, slot in zip((one, other), self._slots, strict=True):
            _level(crop, slot)
        return self.model.run(self._input)[0]


def levelled(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crop (S, S) with its mean brought to LEVEL and its standard deviation to SPREAD, cut off at 0 and 255.

    Both are those of the crop without its highlights. A dark infrared picture and a bright one then look alike, and a
    gain or an offset of the camera changes nothing.
    """
    result = np.empty_like(crop)
    _level(crop, result)
    return result


def _level(crop: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    mean, spread = _mean_and_spread(crop)
    dimmed: cv2.typing.MatLike = crop
    for most in DIMMED:
        dimmed = cv2.threshold(dimmed, mean + most * spread, 0, cv2.THRESH_TRUNC)[1]
        mean, spread = _mean_and_spread(dimmed)
    gain = SPREAD / max(spread, LEAST_SPREAD)
    cv2.addWeighted(crop, gain, crop, 0.0, LEVEL - gain * mean, dst=into)


def _mean_and_spread(crop: cv2.typing.MatLike) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(crop)
    return float(mean[0, 0]), float(spread[0, 0])


def fitted(crop: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A crop of any side brought to ``side`` pixels."""
    if crop.shape == (side, side):
        return crop
    how = cv2.INTER_AREA if min(crop.shape) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (side, side), interpolation=how), np.uint8)


def require_rule(path: Path, manifest: Manifest) -> CropRule:
    """The crop rule of the manifest at ``path``, once its tensors are held to what is read here.

    Raises:
        ModelError: the model tells other things, or has no crop rule that fits its input.
    """
    found = [(output.name, output.shape) for output in manifest.outputs]
    if found != [OUTPUT]:
        raise ModelError(f"{path}: expected output {OUTPUT[0]} {OUTPUT[1]}, found {found}")
    if manifest.crop is None:
        raise ModelError(f"{path}: expected a [crop] section, found none")
    wanted = (EYES, manifest.crop.size_px, manifest.crop.size_px, 1)
    if manifest.input.shape != wanted:
        raise ModelError(f"{path}: expected input {wanted} for this crop, found {manifest.input.shape}")
    return manifest.crop.rule()
