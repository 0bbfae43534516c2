"""The plot of ways to follow an expression against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.figure import new_figure

MARKERS = "os^Dvx*P"


@dataclass(frozen=True)
class Curve:
    """A family's points: delay in seconds, false alarms per hour."""

    name: str
    points: Sequence[tuple[float, float]]


def plot_trade_off(curves: Sequence[Curve], path: Path) -> None:
    """Delay against false alarms, one line for each curve, as a PNG."""
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        if curve.points:
            delays, alarms = zip(*sorted(curve.points), strict=True)
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(delays, alarms, marker=marker, markersize=3, linewidth=1, label=curve.name)
    axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="mean delay, s (a missed episode counts as 10)",
        ylabel="false alarms per hour",
        yscale="symlog",
        ylim=(0, 200),
    )
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)
