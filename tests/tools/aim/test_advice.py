"""What is said of where the camera is: each fault has its remedy, and a good place is called good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.config import Config
from edge.domain import Face, Quality, Sight
from edge.tools.aim.advice import Measure, judge
from edge.tools.aim.drawing import draw
from edge.tools.aim.look import Look, Rect, Uprightness

GOOD = Quality(brightness=0.5, sharpness=0.2, size_px=120.0, yaw=0.0, pitch=0.0, roll=0.0, weight=1.0)


def face_at(x: float, y: float, size: float = 120.0) -> Face:
    around = np.array([[-0.2, -0.2], [0.2, -0.2], [0.0, 0.0], [-0.15, 0.2], [0.15, 0.2]], np.float32)
    points = np.array([x, y], np.float32) + size * around
    return Face((x - size / 2, y - size / 2, size, size), points, 0.97)


def look(x: float = 320, y: float = 240, *, seat: Rect = (0, 0, 640, 480), **quality: float) -> Look:
    size = quality.get("size_px", 120.0)
    return Look(
        0.0,
        (480, 640),
        seat,
        Sight.FACE,
        face_at(x, y, size),
        replace(GOOD, **quality),
        0,
    )


def advice(of: Look, config: Config | None = None) -> dict[str, str]:
    return {one.name: one.advice for one in judge(of, config or Config()) if not one.good}


def test_a_face_in_the_middle_that_can_be_read_needs_no_advice() -> None:
    measures = judge(look(), Config())
    assert [one.name for one in measures] == ["seat", "size", "brightness", "sharpness", "tilt", "facing"]
    assert all(one.good for one in measures)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (30, 240, "turn it to its left by about 25 degrees"),
        (610, 240, "turn it to its right by about 25 degrees"),
        (320, 30, "tilt it up by about 20 degrees"),
        (320, 450, "tilt it down by about 20 degrees"),
        (30, 30, "turn it to its left by about 25 degrees and tilt it up by about 20 degrees"),
    ],
)
def test_a_face_at_the_edge_says_where_to_turn(x: float, y: float, said: str) -> None:
    assert advice(look(x, y)) == {"seat": f"{said}, or set camera.seat"}


def test_a_face_beside_the_seat_region_is_told_though_it_is_well_in_the_picture() -> None:
    assert advice(look(200, 240, seat=(320, 0, 640, 480)))["seat"].startswith("turn it to its left")


def test_a_small_face_says_how_much_closer() -> None:
    assert "closer, to 50% of its distance" in advice(look(size_px=22.0))["size"]


def test_a_face_that_fills_the_seat_region_says_to_go_back() -> None:
    assert "back" in advice(look(size_px=400.0))["size"]


@pytest.mark.parametrize(
    ("quality", "name", "said"),
    [
        ({"brightness": 0.05}, "brightness", "light the face"),
        ({"brightness": 0.99}, "brightness", "shade"),
        ({"sharpness": 0.06}, "sharpness", "focus"),
        ({"roll": 22.0}, "tilt", "roll the camera clockwise by about 20 degrees"),
        ({"roll": -40.0}, "tilt", "roll the camera counter-clockwise by about 40 degrees"),
        ({"yaw": 60.0}, "facing", "move the camera to its right"),
        ({"yaw": -60.0, "pitch": 55.0}, "facing", "move the camera to its left and lower"),
        ({"pitch": -55.0}, "facing", "move the camera higher"),
    ],
)
def test_each_fault_has_its_remedy(quality: dict[str, Any], name: str, said: str) -> None:
    found = advice(look(**quality))
    assert list(found) == [name]
    assert said in found[name]


def test_the_configured_limits_are_the_ones_that_count() -> None:
    config = Config.model_validate({"quality": {"good_size_px": 200, "good_turn_deg": 20}})
    assert set(advice(look(yaw=25.0), config)) == {"size", "facing"}
    assert advice(look(yaw=25.0)) == {}


@pytest.mark.parametrize(
    ("sight", "said"),
    [(Sight.NO_FACE, "point the camera"), (Sight.DARK, "light"), (Sight.COVERED, "lens"), (Sight.OVEREXPOSED, "shade")],
)
def test_without_a_face_the_reason_is_said(sight: Sight, said: str) -> None:
    (measure,) = judge(Look(0.0, (480, 640), (0, 0, 640, 480), sight, turn_deg=0), Config())
    assert said in measure.advice


@pytest.mark.parametrize(("rotated", "turn", "wanted"), [(0, 180, 180), (90, 180, 270), (270, 180, 90), (180, 270, 90)])
def test_a_turned_picture_says_the_rotation_to_configure(rotated: int, turn: int, wanted: int) -> None:
    config = Config.model_validate({"camera": {"rotate_deg": rotated}})
    measures = judge(replace(look(), turn_deg=turn), config)
    assert [one.advice for one in measures] == [f"rotate the picture by {turn}: set camera.rotate_deg = {wanted}"]


def test_nothing_is_good_before_it_is_known_which_way_is_up() -> None:
    assert [one.good for one in judge(replace(look(), turn_deg=None), Config())] == [False]


def turned(rows: list[dict[int, float]]) -> list[int | None]:
    uprightness = Uprightness()
    return [uprightness.update(i * 0.25, scores) for i, scores in enumerate(rows)]


def scores(**by_turn: float) -> dict[int, float]:
    return {turn: by_turn.get(f"at_{turn}", 0.0) for turn in (0, 90, 180, 270)}


def test_the_way_up_is_unknown_for_a_second_and_then_the_surest() -> None:
    assert turned([scores(at_0=0.85, at_180=0.97)] * 6) == [None] * 4 + [180] * 2
    assert turned([scores(at_0=0.97, at_180=0.85)] * 6) == [None] * 4 + [0] * 2


def test_a_chance_find_in_a_turned_picture_turns_nothing() -> None:
    rows: list[dict[int, float]] = [scores()] * 8
    rows[5] = scores(at_90=0.8)
    assert set(turned(rows)[4:]) == {0}


def test_a_narrow_lead_turns_nothing() -> None:
    assert turned([scores(at_0=0.95, at_180=0.96)] * 6)[-1] == 0


def test_the_drawing_shows_region_box_and_points_where_they_are() -> None:
    drawn = draw(look(320, 240, seat=(160, 0, 640, 480)), 64)
    assert [len(line) for line in drawn] == [64] * 24
    assert drawn[0] == " " * 16 + "." * 48
    box_rows = [row for row, line in enumerate(drawn) if "#" in line]
    assert (box_rows[0], box_rows[-1]) == (9, 14)
    assert drawn[9].index("#") == 26
    assert drawn[12][32] == "^"
    assert sum(line.count("o") for line in drawn) == 2
    assert sum(line.count("-") for line in drawn) == 2


@pytest.mark.parametrize(("x", "y"), [(-500.0, -500.0), (5.0, 475.0), (2000.0, 240.0)])
def test_a_face_beyond_the_picture_is_drawn_as_far_as_it_goes(x: float, y: float) -> None:
    drawn = draw(look(x, y), 40)
    assert {len(line) for line in drawn} == {40}


def test_a_measure_without_advice_is_good() -> None:
    known: dict[str, Any] = {"name": "size", "value": "120 px"}
    assert Measure(**known).good
    assert not Measure(**known, advice="move").good
