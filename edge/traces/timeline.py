"""What a replay came to in time: its episodes, and a drawing of signals, eyes, state and alerts."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from edge.decision.judges.fatigue import both_eyes
from edge.domain import NO_REASON, Kind, Level, Phase, Reason, State, Step, Transition
from edge.errors import UnavailableError, UsageError
from edge.figure import new_figure
from edge.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {
    State.CALM: "#dbe9db",
    State.WARNING: "#f2c14e",
    State.URGENT: "#d1495b",
    State.UNCERTAIN: "#c9c9d6",
    State.ABSENT: "#8d99ae",
    State.BLIND: "#3d405b",
    State.PAUSED: "#ffffff",
}
DRAWN_PARTS = 2000
"""Into so many parts a long drive is cut, of each of which the drawing has the extremes."""

LEAST_PERCLOS_DRAWN = 20.0
"""The scale of PERCLOS reaches so far at least, in percent: little of it is to look like little."""

Floats = NDArray[np.float64]

_SUFFIXES = frozenset({".png", ".svg", ".pdf"})


@dataclass(frozen=True, slots=True)
class ReplayedEpisode:
    """One alert from its start to its end; times in seconds of the recording, None for what did not come."""

    kind: Kind
    start_s: float
    urgent_s: float | None
    end_s: float | None
    peak: float
    expression: str | None
    ended: Reason = NO_REASON
    cause: str | None = None

    @property
    def level(self) -> Level:
        """The highest it came to."""
        return Level.WARNING if self.urgent_s is None else Level.URGENT


class Timeline:
    """Collects steps, with the times that they have.

    ``openness`` is of both eyes, NaN where none could be read; ``perclos`` is the state's, NaN where it tells none.
    """

    def __init__(self) -> None:
        self.t = array("d")
        self.signals: dict[Kind, array[float]] = {}
        self.openness, self.perclos = array("d"), array("d")
        self.states: list[tuple[float, State]] = []
        self._episodes: dict[int, ReplayedEpisode] = {}

    @property
    def episodes(self) -> tuple[ReplayedEpisode, ...]:
        """In the order in which they began."""
        return tuple(self._episodes.values())

    def add(self, step: Step, *, signals: bool) -> None:
        """Take in one step; ``signals``: keep what a drawing needs, 8 bytes a frame for each curve."""
        t = step.signals.t
        if not self.states or self.states[-1][1] is not step.state:
            self.states.append((t, step.state))
        for transition in step.transitions:
            self._follow(transition)
        if signals:
            self.t.append(t)
            for kind, judged in step.signals.kinds.items():
                self.signals.setdefault(kind, array("d")).append(judged.signal)
            for curve, value in (
                (self.openness, both_eyes(step.observation)),
                (self.perclos, step.signals.figures.get("perclos")),
            ):
                curve.append(math.nan if value is None else value)

    def _follow(self, transition: Transition) -> None:
        t = transition.t
        begun = self._episodes.get(
            transition.episode, ReplayedEpisode(transition.kind, t, None, None, transition.peak, transition.expression)
        )
        now = replace(begun, peak=transition.peak, expression=transition.expression, cause=transition.cause)
        if transition.phase is Phase.ESCALATE:
            now = replace(now, urgent_s=t)
        elif transition.phase is Phase.END:
            now = replace(now, end_s=t, ended=transition.reason)
        self._episodes[transition.episode] = now


def episodes_table(episodes: tuple[ReplayedEpisode, ...]) -> Table:
    """A row for each episode."""
    table = Table("alert", "start", "urgent", "end", "lasted", "peak", "shown", "ended by")
    for each in episodes:
        lasted = "" if each.end_s is None else f"{each.end_s - each.start_s:.1f} s"
        table.add_row(
            each.kind,
            clock(each.start_s),
            "" if each.urgent_s is None else clock(each.urgent_s),
            "open" if each.end_s is None else clock(each.end_s),
            lasted,
            f"{each.peak:.2f}",
            each.expression or each.cause or "",
            say(each.ended),
        )
    return table


def clock(seconds: float) -> str:
    """Minutes and seconds, from an hour on hours, minutes and whole seconds: 1:04.2, 1:02:03."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest // 10:02}" if hours else f"{minutes}:{rest / 10:04.1f}"


def check_plot(path: Path) -> None:
    """Say before a long replay that its drawing could not be made.

    Raises:
        UnavailableError: matplotlib is missing.
        UsageError: the file's name ends in no format that can be drawn.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{path}: a plot's name must end in {', '.join(sorted(_SUFFIXES))}")
    new_figure(1, 1)


def draw(timeline: Timeline, path: Path, title: str) -> None:
    """Draw signals, episodes and states over time into ``path`` (.png, .svg or .pdf), and the eyes where any was read.

    Raises:
        UnavailableError: matplotlib is missing, or the file cannot be written.
    """
    figure = compose(timeline, title)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UnavailableError(f"{path}: the plot cannot be written: {error.strerror}; use another file") from error


def compose(timeline: Timeline, title: str) -> Figure:
    """Signals with episodes, eyes where any was read, and states, over time."""
    eyes = not np.isnan(np.asarray(timeline.openness)).all()
    figure = new_figure(10, 5.0 if eyes else 3.4)
    heights = [10, 6, 1] if eyes else [10, 1]
    above, *between, below = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights})
    minutes = timeline.t[-1] - timeline.t[0] > 600 if timeline.t else False
    unit = 60.0 if minutes else 1.0
    _draw_signals(above, timeline, unit)
    for axes in between:
        _draw_eyes(axes, timeline, unit)
    _draw_states(below, timeline, unit)
    above.set_title(title, loc="left", fontsize=10)
    below.set_xlabel("minutes" if minutes else "seconds")
    if timeline.t:
        below.set_xlim(timeline.t[0] / unit, max(timeline.t[-1], timeline.t[0] + 0.1) / unit)
    return figure


def _draw_signals(axes: Axes, timeline: Timeline, unit: float) -> None:
    colours = {kind: f"C{number}" for number, kind in enumerate(timeline.signals)}
    for kind, signal in timeline.signals.items():
        t, drawn = _thinned(np.asarray(timeline.t), np.asarray(signal))
        axes.plot(t / unit, drawn, linewidth=1.0, color=colours[kind], label=kind)
    last = timeline.t[-1] if timeline.t else 0.0
    for each in timeline.episodes:
        end = last if each.end_s is None else each.end_s
        axes.axvspan(each.start_s / unit, end / unit, color=colours[each.kind], alpha=0.15, linewidth=0)
        axes.plot(each.start_s / unit, 1.04, "v", color=colours[each.kind], markersize=7)
        if each.urgent_s is not None:
            axes.plot(each.urgent_s / unit, 1.04, "v", color="#d1495b", markersize=7, markeredgecolor="black")
    axes.set(ylim=(0.0, 1.1), ylabel="signal", yticks=(0.0, 0.5, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    if any(each.urgent_s is not None for each in timeline.episodes):
        axes.plot([], [], "v", color="#d1495b", markeredgecolor="black", label="urgent")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _draw_eyes(axes: Axes, timeline: Timeline, unit: float) -> None:
    """Openness, with its gaps, and over it PERCLOS on a scale of its own."""
    t, openness = _thinned(np.asarray(timeline.t), np.asarray(timeline.openness))
    (eye,) = axes.plot(t / unit, openness, linewidth=0.7, color="#8fb3c9", label="openness, both eyes")
    axes.set(ylim=(0.0, 1.1), ylabel="openness", yticks=(0.0, 0.5, 1.0))
    share = axes.twinx()
    t, perclos = _thinned(np.asarray(timeline.t), 100 * np.asarray(timeline.perclos))
    (line,) = share.plot(t / unit, perclos, linewidth=1.6, color="#1b1b1b", label="PERCLOS of a minute")
    known = perclos[~np.isnan(perclos)]
    share.set(ylim=(0.0, max(LEAST_PERCLOS_DRAWN, 1.1 * known.max(initial=0.0))), ylabel="PERCLOS, %")
    for each in (axes, share):
        each.spines["top"].set_visible(False)
    axes.legend(handles=[eye, line], loc="upper left", bbox_to_anchor=(1.06, 1.0), frameon=False, fontsize=9)


def _thinned(t: Floats, signal: Floats) -> tuple[Floats, Floats]:
    """Of so many neighbours, more than the drawing has room for, the least and the greatest alone; (N,) each.

    Where some of the neighbours are NaN, of the others; where all are, that is kept.
    """
    size = len(t) // DRAWN_PARTS
    if size < 3:
        return t, signal
    whole = signal[: DRAWN_PARTS * size].reshape(DRAWN_PARTS, size)
    unknown = np.isnan(whole)
    least, greatest = np.where(unknown, np.inf, whole).argmin(1), np.where(unknown, -np.inf, whole).argmax(1)
    extremes = np.sort(np.stack([least, greatest], axis=1), axis=1)
    kept = (extremes + size * np.arange(DRAWN_PARTS)[:, None]).ravel()
    kept = np.append(kept, np.arange(DRAWN_PARTS * size, len(t)))
    return t[kept], signal[kept]


def _draw_states(axes: Axes, timeline: Timeline, unit: float) -> None:
    last = timeline.t[-1] if timeline.t else 0.0
    starts = [t for t, _ in timeline.states]
    bars: dict[State, list[tuple[float, float]]] = {}
    for (start, state), end in zip(timeline.states, [*starts[1:], last], strict=True):
        bars.setdefault(state, []).append((start / unit, (end - start) / unit))
    for state, spans in bars.items():
        axes.broken_barh(spans, (0.0, 1.0), color=_COLOURS[state], linewidth=0, label=state)
    axes.set(yticks=(), ylim=(0.0, 1.0), ylabel="state")
    axes.yaxis.label.set(rotation=0, ha="right", va="center")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -2.2), ncols=max(len(bars), 1), frameon=False, fontsize=9)
