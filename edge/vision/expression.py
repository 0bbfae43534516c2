"""Reads the displayed expression of a face that has been found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.compat import Self
from edge.config import VisionConfig
from edge.domain import CUE_NAMES, EXPRESSIONS, Cues, Face, FaceReading
from edge.errors import ModelError
from edge.vision.crop import CropRule, FaceView
from edge.vision.manifest import FamiliarSpec, Manifest, bundled
from edge.vision.tflite import TfliteModel

AFFECT, CUES = CUE_NAMES[:2], CUE_NAMES[2:]
SHAPES = {
    "probabilities": (1, len(EXPRESSIONS)),
    "affect": (1, len(AFFECT)),
    "cues": (1, len(CUES)),
    "largest_logit": (1, 1),
}
"""The model's outputs in their order. A model without affect and cues, which come together, is read too, and one that
does not tell its largest logit."""
_ORDERS = tuple(
    [name for name in SHAPES if name not in left_out]
    for left_out in ((), ("largest_logit",), ("affect", "cues"), ("affect", "cues", "largest_logit"))
)


class ExpressionReader:
    """The expression model with its crop rule.

    One look at a face gives all that the model says of it (``read_all``); ``read`` gives the probabilities alone.
    """

    def __init__(self, model: TfliteModel, rule: CropRule, familiar: FamiliarSpec | None = None) -> None:
        self.model = model
        self._rule = rule
        self._familiar = familiar

    @classmethod
    def load(cls, config: VisionConfig | None = None) -> Self:
        """Load the configured model, by default the bundled one.

        Raises:
            ModelError: the model or its manifest is missing, damaged, or has other classes.
            UnavailableError: no TFLite runtime.
        """
        config = config or VisionConfig()
        path = config.expression_model or bundled("expression")
        model = TfliteModel.load(path, "expression", config.runtime, config.threads)
        if model.manifest.classes != EXPRESSIONS:
            raise ModelError(f"{path}: expected classes {', '.join(EXPRESSIONS)}, found {model.manifest.classes}")
        require_outputs(path, model.manifest)
        crop = model.manifest.crop
        if crop is None:
            raise ModelError(f"{path}: expected a [crop] section, found none")
        wanted = (1, crop.size_px, crop.size_px, 1)
        if model.manifest.input.shape != wanted:
            raise ModelError(f"{path}: expected input {wanted} for this crop, found {model.manifest.input.shape}")
        return cls(model, crop.rule(), model.manifest.familiar)

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def read(self, luma: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """Probabilities (9,) in the order EXPRESSIONS for a ``face`` in the (H, W) picture; they add up to 1."""
        return self.read_all(FaceView(luma, face)).probabilities

    def read_all(self, view: FaceView) -> FaceReading:
        """Probabilities, and cues where the model tells any, of a face in a picture: one inference."""
        return self.read_crop_all(view.cut(self._rule))

    def read_crop(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (9,) for a crop (side, side) that was cut by the model's rule."""
        return _in_shares(self.model.real(0, self.model.run_raw(crop[None, :, :, None])[0]))

    def read_crop_all(self, crop: NDArray[np.uint8]) -> FaceReading:
        """Like ``read_all``, for a crop (side, side) that was cut by the model's rule."""
        probabilities, *more = self.model.run(crop[None, :, :, None])
        familiar = 1.0 if self._familiar is None else self._familiar.share(float(more.pop()[0, 0]))
        cues = Cues(*(value for part in more for value in part[0].tolist())) if more else None
        return FaceReading(_in_shares(probabilities), cues, familiar)


def _in_shares(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """As (9,) that add up to 1: nine numbers in steps of 1/256 do so only nearly."""
    flat = probabilities.reshape(-1)
    return np.asarray(flat / max(float(flat.sum()), 1e-6), np.float32)


def require_outputs(path: Path, manifest: Manifest) -> None:
    """Hold the outputs and cues of the manifest at ``path`` to those that are read here.

    Raises:
        ModelError: the model tells other things, or in another order.
    """
    found = {output.name: output.shape for output in manifest.outputs}
    if list(found) not in _ORDERS:
        ways = "; or ".join(", ".join(order) for order in _ORDERS)
        raise ModelError(f"{path}: expected outputs {ways}; found {', '.join(found)}")
    for name, shape in found.items():
        if shape != SHAPES[name]:
            raise ModelError(f"{path}: {name}: expected shape {SHAPES[name]}, found {shape}")
    if ("largest_logit" in found) != (manifest.familiar is not None):
        raise ModelError(f"{path}: expected [familiar] and the output largest_logit together, found one alone")
    if "cues" in found and manifest.cues != CUES:
        raise ModelError(f"{path}: expected cues {', '.join(CUES)}, found {', '.join(manifest.cues) or 'none'}")
