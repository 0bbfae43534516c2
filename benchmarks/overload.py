"""How old a frame is when it is decided on, while frames come twice as fast as they can be processed.

``python -m benchmarks.overload``. The real service reads the demo's clip, played in real time in a loop, through the
real models; only that each frame is read again and again until two frame times have gone. There is no broker.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.clips import bundled_clip, drive, record
from benchmarks.server import free_port
from edge.board.clock import uptime_s
from edge.board.notify import Notifier
from edge.camera import open_camera
from edge.camera.newest import NewestFrame
from edge.config import Config
from edge.domain import UNKNOWN_CONTEXT, Context, Frame, Sight, Step
from edge.episodes import ENTROPY_BYTES
from edge.mqtt.client import Publisher
from edge.mqtt.outbox import Outbox
from edge.pipeline import Pipeline
from edge.service.loop import Service, board_stamp
from edge.service.mqtt_sink import MqttSink
from edge.service.ports import Steps
from edge.service.resting_face import RestingFaceFile, RestingFaceSink
from edge.service.versions import About
from edge.timing import StageTimes
from edge.vision.crop import FaceView

FPS = 30.0
SLOWER = 2.0
FRAME_TIMES = 1.2
"""Bound on the age of a frame at decision: so many frame times, and the step."""

WAIT = "age before the step"


class SlowSteps:
    """The pipeline, with work for ``step_s`` seconds on each frame. ``times`` gets how old frames are before it."""

    def __init__(self, pipeline: Pipeline, step_s: float, times: StageTimes) -> None:
        self.decider = pipeline.decider
        self._pipeline = pipeline
        self._step_s = step_s
        self._times = times

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
        """Read a frame until the time is over."""
        begin = time.monotonic()
        self._times.add(WAIT, (begin - frame.t) * 1000.0)
        end = begin + self._step_s
        step = self._pipeline.step(frame, context)
        while time.monotonic() < end:
            if (face := step.observation.face) is not None:
                self._pipeline.reader.read_all(FaceView(frame.luma, face))
            else:
                self._pipeline.finder.find_all(frame.luma)
        return step

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:
        """As the pipeline."""
        return self._pipeline.step_blind(t, sight, reason, context)

    def reconfigure(self, config: Config) -> None:
        """As the pipeline."""
        self._pipeline.reconfigure(config)


def main() -> None:
    """Measure, print the table; exit status 1 where frames are older than they may be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    times = StageTimes(window=int(options.seconds * FPS))
    with tempfile.TemporaryDirectory(prefix="evenkeel-overload-") as folder:
        dropped = run(Path(folder), options.seconds, times)
    found = times.percentiles(50, 95, 99, 100)
    table = Table("", "p50 ms", "p95 ms", "p99 ms", "max ms", title="Frames at twice the speed of processing")
    for name in (WAIT, "step", "age"):
        table.add_row(name, *(f"{value:.1f}" for value in found[name]))
    bound_ms = FRAME_TIMES * 1000 / FPS
    console = Console()
    console.print(table)
    console.print(f"{WAIT}: at most {bound_ms:.0f} ms wanted; {times.count('age')} frames read, {dropped} dropped")
    console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    sys.exit(found[WAIT][1] > bound_ms)


def run(folder: Path, seconds: float, times: StageTimes) -> int:
    """Let the service work for so long; return how many frames it dropped."""
    clip = folder / "clip.mp4"
    record(drive([bundled_clip()], FPS), FPS, clip)
    config = Config.model_validate(
        {
            "camera": {"source": str(clip), "fps": 120},
            "mqtt": {"host": "127.0.0.1", "port": free_port()},
            "outbox": {"path": folder / "outbox.db"},
        }
    )
    steps: Steps = SlowSteps(Pipeline.from_config(config), SLOWER / FPS, times)
    frames = NewestFrame(lambda: open_camera(config.camera, loop=True), config.camera)
    with closing(Outbox.from_config(config, os.environ, board_stamp())) as outbox:
        publisher = Publisher(config, outbox, clock=board_stamp, environ=os.environ)
        speak = MqttSink(
            config,
            publisher=publisher,
            about=About.of(config.vision),
            entropy=lambda: os.urandom(ENTROPY_BYTES),
            clock=uptime_s,
            stamp=board_stamp,
        )
        memory = RestingFaceSink(RestingFaceFile(folder), lambda: steps.decider.resting_face, uptime_s, board_stamp)
        service = Service(
            config,
            frames=frames,
            pipeline=steps,
            publisher=publisher,
            notifier=Notifier(None),
            sinks=[speak, memory],
            memory=memory,
            reload=lambda: config,
            times=times,
        )
        threading.Timer(seconds, service.stop).start()
        service.run()
    return frames.dropped


if __name__ == "__main__":
    main()
