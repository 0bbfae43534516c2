"""Measure the decision on simulated drives, beside peers' simple rules and other ways of following an expression.

``python -m calibration.evaluate_decisions --data ../shared/data --plot calibration/trade-off.png``. Thresholds are
compared on tuning drives, made from one half of the validation faces and the training's driver groups, and quoted from
drives made from the other half and from driver groups that no training has seen. What a model reads of the pictures is
kept in a file named by its checksum, so that a second run takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calibration.drives import LOOKS, SHOWN, Drive, Plan, Readings, all_looks, film, plan, read_looks
from calibration.plots import Curve, plot_trade_off
from calibration.readings import ReadingsFolder, checksum
from calibration.rivals import confusion, frame_mean, hidden_markov
from edge.config import Config, VisionConfig
from edge.decision.decider import Decider
from edge.decision.expression_judge import ExpressionSettings
from edge.decision.settings import SmoothingConfig
from edge.domain import EXPRESSIONS, Phase
from edge.traces.replay import replay
from edge.tuning.batch import Batch, Evidence, Floats, Rules, make_batch, run_rules, smooth
from edge.tuning.rest import hold_against_rest
from edge.tuning.score import Alert, Episode, Score, judge
from edge.vision.expression import ExpressionReader
from edge.vision.ordinary import ordinary_face
from models.training import expression_data
from models.training.expression_readers import OURS, Candidate, open_candidates

FIRST_SEEDS = {"tuning": 1000, "quoted": 2000, "all": 3000}
"""Where the drives of each set begin; the sets differ in the faces and drivers too, see ``load_part``."""
DRIVES = 160
"""Ten-minute drives of a set, unless said; with fewer, chance moves the false alarms by more than is to be told."""
COMPARED = 36
"""Drives of each set on which all ways of following are swept: more would take an hour."""
SHIPPED = "own face + budget"
FALSE_LIMITS = (0.5, 2.0, 5.0)
"""False alarms an hour within which each way of following is given its best thresholds."""
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


@dataclass(frozen=True)
class Rule:
    """One way of following an expression with one set of thresholds."""

    family: str
    setting: str
    score: Score


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


def sweep(drives: Drives, matrix: Floats, config: Config) -> Iterator[Rule]:
    """Every family over its settings."""
    yield from _held_against_rest(drives, config)
    batch, base = drives.batch, config.alerts.expressions[SHOWN[0]]
    levels, holds = np.arange(0.30, 0.86, 0.05), (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
    for tau in (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0):
        smoothed = Evidence(smooth(batch, SmoothingConfig(time_constant_s=tau)))
        yield from _try_all("exponential", f"τ {tau:g}", batch, smoothed, levels, (0.0,), base)
        if tau <= 1.5:
            yield from _try_all("exponential + budget", f"τ {tau:g}", batch, smoothed, levels, holds, base)
    yield from _try_all("leaky budget", "", batch, Evidence(batch.read), levels, holds, base)
    beliefs = np.array([0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999])
    for correlation_s in (0.2, 0.4, 0.7, 1.0, 1.5):
        believed = Evidence(hidden_markov(batch, drives.probabilities, matrix, correlation_s))
        yield from _try_all("hidden Markov", f"{correlation_s:g} s", batch, believed, beliefs, (0.0,), base)
        yield from _try_all("hidden Markov + budget", f"{correlation_s:g} s", batch, believed, beliefs, holds, base)


def _held_against_rest(drives: Drives, config: Config) -> Iterator[Rule]:
    """How seldom a reading is in the driver's own face, as shipped, and in a face that is the same for all drivers."""
    signals, ordinary = smooth(drives.batch, config.smoothing), ordinary_face(config.vision)
    unlearned = config.baseline.model_copy(update={"enabled": False})
    seldom, holds = np.array([0.65, 0.55, 0.45, 0.36, 0.28, 0.2]), (1.0, 1.2, 1.4, 1.6, 1.8, 2.1, 2.5, 3.0)
    for family, baseline in ((SHIPPED, config.baseline), ("one face for all + budget", unlearned)):
        evidence = hold_against_rest(drives.batch, signals, baseline, ordinary)
        for enter in (0.3, 0.4, 0.5, 0.6):
            base = config.alerts.expressions[SHOWN[0]].model_copy(update={"enter": enter, "exit": 0.6 * enter})
            yield from _try_all(family, f"enter {enter:g}", drives.batch, evidence, seldom, holds, base)


def peer_rules(drives: Drives, config: Config) -> Iterator[Rule]:
    """A threshold of 0.5 on single frames, and on the mean of a second."""
    for name, seconds in (("single frame", 0.01), ("one second", 1.0)):
        mean = Evidence(frame_mean(drives.batch, seconds))
        yield from _try_all(name, "", drives.batch, mean, np.array([0.5]), (0.0,), config.alerts.expressions[SHOWN[0]])


def front(rules: list[Rule]) -> list[Rule]:
    """Those rules than which none has fewer false alarms at as short a mean delay; quickest first."""
    best: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (rule.score.mean_delay_s, rule.score.false_per_hour)):
        if not best or rule.score.false_per_hour < best[-1].score.false_per_hour:
            best.append(rule)
    return best


def calm_clips(data: Path, config: Config) -> dict[str, int]:
    """Alerts on the clips in which nobody is angry or distressed."""
    return {name: sum(replay(data / "clips" / name, config).alerts.values()) for name in CLIPS}


def _try_all(
    family: str,
    setting: str,
    batch: Batch,
    evidence: Evidence,
    levels: Floats,
    holds: tuple[float, ...],
    base: ExpressionSettings,
) -> Iterator[Rule]:
    """Every level with every hold; a level is ``seldom`` where the evidence has shares, else ``enter``."""
    pairs = list(product(levels.tolist(), holds))
    tried, hold_s = np.array(pairs).T
    name, enter = ("enter", tried) if evidence.shares is None else ("seldom", np.full_like(tried, base.enter))
    if evidence.shares is None:
        base = base.model_copy(update={"hold_beside_s": 0.0})  # our own idea; the others look at one kind alone
    rules = Rules(enter, enter * (base.exit / base.enter), tried, hold_s, base)
    for (level, hold), scores in zip(pairs, run_rules(batch, evidence, rules), strict=True):
        named = ", ".join(part for part in (setting, f"{name} {level:g}", f"hold {hold:g} s" if hold else "") if part)
        yield Rule(family, named, scores[SHOWN[0]] + scores[SHOWN[1]])


def _confusion(readings: Readings) -> Floats:
    names = {"rest": "neutral", "smile": "happiness", "distress": "sadness"}
    shown, answers = [], []
    for look in ("rest", "smile", "surprise", "anger", "distress", "yawn"):
        read = readings.probabilities[look].reshape(-1, len(EXPRESSIONS))
        answers.append(read)
        shown.append(np.full(len(read), EXPRESSIONS.index(names.get(look, look))))
    matrix = confusion(np.concatenate(answers), np.concatenate(shown))
    for twin, own in (("fear", "sadness"), ("disgust", "anger"), ("contempt", "neutral")):
        matrix[EXPRESSIONS.index(twin)] = matrix[EXPRESSIONS.index(own)]
    return matrix


def _figures(score: Score) -> tuple[str, str, str]:
    found = f"{100 * score.recall:.1f} % of {score.episodes}"
    return found, f"{score.false_per_hour:.2f}", f"{score.delay_s:.2f} s"


def main() -> None:
    """Parse the command line, make drives, measure, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--model", type=Path, help="manifest of another expression model than the bundled one")
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument("--plot", type=Path, help="compare the ways and write their curves here (PNG)")
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
        for rule in peer_rules(workshop.drives("quoted", candidate, arguments.drives), config):
            table.add_row(f"{rule.family} ≥ 0.5, {name}", "quoted", *_figures(rule.score))
    console.print(table)
    if arguments.plot is not None:
        tuning, quoted = (workshop.drives(name, ours[OURS], COMPARED) for name in ("tuning", "quoted"))
        matrix = _confusion(workshop.readings("tuning", ours[OURS]))
        compare(tuning, quoted, matrix, config, arguments.plot, console)
    if not arguments.no_clips:
        for name, alerts in calm_clips(arguments.data, config).items():
            console.print(f"{name}: {alerts} alerts")


def compare(tuning: Drives, quoted: Drives, matrix: Floats, config: Config, plot: Path, console: Console) -> None:
    """Choose on the tuning drives, quote from the others: each family's best within some limits of false alarms."""
    tuned, held = list(sweep(tuning, matrix, config)), list(sweep(quoted, matrix, config))
    same = {(rule.family, rule.setting): rule.score for rule in held}
    columns = ("way", "false alarms allowed", "setting", "episodes found", "false alarms per hour", "median delay")
    table = Table(*columns, title=f"Best on {tuning.batch.hours:.1f} tuning hours, quoted from the others")
    curves = []
    for family in dict.fromkeys(rule.family for rule in tuned):
        best = front([rule for rule in tuned if rule.family == family])
        scores = [same[family, rule.setting] for rule in best]
        curves.append(Curve(family, [(score.mean_delay_s, score.false_per_hour) for score in scores]))
        for limit in FALSE_LIMITS:
            chosen = next((rule for rule in best if rule.score.false_per_hour <= limit), None)
            if chosen is not None:
                figures = _figures(same[family, chosen.setting])
                table.add_row(family, f"{limit:g} per hour", chosen.setting, *figures)
    console.print(table)
    plot_trade_off(curves, plot)


if __name__ == "__main__":
    main()
