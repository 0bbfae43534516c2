"""Measure the model that follows a face beside the face model, on pictures and people that trained neither.

``python -m models.training.evaluate_follow --data ../shared/data --json models/figures/follow.json``
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from calibration.clips import FPS, read_frames
from edge.config import VisionConfig
from edge.domain import Face
from edge.vision.expression import ExpressionReader
from edge.vision.eyes import EyeReader
from edge.vision.face import FaceFinder, face_size
from edge.vision.follow import NEAR_SIZES, DriverFollower, Finder, Tracker
from edge.vision.manifest import bundled
from edge.vision.track import FaceTracker
from models.training.evaluate_face import WRONG, held_out_trial, yunet_finder
from models.training.face_data import Picture, sides, without_head
from models.training.scoreboard import Row, Want, percent, show, write_json

OURS, FACE = "follow int8", "face model"
MOVED, GREW = 0.05, 0.03
"""How far a face is moved, in face sizes, and by how much it is scaled between two frames: standard deviations."""
TIMES = 3
"""So often each still face is looked for from somewhere else."""
NOISE = 3.0
"""Grey levels of a sensor's noise, standard deviation."""
STILL_FRAMES = 12
SIGHTS_S, GONE_S = 2.0, 4.0
"""How long a face is seen before it goes, and how long its place is watched then."""
DRIFT_S, TRACKS = 60.0, 8
FILM_PX = (320, 240)
FILMED_PX = 80
"""Size of the film and of the face in it where it wanders."""
PART = 6
"""Of the held-out portraits every so many-th is filmed."""

ROWS: tuple[Row, ...] = (
    Row("stills_n", "held-out portraits and drivers, each from three places nearby", digits=0),
    Row("portraits_median", "portraits: median error of eyes and nose to the label"),
    Row("portraits_p95", "the same, 95th percentile"),
    Row("drivers_median", "drivers: median error of eyes and nose to the label"),
    Row("drivers_p95", "the same, 95th percentile"),
    Row("apart_median", "all points against the face model's, median", want=Want(0.02, at_least=False)),
    Row("apart_p95", "the same, 95th percentile", want=Want(0.05, at_least=False)),
    percent("kept", "of these faces followed by the tracker, %"),
    Row("steady", "jitter of the points on a still face with noise, a frame", 1, 4),
    Row("clip_frames", "frames of clips with a face", digits=0),
    percent("clip_tracked", "of them followed by the tracker alone, %"),
    Row("clip_apart_median", "points as filtered, against those without a tracker, median", 1, 4),
    Row("clip_apart_p95", "the same, 95th percentile", 1, 4),
    Row("clip_yunet_median", "eyes and nose against YuNet's, median"),
    Row("clip_yunet_p95", "the same, 95th percentile"),
    Row("clip_jitter", "second difference of the points, median a frame", 1, 4),
    percent("clip_lost", "frames with a face by one alone, %"),
    percent("headless_kept", "places whose head was painted out, still followed, %"),
    percent("over_kept", "upside down, still followed, %"),
    percent("beside_kept", "beside a driver's head, followed, %"),
    percent("off_kept", "0.7 to 1.2 face sizes off the face, followed, %"),
    Row("gone_n", "faces that go after two seconds", digits=0),
    Row("gone_median_s", "seconds until the last is lost, median", 1, 2),
    Row("gone_longest_s", "the longest", 1, 2),
    Row("film_median", "followed for a minute as the product does it: median error of eyes and nose to the label"),
    Row("film_p95", "the same, 95th percentile"),
    percent("film_wrong", f"frames without the face, or off by more than {WRONG}, %"),
    Row("drift_first", "tracker alone for a minute: median error in the first second"),
    Row("drift_last", "in the last second"),
    percent("drift_wrong", f"frames off by more than {WRONG}, %"),
    Row("expression_apart", "expression: mean difference of a probability", 1, 4),
    percent("expression_changed", "faces with another likeliest expression, %"),
    Row("eyes_apart", "eyes: mean difference of the openness", 1, 4),
    percent("eyes_changed", "eyes on the other side of 0.5, %"),
    Row("time_ratio", "time to find a face again, against the face model's", 1, 2, Want(0.25, at_least=False)),
    Row("size_kb", "size, kB", 1, 0, Want(150, at_least=False)),
)

Luma = NDArray[np.uint8]
Look = Callable[[Luma, Face], Face | None]


def held_out_parts(root: Path) -> dict[str, list[Picture]]:
    """Portraits and drivers that trained neither model."""
    trial = held_out_trial(root)
    return {"portraits": trial.portraits, "drivers": trial.drivers}


def looks(finder: FaceFinder, tracker: FaceTracker) -> dict[str, Look]:
    """By name how a face is found again."""
    return {OURS: tracker.track, FACE: lambda luma, face: finder.find_near(luma, face, NEAR_SIZES)}


def moved(rng: Generator, face: Face, reach: float = MOVED) -> Face:
    """The face as if it had been seen elsewhere a frame ago."""
    x, y, wide, high = face.box
    by, times = rng.normal(0, reach, 2) * face_size(face), float(np.exp(rng.normal(0, GREW)))
    return Face(
        (x + by[0] + wide * (1 - times) / 2, y + by[1] + high * (1 - times) / 2, wide * times, high * times),
        ((face.points - face.points.mean(0)) * times + face.points.mean(0) + by).astype(np.float32),
        face.score,
    )


def apart(one: Face, other: Face) -> float:
    """Mean distance of the five points, in sizes of the second face."""
    return float(np.linalg.norm(one.points - other.points, axis=1).mean()) / face_size(other)


def error(points: NDArray[np.floating], picture: Picture) -> float:
    """Mean distance of both eyes and the nose to the label, in sizes of the labelled box."""
    size = float(np.sqrt(picture.boxes[0, 2] * picture.boxes[0, 3]))
    return float(np.linalg.norm(points[:3] - picture.points[0, :3], axis=1).mean()) / size


@dataclass
class Stills:
    """What was found of each still face."""

    errors: dict[str, list[float]] = field(default_factory=lambda: {"portraits": [], "drivers": []})
    apart: list[float] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    expressions: list[NDArray[np.float32]] = field(default_factory=list)
    eyes: list[NDArray[np.float32]] = field(default_factory=list)


class Downstream:
    """The readers of a face's expression and eyes."""

    def __init__(self) -> None:
        self._reader, self._eyes = ExpressionReader.load(), EyeReader.load()

    def read(self, luma: Luma, face: Face) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities of the expressions, and the openness of both eyes (nan where they are too small)."""
        eyes = self._eyes.read(luma, face)
        return self._reader.read(luma, face), np.full(2, np.nan, np.float32) if eyes is None else eyes.values[:2]


def stills(finder: FaceFinder, tracker: FaceTracker, parts: dict[str, list[Picture]]) -> dict[str, dict[str, float]]:
    """Points, and what is read by them, of faces that the face model finds, looked for from places nearby.

    Of the tracker what it is sure of; readings are compared with those of one look of the face model.
    """
    found = {OURS: Stills(), FACE: Stills()}
    readers = Downstream()
    rng = np.random.default_rng(0)
    for name, pictures in parts.items():
        for picture in track(pictures, name, transient=True):
            face = finder.find(picture.luma)
            if face is None or error(face.points, picture) > WRONG:
                continue
            read, eyes = readers.read(picture.luma, face)
            for _ in range(TIMES):
                before = moved(rng, face)
                told = {way: look(picture.luma, before) for way, look in looks(finder, tracker).items()}
                base = told[FACE]
                if base is None:
                    continue
                for way, seen in told.items():
                    found[way].kept.append(seen is not None)
                    if seen is None:
                        continue
                    found[way].errors[name].append(error(seen.points, picture))
                    found[way].apart.append(apart(seen, base if way == OURS else face))
                    now = readers.read(picture.luma, seen)
                    found[way].expressions.append(np.stack([now[0], read]))
                    found[way].eyes.append(np.stack([now[1], eyes]))
    return {way: _still_figures(each) for way, each in found.items()}


def _still_figures(found: Stills) -> dict[str, float]:
    expressions, eyes = np.array(found.expressions), np.array(found.eyes)
    figures = {
        "stills_n": len(found.kept) / TIMES,
        "apart_median": float(np.median(found.apart)),
        "apart_p95": float(np.quantile(found.apart, 0.95)),
        "kept": float(np.mean(found.kept)),
        "expression_apart": float(np.abs(expressions[:, 0] - expressions[:, 1]).mean()),
        "expression_changed": float((expressions[:, 0].argmax(1) != expressions[:, 1].argmax(1)).mean()),
        "eyes_apart": float(np.nanmean(np.abs(eyes[:, 0] - eyes[:, 1]))),
        "eyes_changed": float(((eyes[:, 0] < 0.5) != (eyes[:, 1] < 0.5)).mean()),
    }
    for name, errors in found.errors.items():
        figures[f"{name}_median"] = float(np.median(errors))
        figures[f"{name}_p95"] = float(np.quantile(errors, 0.95))
    return figures


def steadiness(finder: FaceFinder, tracker: FaceTracker, pictures: list[Picture]) -> dict[str, float]:
    """How far points move from frame to frame on a face that stands still before a noisy sensor, face sizes."""
    rng = np.random.default_rng(1)
    steps: dict[str, list[float]] = {OURS: [], FACE: []}
    for picture in track(pictures, "noise", transient=True):
        noisy = [
            np.clip(picture.luma + rng.normal(0, NOISE, picture.luma.shape), 0, 255).astype(np.uint8)
            for _ in range(STILL_FRAMES)
        ]
        start = finder.find(picture.luma)
        if start is None:
            continue
        for way, look in looks(finder, tracker).items():
            faces = list(_chain(look, noisy, start))
            steps[way] += [apart(one, other) for one, other in pairwise(faces[1:])]
    return {way: float(np.mean(moves)) for way, moves in steps.items()}


def _chain(look: Look, frames: Sequence[Luma], start: Face) -> Iterator[Face]:
    """The face of each frame, looked for where it was in the one before; until it is lost."""
    face: Face | None = start
    for luma in frames:
        face = look(luma, face)
        if face is None:
            return
        yield face


class Counted:
    """A finder that counts how often it was asked."""

    def __init__(self, finder: FaceFinder) -> None:
        self._finder = finder
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("find_near", "find_all"):
            self.asked += 1
        return getattr(self._finder, name)


def follow(finder: Finder, tracker: Tracker | None, frames: Sequence[Luma]) -> list[Face | None]:
    """The driver's face in each frame."""
    follower = DriverFollower(finder, tracker)
    return [follower.update(luma, number / FPS) for number, luma in enumerate(frames)]


def clips(finder: FaceFinder, tracker: FaceTracker, root: Path, yunet: Path) -> dict[str, dict[str, float]]:
    """Clips as they are followed with a tracker and without."""
    paths = [*sorted((root / "clips").glob("*.*")), *sorted((root / "clips" / "hard").glob("*.mp4"))]
    detector = yunet_finder(yunet)
    count = tracked = lost = gained = 0
    gaps: list[float] = []
    jitters: dict[str, list[float]] = {OURS: [], FACE: []}
    yunets: dict[str, list[float]] = {OURS: [], FACE: []}
    for path in track(paths, "clips", transient=True):
        frames = read_frames(path)
        counted = Counted(finder)
        follower = DriverFollower(counted, tracker)
        ours: list[Face | None] = []
        for number, luma in enumerate(frames):
            asked = counted.asked
            ours.append(follower.update(luma, number / FPS))
            tracked += ours[-1] is not None and counted.asked == asked
        plain = follow(finder, None, frames)
        count += sum(face is not None for face in ours)
        for luma, mine, theirs in zip(frames, ours, plain, strict=True):
            lost += mine is None and theirs is not None
            gained += theirs is None and mine is not None
            if mine is None or theirs is None:
                continue
            gaps.append(apart(mine, theirs))
            points = detector(luma)
            if points is None or np.linalg.norm(points.mean(0) - theirs.points.mean(0)) > 0.3 * face_size(theirs):
                continue
            for way, face in ((OURS, mine), (FACE, theirs)):
                yunets[way].append(float(np.linalg.norm(face.points - points, axis=1)[:3].mean()) / face_size(theirs))
        jitters[OURS] += _second_differences(ours)
        jitters[FACE] += _second_differences(plain)
    figures: dict[str, dict[str, float]] = {
        way: {
            "clip_jitter": float(np.median(jitters[way])),
            "clip_yunet_median": float(np.median(yunets[way])),
            "clip_yunet_p95": float(np.quantile(yunets[way], 0.95)),
        }
        for way in (OURS, FACE)
    }
    figures[OURS] |= {
        "clip_frames": count,
        "clip_tracked": tracked / count,
        "clip_apart_median": float(np.median(gaps)),
        "clip_apart_p95": float(np.quantile(gaps, 0.95)),
        "clip_lost": gained / count,
    }
    figures[FACE] |= {"clip_frames": count - gained + lost, "clip_lost": lost / count}
    return figures


def _second_differences(faces: Sequence[Face | None]) -> list[float]:
    """How far the points of a face lie from where the frames around it would have them, in face sizes."""
    found = []
    for before, face, after in zip(faces, faces[1:], faces[2:], strict=False):
        if before is not None and face is not None and after is not None:
            bend = after.points - 2 * face.points + before.points
            found.append(float(np.linalg.norm(bend, axis=1).mean()) / face_size(face))
    return found


def no_face(finder: FaceFinder, tracker: FaceTracker, parts: dict[str, list[Picture]]) -> dict[str, dict[str, float]]:
    """Of places where a face was and is none any more, how many are followed on all the same."""
    rng = np.random.default_rng(2)
    kept: dict[str, dict[str, list[bool]]] = {way: {} for way in (OURS, FACE)}
    ways = looks(finder, tracker)
    for picture in track([*parts["portraits"], *parts["drivers"]], "no face", transient=True):
        face = finder.find(picture.luma)
        if face is None or error(face.points, picture) > WRONG:
            continue
        for name, luma, before in _gone(rng, picture, face):
            for way, look in ways.items():
                if name != "off" or way == OURS:
                    kept[way].setdefault(f"{name}_kept", []).append(look(luma, before) is not None)
    return {way: {name: float(np.mean(values)) for name, values in each.items()} for way, each in kept.items()}


def _gone(rng: Generator, picture: Picture, face: Face) -> Iterator[tuple[str, Luma, Face]]:
    height, width = picture.luma.shape
    if picture.source == "cuhk" and len(picture.boxes) == 1:
        yield "headless", without_head(picture.luma, np.array(face.box, np.float32)), moved(rng, face)
    corner = np.array([width - 1, height - 1], np.float32)
    x, y, wide, high = face.box
    over = Face((corner[0] - x - wide, corner[1] - y - high, wide, high), corner - face.points, face.score)
    yield "over", np.ascontiguousarray(picture.luma[::-1, ::-1]), moved(rng, over)
    angle = rng.uniform(0, 2 * np.pi)
    by = rng.uniform(0.7, 1.2) * face_size(face) * np.array([np.cos(angle), np.sin(angle)], np.float32)
    yield "off", picture.luma, replace(face, points=face.points + by)
    if picture.source == "cabin":
        for side in sides(picture):
            to = rng.uniform([0, 0], side.shape[::-1]) - face.points.mean(0)
            yield "beside", side, replace(face, points=(face.points + to).astype(np.float32))


def going(finder: FaceFinder, tracker: FaceTracker, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Faces that are seen for SIGHTS_S and then painted out: how long the follower still speaks of them."""
    alone = [picture for picture in pictures if len(picture.boxes) == 1][::PART]
    seconds: dict[str, list[float]] = {OURS: [], FACE: []}
    for picture in track(alone, "going", transient=True):
        face = finder.find(picture.luma)
        if face is None or error(face.points, picture) > WRONG:
            continue
        empty = without_head(picture.luma, np.array(face.box, np.float32))
        frames = [*[picture.luma] * round(SIGHTS_S * FPS), *[empty] * round(GONE_S * FPS)]
        for way, helper in ((OURS, tracker), (FACE, None)):
            told = [one is not None for one in follow(finder, helper, frames)][round(SIGHTS_S * FPS) :]
            seconds[way].append(sum(told) / FPS)
    return {
        way: {"gone_n": len(each), "gone_median_s": float(np.median(each)), "gone_longest_s": max(each)}
        for way, each in seconds.items()
    }


def drifting(finder: FaceFinder, tracker: FaceTracker, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Faces that wander, grow, shrink and lean for a minute, looked for where they were: the error in time."""
    rng = np.random.default_rng(3)
    alone = [picture for picture in pictures if len(picture.boxes) == 1]
    chosen = [alone[int(index)] for index in rng.choice(len(alone), TRACKS, replace=False)]
    found: dict[str, list[NDArray[np.float64]]] = {OURS: [], FACE: []}
    filmed: dict[str, list[NDArray[np.float64]]] = {OURS: [], FACE: []}
    ways: dict[str, Look] = {OURS: lambda luma, face: tracker.look(luma, face)[0], FACE: looks(finder, tracker)[FACE]}
    for picture in track(chosen, "drift", transient=True):
        seed = int(rng.integers(2**31))
        for way, helper in ((OURS, tracker), (FACE, None)):
            for errors, look in ((found, ways[way]), (filmed, followed(finder, helper))):
                told = _wander(np.random.default_rng(seed), picture, finder, look)
                if told is not None:
                    errors[way].append(told)
    return {
        way: {
            "film_median": float(np.median(filmed[way])),
            "film_p95": float(np.quantile(filmed[way], 0.95)),
            "film_wrong": float((np.array(filmed[way]) > WRONG).mean()),
            "drift_first": float(np.median([each[:FPS] for each in found[way]])),
            "drift_last": float(np.median([each[-FPS:] for each in found[way]])),
            "drift_wrong": float((np.array(found[way]) > WRONG).mean()),
        }
        for way in found
    }


def followed(finder: FaceFinder, tracker: FaceTracker | None) -> Look:
    """The driver's face as the product tells it, frame after frame."""
    follower = DriverFollower(finder, tracker)
    times = itertools.count()
    return lambda luma, _: follower.update(luma, next(times) / FPS)


def _wander(rng: Generator, picture: Picture, finder: FaceFinder, look: Look) -> NDArray[np.float64] | None:
    """The error in each frame; infinite once the face is lost. None where it is not found to begin with."""
    count = round(DRIFT_S * FPS)
    size = float(np.sqrt(picture.boxes[0, 2] * picture.boxes[0, 3]))
    at = np.arange(count) / FPS
    waves = rng.uniform(0.05, 0.35, 4), rng.uniform(0, 2 * np.pi, 4)
    reach = np.array([1.0, 0.6, 0.18, 12.0])  # face sizes across and down, logarithm of the scale, degrees
    paths = reach * np.sin(2 * np.pi * np.outer(at, waves[0]) + waves[1]) * np.minimum(at, 1.0)[:, None]
    middle = picture.points[0].mean(0)
    grain = rng.normal(0, NOISE, (FILM_PX[1], 2 * FILM_PX[0]))
    face: Face | None = None
    errors = np.full(count, np.inf)
    for number, (x, y, growth, lean) in enumerate(paths):
        turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), lean, FILMED_PX / size * np.exp(growth))
        turn[:, 2] += np.array(FILM_PX) / 2 - middle + np.array([x, y]) * FILMED_PX
        frame = cv2.warpAffine(picture.luma, turn, FILM_PX, borderMode=cv2.BORDER_REPLICATE)
        shift = int(rng.integers(FILM_PX[0]))
        luma = np.clip(frame + grain[:, shift : shift + FILM_PX[0]], 0, 255).astype(np.uint8)
        face = finder.find(luma) if number == 0 else look(luma, face) if face is not None else None
        if face is None:
            return None if number == 0 else errors
        label = picture.points[0] @ turn[:, :2].T + turn[:, 2]
        scale = float(np.hypot(*turn[0, :2])) * size
        errors[number] = np.linalg.norm(face.points - label, axis=1)[:3].mean() / scale
    return errors


def time_ratio(finder: FaceFinder, tracker: FaceTracker, picture: Picture, rounds: int = 80) -> float:
    """Processor time of a look of the tracker over that of the face model's, the two taking turns."""
    luma = np.asarray(cv2.resize(picture.luma, (640, 480)), np.uint8)
    face = finder.find(luma)
    if face is None:
        raise SystemExit("the driver whose face is timed is not found")
    taken: dict[str, list[float]] = {OURS: [], FACE: []}
    for _ in range(rounds):
        for way, look in looks(finder, tracker).items():
            begin = time.thread_time()
            for _ in range(5):
                look(luma, face)
            taken[way].append(time.thread_time() - begin)
    return statistics.median(taken[OURS]) / statistics.median(taken[FACE])


def evaluate(finder: FaceFinder, tracker: FaceTracker, root: Path, yunet: Path) -> dict[str, dict[str, float]]:
    """All figures of both."""
    parts = held_out_parts(root)
    portraits, drivers = parts["portraits"], parts["drivers"]
    measured = [
        stills(finder, tracker, parts),
        no_face(finder, tracker, parts),
        going(finder, tracker, portraits),
        drifting(finder, tracker, [*portraits, *drivers]),
        clips(finder, tracker, root, yunet),
    ]
    steady = steadiness(finder, tracker, [*portraits[::PART], *drivers[::PART]])
    figures = {way: {"steady": steady[way]} for way in (OURS, FACE)}
    for part in measured:
        for way in figures:
            figures[way] |= part[way]
    figures[OURS]["time_ratio"] = time_ratio(finder, tracker, drivers[0])
    figures[FACE]["time_ratio"] = 1.0
    return figures


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="folder with YuNet")
    parser.add_argument("--model", type=Path, help="manifest of another model")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    for needed in (arguments.data / "faces" / "faces.csv", arguments.peers / "yunet_2023mar.onnx"):
        if not needed.exists():
            raise SystemExit(f"{needed}: no such file; name its folder with --data or --peers")
    cv2.setNumThreads(1)
    path = arguments.model or bundled("follow")
    finder, tracker = FaceFinder.load(), FaceTracker.load(VisionConfig(follow_model=path))
    figures = evaluate(finder, tracker, arguments.data, arguments.peers / "yunet_2023mar.onnx")
    for way, model in ((OURS, tracker.manifest), (FACE, finder.manifest)):
        figures[way]["size_kb"] = ((path if way == OURS else bundled("face")).parent / model.file).stat().st_size / 1000
    show(f"Follow model {tracker.manifest.version}", ROWS, figures, Console(width=130), OURS)
    if arguments.json:
        head = {"sha256": tracker.manifest.sha256, "version": tracker.manifest.version}
        write_json(arguments.json, {**head, "models": figures})


if __name__ == "__main__":
    main()
