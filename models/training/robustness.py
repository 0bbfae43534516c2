"""How the expression model bears what a cabin does to a picture: accuracy under each corruption, by strength.

``python -m models.training.robustness --data ../shared/data --json robustness.json --plot robustness.png``. Each model
sees the same corrupted faces: the chance in a corruption is drawn by condition and face. Most of the kinds are among
those that training draws from, so this says how much is lost by them, not how an unknown one is borne.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edge.figure import new_figure
from edge.vision.manifest import bundled, load_manifest
from models.training import augment
from models.training.expression_data import CROP_RULE, SIDE
from models.training.expression_metrics import ANGER, crowd_figures, eight, label_a
from models.training.expression_readers import OURS, Candidate, open_candidates
from models.training.expression_trial import Trial, add_arguments, float_file, read_trial
from models.training.scoreboard import Row, percent, show_list, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Luma = NDArray[np.uint8]
Change = Callable[[Generator, Luma], Luma]

STRENGTHS = (1 / 3, 2 / 3, 1.0)
MARKS = (("o", "#c1121f"), ("x", "#1d5fa8"), ("s", "#8d8d8d"))
CLEAN = "as it is"
EYE_Y = CROP_RULE.centre_y - CROP_RULE.unit / 2
MOUTH_Y = CROP_RULE.centre_y + CROP_RULE.unit / 2


@dataclass(frozen=True)
class Condition:
    """One corruption at one strength."""

    family: str
    level: str
    change: Change

    @property
    def name(self) -> str:
        """Family and level."""
        return f"{self.family} {self.level}".strip()


def conditions() -> list[Condition]:
    """Everything that is tried, the untouched face first."""
    corruptions = (*augment.LIGHT, *augment.SENSOR, *augment.COVER)
    graded = [
        Condition(corruption.__name__.replace("_", " "), f"{strength:.2f}", _at(corruption, strength))
        for corruption in corruptions
        for strength in STRENGTHS
    ]
    return [
        Condition(CLEAN, "", lambda _rng, crop: crop),
        *graded,
        *(Condition("roll", f"{turn}°", _roll(turn)) for turn in (10, 20, 30)),
        *(Condition("crop off by", f"{share:.0%}", _shift(share)) for share in (0.05, 0.10)),
        *(Condition("crop wider by", f"{share:.0%}", _zoom(1 / (1 + share))) for share in (0.1, 0.2)),
        *(Condition("crop closer by", f"{share:.0%}", _zoom(1 + share)) for share in (0.1, 0.2)),
        *(Condition("face of", f"{side} px", _small(side)) for side in (32, 24)),
        Condition("covered", "an eye", _cover(0.5 - CROP_RULE.unit / 2, EYE_Y, 0.16, 0.13)),
        Condition("covered", "mouth", _cover(0.5, MOUTH_Y + 0.05, 0.36, 0.22)),
        Condition("covered", "brow", _cover(0.5, 0.08, 0.6, 0.2)),
        Condition("covered", "shades", _sunglasses),
        Condition("covered", "glasses", _glasses),
    ]


def corrupt(condition: Condition, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every face of (N, SIDE, SIDE) under the condition; the same in every run."""
    key = zlib.crc32(condition.family.encode())  # one draw for all strengths: they differ by strength alone
    return np.stack([condition.change(np.random.default_rng([key, row]), crop) for row, crop in enumerate(crops)])


def measure(candidates: dict[str, Candidate], trial: Trial) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracy A and false anger of every model under every condition: figures by model by condition."""
    label = label_a(trial.votes)
    crops, votes, label = trial.crops[label >= 0], trial.votes[label >= 0], label[label >= 0]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for condition in track(conditions(), "conditions"):
        changed = corrupt(condition, crops)
        found[condition.name] = {}
        for name, one in candidates.items():
            answers = np.stack([one.read(crop) for crop in changed])
            false_anger = (eight(answers)[:, ANGER] > 0.5)[label != ANGER]
            found[condition.name][name] = {
                "accuracy_a": crowd_figures(answers, votes)["accuracy_a"],
                "false_anger": float(false_anger.mean()),
            }
    return found


def rows_for(names: list[str]) -> list[Row]:
    """The table's columns: accuracy A of each model, then the shipped model's false anger."""
    return [*(percent(name, f"{name}, A, %") for name in names), percent("false_anger", "int8, called angry, %")]


def table_of(figures: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """One line a condition: accuracy A by model, and the shipped model's false anger."""
    return {
        name: {
            **{model: one["accuracy_a"] for model, one in models.items()},
            "false_anger": models[OURS]["false_anger"],
        }
        for name, models in figures.items()
    }


def plot(figures: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw ``compose``'s figure as a PNG."""
    compose(figures).savefig(path, dpi=100)


def compose(figures: dict[str, dict[str, dict[str, float]]]) -> Figure:
    """Points of accuracy A that each model loses against the untouched face, a row a condition."""
    rows = [condition for condition in conditions() if condition.name != CLEAN]
    heights, row = [], 0.0
    for before, condition in zip([None, *rows], rows, strict=False):
        row += 1.0 if before is None or before.family == condition.family else 1.6
        heights.append(row)
    figure = new_figure(8, 0.17 * heights[-1] + 1.2)
    axes = figure.subplots()
    for (model, untouched), (marker, colour) in zip(figures[CLEAN].items(), MARKS, strict=False):
        lost = [100 * (untouched["accuracy_a"] - figures[each.name][model]["accuracy_a"]) for each in rows]
        axes.plot(lost, heights, marker, color=colour, markersize=5, alpha=0.85, label=model)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(heights, [each.name for each in rows], fontsize=8)
    axes.set(ylim=(heights[-1] + 1, 0), xlabel="points of accuracy A lost against the untouched face (left: gained)")
    axes.grid(axis="both", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=len(figures[CLEAN]), frameon=False, fontsize=9)
    return figure


def _at(corruption: augment.Corruption, strength: float) -> Change:
    return lambda rng, crop: corruption(rng, crop, strength)


def _warp(crop: Luma, turn_deg: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> Luma:
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, turn_deg, scale)
    matrix[:, 2] += shift
    return np.asarray(cv2.warpAffine(crop, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _roll(turn_deg: float) -> Change:
    """Turned one way or the other, as where the points of the face were wrong about the eyes' line."""
    return lambda rng, crop: _warp(crop, turn_deg * rng.choice([-1.0, 1.0]))


def _shift(share: float) -> Change:
    """Off in any direction by a share of the side."""

    def change(rng: Generator, crop: Luma) -> Luma:
        angle = rng.uniform(0, 2 * np.pi)
        return _warp(crop, shift=(share * SIDE * np.cos(angle), share * SIDE * np.sin(angle)))

    return change


def _zoom(scale: float) -> Change:
    return lambda _rng, crop: _warp(crop, scale=scale)


def _small(side: int) -> Change:
    """A face that the camera sees on this many pixels, enlarged as ``cut_crop`` does."""

    def change(_rng: Generator, crop: Luma) -> Luma:
        small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)

    return change


def _cover(x: float, y: float, half_x: float, half_y: float) -> Change:
    """A flat ellipse in shares of the side, of a shade drawn for each face."""

    def change(rng: Generator, crop: Luma) -> Luma:
        out = crop.copy()
        centre, axes = (round(x * SIDE), round(y * SIDE)), (round(half_x * SIDE), round(half_y * SIDE))
        cv2.ellipse(out, centre, axes, 0, 0, 360, float(rng.uniform(20, 235)), -1, cv2.LINE_AA)
        return out

    return change


def _eyes() -> NDArray[np.float64]:
    half = CROP_RULE.unit / 2
    return np.array([[0.5 - half, EYE_Y], [0.5 + half, EYE_Y]]) * SIDE


def _glasses(rng: Generator, crop: Luma) -> Luma:
    """Frames around the eyes, clear inside; drawn evenly, unlike the ones that training draws."""
    out = crop.copy()
    shade = float(rng.uniform(0, 90))
    left, right = _eyes()
    for eye in (left, right):
        cv2.ellipse(out, (round(eye[0]), round(eye[1])), (7, 5), 0, 0, 360, shade, 1, cv2.LINE_AA)
    cv2.line(out, (round(left[0]) + 7, round(left[1])), (round(right[0]) - 7, round(right[1])), shade, 1, cv2.LINE_AA)
    return out


def _sunglasses(rng: Generator, crop: Luma) -> Luma:
    out = crop.copy()
    shade = float(rng.uniform(5, 60))
    left, right = _eyes()
    for eye in (left, right):
        cv2.ellipse(out, (round(eye[0]), round(eye[1])), (8, 6), 0, 0, 360, shade, -1, cv2.LINE_AA)
    cv2.line(out, (round(left[0]), round(left[1]) - 2), (round(right[0]), round(right[1]) - 2), shade, 2, cv2.LINE_AA)
    return out


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--plot", type=Path, help="draw the points lost here, as a PNG")
    parser.add_argument("--drawn-from", type=Path, help="measure nothing: draw the plot from this file of figures")
    parser.add_argument("--faces", type=int, default=1200, help="how many of the faces, evenly spread")
    arguments = parser.parse_args()
    if arguments.drawn_from is not None:
        if arguments.plot is None:
            parser.error("--drawn-from needs --plot, the picture to draw")
        if not arguments.drawn_from.exists():
            raise SystemExit(f"{arguments.drawn_from}: no such file; give the figures with --drawn-from")
        plot(json.loads(arguments.drawn_from.read_text(encoding="utf-8"))["conditions"], arguments.plot)
        return
    cv2.setNumThreads(1)
    trial = read_trial(arguments.data, arguments.split).thinned(arguments.faces)
    candidates = open_candidates(arguments.model, float_file(arguments), arguments.peers)
    manifest = load_manifest(arguments.model or bundled("expression"), "expression")
    figures = measure(candidates, trial)
    counted = int((label_a(trial.votes) >= 0).sum())
    title = f"Expression model {manifest.version} under corruption, {arguments.split}, {counted} faces"
    show_list(title, rows_for(list(candidates)), table_of(figures), Console(width=110))
    if arguments.json:
        head = {"sha256": manifest.sha256, "version": manifest.version, "split": arguments.split, "faces": counted}
        write_json(arguments.json, {**head, "conditions": figures})
    if arguments.plot:
        plot(figures, arguments.plot)


if __name__ == "__main__":
    main()
