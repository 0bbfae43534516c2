"""Draw how a frame becomes evidence: ``python -m calibration.evidence docs/evidence.svg`` (``make evidence-figure``).

Above, what a second of sight adds to the evidence for an alert, by how seldom this driver shows as much. Below, the
signal, the share and the evidence of anger over the demo's clip. Both are taken from the judge itself with the shipped
models, so the same models and rule give the same picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config
from edge.decision.decider import Decider
from edge.decision.expression_judge import RARE, SELDOM, ExpressionJudge, ExpressionSettings, surprise
from edge.domain import Kind, Phase
from edge.figure import new_figure
from edge.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND = Kind("anger")
COLOUR = "#c1121f"
SHOWN_S = (10.0, 20.0)
"""Seconds of the clip: from calm into anger, to a little after the alert."""
TIMEOUT_S = 5.0
SHARES = np.logspace(-5, 0, 400)


@dataclass(frozen=True)
class Moment:
    """A frame of the clip: its time in seconds, the smoothed signal, the share and the evidence in seconds."""

    t: float
    signal: float
    share: float
    evidence_s: float
    started: bool


def judge_of(decider: Decider, kind: Kind = KIND) -> ExpressionJudge:
    """The judge of ``kind``."""
    judge = decider._judges[kind]  # noqa: SLF001 - the picture shows the rule itself, not a copy of it
    assert isinstance(judge, ExpressionJudge)  # noqa: S101 - the kind that is drawn is one of these
    return judge


def rates() -> list[float]:
    """Seconds of evidence that a second at each of SHARES adds."""
    return [surprise(float(share)) for share in SHARES]


def moments() -> Iterator[Moment]:
    """The demo's clip, frame by frame, with the shipped models and the defaults."""
    with resources.as_file(resources.files("edge.tools.demo") / "clip.mp4") as clip:
        camera = open_camera(CameraConfig(source=str(clip)), realtime=False)
        pipeline = Pipeline.from_config(Config())
        judge = judge_of(pipeline.decider)
        try:
            while True:
                step = pipeline.step(camera.read(TIMEOUT_S))
                started = any(each.kind is KIND and each.phase is Phase.START for each in step.transitions)
                share = judge.expression.shares[judge._index]  # noqa: SLF001 - as above
                yield Moment(step.signals.t, judge.signal, share, judge._evidence_s, started)  # noqa: SLF001 - as above
        except EndOfStream:
            return
        finally:
            camera.close()


def draw(shown: list[Moment]) -> Figure:
    """Both panels."""
    figure = new_figure(7.6, 6.6)
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.15))
    _draw_rates(above)
    _draw_clip(below, shown)
    return figure


def _settings() -> ExpressionSettings:
    return Config().alerts.expressions[KIND]


def _draw_rates(axes: Axes) -> None:
    axes.plot(100 * SHARES, rates(), color=COLOUR, linewidth=2.2)
    axes.axhline(0, color="black", linewidth=0.8)
    for name, share in (("RARE", RARE), ("SELDOM", SELDOM)):
        axes.axvline(100 * share, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{name}: {100 * share:g} %",
            (100 * share, -1.5),
            (-4, 0),
            textcoords="offset points",
            ha="right",
            fontsize=9,
        )
    axes.set(
        xscale="log",
        xlim=(100 * SHARES[0], 100),
        ylim=(-2.1, 1.25),
        xlabel="share of the time in which this driver, at rest, shows as much or more, %",
        ylabel="evidence, s for a second",
        title="What is seldom in this face is evidence; what is usual takes it away",
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_clip(axes: Axes, shown: list[Moment]) -> None:
    shown = [moment for moment in shown if SHOWN_S[0] <= moment.t <= SHOWN_S[1]]
    hold_s = _settings().hold_s
    t = [moment.t for moment in shown]
    start = next((moment.t for moment in shown if moment.started), None)
    waiting = [moment for moment in shown if start is None or moment.t < start]
    axes.plot(t, [moment.signal for moment in shown], color=COLOUR, linewidth=1.6, label="signal of anger, smoothed")
    axes.plot(t, [moment.share for moment in shown], color="grey", linewidth=1.2, label="share of the time")
    filled = [moment.evidence_s / hold_s for moment in waiting]
    axes.fill_between([moment.t for moment in waiting], filled, color="#f2c14e", alpha=0.7, linewidth=0)
    axes.fill_between([], [], color="#f2c14e", alpha=0.7, label="evidence, as a part of hold_s")
    axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
    if start is not None:
        axes.plot(start, 1.0, "^", color=COLOUR, markersize=11, label="the alert starts")
    axes.set(
        xlim=SHOWN_S,
        ylim=(-0.03, 1.12),
        xlabel="seconds of the demo's clip",
        title=f"Anger in the demo's clip: {hold_s:g} s of evidence start an alert",
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.12), frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Parse the command line, play, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="where the picture goes, .svg or .png")
    arguments = parser.parse_args()
    arguments.path.parent.mkdir(parents=True, exist_ok=True)
    figure = draw(list(moments()))
    import matplotlib as mpl  # noqa: PLC0415 - an extra; new_figure says where it is missing

    with mpl.rc_context({"svg.hashsalt": "evenkeel"}):
        figure.savefig(arguments.path, dpi=110, metadata={"Date": None} if arguments.path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
