"""Keeps what a model reads of the simulated drives' pictures, so that policies can be compared in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration import faces, people
from calibration.drives import Readings
from calibration.faces import FaceSource
from edge.config import QualityConfig
from edge.vision import quality


class ReadingsFolder:
    """Files of readings in ``folder``, each named by a checksum of all that they come from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(
        self,
        model: Path,
        source: FaceSource,
        shots: NDArray[np.int64],
        config: QualityConfig,
        make: Callable[[], Readings],
    ) -> Readings:
        """The readings of ``shots`` (S, 5) by the model in the file ``model``: those kept, or those ``make`` makes."""
        path = self._folder / f"{model.stem}-{source.name}-{_checksum(model, source, shots, config)}.npz"
        if path.exists():
            with np.load(path) as file:
                return Readings(file["probabilities"], file["weights"])
        readings = make()
        self._folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, probabilities=readings.probabilities, weights=readings.weights)
        return readings


def checksum(path: Path) -> str:
    """The first 16 digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _checksum(model: Path, source: FaceSource, shots: NDArray[np.int64], config: QualityConfig) -> str:
    digest = hashlib.sha256(model.read_bytes())
    for code in (people.__file__, faces.__file__, quality.__file__):  # how pictures are made and weighed
        digest.update(Path(str(code)).read_bytes())
    digest.update(source.crops.tobytes() + shots.tobytes() + config.model_dump_json().encode())
    return digest.hexdigest()[:16]
