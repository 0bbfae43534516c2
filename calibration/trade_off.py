"""Hold ways to follow an expression against each other: delay against false alarms, each with its best thresholds.

``python -m calibration.trade_off`` chooses on tuning drives and quotes from others, writes ``trade-off.json`` and
draws it into ``trade-off.png`` and the table of the README. Points are kept in ``runs/trade-off`` as they are made, so
that a run that was cut short goes on, and are made anew where drives, model, rule or ways differ. ``--drawn-from``
measures nothing and draws again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, get_args

import cv2
from rich.progress import track

import edge.decision
import edge.tuning
from calibration import rivals
from calibration import ways as followed
from calibration.deciding import run_decider
from calibration.drives import Sort
from calibration.outcome import Outcome
from calibration.plots import trade_off
from calibration.points import Point, PointsFile, front
from calibration.readings import ReadingsFolder, checksum
from calibration.ways import Way, mistaken, run_way, ways
from calibration.workshop import Drives, Workshop
from edge.config import Config
from edge.config.reference import COLUMNS, replaced
from edge.decision.judge import Sensitivity
from edge.tuning.batch import Floats
from edge.tuning.score import Score
from edge.vision.expression import ExpressionReader
from edge.vision.ordinary import ordinary_face
from models.training.expression_readers import OURS, open_candidates

HERE = Path(__file__).parent
FIGURES, PICTURE, PAGE = HERE / "trade-off.json", HERE / "trade-off.png", HERE / "README.md"
COMPARED = 18
"""Drivers of each source on whose drives all ways of following are swept, unless said: more would take an hour."""
SWEPT: tuple[Sort, ...] = ("episodes", "plain")
"""The sorts of drives that are looked at."""
LIMITS = (2.0, 0.5)
"""False alarms an hour within which the README quotes each way's quickest thresholds."""


def fingerprint(tuning: Drives, quoted: Drives, config: Config) -> str:
    """What points depend on, as 16 digits: the drives as they were read, the settings, the code that follows them."""
    digest = hashlib.sha256()
    for drives in (tuning, quoted):
        for array in (drives.batch.t, drives.batch.weight, drives.batch.read, drives.probabilities):
            digest.update(array.tobytes())
        digest.update(repr(drives.batch.episodes).encode())
    settings = config.model_dump_json(include={"alerts", "baseline", "states"})
    digest.update(f"{settings} {ordinary_face(config.vision)}".encode())
    folders = [Path(folder) for package in (edge.decision, edge.tuning) for folder in package.__path__]
    code = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    for file in (*code, Path(followed.__file__), Path(rivals.__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def measure(tuning: Drives, quoted: Drives, matrix: Floats, config: Config, kept: PointsFile) -> dict[str, Any]:
    """Choose on the tuning drives, quote from the others.

    Of each way the points of its front on the tuning drives, as they come out on the quoted ones, and the quickest
    thresholds within each of LIMITS. Of the shipped rule what the real decision comes to at each sensitivity.
    """
    tuned = _sweep("tuning", ways(tuning.batch, tuning.probabilities, matrix, config), tuning, kept)
    best = {family: front([point for points in by.values() for point in points]) for family, by in tuned.items()}
    needed = {
        (family, setting)
        for family, by in tuned.items()
        for setting, points in by.items()
        if any(point in best[family] for point in points)
    }
    again = [
        way for way in ways(quoted.batch, quoted.probabilities, matrix, config) if (way.family, way.setting) in needed
    ]
    held = {
        (family, point.setting): point
        for family, by in _sweep("quoted", again, quoted, kept).items()
        for points in by.values()
        for point in points
    }
    shipped = {
        level: kept.of(f"shipped, {level}", partial(_shipped, quoted, level, config))[0]
        for level in get_args(Sensitivity)
    }
    return {
        "tuning_drives": len(tuning.drives),
        "plain_drives": sum(not each.episodes for each in quoted.drives),
        "drives": len(quoted.drives),
        "hours": round(quoted.batch.hours, 2),
        "ways": {
            family: {
                "points": [asdict(held[family, point.setting]) for point in points],
                "within": {f"{limit:g}": _within(family, points, limit, held) for limit in LIMITS},
            }
            for family, points in best.items()
        },
        "shipped": {level: asdict(point) for level, point in shipped.items()},
    }


def draw(figures: Mapping[str, Any], picture: Path, page: Path | None = None) -> None:
    """Draw what ``measure`` gave into ``picture``, and write its table into ``page`` where that is named."""
    points = {name: [Point(**each) for each in way["points"]] for name, way in figures["ways"].items()}
    shipped = {level: Point(**each) for level, each in figures["shipped"].items()}
    title = (
        f"{figures['drives']} drives ({figures['hours']:.1f} h) that no threshold was chosen on; "
        f"★ is what ships, at each sensitivity"
    )
    trade_off(points, shipped, figures["hours"], title).savefig(picture, dpi=110)
    if page is not None:
        text = page.read_text(encoding="utf-8")
        page.write_text(replaced(text, {"trade-off": table(figures)}), encoding="utf-8")


def table(figures: Mapping[str, Any]) -> str:
    """What each way comes to within the limits, in Markdown."""
    first, *others = (f"{limit:g}" for limit in LIMITS)
    allowed = f"{first} ({', '.join(others)})"
    lines = [
        f"| way, within {allowed} false alarms an hour on the tuning drives | found | false per hour | median delay |",
        "|---|---|---|---|",
    ]
    for name, way in figures["ways"].items():
        cells = _cells([way["within"].get(limit) for limit in (first, *others)])
        lines.append(f"| {name} | {' | '.join(cells)} |")
    told = (
        f"Each way's thresholds are its quickest within the limit on {figures['tuning_drives']} tuning drives; the "
        f"figures are those of {figures['drives']} quoted drives ({figures['hours']:.1f} h), "
        f"{figures['plain_drives']} of them without episodes, with expression model "
        f"{figures['model_version']} (`make trade-off`)."
    )
    return "\n".join([*lines, "", *wrap(told, COLUMNS)])


def _cells(points: Sequence[Mapping[str, float] | None]) -> Iterator[str]:
    """Found, false alarms an hour and median delay, those of the first limit before those of the others."""
    for key, scale, spec in (("found", 100, ".1f"), ("false_per_hour", 1, ".2f"), ("delay_s", 1, ".2f")):
        unit = {"found": " %", "delay_s": " s"}.get(key, "")
        first, *others = ("none" if each is None else f"{scale * each[key]:{spec}}{unit}" for each in points)
        yield f"{first} ({', '.join(others)})"


def _sweep(name: str, tried: Iterable[Way], drives: Drives, kept: PointsFile) -> dict[str, dict[str, list[Point]]]:
    """The points of each way by family and setting."""
    found: dict[str, dict[str, list[Point]]] = {}
    for way in track(list(tried), description=f"{name} drives", transient=True):
        points = kept.of(f"{name}, {way.family}, {way.setting}", partial(_points, way, drives))
        found.setdefault(way.family, {})[way.setting] = points
    return found


def _points(way: Way, drives: Drives) -> list[Point]:
    return [Point.of(rule.setting, rule.score) for rule in run_way(way, drives.batch)]


def _within(
    family: str, best: Sequence[Point], limit: float, held: Mapping[tuple[str, str], Point]
) -> dict[str, Any] | None:
    chosen = next((point for point in best if point.false_per_hour <= limit), None)
    return None if chosen is None else asdict(held[family, chosen.setting])


def _shipped(drives: Drives, level: str, config: Config) -> list[Point]:
    at = Config.model_validate({"alerts": {"sensitivity": level}}).model_copy(update={"vision": config.vision})
    return [_told(level, run_decider(drives.drives, at))]


def _told(setting: str, outcome: Outcome) -> Point:
    delays = outcome.known + outcome.cold
    score = Score(outcome.hours, outcome.episodes, outcome.found, outcome.false_starts, delays)
    return Point.of(setting, score)


def main() -> None:
    """Parse the command line; measure, or take what was measured; draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what models read")
    parser.add_argument(
        "--points", type=Path, default=Path("runs/trade-off"), help="folder for points as they are made"
    )
    parser.add_argument("--people", type=int, default=COMPARED, help="drivers of each source, 2 to 100")
    parser.add_argument("--json", type=Path, default=FIGURES, help="write the figures here")
    parser.add_argument("--plot", type=Path, default=PICTURE, help="draw them here, as a PNG")
    parser.add_argument("--drawn-from", type=Path, help="measure nothing: draw this file of figures")
    arguments = parser.parse_args()
    page = PAGE if arguments.plot == PICTURE else None
    if arguments.drawn_from is not None:
        if not arguments.drawn_from.exists():
            raise SystemExit(f"{arguments.drawn_from}: no such file; give the figures with --drawn-from")
        draw(json.loads(arguments.drawn_from.read_text(encoding="utf-8")), arguments.plot, page)
        return
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data}: no such folder; give the data with --data")
    if not 2 <= arguments.people <= 100:
        raise SystemExit(f"--people {arguments.people}: give 2 to 100")
    cv2.setNumThreads(1)
    config = Config()
    workshop = Workshop(arguments.data, config, ReadingsFolder(arguments.cache), arguments.people)
    ours = open_candidates(None, None, arguments.peers)[OURS]
    tuning, quoted = (workshop.batch(names, SWEPT, ours) for names in (workshop.tuning, [workshop.quoted]))
    kept = PointsFile(arguments.points / f"{fingerprint(tuning, quoted, config)}.jsonl")
    model = {
        "model_version": ExpressionReader.load(config.vision).manifest.version,
        "model_sha256": checksum(ours.file),
    }
    found = measure(tuning, quoted, mistaken(workshop.shown(workshop.tuning, ours)), config, kept)
    arguments.json.write_text(json.dumps(model | found, indent=1) + "\n", encoding="utf-8")
    draw(model | found, arguments.plot, page)


if __name__ == "__main__":
    main()
