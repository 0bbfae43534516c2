"""Measure the sensitivities of ``[alerts]`` on simulated drives, or list what they can be chosen from.

``python -m calibration.presets`` runs the real decision with each on quoted drives and writes ``presets.json``, which
the configuration's reference shows (``make generate``). ``--choose`` lists, on tuning drives, what other thresholds
come to. How the drives are made: ``evaluate_decisions``.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from calibration.drives import Sort
from calibration.evaluate_decisions import run_decider
from calibration.outcome import Outcome
from calibration.readings import ReadingsFolder, checksum
from calibration.workshop import PEOPLE, Drives, Workshop
from edge.config import Config
from edge.decision.expression_judge import ExpressionSettings
from edge.decision.judge import Sensitivity
from edge.tuning.batch import Rules, run_rules, smooth
from edge.tuning.rest import hold_against_rest
from edge.vision.ordinary import ordinary_face
from models.training.expression_readers import OURS, open_candidates

FIGURES = Path(__file__).with_name("presets.json")
SORTS: tuple[Sort, ...] = ("episodes", "plain")
SHOWN = ("enter", "seldom", "rare", "hold_s")
"""The keys that presets may set, as the reference lists them."""
ENTERS, SELDOMS, HOLDS_S = (0.4, 0.5, 0.6), (0.45, 0.36, 0.28), (1.1, 1.2, 1.3, 1.8, 2.2, 2.6, 3.0)


def at(sensitivity: str) -> Config:
    """The default configuration at one sensitivity."""
    return Config.model_validate({"alerts": {"sensitivity": sensitivity}})


def thresholds(sensitivity: str) -> dict[str, float]:
    """What a sensitivity comes to for the kinds that go by expressions, which all have the same presets."""
    settings = next(iter(at(sensitivity).alerts.expressions.values()))
    return {name: getattr(settings, name) for name in SHOWN}


def figures(outcome: Outcome) -> dict[str, Any]:
    """The figures that are quoted, rounded as they are shown."""
    return {
        "found_percent": round(100 * outcome.recall, 1),
        "false_per_hour": round(outcome.false_per_hour, 2),
        "delay_s": round(float(np.median(outcome.known + outcome.cold)), 2),
    }


def measure(drives: Drives, model: str) -> dict[str, Any]:
    """The real decision at each sensitivity over ``drives``, as read by a model of this checksum."""
    levels = {
        level: thresholds(level) | figures(run_decider(drives.drives, at(level))) for level in get_args(Sensitivity)
    }
    return {
        "model_sha256": model,
        "drives": len(drives.drives),
        "hours": round(drives.batch.hours, 1),
        "episodes": sum(each.end - each.start >= 5.0 for each in drives.episodes),
        "presets": levels,
    }


def choices(drives: Drives, config: Config) -> Table:
    """What sets of thresholds come to on tuning drives, counted over arrays."""
    evidence = hold_against_rest(
        drives.batch, smooth(drives.batch, config.smoothing), config.baseline, ordinary_face(config.vision)
    )
    base: ExpressionSettings = next(iter(config.alerts.expressions.values()))
    tried = list(product(ENTERS, SELDOMS, HOLDS_S))
    enter, seldom, hold_s = np.array(tried).T
    rules = Rules(enter, enter * base.exit / base.enter, seldom, hold_s, base)
    table = Table("enter", "seldom", "hold_s", "found", "false an hour", "median delay")
    for each, scores in zip(tried, run_rules(drives.batch, evidence, rules), strict=True):
        first, *others = scores.values()
        score = sum(others, start=first)
        found = f"{100 * score.recall:.1f} %", f"{score.false_per_hour:.2f}", f"{score.delay_s:.2f} s"
        table.add_row(*(f"{value:g}" for value in each), *found)
    return table


def main() -> None:
    """Parse the command line, make drives, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument("--people", type=int, default=PEOPLE, help="drivers of each source")
    parser.add_argument("--choose", action="store_true", help="list what other thresholds come to on tuning drives")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    cv2.setNumThreads(1)
    workshop = Workshop(arguments.data, Config(), ReadingsFolder(arguments.cache), arguments.people)
    ours = open_candidates(None, None, arguments.peers)[OURS]
    if arguments.choose:
        Console(width=110).print(choices(workshop.batch(workshop.tuning, SORTS, ours), Config()))
        return
    found = measure(workshop.batch([workshop.quoted], SORTS, ours), checksum(ours.file))
    FIGURES.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
