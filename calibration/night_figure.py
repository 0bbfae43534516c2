"""The picture of one simulated night: how far the eyes are open, PERCLOS, and the alerts."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.fatigue_outcome import DROWSY, MICROSLEEP, Told, perclos, told
from calibration.nights import EyeDrive, drive
from calibration.sleepers import sleepers
from edge.config import Config
from edge.decision.decider import Decider
from edge.decision.judges.fatigue import FatigueSettings
from edge.domain import Transition
from edge.figure import new_figure
from edge.vision.eyes import EyeReader

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EYES, SHARE, TRUE = "#31688e", "#1b1b1b", "#b8b8b8"
COLOURS = {MICROSLEEP: "#d1495b", DROWSY: "#edae49"}
MARKED_S = FatigueSettings().microsleep_s
"""From here on a microsleep is to raise an alert."""
WINDOW_S = 0.5
"""Openness is drawn as its range over so long."""


@dataclass(frozen=True)
class Night:
    """A drive with what the judge said: times (N,) and the PERCLOS it told then, NaN where it told none."""

    drive: EyeDrive
    said: Told
    t: NDArray[np.float64]
    perclos: NDArray[np.float64]


def watch(film: EyeDrive, config: Config) -> Night:
    """The real decision over a drive."""
    decider = Decider(config)
    transitions: list[Transition] = []
    t, shares = [], []
    for seen in film.observations():
        step = decider.update(seen)
        transitions += step.transitions
        share = step.signals.figures.get("perclos")
        t.append(seen.t)
        shares.append(np.nan if share is None else share)
    return Night(film, told(transitions, film.script.length_s), np.array(t), np.array(shares))


def night(shown: Night, level: float) -> Figure:
    """Openness above, PERCLOS below with the ``level`` that alerts; alerts as coloured spans, what is true in grey."""
    figure = new_figure(11, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 1.0))
    for axes in (upper, lower):
        _alerts(axes, shown)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.margins(x=0)
    _openness(upper, shown.drive)
    _shares(lower, shown, level)
    title = f"One simulated night of {shown.drive.driver}, {shown.drive.fps:g} frames a second"
    upper.set_title(title, loc="left", fontsize=10)
    marks, names = upper.get_legend_handles_labels()
    told = [name.startswith("alert") for name in names]  # the lower panel has them too
    handles, labels = lower.get_legend_handles_labels()
    handles += [mark for mark, again in zip(marks, told, strict=True) if not again]
    labels += [name for name, again in zip(names, told, strict=True) if not again]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _openness(axes: Axes, film: EyeDrive) -> None:
    """The range of how far the eyes are open in each half second, and marks where true microsleeps begin."""
    read = film.openness
    starts = np.arange(0.0, film.script.length_s, WINDOW_S)
    parts = np.split(read, np.searchsorted(film.t, starts[1:]))
    known = [part[~np.isnan(part)] for part in parts]
    low = np.array([part.min() if len(part) else np.nan for part in known])
    high = np.array([part.max() if len(part) else np.nan for part in known])
    axes.fill_between(starts / 60, low, high, color=EYES, linewidth=0.4, step="post")
    spans = film.script.told.get("microsleep", ())
    for long, fill in ((True, SHARE), (False, "none")):
        at = [start / 60 for start, end in spans if (end - start >= MARKED_S) == long]
        label = f"true microsleep, {'at least' if long else 'under'} {MARKED_S:g} s"
        axes.plot(at, [-0.1] * len(at), "^", color=SHARE, markerfacecolor=fill, markersize=4, label=label)
    axes.set(ylabel="openness,\nboth eyes", ylim=(-0.16, 1.05), yticks=(0, 0.5, 1))


def _shares(axes: Axes, shown: Night, level: float) -> None:
    """PERCLOS as it is and as the judge tells it, with the ``level`` that alerts."""
    at = np.arange(60.0, shown.drive.script.length_s, 1.0)
    axes.fill_between(at / 60, 100 * perclos(shown.drive, at), color=TRUE, linewidth=0, label="true PERCLOS")
    axes.plot(shown.t / 60, 100 * shown.perclos, color=SHARE, linewidth=1.3, label="as the judge tells it")
    axes.axhline(100 * level, color=COLOURS[DROWSY], linewidth=1, linestyle="--", label="level that alerts")
    axes.set(ylabel="PERCLOS of the\nlast minute, %", xlabel="minutes", ylim=(0, None))


def _alerts(axes: Axes, shown: Night) -> None:
    named: set[str] = set()
    for start, end, cause in shown.said.open:
        label = "_" if cause in named else f"alert: {cause}"
        named.add(cause)
        axes.axvspan(start / 60, end / 60, color=COLOURS[cause], alpha=0.45, linewidth=0.6, label=label)


def main() -> None:
    """Parse the command line, simulate, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", type=Path, help="picture to write, .png or .svg")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/readings"), help="folder for what the eye model reads")
    parser.add_argument("--driver", default="person 19", help="name of a driver, as evaluate_fatigue prints them")
    parser.add_argument("--seed", type=int, default=1, help="of the night")
    options = parser.parse_args()
    if not (options.data / "eyes").is_dir():
        raise SystemExit(f"{options.data / 'eyes'}: no such folder; name the data's folder with --data")
    cv2.setNumThreads(1)
    reader = EyeReader.load()
    drivers = {each.name: each for each in sleepers(options.data, reader, reader.manifest.sha256, options.cache)}
    if options.driver not in drivers:
        raise SystemExit(f"--driver {options.driver}: give one of {', '.join(drivers)}")
    config = Config()
    figure = night(watch(drive("night", options.seed, drivers[options.driver]), config), FatigueSettings().perclos)
    figure.savefig(options.figure, dpi=140)


if __name__ == "__main__":
    main()
