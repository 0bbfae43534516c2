"""Our step against the peer's, taking turns in one run: a busy or hot machine slows all of them alike.

``python -m benchmarks.ratios --peers ../shared/peers --clips ../shared/data/clips``; what is not there is left out,
with the reason. What is told is the thread's processor time, which leaves out when other programs had the processor;
what these do to the caches is in it.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.page import measured, write
from benchmarks.peer import Peer, missing
from edge.config import Config
from edge.domain import Frame
from edge.pipeline import Pipeline
from edge.timing import StageTimes
from edge.tools.bench import KEPT_FRAMES, STARTS, WARM_UP, WAYS, TimedPipeline, bundled_clip, clip_frames, time_start

TURN = 5
"""Frames that each contestant takes in its turn."""
READ_ALL = Config.model_validate({"vision": {"expression_hold_s": 0}})
READ_ALL_PERIOD_S = 0.1
"""At ten frames a second the eyes are read in each of them; with READ_ALL the expression is too."""
CALM_FPS = 15.0
CALM_CLIPS = ("driver_calm.avi", "driver_glasses.avi", "driver_yawn_smile.avi", "webcam.mp4")
"""Drivers in whose faces there is nothing to be warned of; the demo has three alerts, and calm stretches between."""
STRETCHES = 5
"""The steadiest of so many equal parts of a run is told."""

Luma = NDArray[np.uint8]
Step = Callable[[Luma], object]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of a figure, and what is the least that will do."""

    wanted: float
    floor: float


GOALS = {
    "following, every frame read, against the peer": Goal(0.5, 0.6),
    "searching, every frame read, against the peer": Goal(0.55, 0.6),
    "calm drive at 15 frames a second, against the peer": Goal(0.2, 0.3),
    "not invoke, following": Goal(0.25, 0.32),
    "step following, p99 / p50, best of five": Goal(2.0, 2.6),
    "start to first decision, s of processor time": Goal(0.3, 0.4),
    "resident, MB": Goal(90, 100),
}
SHARES = {"not invoke, following"}


def contestants(peers: Path, count: int) -> tuple[dict[str, Step], dict[str, TimedPipeline]]:
    """By name what takes a picture to its decision, every model read in every frame; and those of ours."""
    ours: dict[str, TimedPipeline] = {way: TimedPipeline(READ_ALL, way, count) for way in WAYS}
    steps: dict[str, Step] = {name: _clocked(pipeline, READ_ALL_PERIOD_S) for name, pipeline in ours.items()}
    if missing(peers) is None:
        steps["peer"] = Peer(peers).step
    return steps, ours


def take_turns(steps: dict[str, Step], frames: Iterator[Luma], count: int) -> dict[str, list[float]]:
    """Milliseconds of processor time for each frame of each, over at least ``count`` frames, or what there is."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(count // TURN + 1):
        turn = list(itertools.islice(frames, TURN))
        for name, step in steps.items():
            for luma in turn:
                begin = time.thread_time()
                step(luma)
                taken[name].append((time.thread_time() - begin) * 1000.0)
    return taken


def calm_drive(clip: Path, peers: Path) -> tuple[float, float, float]:
    """Mean milliseconds of our step over a clip and of the peer's, taking turns, and the share of expressions read."""
    frames = at_fps(clip, CALM_FPS)
    times = StageTimes(window=len(frames))
    pipeline = Pipeline.from_config(Config(), times)
    steps: dict[str, Step] = {"ours": _clocked(pipeline, 1 / CALM_FPS), "peer": Peer(peers).step}
    taken = take_turns(steps, iter(frames), len(frames))
    read = times.count("expression") / max(times.count("crop"), 1)
    return statistics.fmean(taken["ours"]), statistics.fmean(taken["peer"]), read


def at_fps(clip: Path, fps: float) -> list[Luma]:
    """The luma of a clip's frames, thinned to ``fps`` a second."""
    capture = cv2.VideoCapture(str(clip))
    own = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    frames = clip_frames(clip, 100_000)
    return [luma for number, luma in enumerate(frames) if number == 0 or begins_period(number, fps, own)]


def begins_period(number: int, fps: float, own: float) -> bool:
    """Whether the frame of this number begins another period of ``fps``."""
    return own <= fps or int(number * fps / own) != int((number - 1) * fps / own)


def steadiest(times: Sequence[float]) -> float:
    """The least ratio of p99 to p50 among STRETCHES equal parts of a run."""
    parts = np.array_split(np.asarray(times), STRETCHES)
    return float(min(np.percentile(part, 99) / np.percentile(part, 50) for part in parts))


HEAD = ("pipeline", "p50 ms", "p99 ms", "ratio", "not invoke")
CALM_HEAD = ("clip", "expression read", "mean ms", "peer, mean ms", "ratio")
GOALS_HEAD = ("figure", "measured", "wanted", "floor")


def rows(times: dict[str, list[float]], ours: dict[str, TimedPipeline]) -> list[list[str]]:
    """One row for each contestant."""
    told = []
    for name, ms in times.items():
        p50, p99 = np.percentile(ms, [50, 99])
        ratio = f"{p50 / np.median(times['peer']):.2f}" if "peer" in times else "-"
        rest = f"{statistics.median(ours[name].rest_shares):.0%}" if name in ours else ""
        told.append([name, f"{p50:.3f}", f"{p99:.3f}", ratio, rest])
    return told


def goal_rows(figures: dict[str, float]) -> list[list[str]]:
    """What was measured beside what is wanted."""
    told = []
    for name, goal in GOALS.items():
        form = "{:.0%}" if name in SHARES else "{:.0f}" if goal.wanted > 10 else "{:.2f}"
        value = form.format(figures[name]) if name in figures else "-"
        told.append([name, value, f"≤ {form.format(goal.wanted)}", form.format(goal.floor)])
    return told


def _clocked(pipeline: TimedPipeline | Pipeline, period_s: float) -> Step:
    numbers = itertools.count()
    return lambda luma: pipeline.step(Frame(luma, next(numbers) * period_s))


def _print(console: Console, title: str, head: Sequence[str], told: Sequence[Sequence[str]]) -> None:
    table = Table(*head, title=title)
    for row in told:
        table.add_row(*row)
    console.print(table)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Time a step against the peer's.")
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="folder with the peer's models")
    parser.add_argument("--clips", type=Path, default=Path("../shared/data/clips"), help="folder with the calm clips")
    parser.add_argument("--clip", type=Path, default=bundled_clip(), help="frames of this video for single steps")
    parser.add_argument("--frames", type=int, default=1000, help="frames to time, after a warm-up")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    gc.collect()
    gc.freeze()  # as the service does after its first decision
    console = Console(width=110)
    console.print(measured(), soft_wrap=True)
    frames = clip_frames(arguments.clip, KEPT_FRAMES)
    steps, ours = contestants(arguments.peers, arguments.frames)
    taken = take_turns(steps, itertools.cycle(frames), WARM_UP + arguments.frames)
    times = {name: ms[WARM_UP:] for name, ms in taken.items()}
    told = rows(times, ours)
    height, width = frames[0].shape
    _print(console, f"frame in memory to decision, 1 thread, taking turns; {width}x{height}", HEAD, told)
    figures = {
        "not invoke, following": statistics.median(ours["following"].rest_shares),
        "step following, p99 / p50, best of five": steadiest(times["following"]),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, memory_mb = time_start(Config())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures["start to first decision, s of processor time"] = used_s / STARTS
    if memory_mb is not None:
        figures["resident, MB"] = memory_mb
    absent = missing(arguments.peers)
    calm: list[list[str]] = []
    if absent:
        console.print(f"peer SKIPPED: {absent}; give the folder with --peers", soft_wrap=True)
    else:
        for way in WAYS:
            ratio = statistics.median(times[way]) / statistics.median(times["peer"])
            figures[f"{way}, every frame read, against the peer"] = ratio
        calm, mean = _calm(arguments.clips, arguments.peers, console)
        figures["calm drive at 15 frames a second, against the peer"] = mean
        _print(console, "calm drive, taking turns with the peer, which runs in every frame", CALM_HEAD, calm)
    _print(console, "what is wanted", GOALS_HEAD, goal_rows(figures))
    if arguments.write:
        if absent or len(calm) <= len(CALM_CLIPS):
            raise SystemExit("--write: give the folders of peer and clips, since what is kept holds all figures")
        write("ratios", HEAD, told)
        write("calm", CALM_HEAD, calm)
        write("goals", GOALS_HEAD, goal_rows(figures))


def _calm(folder: Path, peers: Path, console: Console) -> tuple[list[list[str]], float]:
    """A row for each clip, and the mean of their ratios."""
    told, ratios = [], []
    for clip in (bundled_clip(), *(folder / name for name in CALM_CLIPS)):
        if not clip.exists():
            console.print(f"{clip.name} SKIPPED: not in {folder}; give the folder with --clips", soft_wrap=True)
            continue
        ours_ms, peer_ms, read = calm_drive(clip, peers)
        ratios.append(ours_ms / peer_ms)
        name = "the demo's" if clip == bundled_clip() else clip.name
        told.append([name, f"{read:.0%}", f"{ours_ms:.3f}", f"{peer_ms:.3f}", f"{ratios[-1]:.2f}"])
    mean = statistics.fmean(ratios)
    return [*told, ["mean", "", "", "", f"{mean:.2f}"]], mean


if __name__ == "__main__":
    main()
