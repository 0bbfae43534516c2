"""The model that follows a face: what it is shown, what is read from it, and that it lets go."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from importlib import resources
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, VisionConfig
from edge.domain import Face
from edge.errors import ModelError
from edge.vision.face import FaceFinder, face_size
from edge.vision.follow import DriverFollower
from edge.vision.manifest import bundled
from edge.vision.track import FaceTracker, Window, answer_for, cut_window, read_answer

SHAPE = np.array([[-0.18, -0.2], [0.18, -0.2], [0.0, 0.02], [-0.13, 0.2], [0.13, 0.2]], np.float32)
Luma = NDArray[np.uint8]


def face_at(x: float, y: float, size: float = 100.0) -> Face:
    points = SHAPE * size + np.array([x, y], np.float32)
    return Face((x - 0.45 * size, y - 0.6 * size, 0.9 * size, size / 0.9), points, 0.9)


@pytest.fixture(scope="module")
def filmed() -> list[Luma]:
    """The first frames of the demo's clip."""
    clip = Path(str(resources.files("edge") / "tools" / "demo" / "clip.mp4"))
    frames: list[Luma] = []
    with open_camera(CameraConfig(source=str(clip)), realtime=False) as camera, contextlib.suppress(EndOfStream):
        while len(frames) < 40:
            frames.append(camera.read(1.0).luma)
    return frames


@pytest.mark.parametrize("size", [20.0, 61.0, 110.0, 240.0])
def test_what_a_model_is_taught_of_a_face_is_what_is_read_from_it(size: float) -> None:
    face = face_at(200.3, 150.7, size)
    window = Window.around(face_at(190, 155, size * 1.1), 1.75, 64)
    read = read_answer(answer_for(face, window, 1.75), window, 1.75, 0.9)
    assert read.points == pytest.approx(face.points, abs=0.01)
    assert read.box == pytest.approx(face.box, abs=0.01)


@pytest.mark.parametrize("side", [40, 64, 130, 400])
def test_a_window_shows_its_part_of_the_picture(side: int) -> None:
    x, y = np.meshgrid(np.arange(800), np.arange(600))
    luma = ((x + y) // 8).astype(np.uint8)
    shown = np.zeros((64, 64), np.uint8)
    window = Window(100, 80, side)
    cut_window(luma, window, shown)
    at = (np.arange(64) + 0.5) * side / 64 - 0.5
    wanted = (100 + at[None, :] + 80 + at[:, None]) / 8
    assert np.abs(shown - wanted)[1:-1, 1:-1].max() < 1.6  # the last pixels of a side are their edge's


@pytest.mark.parametrize("corner", [(-30, -40), (70, 60), (-30, 60)])
def test_what_lies_beyond_the_picture_is_black(corner: tuple[int, int]) -> None:
    luma = np.full((100, 120), 200, np.uint8)
    shown = np.zeros((64, 64), np.uint8)
    cut_window(luma, Window(*corner, 64), shown)
    x, y = np.meshgrid(np.arange(64) + corner[0], np.arange(64) + corner[1])
    inside = (x >= 0) & (x < 120) & (y >= 0) & (y < 100)
    assert (shown[inside] == 200).all()
    assert not shown[~inside].any()


def test_a_window_wholly_beside_the_picture_is_black() -> None:
    shown = np.ones((64, 64), np.uint8)
    cut_window(np.full((100, 120), 200, np.uint8), Window(500, -300, 80), shown)
    assert not shown.any()


def test_a_window_stays_where_a_face_hardly_moves() -> None:
    window = Window.around(face_at(200, 150), 1.75, 64)
    assert Window.around(face_at(202, 149, 101), 1.75, 64).is_about(window)
    assert not Window.around(face_at(212, 150), 1.75, 64).is_about(window)
    assert not Window.around(face_at(200, 150, 110), 1.75, 64).is_about(window)


def test_the_bundled_model_keeps_to_the_face_models_points(filmed: list[Luma]) -> None:
    finder, tracker = FaceFinder.load(), FaceTracker.load()
    apart = []
    for before, luma in pairwise(filmed):
        last, found = finder.find(before), finder.find(luma)
        assert last is not None
        assert found is not None
        tracked = tracker.track(luma, last)
        assert tracked is not None
        apart.append(np.linalg.norm(tracked.points - found.points, axis=1).mean() / face_size(found))
        assert face_size(tracked) == pytest.approx(face_size(found), rel=0.15)
    assert np.median(apart) < 0.04
    assert max(apart) < 0.08


@pytest.mark.parametrize(
    "change",
    [
        np.zeros_like,
        lambda luma: np.full_like(luma, luma.mean()),
        lambda luma: np.random.default_rng(0).integers(0, 256, luma.shape, np.uint8),
        lambda luma: np.roll(luma, luma.shape[1] // 2, axis=1),
    ],
)
def test_the_bundled_model_lets_go_of_a_face_that_is_gone(filmed: list[Luma], change: Callable[[Luma], Luma]) -> None:
    face = FaceFinder.load().find(filmed[0])
    assert face is not None
    assert FaceTracker.load().track(change(filmed[0]), face) is None


class Asked:
    """A finder that counts how often it looks at a picture."""

    def __init__(self) -> None:
        self._finder = FaceFinder.load()
        self.looks = 0

    def __getattr__(self, name: str) -> object:
        self.looks += name in ("find_near", "find_all")
        return getattr(self._finder, name)


def test_the_demos_driver_is_followed_by_both_as_by_the_face_model_alone(filmed: list[Luma]) -> None:
    asked = Asked()
    followers = DriverFollower(asked, FaceTracker.load()), DriverFollower(FaceFinder.load())  # type: ignore[arg-type]
    for number, luma in enumerate(filmed):
        ours, plain = (follower.update(luma, number / 15) for follower in followers)
        assert ours is not None
        assert plain is not None
        assert np.linalg.norm(ours.points - plain.points, axis=1).mean() < 0.05 * face_size(plain)
    assert asked.looks < 0.3 * len(filmed)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The bundled model in a folder where it may be damaged."""
    for kind in ("toml", "tflite"):
        shutil.copy(bundled("follow").with_suffix(f".{kind}"), tmp_path)
    return tmp_path / "follow.toml"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "answers"', 'name = "points"', "expected outputs"),
        ("shape = [1, 4, 14]", "shape = [1, 14, 4]", "answers: expected uint8 (1, 14, 4), found"),
        ("shape = [1, 64, 64, 1]", "shape = [1, 64, 48, 1]", "(1, 64, 48, 1)"),
        ("[window]\nspan = 1.75\nleast_trust = 0.7\n", "", "expected a [window] section, found none"),
        ("span = 1.75", "span = 0.2", "window.span"),
    ],
)
def test_a_manifest_that_tells_something_else_is_refused(copies: Path, old: str, new: str, words: str) -> None:
    text = copies.read_text()
    assert old in text
    copies.write_text(text.replace(old, new))
    with pytest.raises(ModelError) as caught:
        FaceTracker.load(VisionConfig(follow_model=copies))
    assert words in str(caught.value)
    assert str(copies.parent) in str(caught.value)


def test_no_tracker_is_loaded_where_none_is_wanted(tmp_path: Path) -> None:
    assert FaceTracker.wanted(VisionConfig(tracking=False, follow_model=tmp_path / "none.toml")) is None
    with pytest.raises(ModelError, match=r"\[vision\] follow_model"):
        FaceTracker.wanted(VisionConfig(follow_model=tmp_path / "none.toml"))
