"""How long a warning takes from its decision to the card and to a pin, and what all outputs cost a step.

``python -m benchmarks.cab_latency`` plays into a file through ALSA and moves gpiozero's mock pins, while the demo's
clip is decided on at 15 frames a second, as in the service. ``--write`` puts the table into docs/cab.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import select
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import gpiozero
import numpy as np
from gpiozero.pins.mock import MockFactory, MockPin
from numpy.typing import NDArray

from edge.config import Config
from edge.config.reference import replaced
from edge.domain import Frame, Level, Phase, Step, Transition
from edge.pipeline import Pipeline
from edge.service.cab_sink import CabSink
from edge.service.loop import board_stamp
from edge.tools.bench import bundled_clip, clip_frames

PAGE = Path(__file__).parents[1] / "docs/cab.md"
FPS = 15.0
BLOCK_S = 5.0
"""As long as from one warning to the next while the eyes stay closed."""
PAUSE_S = 0.5
"""Between two blocks, for what the outputs have begun to end."""
WARM_UP = 45
"""Frames before anything is measured."""
REST = 3
"""Frames between two warnings, so that the program is done with the one before."""
SOUND_MS, PIN_MS, STEP = (60.0, 150.0), (5.0, 20.0), 1.02
"""What is wanted: p50 and p99 to the first sample and to the pin, ms; a step with all outputs over one without."""

LED = 17


@dataclass(frozen=True)
class Measured:
    """Milliseconds to the first sample, to the pin, until a waiting thread is awake; of steps, in pairs of blocks."""

    sound_ms: Sequence[float]
    pin_ms: Sequence[float]
    awake_ms: Sequence[float]
    steps_ms: Sequence[tuple[float, float]]
    frames: int

    def table(self) -> str:
        """In Markdown."""
        ratio = statistics.median(on / off for on, off in self.steps_ms)
        on_ms, off_ms = (statistics.median(each) for each in zip(*self.steps_ms, strict=True))
        rows = [
            "| figure | measured | wanted |",
            "|---|---|---|",
            f"| decision to the first sample, p50 / p99 | {_pair(self.sound_ms)} | {_limits(SOUND_MS)} |",
            f"| decision to the pin, p50 / p99 | {_pair(self.pin_ms)} | {_limits(PIN_MS)} |",
            f"| for comparison: until a thread that only waits is awake, p50 / p99 | {_pair(self.awake_ms)} | |",
            f"| step with all outputs on, against none | {ratio:.3f} ({on_ms:.2f} / {off_ms:.2f} ms) | ≤ {STEP} |",
            "",
            f"{len(self.sound_ms)} warnings; {self.frames} frames at {FPS:g} a second, in blocks of {BLOCK_S:g} s",
            f"with and without outputs by turns, medians; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f},",
            f"nice {os.nice(0)}.",
        ]
        return "\n".join(rows)


class Card:
    """A FIFO that ALSA's ``file`` device writes to; tells when the first byte after a moment came."""

    def __init__(self, folder: Path) -> None:
        path = folder / "card"
        os.mkfifo(path)
        config = f'pcm.bench {{ type file slave.pcm {{ type null }} file "{path}" format "raw" }}\n'
        (folder / "asoundrc").write_text(config)
        os.environ["ALSA_CONFIG_PATH"] = str(folder / "asoundrc")
        self._fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # for writing too, so that it has no end
        self._came = threading.Condition()
        self._last: list[float] = []
        threading.Thread(target=self._read, daemon=True).start()

    def clear(self) -> None:
        """Forget what came."""
        with self._came:
            self._last.clear()

    def first_t(self, timeout_s: float) -> float:
        """When the first bytes since ``clear`` came."""
        with self._came:
            if not self._came.wait_for(lambda: self._last, timeout_s):
                raise TimeoutError("no sample came")
            return self._last[0]

    def _read(self) -> None:
        while True:
            select.select([self._fifo], [], [])
            now = time.perf_counter()
            os.read(self._fifo, 1 << 20)
            with self._came:
                self._last.append(now)
                self._came.notify_all()


class Waiter:
    """A thread that only waits: how long the machine takes to let any thread run."""

    def __init__(self) -> None:
        self._call, self._came = threading.Event(), threading.Event()
        self._t = 0.0
        threading.Thread(target=self._wait, daemon=True).start()

    def wake(self) -> None:
        """Let it run."""
        self._call.set()

    def awake_t(self) -> float:
        """When it did."""
        if not self._came.wait(5.0):
            raise TimeoutError("the thread did not wake")
        self._came.clear()
        return self._t

    def _wait(self) -> None:
        while self._call.wait():
            self._t = time.perf_counter()
            self._call.clear()
            self._came.set()


class Watched(MockPin):  # type: ignore[misc]
    """A pin that notes when it went high."""

    rises: list[float] = []  # noqa: RUF012 - one board, one list
    risen = threading.Event()

    def _change_state(self, value: Any) -> bool:
        if value and self.info.name == f"GPIO{LED}":
            self.rises.append(time.perf_counter())
            self.risen.set()
        changed: bool = super()._change_state(value)
        return changed


class Drive:
    """The demo's clip, decided on in real time."""

    def __init__(self, config: Config, luma: list[NDArray[np.uint8]]) -> None:
        self._pipeline = Pipeline.from_config(config)
        self._luma = itertools.cycle(luma)
        self._number = 0
        self._due = time.perf_counter()
        self.waiter = Waiter()

    def step(self, sink: CabSink | None, *told: Transition) -> tuple[float, float]:
        """Wait for the next frame and decide; milliseconds of step and sink, and when it was decided."""
        self._due = max(self._due + 1 / FPS, time.perf_counter())
        time.sleep(max(0.0, self._due - time.perf_counter()))
        frame = Frame(next(self._luma), self._number / FPS)
        self._number += 1
        begin = time.perf_counter()
        step = self._pipeline.step(frame)
        decided = time.perf_counter()
        if told:
            self.waiter.wake()
        if sink is not None:
            sink.take(self._with(step, told))
        return (time.perf_counter() - begin) * 1000.0, decided

    def _with(self, step: Step, told: tuple[Transition, ...]) -> Step:
        """The step with what is to be told in place of what the clip shows."""
        return replace(step, transitions=tuple(replace(each, t=step.signals.t) for each in told))


def told(phase: Phase) -> Transition:
    """A step of an episode of the kind that wakes."""
    return Transition(0.0, "fatigue", phase, Level.URGENT, 1, 0.0, 0.8, 0.8, None)


def measure(cues: int, blocks: int) -> Measured:
    """All figures, in one run."""
    cv2.setNumThreads(1)
    luma = clip_frames(bundled_clip(), round(FPS * 10))
    with tempfile.TemporaryDirectory() as folder, _outputs(Path(folder)) as (config, card):
        drive = Drive(config, luma)
        for _ in range(WARM_UP):
            drive.step(None)
        with closing(CabSink(config, board_stamp)) as sink:
            time.sleep(2.0)  # the words are made
            sound_ms, pin_ms, awake_ms = _warn(drive, sink, card, cues)
            steps_ms = _compare(drive, sink, blocks)
            if (problem := sink.health.problem) is not None:
                raise SystemExit(f"not measured: {problem}")
    return Measured(sound_ms, pin_ms, awake_ms, steps_ms, 2 * blocks * round(FPS * BLOCK_S))


def _warn(drive: Drive, sink: CabSink, card: Card, cues: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds from decisions to the card, to the pin, and until the waiting thread is awake."""
    sound_ms, pin_ms, awake_ms = [], [], []
    for _ in range(cues):
        card.clear()
        Watched.rises.clear()
        Watched.risen.clear()
        _, decided = drive.step(sink, told(Phase.START))
        sound_ms.append((card.first_t(5.0) - decided) * 1000.0)
        if not Watched.risen.wait(5.0):
            raise TimeoutError("the pin did not rise")
        pin_ms.append((Watched.rises[0] - decided) * 1000.0)
        awake_ms.append((drive.waiter.awake_t() - decided) * 1000.0)
        drive.step(sink, told(Phase.END))
        drive.waiter.awake_t()
        for _ in range(REST):
            drive.step(sink)
    return sound_ms, pin_ms, awake_ms


def _compare(drive: Drive, sink: CabSink, blocks: int) -> list[tuple[float, float]]:
    """Median milliseconds of the steps of each pair of blocks: with all outputs on, and with none."""
    pairs = []
    frames = round(FPS * BLOCK_S)
    for _ in range(blocks):
        on = [drive.step(sink, told(Phase.START))[0], *(drive.step(sink)[0] for _ in range(frames - 1))]
        drive.step(sink, told(Phase.END))
        time.sleep(PAUSE_S)
        off = [drive.step(None)[0] for _ in range(frames)]
        pairs.append((statistics.median(on), statistics.median(off)))
    return pairs


@contextmanager
def _outputs(folder: Path) -> Iterator[tuple[Config, Card]]:
    """A configuration with every output on, and the card that it plays on."""
    program = folder / "warn"
    program.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    program.chmod(0o755)
    gpiozero.Device.pin_factory = MockFactory(pin_class=Watched)
    card = Card(folder)
    cab = {
        "sound": {"enabled": True, "device": "bench"},
        "gpio": {"led": LED, "buzzer": 22, "vibration": 23, "watching_light": 27},
        "command": {"program": [str(program)]},
    }
    yield Config.model_validate({"cab": cab}), card
    gpiozero.Device.pin_factory.reset()


def _pair(values: Sequence[float]) -> str:
    p50, p99 = np.percentile(values, [50, 99])
    return f"{p50:.1f} / {p99:.1f} ms"


def _limits(wanted: tuple[float, float]) -> str:
    return f"≤ {wanted[0]:g} / ≤ {wanted[1]:g} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cues", type=int, default=200, help="warnings to time")
    parser.add_argument("--blocks", type=int, default=12, help="pairs of blocks to compare steps in")
    parser.add_argument("--write", action="store_true", help="put the table into docs/cab.md")
    arguments = parser.parse_args()
    table = measure(arguments.cues, arguments.blocks).table()
    print(table)  # noqa: T201 - what it is for
    if arguments.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), {"cab latency": table}), encoding="utf-8")


if __name__ == "__main__":
    main()
