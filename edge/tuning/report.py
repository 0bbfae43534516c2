"""The tuning report: one HTML file with its plots inside."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.decision.expression_judge import ExpressionSettings
from edge.decision.judge import JudgeSettings
from edge.domain import Kind
from edge.errors import UnavailableError
from edge.figure import new_figure
from edge.tuning.score import Score
from edge.tuning.tune import ENOUGH_FALSE, HeldOut, Point, Tuning, recommend, sections, shows_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_DRIVES = 12
"""Timelines of more drives would only make the file heavy."""
BINS = 10

_RELIABILITY = (
    "How often a label says so where the signal says so much. On the diagonal a signal of 0.7 is right in seven "
    "moments of ten; below it the model says too much."
)
_TIMELINES = (
    "Signals of the kinds that go by expressions, held against the driver's own face; dotted: the recommended enter; "
    "shaded: labelled episodes; triangles: alerts of the real decision with the recommended thresholds."
)
_STYLE = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#eee;padding:1em}"


def write_report(tuning: Tuning, path: Path) -> None:
    """Write the report to ``path``.

    Raises:
        UnavailableError: matplotlib is missing, or the file cannot be written.
    """
    timelines = [_timeline(tuning, drive) for drive in range(min(len(tuning.traces), SHOWN_DRIVES))]
    left_out = len(tuning.traces) - len(timelines)
    body = [
        "<h1>Thresholds from recorded drives</h1>",
        (
            f"<p>{tuning.batch.hours:.2f} drive hours in {len(tuning.traces)} traces,"
            f" {len(tuning.batch.episodes)} labelled episodes.</p>"
        ),
        _faults(tuning.faults),
        f"<h2>{'Nothing is recommended' if tuning.broken else 'Recommended'}</h2>",
        "".join(f"<p>{html.escape(line)}.</p>" for line in tuning.broken),
        f"<pre>{html.escape(sections(recommend(tuning.config, tuning.chosen)))}</pre>",
        f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in summary(tuning))}</ul>",
        "<h2>Delay against false alarms</h2>",
        _svg(_trade_off(tuning)),
        "<h2>Recall against threshold</h2>",
        _svg(_recall(tuning)),
        "<h2>Reliability</h2>",
        f"<p>{_RELIABILITY}</p>",
        _svg(_reliability(tuning)),
        "<h2>Drives</h2>",
        f"<p>{_TIMELINES}</p>",
        *(_svg(figure) for figure in timelines),
        f"<p>{left_out} more drives are not drawn.</p>" if left_out else "",
    ]
    page = f"<!doctype html><meta charset=utf-8><title>Evenkeel tuning</title><style>{_STYLE}</style>"
    try:
        path.write_text(page + "\n".join(body), encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"{path}: report cannot be written: {error.strerror}; use another file") from error


def summary(tuning: Tuning) -> list[str]:
    """What the recommended thresholds come to, a line for each kind and one for the real decision."""
    lines = [
        f"{kind}: {said(point.settings, tuning.config.alerts.of(kind))}: {figures(point.score)}"
        for kind, point in tuning.chosen.items()
    ]
    real = tuning.confirmation
    hours = f"the real decision on the first {real.drives} traces, {real.score.hours:.2f} h"
    lines = [f"{line} (on the drives it was chosen on)" for line in [*lines, f"{hours}: {figures(real.score)}"]]
    lines.append(_held_out(tuning.held_out))
    limit = tuning.max_false_per_hour / len(tuning.chosen)
    if not shows_rate(tuning.batch.hours, limit):
        needed = f"{ENOUGH_FALSE / limit:.0f} h" if limit else "drives without end"
        lines.append(
            f"too short: {tuning.batch.hours:.2f} h cannot show {limit:g} false alarms an hour and kind ({needed} can);"
            " of those that do as well, the thresholds nearest to the configured ones are given"
        )
    return lines


def _held_out(held_out: HeldOut | None) -> str:
    """The figure to expect of other drives: that of thresholds chosen without the traces it is measured on."""
    if held_out is None:
        return "held out: nothing; with one trace no figure tells of other drives"
    score = held_out.score
    return (
        f"held out: thresholds chosen without a trace, {held_out.folds} parts in turn, give in the real decision on"
        f" {held_out.traces} such traces, {score.hours:.2f} h: {figures(score)}"
    )


def said(settings: JudgeSettings, now: JudgeSettings) -> str:
    """The thresholds of a kind: those that tell most, or what differs from the configured ones."""
    if isinstance(settings, ExpressionSettings):
        return f"hold {settings.hold_s:g} s, enter {settings.enter:g}"
    before, after = now.model_dump(), settings.model_dump()
    return ", ".join(f"{name} {after[name]}" for name in after if after[name] != before[name]) or "as configured"


def figures(score: Score) -> str:
    """What was found, what was wrong and how late, with intervals of 95 %."""
    low, high = score.recall_interval
    found = f"{score.found} of {score.episodes} episodes found"
    found += f" (95 %: {low:.0%} to {high:.0%})" if score.episodes else ""
    least, most = score.false_interval
    wrong = f"{score.false_per_hour:.2f} false alarms per hour (95 %: {least:.2f} to {most:.2f})"
    delay = f", median delay {score.delay_s:.1f} s" if score.delays else ""
    return f"{found}, {wrong}{delay}"


def _faults(faults: tuple[str, ...]) -> str:
    items = "".join(f"<li>{html.escape(fault)}</li>" for fault in faults)
    return f"<h2>What could not be used</h2><ul>{items}</ul>" if items else ""


def _trade_off(tuning: Tuning) -> Figure:
    figure = new_figure(4 * len(tuning.chosen), 3.6)
    for axes, kind in zip(figure.subplots(1, len(tuning.chosen), squeeze=False)[0], tuning.chosen, strict=True):
        scores = [point.score for point in tuning.points if point.kind == kind and point.score.delays]
        dots = axes.scatter(
            [score.delay_s for score in scores],
            [score.false_per_hour for score in scores],
            c=[score.recall for score in scores],
            vmin=0,
            vmax=1,
            s=14,
        )
        best = tuning.chosen[kind].score
        axes.plot(best.delay_s, best.false_per_hour, "r*", markersize=12, label="recommended")
        axes.set(title=str(kind), xlabel="median delay, s", ylabel="false alarms per hour")
        highest = max((score.false_per_hour for score in scores), default=0.0)
        axes.set_ylim(-0.05 * max(highest, 1.0), 1.1 * max(highest, 1.0))
        axes.legend()
        figure.colorbar(dots, ax=axes, label="recall")
    return figure


def _recall(tuning: Tuning) -> Figure:
    kinds = tuning.batch.kinds
    figure = new_figure(4 * len(kinds), 3)
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        best = _expression(tuning.chosen[kind])
        points = [(_expression(each), each.score) for each in tuning.points if each.kind == kind]
        for enter in sorted({settings.enter for settings, _ in points}):
            same = [each for each in points if each[0].enter == enter]
            line = [each.hold_s for each, _ in same], [score.recall for _, score in same]
            if enter == best.enter:
                axes.plot(*line, "o-", color="red", label=f"enter {enter:g}, recommended")
            else:
                axes.plot(*line, "-", color="lightgrey", zorder=0)
        axes.axvline(best.hold_s, color="red", linestyle=":")
        axes.set(
            title=f"{kind}, hold {best.hold_s:g} s",
            xlabel="hold_s, s of evidence",
            ylabel="recall",
            ylim=(-0.05, 1.05),
        )
        axes.legend()
    return figure


def _reliability(tuning: Tuning) -> Figure:
    figure = new_figure(5, 4)
    axes = figure.subplots()
    seen = tuning.batch.seen_s > 0
    for code, kind in enumerate(tuning.batch.kinds):
        signal, labelled = tuning.evidence.signals[code][seen], tuning.batch.episode[code][seen] >= 0
        group = np.minimum((signal * BINS).astype(int), BINS - 1)
        count = np.bincount(group, minlength=BINS)
        full = count > 0
        said = np.bincount(group, signal, BINS)[full] / count[full]
        true = np.bincount(group, labelled, BINS)[full] / count[full]
        axes.plot(said, true, "o-", label=str(kind), color=_colour(tuning, kind))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.set(xlabel="signal", ylabel="share of moments labelled so")
    axes.legend()
    return figure


def _timeline(tuning: Tuning, drive: int) -> Figure:
    figure = new_figure(9, 1.8)
    axes = figure.subplots()
    t, batch = tuning.batch.t[:, drive], tuning.batch
    for code, kind in enumerate(tuning.batch.kinds):
        axes.plot(t, tuning.evidence.signals[code, :, drive], linewidth=0.7, color=_colour(tuning, kind))
        axes.axhline(_expression(tuning.chosen[kind]).enter, linewidth=0.7, linestyle=":", color=_colour(tuning, kind))
    for episode in batch.episodes:
        if episode.drive == drive:
            axes.axvspan(episode.start, episode.end, color=_colour(tuning, episode.kind), alpha=0.2)
    for alert in tuning.confirmation.alerts:
        if alert.drive == drive:
            axes.plot(alert.t, 0.97, "v", color=_colour(tuning, alert.kind))
    axes.set(xlabel="s", ylim=(-0.03, 1.05), xlim=(t[0], t[-1]))
    path = tuning.traces[drive]
    alone = [each.name for each in tuning.traces].count(path.name) == 1
    axes.set_title(path.name if alone else str(path), loc="left", fontsize=10)
    return figure


def _colour(tuning: Tuning, kind: Kind) -> str:
    return f"C{list(tuning.chosen).index(kind)}"


def _expression(point: Point) -> ExpressionSettings:
    """The settings of a kind that goes by expressions."""
    assert isinstance(point.settings, ExpressionSettings), "asked only for such kinds"  # noqa: S101 - narrows the type
    return point.settings


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    drawing = text.getvalue()
    return drawing[drawing.index("<svg") :]
