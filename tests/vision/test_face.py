"""The face model's maps become faces, and pictures of any shape are taken."""

from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import VisionConfig
from edge.domain import Face
from edge.vision.face import FaceFinder, View, cell_centres, decode, face_size

CELLS = cell_centres(128, 160, 8)
UNIT_PX = 32.0
SHAPE = np.array([[-0.18, -0.2], [0.18, -0.2], [0.0, 0.02], [-0.13, 0.2], [0.13, 0.2]], np.float32)

Maps = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def maps_of(*faces: tuple[float, float, float, float]) -> Maps:
    """Maps as a perfect model would give them for faces (x, y, size, score)."""
    score = np.zeros((16, 20), np.float32)
    box = np.zeros((16, 20, 4), np.float32)
    points = np.zeros((16, 20, 10), np.float32)
    for x, y, size, sure in faces:
        near = np.linalg.norm(CELLS - [x, y], axis=-1) < max(0.28 * size, 6.0)
        offset = (np.array([x, y]) - CELLS[near]) / size
        score[near] = sure - 0.1 * np.linalg.norm(offset, axis=-1)
        box[near, :2] = offset
        box[near, 2] = np.log2(size / UNIT_PX)
        box[near, 3] = np.log2(0.75)
        points[near] = (offset[:, None] + SHAPE).reshape(-1, 10)
    return score, box, points


def faces_in(maps: Maps, limit: int = 8) -> list[Face]:
    score, box, points = maps
    sure = score >= 0.5
    return list(islice(decode(score[sure], box[sure], points[sure], CELLS[sure], UNIT_PX), limit))


def found_in(maps: Maps, limit: int = 8) -> list[tuple[float, float, float]]:
    faces = faces_in(maps, limit)
    return [(*(face.points - SHAPE * face_size(face)).mean(0), face_size(face)) for face in faces]


@pytest.mark.parametrize("size", [12.0, 40.0, 110.0])
def test_a_face_is_read_where_it_is_at_its_size(size: float) -> None:
    (face,) = faces_in(maps_of((81.3, 62.8, size, 0.9)))
    assert face.points == pytest.approx(SHAPE * size + [81.3, 62.8], abs=1e-2)
    x, y, width, height = face.box
    assert (x + width / 2, y + height / 2) == pytest.approx((81.3, 62.8), abs=1e-2)
    assert width / height == pytest.approx(0.75, rel=1e-3)
    assert face.score == pytest.approx(0.9, abs=0.05)


def test_two_faces_are_two_the_surer_first() -> None:
    found = found_in(maps_of((40.0, 50.0, 40.0, 0.7), (120.0, 60.0, 30.0, 0.95)))
    assert [round(x) for x, _, _ in found] == [120, 40]


def test_no_more_faces_than_asked_for() -> None:
    assert len(found_in(maps_of((40.0, 50.0, 40.0, 0.7), (120.0, 60.0, 30.0, 0.95)), limit=1)) == 1


def test_neighbouring_cells_steady_each_other() -> None:
    score, box, points = maps_of((80.0, 64.0, 60.0, 0.9))
    rng = np.random.default_rng(3)
    noisy = points + rng.normal(0, 0.03, points.shape).astype(np.float32)
    (face,) = faces_in((score, box, noisy), limit=1)
    best = np.unravel_index(score.argmax(), score.shape)
    alone = CELLS[best] + noisy[best].reshape(5, 2) * 60.0
    truth = SHAPE * 60.0 + [80.0, 64.0]
    assert np.abs(face.points - truth).mean() < 0.6 * np.abs(alone - truth).mean()


def test_a_view_maps_pixel_centres_back_to_the_picture() -> None:
    view = View(left=100, top=40, scale=0.25)
    assert view.to_picture(np.array([[-0.5, -0.5], [39.5, 29.5]], np.float32)) == pytest.approx(
        np.array([[99.5, 39.5], [259.5, 159.5]])
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (6000, 8000), (480, 640), (33, 47)])
def test_a_picture_of_any_shape_without_a_face_gives_none(shape: tuple[int, int]) -> None:
    assert FaceFinder.load().find(np.full(shape, 120, np.uint8)) is None


def test_a_face_that_was_beyond_this_picture_is_not_near() -> None:
    beyond = Face((500.0, 300.0, 100.0, 100.0), SHAPE * 100.0 + np.array([550.0, 350.0], np.float32), 0.9)
    assert FaceFinder.load().find_near(np.full((40, 40), 90, np.uint8), beyond) is None


@pytest.mark.parametrize("shape", [(40, 2000), (5, 300), (1, 2048), (480, 640)])
def test_even_the_least_score_gives_faces_and_no_error(shape: tuple[int, int]) -> None:
    finder = FaceFinder.load(VisionConfig(min_face_score=0.0))
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert finder.find(noise) is not None


@pytest.mark.parametrize(("central_score", "best"), [(0.93, "central"), (0.80, "aside")])
def test_of_faces_about_as_sure_the_central_one_is_best(
    monkeypatch: pytest.MonkeyPatch, central_score: float, best: str
) -> None:
    aside = Face((20.0, 150.0, 120.0, 120.0), SHAPE * 120.0 + np.array([80.0, 210.0], np.float32), 0.96)
    central = Face((270.0, 180.0, 100.0, 120.0), SHAPE * 110.0 + np.array([320.0, 240.0], np.float32), central_score)
    finder = FaceFinder.load()
    monkeypatch.setattr(finder, "find_all", lambda _luma: [aside, central])
    found = finder.find(np.full((480, 640), 90, np.uint8))
    assert found is {"aside": aside, "central": central}[best]


@pytest.mark.parametrize("near_score", [0.9, None])
def test_a_face_that_is_unsure_from_afar_is_one_if_a_closer_look_says_so(
    monkeypatch: pytest.MonkeyPatch, near_score: float | None
) -> None:
    afar = Face((270.0, 180.0, 100.0, 120.0), SHAPE * 110.0 + np.array([320.0, 240.0], np.float32), 0.5)
    near = None if near_score is None else Face(afar.box, afar.points, near_score)
    finder = FaceFinder.load()
    monkeypatch.setattr(finder, "find_all", lambda _luma: [afar])
    monkeypatch.setattr(finder, "find_near", lambda _luma, _face, **_share: near)
    monkeypatch.setattr(finder, "is_upright", lambda _luma, _face: True)
    assert finder.find(np.full((480, 640), 90, np.uint8)) is near


def test_what_only_a_closer_look_finds_is_no_face_unless_it_is_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    afar = Face((270.0, 180.0, 100.0, 120.0), SHAPE * 110.0 + np.array([320.0, 240.0], np.float32), 0.5)
    finder = FaceFinder.load()
    monkeypatch.setattr(finder, "find_all", lambda _luma: [afar])
    monkeypatch.setattr(finder, "find_near", lambda _luma, face, **_share: Face(face.box, face.points, 0.9))
    monkeypatch.setattr(finder, "is_upright", lambda _luma, _face: False)
    assert finder.find(np.full((480, 640), 90, np.uint8)) is None


@pytest.mark.parametrize("shape", [(480, 640), (270, 480), (852, 480), (1080, 1920), (222, 480)])
def test_a_small_face_is_whole_in_one_of_the_parts_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    finder = FaceFinder.load()
    seen: list[tuple[int, int, int, int]] = []

    def look(_luma: object, part: tuple[int, int, int, int], _scale: float, _least: float) -> list[Face]:
        seen.append(part)
        return []

    monkeypatch.setattr(finder, "_look", look)
    luma = np.zeros(shape, np.uint8)
    for turn in range(12):
        finder.find_small(luma, turn)
    height, width = shape
    side = 12 / min(160 / width, 128 / height)  # of a face that is 12 pixels large in the whole picture's view
    parts = np.array(seen)
    for corner in np.random.default_rng(0).uniform(0, 1, (200, 2)) * [width - side, height - side]:
        assert ((parts[:, :2] <= corner) & (corner + side <= parts[:, 2:] + 1)).all(1).any()


def test_a_picture_that_the_model_sees_in_full_is_not_searched_in_parts() -> None:
    assert FaceFinder.load().find_small(np.zeros((90, 100), np.uint8), 0) == []


@pytest.mark.parametrize(
    ("x", "size", "within", "same"),
    [
        (330, 100, 0.5, True),
        (330, 45, 0.5, False),
        (330, 230, 0.5, False),
        (400, 100, 0.5, False),
        (400, 100, 1.2, True),
    ],
)
def test_the_same_face_is_near_and_about_as_large(
    monkeypatch: pytest.MonkeyPatch, x: float, size: float, within: float, *, same: bool
) -> None:
    def face_at(x: float, size: float) -> Face:
        return Face((x - size / 2, 240 - size / 2, size, size), SHAPE * size + np.array([x, 240], np.float32), 0.9)

    there = face_at(x, size)
    finder = FaceFinder.load()
    monkeypatch.setattr(finder, "_look", lambda *_: iter([there]))
    found = finder.find_near(np.full((480, 640), 90, np.uint8), face_at(320, 100), within)
    assert found is (there if same else None)


def test_no_closer_look_is_spent_on_a_sure_and_large_face(monkeypatch: pytest.MonkeyPatch) -> None:
    sure = Face((100.0, 80.0, 300.0, 320.0), SHAPE * 310.0 + np.array([250.0, 240.0], np.float32), 0.9)
    unsure = Face((400.0, 80.0, 100.0, 120.0), SHAPE * 110.0 + np.array([450.0, 140.0], np.float32), 0.6)
    finder = FaceFinder.load()
    monkeypatch.setattr(finder, "find_all", lambda _luma: [sure, unsure])
    monkeypatch.setattr(finder, "find_near", lambda _luma, _face: pytest.fail("looked closer"))
    assert finder.find(np.full((480, 640), 90, np.uint8)) is sure


def test_cells_that_are_far_less_sure_say_nothing_of_a_face() -> None:
    score, box, points = maps_of((80.0, 64.0, 60.0, 0.95))
    best = score == score.max()
    score[~best] *= 0.75
    points[~best] += 0.1
    (face,) = faces_in((score, box, points), limit=1)
    assert face.points == pytest.approx(SHAPE * 60.0 + [80.0, 64.0], abs=1e-2)


def test_the_seam_is_imported_from_the_package() -> None:
    from edge import vision  # noqa: PLC0415 - the import is what is tested

    luma = np.full((480, 640), 90, np.uint8)
    assert vision.FaceFinder.load().find(luma) is None
    face = Face((270.0, 180.0, 100.0, 120.0), SHAPE * 100.0 + np.array([320.0, 240.0], np.float32), 0.9)
    probabilities = vision.ExpressionReader.load().read(luma, face)
    assert probabilities.shape == (9,)
    assert probabilities.dtype == np.float32
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = vision.Nothing


def test_finding_has_no_memory() -> None:
    finder = FaceFinder.load()
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (240, 320), dtype=np.uint8)
    before = finder.find_all(noise)
    finder.find_all(rng.integers(0, 256, (480, 640), dtype=np.uint8))
    after = finder.find_all(noise)
    assert [face.box for face in before] == [face.box for face in after]
