"""What the measuring commands make of figures, corruptions and groups."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training import fairness, familiarity, resampled, robustness
from models.training.contact_sheet import ranges
from models.training.expression_data import SIDE
from models.training.expression_readers import OURS, TWIN, require_twins
from models.training.expression_trial import Trial, read_trial
from models.training.scoreboard import Row, Want, percent
from models.training.sources import TILE_PX


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Four faces of a split called test, in the layout of the data, and no drivers."""
    (tmp_path / "expressions").mkdir()
    tiles = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    cv2.imwrite(str(tmp_path / "expressions/test.png"), tiles)
    np.savez(tmp_path / "expressions/votes.npz", test=np.eye(10, dtype=np.uint8)[:4] * 10, names=np.array(["neutral"]))
    return tmp_path


def refusal(root: Path, split: str = "test") -> str:
    with pytest.raises(SystemExit) as caught:
        read_trial(root, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_data_without_drivers_are_measured_on_faces_alone(layout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = read_trial(layout, "test")
    assert (trial.crops.shape, trial.votes.shape) == ((4, SIDE, SIDE), (4, 10))
    assert not trial.has_drivers
    assert "cabin/frames.csv: not there" in capsys.readouterr().out


def test_missing_data_are_named(layout: Path, tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "no votes for split 'valid'; it has test" in refusal(layout, "valid")
    (layout / "expressions/test.png").unlink()
    assert "test.png" in refusal(layout)
    (layout / "expressions/votes.npz").unlink()
    assert "votes.npz: no such file" in refusal(layout)


def test_fewer_tiles_than_votes_are_refused(layout: Path) -> None:
    np.savez(layout / "expressions/votes.npz", test=np.zeros((9, 10), np.uint8))
    assert "holds 4 tiles for 9 rows of votes" in refusal(layout)


@pytest.mark.parametrize(
    ("want", "value", "verdict"),
    [
        (Want(0.85, at_least=True, floor=0.84), 0.86, "yes"),
        (Want(0.85, at_least=True, floor=0.84), 0.845, "no"),
        (Want(0.85, at_least=True, floor=0.84), 0.83, "below the floor"),
        (Want(0.02, at_least=False), 0.02, "yes"),
        (Want(0.02, at_least=False), 0.021, "no"),
    ],
)
def test_a_figure_is_held_against_what_is_wanted(want: Want, value: float, verdict: str) -> None:
    assert percent("x", "x", want).verdict(value) == verdict


def test_what_was_not_measured_is_a_dash_and_no_verdict() -> None:
    row = Row("x", "x", want=Want(1.0, at_least=True))
    assert (row.text(None), row.verdict(None)) == ("-", "")


def test_another_model_s_float_is_not_taken_for_the_twin() -> None:
    mine = np.eye(9, dtype=np.float32)
    require_twins({OURS: mine, TWIN: mine})
    with pytest.raises(SystemExit, match="another model's float"):
        require_twins({OURS: mine, TWIN: mine[::-1]})


def test_every_condition_gives_crops_and_the_same_ones_again() -> None:
    crops = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    names = set()
    for condition in robustness.conditions():
        changed = robustness.corrupt(condition, crops)
        assert (changed.shape, changed.dtype) == (crops.shape, np.uint8)
        assert (changed == robustness.corrupt(condition, crops)).all()
        assert (changed == crops).all() == (condition.name == robustness.CLEAN), condition.name
        names.add(condition.name)
    assert len(names) == len(robustness.conditions())


def test_a_roll_turns_to_either_side_and_more_turns_more() -> None:
    crop = np.zeros((40, SIDE, SIDE), np.uint8)
    crop[:, 10:14, :] = 255
    ten, thirty = (c for c in robustness.conditions() if c.name in ("roll 10°", "roll 30°"))
    left = robustness.corrupt(thirty, crop)[:, : SIDE // 2, : SIDE // 2].mean((1, 2))
    assert len(np.unique(left.round())) >= 2
    assert (
        np.abs(robustness.corrupt(ten, crop) - crop.astype(float)).mean()
        < np.abs(robustness.corrupt(thirty, crop) - crop.astype(float)).mean()
    )


def test_wilson_s_interval_is_that_of_the_books() -> None:
    assert fairness.Share(8, 10).interval() == pytest.approx((0.490, 0.943), abs=0.001)
    assert fairness.Share(0, 100).interval() == pytest.approx((0.0, 0.037), abs=0.001)
    assert fairness.Share(0, 0).interval() == (0.0, 1.0)


def test_nothing_is_said_of_a_group_of_few() -> None:
    assert fairness.Share(3, fairness.FEW - 1).text() == "too few (19)"
    assert fairness.Share(10, 20).text() == "50.0 (29.9 to 70.1; 20)"


def test_faces_without_points_are_a_group_of_their_own() -> None:
    grouping = fairness.bands(np.array([3.0, 15.0, 40.0, np.nan]), (15, 30), "°")
    assert grouping.group.tolist() == ["below 15°", "15 to 30°", "above 30°", "points not found"]


def own(tmp_path: Path, text: str) -> tuple[bool, fairness.Groups]:
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding="utf-8")
    crops = np.zeros((3, SIDE, SIDE), np.uint8)
    drivers = [{"file": "a.jpg", "driver_group": "1"}, {"file": "b.jpg", "driver_group": "2"}]
    trial = Trial("valid", crops, np.zeros((3, 10), np.float32), crops[:2], np.zeros(2, bool), drivers)
    of_drivers, groups = fairness.own_groups(path, trial)
    return bool(of_drivers), groups


def test_a_user_s_groups_are_of_faces_or_of_drivers_by_their_key(tmp_path: Path) -> None:
    of_drivers, groups = own(tmp_path, "face,skin\n0,dark\n2,light\n")
    assert (of_drivers, groups["skin"].group.tolist()) == (False, ["dark", "", "light"])
    of_drivers, groups = own(tmp_path, "driver_group,hat,beard\n2,cap,none\n")
    assert of_drivers
    assert (groups["hat"].group.tolist(), groups["beard"].group.tolist()) == (["", "cap"], ["", "none"])
    assert [(name, group) for name, group, _ in fairness.split_up(groups)] == [("hat", "cap"), ("beard", "none")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skin\ndark\n", "expected a column face"),
        ("face\n0\n", "one for each grouping"),
        ("file,hat\nz.jpg,cap\n", "none of"),
    ],
)
def test_groups_that_cannot_be_used_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        own(tmp_path, text)


def test_remarks_on_frames_in_a_row_are_one_line() -> None:
    remarks = [(4, "no face"), (5, "no face"), (6, "jumps 0.50 sizes"), (9, "no face")]
    assert ranges(remarks) == ["4 to 5: no face", "6: jumps 0.50 sizes", "9: no face"]


@pytest.mark.parametrize("way", sorted(resampled.WAYS))
def test_every_way_to_the_crop_shows_the_same_part_of_a_tile(way: str) -> None:
    y, x = np.mgrid[:TILE_PX, :TILE_PX].astype(np.float32)
    tile = (60 + 1.5 * x + y).astype(np.uint8)
    crop = resampled.WAYS[way](tile)
    wanted = resampled.by_area(tile)
    assert crop.shape == (SIDE, SIDE)
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(crop[inner].astype(int) - wanted[inner]).max() <= 2


@pytest.mark.parametrize("name", sorted(familiarity.UNLIKE))
def test_what_is_unlike_a_face_is_a_crop_and_so_in_every_run(name: str) -> None:
    crop = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    before = crop.copy()
    changed, again = (familiarity.UNLIKE[name](crop) for _ in range(2))
    assert (changed.shape, changed.dtype) == (crop.shape, np.uint8)
    assert (changed == again).all()
    assert (crop == before).all()
    assert (changed == crop).all() == (name == "as they are")


def test_the_table_of_unfamiliar_faces_tells_each_source_and_the_alarms() -> None:
    found = {
        "as they are": {"raf": 0.98, "affect": 0.9, "alarms": 0.97, "n_alarms": 120.0},
        "noise": {"raf": 0.1, "affect": 0.2, "n_alarms": 0.0},
    }
    header, rows = familiarity.lines_of(found)
    assert len(header) == 4
    assert rows == [["as they are", "90 %", "98 %", "97 % of 120"], ["noise", "20 %", "10 %", "none"]]
