"""How fast this machine is: time of each stage, start-up, memory."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge.about import About
from edge.board.sensors import temperature_c, throttled
from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config, VisionConfig
from edge.errors import UnavailableError
from edge.pipeline import Pipeline
from edge.records import Frame
from edge.timing import StageTimes

WARM_UP = 50
KEPT_FRAMES = 200
"""Frames of a clip that are kept in memory and gone through again and again: decoding is not timed."""

FRAME_PERIOD_S = 1 / 30
_FIRST_DECISION = """
import sys
import numpy as np
from edge.board.sensors import resident_mb
from edge.config import Config
from edge.pipeline import Pipeline
from edge.records import Frame
config = Config.model_validate_json(sys.stdin.read())
Pipeline.from_config(config).step(Frame(np.random.default_rng(0).integers(0, 255, (480, 640), np.uint8), 0.0))
print(resident_mb() or "")
"""


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Milliseconds over ``samples`` frames."""

    p50_ms: float
    p95_ms: float
    samples: int


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one number of threads; ``step`` is frame in memory to decision, and the stages are parts of it."""

    threads: int
    stages: dict[str, StageFigures]


@dataclass(frozen=True, slots=True)
class Report:
    """What ``bench`` found. ``start_s`` is from the start of a new process to its first decision.

    ``memory_mb`` is what that process had resident then.
    """

    frames: str
    about: About
    runs: tuple[Run, ...]
    start_s: float
    memory_mb: float | None
    temperature_c: float | None
    throttled: bool | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def measure(config: Config, count: int, clip: Path | None = None) -> Report:
    """Time ``count`` frames after a warm-up, with one thread and with the configured number.

    The frames are the first ones of ``clip``, by default of the bundled clip, gone through again and again.

    Raises:
        CameraError, ModelError, UnavailableError: the clip, a model or the runtime is missing.
    """
    start_s, memory_mb = _time_start(config)
    frames = _clip_frames(clip or Path(str(resources.files("edge") / "demo" / "clip.mp4")))
    height, width = frames[0].shape
    return Report(
        frames=f"{clip or 'bundled clip'}, {width}x{height}",
        about=About.of(config.vision),
        runs=tuple(
            _run(_pipeline(config, threads, count), threads, frames, count)
            for threads in sorted({1, config.vision.threads})
        ),
        start_s=start_s,
        memory_mb=memory_mb,
        temperature_c=temperature_c(),
        throttled=throttled(),
    )


def print_report(report: Report) -> None:
    """The report as a table."""
    console = Console()
    for run in report.runs:
        table = Table("stage", "p50 ms", "p95 ms", "frames", title=f"{run.threads} thread(s), {report.frames}")
        for name, stage in run.stages.items():
            table.add_row(name, f"{stage.p50_ms:.3f}", f"{stage.p95_ms:.3f}", str(stage.samples))
        console.print(table)
    about = report.about
    console.print(f"{about.runtime}; {about.face_model}; {about.expression_model}")
    memory = "unknown" if report.memory_mb is None else f"{report.memory_mb:.0f} MB"
    console.print(f"start to first decision {report.start_s:.2f} s; resident memory {memory}")


def _run(pipeline: Pipeline, threads: int, frames: list[NDArray[np.uint8]], count: int) -> Run:
    times = pipeline.times
    for i in range(WARM_UP + count):
        if i == WARM_UP:
            times.clear()
        with times.measure("step"):
            pipeline.step(Frame(frames[i % len(frames)], i * FRAME_PERIOD_S))
    return Run(
        threads,
        {name: StageFigures(p50, p95, times.count(name)) for name, (p50, p95) in times.percentiles(50, 95).items()},
    )


def _pipeline(config: Config, threads: int, count: int) -> Pipeline:
    vision = VisionConfig.model_validate(config.vision.model_dump() | {"threads": threads})
    return Pipeline.from_config(config.model_copy(update={"vision": vision}), StageTimes(window=count))


def _clip_frames(clip: Path) -> list[NDArray[np.uint8]]:
    frames: list[NDArray[np.uint8]] = []
    with open_camera(CameraConfig(source=str(clip)), realtime=False) as camera:
        while len(frames) < KEPT_FRAMES:
            try:
                frames.append(camera.read(1.0).luma)
            except EndOfStream:
                break
    return frames


def _time_start(config: Config) -> tuple[float, float | None]:
    """Seconds from the start of a new process to its first decision, and the memory (MB) that it then holds."""
    begin = time.perf_counter()
    # -P: a folder named like one of our packages, where the user happens to stand, is not imported
    command = [sys.executable, "-P", "-c", _FIRST_DECISION]
    child = subprocess.run(command, input=config.model_dump_json(), capture_output=True, text=True, check=False)  # noqa: S603 - our own text
    if child.returncode != 0:
        raise UnavailableError(f"bench: a new process does not start: {child.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - begin, float(child.stdout) if child.stdout.strip() else None
