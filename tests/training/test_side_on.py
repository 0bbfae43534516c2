"""A portrait that is turned side-on shows a profile where its labels say."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.vision.quality import pose
from models.training.face_data import Picture, without_head
from models.training.side_on import Head, profiles, turn, turned_on

BACKDROP, SKIN = 20, 200
POINTS = np.array([[130, 130], [190, 130], [160, 165], [138, 195], [182, 195]], np.float32)


@pytest.fixture(scope="module")
def ball() -> Head:
    """A ball for a head: as wide as one, with a nose, and landmarks where a face has them."""
    rows, columns = 24, 48
    height, around = np.mgrid[0 : np.pi : rows * 1j, 0 : 2 * np.pi : columns * 1j]
    ball = np.stack([np.sin(height) * np.sin(around), np.cos(height), np.sin(height) * np.cos(around)], -1) * 10
    place = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (place[:-1, :-1], place[:-1, 1:], place[1:, :-1], place[1:, 1:]))
    vertices = ball.reshape(-1, 3).astype(np.float32)

    def nearest(x: float, y: float) -> int:
        return int(np.linalg.norm(vertices - [x, y, np.sqrt(100 - x * x - y * y)], axis=1).argmin())

    jaw = [nearest(7 * np.sin(n), -2 - 6 * np.cos(n)) for n in np.linspace(-1.4, 1.4, 17)]
    brows = [nearest(x, 5) for x in np.linspace(-5, 5, 10)]
    landmarks = np.array(jaw + brows + [nearest(0, 0)] * 41, np.int32)
    for number, at in {36: (-5, 3), 39: (-2, 3), 42: (2, 3), 45: (5, 3), 48: (-3, -4), 54: (3, -4)}.items():
        landmarks[number] = nearest(*at)
    vertices[landmarks[30]] *= 1.35  # the nose
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)
    return Head(
        vertices, np.zeros((60, *vertices.shape), np.float32), {}, np.zeros(len(vertices), bool), triangles, landmarks
    )


@pytest.fixture
def portrait() -> Picture:
    """A bright face of one shade, looking a little to the picture's left, before a dark wall."""
    luma = np.full((320, 320), BACKDROP, np.uint8)
    cv2.ellipse(luma, (160, 160), (60, 80), 0, 0, 360, SKIN, -1)
    box = np.array([[105.0, 90.0, 110.0, 150.0]], np.float32)
    points = (POINTS - np.array([[0, 0], [0, 0], [8, 0], [0, 0], [0, 0]], np.float32))[None]
    return Picture(luma, box, points, np.ones(1, bool), "cuhk", "one")


def middle(points: NDArray[np.float32]) -> tuple[float, float]:
    x, y = points.mean(0)
    return float(x), float(y)


def test_the_head_is_turned_on_to_the_side_that_it_looks_to(ball: Head, portrait: Picture) -> None:
    assert pose(portrait.points[0])[0] < 0
    for seed in range(8):
        eye, other, nose, *_ = turned_on(np.random.default_rng(seed), portrait, ball).points[0]
        assert nose[0] < min(eye[0], other[0])
        assert other[0] - eye[0] < 0.75 * (POINTS[1, 0] - POINTS[0, 0])


def test_its_points_lie_in_its_box_on_a_face_of_the_portraits_skin(ball: Head, portrait: Picture) -> None:
    side = turned_on(np.random.default_rng(2), portrait, ball)
    (x, y, width, height), (at_x, at_y) = side.boxes[0], middle(side.points[0])
    assert x < at_x < x + width
    assert y < at_y < y + height
    inner = side.luma[int(at_y) - 6 : int(at_y) + 6, int(at_x) + 4 : int(at_x) + 16]
    assert inner.mean() > (BACKDROP + SKIN) / 2
    assert side.luma.shape == portrait.luma.shape
    assert (portrait.luma == SKIN).sum() > 10_000  # and the portrait is as it was


def test_only_portraits_with_one_face_are_turned_each_once_before_any_is_twice(ball: Head, portrait: Picture) -> None:
    driver = Picture(portrait.luma, portrait.boxes, portrait.points, portrait.box_known, "cabin", "two")
    other = Picture(portrait.luma, portrait.boxes, portrait.points, portrait.box_known, "cuhk", "three")
    assert sorted(side.group for side in profiles([portrait, driver, other], ball, 2, seed=0)) == ["one", "three"]
    assert len(profiles([portrait], ball, 5, seed=0)) == 5
    assert profiles([driver], ball, 5, seed=0) == []


def test_a_painted_out_head_leaves_none_of_its_skin(portrait: Picture) -> None:
    empty = without_head(portrait.luma, portrait.boxes[0])
    assert empty.shape == portrait.luma.shape
    assert empty.max() < SKIN - 50


def test_yaw_turns_the_nose_to_the_pictures_right_and_pitch_down() -> None:
    nose = np.array([0.0, 0.0, 1.0])
    assert turn(30, 0, 0) @ nose == pytest.approx([0.5, 0, np.sqrt(0.75)])
    assert (turn(0, 30, 0) @ nose)[1] == pytest.approx(-0.5)  # y is up
