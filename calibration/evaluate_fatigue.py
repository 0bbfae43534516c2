"""Measure the judge of fatigue on simulated drives of eyes, plain thresholds on the same readings beside it.

``python -m calibration.evaluate_fatigue --data ../shared/data``. Drivers are people whom no training of the eye model
saw, and drawn heads (``calibration.sleepers``); what happens is drawn by a seed (``calibration.nights``). What the
eye model reads is kept in a file named by its checksum.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from calibration.by_drivers import driver_of, quantile_interval, ratio_interval, wider
from calibration.fatigue_outcome import (
    DROWSY,
    LOOKING,
    MICROSLEEP,
    OUTLINE_RIVALS,
    RIVALS,
    URGENT_S,
    WANTED_S,
    FatigueOutcome,
    Rule,
    Told,
    outcome,
    told,
    total_looking,
)
from calibration.lid_outline import PACKAGE, LidOutline, shipped_model
from calibration.nights import RATES, EyeDrive, Sort, drive
from calibration.sleepers import Sleeper, looking_far_down, sleepers
from edge.config import Config, VisionConfig
from edge.config.reference import replaced
from edge.decision.decider import Decider
from edge.decision.expression import FollowedExpression
from edge.decision.interval import MAX_STEP_S, Interval
from edge.decision.judge import Moment
from edge.decision.judges.fatigue import FatigueJudge, FatigueSettings
from edge.decision.ordinary import OrdinaryFace
from edge.domain import UNKNOWN_CONTEXT, Observation, ReasonCode, Sight, State, Transition
from edge.tuning.score import poisson_interval, share_interval
from edge.vision.eyes import EyeReader
from models.training.scoreboard import write_json

HERE = Path(__file__).parent
FIGURES, PAGE, SHORT_PAGE = HERE / "fatigue.json", HERE / "README.md", HERE.parent / "docs/figures.md"
FRONT_PAGE = HERE.parent / "README.md"
JUDGE = "judge"
AWAKE_DRIVES = {False: 26, True: 12}
"""Drives of half an hour of each driver who is a person, and of each who is drawn."""
MISSING = f".venv/bin/pip install --no-deps {PACKAGE}"
"""What gets the rival that reads the lids' outline."""
FAR_DOWN_DRIVES = {False: 9, True: 4}
"""Awake drives of drivers whose looks at the dash leave less of the aperture, 0.3 to 0.5 of it."""
SLEEPY_DRIVES = 3
"""Drives of each other sort of each driver; a multiple of the frame rates, so that each gets as many."""
LENGTHS = ((0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 3.0), (3.0, 6.0))
"""Lengths of microsleeps that are told apart, seconds."""


@dataclass(frozen=True)
class Case:
    """What came of one drive: of the judge and of each rival, by name. ``far_down`` says how the driver looks down."""

    sort: Sort
    driver: str
    drawn: bool
    glasses: bool
    fps: float
    flickers: bool
    outcomes: dict[str, FatigueOutcome]
    far_down: bool = False


@dataclass(frozen=True)
class Job:
    """One drive to decide; ``outline`` is the driver as the rival that reads the lids' outline sees him."""

    sort: Sort
    seed: int
    driver: Sleeper
    outline: Sleeper | None = None
    far_down: bool = False


def jobs(drivers: Sequence[Sleeper], outlines: Sequence[Sleeper | None], share: float) -> Iterator[Job]:
    """All drives of all drivers, or a ``share`` of them."""
    for number, (driver, outline) in enumerate(zip(drivers, outlines, strict=True)):
        counts: dict[Sort, int] = {
            "awake": AWAKE_DRIVES[driver.drawn],
            "microsleeps": SLEEPY_DRIVES,
            "drowsy": SLEEPY_DRIVES,
        }
        for sort, drives in counts.items():
            for turn in range(max(round(drives * share), 1)):
                yield Job(sort, 1000 * number + turn + number % len(RATES), driver, outline)
        for turn in range(max(round(FAR_DOWN_DRIVES[driver.drawn] * share), 1)):
            seed = 1000 * number + turn + number % len(RATES)
            yield Job("awake", seed, looking_far_down(driver), far_down=True)


def run(job: Job, config: Config) -> Case:
    """Decide one drive, by the judge and by each rival."""
    film = drive(job.sort, job.seed, job.driver)
    outcomes = {JUDGE: outcome(film, *decide(film, config)), **by_rules(film, RIVALS)}
    if job.outline is not None:
        outcomes |= by_rules(drive(job.sort, job.seed, job.outline), OUTLINE_RIVALS)
    flickers = film.script.flicker_hz > 0
    return Case(film.sort, film.driver, film.drawn, film.glasses, film.fps, flickers, outcomes, job.far_down)


def by_rules(film: EyeDrive, rules: Mapping[str, Rule]) -> dict[str, FatigueOutcome]:
    """What comes of each rule on a drive."""
    return {name: outcome(film, *rule(film)) for name, rule in rules.items()}


def decide(film: EyeDrive, config: Config, *, thin: bool = True) -> tuple[Told, NDArray[np.bool_]]:
    """What the real judge says of a drive, and which frames (F,) of an awake one count as closed eyes.

    The judge is driven alone, which is several times as fast as with the whole decision around it; a test holds it to
    what that says. Its driver is never out of sight for so long that an open alert were given up.
    """
    transitions, levels = follow(film.observations(thin=thin), config)
    said = told(transitions, film.script.length_s)
    if film.sort != "awake":
        return said, np.zeros(len(film.t), bool)
    rows = film.thinned() if thin else np.arange(len(film.t))
    place = np.searchsorted(rows, np.arange(len(film.t)), side="right") - 1
    return said, (np.nan_to_num(film.openness, nan=1.0) < np.array(levels)[place]) & ~film.happy


def follow(observations: Iterable[Observation], config: Config) -> tuple[list[Transition], list[float]]:
    """The judge's transitions, and below which openness the eyes were closed at each observation."""
    settings = cast("FatigueSettings", config.alerts.of(FatigueJudge.kind))
    judge = FatigueJudge(settings, itertools.count(1).__next__, FollowedExpression(config.baseline, OrdinaryFace()))
    transitions: list[Transition] = []
    levels: list[float] = []
    before: float | None = None
    for seen in observations:
        elapsed_s = 0.0 if before is None else seen.t - before
        spoken_s = min(elapsed_s, MAX_STEP_S)
        interval = Interval(seen.t, elapsed_s, spoken_s, spoken_s)
        unknown = None if seen.sight is Sight.FACE else State.UNCERTAIN
        transitions += judge.follow(Moment(interval, seen, UNKNOWN_CONTEXT, unknown, ReasonCode.NONE), beside=False)
        levels.append(judge.closes_below)
        before = seen.t
    return transitions, levels


def by_the_whole_decision(film: EyeDrive, config: Config) -> Told:
    """What is said of a drive by the decision that a service runs."""
    decider = Decider(config)
    transitions = [each for seen in film.observations() for each in decider.update(seen).transitions]
    return told(transitions, film.script.length_s)


def only_fatigue() -> Config:
    """The configuration as shipped, with the judges of expressions off."""
    return Config.model_validate({"alerts": {kind: {"enabled": False} for kind in Config().alerts.expressions}})


def run_all(work: Sequence[Job], config: Config, workers: int) -> list[Case]:
    """All drives, in the order given."""
    if workers == 1:
        return [run(job, config) for job in work]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(partial(run, config=config), work, chunksize=4))


Chosen = Callable[[Case], bool]
USUAL: dict[str, Chosen] = {
    "all": lambda _: True,
    "people": lambda case: not case.drawn,
    "drawn heads": lambda case: case.drawn,
    "people with glasses": lambda case: not case.drawn and case.glasses,
    "people without": lambda case: not case.drawn and not case.glasses,
    **{f"{fps:g} frames a second": partial(lambda fps, case: case.fps == fps, fps) for fps in RATES},
    "lamp flickers": lambda case: case.flickers,
}
FAR_DOWN = "all, looks at the dash leave 0.3 to 0.5"
GROUPS: dict[str, Chosen] = {
    **{name: partial(lambda chosen, case: not case.far_down and chosen(case), each) for name, each in USUAL.items()},
    FAR_DOWN: lambda case: case.far_down,
}
SHORT: tuple[str, ...] = ("all", "people", "people with glasses", FAR_DOWN, "all, by a fixed threshold")
"""Rows of the table that ``docs/figures.md`` shows."""


def figures(cases: Sequence[Case]) -> dict[str, Any]:
    """Every figure: of each group of drives with the judge, of all of them with each rival, of each driver."""
    groups = {name: group_figures([case for case in cases if chosen(case)], JUDGE) for name, chosen in GROUPS.items()}
    usual = [case for case in cases if not case.far_down]
    rivals = {name: group_figures(usual, name) for name in usual[0].outcomes if name != JUDGE}
    drivers = sorted({case.driver for case in usual})
    by_driver = {name: group_figures([case for case in usual if case.driver == name], JUDGE) for name in drivers}
    return {
        "groups": groups,
        "rivals": rivals,
        "drivers": {name: _short(each) for name, each in by_driver.items()},
        "false_came_of": _came_of([case for case in usual if case.sort == "awake"]),
        "lengths": lengths(usual),
    }


def group_figures(cases: Sequence[Case], rule: str) -> dict[str, Any]:
    """The figures of one rule on some drives; each interval is the wider of two (``calibration.by_drivers``)."""
    sums = [_tally([case for case in cases if driver_of(case.driver) == who], rule) for who in _drivers(cases)]
    delays = [delay for each in sums for delay in each.delays]
    return {
        "drivers": len(sums),
        "awake_hours": round(sum(each.hours for each in sums), 1),
        "false": {
            cause: _rate([each.false[cause] for each in sums], [each.hours for each in sums])
            for cause in (MICROSLEEP, DROWSY)
        },
        "microsleeps": _share([len(each.delays) for each in sums], [each.long for each in sums]),
        "delay_s": [round(float(each), 2) for each in np.percentile(delays, [50, 90])] if delays else None,
        "delay_p90_interval": _rounded(quantile_interval([each.delays for each in sums], 90), 2),
        "urgent": _share([each.urgent for each in sums], [each.longest for each in sums]),
        "drowsy_minutes": _share([each.found for each in sums], [each.minutes for each in sums]),
        "counted_closed_percent": {
            name: _percent([each.looking[name][1] for each in sums], [each.looking[name][0] for each in sums])
            for name in LOOKING
        },
        "counted_closed_interval": {
            name: _rounded(
                ratio_interval(
                    [100 * each.looking[name][1] for each in sums], [each.looking[name][0] for each in sums]
                ),
                1,
            )
            for name in LOOKING
        },
    }


@dataclass(frozen=True)
class Tally:
    """One driver's counts under one rule; ``long`` microsleeps are to be found, ``longest`` ones to be urgent."""

    hours: float
    false: dict[str, int]
    long: int
    delays: list[float]
    longest: int
    urgent: int
    minutes: int
    found: int
    looking: dict[str, tuple[float, float]]


def _drivers(cases: Sequence[Case]) -> list[str]:
    return sorted({driver_of(case.driver) for case in cases})


def _tally(cases: Sequence[Case], rule: str) -> Tally:
    awake, asleep, drowsy = (
        [case.outcomes[rule] for case in cases if case.sort == sort] for sort in ("awake", "microsleeps", "drowsy")
    )
    sleeps = [each for one in asleep for each in one.microsleeps]
    longest = [urgent for length, _, urgent in sleeps if length > URGENT_S + 0.5]
    return Tally(
        sum(each.hours for each in awake),
        {cause: sum(one.false_of(cause) for one in awake) for cause in (MICROSLEEP, DROWSY)},
        sum(length >= WANTED_S for length, *_ in sleeps),
        [delay for length, delay, _ in sleeps if length >= WANTED_S and not np.isnan(delay)],
        len(longest),
        sum(longest),
        sum(one.minutes for one in drowsy),
        sum(one.found for one in drowsy),
        total_looking(awake),
    )


def lengths(cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Microsleeps by their length: how many, and what share of them an alert came of."""
    asleep = [case for case in cases if case.sort == "microsleeps"]
    by_driver = [
        [each for case in asleep if driver_of(case.driver) == who for each in case.outcomes[JUDGE].microsleeps]
        for who in _drivers(asleep)
    ]
    return {
        f"{low:g} to {high:g} s": _share(
            [sum(low <= length < high and not np.isnan(delay) for length, delay, _ in own) for own in by_driver],
            [sum(low <= length < high for length, *_ in own) for own in by_driver],
        )
        for low, high in LENGTHS
    }


def _share(hits: Sequence[int], counts: Sequence[int]) -> dict[str, Any]:
    """Hits of a count, one of each a driver."""
    hit, count = sum(hits), sum(counts)
    if not count:
        return {"of": 0, "percent": None, "interval": None}
    low, high = wider(share_interval(hit, count), ratio_interval(hits, counts))
    return {
        "of": count,
        "percent": round(100 * hit / count, 1),
        "interval": [round(100 * low, 1), round(100 * high, 1)],
    }


def _rate(events: Sequence[int], hours: Sequence[float]) -> dict[str, Any]:
    """Events in some hours, one of each a driver."""
    count, length = sum(events), sum(hours)
    if length <= 0:
        return {"events": count, "per_hour": None, "interval": None}
    low, high = wider(poisson_interval(count, length), ratio_interval(events, hours))
    return {"events": count, "per_hour": round(count / length, 3), "interval": [round(low, 3), round(high, 3)]}


def _percent(parts: Sequence[float], wholes: Sequence[float]) -> float | None:
    return round(100 * sum(parts) / sum(wholes), 2) if sum(wholes) else None


def _rounded(interval: tuple[float, float] | None, digits: int) -> list[float] | None:
    return None if interval is None else [round(end, digits) for end in interval]


def _short(each: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of one driver."""
    return {
        name: each[name] for name in ("awake_hours", "false", "microsleeps", "drowsy_minutes", "counted_closed_percent")
    }


def _came_of(cases: Sequence[Case]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {MICROSLEEP: {}, DROWSY: {}}
    for case in cases:
        for cause, what in case.outcomes[JUDGE].false:
            found[cause][what] = found[cause].get(what, 0) + 1
    return found


HEAD = (
    "drives",
    "awake hours",
    "false microsleeps/h (95 %)",
    "false drowsy/h (95 %)",
    "microsleeps of 2 s and more found (95 %)",
    "delay; p90 (95 %)",
    "drowsy minutes found (95 %)",
    "down, squint, laugh counted as closed",
)


def rows(made: Mapping[str, Any]) -> list[list[str]]:
    """The table's cells, a row a group, then a row a rival."""
    named = {**made["groups"], **{f"all, by a {name}": each for name, each in made["rivals"].items()}}
    return [[name, *_cells(each)] for name, each in named.items()]


def _cells(each: Mapping[str, Any]) -> list[str]:
    return [
        f"{each['awake_hours']:.0f}",
        *(_told_rate(each["false"][cause]) for cause in (MICROSLEEP, DROWSY)),
        _told_share(each["microsleeps"]),
        _told_delay(each["delay_s"], each["delay_p90_interval"]),
        _told_share(each["drowsy_minutes"]),
        ", ".join("none" if share is None else f"{share:.1f}" for share in each["counted_closed_percent"].values())
        + " %",
    ]


def _told_delay(delay: Sequence[float] | None, interval: Sequence[float] | None) -> str:
    if delay is None:
        return "none"
    said = "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"
    return f"{delay[0] + 0.0:.2f}; {delay[1]:.2f}{said} s"


def _told_rate(rate: Mapping[str, Any]) -> str:
    if rate["per_hour"] is None:
        return "none"
    low, high = rate["interval"]
    return f"{rate['per_hour']:.2f} ({low:.2f} to {high:.2f})"


def _told_share(share: Mapping[str, Any]) -> str:
    if share["percent"] is None:
        return "none"
    low, high = share["interval"]
    return f"{share['percent']:.1f} % of {share['of']} ({low:.1f} to {high:.1f})"


def markdown(made: Mapping[str, Any]) -> str:
    """The README's tables."""
    table = "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * len(HEAD), *rows(made)))
    by_length = made["lengths"]
    head = ("closures of", *by_length)
    cells = ("alerts", *(_told_share(each) for each in by_length.values()))
    return f"{table}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), cells))


def short(made: Mapping[str, Any]) -> str:
    """The table of the page that quotes what is quoted first."""
    chosen = [row for row in rows(made) if row[0] in SHORT]
    return "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * len(HEAD), *chosen))


def sentence(made: Mapping[str, Any]) -> str:
    """What the front page says of it."""
    every, far_down = (made["groups"][name] for name in ("all", FAR_DOWN))
    found, false, looking = (every["microsleeps"], every["false"][MICROSLEEP], far_down["false"][MICROSLEEP])
    return (
        f"It finds {found['percent']:.1f} % of {found['of']} simulated microsleeps of {WANTED_S:g} s and more, nine in "
        f"ten at most\n{every['delay_s'][1]:.2f} s late, with {false['per_hour']:.2f} false ones an hour awake, "
        f"{looking['per_hour']:.2f} where lids fall far ([figures](docs/figures.md#fatigue))."
    )


def pages(made: Mapping[str, Any]) -> dict[Path, str]:
    """The generated part ``fatigue`` of each page that tells of it."""
    return {PAGE: markdown(made), SHORT_PAGE: short(made), FRONT_PAGE: sentence(made)}


def write_pages(made: Mapping[str, Any]) -> None:
    """Put what is told of the figures into the pages.

    Raises:
        ValueError: a page's marks are missing.
    """
    for page, part in pages(made).items():
        page.write_text(replaced(page.read_text(encoding="utf-8"), {"fatigue": part}), encoding="utf-8")


def show(made: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    table = Table(*HEAD, title=f"Fatigue, eye model {made['eye_model']}")
    for row in rows(made):
        table.add_row(*row)
    console.print(table)
    for key in ("lengths", "false_came_of", "drivers"):
        console.print(key, json.dumps(made[key], indent=1) if key == "lengths" else made[key])


def main() -> None:
    """Parse the command line, read, decide, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what the eye model reads")
    parser.add_argument("--share", type=float, default=1.0, help="of the drives, for a quick look")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--model", type=Path, help="manifest of another eye model")
    parser.add_argument("--tuning", action="store_true", help="the drivers on whom the judge may be tuned")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--write", action="store_true", help=f"the same into {FIGURES.name}, and the pages")
    parser.add_argument("--pages", action="store_true", help=f"write the pages from {FIGURES.name}, measure nothing")
    options = parser.parse_args()
    if options.pages:
        write_pages(json.loads(FIGURES.read_text(encoding="utf-8")))
        return
    if not (options.data / "eyes").is_dir():
        raise SystemExit(f"{options.data / 'eyes'}: no such folder; name the data's folder with --data")
    if options.write and (options.share != 1 or options.tuning or options.model):
        raise SystemExit("--write: give no --share, --tuning or --model, since what is kept is of all drives")
    console = Console(width=200)
    cv2.setNumThreads(1)
    reader = EyeReader.load(VisionConfig(eye_model=options.model))
    read = partial(sleepers, options.data, folder=options.cache, tuning=options.tuning)
    drivers = read(reader, reader.manifest.sha256)
    outlines: Sequence[Sleeper | None] = [None] * len(drivers)
    if (path := shipped_model()) is not None:
        outline = LidOutline(path)
        outlines = read(outline, outline.sha256)
    elif options.write:
        raise SystemExit(f"--write: {MISSING} first, since what is kept holds its figures")
    else:
        console.print(f"eye aspect ratio: SKIPPED, {MISSING}")
    cases = run_all(list(jobs(drivers, outlines, options.share)), only_fatigue(), options.workers)
    made = {"eye_model": reader.manifest.version, "sha256": reader.manifest.sha256, **figures(cases)}
    show(made, console)
    for path in [options.json, *([FIGURES] if options.write else [])]:
        if path is not None:
            write_json(path, made)
    if options.write:
        write_pages(made)


if __name__ == "__main__":
    main()
