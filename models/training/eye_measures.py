"""Figures of an eye model on eyes that trained nothing: people of MRL, web eyes, other heads.

The other sources' figures (``web_all``, ``mrl_all``) are of models that were trained without that source.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.domain import READABLE
from edge.vision.eyes import EyeReader
from models.training import eye_data as data
from models.training.expression_metrics import auroc

HALF = 0.5
"""Below this openness an eye counts as closed."""
SUNGLASSES_EVERY, SUNGLASSES_SEED = 5, 7
LETS_THROUGH = {"clear": (0.6, 0.9), "dim": (0.3, 0.6)}
"""Shares of infrared light that tinted glass lets through, both ways together."""
APART = 0.3
"""Lids of drawn eyes count as apart from this share of the aperture at rest: looking down leaves 0.4 to 0.5 of it."""


def measure(manifest: Path, root: Path, renders: Path) -> dict[str, float]:
    """All figures of the model at ``manifest``; what drawn eyes are needed lie in ``renders`` or are drawn there."""
    reader = EyeReader.load(VisionConfig(eye_model=manifest))
    drawn = of_renders(reader, root, renders)
    return {
        **of_mrl(reader, root),
        **of_sunglasses(reader, root),
        **of_web(reader, root),
        **drawn,
        **of_faces(reader, root),
    }


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


def of_sunglasses(reader: EyeReader, root: Path) -> dict[str, float]:
    """Sunglasses drawn over infrared eyes of the people who are only quoted: opaque ones, and ones that let it through.

    Of eyes behind the latter: how many are said to be readable, and how many of those are told rightly.
    """
    eyes = data.read_mrl(root)
    part = eyes.only(eyes.use == data.QUOTE)
    tiles, shut = part.tiles[::SUNGLASSES_EVERY], part.about["open"][::SUNGLASSES_EVERY] == 0
    rng = np.random.default_rng(SUNGLASSES_SEED)
    figures: dict[str, float] = {"sunglasses_n": len(tiles)}
    _, readable = reader.read_crops_all(np.stack([data.sunglasses(rng, tile) for tile in tiles]))
    figures["opaque_readable"] = float((readable >= READABLE).mean())
    for name, through in LETS_THROUGH.items():
        found, readable = reader.read_crops_all(np.stack([tinted(rng, tile, through) for tile in tiles]))
        told = readable >= READABLE
        figures[f"{name}_readable"] = float(told.mean())
        figures[f"{name}_accuracy"] = float(((found < HALF) == shut)[told].mean()) if told.any() else 0.0
    return figures


def tinted(rng: Generator, luma: NDArray[np.uint8], through: tuple[float, float]) -> NDArray[np.uint8]:
    """The eye (S, S) behind a lens that lets so large a share of infrared light through, from and to, and its rim."""
    side = luma.shape[0]
    centre = tuple(int(value) for value in (0.5 + rng.normal(0, 0.04, 2)) * side)
    axes = tuple(int(value * side) for value in rng.uniform((0.36, 0.28), (0.5, 0.42)))
    lens = np.zeros_like(luma)
    cv2.ellipse(lens, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    out = luma.copy()
    cv2.copyTo((luma * rng.uniform(*through)).astype(np.uint8), lens, out)
    cv2.ellipse(out, centre, axes, 0, 0, 360, float(rng.uniform(10, 60)), max(1, side // 24), cv2.LINE_AA)
    return np.asarray(out, np.uint8)


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
        "faces_readable": float((readable[told] >= READABLE).mean()),
        "faces_hidden_n": int(hidden.sum()),
        "faces_hidden_readable": float((readable[hidden] >= READABLE).mean()) if hidden.any() else 0.0,
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
