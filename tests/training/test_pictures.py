"""Pictures that explain: what the demo's clip comes to, and what corruption costs, drawn from what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    NO_REASON,
    Judged,
    Level,
    Observation,
    Phase,
    Reading,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)
from edge.tools.demo.story import read_story
from models.training import demo_figure, robustness

ROBUSTNESS = Path(__file__).parents[2] / "models" / "figures" / "robustness.json"


def shown(name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([each == name for each in EXPRESSIONS], np.float32)


def step(t: float, state: State, anger: float = 0.0, phase: Phase | None = None, read: str = "neutral") -> Step:
    kinds = {"anger": Judged(anger), "distress": Judged(0.0)}
    moments = () if phase is None else (Transition(t, "anger", phase, Level.WARNING, 1, t, anger, anger, "anger"),)
    seen = Observation(t, Sight.FACE, readings={EXPRESSION: Reading.expression(shown("happiness"))})
    return Step(seen, Signals(t, kinds, 1.0, shown(read)), state, NO_REASON, moments)


STEPS = [
    step(0.0, State.UNCERTAIN),
    step(5.0, State.CALM),
    step(10.0, State.WARNING, 0.9, Phase.START, "anger"),
    step(20.0, State.CALM, 0.1, Phase.END, "surprise"),
    step(30.0, State.CALM),
]
FACE = np.zeros((8, 8), np.uint8)


def test_the_caption_tells_what_is_drawn_and_what_is_read_of_it() -> None:
    moment = demo_figure.Moment(FACE, "yawn", STEPS[3])
    assert moment.caption == "20.0 s, drawn: yawn\nread: surprise; calm"


def test_the_figure_shows_each_moment_signal_alert_and_state() -> None:
    moments = [demo_figure.Moment(FACE, name, STEPS[n]) for name, n in (("anger", 2), ("yawn", 3))]
    *faces, above, below = demo_figure.compose(STEPS, moments).axes
    assert [axes.get_title() for axes in faces] == [moment.caption for moment in moments]
    curves = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in above.lines}
    assert curves["anger"] == [0.0, 0.0, 0.9, 0.1, 0.0]
    assert curves["distress"] == [0.0] * 5
    points = [line for line in above.lines if len(np.asarray(line.get_xdata())) == 1]
    marks = {(line.get_marker(), float(np.asarray(line.get_xdata())[0])) for line in points}
    start, end = demo_figure.MARKS[Phase.START][0], demo_figure.MARKS[Phase.END][0]
    assert marks == {(start, 10.0), (end, 20.0)}
    assert [text.get_text() for text in below.texts] == ["uncertain", "calm", "warning", "calm"]
    assert len(below.patches) == 4


def test_the_clip_is_shown_at_each_look_that_it_draws() -> None:
    steps, moments = demo_figure.play()
    looks = {look.name: look for look in reversed(read_story())}
    assert [moment.drawn for moment in moments] == ["neutral", "anger", "sadness", "yawn", "sleep"]
    assert all(looks[moment.drawn].is_whole_at(moment.step.signals.t) for moment in moments)
    assert steps[-1].signals.t == pytest.approx(86.0, abs=0.2)
    assert "read: anger; " in moments[1].caption


def robustness_main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(robustness, "read_trial", measured)
    monkeypatch.setattr(sys, "argv", ["robustness", *map(str, arguments)])
    robustness.main()


def test_the_robustness_figure_is_drawn_again_from_its_figures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = json.loads(ROBUSTNESS.read_text())
    worse = json.loads(ROBUSTNESS.read_text())
    condition = robustness.conditions()[-1].name
    for model in worse["conditions"][condition].values():
        model["accuracy_a"] -= 0.3
    pictures = []
    for number, figures in enumerate((kept, kept, worse)):
        (tmp_path / f"{number}.json").write_text(json.dumps(figures))
        robustness_main(monkeypatch, "--drawn-from", tmp_path / f"{number}.json", "--plot", tmp_path / f"{number}.png")
        pictures.append((tmp_path / f"{number}.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_the_robustness_figure_shows_the_points_that_each_model_loses() -> None:
    figures = json.loads(ROBUSTNESS.read_text())["conditions"]
    figure = robustness.compose(figures)
    (axes,) = figure.axes
    rows = [each.name for each in robustness.conditions() if each.name != robustness.CLEAN]
    assert [label.get_text() for label in axes.get_yticklabels()] == rows
    lines = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in axes.lines}
    for model, untouched in figures[robustness.CLEAN].items():
        lost = [100 * (untouched["accuracy_a"] - figures[name][model]["accuracy_a"]) for name in rows]
        assert lines[model] == pytest.approx(lost)


def test_a_robustness_figure_without_a_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        robustness_main(monkeypatch, "--drawn-from", ROBUSTNESS)
    assert caught.value.code == 2
    assert "--drawn-from needs --plot" in capsys.readouterr().err


def test_figures_that_are_not_there_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"no\.json: no such file"):
        robustness_main(monkeypatch, "--drawn-from", tmp_path / "no.json", "--plot", tmp_path / "x.png")
