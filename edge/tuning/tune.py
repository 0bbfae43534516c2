"""From recorded drives and their labels to thresholds: sweep, choose, confirm with the real decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import count, product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edge.compat import StrEnum
from edge.config import Config
from edge.config.toml import toml_value
from edge.decision.decider import Decider
from edge.decision.expression_judge import ExpressionSettings
from edge.decision.judge import JudgeSettings
from edge.domain import Kind, Phase
from edge.traces.trace import read_trace, recorded_s
from edge.tuning.batch import Batch, Evidence, Rules, follow_rules, make_batch, smooth
from edge.tuning.labels import fit_labels, read_labels, renumber
from edge.tuning.rest import hold_against_rest
from edge.tuning.score import Alert, Episode, Score, Starts, judge
from edge.tuning.table import read_rows
from edge.vision.ordinary import ordinary_face

ENTERS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
HOLDS_S = (0.6, 0.8, 1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 4.0, 5.0, 6.0)
ENOUGH_FALSE = 3.0
"""Drives in which fewer false alarms than this were allowed cannot show that a rate is kept (the rule of three)."""
RECALL_SLACK = 0.01
"""Of thresholds whose recall is within this of the best, the quickest are chosen."""
TRIES = 5
"""So many choices are held against the real decision at most, where it gives more false alarms than the sweep saw."""
FOLDS = 5
"""Parts that the traces are dealt to, each of which is held out in turn; no more than there are traces."""
HELD_OUT_HOURS = 4.0
"""Hours of held-out drive, of all folds together, that the real decision is run on."""
CONFIRMED_HOURS = 2.0
"""Hours of drive that the real decision is run on again with the recommended thresholds: it takes minutes for ten."""


class Stage(StrEnum):
    """What tuning is at."""

    READ = "read"
    SWEEP = "sweep"
    TRY = "try"
    CONFIRM = "confirm"
    HOLD_OUT = "hold_out"


Told = Callable[[Stage, float], None]
"""Hears of each stage which share of it is done."""


@dataclass(frozen=True)
class Point:
    """One set of thresholds for one kind, what it comes to, and where its alerts start."""

    kind: Kind
    settings: JudgeSettings
    score: Score
    starts: Starts = field(default_factory=lambda: np.empty((0, 2)), compare=False, repr=False)


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
class HeldOut:
    """What the real decision comes to on traces that its thresholds were not chosen on.

    The traces are dealt to ``folds`` parts; for each part thresholds are chosen on the others alone. ``traces`` are
    those that the decision was run on, over HELD_OUT_HOURS in all.
    """

    folds: int
    traces: int
    score: Score


@dataclass(frozen=True)
class Tuning:
    """All that was found. ``evidence`` is what the decision makes of the batch.

    The figures of ``points`` and of the ``confirmation`` are of traces that the thresholds were chosen on; those of
    ``held_out`` are not. It is None where there is one trace only.
    """

    traces: tuple[Path, ...]
    config: Config
    batch: Batch
    evidence: Evidence
    points: tuple[Point, ...]
    chosen: dict[Kind, Point]
    confirmation: Confirmation
    held_out: HeldOut | None
    max_false_per_hour: float
    faults: tuple[str, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Why nothing can be recommended, a line for each reason; none where the choice keeps the limit."""
        limit = self.max_false_per_hour / len(self.chosen)
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
    others: Sequence[Path] = (),
    console: Console | None = None,
    told: Told = lambda *_: None,
) -> Tuning:
    """Sweep the thresholds of each kind over recorded drives; choose the quickest in the limit.

    Each kind may use its part of ``max_false_per_hour``. Of kinds that go by expressions ``enter`` and ``hold_s``
    are swept, by following ``edge.decision`` on rows of a fifth of a second; of other kinds the settings
    that they name are tried with the real judge. The choice is then confirmed by the real decision, and the next one
    tried where that breaks the limit. ``leave_out_unknown`` and ``others`` are those of ``read_labels``; ``told`` hears
    how far it is.

    Raises:
        UnavailableError: a trace, the labels or the table engine cannot be used.
        UsageError: the labels do not say what they are for.
    """
    faults: list[str] = []
    told(Stage.READ, 0.0)
    read = read_labels(labels, traces, faults.append, leave_out_unknown=leave_out_unknown, others=others)
    rows = read_rows(traces, config, engine, faults.append)
    traces = [traces[number] for number in rows]
    read = renumber(read, list(rows), labels, faults.append)
    spans = {number: (float(each.t[0]), float(each.t[-1])) for number, each in enumerate(rows.values())}
    episodes = fit_labels(read, spans, labels, faults.append)
    batch = make_batch(
        tuple(config.alerts.expressions),
        [each.t for each in rows.values()],
        [each.weight for each in rows.values()],
        [each.read for each in rows.values()],
        episodes,
    )
    evidence = hold_against_rest(batch, smooth(batch), config.baseline, ordinary_face(config.vision))
    folds = deal(len(traces))
    with _progress(console) as progress:
        steps = len(batch.t) * len(_bases(config)) * len(folds)
        task, done = progress.add_task(f"{batch.hours:.1f} drive hours", total=steps), count(1)

        def stepped() -> None:
            progress.advance(task)
            told(Stage.SWEEP, next(done) / steps)

        by_fold = [
            [_of_drives(point, fold) for point in sweep(batch.part(fold), evidence.part(fold), config, stepped)]
            for fold in folds
        ]
    points = together(by_fold)
    for kind in config.alerts.enabled:
        if kind not in config.alerts.expressions:
            points += try_judge(kind, traces, episodes, config, faults.append, told)
    told(Stage.CONFIRM, 0.0)
    chosen, confirmation = _choose_confirmed(
        points, config, max_false_per_hour, lambda tried: confirm(traces, episodes, tried, faults.append)
    )
    held_out = hold_out(by_fold, folds, traces, episodes, config, max_false_per_hour, told)
    return Tuning(
        tuple(traces),
        config,
        batch,
        evidence,
        tuple(points),
        chosen,
        confirmation,
        held_out,
        max_false_per_hour,
        tuple(dict.fromkeys(faults)),
    )


def deal(traces: int) -> list[list[int]]:
    """The numbers of so many traces, dealt to FOLDS parts or as many as there are traces."""
    count = min(FOLDS, traces)
    return [list(range(first, traces, count)) for first in range(count)]


def together(parts: Sequence[Sequence[Point]]) -> list[Point]:
    """The same thresholds over several sets of drives."""
    return [
        replace(
            same[0],
            score=Score.over([each.score for each in same]),
            starts=np.concatenate([each.starts for each in same]),
        )
        for same in zip(*parts, strict=True)
    ]


def _of_drives(point: Point, drives: Sequence[int]) -> Point:
    """The same, its drives numbered as they are in ``drives``."""
    starts = point.starts.copy()
    starts[:, 0] = np.array(drives, np.float64)[starts[:, 0].astype(np.int64)]
    return replace(point, starts=starts)


def hold_out(
    by_fold: Sequence[Sequence[Point]],
    folds: Sequence[Sequence[int]],
    traces: Sequence[Path],
    episodes: Sequence[Episode],
    config: Config,
    max_false_per_hour: float,
    told: Told = lambda *_: None,
) -> HeldOut | None:
    """Choose for each fold on the others alone, and run the real decision with that on the fold's traces.

    Only kinds that go by expressions are chosen; the others keep what is configured, and do not count.
    """
    if len(folds) < 2:
        return None
    kinds, limit = tuple(config.alerts.expressions), max_false_per_hour / len(config.alerts.enabled)
    found: list[Confirmation] = []
    for number, fold in enumerate(folds):
        told(Stage.HOLD_OUT, number / len(folds))
        known = together([points for other, points in enumerate(by_fold) if other != number])
        chosen = {kind: choose([x for x in known if x.kind == kind], limit, config.alerts.of(kind)) for kind in kinds}
        theirs = [replace(each, drive=fold.index(each.drive)) for each in episodes if each.drive in fold]
        settings, hours = recommend(config, chosen), HELD_OUT_HOURS / len(folds)
        found.append(confirm([traces[each] for each in fold], theirs, settings, lambda _: None, hours))
    scores = [confirmation.scores[kind] for confirmation in found for kind in kinds]
    hours = sum(each.hours for each in scores) / len(kinds)
    score = replace(Score.over(scores), hours=hours)
    return HeldOut(len(folds), sum(each.drives for each in found), score)


def sweep(batch: Batch, evidence: Evidence, config: Config, on_step: Callable[[], None] = lambda: None) -> list[Point]:
    """Every set of thresholds for each kind, those configured among them."""
    points = []
    for base, kinds in _bases(config):
        tried = list(product(_with(ENTERS, base.enter), _with(HOLDS_S, base.hold_s)))
        enters, holds = np.array(tried).T
        outcomes = follow_rules(batch, evidence, Rules(enters, holds, base), on_step)
        points += [
            Point(kind, config.alerts.of(kind).model_copy(update={"enter": enter, "hold_s": hold_s}), *outcome[kind])
            for (enter, hold_s), outcome in zip(tried, outcomes, strict=True)
            for kind in kinds
        ]
    return points


def try_judge(
    kind: Kind,
    traces: Sequence[Path],
    episodes: Sequence[Episode],
    config: Config,
    on_fault: Callable[[str], None],
    told: Told = lambda *_: None,
) -> list[Point]:
    """What each of the settings that a kind names comes to with the real decision."""
    points, every = [], list(config.alerts.of(kind).tried())
    for number, settings in enumerate(every):
        told(Stage.TRY, number / len(every))
        tried = config.model_copy(update={"alerts": config.alerts.with_kinds({kind: settings})})
        real = confirm(traces, episodes, tried, on_fault)
        starts = np.array([(each.drive, each.t) for each in real.alerts if each.kind == kind]).reshape(-1, 2)
        points.append(Point(kind, settings, real.scores[kind], starts))
    return points


def _bases(config: Config) -> list[tuple[ExpressionSettings, list[Kind]]]:
    """The kinds with the constants that are not swept, those with the same ones together."""
    bases: list[tuple[ExpressionSettings, list[Kind]]] = []
    for kind, settings in config.alerts.expressions.items():
        base = ExpressionSettings.model_validate(settings.model_dump())
        same = next((kinds for each, kinds in bases if each == base), None)
        if same is None:
            bases.append((base, [kind]))
        else:
            same.append(kind)
    return bases


def _with(values: Sequence[float], configured: float) -> list[float]:
    return sorted({*values, configured})


def _choose_confirmed(
    points: Sequence[Point], config: Config, max_false_per_hour: float, confirm_: Callable[[Config], Confirmation]
) -> tuple[dict[Kind, Point], Confirmation]:
    """The choice for each kind that keeps the limit in the real decision too, or the best of those that were tried."""
    limit = max_false_per_hour / len(config.alerts.enabled)
    left = list(points)
    tried: list[tuple[dict[Kind, Point], Confirmation]] = []
    while len(tried) < TRIES:
        of_kind = {kind: [each for each in left if each.kind == kind] for kind in config.alerts.enabled}
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


def trade_off(points: Sequence[Point], now: JudgeSettings) -> list[Point]:
    """What ``choose`` takes of one kind's points as more and more false alarms are allowed, each once."""
    curve: list[Point] = []
    for limit in sorted({each.score.false_per_hour for each in points}):
        point = choose(points, limit, now)
        if not any(point is each for each in curve):
            curve.append(point)
    return curve


def choose(points: Sequence[Point], max_false_per_hour: float, now: JudgeSettings) -> Point:
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


def _nearness(point: Point, now: JudgeSettings) -> tuple[float, ...]:
    """Smaller for thresholds that are nearer to those configured; between two as near for those that alert less."""
    tried = point.settings
    if isinstance(tried, ExpressionSettings) and isinstance(now, ExpressionSettings):
        return round(abs(tried.enter - now.enter) + abs(tried.hold_s - now.hold_s), 9), -tried.enter, -tried.hold_s
    pairs = [(getattr(tried, name), getattr(now, name)) for name in type(now).model_fields]
    numbers = [(float(a), float(b)) for a, b in pairs if isinstance(a, float) and isinstance(b, float)]
    return (round(sum(abs(a - b) / max(abs(a), abs(b)) for a, b in numbers if a != b), 9),)


def recommend(config: Config, chosen: dict[Kind, Point]) -> Config:
    """The configuration with the chosen thresholds."""
    settings = {kind: each.settings for kind, each in chosen.items()}
    return config.model_copy(update={"alerts": config.alerts.with_kinds(settings)})


def sections(config: Config) -> str:
    """The alert sections of a configuration as TOML, ready to paste: every key, and so no sensitivity."""
    return "\n".join(section(kind, config.alerts.of(kind)) for kind in config.alerts.enabled)


def section(kind: Kind, settings: JudgeSettings) -> str:
    """That of one kind."""
    table = settings.model_dump(mode="json", exclude={"sensitivity"})
    keys = [f"{name} = {toml_value(value)}" for name, value in table.items() if value is not None]
    return "\n".join([f"[alerts.{kind}]", *keys]) + "\n"


def confirm(
    traces: Sequence[Path],
    episodes: Sequence[Episode],
    config: Config,
    on_fault: Callable[[str], None],
    hours: float | None = None,
) -> Confirmation:
    """Run the real decision, resting face and all, over the first traces that make up ``hours``, or CONFIRMED_HOURS.

    They are read line by line, so that times that go back are said too.
    """
    alerts: list[Alert] = []
    ordinary = ordinary_face(config.vision)
    seconds, number = 0.0, 0
    for number, path in enumerate(traces, 1):
        decider, last_t = Decider(config, ordinary), None
        for line in read_trace(path, on_fault):
            step = decider.update(line.observation(), line.context())
            t = step.signals.t
            seconds, last_t = seconds + (0.0 if last_t is None else recorded_s(last_t, t)), t
            alerts += [Alert(number - 1, each.kind, each.t) for each in step.transitions if each.phase is Phase.START]
        if seconds >= (CONFIRMED_HOURS if hours is None else hours) * 3600:
            break
    known = [each for each in episodes if each.drive < number]
    scores = {
        kind: judge(
            [each for each in alerts if each.kind == kind],
            [each for each in known if each.kind == kind],
            max(seconds, 1e-9) / 3600,
        )
        for kind in config.alerts.enabled
    }
    return Confirmation(number, scores, tuple(alerts))


def _progress(console: Console | None) -> AbstractContextManager[Progress]:
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
