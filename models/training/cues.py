"""Faces whose cues somebody labelled by eye, to hold a reader of cues against. Nothing is trained on them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.domain import CUE_NAMES
from models.training.expression_data import read_tiles
from models.training.expression_metrics import auroc

AFFECT, CUES = CUE_NAMES[:2], CUE_NAMES[2:]
LABELS = Path(__file__).with_name("face_cues.csv")
TILE_PX = 72


@dataclass(frozen=True)
class CueFaces:
    """Tiles (N, 72, 72) uint8 and what they show (N, 5) in the order of CUES: 1, 0, or NaN where it cannot be told."""

    tiles: NDArray[np.uint8]
    shown: NDArray[np.float32]


def read_cue_faces(root: Path, labels: Path = LABELS) -> CueFaces:
    """The labelled faces among the tiles of ``root``.

    Raises:
        SystemExit: a source of the labels is not there.
    """
    with labels.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    tiles = {source: _tiles(root / "expressions", source) for source in sorted({row["source"] for row in rows})}
    shown = np.array([[float(row[cue] or "nan") for cue in CUES] for row in rows], np.float32)
    return CueFaces(np.stack([tiles[row["source"]][int(row["face"])] for row in rows]), shown)


def _tiles(folder: Path, source: str) -> NDArray[np.uint8]:
    table = folder / f"{source}.npz"
    if not table.exists():
        raise SystemExit(f"{table}: no such file, but faces of it are labelled")
    with np.load(table) as stored:
        return read_tiles(folder / f"{source}.jpg", len(stored["label"]), TILE_PX)


def cue_figures(answers: NDArray[np.float32], shown: NDArray[np.float32]) -> dict[str, float]:
    """AUROC of each cue by what a reader answers (N, 5), over the faces on which it can be told."""
    known = ~np.isnan(shown)
    return {f"auroc_{cue}": auroc(answers[known[:, n], n], shown[known[:, n], n] > 0) for n, cue in enumerate(CUES)}
