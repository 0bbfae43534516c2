"""What a teacher measured on the training faces, in one small file, and what that says of their cues.

``cue_measures.npz`` holds for each source (N, 4) uint8 in the order of its faces; 0 is what was not seen, 1 to 255 the
measure's span. ``cue_teacher.py`` wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from models.training.answers import read_codes, write_codes

FILE = Path(__file__).with_name("cue_measures.npz")
MEASURES = ("lids", "lips", "brow", "slope")
"""How far apart the lids are, of an eye's width; the inner lips, of the mouth's; how high the brows' inner ends stand
over the eyes' inner corners, of the distance from outer corner to outer corner, and how much higher than the outer ends
over theirs."""
SPANS = ((0.0, 0.6), (0.0, 1.0), (-0.1, 0.5), (-0.3, 0.3))

# Where a measure turns from no to yes, and how gently; lids and lips as 120 training faces show, looked at by eye.
LIDS_LOWERED = (0.20, -0.02)
LIPS_MEET = (0.055, -0.02)
JAWS_APART = (0.26, 0.05)  # bared teeth alone part the lips by up to 0.3
# RAF-DB's faces are drawn so much wider than they are: their height over their width is 1.03, of AffectNet's 1.20.
WIDENED = {"raf": 1.16}
# Logistic regression on 118 training faces whose brows were labelled by eye; "startled" is surprise or fear.
BROW = {"brow": -13.957, "slope": -12.474}
BROW_BY_EXPRESSION = {
    "anger": 4.2415,
    "disgust": 3.3946,
    "happiness": -1.3754,
    "surprise": -1.2985,
    "fear": -1.2985,
    "sadness": 2.5928,
}
BROW_OFFSET = 0.4157
# Degrees on Russell's circumplex (1980): happy, astonished, afraid and sad; anger between angry, annoyed and
# frustrated, disgust at distressed, contempt between frustrated and unpleasant. Neutral lies in the middle.
CIRCUMPLEX_DEG = {
    "happiness": 7.8,
    "surprise": 69.8,
    "fear": 116.0,
    "anger": 121.0,
    "disgust": 138.0,
    "contempt": 150.0,
    "sadness": 207.5,
}
INTENSITY = 0.7  # how far from the middle a typical face of one expression lies
YAWN = (0.0, -0.3)  # sleepy


@dataclass(frozen=True)
class Measured:
    """Measures (N, 4) float32 by the name of the source, NaN for what was not seen, and what measured."""

    by_source: dict[str, NDArray[np.float32]]
    about: str


def write(path: Path, by_source: Mapping[str, NDArray[np.float32]], about: str) -> None:
    """Write measures (N, 4), NaN where nothing was seen."""
    low, high = np.array(SPANS, np.float32).T
    codes = {}
    for name, values in by_source.items():
        steps = 1 + np.round(254 * np.clip((values - low) / (high - low), 0, 1))
        codes[name] = np.nan_to_num(steps, nan=0).astype(np.uint8)
    write_codes(path, codes, about)


def read(path: Path, counts: Mapping[str, int]) -> Measured:
    """The measures of sources of ``counts`` faces; sources that were not measured are missing.

    Raises:
        SystemExit: the file cannot be read, or is of other faces.
    """
    codes, about = read_codes(path, counts, "measures of faces", "measures")
    low, high = np.array(SPANS, np.float32).T
    found = {}
    for name, values in codes.items():
        real = low + (high - low) * (values.astype(np.float32) - 1) / 254
        found[name] = np.where(values == 0, np.nan, real).astype(np.float32)
    return Measured(found, about)


def cue_targets(
    measured: NDArray[np.float32], expression: NDArray[np.float32], widened: float = 1.0
) -> NDArray[np.float32]:
    """How likely each of CUES but the hand is, (N, 4), by measures (N, 4) and by what the face expresses, (N, 9).

    The faces are drawn ``widened`` times as wide as they are. NaN where nothing was measured.
    """
    lids, lips, brow, slope = measured.T * widened
    brows = BROW_OFFSET + BROW["brow"] * brow + BROW["slope"] * slope
    for name, weight in BROW_BY_EXPRESSION.items():
        brows = brows + weight * expression[:, EXPRESSIONS.index(name)]
    turns = ((lids, LIDS_LOWERED), (lips, LIPS_MEET), (lips, JAWS_APART))
    scores = np.stack([brows, *((value - at) / per for value, (at, per) in turns)], 1)
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -30, 30))), np.float32)


def affect_targets(expression: NDArray[np.float32]) -> NDArray[np.float32]:
    """Valence and arousal (N, 2), -1 to 1, of soft labels (N, 9): where the expressions lie on the circumplex."""
    return np.asarray(expression @ circumplex(), np.float32)


def circumplex() -> NDArray[np.float32]:
    """Valence and arousal of each of EXPRESSIONS, (9, 2)."""
    places = np.zeros((len(EXPRESSIONS), 2), np.float32)
    for name, angle in CIRCUMPLEX_DEG.items():
        places[EXPRESSIONS.index(name)] = INTENSITY * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    places[EXPRESSIONS.index("yawn")] = YAWN
    return places
