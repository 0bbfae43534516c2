"""How well cues, valence and arousal are read: on faces labelled by eye, and on generated ones of known valence.

Nothing is trained and nothing chosen on either.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.domain import CUE_NAMES
from models.training.expression_data import read_tiles
from models.training.expression_metrics import auroc, concordance
from models.training.scoreboard import Row, Want
from models.training.sources import TILE_PX, cut_by_the_board, read_labelled

ReadCues = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""A crop (SIDE, SIDE) to valence, arousal and the cues (7,)."""

AFFECT, CUES = CUE_NAMES[:2], CUE_NAMES[2:]
LABELS = Path(__file__).with_name("face_cues.csv")
DRAWS = 1000  # of the bootstrap
AGREED = Want(0.90, at_least=True, floor=0.85)
ROWS: tuple[Row, ...] = (
    *(Row(f"auroc_{cue}", f"{cue.replace('_', ' ')}, AUROC", want=AGREED) for cue in CUES),
    Row("ccc_valence", "valence, concordance on generated faces", want=Want(0.6, at_least=True)),
    Row("ccc_arousal", "arousal, concordance on generated faces", want=Want(0.4, at_least=True)),
)


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
    """AUROC of each cue by what a reader answers (N, 5), over the faces on which it can be told.

    With each come its 95 % interval, by a bootstrap over faces that show the cue and faces that do not (Efron 1979),
    and how many of how many show it.
    """
    rng = np.random.default_rng(1)
    figures = {}
    for number, cue in enumerate(CUES):
        known = ~np.isnan(shown[:, number])
        score, yes = answers[known, number], shown[known, number] > 0
        figures[f"auroc_{cue}"] = auroc(score, yes)
        with_, without = np.flatnonzero(yes), np.flatnonzero(~yes)
        drawn = [np.r_[rng.choice(with_, len(with_)), rng.choice(without, len(without))] for _ in range(DRAWS)]
        low, high = np.percentile([auroc(score[pick], yes[pick]) for pick in drawn], [2.5, 97.5])
        figures |= {f"low_{cue}": float(low), f"high_{cue}": float(high)}
        figures |= {f"n_{cue}": float(yes.sum()), f"of_{cue}": float(len(yes))}
    return figures


def measure_cues(read: ReadCues, root: Path) -> dict[str, float]:
    """All figures of a reader of cues, of the files that lie under ``root``; none where there are none."""
    figures: dict[str, float] = {}
    folder = root / "expressions"
    if (folder / "affect_valid.npz").exists() and (folder / "raf_train.npz").exists():
        faces = read_cue_faces(root)
        answers = np.stack([read(crop) for crop in cut_by_the_board(faces.tiles)])
        figures |= cue_figures(answers[:, len(AFFECT) :], faces.shown)
    if (folder / "drawn.npz").exists():
        with np.load(folder / "drawn.npz") as table:
            true = table["valence_arousal"].astype(np.float32)
        answers = np.stack([read(crop) for crop in cut_by_the_board(read_labelled(folder / "drawn.jpg", len(true)))])
        figures |= {f"ccc_{name}": concordance(answers[:, n], true[:, n]) for n, name in enumerate(AFFECT)}
    return figures


def interval(figures: dict[str, float], key: str) -> str:
    """The interval of a cue's AUROC and the faces it was measured on, in words; empty for another figure."""
    cue = key.removeprefix("auroc_")
    if f"low_{cue}" not in figures:
        return ""
    low, high, count, of = (figures[f"{part}_{cue}"] for part in ("low", "high", "n", "of"))
    return f"{low:.3f} to {high:.3f}; {count:.0f} of {of:.0f}"
