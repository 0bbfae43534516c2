"""Reads the displayed expression of a face that has been found."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.domain import EXPRESSIONS, Face
from edge.errors import ModelError
from edge.vision.crop import CropRule, cut_crop
from edge.vision.manifest import Manifest, bundled
from edge.vision.tflite import TfliteModel


class ExpressionReader:
    """The expression model with its crop rule."""

    def __init__(self, model: TfliteModel, rule: CropRule) -> None:
        self.model = model
        self._rule = rule

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
        crop = model.manifest.crop
        if crop is None:
            raise ModelError(f"{path}: expected a [crop] section, found none")
        wanted = (1, crop.size_px, crop.size_px, 1)
        if model.manifest.input.shape != wanted:
            raise ModelError(f"{path}: expected input {wanted} for this crop, found {model.manifest.input.shape}")
        return cls(model, crop.rule())

    @property
    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self.model.manifest

    def read(self, luma: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """Probabilities (9,) in the order EXPRESSIONS for a ``face`` in the (H, W) picture; they add up to 1."""
        return self.read_crop(cut_crop(luma, face.points, self._rule))

    def read_crop(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (9,) for a crop (side, side) that was cut by the model's rule."""
        (probabilities,) = self.model.run(crop[None, :, :, None])
        flat = probabilities.reshape(-1)
        # Nine numbers in steps of 1/256 add up to 1 only nearly.
        return np.asarray(flat / max(float(flat.sum()), 1e-6), np.float32)
