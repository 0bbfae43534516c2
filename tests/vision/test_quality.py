"""How pictures and faces are judged, on pictures made by code."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import QualityConfig
from edge.domain import Face, ReasonCode, Sight
from edge.vision.quality import assess, fault, picture_fault, pose, sharpness

CONFIG = QualityConfig()
CABIN = Path(__file__).parents[3] / "shared" / "data" / "cabin"

Luma = NDArray[np.uint8]


def draw_face(size: int = 160) -> tuple[Luma, Face]:
    """A drawn face of ``size`` pixels in the middle of a grey gradient twice as wide, and where it is."""
    side = 8 * 2 * size
    picture = np.tile(np.linspace(60, 120, side, dtype=np.uint8), (side, 1))
    u = side / 2.0

    def at(x: float, y: float) -> tuple[int, int]:
        return round(u + x * u), round(u + y * u)

    cv2.ellipse(picture, at(0, 0), (round(0.40 * u), round(0.5 * u)), 0, 0, 360, 150, -1)
    for x in (-0.17, 0.17):
        cv2.ellipse(picture, at(x, -0.12), (round(0.07 * u), round(0.035 * u)), 0, 0, 360, 235, -1)
        cv2.circle(picture, at(x, -0.12), round(0.03 * u), 30, -1)
        cv2.ellipse(picture, at(x, -0.2), (round(0.09 * u), round(0.04 * u)), 0, 200, 340, 50, round(0.02 * u))
    cv2.line(picture, at(0, -0.1), at(0.02, 0.08), 110, round(0.015 * u))
    cv2.ellipse(picture, at(0, 0.24), (round(0.13 * u), round(0.03 * u)), 0, 0, 360, 60, -1)
    points = np.array([(-0.17, -0.12), (0.17, -0.12), (0.0, 0.087), (-0.13, 0.24), (0.13, 0.24)], np.float32)
    luma = np.asarray(cv2.resize(picture, (2 * size, 2 * size), interpolation=cv2.INTER_AREA), np.uint8)
    return luma, Face((size / 2, size / 2, size, size), size + points * size, 0.9)


def blurred(luma: Luma, sigma_px: float) -> Luma:
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma_px), np.uint8)


def scaled(luma: Luma, gain: float, offset: float = 0.0) -> Luma:
    return np.asarray(np.clip(luma * gain + offset, 0, 255), np.uint8)


def head(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> NDArray[np.float32]:
    """The five points of an average head (see quality.py), turned and seen from afar."""
    # the nose's level is that of a head seen straight on
    model = np.array([(-0.5, 0, 0), (0.5, 0, 0), (0, 0.576 * 1.08, -0.585), (-0.4, 1.08, 0), (0.4, 1.08, 0)])
    yaw, pitch, roll = np.radians((yaw_deg, pitch_deg, roll_deg))
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray((model @ (tilt @ nod @ turn).T)[:, :2] * 60 + 200, np.float32)


class TestPicture:
    def test_a_lit_scene_has_no_fault(self) -> None:
        assert picture_fault(draw_face()[0], CONFIG) is None

    @pytest.mark.parametrize(
        ("gain", "offset", "sight"),
        [(0.03, 0.0, Sight.DARK), (1.0, 200.0, Sight.OVEREXPOSED), (0.02, 90.0, Sight.COVERED)],
    )
    def test_black_white_and_flat_pictures_are_told_apart(self, gain: float, offset: float, sight: Sight) -> None:
        assert picture_fault(scaled(draw_face()[0], gain, offset), CONFIG) is sight

    def test_a_face_lit_from_one_side_at_night_is_no_fault(self) -> None:
        luma, _ = draw_face()
        shade = np.linspace(0.9, 0.0, luma.shape[1]) ** 3
        assert picture_fault((luma * shade).astype(np.uint8), CONFIG) is None

    @pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (6000, 8000)])
    def test_any_size_is_judged(self, shape: tuple[int, int]) -> None:
        assert picture_fault(np.zeros(shape, np.uint8), CONFIG) is Sight.DARK

    def test_an_empty_picture_is_none(self) -> None:
        assert picture_fault(np.zeros((0, 10), np.uint8), CONFIG) is Sight.NO_PICTURE

    def test_only_some_of_the_rows_are_looked_at(self) -> None:
        luma = np.zeros((3200, 64), np.uint8)
        luma[::100] = draw_face(32)[0][::2]
        assert picture_fault(luma, CONFIG) is None

    def test_a_part_of_a_picture_and_one_with_a_row_stride_are_judged_where_they_lie(self) -> None:
        luma = np.zeros((320, 384), np.uint8)
        luma[:, 32:352] = draw_face()[0]
        assert picture_fault(luma[:, 32:352], CONFIG) is None
        assert picture_fault(luma[:, 352:], CONFIG) is Sight.DARK


class TestWeight:
    def test_a_sharp_frontal_face_counts_fully(self) -> None:
        quality = assess(*draw_face(), CONFIG)
        assert quality.weight == 1.0
        assert quality.size_px == pytest.approx(160.0)

    def test_blur_takes_the_weight_away(self) -> None:
        luma, face = draw_face()
        weights = [assess(blurred(luma, sigma), face, CONFIG).weight for sigma in (1.0, 8.0, 16.0)]
        assert weights[0] == 1.0
        assert weights[1] < 0.5
        assert weights[2] < 0.05

    def test_darkness_takes_the_weight_away(self) -> None:
        luma, face = draw_face()
        weights = [assess(scaled(luma, gain), face, CONFIG).weight for gain in (0.4, 0.15, 0.05)]
        assert weights[0] == 1.0
        assert 0.1 < weights[1] < 0.9
        assert weights[2] == 0.0

    def test_overexposure_takes_the_weight_away(self) -> None:
        luma, face = draw_face()
        assert assess(scaled(luma, 0.1, 240.0), face, CONFIG).weight < 0.5

    def test_a_turned_head_loses_weight_only_beyond_what_a_mirror_camera_sees(self) -> None:
        luma, face = draw_face()
        weights = [assess(luma, Face(face.box, head(yaw), 0.9), CONFIG).weight for yaw in (40.0, -65.0, 80.0)]
        assert weights[0] == 1.0
        assert 0.2 < weights[1] < 0.8
        assert weights[2] == 0.0

    def test_an_unsure_detector_lowers_the_weight(self) -> None:
        luma, face = draw_face()
        assert assess(luma, Face(face.box, face.points, 0.35), CONFIG).weight == pytest.approx(0.5)

    @pytest.mark.parametrize("size", [15, 30])
    def test_a_small_face_counts_less(self, size: int) -> None:
        assert assess(*draw_face(size), CONFIG).weight < 0.5

    @pytest.mark.parametrize("box", [(-500.0, 0.0, 90.0, 90.0), (10.0, 10.0, 0.0, 0.0), (9e5, 9e5, 10.0, 10.0)])
    def test_a_face_outside_the_picture_counts_nothing(self, box: tuple[float, float, float, float]) -> None:
        luma, face = draw_face()
        assert assess(luma, Face(box, face.points, 0.9), CONFIG).weight == 0.0

    def test_a_face_partly_outside_is_judged_by_what_is_inside(self) -> None:
        luma, face = draw_face()
        assert assess(luma[:, 100:], Face((-20.0, 80.0, 160.0, 160.0), face.points, 0.9), CONFIG).weight > 0.5

    @pytest.mark.parametrize(
        ("gain", "sigma", "words"), [(0.05, 0.0, ReasonCode.FACE_DARK), (1.0, 16.0, ReasonCode.FACE_BLURRED)]
    )
    def test_the_worst_measure_is_named(self, gain: float, sigma: float, words: ReasonCode) -> None:
        luma, face = draw_face()
        luma = scaled(blurred(luma, sigma) if sigma else luma, gain)
        assert fault(assess(luma, face, CONFIG), face.score, CONFIG) == words


class TestSharpness:
    def test_does_not_depend_on_the_size_of_the_face(self) -> None:
        values = [assess(*draw_face(size), CONFIG).sharpness for size in (64, 120, 240, 400)]
        assert max(values) < 1.2 * min(values)

    def test_does_not_depend_on_contrast_and_exposure(self) -> None:
        luma, face = draw_face()
        values = [
            assess(scaled(luma, *change), face, CONFIG).sharpness for change in ((1.0, 0.0), (0.3, 20.0), (0.8, 40.0))
        ]
        assert max(values) < 1.1 * min(values)

    def test_a_flat_patch_has_none(self) -> None:
        assert sharpness(np.full((48, 48), 90, np.uint8)) == 0.0


class TestPose:
    @pytest.mark.parametrize("angle", [-50.0, -20.0, 0.0, 35.0, 60.0])
    def test_yaw_of_an_average_head_is_found(self, angle: float) -> None:
        assert pose(head(yaw_deg=angle))[0] == pytest.approx(angle, abs=1.0)

    @pytest.mark.parametrize("angle", [-25.0, 0.0, 25.0])
    def test_pitch_of_an_average_head_is_found(self, angle: float) -> None:
        assert pose(head(pitch_deg=angle))[1] == pytest.approx(angle, abs=1.0)

    @pytest.mark.parametrize("angle", [-30.0, 0.0, 45.0])
    def test_roll_is_that_of_the_eyes_and_leaves_the_others_alone(self, angle: float) -> None:
        yaw, pitch, roll = pose(head(yaw_deg=20.0, roll_deg=angle))
        assert roll == pytest.approx(angle, abs=0.1)
        assert yaw == pytest.approx(20.0, abs=1.0)
        assert pitch == pytest.approx(0.0, abs=1.0)

    def test_points_that_coincide_give_no_turn(self) -> None:
        assert pose(np.zeros((5, 2), np.float32)) == (0.0, 0.0, 0.0)


@pytest.mark.skipif(not CABIN.is_dir(), reason="the cabin frames are not on this machine")
def test_calm_drivers_with_side_light_count_and_their_blurred_or_darkened_pictures_do_not() -> None:
    with (CABIN / "frames.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["yawn"] == "0"]
    plain, blur, dark = [], [], []
    for row in rows[::12]:
        luma = np.asarray(cv2.imread(str(CABIN.parent / row["file"]), cv2.IMREAD_GRAYSCALE), np.uint8)
        names = ("eye_r", "eye_l", "nose", "mouth_r", "mouth_l")
        points = np.array([(float(row[f"{name}_x"]), float(row[f"{name}_y"])) for name in names], np.float32)
        box = (float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"]))
        face = Face(box, points, float(row["score"]))
        assert picture_fault(luma, CONFIG) is None
        size = float(np.sqrt(box[2] * box[3]))
        plain.append(assess(luma, face, CONFIG).weight)
        blur.append(assess(blurred(luma, 0.05 * size), face, CONFIG).weight)
        dark.append(assess(scaled(luma, 0.1), face, CONFIG).weight)
    assert np.mean(np.array(plain) > 0.9) > 0.9
    assert np.median(blur) < 0.25
    assert np.median(dark) < 0.1
