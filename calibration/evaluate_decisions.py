"""Measure the decision on simulated drives, beside peers' simple rules.

``python -m calibration.evaluate_decisions --data ../shared/data``. Tuning drives are made from one half of the
validation faces and the training's driver groups, quoted ones from the other half and from driver groups that no
training has seen. What a model reads of the pictures is kept in a file named by its checksum, so that a second run
takes seconds. Other ways of following an expression: ``trade_off``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calibration.drives import LOOKS, Drive, Plan, Readings, all_looks, film, plan, read_looks
from calibration.readings import ReadingsFolder, checksum
from calibration.ways import peer_rules
from edge.config import Config, VisionConfig
from edge.decision.decider import Decider
from edge.domain import EXPRESSIONS, Phase
from edge.traces.replay import replay
from edge.tuning.batch import Batch, make_batch
from edge.tuning.score import Alert, Episode, Score, judge
from edge.vision.expression import ExpressionReader
from edge.vision.ordinary import ordinary_face
from models.training import expression_data
from models.training.expression_readers import OURS, Candidate, open_candidates

FIRST_SEEDS = {"tuning": 1000, "quoted": 2000, "all": 3000}
"""Where the drives of each set begin; the sets differ in the faces and drivers too, see ``load_part``."""
DRIVES = 160
"""Ten-minute drives of a set, unless said; with fewer, chance moves the false alarms by more than is to be told."""
CLIPS = ("driver_calm.avi", "driver_glasses.avi", "driver_yawn_smile.avi", "webcam.mp4")
MAJORITY = 0.5
"""A face counts as showing an expression that at least half of the crowd's votes are for."""

Groups = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Part:
    """The pictures of one half of the data: crops (N, 48, 48) for each look, and whose the driver frames are."""

    looks: dict[str, NDArray[np.uint8]]
    groups: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Drives:
    """Drives with their episodes, and the same as one batch; ``probabilities`` is (T, D, 9)."""

    drives: list[Drive]
    episodes: list[Episode]
    batch: Batch
    probabilities: NDArray[np.float32]


def load_part(data: Path, name: str) -> Part:
    """The pictures of one set of drives.

    ``tuning``: every second validation face, and the training's driver groups; ``quoted``: the other faces, and driver
    groups held out of the training; ``all``: every validation face, and those same held-out groups.
    """
    crops, votes = expression_data.read_votes(data, "valid")
    number = list(FIRST_SEEDS).index(name)
    mine = (np.arange(len(crops)) % 2 == number) | (name == "all")
    share = votes / votes.sum(1, keepdims=True)
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    by = {name: share[:, n] for n, name in enumerate(names)}
    angry, distressed = by["anger"] + by["disgust"], by["fear"] + by["sadness"]
    neutral = by["neutral"] >= MAJORITY
    drivers = expression_data.read_drivers(data)
    seats = expression_data.narrow(drivers.crops)
    group = np.unique(drivers.group, return_inverse=True)[1]
    here = expression_data.held_out(drivers.group) == (name != "tuning")
    looks = {
        "rest": crops[mine & neutral & (angry + distressed <= 0.1)],
        "frown": crops[mine & neutral & (angry + distressed >= 0.2)],
        "surprise": crops[mine & (by["surprise"] >= MAJORITY)],
        "smile": crops[mine & (by["happiness"] >= MAJORITY)],
        "anger": crops[mine & (angry >= MAJORITY)],
        "distress": crops[mine & (distressed >= MAJORITY)],
        "yawn": seats[here & drivers.yawn],
        "cabin": seats[here & ~drivers.yawn],
    }
    groups = {"yawn": group[here & drivers.yawn], "cabin": group[here & ~drivers.yawn]}
    return Part(all_looks(looks, np.random.default_rng(number)), groups)


class Workshop:
    """Makes the drives of a set as a model reads them; pictures are loaded and read once."""

    def __init__(self, data: Path, config: Config, kept: ReadingsFolder) -> None:
        self._data, self._config, self._kept = data, config, kept
        self._parts: dict[str, Part] = {}

    def drives(self, name: str, candidate: Candidate, count: int) -> Drives:
        """The first ``count`` drives of the set ``name``."""
        part = self._part(name)
        sizes = {look: len(part.looks[look]) for look in LOOKS}
        plans = [plan(FIRST_SEEDS[name] + each, sizes, part.groups) for each in range(count)]
        return make_drives(plans, self.readings(name, candidate), self._config)

    def readings(self, name: str, candidate: Candidate) -> Readings:
        """What the model reads of that set's pictures."""
        looks, quality, seed = self._part(name).looks, self._config.quality, list(FIRST_SEEDS).index(name)
        return self._kept.of(
            candidate.file,
            looks,
            quality,
            seed,
            lambda: read_looks(candidate.read, looks, expression_data.CROP_RULE, quality, seed),
        )

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            self._parts[name] = load_part(self._data, name)
        return self._parts[name]


def make_drives(plans: list[Plan], readings: Readings, config: Config) -> Drives:
    """Film every plan with one model's readings."""
    drives = [film(each, readings) for each in plans]
    episodes = [episode for number, drive in enumerate(drives) for episode in drive.labels(number)]
    weights = np.array(
        [[settings.weights.get(name, 0.0) for name in EXPRESSIONS] for settings in config.alerts.expressions.values()],
        np.float32,
    )
    batch = make_batch(
        tuple(config.alerts.expressions),
        [drive.t for drive in drives],
        [drive.weight.astype(float) for drive in drives],
        [(weights @ drive.probabilities.T).astype(float) for drive in drives],
        episodes,
        config.smoothing.max_step_s,
    )
    probabilities = np.zeros((*batch.t.shape, len(EXPRESSIONS)), np.float32)
    for number, drive in enumerate(drives):
        probabilities[: len(drive.t), number] = drive.probabilities
    return Drives(drives, episodes, batch, probabilities)


def run_decider(drives: Drives, config: Config) -> Score:
    """The real decision, frame by frame, resting face and all."""
    alerts, ordinary = [], ordinary_face(config.vision)
    for number, drive in enumerate(track(drives.drives, description="deciding", transient=True)):
        decider = Decider(config, ordinary)
        steps = (decider.update(observation) for observation in drive.observations())
        found = [each for step in steps for each in step.transitions if each.phase is Phase.START]
        alerts += [Alert(number, each.kind, each.t) for each in found]
    return judge(alerts, drives.episodes, drives.batch.hours)


def calm_clips(data: Path, config: Config) -> dict[str, int]:
    """Alerts on the clips in which nobody is angry or distressed."""
    return {name: sum(replay(data / "clips" / name, config).alerts.values()) for name in CLIPS}


def _figures(score: Score) -> tuple[str, str, str]:
    found = f"{100 * score.recall:.1f} % of {score.episodes}"
    return found, f"{score.false_per_hour:.2f}", f"{score.delay_s:.2f} s"


def main() -> None:
    """Parse the command line, make drives, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--model", type=Path, help="manifest of another expression model than the bundled one")
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument("--drives", type=int, default=DRIVES, help="ten-minute drives of each set, up to 1000")
    parser.add_argument("--no-clips", action="store_true", help="leave the calm clips out")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    if not 1 <= arguments.drives <= 1000:
        raise SystemExit(f"--drives {arguments.drives}: give 1 to 1000")
    cv2.setNumThreads(1)
    console, config = Console(width=110), Config(vision=VisionConfig(expression_model=arguments.model))
    workshop = Workshop(arguments.data, config, ReadingsFolder(arguments.cache))
    ours = open_candidates(arguments.model, None, arguments.peers)
    version = ExpressionReader.load(config.vision).manifest.version
    table = Table("decision", "drives", "episodes found", "false alarms per hour", "median delay")
    table.title = f"Simulated drives, expression model {version}, sha256 {checksum(ours[OURS].file)}"
    for name in ("quoted", "all", "tuning"):
        drives = workshop.drives(name, ours[OURS], arguments.drives)
        table.add_row(
            "evenkeel, as shipped", f"{name}, {drives.batch.hours:.1f} h", *_figures(run_decider(drives, config))
        )
    for name, candidate in ours.items():
        for rule in peer_rules(workshop.drives("quoted", candidate, arguments.drives).batch, config):
            table.add_row(f"{rule.family} ≥ 0.5, {name}", "quoted", *_figures(rule.score))
    console.print(table)
    if not arguments.no_clips:
        for name, alerts in calm_clips(arguments.data, config).items():
            console.print(f"{name}: {alerts} alerts")


if __name__ == "__main__":
    main()
