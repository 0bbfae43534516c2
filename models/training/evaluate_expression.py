"""Measure the shipped expression model: accuracy, recall, AUROC, calibration, a driver's confusions, time and size.

``python -m models.training.evaluate_expression --data ../shared/data --split valid --json figures.json``. Data in the
same layout, for instance the FER+ private test as ``expressions/test.png`` with ``votes.npz``, is measured alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge.config import VisionConfig
from edge.vision.expression import ExpressionReader
from edge.vision.manifest import bundled
from edge.vision.tflite import open_runtime
from models.training import expression_data as data
from models.training.expression_metrics import crowd_figures, driver_figures

ROWS: tuple[tuple[str, str, float], ...] = (
    ("accuracy_a", "accuracy, protocol A, %", 100),
    ("accuracy_b", "accuracy, protocol B, %", 100),
    ("auroc_anger", "anger AUROC", 1),
    ("auroc_distress", "distress AUROC", 1),
    ("recall_anger", "recall anger, %", 100),
    ("recall_fear", "recall fear, %", 100),
    ("recall_sadness", "recall sadness, %", 100),
    ("recall_disgust", "recall disgust, %", 100),
    ("calibration_error", "expected calibration error", 1),
    ("yawn_called_anger", "yawning drivers called angry (P > 0.5), %", 100),
    ("yawn_recall", "yawn recall, %", 100),
    ("calm_called_yawn", "calm drivers called yawning, %", 100),
    ("calm_called_alarm", "calm drivers called angry or distressed, %", 100),
    ("time_ms", "time, 1 thread, ms", 1),
    ("size_kb", "size, kB", 1),
)
PEER = "ferplus_small_float.tflite"
# On the FER+ private test, as published with the peers' comparison; not on the split that is measured here.
PUBLISHED = {"vicksam/fer-model (FER+ private test)": {"accuracy_a": 0.836, "accuracy_b": 0.876, "size_kb": 692.0}}

Read = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def measure(read: Read, root: Path, split: str, title: str) -> dict[str, float]:
    """All figures of a model that reads a crop (48, 48) to nine probabilities."""
    crops, votes = data.read_votes(root, split)
    drivers = data.read_drivers(root)
    out = data.held_out(drivers.group)
    seats = data.narrow(drivers.crops[out])
    still = np.stack([read(crop) for crop in track(crops, description=f"{title}, {split}")])
    seat = np.stack([read(crop) for crop in track(seats, description=f"{title}, drivers")])
    return {**crowd_figures(still, votes), **driver_figures(seat, drivers.yawn[out])}


def peer_reader(path: Path) -> Read:
    """The float peer: grey 48x48 from 0 to 1 to eight logits; it has no yawn."""
    interpreter = open_runtime("auto")[1](model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def read(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        interpreter.set_tensor(source["index"], (crop.astype(np.float32) / 255).reshape(source["shape"]))
        interpreter.invoke()
        logits = interpreter.get_tensor(target["index"]).reshape(-1)
        powers = np.exp(logits - logits.max())
        return np.append(powers / powers.sum(), 0).astype(np.float32)

    return read


def time_together(readers: dict[str, Read], rounds: int = 60, calls: int = 20) -> dict[str, float]:
    """Median milliseconds a call, the readers taking turns so that a busy machine slows them alike."""
    crop = np.random.default_rng(0).integers(0, 256, (data.SIDE, data.SIDE), dtype=np.uint8)
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            start = time.perf_counter()
            for _ in range(calls):
                read(crop)
            taken[name].append((time.perf_counter() - start) / calls * 1e3)
    return {name: float(np.median(times)) for name, times in taken.items()}


def show(rows: dict[str, dict[str, float]], split: str, console: Console) -> None:
    """Print one column for each model."""
    table = Table(title=f"Expression model on {split} and on held-out driver groups")
    table.add_column("figure")
    for name in rows:
        table.add_column(name, justify="right")
    for key, label, factor in ROWS:
        digits = 1 if factor == 100 else 3
        cells = [f"{row[key] * factor:.{digits}f}" if key in row else "-" for row in rows.values()]
        table.add_row(label, *cells)
    console.print(table)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="public models to measure beside")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--model", type=Path, help="manifest of another expression model")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    cv2.setNumThreads(1)
    manifest = arguments.model or bundled("expression")
    reader = ExpressionReader.load(VisionConfig(expression_model=manifest))
    readers: dict[str, Read] = {"evenkeel int8": reader.read_crop}
    sizes = {"evenkeel int8": (manifest.parent / reader.manifest.file).stat().st_size / 1000}
    peer = arguments.peers / PEER
    if peer.exists():
        readers["vicksam/fer-model float"] = peer_reader(peer)
        sizes["vicksam/fer-model float"] = peer.stat().st_size / 1000
    rows = {name: measure(read, arguments.data, arguments.split, name) for name, read in readers.items()}
    for name, taken in time_together(readers).items():
        rows[name] |= {"time_ms": taken, "size_kb": sizes[name]}
    show({**rows, **PUBLISHED}, arguments.split, Console())
    if arguments.json:
        arguments.json.write_text(json.dumps({"split": arguments.split, "models": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
