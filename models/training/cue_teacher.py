"""What Google's MediaPipe (Apache-2.0) measures of lids, lips and brows on the training faces.

It runs once, apart from the training, in an environment of its own (it needs numpy below 2):
``pip install mediapipe==0.10.21 pydantic``, then ``python -m models.training.cue_teacher --data ../shared/data``. Its
measures lie beside this module, so that no training needs it; its weights are in no model. No quoted face is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.cue_measures import MEASURES, write
from models.training.expression_data import read_tiles

# Source: mosaic, its table, and the table's column that has a row a face; in the order of the source's faces.
FILES = {
    "ferplus": ("train.png", "votes.npz", "train", 48),
    "affect": ("affect_train.jpg", "affect_train.npz", "label", 72),
    "raf": ("raf_train.jpg", "raf_train.npz", "label", 72),
    "expw": ("expw.jpg", "expw.npz", "label", 72),
}
TIMES = 4  # a tile is enlarged before it is looked at, and its edges are drawn on by a quarter of its side
ABOUT = "MediaPipe 0.10.21 (Apache-2.0): Face Mesh with refined eyes and lips, least confidence 0.3"

# Numbers of Face Mesh's points; left and right are those of the picture.
CORNERS = ((33, 133), (263, 362))  # of each eye, the outer one first
LIDS = (((159, 145), (158, 153), (160, 144)), ((386, 374), (385, 380), (387, 373)))
INNER_LIPS = ((13, 14), (82, 87), (312, 317))
MOUTH_CORNERS = (78, 308)
BROWS = ((55, 46), (285, 276))  # inner and outer end of the lower edge
FOREHEAD, CHIN = 10, 152


def measures(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """MEASURES (N, 4) of Face Mesh's points (N, 478, 3), whatever their unit."""

    def apart(a: int, b: int) -> NDArray[np.float32]:
        return np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=1))

    span = apart(CORNERS[0][0], CORNERS[1][0])
    up = points[:, FOREHEAD] - points[:, CHIN]
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    open_ = [
        np.mean([apart(*pair) for pair in lids], axis=0) / apart(*corners)
        for lids, corners in zip(LIDS, CORNERS, strict=True)
    ]
    # The eye that a turned head hides counts little.
    seen = [(points[:, outer, 0] - points[:, inner, 0]) ** 2 for outer, inner in CORNERS]
    lids = (open_[0] * seen[0] + open_[1] * seen[1]) / (seen[0] + seen[1] + 1e-9)
    lips = np.max([apart(*pair) for pair in INNER_LIPS], axis=0) / apart(*MOUTH_CORNERS)

    def height(of: int, over: int) -> NDArray[np.float32]:
        return np.asarray(((points[:, of] - points[:, over]) * up).sum(1) / span)

    ends = [(height(brow[0], eye[1]), height(brow[1], eye[0])) for brow, eye in zip(BROWS, CORNERS, strict=True)]
    inner, outer = np.mean(ends, axis=0)
    return np.stack([lids, lips, inner, inner - outer], 1).astype(np.float32)


def _measured(tiles: NDArray[np.uint8], mesh: Callable[..., Any]) -> NDArray[np.float32]:
    side = tiles.shape[1] * TIMES
    edge = side // 4
    table = np.full((len(tiles), len(MEASURES)), np.nan, np.float32)
    for number, tile in enumerate(tiles):
        large = cv2.resize(tile, (side, side), interpolation=cv2.INTER_CUBIC)
        framed = cv2.copyMakeBorder(large, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
        found = mesh(cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB)).multi_face_landmarks
        if found:
            points = np.array([(p.x, p.y, p.z) for p in found[0].landmark], np.float32)
            table[number] = measures(points[None])[0]
    return table


def main() -> None:
    """Measure every training face of every source."""
    import mediapipe  # noqa: PLC0415 - in no environment but its own

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("cue_measures.npz"))
    arguments = parser.parse_args()
    folder = arguments.data / "expressions"
    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.3
    )
    found = {}
    for name, (mosaic, table, column, side) in FILES.items():
        tiles = read_tiles(folder / mosaic, len(np.load(folder / table)[column]), side)
        found[name] = _measured(tiles, mesh.process)
        print(f"{name}: a face in {np.isfinite(found[name][:, 0]).mean():.1%} of {len(tiles)} tiles")
    write(arguments.out, found, ABOUT)


if __name__ == "__main__":
    main()
