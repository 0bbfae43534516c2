"""What yawns and nods change in the judge of fatigue: the same simulated drives with them, judged with and without.

``python -m calibration.yawns_and_nods --data ../shared/data``. The drives are those of ``calibration.nights``, in which
nobody yawns or nods: here both are laid over them, drawn by a seed. How often is assumed, so the figures say what the
signs may change at such rates and nothing of how well they tell who is tired.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from calibration.evaluate_fatigue import follow, only_fatigue
from calibration.fatigue_outcome import DROWSY, FatigueOutcome, outcome, told
from calibration.nights import EyeDrive, Sort, drive, face_of
from calibration.sleepers import Sleeper, sleepers
from edge.config import Config
from edge.config.reference import replaced
from edge.domain import EXPRESSION, Observation
from edge.vision.eyes import EyeReader

PAGE = Path(__file__).with_name("README.md")
YAWNS_PER_HOUR = {"awake": 4.0, "spell": 20.0}
YAWN_S = (4.0, 7.0)
NODS = 0.3
"""Share of a spell's closures of LONG_S and more in which the head drops."""
LONG_S = 0.6
DROP_DEG, LOOK_DEG, NOISE_DEG = (14.0, 30.0), (5.0, 25.0), 1.5
"""How far the head drops in a nod, and with a look at the dash; how much its reading wavers."""
DRIVES: dict[Sort, int] = {"awake": 6, "drowsy": 3}
WAYS = ("by the eyes alone", "with yawns and nods")
HEAD = ("judged", "awake hours", "false drowsy", "drowsy minutes found", "from a spell's start to the alert, median")


@dataclass(frozen=True)
class Signs:
    """Of each frame of a drive (F,): whether the driver yawns, and the head's pitch in degrees."""

    yawning: NDArray[np.bool_]
    pitch: NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What came of a drive; ``late`` is how long after each spell's start the first alert in it was open."""

    sort: Sort
    outcome: FatigueOutcome
    late: list[float]


def drawn(rng: Generator, film: EyeDrive) -> Signs:
    """Yawns and nods for a drive."""
    yawning = np.zeros(len(film.t), bool)
    pitch = rng.normal(0, NOISE_DEG, len(film.t))
    spells = film.script.told.get("spell", [])
    spans = [(0.0, film.script.length_s, "awake"), *((start, end, "spell") for start, end in spells)]
    for start, end, what in spans:
        count = rng.poisson(YAWNS_PER_HOUR[what] * (end - start) / 3600)
        for t in rng.uniform(start, end, count):
            yawning[_within(film, t, t + rng.uniform(*YAWN_S))] = True
    for start, end in film.script.told.get("down", []):
        pitch[_within(film, start, end)] += rng.uniform(*LOOK_DEG)
    for start, end in film.script.closures:
        if end - start >= LONG_S and any(first <= start < last for first, last in spells) and rng.random() < NODS:
            pitch[_within(film, start, end)] += rng.uniform(*DROP_DEG)
    return Signs(yawning, pitch)


def _within(film: EyeDrive, start: float, end: float) -> slice:
    first, last = np.searchsorted(film.t, (start, end))
    return slice(int(first), int(last))


def shown(film: EyeDrive, signs: Signs | None) -> Iterator[Observation]:
    """What the judge gets, with the signs or as if there were none."""
    if signs is None:
        yield from film.observations()
        return
    yawn = face_of("yawn")
    rows = film.thinned()
    for seen, yawns, pitch in zip(film.observations(), signs.yawning[rows], signs.pitch[rows].tolist(), strict=True):
        if seen.quality is None:
            yield seen
            continue
        readings = {**seen.readings, EXPRESSION: yawn} if yawns else seen.readings
        yield replace(seen, quality=replace(seen.quality, pitch=pitch), readings=readings)


def judged(film: EyeDrive, signs: Signs | None, config: Config) -> Judged:
    """What comes of a drive."""
    said = told(follow(shown(film, signs), config)[0], film.script.length_s)
    late = []
    for start, end in film.script.told.get("spell", []):
        opened = [max(first - start, 0.0) for first, last, _ in said.open if last > start and first < end]
        late += [min(opened)] if opened else []
    return Judged(film.sort, outcome(film, said, np.zeros(len(film.t), bool)), late)


def of_driver(job: tuple[int, Sleeper], share: float) -> dict[str, list[Judged]]:
    """What came of one driver's drives, by the way in which they were judged."""
    number, driver = job
    config = only_fatigue()
    found: dict[str, list[Judged]] = {name: [] for name in WAYS}
    for sort, count in DRIVES.items():
        for turn in range(max(round(count * share), 1)):
            seed = 1000 * number + turn
            film = drive(sort, seed, driver)
            signs = drawn(np.random.default_rng([seed, 5]), film)
            for name, given in zip(WAYS, (None, signs), strict=True):
                found[name].append(judged(film, given, config))
    return found


def compare(drivers: Sequence[Sleeper], share: float, workers: int) -> list[list[str]]:
    """The table's rows."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(of_driver, share=share), enumerate(drivers)))
    return [_row(name, [one for each in found for one in each[name]]) for name in WAYS]


def _row(name: str, found: Sequence[Judged]) -> list[str]:
    hours = sum(each.outcome.hours for each in found if each.sort == "awake")
    minutes, hits = (sum(getattr(each.outcome, part) for each in found) for part in ("minutes", "found"))
    late = [delay for each in found for delay in each.late]
    false = sum(each.outcome.false_of(DROWSY) for each in found)
    return [name, f"{hours:.0f}", f"{false}", f"{hits} of {minutes}", f"{np.median(late):.1f} s"]


def main() -> None:
    """Parse the command line, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what the eye model reads")
    parser.add_argument("--share", type=float, default=1.0, help="of the drives, for a quick look")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    if not (options.data / "eyes").is_dir():
        raise SystemExit(f"{options.data / 'eyes'}: no such folder; name the data's folder with --data")
    if options.write and options.share != 1:
        raise SystemExit("--write: give no --share, since what is kept is of all drives")
    cv2.setNumThreads(1)
    reader = EyeReader.load()
    drivers = sleepers(options.data, reader, reader.manifest.sha256, options.cache)
    rows = compare(drivers, options.share, options.workers)
    table = Table(*HEAD)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    if options.write:
        text = "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * len(HEAD), *rows))
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), {"yawns and nods": text}), encoding="utf-8")


if __name__ == "__main__":
    main()
