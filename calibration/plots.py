"""Plots of numbers, drawn without a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import UnavailableError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MARKERS = "os^Dvx*P"


@dataclass(frozen=True)
class Curve:
    """A family's points: delay in seconds, false alarms per hour."""

    name: str
    points: Sequence[tuple[float, float]]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as New  # noqa: PLC0415 - an extra; the board has none
    except ImportError:
        raise UnavailableError("matplotlib is missing: pip install 'evenkeel[calibration]'") from None
    return New(figsize=(width, height), layout="constrained")


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
