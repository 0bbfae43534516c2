"""Draw what the demo's clip comes to: a face of each look above signals, alerts and states over time.

``python -m models.training.demo_figure docs/demo-clip.jpg``. It plays the bundled clip through the shipped models and
the default configuration, so the same models give the same picture. The clip's driver is drawn and nobody's likeness.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config
from edge.domain import EXPRESSIONS, Phase, State, Step
from edge.figure import new_figure
from edge.pipeline import Pipeline
from edge.tools.demo.story import CHANGE_S, Look, read_story

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TIMEOUT_S = 5.0
MARGIN = 0.35  # of the face box's side, added on each side
COLOURS = ("#c1121f", "#1d5fa8", "#7b2d8b", "#b35c00")
STATE_COLOURS = {State.CALM: "#cfe6cf", State.WARNING: "#f2c14e", State.URGENT: "#d1495b"}
OTHER_STATE = "#c9c9d6"
MARKS = {Phase.START: ("^", "start"), Phase.ESCALATE: ("*", "escalate"), Phase.END: ("s", "end")}


@dataclass(frozen=True)
class Moment:
    """A face, (H, W) uint8, and the step that it was read in."""

    face: NDArray[np.uint8]
    drawn: str
    step: Step

    @property
    def caption(self) -> str:
        """When, what is drawn, what is read (smoothed, as it is published), and the state that is decided."""
        signals = self.step.signals
        read = EXPRESSIONS[int(np.argmax(signals.expression))] if signals.confidence else "nothing"
        return f"{signals.t:.1f} s, drawn: {self.drawn}\nread: {read}; {self.step.state}"


def play() -> tuple[list[Step], list[Moment]]:
    """Every step of the bundled clip, and a moment in the middle of each look where it is drawn for the first time."""
    story = read_story()
    shown = [look for n, look in enumerate(story) if look.name not in {each.name for each in story[:n]}]
    steps: list[Step] = []
    moments: list[Moment] = []
    with resources.as_file(resources.files("edge.tools.demo") / "clip.mp4") as clip:
        camera = open_camera(CameraConfig(source=str(clip)), realtime=False)
        pipeline = Pipeline.from_config(Config())
        try:
            while True:
                frame = camera.read(TIMEOUT_S)
                step = pipeline.step(frame)
                steps.append(step)
                face = step.observation.face
                due = shown[len(moments) :][:1]
                if due and frame.t >= _middle(due[0]) and face is not None:
                    moments.append(Moment(_cut(frame.luma, face.box), due[0].name, step))
        except EndOfStream:
            return steps, moments
        finally:
            camera.close()


def _middle(look: Look) -> float:
    return (look.start_s + look.end_s + CHANGE_S) / 2


def draw(steps: list[Step], moments: list[Moment], path: Path) -> None:
    """Draw faces, signals with the marks of alerts, and states into ``path``."""
    compose(steps, moments).savefig(path, dpi=110)


def compose(steps: list[Step], moments: list[Moment]) -> Figure:
    """The figure: a captioned face for each moment, below them the signals with the alerts' marks, then the states."""
    figure = new_figure(9.0, 5.2)
    grid = figure.add_gridspec(3, len(moments), height_ratios=(6, 6, 0.7))
    for column, moment in enumerate(moments):
        panel = figure.add_subplot(grid[0, column])
        panel.imshow(moment.face, cmap="gray", vmin=0, vmax=255)
        panel.set_axis_off()
        panel.set_title(moment.caption, fontsize=9.5)
    above = figure.add_subplot(grid[1, :])
    below = figure.add_subplot(grid[2, :], sharex=above)
    _draw_signals(above, steps)
    for moment in moments:
        above.axvline(moment.step.signals.t, color="grey", linewidth=0.8, linestyle=":")
    _draw_states(below, steps)
    return figure


def _cut(luma: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The square around the face."""
    left, top, width, height = box
    half = (0.5 + MARGIN) * max(width, height)
    x, y = left + width / 2, top + height / 2
    rows = slice(max(0, round(y - half)), round(y + half))
    return luma[rows, max(0, round(x - half)) : round(x + half)].copy()


def _draw_signals(axes: Axes, steps: list[Step]) -> None:
    t = [step.signals.t for step in steps]
    kinds = dict(zip(steps[0].signals.kinds, COLOURS, strict=False))
    for kind, colour in kinds.items():
        axes.plot(t, [step.signals.kinds[kind].signal for step in steps], color=colour, linewidth=1.6, label=kind)
    for transition in (each for step in steps for each in step.transitions):
        marker, _ = MARKS[transition.phase]
        axes.plot(transition.t, 1.1, marker, color=kinds[transition.kind], markersize=9)
    for marker, phase in MARKS.values():
        axes.plot([], [], marker, color="#444444", label=f"alert: {phase}")
    axes.set(ylim=(-0.02, 1.2), yticks=(0.0, 0.5, 1.0), ylabel="signal", xlim=(0, t[-1]))
    axes.tick_params(labelbottom=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=len(kinds) + 3, frameon=False, fontsize=9)


def _draw_states(axes: Axes, steps: list[Step]) -> None:
    pairs = zip([None, *steps], steps, strict=False)
    changes = [step for before, step in pairs if before is None or before.state is not step.state]
    ends = [*(step.signals.t for step in changes[1:]), steps[-1].signals.t]
    for step, end in zip(changes, ends, strict=True):
        start = step.signals.t
        axes.axvspan(start, end, color=STATE_COLOURS.get(step.state, OTHER_STATE), linewidth=0)
        if end - start > 4:
            axes.text((start + end) / 2, 0.5, step.state, ha="center", va="center", fontsize=9, color="black")
    axes.set(yticks=(), ylim=(0, 1), xlabel="seconds of the clip")
    axes.set_ylabel("state", rotation=0, ha="right", va="center")


def main() -> None:
    """Parse the command line, play, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="where the picture goes, .jpg or .png")
    arguments = parser.parse_args()
    draw(*play(), arguments.path)


if __name__ == "__main__":
    main()
