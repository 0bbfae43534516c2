"""What the eye model learns from: who is held out, what is asked of an eye, what hides one, what is measured."""

import csv
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.training import eye_data as data
from models.training.evaluate_eyes import LEFT_OUT, ROWS, left_out
from models.training.eye_measures import of_closed, rank_correlation
from models.training.eye_renders import (
    BROWS,
    LIDS_CM,
    SHAPES,
    TILE_PX,
    EyeMesh,
    Pose,
    Renders,
    draw_pose,
    render,
    render_many,
)

Luma = NDArray[np.uint8]
PEOPLE = np.arange(1, 38)


@pytest.fixture
def tile() -> Luma:
    """A drawn eye: a bright ball with an iris on grey skin."""
    luma = np.full((TILE_PX, TILE_PX), 140, np.uint8)
    cv2.ellipse(luma, (28, 28), (14, 7), 0, 0, 360, 210, -1, cv2.LINE_AA)
    cv2.circle(luma, (28, 28), 6, 40, -1, cv2.LINE_AA)
    return luma


def test_a_fifth_of_the_aperture_is_the_middle_of_the_scale() -> None:
    assert data.on_scale(np.array([0.0, data.P80, 1.0, 1.4])) == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_the_same_nine_people_are_only_quoted_and_nobody_is_in_two_folds() -> None:
    quoted, folds = data.quoted_people(PEOPLE)
    assert (len(quoted), len(folds)) == (data.QUOTED_PEOPLE, data.FOLDS)
    assert sorted([*quoted, *(who for fold in folds for who in fold)]) == sorted(set(map(int, PEOPLE)))
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert data.quoted_people(PEOPLE[::-1]) == (quoted, folds)


def test_who_is_quoted_trains_in_no_run() -> None:
    use = np.array([data.TRAIN, data.CHOOSE, data.QUOTE, data.LEFT_OUT], np.uint8)
    four = np.zeros(4, np.float32)
    eyes = data.Eyes("mrl", np.zeros((4, TILE_PX, TILE_PX), np.uint8), four, four + 1, four + 1, use, 0.4)
    assert data.chances([eyes]).tolist() == pytest.approx([0.4, 0, 0, 0])


def test_what_a_person_has_few_of_comes_oftener_than_its_share() -> None:
    columns = {"subject": [1] * 5, "open": [1, 1, 1, 1, 0], "glasses": [0] * 5}
    five = np.zeros(5, np.float32)
    eyes = data.Eyes(
        "mrl",
        np.zeros((5, TILE_PX, TILE_PX), np.uint8),
        five,
        five + 1,
        five + 1,
        np.full(5, data.TRAIN, np.uint8),
        0.6,
        {name: np.array(column) for name, column in columns.items()},
    )
    assert data.chances([eyes]).tolist() == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.2])


def test_hidden_eyes_of_a_source_come_oftener() -> None:
    ones = np.ones(2, np.float32)
    use = np.full(2, data.TRAIN, np.uint8)
    eyes = data.Eyes("faces", np.zeros((2, TILE_PX, TILE_PX), np.uint8), 0 * ones, ones, np.array([1, 0]), use, 1.0)
    shown, hidden = data.chances([eyes])
    assert hidden == pytest.approx(data.HIDDEN_OFTEN * shown)


def test_every_label_told_by_eye_is_known_and_told_once() -> None:
    with data.LABELS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == len(rows)
    assert {row[side] for row in rows for side in ("left", "right")} <= {*data.MEANINGS, ""}
    assert len(rows) > 300


@pytest.mark.parametrize(
    "change",
    [
        partial(data.framed, side=TILE_PX),
        data.weathered,
        data.bespectacled,
        data.sparkling,
        *dict.fromkeys(data.HIDING),
    ],
)
def test_what_is_done_to_an_eye_keeps_it_a_picture_and_is_the_same_for_the_same_chance(
    change: data.Transform, tile: Luma
) -> None:
    for seed in range(12):
        one, other = (change(np.random.default_rng(seed), tile) for _ in range(2))
        assert one.dtype == np.uint8
        assert one.shape == tile.shape
        assert (one == other).all()


@pytest.mark.parametrize("hide", [data.sunglasses, data.dazzled])
def test_what_hides_an_eye_hides_its_iris(hide: data.Transform, tile: Luma) -> None:
    iris = np.hypot(*(np.indices(tile.shape) - 28)) < 5
    ring = (np.hypot(*(np.indices(tile.shape) - 28)) > 6) & (np.hypot(*(np.indices(tile.shape) - 28)) < 7)
    before = abs(float(tile[iris].mean()) - float(tile[ring].mean()))
    after = [
        abs(float(shown[iris].mean()) - float(shown[ring].mean()))
        for shown in (hide(np.random.default_rng(seed), tile) for seed in range(20))
    ]
    assert np.median(after) < 0.2 * before


def test_a_sample_is_levelled_and_depends_on_nothing_but_epoch_and_number(tile: Luma) -> None:
    ones = np.ones(3, np.float32)
    tiles = np.stack([tile] * 3)
    eyes = data.Eyes("web", tiles, 0.8 * ones, ones, ones, np.full(3, data.TRAIN, np.uint8), 1.0)
    first, again = data.TrainingEyes([eyes], seed=1), data.TrainingEyes([eyes], seed=1)
    for number in range(3):
        luma, target = first[4, number]
        assert luma.shape == (1, data.SIDE, data.SIDE)
        assert 0 <= luma.min() <= luma.max() <= 1
        assert (luma == again[4, number][0]).all()
        assert tuple(target) in {(np.float32(0.8), 1, 1), (0, 1, 0)}
    assert (first[4, 0][0] != first[5, 0][0]).any()


@pytest.fixture(scope="module")
def mesh() -> EyeMesh:
    """Two flat lids before a ball, which a blink moves together: the least that can be drawn."""
    columns = np.linspace(-5.4, -1.0, 12)
    rows = np.array([6.0, 4.6, 4.0, 3.2, 2.6, 1.0])
    grid = np.array([(x, y, 9.6) for y in rows for x in columns], np.float32)
    place = np.arange(len(grid)).reshape(6, 12)
    skin = [
        corners
        for r in (0, 1, 3, 4)
        for c in range(11)
        for corners in (
            (place[r, c], place[r + 1, c], place[r, c + 1]),
            (place[r, c + 1], place[r + 1, c], place[r + 1, c + 1]),
        )
    ]
    landmarks = np.zeros(68, np.int32)
    landmarks[[36, 37, 38, 39]] = place[2, [1, 5, 7, 10]]
    landmarks[[41, 40]] = place[3, [5, 7]]
    landmarks[17:22] = place[1, 2:7]
    points = {42: (1.8, 3.2), 45: (4.5, 3.4), 48: (-2.5, -3.5), 54: (2.5, -3.5)}
    extra = np.array([(*at, 9.0) for at in points.values()], np.float32)
    landmarks[list(points)] = len(grid) + np.arange(len(points))
    vertices = np.concatenate([grid, extra])
    shapes = {f"eye{name}": np.zeros_like(vertices) for name in SHAPES} | {n: np.zeros_like(vertices) for n in BROWS}
    shapes["eyeBlink"][place[2], 1] = -(0.8 - LIDS_CM)
    still = np.zeros((60, *vertices.shape), np.float32)
    return EyeMesh(vertices, still, shapes, np.array(skin, np.int32), np.zeros((0, 3), np.int32), landmarks)


def test_a_render_knows_how_far_its_lids_are_apart(mesh: EyeMesh) -> None:
    ahead = np.zeros(2, np.float32)
    found = [render(np.random.default_rng(1), mesh, Pose(blink, 0, 0, ahead, 0, 0))[1] for blink in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([1.0, 0.5, 0.0], abs=0.02)


def test_an_open_render_shows_what_a_closed_one_hides(mesh: EyeMesh) -> None:
    ahead = np.zeros(2, np.float32)
    middle = slice(TILE_PX // 2 - 5, TILE_PX // 2 + 6)
    spread = []
    for blink in (0.0, 1.0):
        tiles = [render(np.random.default_rng(seed), mesh, Pose(blink, 0, 0, ahead, 0, 0))[0] for seed in range(6)]
        spread.append(np.mean([tile[middle, middle].std() / tile.mean() for tile in tiles]))
    assert spread[0] > 1.5 * spread[1]


def test_poses_leave_no_lid_undrawn() -> None:
    rng = np.random.default_rng(0)
    blinks = np.array([draw_pose(rng).blink for _ in range(400)])
    for low, high in ((0.0, 0.1), (0.3, 0.7), (0.9, 1.1)):
        assert ((blinks >= low) & (blinks <= high)).mean() > 0.05


def test_renders_are_the_same_for_the_same_seed_and_turned_heads_are_left_out(mesh: EyeMesh) -> None:
    one, other = render_many(mesh, 4, seed=3), render_many(mesh, 4, seed=3)
    assert (one.tiles == other.tiles).all()
    yaw = np.array([0, 40, 60, -70], np.float32)
    eyes = data.as_eyes(Renders(one.tiles, one.aperture, one.gaze, one.squint, yaw), data.TRAIN, 0.3)
    assert eyes.use.tolist() == [data.TRAIN, data.TRAIN, data.LEFT_OUT, data.LEFT_OUT]
    assert eyes.about["ahead"].tolist() == [1, 0, 0, 0]
    assert (eyes.low <= eyes.high).all()


def test_closed_is_what_lies_below_the_middle() -> None:
    found = np.array([0.1, 0.2, 0.7, 0.9, 0.4], np.float32)
    shut = np.array([True, True, True, False, False])
    figures = of_closed(found, shut)
    assert figures["n"] == 5
    assert figures["accuracy"] == pytest.approx(0.6)
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["auroc"] == pytest.approx(5 / 6)


def test_rank_correlation_asks_for_order_alone() -> None:
    assert rank_correlation(np.array([0.1, 0.2, 0.9]), np.array([1.0, 5.0, 6.0])) == pytest.approx(1)
    assert rank_correlation(np.array([0.9, 0.2, 0.1]), np.array([1.0, 5.0, 6.0])) == pytest.approx(-1)


@pytest.mark.parametrize("given", ["web", "cabin=there.toml", "=x.toml"])
def test_a_source_that_nobody_knows_is_refused(given: str) -> None:
    with pytest.raises(SystemExit, match="expected SOURCE=MANIFEST, SOURCE being one of web, mrl"):
        left_out([given], Path(), Path())


def test_what_is_asked_of_a_source_left_out_is_measured() -> None:
    assert {row.key for row in LEFT_OUT.values()} <= {row.key for row in ROWS} | {"web_all_accuracy"}
