"""Keeps what a model reads of the simulated drives' pictures, so that policies can be compared in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import drives
from calibration.drives import Readings
from edge.config import QualityConfig
from edge.vision import quality


class ReadingsFolder:
    """Files of readings in ``folder``, each named by a checksum of all that they come from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(
        self,
        model: Path,
        looks: Mapping[str, NDArray[np.uint8]],
        config: QualityConfig,
        seed: int,
        make: Callable[[], Readings],
    ) -> Readings:
        """The readings of ``looks`` by the model in the file ``model``: those kept, or those that ``make`` makes."""
        path = self._folder / f"{model.stem}-{_checksum(model, looks, config, seed)}.npz"
        if path.exists():
            with np.load(path) as file:
                return Readings(*({name: file[f"{part} {name}"] for name in looks} for part in ("read", "weigh")))
        readings = make()
        self._folder.mkdir(parents=True, exist_ok=True)
        kept: dict[str, Any] = {f"read {name}": readings.probabilities[name] for name in looks}
        kept |= {f"weigh {name}": readings.weights[name] for name in looks}
        np.savez_compressed(path, **kept)
        return readings


def checksum(path: Path) -> str:
    """The first 16 digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _checksum(model: Path, looks: Mapping[str, NDArray[np.uint8]], config: QualityConfig, seed: int) -> str:
    digest = hashlib.sha256(model.read_bytes())
    for code in (drives.__file__, quality.__file__):  # how views are made and weighed
        digest.update(Path(str(code)).read_bytes())
    for name, crops in sorted(looks.items()):
        digest.update(name.encode() + crops.tobytes())
    digest.update(f"{config.model_dump_json()} {seed}".encode())
    return digest.hexdigest()[:16]
