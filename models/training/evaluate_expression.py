"""Measure the shipped expression model: accuracy, recall, AUROC, calibration, a driver's confusions, time and size.

``python -m models.training.evaluate_expression --data ../shared/data --split valid --json figures.json``. Data in the
same layout, for instance the FER+ private test as ``expressions/test.png`` with ``votes.npz``, is measured alike.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edge.vision.manifest import bundled, load_manifest
from models.training.cues import ROWS as CUE_ROWS
from models.training.cues import interval, measure_cues
from models.training.expression_metrics import crowd_figures, driver_figures
from models.training.expression_readers import OURS, PEER, TWIN, Candidate, Read, open_candidates, require_twins
from models.training.expression_sources import ASKED, Quoted, present, quoted_figures, read_quoted
from models.training.expression_trial import Trial, add_arguments, float_file, read_trial
from models.training.scoreboard import Row, Want, percent, show, show_list, write_json
from models.training.synthetic_faces import write_parity

ROWS: tuple[Row, ...] = (
    percent("accuracy_a", "accuracy, protocol A, %", Want(0.855, at_least=True, floor=0.844)),
    percent("accuracy_b", "accuracy, protocol B, %", Want(0.895, at_least=True, floor=0.882)),
    Row("auroc_anger", "anger AUROC", want=Want(0.983, at_least=True)),
    Row("auroc_distress", "distress AUROC", want=Want(0.950, at_least=True)),
    percent("recall_anger", "recall anger, %", Want(0.80, at_least=True)),
    percent("recall_fear", "recall fear, %", Want(0.55, at_least=True)),
    percent("recall_sadness", "recall sadness, %", Want(0.68, at_least=True)),
    percent("recall_disgust", "recall disgust, %", Want(0.45, at_least=True)),
    percent("yawn_called_anger", "yawning drivers called angry (P > 0.5), %", Want(0.01, at_least=False, floor=0.02)),
    percent("yawn_recall", "yawn recall, %", Want(0.90, at_least=True)),
    percent("calm_called_yawn", "calm drivers called yawning, %", Want(0.02, at_least=False)),
    percent("calm_called_alarm", "calm drivers called angry or distressed, %"),
    Row("calibration_error", "expected calibration error", want=Want(0.03, at_least=False)),
    Row("lost_a", "points of A lost against its own float", 100, 2, Want(0.003, at_least=False, floor=0.005)),
    Row("lost_b", "points of B lost against its own float", 100, 2, Want(0.003, at_least=False, floor=0.005)),
    percent("same_answer", "same answer as its own float, %"),
    Row("time_ratio", "time, 1 thread, against the peer in this run", 1, 2, Want(0.5, at_least=False, floor=0.6)),
    Row("size_kb", "size, kB", 1, 0, Want(900, at_least=False, floor=1000)),
)
COMPARED: tuple[Row, ...] = (
    percent("accuracy_a", "A, %"),
    percent("accuracy_b", "B, %"),
    Row("auroc_anger", "anger AUROC"),
    Row("auroc_distress", "distress AUROC"),
    *(Row(f"recall_{name}", f"{name}, %", 100, 0) for name in ("anger", "fear", "sadness", "disgust")),
    Row("calibration_error", "ECE"),
    Row("size_kb", "kB", 1, 0),
)
CUE_TITLE = "Cues on 300 faces labelled by eye (95 % interval; faces that show it), and generated faces"
PRIVATE_TEST = "FER+ private test, n = 3,545 (A), 3,137 (B)"


def _published(
    a: float, b: float, anger_roc: float, distress_roc: float, recall: tuple[float | None, ...], size_kb: float | None
) -> dict[str, float]:
    names = ("recall_anger", "recall_fear", "recall_sadness", "recall_disgust")
    shares = {name: value / 100 for name, value in zip(names, recall, strict=True) if value is not None}
    size = {} if size_kb is None else {"size_kb": size_kb}
    rocs = {"auroc_anger": anger_roc, "auroc_distress": distress_roc}
    return {"accuracy_a": a / 100, "accuracy_b": b / 100, **rocs, **shares, **size}


# Measured on the FER+ private test, which is not among the training's data: to be read beside figures of that split.
PUBLISHED: dict[str, dict[str, float]] = {
    "vicksam/fer-model": {**_published(83.6, 87.6, 0.976, 0.934, (79, 53, 65, 30), 692), "calibration_error": 0.027},
    "four of its kind, averaged": _published(84.5, 88.5, 0.983, 0.948, (82, 43, 65, 25), None),
    "joh-fischer FER+": _published(82.9, 86.6, 0.977, 0.938, (78, 39, 66, 35), 2700),
    "OpenCV zoo MobileFaceNet int8": _published(69.7, 73.7, 0.917, 0.846, (43, 21, 58, 30), 1500),
    "Intel retail-0003 int8": _published(64.7, 68.4, 0.911, 0.837, (77, None, 65, None), 2500),
    "mini-XCEPTION": _published(62.8, 67.1, 0.924, 0.854, (70, 62, 49, 50), 873),
}


def measure(read: Read, root: Path, split: str, title: str) -> dict[str, float]:
    """All figures of a model that reads a crop (SIDE, SIDE) to nine probabilities."""
    trial = read_trial(root, split)
    return figures_of(trial, *(_read_all(read, crops, title) for crops in (trial.crops, trial.seats)))


def figures_of(trial: Trial, still: NDArray[np.float32], seat: NDArray[np.float32]) -> dict[str, float]:
    """All figures from the answers (N, 9) to the trial's faces and (M, 9) to its drivers."""
    return {**crowd_figures(still, trial.votes), **(driver_figures(seat, trial.yawn) if trial.has_drivers else {})}


def _read_all(read: Read, crops: NDArray[np.uint8], title: str) -> NDArray[np.float32]:
    answers = [read(crop) for crop in track(crops, description=title, transient=True)]
    return np.array(answers, np.float32).reshape(-1, 9)


def compare(candidates: dict[str, Candidate], trial: Trial) -> dict[str, dict[str, float]]:
    """All figures of all models, and what the shipped one lost against its float twin."""
    still = {name: _read_all(one.read, trial.crops, f"{name}, {trial.split}") for name, one in candidates.items()}
    require_twins(still)
    seats = {name: _read_all(one.read, trial.seats, f"{name}, drivers") for name, one in candidates.items()}
    rows = {name: figures_of(trial, still[name], seats[name]) for name in candidates}
    if TWIN in rows:
        rows[OURS]["lost_a"] = rows[TWIN]["accuracy_a"] - rows[OURS]["accuracy_a"]
        rows[OURS]["lost_b"] = rows[TWIN]["accuracy_b"] - rows[OURS]["accuracy_b"]
        rows[OURS]["same_answer"] = float((still[OURS].argmax(1) == still[TWIN].argmax(1)).mean())
    for key in ("yawn_recall", "calm_called_yawn"):
        rows.get(PEER, {}).pop(key, None)  # it has no yawn
    times = time_together(candidates)
    for name, one in candidates.items():
        rows[name]["size_kb"] = one.size_kb
        if PEER in times:
            rows[name]["time_ratio"] = times[name] / times[PEER]
    return rows


def by_source(candidates: dict[str, Candidate], quoted: dict[str, Quoted]) -> dict[str, dict[str, dict[str, float]]]:
    """For each source the figures of all models."""
    return {
        source: {
            name: quoted_figures(_read_all(one.read, faces.crops, f"{name}, {source}"), faces)
            for name, one in candidates.items()
        }
        for source, faces in quoted.items()
    }


def show_cues(models: dict[str, dict[str, float]], console: Console) -> None:
    """Print how well cues, valence and arousal are read; the interval is the shipped model's."""
    told = {
        name: {row.key: figures[row.key] for row in CUE_ROWS if row.key in figures} for name, figures in models.items()
    }
    rows = [
        replace(row, label=f"{row.label} ({said})" if (said := interval(models[OURS], row.key)) else row.label)
        for row in CUE_ROWS
    ]
    show(CUE_TITLE, [row for row in rows if row.key in told[OURS]], told, console, OURS)


def time_together(candidates: dict[str, Candidate], rounds: int = 60, calls: int = 20) -> dict[str, float]:
    """Median milliseconds a call, the readers taking turns so that a busy machine slows them alike."""
    noise = np.random.default_rng(0)
    crops = {name: noise.integers(0, 256, (one.side, one.side), dtype=np.uint8) for name, one in candidates.items()}
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, one in candidates.items():
            start = time.perf_counter()
            for _ in range(calls):
                one.read(crops[name])
            taken[name].append((time.perf_counter() - start) / calls * 1e3)
    return {name: float(np.median(times)) for name, times in taken.items()}


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--parity", type=Path, help="write the float model's answers to drawn faces here, for the tests"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    trial = read_trial(arguments.data, arguments.split)
    candidates = open_candidates(arguments.model, float_file(arguments), arguments.peers)
    manifest = load_manifest(arguments.model or bundled("expression"), "expression")
    rows = compare(candidates, trial)
    console = Console(width=110)
    title = f"Expression model {manifest.version} on {arguments.split}, drivers of held-out groups"
    show(title, ROWS, rows, console, OURS)
    beside = {f"{OURS} ({arguments.split})": rows[OURS], **PUBLISHED}
    show_list(f"Peers as published: {PRIVATE_TEST}", COMPARED, beside, console)
    sources = by_source(candidates, read_quoted(arguments.data))
    for name, models in sources.items():
        faces = f"{ASKED[name].title}, {models[OURS]['n']:.0f} of them"
        show(faces, present(name, models), models, console, OURS)
    cues = {name: measure_cues(one.read_cues, arguments.data) for name, one in candidates.items() if one.read_cues}
    cues = {name: figures for name, figures in cues.items() if figures}
    if OURS in cues:
        show_cues(cues, console)
    if TWIN not in rows:
        console.print("no float model (--float): what quantisation costs was not measured")
    if arguments.json:
        result = {
            "sha256": manifest.sha256,
            "version": manifest.version,
            "split": arguments.split,
            "models": rows,
            "sources": sources,
            "cues": cues,
            "published": {"split": PRIVATE_TEST, "models": PUBLISHED},
        }
        write_json(arguments.json, result)
    if arguments.parity:
        if TWIN not in candidates:
            raise SystemExit("--parity needs the float model; name it with --float")
        write_parity(arguments.parity, manifest.sha256, candidates[TWIN].read, candidates[TWIN].read_cues)


if __name__ == "__main__":
    main()
