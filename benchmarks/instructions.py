"""How many instructions a step takes: a figure that hardly depends on what else the machine is doing.

``python -m benchmarks.instructions`` runs a hundred frames of the bundled clip through the pipeline under
``valgrind --tool=callgrind``, once following the driver and once searching in every frame, and compares what was
executed outside the TFLite runtime with what benchmarks/instructions.json holds for this kind of machine. More than
TOLERANCE above it is a failure; ``--update`` writes the figures there.

What the models execute is shown but not compared: XNNPACK chooses its kernels by the processor (and valgrind 3.19 knows
no AVX-512), and retraining changes the models. The rest is still Python, numpy and OpenCV, so a stored figure holds for
one machine architecture, one build of Python, one minor version of numpy and of OpenCV, and one version of the models;
for others there is none, and the comparison is skipped with the reason.

Repeated on a machine that was busy with other things the counts differed by 0.2 % at most, so 3 % is no chance.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edge.config import Config
from edge.domain import Frame
from edge.pipeline import Pipeline
from edge.service.versions import About
from edge.tools.bench import FRAME_PERIOD_S, WAYS, Way, build_finder, build_tracker, bundled_clip, clip_frames
from edge.vision.expression import ExpressionReader
from edge.vision.eyes import EyeReader

FRAMES = 100
WARM_UP = 10
TOLERANCE = 0.03
STORE = Path(__file__).with_suffix(".json")
MODULE = "benchmarks.instructions"
GATE = "PyObject_Dir"
"""callgrind collects while this function of Python runs: ``dir()`` calls an object's ``__dir__``, which is ours. (A C
function called by ctypes would be plainer, but callgrind does not see what libffi calls.)"""


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions a frame, in thousands: in the TFLite runtime, and in all the rest."""

    runtime: float
    rest: float


class Gate:
    """Calls ``steps`` when ``dir()`` is asked of it."""

    def __init__(self, steps: Callable[[], None]) -> None:
        self._steps = steps

    def __dir__(self) -> list[str]:
        self._steps()
        return []


def count(folder: Path) -> dict[Way, Count]:
    """Count in a new process under valgrind; ``folder`` is where its files go."""
    np.save(folder / "frames.npy", np.stack(clip_frames(bundled_clip(), FRAMES)))
    command = [
        *("valgrind", "--tool=callgrind", "--collect-atstart=no", f"--toggle-collect={GATE}", f"--dump-after={GATE}"),
        *(f"--callgrind-out-file={folder / 'profile'}", sys.executable, "-m", MODULE),
        *("--work", str(folder / "frames.npy")),
    ]
    # the same order in sets and dictionaries at each run
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if child.returncode != 0:
        raise SystemExit(f"valgrind: {child.stderr.strip().splitlines()[-1]}")
    # one profile for each dir(), and imports call it too: ours are the last
    profiles = sorted(folder.glob("profile.*"), key=lambda path: int(path.suffix[1:]))[-len(WAYS) :]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in profiles)
    return {way: split(text) for way, text in zip(WAYS, texts, strict=True)}


def split(profile: str) -> Count:
    """Add up a callgrind profile's own costs, by whether they lie in the TFLite runtime's libraries.

    The format: https://valgrind.org/docs/manual/cl-format.html. ``ob=`` names the object that the costs after it lie
    in; the line after ``calls=`` is what a call cost, which the called function counts as its own.
    """
    names: dict[str, str] = {}
    inside, called = False, False
    costs = {True: 0, False: 0}
    for line in profile.splitlines():
        if match := re.match(r"(c?)ob=\((\d+)\)(?: (.*))?", line):
            callee, number, name = match.groups()
            if name:
                names[number] = name
            if not callee:
                inside = bool(re.search(r"ai_edge_litert|tflite_runtime", names[number]))
        elif line.startswith("calls="):
            called = True
        elif re.match(r"[+\-*\d]", line):
            if not called:
                costs[inside] += int(line.split()[1])
            called = False
    return Count(costs[True] / FRAMES / 1000, costs[False] / FRAMES / 1000)


def work(frames: NDArray[np.uint8]) -> None:
    """What is counted: for each way to find the driver a hundred steps, after a warm-up."""
    config = Config()
    cv2.setNumThreads(1)
    for way in WAYS:
        reader, eyes = ExpressionReader.load(config.vision), EyeReader.load(config.vision)
        pipeline = Pipeline(config, build_finder(config, way), reader, eyes=eyes, tracker=build_tracker(config, way))
        times = itertools.count()

        def steps(pictures: NDArray[np.uint8], pipeline: Pipeline = pipeline, times: Iterator[int] = times) -> None:
            for luma in pictures:
                pipeline.step(Frame(luma, next(times) * FRAME_PERIOD_S))

        steps(frames[:WARM_UP])
        dir(Gate(partial(steps, frames)))


def kind_of_machine() -> str:
    """What a stored figure holds for."""
    build = "shared" if sysconfig.get_config_var("Py_ENABLE_SHARED") else "static"
    python = f"{platform.python_implementation()} {platform.python_version()} ({build})"
    packages = [
        f"{name} {'.'.join(metadata.version(name).split('.')[:2])}" for name in ("numpy", "opencv-python-headless")
    ]
    about = About.of(Config().vision)
    models = filter(None, (about.face_model, about.follow_model, about.expression_model, about.eye_model))
    return ", ".join((platform.machine(), python, *packages, *models))


def verdict(found: dict[Way, Count], kind: str, store: dict[str, dict[str, float]]) -> tuple[bool, list[str]]:
    """Whether the figures hold against those stored for this kind of machine, and what to say of each."""
    wanted = store.get(kind)
    if wanted is None:
        return True, [
            f"comparison SKIPPED, nothing is stored for {kind}; store it with make instructions ARGS=--update"
        ]
    good, lines = True, []
    for way, it in found.items():
        change = it.rest / wanted[way] - 1.0
        good = good and change <= TOLERANCE
        word = "SLOWER" if change > TOLERANCE else "holds"
        lines.append(
            f"{way}: {word}, {change:+.1%} against the stored {wanted[way]:.1f} k ({TOLERANCE:.0%} are allowed)"
        )
    return good, lines


def main() -> None:
    """Count, print, then compare or store."""
    parser = argparse.ArgumentParser(description="Count the instructions of a step under valgrind.")
    parser.add_argument("--update", action="store_true", help=f"store the figures in {STORE.name}")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(np.load(arguments.work))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if shutil.which("valgrind") is None:
        console.print("instructions: SKIPPED, valgrind is not installed; on Debian: apt-get install valgrind")
        return
    store = json.loads(STORE.read_text(encoding="utf-8"))
    kind = kind_of_machine()
    if not arguments.update and kind not in store:
        console.print("\n".join(verdict({}, kind, store)[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = count(Path(folder))
    for way, it in found.items():
        share = it.rest / (it.rest + it.runtime)
        console.print(
            f"{way}: {it.rest:.1f} k outside the runtime, {it.runtime:.1f} k inside, a frame; {share:.1%} outside"
        )
    if arguments.update:
        store[kind] = {way: round(it.rest, 1) for way, it in found.items()}
        STORE.write_text(json.dumps(store, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return
    good, lines = verdict(found, kind, store)
    console.print("\n".join(lines))
    sys.exit(not good)


if __name__ == "__main__":
    main()
