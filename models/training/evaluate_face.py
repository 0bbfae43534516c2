"""Measure the shipped face model beside BlazeFace and YuNet: wrong faces, point error, false faces, time and size.

``python -m models.training.evaluate_face --data ../shared/data --json figures.json``
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge.config import VisionConfig
from edge.vision.face import FaceFinder
from edge.vision.manifest import bundled
from edge.vision.tflite import open_runtime
from models.training.face_data import Picture, is_held_out, read_pictures

WRONG = 0.10  # a point error above this share of the labelled face's size is a wrong face
FRAME_PX = (640, 480)

Points = NDArray[np.float32]
Find = Callable[[NDArray[np.uint8]], Points | None]

ROWS: tuple[tuple[str, str], ...] = (
    ("portraits_n", "held-out portraits"),
    ("portraits_wrong", "portraits wrong"),
    ("portraits_median", "median point error, portraits"),
    ("drivers_n", "held-out drivers' frames"),
    ("drivers_wrong", "drivers wrong"),
    ("drivers_median", "median point error, drivers"),
    ("faceless_n", "pictures without a face"),
    ("faceless_found", "of them with a face found, %"),
    ("time_ms", "time a 640x480 frame, 1 thread, ms"),
    ("size_kb", "size, kB"),
)


@dataclass(frozen=True)
class Trial:
    """Pictures to measure on: those with one labelled face each, and those with none."""

    portraits: list[Picture]
    drivers: list[Picture]
    faceless: list[NDArray[np.uint8]]


def held_out_trial(root: Path) -> Trial:
    """Held-out portraits and drivers with their labels as they are, and the faceless sides of drivers' frames."""
    pictures = [picture for picture in read_pictures(root, detector=None) if is_held_out(picture)]
    drivers = [picture for picture in pictures if picture.source == "cabin"]
    return Trial(
        [picture for picture in pictures if picture.source == "cuhk"],
        drivers,
        [side for picture in drivers for side in _sides(picture)],
    )


def _sides(picture: Picture) -> list[NDArray[np.uint8]]:
    """What lies left and right of the driver's head, where it is at least 120 pixels wide."""
    x, _, width, _ = picture.boxes[0]
    left, right = int(x - 0.35 * width), int(x + 1.35 * width)
    parts = (picture.luma[:, : max(left, 0)], picture.luma[:, right:])
    return [part for part in parts if part.shape[1] >= 120]


def measure(find: Find, trial: Trial, title: str) -> dict[str, float]:
    """Wrong faces, median errors and false faces of one detector."""
    figures: dict[str, float] = {}
    for name, pictures in (("portraits", trial.portraits), ("drivers", trial.drivers)):
        errors = np.array([point_error(find, picture) for picture in track(pictures, f"{title}, {name}")])
        figures[f"{name}_n"] = len(errors)
        figures[f"{name}_wrong"] = int((errors > WRONG).sum())
        figures[f"{name}_median"] = float(np.median(errors))
    figures["faceless_n"] = len(trial.faceless)
    figures["faceless_found"] = 100 * float(np.mean([find(luma) is not None for luma in trial.faceless]))
    return figures


def point_error(find: Find, picture: Picture) -> float:
    """Mean distance of both eyes and the nose to the label, in sizes of the labelled box; infinite where missed."""
    points = find(picture.luma)
    if points is None:
        return float("inf")
    _, _, width, height = picture.boxes[0]
    return float(np.linalg.norm(points[:3] - picture.points[0, :3], axis=1).mean() / np.sqrt(width * height))


def our_finder(finder: FaceFinder) -> Find:
    """The shipped model."""

    def find(luma: NDArray[np.uint8]) -> Points | None:
        face = finder.find(luma)
        return None if face is None else face.points

    return find


def blazeface_finder(path: Path) -> Find:
    """BlazeFace short range as a user would wire it: RGB letterboxed to 128 pixels, best anchor, five of six points."""
    interpreter = open_runtime("auto")[1](model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    outputs = {detail["shape"][-1]: detail["index"] for detail in interpreter.get_output_details()}
    anchors = np.concatenate(
        [
            np.repeat(np.stack(np.meshgrid(*2 * [(np.arange(cells) + 0.5) / cells]), -1).reshape(-1, 2), count, 0)
            for cells, count in ((16, 2), (8, 6))
        ]
    )

    def find(luma: NDArray[np.uint8]) -> Points | None:
        side = max(luma.shape)
        square = np.zeros((128, 128), np.uint8)
        height, width = (max(1, round(extent * 128 / side)) for extent in luma.shape)
        square[:height, :width] = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
        interpreter.set_tensor(source, np.repeat(square[None, :, :, None], 3, 3).astype(np.float32) / 127.5 - 1)
        interpreter.invoke()
        scores = interpreter.get_tensor(outputs[1])[0, :, 0]
        best = int(scores.argmax())
        if scores[best] < 0:  # a probability of one half
            return None
        raw = interpreter.get_tensor(outputs[16])[0, best, 4:10].reshape(3, 2)
        return np.asarray((raw / 128 + anchors[best]) * side, np.float32)

    return find


def yunet_finder(path: Path) -> Find:
    """YuNet at the picture's full size, best face."""
    detector = cv2.FaceDetectorYN.create(str(path), "", FRAME_PX, 0.6)

    def find(luma: NDArray[np.uint8]) -> Points | None:
        detector.setInputSize(luma.shape[::-1])
        _, faces = detector.detect(cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR))
        if faces is None:
            return None
        return np.asarray(faces[faces[:, 14].argmax(), 4:14].reshape(5, 2), np.float32)

    return find


def time_together(finders: dict[str, Find], luma: NDArray[np.uint8], rounds: int = 60) -> dict[str, float]:
    """Median milliseconds a frame, the detectors taking turns so that a busy machine slows them alike."""
    taken: dict[str, list[float]] = {name: [] for name in finders}
    for _ in range(rounds):
        for name, find in finders.items():
            start = time.perf_counter()
            for _ in range(5):
                find(luma)
            taken[name].append((time.perf_counter() - start) / 5 * 1e3)
    return {name: float(np.median(times)) for name, times in taken.items()}


def show(rows: dict[str, dict[str, float]], console: Console) -> None:
    """Print one column for each detector."""
    table = Table(title="Face model on held-out portraits and driver groups")
    table.add_column("figure")
    for name in rows:
        table.add_column(name, justify="right")
    for key, label in ROWS:
        table.add_row(label, *(f"{row[key]:.3f}".rstrip("0").rstrip(".") for row in rows.values()))
    console.print(table)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="public models to measure beside")
    parser.add_argument("--model", type=Path, help="manifest of another face model")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    cv2.setNumThreads(1)
    manifest = arguments.model or bundled("face")
    finder = FaceFinder.load(VisionConfig(face_model=manifest))
    finders = {"evenkeel int8": our_finder(finder)}
    files = {"evenkeel int8": manifest.parent / finder.manifest.file}
    peers = {"BlazeFace": "blazeface_short_range.tflite", "YuNet full size": "yunet_2023mar.onnx"}
    makers = {"BlazeFace": blazeface_finder, "YuNet full size": yunet_finder}
    for name, file in peers.items():
        if (arguments.peers / file).exists():
            finders[name], files[name] = makers[name](arguments.peers / file), arguments.peers / file
    trial = held_out_trial(arguments.data)
    rows = {name: measure(find, trial, name) for name, find in finders.items()}
    frame = cv2.resize(trial.drivers[0].luma, FRAME_PX)
    for name, taken in time_together(finders, np.asarray(frame, np.uint8)).items():
        rows[name] |= {"time_ms": taken, "size_kb": files[name].stat().st_size / 1000}
    show(rows, Console())
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
