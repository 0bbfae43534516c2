"""From recorded drives and their labels to thresholds: sweep, choose, confirm with the real decision."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from calibration.batch import Batch, Evidence, Rules, make_batch, run_rules, smooth
from calibration.labels import fit_labels, read_labels, renumber
from calibration.rest import hold_against_rest
from calibration.score import Alert, Episode, Score, judge
from calibration.table import read_rows
from edge.config import AlertConfig, Config
from edge.decision.decider import Decider
from edge.domain import EXPRESSIONS, Kind, Phase
from edge.traces.trace import read_trace, recorded_s

ENTERS = (0.4, 0.5, 0.6)
SELDOMS = (0.65, 0.55, 0.45, 0.36, 0.28, 0.22, 0.16, 0.1)
HOLDS_S = (0.8, 1.0, 1.3, 1.8, 2.3, 3.0)
ENOUGH_FALSE = 3.0
"""Drives in which fewer false alarms than this were allowed cannot show that a rate is kept (the rule of three)."""
RECALL_SLACK = 0.01
"""Of thresholds whose recall is within this of the best, the quickest are chosen."""
TRIES = 5
"""So many choices are held against the real decision at most, where it gives more false alarms than the sweep saw."""
CONFIRMED_HOURS = 2.0
"""Hours of drive that the real decision is run on again with the recommended thresholds: it takes minutes for ten."""


@dataclass(frozen=True)
class Point:
    """One set of thresholds for one kind, and what it comes to."""

    kind: Kind
    enter: float
    exit: float
    seldom: float
    rare: float
    hold_s: float
    score: Score


@dataclass(frozen=True)
class Confirmation:
    """The real decision with the recommended thresholds over the first ``drives`` traces."""

    drives: int
    scores: dict[Kind, Score]
    alerts: tuple[Alert, ...]

    @property
    def score(self) -> Score:
        """All kinds together."""
        first, *others = self.scores.values()
        return sum(others, start=first)


@dataclass(frozen=True)
class Tuning:
    """All that was found. ``evidence`` is what the decision makes of the batch."""

    traces: tuple[Path, ...]
    config: Config
    batch: Batch
    evidence: Evidence
    points: tuple[Point, ...]
    chosen: dict[Kind, Point]
    confirmation: Confirmation
    max_false_per_hour: float
    faults: tuple[str, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Why nothing can be recommended, a line for each reason; none where the choice keeps the limit."""
        limit = self.max_false_per_hour / len(Kind)
        lines = [
            f"no thresholds keep {limit:g} false alarms of {kind} an hour; with the fewest it is {rate:.2f}"
            for kind, point in self.chosen.items()
            if (rate := point.score.false_per_hour) > limit
        ]
        real = self.confirmation.score
        if not lines and real.false_per_hour > self.max_false_per_hour:
            lines.append(
                f"no thresholds tried keep {self.max_false_per_hour:g} false alarms an hour in the real decision, "
                f"which gives {real.false_alarms} in {real.hours:.2f} h with the best of them"
            )
        return tuple(lines)


def tune(
    traces: Sequence[Path],
    labels: Path,
    config: Config,
    *,
    max_false_per_hour: float,
    engine: str = "duckdb://",
    leave_out_unknown: bool = False,
    console: Console | None = None,
) -> Tuning:
    """Sweep ``enter``, ``seldom`` and ``hold_s`` of both kinds over recorded drives; choose the quickest in the limit.

    Each kind may use half of ``max_false_per_hour``. The sweep follows ``edge.decision`` on rows of a fifth of a
    second; the choice is then confirmed by the real decision, and the next one tried where that breaks the limit.
    ``leave_out_unknown`` is that of ``read_labels``.

    Raises:
        UnavailableError: a trace, the labels or the table engine cannot be used.
        UsageError: the labels do not say what they are for.
    """
    faults: list[str] = []
    read = read_labels(labels, traces, faults.append, leave_out_unknown=leave_out_unknown)
    rows = read_rows(traces, config, engine, faults.append)
    traces = [traces[number] for number in rows]
    read = renumber(read, list(rows), labels, faults.append)
    spans = {number: (float(each.t[0]), float(each.t[-1])) for number, each in enumerate(rows.values())}
    episodes = fit_labels(read, spans, labels, faults.append)
    batch = make_batch(
        [each.t for each in rows.values()],
        [each.weight for each in rows.values()],
        [each.read for each in rows.values()],
        episodes,
        config.smoothing.max_step_s,
    )
    evidence = hold_against_rest(batch, smooth(batch, config.smoothing), config.baseline)
    with _progress(console) as progress:
        task = progress.add_task(f"{batch.hours:.1f} drive hours", total=len(batch.t) * len(_bases(config)))
        points = sweep(batch, evidence, config, lambda: progress.advance(task))
    chosen, confirmation = _choose_confirmed(
        points, config, max_false_per_hour, lambda tried: confirm(traces, episodes, tried, faults.append)
    )
    said = tuple(dict.fromkeys(faults))
    return Tuning(tuple(traces), config, batch, evidence, tuple(points), chosen, confirmation, max_false_per_hour, said)


def sweep(batch: Batch, evidence: Evidence, config: Config, on_step: Callable[[], None] = lambda: None) -> list[Point]:
    """Every set of thresholds for each kind, those configured among them.

    ``exit`` keeps its share of ``enter``, ``rare`` that of ``seldom``.
    """
    points = []
    for base, kinds in _bases(config):
        tried = [
            (
                enter,
                _in_step(base.exit, enter, base.enter),
                seldom,
                _in_step(base.rare, seldom, base.seldom),
                hold,
            )
            for enter, seldom, hold in product(
                _with(ENTERS, base.enter), _with(SELDOMS, base.seldom), _with(HOLDS_S, base.hold_s)
            )
        ]
        enters, exits, seldoms, _, holds = np.array(tried).T
        scores = run_rules(batch, evidence, Rules(enters, exits, seldoms, holds, base), on_step)
        points += [Point(kind, *each, score[kind]) for each, score in zip(tried, scores, strict=True) for kind in kinds]
    return points


def _bases(config: Config) -> list[tuple[AlertConfig, list[Kind]]]:
    """The kinds with the constants that are not swept, those with the same ones together."""
    bases: list[tuple[AlertConfig, list[Kind]]] = []
    for kind in Kind:
        base = AlertConfig.model_validate(
            config.alerts.of(kind).model_dump() | {"weights": dict.fromkeys(EXPRESSIONS, 1.0)}
        )
        same = next((kinds for each, kinds in bases if each == base), None)
        if same is None:
            bases.append((base, [kind]))
        else:
            same.append(kind)
    return bases


def _with(values: Sequence[float], configured: float) -> list[float]:
    return sorted({*values, configured})


def _in_step(value: float, with_: float, configured: float) -> float:
    """``value`` that goes with ``configured``, scaled to go with another, to three digits that count."""
    return value if with_ == configured else float(f"{value * with_ / configured:.3g}")


def _choose_confirmed(
    points: Sequence[Point], config: Config, max_false_per_hour: float, confirm_: Callable[[Config], Confirmation]
) -> tuple[dict[Kind, Point], Confirmation]:
    """The choice for each kind that keeps the limit in the real decision too, or the best of those that were tried."""
    limit = max_false_per_hour / len(Kind)
    left = list(points)
    tried: list[tuple[dict[Kind, Point], Confirmation]] = []
    while len(tried) < TRIES:
        of_kind = {kind: [each for each in left if each.kind is kind] for kind in Kind}
        if not all(of_kind.values()):
            break
        chosen = {kind: choose(each, limit, config.alerts.of(kind)) for kind, each in of_kind.items()}
        tried.append((chosen, confirm_(recommend(config, chosen))))
        scores = tried[-1][1].scores
        within = all(point.score.false_per_hour <= limit for point in chosen.values())
        if not within or tried[-1][1].score.false_per_hour <= max_false_per_hour:
            break
        broken = {kind for kind, score in scores.items() if score.false_per_hour > limit}
        left = [each for each in left if each.kind not in broken or each is not chosen[each.kind]]
    kept = [each for each in tried if all(point.score.false_per_hour <= limit for point in each[0].values())]
    return min(kept or tried, key=lambda each: each[1].score.false_alarms)


def choose(points: Sequence[Point], max_false_per_hour: float, now: AlertConfig) -> Point:
    """The quickest of those that find most within the limit; without any in it, the one with fewest false alarms.

    Where the drives are too short to show that the limit is kept, or no episode is labelled, it is not the quickest but
    the nearest to what is configured ``now``; of two that are as near, the one that alerts less.
    """
    allowed = [each for each in points if each.score.false_per_hour <= max_false_per_hour]
    if not allowed:
        return min(points, key=lambda each: (each.score.false_alarms, -each.score.found, *_nearness(each, now)))
    if not any(each.score.episodes for each in allowed):
        return min(allowed, key=lambda each: _nearness(each, now))
    best = max(each.score.recall for each in allowed)
    good = [each for each in allowed if each.score.recall >= best - RECALL_SLACK]
    if not shows_rate(good[0].score.hours, max_false_per_hour):
        return min(good, key=lambda each: _nearness(each, now))
    return min(
        good, key=lambda each: (np.nan_to_num(each.score.delay_s), each.score.false_alarms, *_nearness(each, now))
    )


def shows_rate(hours: float, false_per_hour: float) -> bool:
    """Whether ``hours`` without a false alarm show, at 95 %, that there are no more than so many in an hour."""
    return hours * false_per_hour >= ENOUGH_FALSE


def _nearness(point: Point, now: AlertConfig) -> tuple[float, float, float, float]:
    """Smaller for thresholds that are nearer to those configured; between two as near for those that alert less."""
    distance = abs(point.enter - now.enter) + abs(math.log(point.seldom / now.seldom)) + abs(point.hold_s - now.hold_s)
    return round(distance, 9), -point.enter, point.seldom, -point.hold_s


def recommend(config: Config, chosen: dict[Kind, Point]) -> Config:
    """The configuration with the chosen thresholds."""
    alerts = {
        kind.value: config.alerts.of(kind).model_copy(
            update={name: getattr(each, name) for name in ("enter", "exit", "seldom", "rare", "hold_s")}
        )
        for kind, each in chosen.items()
    }
    return config.model_copy(update={"alerts": config.alerts.model_copy(update=alerts)})


def sections(config: Config) -> str:
    """The alert sections of a configuration as TOML, every key of them, ready to paste."""
    parts = []
    for kind in Kind:
        table = config.alerts.of(kind).model_dump()
        weights = ", ".join(f"{name} = {value}" for name, value in table.pop("weights").items())
        keys = [f"weights = {{ {weights} }}", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
        parts.append("\n".join([f"[alerts.{kind}]", *keys]))
    return "\n\n".join(parts) + "\n"


def confirm(
    traces: Sequence[Path], episodes: Sequence[Episode], config: Config, on_fault: Callable[[str], None]
) -> Confirmation:
    """Run the real decision, resting face and all, over the first traces that make up CONFIRMED_HOURS.

    They are read line by line, so that times that go back are said too.
    """
    alerts: list[Alert] = []
    seconds, number = 0.0, 0
    for number, path in enumerate(traces, 1):
        decider, last_t = Decider(config), None
        for line in read_trace(path, on_fault):
            step = decider.update(line.observation())
            t = step.signals.t
            seconds, last_t = seconds + (0.0 if last_t is None else recorded_s(last_t, t)), t
            alerts += [Alert(number - 1, each.kind, each.t) for each in step.transitions if each.phase is Phase.START]
        if seconds >= CONFIRMED_HOURS * 3600:
            break
    known = [each for each in episodes if each.drive < number]
    scores = {
        kind: judge(
            [each for each in alerts if each.kind is kind],
            [each for each in known if each.kind is kind],
            max(seconds, 1e-9) / 3600,
        )
        for kind in Kind
    }
    return Confirmation(number, scores, tuple(alerts))


def _progress(console: Console | None) -> AbstractContextManager[Progress]:
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
