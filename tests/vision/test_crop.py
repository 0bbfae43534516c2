"""The crops that expression and eye model see."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.vision.crop import CropRule, crop_transform, cut_crop, cut_eyes, unit_px

RULE = CropRule(size_px=48, centre_x=0.5, centre_y=0.575, unit=0.376)


def face_points(centre: tuple[float, float], unit: float, turn_deg: float = 0.0) -> NDArray[np.float32]:
    """A frontal face whose eyes are ``unit`` apart and as far from the mouth, around the midpoint of the two."""
    shape = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.0], [-0.35, 0.5], [0.35, 0.5]]) * unit
    turn = np.radians(turn_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(shape @ rotation.T + centre, np.float32)


def place(points: NDArray[np.float32]) -> NDArray[np.float64]:
    matrix = crop_transform(points, RULE)
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


@pytest.mark.parametrize("turn_deg", [-40.0, 0.0, 25.0])
@pytest.mark.parametrize("unit", [8.0, 60.0, 300.0])
def test_eyes_and_mouth_come_to_the_same_place_whatever_size_and_roll(unit: float, turn_deg: float) -> None:
    seen = place(face_points((317.0, 211.0), unit, turn_deg))
    middle = (seen[0] + seen[1] + seen[3] + seen[4]) / 4
    assert middle == pytest.approx([0.5 * 48 - 0.5, 0.575 * 48 - 0.5], abs=1e-3)
    assert seen[1] - seen[0] == pytest.approx([0.376 * 48, 0.0], abs=1e-3)


def test_a_turned_head_is_not_enlarged_though_its_eyes_come_closer() -> None:
    points = face_points((100.0, 100.0), 60.0)
    turned = points.copy()
    turned[:2, 0] = (turned[:2, 0] - 100.0) * 0.5 + 100.0
    assert crop_transform(turned, RULE)[0, 0] == pytest.approx(crop_transform(points, RULE)[0, 0])


@pytest.mark.parametrize("unit", [12.0, 40.0, 170.0])
def test_the_cut_shows_what_the_transform_promises(unit: float) -> None:
    points = face_points((320.0, 240.0), unit)
    luma = np.zeros((480, 640), np.uint8)
    for x, y in points[:2]:
        cv2.circle(luma, (round(float(x)), round(float(y))), max(1, round(unit * 0.12)), 255, -1)
    crop = cut_crop(luma, points, RULE).astype(float)
    for half, eye in ((crop[:, :24], place(points)[0]), (crop[:, 24:], place(points)[1] - [24, 0])):
        rows, columns = np.indices(half.shape)
        found = np.array([(half * columns).sum(), (half * rows).sum()]) / half.sum()
        assert found == pytest.approx(eye, abs=0.6)


def test_fine_stripes_on_a_large_face_average_out_instead_of_aliasing() -> None:
    luma = np.zeros((480, 640), np.uint8)
    luma[:, ::2] = 255
    crop = cut_crop(luma, face_points((320.0, 240.0), 80.0), RULE)
    assert crop.std() < 20


def test_a_face_at_the_picture_s_edge_repeats_the_edge() -> None:
    luma = np.full((100, 100), 77, np.uint8)
    assert (cut_crop(luma, face_points((0.0, 0.0), 40.0), RULE) == 77).all()


def test_coinciding_points_give_a_crop_and_no_error() -> None:
    crop = cut_crop(np.full((60, 80), 9, np.uint8), np.full((5, 2), 30.0, np.float32), RULE)
    assert crop.shape == (48, 48)


def test_a_strided_view_is_cut_like_its_copy() -> None:
    wide = np.random.default_rng(1).integers(0, 256, (200, 400), dtype=np.uint8)
    view = wide[:, :300]
    points = face_points((150.0, 100.0), 50.0)
    assert (cut_crop(view, points, RULE) == cut_crop(view.copy(), points, RULE)).all()


EYE_RULE = CropRule(size_px=32, centre_x=0.5, centre_y=0.5, unit=1.11)


@pytest.mark.parametrize("turn_deg", [-30.0, 0.0, 75.0])
@pytest.mark.parametrize("unit", [20.0, 60.0, 170.0])
def test_each_eye_lies_in_the_middle_of_its_crop(unit: float, turn_deg: float) -> None:
    points = face_points((320.0, 240.0), unit, turn_deg)
    luma = np.zeros((480, 640), np.uint8)
    for x, y in points[:2]:
        cv2.circle(luma, (round(float(x)), round(float(y))), max(1, round(unit * 0.12)), 255, -1)
    for cut in cut_eyes(luma, points, EYE_RULE):
        crop = cut.astype(float)
        rows, columns = np.indices(crop.shape)
        found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
        assert found == pytest.approx([15.5, 15.5], abs=1.0)


def test_left_and_right_eye_are_those_of_the_picture_and_upright() -> None:
    points = face_points((320.0, 240.0), 60.0, 20.0)
    luma = np.zeros((480, 640), np.uint8)
    left = points[0] + (points[0] - points[3]) * 0.3  # above the eye, along the face
    cv2.circle(luma, tuple(map(int, left)), 6, 255, -1)
    one, other = cut_eyes(luma, points, EYE_RULE)
    assert one[:12].max() > 150
    assert one[20:].max() < 50
    assert other[:, 8:].max() < 50


def test_the_eyes_of_a_turned_head_are_not_enlarged() -> None:
    points = face_points((320.0, 240.0), 60.0)
    turned = points.copy()
    turned[:2, 0] = (turned[:2, 0] - 320.0) * 0.5 + 320.0
    luma = np.random.default_rng(0).integers(0, 255, (480, 640), np.uint8)
    assert [crop.shape for crop in cut_eyes(luma, turned, EYE_RULE)] == [(32, 32)] * 2
    assert unit_px(turned) == pytest.approx(unit_px(points))


def test_a_strip_cut_by_the_picture_repeats_its_edge() -> None:
    luma = np.tile(np.linspace(0, 255, 480)[:, None], (1, 640)).astype(np.uint8)
    crops = cut_eyes(luma, face_points((10.0, 240.0), 60.0), EYE_RULE)
    assert np.ptp(crops[0], axis=1).max() <= 1
