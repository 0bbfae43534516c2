"""The picture of ways to follow an expression against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from calibration.points import Point, front
from edge.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f")
STAR = "#111111"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def trade_off(ways: Mapping[str, Sequence[Point]], shipped: Mapping[str, Point], hours: float, title: str) -> Figure:
    """Mean delay against false alarms: for each way its Pareto front, the shipped settings as stars.

    ``ways`` holds the points of each, the first of them the shipped one's; those that another of the same way betters
    are dots. ``hours`` of drive tell how few false alarms can be told from none.
    """
    figure = new_figure(8, 5)
    axes = figure.subplots()
    none = 0.5 / hours
    for number, ((name, points), colour) in enumerate(zip(ways.items(), COLOURS, strict=False)):
        best = front(points)
        _dots(axes, [each for each in points if each not in best], none, colour)
        axes.plot(
            *_xy(best, none),
            drawstyle="steps-post",
            marker="o",
            markersize=3.5,
            color=colour,
            linewidth=1.3 if number else 2.4,
            alpha=0.8 if number else 1.0,
            zorder=2 if number else 3,
            label=name,
        )
    _stars(axes, shipped, none)
    axes.set_yscale("log")
    ticks = [each for each in TICKS if each > 1.6 * none]
    axes.set_yticks([none, *ticks], ["none", *(f"{each:g}" for each in ticks)])
    axes.set_yticks([], minor=True)
    axes.set(xlabel="mean delay, s (a missed episode counts as 10 s)", ylabel="false alarms per hour", title=title)
    axes.title.set_fontsize(9)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _xy(points: Sequence[Point], none: float) -> tuple[list[float], list[float]]:
    return [each.mean_delay_s for each in points], [max(each.false_per_hour, none) for each in points]


def _dots(axes: Axes, points: Sequence[Point], none: float, colour: str) -> None:
    axes.plot(*_xy(points, none), "o", color=colour, markersize=2, alpha=0.3, zorder=1)


def _stars(axes: Axes, shipped: Mapping[str, Point], none: float) -> None:
    for name, point in shipped.items():
        (x,), (y,) = _xy([point], none)
        axes.plot(x, y, "*", color=STAR, markersize=15 if name == "normal" else 9, zorder=5)
        axes.annotate(
            name,
            (x, y),
            xytext=(9, -12) if name == "low" else (9, 7),  # beside "normal", under whose label it would lie
            textcoords="offset points",
            fontsize=9,
            color=STAR,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )
