"""The figures of an expression model by source: faces of several data sets that no training and no choice saw."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from models.training.expression_data import read_votes
from models.training.expression_metrics import ANGER, FEAR, SADNESS, auroc, label_a
from models.training.fairness import Share
from models.training.scoreboard import Row, Want, percent
from models.training.sources import NEUTRAL, QUOTED_FOLD, cut_by_the_board, read_labelled

SHOWN = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
MOUTHS = Path(__file__).with_name("anger_mouths.csv")
FALSE_ALARM = Want(0.03, at_least=False, floor=0.05)
FALSE_ROW = percent("neutral_alarm", "neutral faces called angry or distressed (P > 0.5), %", FALSE_ALARM)


@dataclass(frozen=True)
class Quoted:
    """Crops (N, SIDE, SIDE), or tiles, of one source with one label each (N,), in the order of EXPRESSIONS.

    ``restrained`` (N,) marks angry faces whose mouth is closed, where somebody looked.
    """

    crops: NDArray[np.uint8]
    label: NDArray[np.int64]
    restrained: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Asked:
    """A source's words and what is wanted of a model on it."""

    title: str
    rows: tuple[Row, ...]


def _asked(title: str, *wanted: Row) -> Asked:
    """All figures of a source, with the ``wanted`` ones in the place of those that nothing is wanted of."""
    told = {row.key: row for row in wanted}
    plain = (
        percent("accuracy", "accuracy, %"),
        percent("balanced", "balanced accuracy, %"),
        *(percent(f"recall_{name}", f"{name} found, %") for name in SHOWN),
        percent("restrained_anger", "anger found where the mouth is closed, %"),
        percent("fear_low", "fear found, 95 % interval from, %"),
        percent("fear_high", "fear found, 95 % interval to, %"),
        Row("auroc_anger", "anger AUROC"),
        Row("auroc_distress", "distress AUROC"),
        FALSE_ROW,
    )
    return Asked(title, tuple(told.get(row.key, row) for row in plain))


def _least(key: str, label: str, want: float, floor: float) -> Row:
    return percent(key, label, Want(want, at_least=True, floor=floor))


ASKED: dict[str, Asked] = {
    "affect": _asked(
        "AffectNet faces, without the part with weak labels",
        _least("balanced", "balanced accuracy, %", 0.64, 0.59),
        _least("recall_anger", "anger found, %", 0.62, 0.56),
        _least("recall_fear", "fear found, %", 0.54, 0.47),
        _least("recall_sadness", "sadness found, %", 0.62, 0.56),
        _least("restrained_anger", "anger found where the mouth is closed, %", 0.50, 0.40),
    ),
    "raf": _asked(
        "RAF-DB faces of the fold that is only quoted",
        _least("accuracy", "accuracy, %", 0.88, 0.84),
        _least("recall_anger", "anger found, %", 0.80, 0.74),
        _least("recall_fear", "fear found, %", 0.58, 0.48),
    ),
    "ferplus": _asked("FER+ validation faces, protocol A"),
}


def read_quoted(root: Path) -> dict[str, Quoted]:
    """The quoted faces of every source under ``root``, by the names in ``ASKED``; tiles as the board cuts them."""
    found = {name: replace(faces, crops=cut_by_the_board(faces.crops)) for name, faces in quoted_tiles(root).items()}
    if (root / "expressions/valid.png").exists():
        crops, votes = read_votes(root, "valid")
        label = label_a(votes)
        found["ferplus"] = Quoted(crops[label >= 0], label[label >= 0])
    return found


def quoted_tiles(root: Path) -> dict[str, Quoted]:
    """The same of the sources whose tiles show more than the crop, as tiles (N, TILE_PX, TILE_PX)."""
    folder = root / "expressions"
    found = {}
    if (folder / "affect_valid.npz").exists():
        table = np.load(folder / "affect_valid.npz")
        tiles = read_labelled(folder / "affect_valid.jpg", len(table["label"]))
        sure = ~table["ffhq"].astype(bool)
        closed = np.isin(np.arange(len(sure)), closed_mouths(MOUTHS))
        found["affect"] = Quoted(tiles[sure], table["label"][sure].astype(np.int64), closed[sure])
    if (folder / "raf_train.npz").exists():
        table = np.load(folder / "raf_train.npz")
        tiles = read_labelled(folder / "raf_train.jpg", len(table["label"]))
        kept = table["fold"] == QUOTED_FOLD
        found["raf"] = Quoted(tiles[kept], table["label"][kept].astype(np.int64))
    return found


def closed_mouths(path: Path) -> NDArray[np.int64]:
    """Numbers of the tiles of AffectNet's quoted faces that are angry with a closed mouth, as labelled by eye."""
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([int(row["face"]) for row in csv.DictReader(file) if row["mouth"] == "closed"], np.int64)


def quoted_figures(probabilities: NDArray[np.float32], faces: Quoted) -> dict[str, float]:
    """Figures of nine-class ``probabilities`` (N, 9) for quoted ``faces``."""
    figures = source_figures(probabilities, faces.label)
    shown = faces.restrained
    if shown is not None and shown.any():
        angry = probabilities[shown][:, : len(SHOWN)].argmax(1) == ANGER
        figures |= {"restrained_anger": float(angry.mean()), "n_restrained_anger": float(shown.sum())}
    return figures


def source_figures(probabilities: NDArray[np.float32], label: NDArray[np.int64]) -> dict[str, float]:
    """Figures of nine-class ``probabilities`` (N, 9) for one ``label`` a face (N,).

    Classes that the source has none of cannot be answered. Alarms are counted on the nine probabilities as they are.
    """
    classes = np.unique(label)
    kept = probabilities[:, classes]
    kept = kept / np.maximum(kept.sum(1, keepdims=True), 1e-6)
    guess = classes[kept.argmax(1)]
    place = {int(one): at for at, one in enumerate(classes)}

    def score(*wanted: int) -> NDArray[np.float32]:
        return np.asarray(kept[:, [place[one] for one in wanted if one in place]].sum(1), np.float32)

    recalls = {int(one): float((guess[label == one] == one).mean()) for one in classes}
    distress = probabilities[:, FEAR] + probabilities[:, SADNESS]
    alarm = (probabilities[:, ANGER] > 0.5) | (distress > 0.5)
    figures = {
        "n": float(len(label)),
        "accuracy": float((guess == label).mean()),
        "balanced": float(np.mean(list(recalls.values()))),
    }
    figures |= {f"recall_{EXPRESSIONS[one]}": value for one, value in recalls.items()}
    figures |= {f"n_{EXPRESSIONS[one]}": float((label == one).sum()) for one in recalls}
    afraid = label == FEAR
    if afraid.any():
        share = Share(int((guess[afraid] == FEAR).sum()), int(afraid.sum()))
        figures["fear_low"], figures["fear_high"] = share.interval()
    for name, positive in (("anger", (ANGER,)), ("distress", (FEAR, SADNESS))):
        shown = np.isin(label, positive)
        if shown.any() and not shown.all():
            figures[f"auroc_{name}"] = auroc(score(*positive), shown)
    if (label == NEUTRAL).any():
        figures["neutral_alarm"] = float(alarm[label == NEUTRAL].mean())
    return figures


def present(name: str, models: Mapping[str, Mapping[str, float]]) -> tuple[Row, ...]:
    """The rows of a source for which any of the models has a figure."""
    return tuple(row for row in ASKED[name].rows if any(row.key in figures for figures in models.values()))
