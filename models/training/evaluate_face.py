"""Measure the shipped face model beside BlazeFace and YuNet: wrong faces, point error, false faces, time and size.

``python -m models.training.evaluate_face --data ../shared/data --json face.json --plot face-errors.png``
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edge.config import VisionConfig
from edge.figure import new_figure
from edge.vision.face import FaceFinder
from edge.vision.manifest import bundled
from edge.vision.tflite import open_runtime
from models.training.face_conditions import DIM, Clip, Find, Points, by_skin, clip_figures, dimmed, read_clips
from models.training.face_data import Picture, is_held_out, read_pictures, sides
from models.training.fairness import Share, entries, of, show_shares
from models.training.scoreboard import Row, Want, percent, show, write_json

WRONG = 0.10  # a point error above this share of the labelled face's size is a wrong face
FRAME_PX = (640, 480)

SKIN = "grey level of the skin"
DIM_SKIN = f"the same, portraits at 1/{DIM} of their light"
OURS, BLAZEFACE, YUNET = "evenkeel int8", "BlazeFace short range", "YuNet full size"

# Wanted of 2,026 other portraits at most 10 wrong, never above 14; of 263 other drivers' frames at most 4.
ROWS: tuple[Row, ...] = (
    Row("portraits_n", "held-out portraits", digits=0),
    Row("portraits_wrong", "portraits wrong", digits=0),
    Row("portraits_wrong_share", "portraits wrong, %", 100, 2, Want(10 / 2026, at_least=False, floor=14 / 2026)),
    Row("portraits_median", "median point error, portraits", want=Want(0.028, at_least=False)),
    Row("drivers_n", "held-out drivers' frames", digits=0),
    Row("drivers_wrong", "drivers wrong", digits=0),
    Row("drivers_wrong_share", "drivers wrong, %", 100, 2, Want(4 / 263, at_least=False)),
    Row("drivers_median", "median point error, drivers", want=Want(0.040, at_least=False)),
    Row("faceless_n", "pictures without a face", digits=0),
    Row("faceless_found", "of them with a face found, %", 1, 1, Want(1.0, at_least=False)),
    percent("dim_wrong_share", f"portraits at 1/{DIM} of their light wrong, %"),
    Row("night_n", "frames of a night film in which YuNet sees a face", digits=0),
    percent("night_found", "of them with a face found, %", Want(0.90, at_least=True, floor=0.80)),
    percent("night_same", "of them with one of YuNet's faces found, %"),
    Row("side_n", "frames of two men side-on in which YuNet sees a face", digits=0),
    percent("side_found", "of them with a face found, %", Want(0.90, at_least=True, floor=0.80)),
    percent("side_same", "of them with one of YuNet's faces found, %"),
    Row("time_ratio", "time a 640x480 frame, 1 thread, against BlazeFace", 1, 2, Want(0.7, at_least=False)),
    Row("size_kb", "size, kB", 1, 0, Want(400, at_least=False)),
)


@dataclass(frozen=True)
class Trial:
    """Pictures to measure on: those with one labelled face each, and those with none."""

    portraits: list[Picture]
    drivers: list[Picture]
    faceless: list[NDArray[np.uint8]]
    clips: dict[str, Clip]


def held_out_trial(root: Path, detector: Path | None = None) -> Trial:
    """Held-out portraits and drivers with their labels as they are, and the faceless sides of drivers' frames.

    With ``detector`` (YuNet) also the hard clips that are there.
    """
    pictures = [picture for picture in read_pictures(root, detector=None) if is_held_out(picture)]
    drivers = [picture for picture in pictures if picture.source == "cabin"]
    return Trial(
        [picture for picture in pictures if picture.source == "cuhk"],
        drivers,
        [side for picture in drivers for side in sides(picture)],
        {} if detector is None else read_clips(root, detector),
    )


def measure(find: Find, trial: Trial, title: str) -> dict[str, float]:
    """Wrong faces, median errors and false faces of one detector."""
    return figures_of(point_errors(find, trial, title), find, trial)


def point_errors(find: Find, trial: Trial, title: str) -> dict[str, NDArray[np.float64]]:
    """The point error of every portrait and of every driver's frame."""
    parts = {"portraits": trial.portraits, "drivers": trial.drivers, "dim": list(map(dimmed, trial.portraits))}
    return {
        name: np.array([point_error(find, picture) for picture in track(pictures, f"{title}, {name}", transient=True)])
        for name, pictures in parts.items()
    }


def figures_of(errors: dict[str, NDArray[np.float64]], find: Find, trial: Trial) -> dict[str, float]:
    """Counts and medians of the errors, and the share of faceless pictures where a face is found all the same."""
    figures: dict[str, float] = {}
    for name, values in errors.items():
        figures[f"{name}_n"] = len(values)
        figures[f"{name}_wrong"] = int((values > WRONG).sum())
        figures[f"{name}_wrong_share"] = float((values > WRONG).mean())
        figures[f"{name}_median"] = float(np.median(values))
    figures["faceless_n"] = len(trial.faceless)
    figures["faceless_found"] = 100 * float(np.mean([find(luma) is not None for luma in trial.faceless]))
    return figures | clip_figures(find, trial.clips)


def skin_shares(
    errors: dict[str, dict[str, NDArray[np.float64]]], trial: Trial
) -> dict[tuple[str, str], dict[str, Share]]:
    """The share of wrong faces of each detector by the grey level of the skin, in the light it was seen in and dimmed.

    Portraits and drivers together, then the dimmed portraits by what their grey level was before.
    """
    shares = {}
    for name, pictures, parts in (
        (SKIN, [*trial.portraits, *trial.drivers], ("portraits", "drivers")),
        (DIM_SKIN, trial.portraits, ("dim",)),
    ):
        grouping = by_skin(pictures)
        wrong = {one: np.concatenate([found[part] for part in parts]) > WRONG for one, found in errors.items()}
        for group in grouping.order:
            shares[name, group] = {one: of(values[grouping.group == group]) for one, values in wrong.items()}
    return shares


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


def plot(errors: dict[str, dict[str, NDArray[np.float64]]], path: Path) -> None:
    """The share of faces whose points are off by no more than so much, a line for each detector; as a PNG."""
    figure = new_figure(9, 3.6)
    for panel, part in zip(figure.subplots(1, 2), ("portraits", "drivers"), strict=True):
        for (name, parts), style in zip(errors.items(), ("-", "--", ":"), strict=False):
            values = np.sort(parts[part])
            panel.step(values, 100 * np.arange(1, len(values) + 1) / len(values), style, where="post", label=name)
        panel.axvline(WRONG, color="grey", linewidth=0.6)
        panel.set(xlim=(0, 0.15), ylim=(0, 101), title=f"{part} ({len(values)})", xlabel="point error, face sizes")
    figure.axes[0].set_ylabel("faces, %")
    figure.axes[1].legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=90)


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="public models to measure beside")
    parser.add_argument("--model", type=Path, help="manifest of another face model")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--plot", type=Path, help="draw the errors' distributions here, as a PNG")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    manifest = arguments.model or bundled("face")
    finder = FaceFinder.load(VisionConfig(face_model=manifest))
    finders = {OURS: our_finder(finder)}
    files = {OURS: manifest.parent / finder.manifest.file}
    for name, file, make in (
        (BLAZEFACE, "blazeface_short_range.tflite", blazeface_finder),
        (YUNET, "yunet_2023mar.onnx", yunet_finder),
    ):
        if (arguments.peers / file).exists():
            finders[name], files[name] = make(arguments.peers / file), arguments.peers / file
    trial = held_out_trial(_require_tables(arguments.data), files.get(YUNET))
    errors = {name: point_errors(find, trial, name) for name, find in finders.items()}
    rows = {name: figures_of(errors[name], find, trial) for name, find in finders.items()}
    times = time_together(finders, np.asarray(cv2.resize(trial.drivers[0].luma, FRAME_PX), np.uint8))
    for name, figures in rows.items():
        figures["size_kb"] = files[name].stat().st_size / 1000
        if BLAZEFACE in times:
            figures["time_ratio"] = times[name] / times[BLAZEFACE]
    title = f"Face model {finder.manifest.version} on held-out portraits and driver groups"
    console = Console(width=110)
    show(title, ROWS, rows, console, OURS)
    skins = skin_shares(errors, trial)
    show_shares("Wrong faces, % (95 % interval; n)", skins, console)
    if arguments.json:
        head = {"sha256": finder.manifest.sha256, "version": finder.manifest.version}
        write_json(arguments.json, {**head, "models": rows, "skin": entries(skins)})
    if arguments.plot:
        plot(errors, arguments.plot)


def _require_tables(root: Path) -> Path:
    for table in ("faces/faces.csv", "cabin/frames.csv"):
        if not (root / table).exists():
            raise SystemExit(f"{root / table}: no such file; name the data's folder with --data")
    return root


if __name__ == "__main__":
    main()
