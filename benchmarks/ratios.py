"""Our step against the peer's, taking turns in one run: a busy or hot machine slows all of them alike.

``python -m benchmarks.ratios --peers ../shared/peers``; what is not there is left out, with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.page import write
from benchmarks.peer import Peer, missing
from edge.config import Config
from edge.domain import Frame
from edge.tools.bench import FRAME_PERIOD_S, KEPT_FRAMES, WARM_UP, WAYS, TimedPipeline, bundled_clip, clip_frames

WANTED = {"following": 0.5, "searching": 0.8}
WANTED_REST = 0.20
TURN = 5
"""Frames that each contestant takes in its turn."""

Luma = NDArray[np.uint8]
Step = Callable[[Luma], object]


def contestants(peers: Path, count: int) -> tuple[dict[str, Step], dict[str, TimedPipeline]]:
    """By name what takes a picture to its decision, and those of ours."""
    ours: dict[str, TimedPipeline] = {way: TimedPipeline(Config(), way, count) for way in WAYS}
    steps: dict[str, Step] = {name: _clocked(pipeline) for name, pipeline in ours.items()}
    if missing(peers) is None:
        steps["peer"] = Peer(peers).step
    return steps, ours


def take_turns(steps: dict[str, Step], frames: list[Luma], count: int) -> dict[str, float]:
    """Median milliseconds a frame of each, over at least ``count`` frames after a warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    numbers = itertools.count()
    for _ in range((WARM_UP + count) // TURN + 1):
        turn = [frames[next(numbers) % len(frames)] for _ in range(TURN)]
        for name, step in steps.items():
            for luma in turn:
                begin = time.perf_counter()
                step(luma)
                taken[name].append((time.perf_counter() - begin) * 1000.0)
    return {name: statistics.median(times[WARM_UP:]) for name, times in taken.items()}


HEAD = ("pipeline", "p50 ms", "ratio", "wanted", "not invoke", "wanted")


def rows(times: dict[str, float], ours: dict[str, TimedPipeline]) -> list[list[str]]:
    """One row for each contestant."""
    peer = times.get("peer")
    told = []
    for name, ms in times.items():
        if name not in ours:
            told.append(["peer", f"{ms:.3f}", "1", "", "", ""])
            continue
        ratio = f"{ms / peer:.2f}" if peer else "-"
        rest = statistics.median(ours[name].rest_shares)
        told.append([name, f"{ms:.3f}", ratio, f"≤ {WANTED[name]:g}", f"{rest:.0%}", f"≤ {WANTED_REST:.0%}"])
    return told


def _clocked(pipeline: TimedPipeline) -> Step:
    numbers = itertools.count()
    return lambda luma: pipeline.step(Frame(luma, next(numbers) * FRAME_PERIOD_S))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Time a step against the peer's.")
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="folder with the peer's models")
    parser.add_argument("--clip", type=Path, default=bundled_clip(), help="frames of this video")
    parser.add_argument("--frames", type=int, default=1000, help="frames to time, after a warm-up")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    frames = clip_frames(arguments.clip, KEPT_FRAMES)
    steps, ours = contestants(arguments.peers, arguments.frames)
    times = take_turns(steps, frames, arguments.frames)
    height, width = frames[0].shape
    absent = missing(arguments.peers)
    told = rows(times, ours)
    frames_of = f"{arguments.clip.name}, {width}x{height}"
    table = Table(*HEAD, title=f"frame in memory to decision, 1 thread, taking turns; {frames_of}")
    for row in told:
        table.add_row(*row)
    console = Console()
    console.print(table)
    if absent:
        console.print(f"peer SKIPPED: {absent}; give the folder with --peers", soft_wrap=True)
    if arguments.write:
        if absent:
            raise SystemExit("--write: give the peer's folder with --peers, since what is kept holds its time")
        write("ratios", HEAD, told)


if __name__ == "__main__":
    main()
