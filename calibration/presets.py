"""Choose the thresholds of the sensitivities on simulated drives, and measure them on others.

``python -m calibration.presets`` runs the real decision with each on quoted drives and writes ``presets.json``, which
the configuration's reference shows (``make generate``). ``--choose`` first chooses them anew on the other sources'
drives and writes them into ``edge/decision/presets.py``, which is due with a new model or rule. How the drives are
made: ``evaluate_decisions``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

import edge.decision.presets
from calibration.choice import ALLOWED_PER_HOUR, Tried, choose, sweep
from calibration.deciding import run_decider
from calibration.outcome import Outcome
from calibration.readings import ReadingsFolder, checksum
from calibration.workshop import PEOPLE, Workshop
from edge.config import Config
from edge.decision.judge import Sensitivity
from models.training.expression_readers import OURS, Candidate, open_candidates

FIGURES = Path(__file__).with_name("presets.json")
SHOWN = ("enter", "hold_s")
"""The keys that presets set, as the reference lists them."""


def at(sensitivity: str) -> Config:
    """The default configuration at one sensitivity."""
    return Config.model_validate({"alerts": {"sensitivity": sensitivity}})


def thresholds(sensitivity: str) -> dict[str, float]:
    """What a sensitivity comes to for the kinds that go by expressions, which all have the same presets."""
    settings = next(iter(at(sensitivity).alerts.expressions.values()))
    return {name: getattr(settings, name) for name in SHOWN}


def figures(episodes: Outcome, plain: Outcome) -> dict[str, Any]:
    """The figures that are quoted, rounded as they are shown."""
    delays = episodes.known + episodes.cold
    return {
        "found_percent": round(100 * episodes.recall, 1),
        "false_per_hour": round(episodes.false_per_hour, 2),
        "plain_false_per_hour": round(plain.false_per_hour, 2),
        "delay_s": round(float(np.median(delays)), 2) if delays else None,
    }


def measure(
    workshop: Workshop, candidate: Candidate, levels: Mapping[str, Mapping[str, float]], workers: int
) -> dict[str, Any]:
    """The real decision with each sensitivity's thresholds over the quoted source's drives."""
    shown, plain = (workshop.drives(workshop.quoted, sort, candidate) for sort in ("episodes", "plain"))
    told, hours, episodes = {}, 0.0, 0
    for level, thresholds_ in levels.items():
        config = Config.model_validate({"alerts": dict.fromkeys(Config().alerts.expressions, thresholds_)})
        one, two = (run_decider(drives, config, workers) for drives in (shown, plain))
        told[level] = dict(thresholds_) | figures(one, two)
        hours, episodes = one.hours + two.hours, one.episodes
    return {
        "model_sha256": checksum(candidate.file),
        "source": workshop.quoted,
        "drives": len(shown) + len(plain),
        "hours": round(hours, 1),
        "episodes": episodes,
        "presets": told,
    }


def choose_all(workshop: Workshop, candidate: Candidate) -> dict[str, Tried]:
    """Thresholds of each sensitivity, chosen on all sources but the quoted one."""
    swept = [sweep(workshop, name, candidate, Config()) for name in workshop.tuning]
    return {level: choose(swept, allowed) for level, allowed in ALLOWED_PER_HOUR.items()}


def module(chosen: Mapping[str, Mapping[str, float]]) -> str:
    """The source of ``edge.decision.presets`` with other thresholds."""
    head = Path(edge.decision.presets.__file__).read_text(encoding="utf-8").partition("LOW:")[0]
    lines = [
        f"{level.upper()}: Mapping[str, float] = MappingProxyType({json.dumps(dict(each))})\n"
        for level, each in chosen.items()
    ]
    return head + "".join(lines)


def main() -> None:
    """Parse the command line, make drives, choose, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument("--people", type=int, default=PEOPLE, help="drivers of each source")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--choose", action="store_true", help="choose them anew and write them into the decision")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    cv2.setNumThreads(1)
    workshop = Workshop(arguments.data, Config(), ReadingsFolder(arguments.cache), arguments.people)
    ours = open_candidates(None, None, arguments.peers)[OURS]
    levels = {level: thresholds(level) for level in get_args(Sensitivity)}
    if arguments.choose:
        chosen = choose_all(workshop, ours)
        levels = {level: {"enter": each.enter, "hold_s": each.hold_s} for level, each in chosen.items()}
        Path(edge.decision.presets.__file__).write_text(module(levels), encoding="utf-8")
    found = measure(workshop, ours, levels, arguments.workers)
    FIGURES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
