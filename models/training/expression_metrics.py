"""The figures of an expression model: accuracy, recall, AUROC, calibration, and a driver's confusions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS

ANGER = EXPRESSIONS.index("anger")
FEAR = EXPRESSIONS.index("fear")
SADNESS = EXPRESSIONS.index("sadness")
YAWN = EXPRESSIONS.index("yawn")


def label_a(votes: NDArray[np.float32]) -> NDArray[np.int64]:
    """Protocol A: the most-voted of ten columns, the first on a tie; -1 where that is no expression."""
    winner = votes.argmax(1)
    return np.where(winner < 8, winner, -1)


def label_b(votes: NDArray[np.float32]) -> NDArray[np.int64]:
    """Protocol B (FER+ 'majority'): single votes are dropped, then the winner must hold more than half; else -1."""
    kept = np.where(votes > 1, votes, 0)
    winner = kept.argmax(1)
    majority = kept.max(1) > 0.5 * kept.sum(1)
    return np.where(majority & (winner < 8), winner, -1)


def eight(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The eight crowd-voted expressions alone, renormalised: ``yawn`` is left out."""
    kept = probabilities[:, :8]
    return kept / np.maximum(kept.sum(1, keepdims=True), 1e-6)


def auroc(score: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by the rank sum (Mann and Whitney 1947), ties counted half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    hits = int(positive.sum())
    misses = len(score) - hits
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def concordance(answer: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Concordance correlation coefficient (Lin 1989) of answers (N,) with true values (N,)."""
    apart = float(answer.mean() - true.mean())
    together = float(((answer - answer.mean()) * (true - true.mean())).mean())
    return 2 * together / (float(answer.var()) + float(true.var()) + apart**2)


def calibration_error(probabilities: NDArray[np.float32], label: NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error of the top probability (Guo et al. 2017), equal-width bins."""
    top = probabilities.max(1)
    right = probabilities.argmax(1) == label
    which = np.clip((top * bins).astype(int), 0, bins - 1)
    gaps = [abs(right[which == b].mean() - top[which == b].mean()) * (which == b).sum() for b in np.unique(which)]
    return float(sum(gaps) / len(label))


def crowd_figures(probabilities: NDArray[np.float32], votes: NDArray[np.float32]) -> dict[str, float]:
    """All still-image figures, from nine-class probabilities (N, 9) and votes (N, 10)."""
    seen = eight(probabilities)
    a, b = label_a(votes), label_b(votes)
    on_a, on_b = a >= 0, b >= 0
    guess = seen.argmax(1)
    figures = {
        "n_a": float(on_a.sum()),
        "n_b": float(on_b.sum()),
        "accuracy_a": float((guess == a)[on_a].mean()),
        "accuracy_b": float((guess == b)[on_b].mean()),
        "auroc_anger": auroc(seen[on_a, ANGER], a[on_a] == ANGER),
        "auroc_distress": auroc(seen[on_a][:, [FEAR, SADNESS]].sum(1), np.isin(a[on_a], (FEAR, SADNESS))),
        "calibration_error": calibration_error(seen[on_a], a[on_a]),
    }
    for index, name in enumerate(EXPRESSIONS[:8]):
        shown = a == index
        figures[f"recall_{name}"] = float((guess == index)[shown].mean()) if shown.any() else float("nan")
    return figures


def driver_figures(probabilities: NDArray[np.float32], yawn: NDArray[np.bool_]) -> dict[str, float]:
    """The driver's confusions: yawns taken for anger, calm drivers taken for something else."""
    distress = probabilities[:, FEAR] + probabilities[:, SADNESS]
    anger = probabilities[:, ANGER]
    calm = ~yawn
    yawning = probabilities.argmax(1) == YAWN
    return {
        "n_yawn": float(yawn.sum()),
        "n_calm": float(calm.sum()),
        "yawn_called_anger": float((anger[yawn] > 0.5).mean()),
        "yawn_called_distress": float((distress[yawn] > 0.5).mean()),
        "yawn_recall": float(yawning[yawn].mean()),
        "calm_called_yawn": float(yawning[calm].mean()),
        "calm_called_alarm": float(((anger > 0.5) | (distress > 0.5))[calm].mean()),
    }
