"""How fast this machine is: time of each stage, start-up, memory."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge.about import About
from edge.board.sensors import resident_mb, temperature_c, throttled
from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config, VisionConfig
from edge.pipeline import Finder, Pipeline
from edge.records import Face, Frame
from edge.timing import StageTimes

WARM_UP = 50
KEPT_FRAMES = 200
"""Frames of a clip that are kept in memory and gone through again and again: decoding is not timed."""

FRAME_PERIOD_S = 1 / 30
_FIRST_DECISION = """
import numpy as np
from edge.config import Config
from edge.pipeline import Pipeline
from edge.records import Frame
Pipeline.from_config(Config()).step(Frame(np.random.default_rng(0).integers(0, 255, (480, 640), np.uint8), 0.0))
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
    """What ``bench`` found. ``start_s`` is from the start of a new process to its first decision."""

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

    The frames are those of ``clip``; without one they are synthetic, and every stage is made to run on them.

    Raises:
        CameraError, ModelError, UnavailableError: the clip, a model or the runtime is missing.
    """
    start_s = _time_start()
    frames = _clip_frames(clip) if clip else [_synthetic_frame(config.camera)]
    return Report(
        frames=str(clip) if clip else f"synthetic, {config.camera.width_px}x{config.camera.height_px}",
        about=About.of(config.vision),
        runs=tuple(
            _run(_pipeline(config, threads, count, synthetic=clip is None), threads, frames, count)
            for threads in sorted({1, config.vision.threads})
        ),
        start_s=start_s,
        memory_mb=resident_mb(),
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


def _pipeline(config: Config, threads: int, count: int, *, synthetic: bool) -> Pipeline:
    vision = VisionConfig.model_validate(config.vision.model_dump() | {"threads": threads})
    pipeline = Pipeline.from_config(config.model_copy(update={"vision": vision}), StageTimes(window=count))
    if not synthetic:
        return pipeline
    return Pipeline(config, _AlwaysFinds(pipeline.finder), pipeline.reader, pipeline.times)


class _AlwaysFinds:
    """Does the finder's work, and then says that there is a face in the middle: noise has none."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self.manifest = finder.manifest

    def find(self, luma: NDArray[np.uint8]) -> Face | None:
        self._finder.find(luma)
        height, width = luma.shape
        side = min(width, height) / 3
        box = ((width - side) / 2, (height - side) / 2, side, side)
        points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
        return Face(box, (points * side + np.array(box[:2])).astype(np.float32), score=1.0)


def _synthetic_frame(camera: CameraConfig) -> NDArray[np.uint8]:
    """Noise of a cabin's brightness, with a row stride as a camera's buffer has it."""
    noise = np.random.default_rng(0).integers(60, 180, (camera.height_px, camera.width_px + 64), np.uint8)
    return noise[:, : camera.width_px]


def _clip_frames(clip: Path) -> list[NDArray[np.uint8]]:
    frames: list[NDArray[np.uint8]] = []
    with open_camera(CameraConfig(source=str(clip)), realtime=False) as camera:
        while len(frames) < KEPT_FRAMES:
            try:
                frames.append(camera.read(1.0).luma)
            except EndOfStream:
                break
    return frames


def _time_start() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", _FIRST_DECISION], check=True)  # noqa: S603 - our own text
    return time.perf_counter() - begin
