"""How fast this machine is: each stage, the models against the rest, start-up, memory."""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge.board.sensors import temperature_c, throttled
from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config
from edge.domain import Face, Frame
from edge.errors import UnavailableError
from edge.pipeline import Pipeline
from edge.service.versions import About
from edge.tables import print_table
from edge.timing import StageTimes
from edge.vision.expression import ExpressionReader
from edge.vision.eyes import EyeReader
from edge.vision.face import FaceFinder
from edge.vision.tflite import open_runtime
from edge.vision.track import FaceTracker

Way = Literal["following", "searching"]

WAYS: tuple[Way, ...] = ("following", "searching")
FRAME_PERIOD_S = 1 / 30

WARM_UP = 50
KEPT_FRAMES = 200
"""Frames of a clip that are kept in memory and gone through again and again: decoding is not timed."""

MOST_THREADS = 4
STARTS = 3
PERCENTS = (50, 95, 99)
# a folder named like one of our packages, where the user happens to stand, is not imported
_FIRST_DECISION = """
import sys
sys.path = [place for place in sys.path if place]
from edge.spare import spare
spare()
import numpy as np
from edge.board.sensors import resident_mb
from edge.config import Config
from edge.pipeline import Pipeline
from edge.domain import Frame
config = Config.model_validate_json(sys.stdin.read())
Pipeline.from_config(config).step(Frame(np.random.default_rng(0).integers(0, 255, (480, 640), np.uint8), 0.0))
print(resident_mb() or "")
"""


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Milliseconds over ``samples`` frames."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    samples: int


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one runtime, number of threads, and way to find the driver.

    ``step`` is frame in memory to decision; the stages picture, face, quality, expression, eyes and decision are parts
    of it. ``face model``, ``follow model``, ``expression model`` and ``eyes model`` are ``invoke`` alone, ``rest`` is
    the step without them, and ``rest_share`` the median of its share (0 to 1).
    """

    runtime: str
    threads: int
    way: Way
    stages: dict[str, StageFigures]
    rest_share: float


@dataclass(frozen=True, slots=True)
class Report:
    """What ``bench`` found. ``start_s`` is from the start of a new process to its first decision, the median of three.

    ``memory_mb`` is what that process had resident then. The temperature is that before and after the runs.
    """

    frames: str
    about: About
    runs: tuple[Run, ...]
    start_s: float
    memory_mb: float | None
    temperature_before_c: float | None
    temperature_c: float | None
    throttled: bool | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


class SearchingFinder(FaceFinder):
    """A face model that never finds the driver where the driver was, so that each frame is searched as a whole."""

    def find_near(self, luma: NDArray[np.uint8], face: Face, within: float = 0.0, share: float = 1.0) -> None:
        """Nothing."""
        del luma, face, within, share


class TimedInterpreter:
    """A TFLite interpreter whose ``invoke`` tells ``add`` how many milliseconds it took."""

    def __init__(self, interpreter: Any, add: Callable[[float], None]) -> None:
        self.set_tensor = interpreter.set_tensor
        self.get_tensor = interpreter.get_tensor
        self._invoke = interpreter.invoke
        self._add = add

    def invoke(self) -> None:
        """Run the model."""
        begin = time.perf_counter()
        self._invoke()
        self._add((time.perf_counter() - begin) * 1000.0)


class TimedPipeline:
    """A pipeline whose steps are timed: as a whole, the models' ``invoke``, and the rest.

    ``rest_shares`` has the rest's share of each step.
    """

    def __init__(self, config: Config, way: Way, count: int) -> None:
        self.times = StageTimes(window=count)
        self.rest_shares: deque[float] = deque(maxlen=count)
        cv2.setNumThreads(config.vision.threads)  # as Pipeline.from_config does
        finder = build_finder(config, way)
        reader = ExpressionReader.load(config.vision)
        eyes = EyeReader.load(config.vision)
        tracker = build_tracker(config, way)
        self._pipeline = Pipeline(config, finder, reader, self.times, eyes, tracker)
        self._invoked_ms = 0.0
        trackers = [] if tracker is None else [tracker.model]
        for model in (finder.model, *trackers, reader.model, eyes.model):
            model.interpreter = TimedInterpreter(model.interpreter, self._adder(f"{model.manifest.name} model"))

    def step(self, frame: Frame) -> None:
        """Take one frame to its decision."""
        self._invoked_ms = 0.0
        begin = time.perf_counter()
        self._pipeline.step(frame)
        step_ms = (time.perf_counter() - begin) * 1000.0
        self.times.add("step", step_ms)
        self.times.add("rest", step_ms - self._invoked_ms)
        self.rest_shares.append(1.0 - self._invoked_ms / step_ms)

    def _adder(self, stage: str) -> Callable[[float], None]:
        def add(ms: float) -> None:
            self._invoked_ms += ms
            self.times.add(stage, ms)

        return add


def measure(config: Config, count: int, clip: Path | None = None) -> Report:
    """Time ``count`` frames after a warm-up: with every runtime here, one to four threads, following and searching.

    No more threads than processors. The frames are the first ones of ``clip``, by default of the bundled clip, gone
    through again and again.

    Raises:
        CameraError, ModelError, UnavailableError: the clip, a model or the runtime is missing.
    """
    before_c = temperature_c()
    start_s, memory_mb = time_start(config)
    frames = clip_frames(clip or bundled_clip(), KEPT_FRAMES)
    height, width = frames[0].shape
    return Report(
        frames=f"{clip or 'bundled clip'}, {width}x{height}",
        about=About.of(config.vision),
        runs=tuple(_runs(config, frames, count)),
        start_s=start_s,
        memory_mb=memory_mb,
        temperature_before_c=before_c,
        temperature_c=temperature_c(),
        throttled=throttled(),
    )


def build_finder(config: Config, way: Way) -> FaceFinder:
    """The face model that finds the driver this way."""
    return (FaceFinder if way == "following" else SearchingFinder).load(config.vision)


def build_tracker(config: Config, way: Way) -> FaceTracker | None:
    """The model that follows the driver this way, if the configuration asks for one."""
    return FaceTracker.wanted(config.vision) if way == "following" else None


def bundled_clip() -> Path:
    """Path of the clip that travels with the package."""
    return Path(str(resources.files("edge") / "tools" / "demo" / "clip.mp4"))


def clip_frames(clip: Path, count: int) -> list[NDArray[np.uint8]]:
    """The luma (H, W) of a clip's first ``count`` frames, or of all if there are fewer.

    Raises:
        CameraError: the clip cannot be read.
    """
    frames: list[NDArray[np.uint8]] = []
    with open_camera(CameraConfig().model_copy(update={"source": str(clip)}), realtime=False) as camera:
        while len(frames) < count:
            try:
                frames.append(camera.read(1.0).luma)
            except EndOfStream:
                break
    return frames


def print_report(report: Report) -> None:
    """The report as tables."""
    console = Console()
    for run in report.runs:
        if run.threads == 1:
            print_table(console, _stages_table(run, report.frames))
    print_table(console, _threads_table(report.runs))
    about = report.about
    named = (about.face_model, about.follow_model, about.expression_model, about.eye_model)
    console.print("; ".join(filter(None, named)))
    memory = "unknown" if report.memory_mb is None else f"{report.memory_mb:.0f} MB"
    console.print(f"start to first decision {report.start_s:.2f} s; resident memory {memory}")
    if report.temperature_c is not None:
        console.print(f"temperature {report.temperature_before_c:.0f} °C before, {report.temperature_c:.0f} °C after")
    if report.throttled is not None:
        console.print("throttled: these times are not the board's best" if report.throttled else "not throttled")


def _stages_table(run: Run, frames: str) -> Table:
    table = Table(title=f"{run.way}; {run.runtime}, 1 thread; {frames}")
    table.add_column("stage")
    for name in (*(f"p{percent} ms" for percent in PERCENTS), "frames"):
        table.add_column(name, justify="right")
    for name, stage in run.stages.items():
        table.add_row(name, f"{stage.p50_ms:.3f}", f"{stage.p95_ms:.3f}", f"{stage.p99_ms:.3f}", str(stage.samples))
    return table


def _threads_table(runs: tuple[Run, ...]) -> Table:
    table = Table(title="step by threads")
    for name in ("runtime", "way"):
        table.add_column(name)
    for name in ("threads", "p50 ms", "p95 ms", "p99 ms", "not invoke"):
        table.add_column(name, justify="right")
    for run in runs:
        step = run.stages["step"]
        times = (f"{ms:.3f}" for ms in (step.p50_ms, step.p95_ms, step.p99_ms))
        table.add_row(run.runtime, run.way, str(run.threads), *times, f"{run.rest_share:.0%}")
    return table


def _runs(config: Config, frames: list[NDArray[np.uint8]], count: int) -> Iterator[Run]:
    for runtime in _runtimes():
        for threads in range(1, min(MOST_THREADS, os.cpu_count() or 1) + 1):
            vision = config.vision.model_copy(update={"runtime": runtime, "threads": threads})
            for way in WAYS:
                pipeline = TimedPipeline(config.model_copy(update={"vision": vision}), way, count)
                stages = _time(pipeline, frames, count)
                share = statistics.median(pipeline.rest_shares)
                yield Run(About.of(vision).runtime, threads, way, stages, share)


def _runtimes() -> list[Literal["litert", "tflite"]]:
    """The runtimes that are installed.

    Raises:
        UnavailableError: there is none.
    """
    found: list[Literal["litert", "tflite"]] = []
    for name in ("litert", "tflite"):
        try:
            open_runtime(name)
        except UnavailableError:
            continue
        found.append(name)
    if not found:
        open_runtime("auto")
    return found


def _time(pipeline: TimedPipeline, frames: list[NDArray[np.uint8]], count: int) -> dict[str, StageFigures]:
    times = pipeline.times
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            times.clear()
        pipeline.step(Frame(frames[number % len(frames)], number * FRAME_PERIOD_S))
    return {
        name: StageFigures(p50, p95, p99, times.count(name))
        for name, (p50, p95, p99) in times.percentiles(*PERCENTS).items()
    }


def time_start(config: Config) -> tuple[float, float | None]:
    """Seconds from the start of a new process to its first decision, and the memory (MB) that it then holds."""
    taken, memory_mb = [], None
    for _ in range(STARTS):
        begin = time.perf_counter()
        command = [sys.executable, "-c", _FIRST_DECISION]
        child = subprocess.run(command, input=config.model_dump_json(), capture_output=True, text=True, check=False)  # noqa: S603 - our own text
        taken.append(time.perf_counter() - begin)
        if child.returncode != 0:
            raise UnavailableError(f"bench: a new process does not start: {child.stderr.strip().splitlines()[-1]}")
        memory_mb = float(child.stdout) if child.stdout.strip() else None
    return statistics.median(taken), memory_mb
