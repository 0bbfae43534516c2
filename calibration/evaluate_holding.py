"""What it changes in the decision that a calm face is not read in each frame.

``python -m calibration.evaluate_holding --data ../shared/data``. The simulated drives are decided twice: with every
frame read, and with readings held by the rule of ``edge.decision.holding`` as if no change of the picture were ever
noticed, which is the worst that it can do. The clips are replayed twice as the service sees them, changes and all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from calibration.drives import SCENARIOS, Drive, Sort
from calibration.evaluate_decisions import CLIPS
from calibration.outcome import Outcome, judge_drive, raised, total
from calibration.readings import ReadingsFolder
from calibration.workshop import PEOPLE, Workshop
from edge.config import Config
from edge.config.reference import replaced
from edge.decision.decider import Decider
from edge.decision.holding import BETTER, stands
from edge.domain import EXPRESSION, Observation
from edge.tools.bench import bundled_clip
from edge.traces.replay import replay
from edge.vision.ordinary import ordinary_face
from models.training.expression_readers import OURS, open_candidates

PAGE = Path(__file__).with_name("README.md")
DRAWN = 2_000
HEAD = ("figure", "every frame read", "calm readings held", "standard error")


@dataclass(frozen=True)
class Decided:
    """What came of one drive, and how many frames of how many with a reading were read."""

    outcome: Outcome
    read: int
    seen: int


class Holder:
    """Has a reading stand for the frames after it, as the pipeline does where the picture never changes."""

    def __init__(self, decider: Decider, hold_s: float) -> None:
        self._decider, self._hold_s = decider, hold_s
        self._last: Observation | None = None
        self.read = self.seen = 0

    def show(self, seen: Observation) -> Observation:
        """The observation as it is decided on."""
        if EXPRESSION not in seen.readings or seen.quality is None:
            self._last = None
            return seen
        self.seen += 1
        last = self._last
        if last is not None and last.quality is not None:
            age_s, better = seen.t - last.t, seen.quality.weight - last.quality.weight
            if better <= BETTER and stands(age_s, 0.0, self._hold_s, stirred=self._decider.stirred, speed_kmh=None):
                return replace(seen, readings=last.readings, held=(EXPRESSION,))
        self._last = seen
        self.read += 1
        return seen


def decide(drive: Drive, config: Config, hold_s: float) -> Decided:
    """What comes of one drive, with readings held for so long at most."""
    decider = Decider(config, ordinary_face(config.vision))
    holder = Holder(decider, hold_s)
    steps = [decider.update(holder.show(seen)) for seen in drive.observations()]
    transitions = [each for step in steps for each in step.transitions]
    outcome = judge_drive(drive, raised(transitions, float(drive.t[-1])))
    return Decided(outcome, holder.read, holder.seen)


Figure = Callable[[Outcome], float]
Asked = dict[str, tuple[str, Figure]]
"""By name how a figure is written, and how it is had."""


def _median(delays: Sequence[float]) -> float:
    return float(np.median(delays)) if delays else float("nan")


WITH_EPISODES: Asked = {
    "episodes found": ("{:.1%}", lambda it: it.recall),
    "median delay, driver known": ("{:.2f} s", lambda it: _median(it.known)),
    "median delay, cold": ("{:.2f} s", lambda it: _median(it.cold)),
    "false alarms an hour beside episodes": ("{:.2f}", lambda it: it.false_per_hour),
    "late ends": ("{:.1%}", lambda it: it.late / max(it.kept, 1)),
}
PLAIN: Asked = {
    "false alarms an hour without episodes": ("{:.2f}", lambda it: it.false_per_hour),
    "seconds of false alarm an hour": ("{:.1f}", lambda it: it.false_s_per_hour),
}
LOOKS: Asked = {
    "alerts an hour in scenarios": ("{:.2f}", lambda it: it.false_per_hour),
}


def rows(every: Sequence[Outcome], held: Sequence[Outcome], asked: Asked) -> Iterator[list[str]]:
    """One row for each figure; the standard error is that of drawing the drives anew."""
    random = np.random.default_rng(0)
    for name, (form, figure) in asked.items():
        drawn = random.integers(len(every), size=(DRAWN, len(every)))
        figures = [figure(total([every[place] for place in places])) for places in drawn.tolist()]
        values = [form.format(figure(total(each))) for each in (every, held)]
        yield [name, *values, form.format(float(np.nanstd(figures)))]


def clip_row(clip: Path, config: Config) -> list[str]:
    """Alerts of a clip, and the moments of them, both ways."""
    told = []
    for hold_s in (0.0, config.vision.expression_hold_s):
        vision = config.vision.model_copy(update={"expression_hold_s": hold_s})
        summary = replay(clip, config.model_copy(update={"vision": vision}))
        starts = ", ".join(f"{each.start_s:.1f}" for each in summary.episodes)
        told.append(f"{len(summary.episodes)} alerts" + (f", at {starts} s" if starts else ""))
    return [f"`{clip.name}`", *told, ""]


def main() -> None:
    """Parse the command line, decide both ways, print side by side, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument("--people", type=int, default=PEOPLE, help="drivers of each source, 2 to 100")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--write", action="store_true", help=f"the table into {PAGE.name}")
    options = parser.parse_args()
    if not options.data.exists():
        raise SystemExit(f"{options.data}: no such folder; give the data with --data")
    cv2.setNumThreads(1)
    console = Console(width=150)
    config = Config()
    workshop = Workshop(options.data, config, ReadingsFolder(options.cache), options.people)
    candidate = open_candidates(None, None, options.peers)[OURS]
    told: list[list[str]] = []
    read = seen = 0
    parts: tuple[tuple[tuple[Sort, ...], Asked], ...] = (
        (("episodes",), WITH_EPISODES),
        (("plain",), PLAIN),
        (SCENARIOS, LOOKS),
    )
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for sorts, asked in parts:
            wanted = product(workshop.sources, sorts)
            drives = [drive for name, sort in wanted for drive in workshop.drives(name, sort, candidate)]
            both = [
                list(pool.map(partial(decide, config=config, hold_s=hold_s), drives, chunksize=4))
                for hold_s in (0.0, config.vision.expression_hold_s)
            ]
            every, held = ([each.outcome for each in one] for one in both)
            told += rows(every, held, asked)
            read, seen = read + sum(each.read for each in both[1]), seen + sum(each.seen for each in both[1])
            for row in told[-len(asked) :]:
                console.print(" | ".join(row))
    told.append(["frames read, of those with a readable face", "100%", f"{read / seen:.0%}", ""])
    told += [clip_row(clip, config) for clip in (bundled_clip(), *(options.data / "clips" / name for name in CLIPS))]
    lines = [f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * len(HEAD), *told)]
    console.print("\n".join(lines), soft_wrap=True)
    if options.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), {"holding": "\n".join(lines)}), encoding="utf-8")


if __name__ == "__main__":
    main()
