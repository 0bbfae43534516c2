"""Play recorded clips that are hard to read through the whole product, and hold the alerts against what is wanted.

``python -m calibration.clips --data ../shared/data``. Each clip of ``clips/hard/hard.csv`` is looped: once from the
start, as somebody nobody knows yet, and once after some calm of a driver in ``CALM``. Nothing is chosen on these clips.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edge.config import Config, VisionConfig
from edge.decision.judge import registered
from edge.domain import EXPRESSIONS, Frame, Kind, Phase, Sight, Step
from edge.pipeline import Pipeline

LIST = "clips/hard/hard.csv"
CALM = "clips/driver_calm.avi"
CALM_S = 40.0
"""How long the calm driver is seen before a clip."""
PLAYED_S = 20.0
"""How long a clip is looped."""
FPS = 15
"""Frames a second that are looked at, as on a board."""
LOUD = 0.5
"""A probability above which a frame shows something clearly."""

Luma = NDArray[np.uint8]


@dataclass(frozen=True)
class Wish:
    """What is wanted of a clip: an alert of one of ``kinds``; none is right too where ``or_nothing``.

    Without kinds and without ``or_nothing`` only a face is wanted, and any alert is left unjudged.
    """

    kinds: frozenset[Kind]
    or_nothing: bool

    @classmethod
    def of(cls, text: str, kinds: Sequence[Kind]) -> Wish:
        """Read the words of the list: names of kinds, or "nothing"."""
        words = text.replace("(", " ").replace(")", " ").split()
        return cls(frozenset(kind for kind in kinds if kind in words), "nothing" in words)

    def met(self, alerts: Sequence[Kind]) -> bool | None:
        """Whether the ``alerts`` that came are as wanted; None where nothing is said about alerts."""
        if not self.kinds and not self.or_nothing:
            return None
        if not alerts:
            return self.or_nothing
        return set(alerts) <= self.kinds


@dataclass(frozen=True)
class Played:
    """What came of a clip: alerts from the start and after a calm driver, and what the frames were read as.

    ``probabilities`` (N, 9) are of the N frames, of all ``frames`` of the first play, in which a face could be read.
    """

    name: str
    shows: str
    wish: Wish
    want: str
    cold: tuple[Kind, ...]
    after_calm: tuple[Kind, ...]
    frames: int
    faces: int
    probabilities: NDArray[np.float32]


def read_frames(path: Path) -> list[Luma]:
    """The frames of a clip, at most ``FPS`` a second.

    Raises:
        SystemExit: the clip cannot be read.
    """
    video = cv2.VideoCapture(str(path))
    rate = video.get(cv2.CAP_PROP_FPS) or FPS
    frames: list[Luma] = []
    number = 0
    while True:
        there, picture = video.read()
        if not there:
            break
        if number * FPS >= len(frames) * rate:
            frames.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8))
        number += 1
    if not frames:
        raise SystemExit(f"{path}: no frame can be read")
    return frames


def looped(frames: Sequence[Luma], seconds: float, start_s: float = 0.0) -> Iterator[Frame]:
    """``frames`` over and over for ``seconds``, from ``start_s`` on."""
    for number, luma in enumerate(islice(cycle(frames), round(seconds * FPS))):
        yield Frame(luma, start_s + number / FPS)


def started(steps: Sequence[Step]) -> tuple[Kind, ...]:
    """The kinds of the alerts that start in ``steps``, in their order."""
    return tuple(each.kind for step in steps for each in step.transitions if each.phase is Phase.START)


def play(path: Path, calm: Sequence[Luma], config: Config) -> tuple[list[Step], list[Step]]:
    """The steps of a clip seen from the start, and of the same after ``calm`` frames."""
    frames = read_frames(path)
    cold = Pipeline.from_config(config)
    first = [cold.step(frame) for frame in looped(frames, PLAYED_S)]
    known = Pipeline.from_config(config)
    for frame in looped(calm, CALM_S):
        known.step(frame)
    then = [known.step(frame) for frame in looped(frames, PLAYED_S, CALM_S)]
    return first, then


def measure(data: Path, config: Config, kinds: Sequence[Kind]) -> list[Played]:
    """Play every clip of the list under ``data``."""
    with (data / LIST).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    calm = read_frames(data / CALM)
    played = []
    for row in track(rows, "clips"):
        path = (data / LIST).with_name(row["file"])
        cold, known = play(path, calm, config)
        read = [step.observation.probabilities for step in cold]
        played.append(
            Played(
                path.stem,
                row["shows"],
                Wish.of(row["want"], kinds),
                row["want"],
                started(cold),
                started(known),
                len(cold),
                sum(step.observation.sight is Sight.FACE for step in cold),
                np.array([each for each in read if each is not None], np.float32).reshape(-1, len(EXPRESSIONS)),
            )
        )
    return played


def table(played: Sequence[Played]) -> Table:
    """What came of each clip, for people."""
    shown = Table(title=f"clips that are hard to read, {PLAYED_S:g} s each")
    for heading in ("clip", "wanted", "cold", f"after {CALM_S:g} s of calm"):
        shown.add_column(heading)
    for heading in ("face, %", "read, %", "loud sadness, %", "mostly read as"):
        shown.add_column(heading, justify="right")
    for each in played:
        sad = each.probabilities[:, EXPRESSIONS.index("sadness")] > LOUD
        mean = each.probabilities.mean(0) if len(sad) else np.zeros(len(EXPRESSIONS), np.float32)
        most = ", ".join(f"{EXPRESSIONS[at]} {mean[at]:.2f}" for at in np.argsort(-mean)[:3])
        shown.add_row(
            each.name,
            each.want,
            _verdict(each.wish, each.cold),
            _verdict(each.wish, each.after_calm),
            f"{100 * each.faces / each.frames:.0f}",
            f"{100 * len(sad) / each.frames:.0f}",
            f"{100 * sad.mean():.0f}" if len(sad) else "-",
            most if len(sad) else "-",
        )
    return shown


def _verdict(wish: Wish, alerts: tuple[Kind, ...]) -> str:
    said = ", ".join(dict.fromkeys(alerts)) or "nothing"
    met = wish.met(alerts)
    return said if met is None else f"{said} ({'as wanted' if met else 'NOT as wanted'})"


def main() -> None:
    """Parse the command line, play the clips, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--expression-model", type=Path, help="manifest of another expression model")
    arguments = parser.parse_args()
    for name in (LIST, CALM):
        if not (arguments.data / name).exists():
            raise SystemExit(f"{arguments.data / name}: not there; --data names the folder that holds it")
    cv2.setNumThreads(1)
    config = Config(vision=VisionConfig(expression_model=arguments.expression_model))
    played = measure(arguments.data, config, list(registered()))
    console = Console(width=200)
    console.print(table(played))
    judged = [each.wish.met(alerts) for each in played for alerts in (each.cold, each.after_calm)]
    console.print(f"as wanted: {judged.count(True)} of {len(judged) - judged.count(None)}")


if __name__ == "__main__":
    main()
