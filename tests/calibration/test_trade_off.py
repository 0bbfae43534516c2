"""The picture of ways against each other: points that are kept, fronts, and a page that says what was measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from calibration import trade_off
from calibration.faces import LOOKS
from calibration.plots import trade_off as figure_of
from calibration.points import Point, PointsFile, front
from calibration.ways import SETS, SHIPPED, Way, mistaken, run_way, ways
from edge.config import Config
from edge.domain import EXPRESSIONS
from edge.tuning.batch import Batch, make_batch
from edge.tuning.score import Episode, Score

GOOD, SLOW, WORSE = Point("a", 1.0, 2.0, 1.0, 1.0), Point("b", 0.9, 0.5, 3.0, 2.0), Point("c", 0.8, 0.5, 4.0, 3.0)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two drives of a minute: twice anger for ten seconds, else a calm face."""
    times = [np.arange(0.0, 60.0, 0.1)] * 2
    read = np.full((2, 600), 0.02)
    read[0, 300:400] = 0.9
    episodes = [Episode(drive, "anger", 30.0, 40.0) for drive in (0, 1)]
    return make_batch(("anger", "distress"), times, [np.ones(600)] * 2, [read, read.copy()], episodes)


@pytest.fixture
def answers(batch: Batch) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The model's answers (T, D, 9) to the batch's moments."""
    out = np.zeros((*batch.t.shape, len(EXPRESSIONS)), np.float32)
    out[..., EXPRESSIONS.index("anger")] = batch.read[0]
    out[..., 0] = 1.0 - batch.read[0]
    return out


def test_a_front_holds_what_nothing_betters_the_quickest_first() -> None:
    assert front([WORSE, SLOW, GOOD]) == [GOOD, SLOW]


def test_points_are_made_once_and_a_line_that_a_kill_cut_off_is_made_anew(tmp_path: Path) -> None:
    path, made = tmp_path / "points" / "x.jsonl", []

    def make(name: str) -> Iterator[Point]:
        made.append(name)
        yield GOOD

    for name in ("one", "two", "one"):
        assert PointsFile(path).of(name, partial(make, name)) == [GOOD]
    assert made == ["one", "two"]
    path.write_text(path.read_text()[:-20])
    assert PointsFile(path).of("two", lambda: [SLOW]) == [SLOW]
    assert PointsFile(path).of("one", lambda: [SLOW]) == [GOOD]


def test_every_way_finds_plain_anger_with_some_of_its_thresholds(
    batch: Batch, answers: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    matrix = np.full((9, 9), 0.02) + 0.82 * np.eye(9)
    tried = list(ways(batch, answers, matrix, Config()))
    assert tried[0].family == SHIPPED
    sets: dict[str, int] = {}
    for way in tried:
        sets[way.family] = sets.get(way.family, 0) + len(way.levels) * len(way.holds)
    assert sets == dict.fromkeys(sets, SETS), "no way is searched more than another"
    best: dict[str, float] = {}
    for way in tried:
        few = Way(way.family, way.setting, way.evidence, way.levels[:2], way.holds[:2], way.base)
        rules = list(run_way(few, batch))
        assert len(rules) == len(few.levels) * len(few.holds)
        best[way.family] = max(best.get(way.family, 0.0), *(rule.score.recall for rule in rules))
    assert best == dict.fromkeys(best, 1.0)


def test_what_is_kept_is_made_anew_where_drives_or_settings_differ(
    batch: Batch, answers: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    from calibration.workshop import Drives  # noqa: PLC0415 - it takes a second to load

    drives, config = Drives([], list(batch.episodes), batch, answers), Config()
    same = trade_off.fingerprint(drives, drives, config)
    assert trade_off.fingerprint(drives, drives, Config()) == same
    other = Config.model_validate({"alerts": {"anger": {"hold_s": 30.0}}})
    assert trade_off.fingerprint(drives, drives, other) != same
    changed = Drives([], list(batch.episodes), batch, answers + np.float32(0.01))
    assert trade_off.fingerprint(drives, changed, config) != same


def test_the_figure_has_a_staircase_for_each_way_and_a_star_for_each_sensitivity() -> None:
    figure = figure_of({"ours": [GOOD, SLOW, WORSE]}, {"normal": GOOD, "low": SLOW}, 10.0, "title")
    (axes,) = figure.axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert np.asarray(lines["ours"].get_xdata()).tolist() == [1.0, 3.0]
    assert lines["ours"].get_drawstyle() == "steps-post"
    assert {text.get_text() for text in axes.texts} == {"normal", "low"}
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert [np.asarray(line.get_xydata()).tolist() for line in stars] == [[[1.0, 2.0]], [[3.0, 0.5]]]


def test_what_never_alarms_is_drawn_where_it_cannot_be_told_from_one_in_twice_the_hours() -> None:
    never = Point("a", 1.0, 0.0, 1.0, 1.0)
    (axes,) = figure_of({"ours": [never]}, {}, 5.0, "title").axes
    line = next(line for line in axes.lines if line.get_label() == "ours")
    assert np.asarray(line.get_ydata()).tolist() == [0.1]


def figures(way: str = "ours") -> dict[str, object]:
    within = {"2": asdict(GOOD), "0.5": None}
    return {
        "model_version": "1.2.3",
        "tuning_drives": 8,
        "plain_drives": 2,
        "drives": 4,
        "hours": 0.7,
        "ways": {way: {"points": [asdict(GOOD), asdict(SLOW)], "within": within}},
        "shipped": {"normal": asdict(SLOW)},
    }


def test_a_picture_is_drawn_again_from_its_figures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(trade_off, "Workshop", measured)
    pictures = []
    for number, found in enumerate((figures(), figures(), figures("theirs"))):
        kept, picture = tmp_path / f"{number}.json", tmp_path / f"{number}.png"
        kept.write_text(json.dumps(found))
        monkeypatch.setattr(sys, "argv", ["trade_off", "--drawn-from", str(kept), "--plot", str(picture)])
        trade_off.main()
        pictures.append(picture.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_the_table_says_where_no_thresholds_keep_a_limit() -> None:
    assert "| ours | 100.0 % (none) | 2.00 (none) | 1.00 s (none) |" in trade_off.table(figures())


def test_the_page_shows_the_figures_that_are_kept() -> None:
    kept = json.loads(trade_off.FIGURES.read_text())
    assert trade_off.table(kept) in trade_off.PAGE.read_text(), "run make trade-off-figure"
    assert set(kept["shipped"]) == {"low", "normal", "high"}


def test_a_points_figures_are_those_of_its_score() -> None:
    score = Score(hours=2.0, episodes=4, found=3, false_alarms=1, delays=(1.0, 2.0, 6.0))
    assert Point.of("x", score) == Point("x", 0.75, 0.5, (9.0 + 10.0) / 4, 2.0)


def test_an_expression_that_the_data_lack_is_mistaken_as_its_twin_is() -> None:
    seen = {look: np.zeros((1, len(EXPRESSIONS)), np.float32) for look in LOOKS}
    seen["anger"][..., EXPRESSIONS.index("disgust")] = 1.0
    matrix = mistaken(seen)
    assert (matrix[EXPRESSIONS.index("disgust")] == matrix[EXPRESSIONS.index("anger")]).all()
    assert matrix[EXPRESSIONS.index("anger")].argmax() == EXPRESSIONS.index("disgust")


def test_a_driver_s_own_face_is_taken_from_the_other_ways_signals() -> None:
    """A face that always reads 0.4 of anger is no news to them, and 0.9 still is."""
    t = np.arange(0.0, 120.0, 0.2)
    read = np.full((2, len(t)), 0.02)
    read[0] = np.where((t > 100.0) & (t < 110.0), 0.9, 0.4)
    batch = make_batch(("anger", "distress"), [t], [np.ones(len(t))], [read], [Episode(0, "anger", 100.0, 110.0)])
    answers = np.zeros((len(t), 1, len(EXPRESSIONS)), np.float32)
    answers[:, 0, EXPRESSIONS.index("anger")], answers[:, 0, 0] = read[0], 1.0 - read[0]
    matrix = np.full((9, 9), 0.02) + 0.82 * np.eye(9)
    tried = {(way.family, way.setting): way for way in ways(batch, answers, matrix, Config())}
    late, shown = (t > 60.0) & (t < 99.0), (t > 103.0) & (t < 110.0)
    for family, setting in (("leaky budget", ""), ("exponential", ", τ 0.5"), ("hidden Markov", ", 0.4 s")):
        plain, own = (
            tried[family, face + setting].evidence().signals[0, :, 0] for face in ("as read", "own face to 0.6")
        )
        assert own[late].mean() < 0.5 * plain[late].mean()
        assert own[shown].mean() > 0.5
