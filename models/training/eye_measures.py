"""Figures of an eye model on eyes that trained nothing: people of MRL, web eyes, other heads.

The other sources' figures (``web_all``, ``mrl_all``) are of models that were trained without that source.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.vision.eyes import EyeReader
from models.training import eye_data as data
from models.training.expression_metrics import auroc

HALF = 0.5
"""Below this openness an eye counts as closed."""
APART = 0.3
"""Lids of drawn eyes count as apart from this share of the aperture at rest: looking down leaves 0.4 to 0.5 of it."""


def measure(manifest: Path, root: Path, renders: Path) -> dict[str, float]:
    """All figures of the model at ``manifest``; what drawn eyes are needed lie in ``renders`` or are drawn there."""
    reader = EyeReader.load(VisionConfig(eye_model=manifest))
    drawn = of_renders(reader, root, renders)
    return {**of_mrl(reader, root), **of_web(reader, root), **drawn, **of_faces(reader, root)}


def of_mrl(reader: EyeReader, root: Path) -> dict[str, float]:
    """Infrared eyes of the people who are only quoted: all, with glasses, with reflections."""
    eyes = data.read_mrl(root)
    part = eyes.only(eyes.use == data.QUOTE)
    found = reader.read_crops(part.tiles)
    shut = part.about["open"] == 0
    figures = {f"mrl_{name}": value for name, value in of_closed(found, shut).items()}
    for name, chosen in (
        ("glasses", part.about["glasses"] > 0),
        ("reflections", part.about["reflections"] > 0),
        ("bare", part.about["glasses"] == 0),
    ):
        figures |= {f"mrl_{name}_{key}": value for key, value in of_closed(found[chosen], shut[chosen]).items()}
    people = part.about["subject"]
    right = (found < HALF) == shut
    figures["mrl_worst_person"] = min(float(right[people == who].mean()) for who in np.unique(people))
    return figures


def of_web(reader: EyeReader, root: Path) -> dict[str, float]:
    """Web eyes that are only quoted."""
    eyes = data.read_web(root)
    found, shut = reader.read_crops(eyes.tiles), eyes.about["open"] == 0
    part = eyes.use == data.QUOTE
    return {f"web_{name}": value for name, value in of_closed(found[part], shut[part]).items()} | {
        "web_all_n": len(found),
        "web_all_accuracy": of_closed(found, shut)["accuracy"],
    }


def of_renders(reader: EyeReader, root: Path, folder: Path) -> dict[str, float]:
    """Drawn eyes of heads that no training saw: order, error, lowered gazes and squints taken for closed."""
    eyes = data.as_eyes(data.cached_renders(root, data.TEST_RENDERS, 2, folder), data.QUOTE, 0)
    found = reader.read_crops(eyes.tiles)
    aperture = eyes.about["aperture"] / 1000
    ahead = eyes.about["ahead"] > 0
    seen = (aperture > APART) & ahead
    shut = (eyes.about["closed"] > 0) & ahead
    figures = {f"renders_{name}": value for name, value in of_closed(found[seen | shut], shut[seen | shut]).items()}
    figures["renders_rank"] = rank_correlation(found[ahead], aperture[ahead])
    for name in ("down", "squint"):
        chosen = (eyes.about[name] > 0) & seen
        figures[f"{name}_n"] = int(chosen.sum())
        figures[f"{name}_closed"] = float((found[chosen] < HALF).mean())
    return figures


def of_faces(reader: EyeReader, root: Path) -> dict[str, float]:
    """Held-out portraits and drivers whose eyes were told by eye: open, lowered, closed and hidden ones."""
    eyes = data.read_faces(root)
    part = eyes.only(eyes.use == data.QUOTE)
    if not len(part.tiles):
        return {}
    found, readable = reader.read_crops_all(part.tiles)
    told, hidden = part.readable > 0, part.readable == 0
    opened, lowered, shut = told & (part.low == data.OPEN[0]), told & (part.low == data.LOWERED[0]), part.high < HALF
    return {
        "faces_open_n": int(opened.sum()),
        "faces_open_closed": float((found[opened] < HALF).mean()),
        "faces_lowered_n": int(lowered.sum()),
        "faces_lowered_closed": float((found[lowered] < HALF).mean()) if lowered.any() else 0.0,
        "faces_closed_n": int(shut.sum()),
        "faces_closed_found": float((found[shut] < HALF).mean()) if shut.any() else 0.0,
        "faces_readable": float((readable[told] >= HALF).mean()),
        "faces_hidden_n": int(hidden.sum()),
        "faces_hidden_readable": float((readable[hidden] >= HALF).mean()) if hidden.any() else 0.0,
    }


def of_closed(found: NDArray[np.float32], shut: NDArray[np.bool_]) -> dict[str, float]:
    """Number, accuracy, F1 of closed eyes and AUROC of openness ``found`` (N,) for eyes that are ``shut`` (N,)."""
    said = found < HALF
    hit = float((said & shut).sum())
    return {
        "n": len(found),
        "accuracy": float((said == shut).mean()),
        "f1": 2 * hit / max(float(said.sum() + shut.sum()), 1.0),
        "auroc": auroc(1 - found, shut),
    }


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Spearman's rank correlation, ties in the order they stand."""
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
