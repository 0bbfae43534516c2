"""Following the driver: who it is, and points that neither jitter nor lag."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.domain import Face
from edge.vision.face import MAX_LOOKS, QUARTERS
from edge.vision.follow import AWAY_SIZES, CHECK_AT_MOST_S, CHECK_S, KEEP_S, LOOK_S, DriverFollower, OneEuro, distance

PICTURE = np.zeros((480, 640), np.uint8)
SHAPE = np.array([[-0.18, -0.2], [0.18, -0.2], [0.0, 0.02], [-0.13, 0.2], [0.13, 0.2]], np.float32)


def face_at(x: float, y: float, size: float = 100.0, score: float = 0.9) -> Face:
    return Face((x - size / 2, y - size / 2, size, size), SHAPE * size + np.array([x, y], np.float32), score)


def middle(face: Face | None) -> tuple[float, float] | None:
    if face is None:
        return None
    x, y = face.points.mean(0)
    return round(float(x)), round(float(y))


@dataclass
class Cabin:
    """A finder that sees the faces that a test puts before it, and counts the searches of the whole picture.

    From afar it is sure of a score of 0.75; from near an unsure one is a face unless the test says that it is none.
    """

    faces: list[Face] = field(default_factory=list)
    no_faces: list[Face] = field(default_factory=list)
    small: list[Face] = field(default_factory=list)
    sure_from_near: bool = True
    upside_down: bool = False
    searches: int = 0
    near_looks: int = 0
    closer_looks: int = 0
    turns: list[int] = field(default_factory=list)

    def find_all(self, luma: NDArray[np.uint8], limit: int = 8) -> list[Face]:
        del luma
        self.searches += 1
        return sorted([*self.faces, *self.no_faces], key=lambda face: -face.score)[:limit]

    def find_small(self, luma: NDArray[np.uint8], turn: int) -> list[Face]:
        del luma
        return self.small[turn % len(self.small) :][:1] if self.small else []

    def is_sure(self, face: Face) -> bool:
        return face.score >= 0.75

    def sharpen(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        del luma
        if self.is_sure(face):
            return face
        self.closer_looks += 1
        return face if self.sure_from_near and any(face is one for one in self.faces) else None

    def is_upright(self, luma: NDArray[np.uint8], face: Face) -> bool:
        del luma, face
        return not self.upside_down

    def turned(self, luma: NDArray[np.uint8], face: Face, quarters: int) -> float:
        del luma, face
        self.turns.append(quarters)
        return float(quarters == (2 if self.upside_down else 0))

    def find_near(self, luma: NDArray[np.uint8], face: Face, within: float, share: float) -> Face | None:
        del luma
        self.near_looks += 1
        near = [f for f in self.faces if distance(f, face) < within and f.score >= share * 0.75]
        return min(near, key=lambda f: distance(f, face), default=None)


@dataclass
class Shadow:
    """A tracker that sees the faces before the finder, a ``lean`` beside them, or anything it likes."""

    cabin: Cabin
    lean: NDArray[np.float32] = field(default_factory=lambda: np.zeros((5, 2), np.float32))
    sure: bool = True
    imagined: Face | None = None
    looks: int = 0

    def track(self, luma: NDArray[np.uint8], face: Face) -> Face | None:
        del luma
        self.looks += 1
        seen = min(self.cabin.faces, key=lambda one: distance(one, face), default=None)
        seen = self.imagined or seen
        return replace(seen, points=seen.points + self.lean) if self.sure and seen is not None else None


def test_the_face_model_looks_once_a_second_while_the_tracker_is_sure() -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin, Shadow(cabin))
    for frame in range(60):
        cabin.faces = [face_at(320 + frame, 200)]
        assert follower.update(PICTURE, frame / 15) is not None
    assert cabin.searches == 1
    assert cabin.near_looks == pytest.approx(4 / LOOK_S, abs=1)


def test_where_the_tracker_is_unsure_the_face_model_looks_in_the_same_frame() -> None:
    cabin = Cabin([face_at(320, 200)])
    shadow = Shadow(cabin)
    follower = DriverFollower(cabin, shadow)
    follower.update(PICTURE, 0.0)
    shadow.sure = False
    for frame in range(1, 10):
        assert middle(follower.update(PICTURE, frame / 15)) == (320, 200)
    assert cabin.near_looks == 9


@pytest.mark.parametrize("change", [face_at(350, 200), face_at(320, 200, size=130), face_at(320, 200, score=0.7)])
def test_a_face_that_moves_grows_or_fades_at_once_is_looked_at_by_the_face_model(change: Face) -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin, Shadow(cabin))
    follower.update(PICTURE, 0.0)
    follower.update(PICTURE, 1 / 15)
    assert cabin.near_looks == 0
    cabin.faces = [change]
    assert follower.update(PICTURE, 2 / 15) is not None
    assert cabin.near_looks == 1


def test_a_driver_who_is_gone_is_gone_within_a_second_whatever_the_tracker_imagines() -> None:
    cabin = Cabin([face_at(320, 200)])
    shadow = Shadow(cabin)
    follower = DriverFollower(cabin, shadow)
    for frame in range(10):
        follower.update(PICTURE, frame / 15)
    cabin.faces, shadow.imagined = [], face_at(320, 200)
    kept = [follower.update(PICTURE, frame / 15) is not None for frame in range(10, 90)]
    assert kept.index(False) / 15 < LOOK_S
    assert not any(kept[kept.index(False) :])


def test_a_tracker_that_wanders_off_leads_nobody_further_than_half_a_face() -> None:
    cabin = Cabin([face_at(200, 200)])
    shadow = Shadow(cabin)
    follower = DriverFollower(cabin, shadow)
    for frame in range(4, 60):
        shadow.imagined = face_at(200 + 12 * (frame % 15), 200)
        face = follower.update(PICTURE, frame / 15)
        assert face is not None
        assert distance(face, cabin.faces[0]) <= AWAY_SIZES


def test_where_both_never_agree_the_face_model_looks_at_every_frame() -> None:
    cabin = Cabin([face_at(320, 200)])
    shadow = Shadow(cabin, np.array([10.0, 0.0], np.float32) * np.ones((5, 1), np.float32))
    follower = DriverFollower(cabin, shadow)
    for frame in range(30):
        assert middle(follower.update(PICTURE, frame / 15)) == (320, 200)
    assert cabin.near_looks == 29


def test_half_of_what_the_tracker_sees_otherwise_than_the_face_model_is_taken_out_of_its_points() -> None:
    cabin = Cabin([face_at(320, 200)])
    lean = np.random.default_rng(0).normal(0, 2.0, (5, 2)).astype(np.float32)
    follower = DriverFollower(cabin, Shadow(cabin, lean))
    for frame in range(20):
        face = follower.update(PICTURE, frame / 15)
        assert face is not None
        assert face.points == pytest.approx(cabin.faces[0].points + lean / 2, abs=0.1)
    assert cabin.near_looks <= 2


def test_after_a_gap_the_face_model_looks_for_a_driver_who_may_be_anywhere() -> None:
    cabin = Cabin([face_at(320, 200)])
    shadow = Shadow(cabin)
    follower = DriverFollower(cabin, shadow)
    follower.update(PICTURE, 0.0)
    follower.update(PICTURE, 0.5)
    assert cabin.near_looks == 1


def test_an_unsure_face_is_not_handed_to_the_tracker() -> None:
    cabin = Cabin([face_at(320, 200, score=0.5)])
    shadow = Shadow(cabin)
    assert DriverFollower(cabin, shadow).update(PICTURE, 0.0) is not None
    assert shadow.looks == 0


def test_a_driver_who_was_found_is_followed_without_searching_again() -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin)
    for frame in range(30):
        cabin.faces = [face_at(320 + frame, 200)]
        assert follower.update(PICTURE, frame / 15) is not None
    assert cabin.searches == 1


def test_a_driver_who_jumped_out_of_the_close_view_is_searched_for_in_the_same_frame() -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces = [face_at(410, 200)]
    assert middle(follower.update(PICTURE, 0.1)) == (410, 200)


def test_a_passenger_who_leans_in_larger_and_surer_does_not_take_over() -> None:
    cabin = Cabin([face_at(200, 200, score=0.8)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces = [face_at(205, 200, score=0.8), face_at(450, 220, size=180, score=0.99)]
    for frame in range(1, 20):
        found = middle(follower.update(PICTURE, frame / 15))
        assert found is not None
        assert found[0] < 210


def test_while_the_driver_is_hidden_for_a_moment_the_passenger_is_not_the_driver() -> None:
    cabin = Cabin([face_at(200, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces = [face_at(450, 220, size=180)]
    assert follower.update(PICTURE, 0.5 * KEEP_S) is None
    cabin.faces = [face_at(210, 200), face_at(450, 220, size=180)]
    assert middle(follower.update(PICTURE, 0.8 * KEEP_S)) == (210, 200)


def test_after_the_driver_has_been_gone_for_long_the_largest_sure_face_in_the_seat_is_the_driver() -> None:
    cabin = Cabin([face_at(200, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces = [face_at(450, 220, size=150), face_at(100, 300, size=40)]
    assert middle(follower.update(PICTURE, KEEP_S + 0.1)) == (450, 221)


def test_a_driver_who_is_unsure_from_afar_is_found_by_a_closer_look() -> None:
    cabin = Cabin([face_at(320, 200, score=0.5)], [face_at(100, 400, score=0.7), face_at(500, 100, score=0.6)])
    assert middle(DriverFollower(cabin).update(PICTURE, 0.0)) == (320, 200)


def test_what_is_no_face_from_near_is_nobody_and_few_such_are_looked_at() -> None:
    cabin = Cabin(no_faces=[face_at(60 * n, 200, score=0.6) for n in range(1, 8)])
    assert DriverFollower(cabin).update(PICTURE, 0.0) is None
    assert cabin.closer_looks == MAX_LOOKS


def test_where_one_is_sure_no_closer_look_is_spent_on_a_larger_unsure_one() -> None:
    cabin = Cabin([face_at(200, 200, size=60, score=0.9), face_at(450, 220, size=180, score=0.7)])
    assert middle(DriverFollower(cabin).update(PICTURE, 0.0)) == (200, 200)
    assert cabin.closer_looks == 0


def test_a_driver_who_moved_and_is_unsure_from_afar_is_preferred_to_a_sure_passenger() -> None:
    cabin = Cabin([face_at(200, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces = [face_at(260, 200, score=0.5), face_at(450, 220, size=180, score=0.99)]
    assert middle(follower.update(PICTURE, 0.1)) == (260, 200)


def test_a_small_face_is_found_when_its_part_of_the_picture_has_its_turn() -> None:
    cabin = Cabin(small=[face_at(2000, 100, size=20), face_at(320, 200, size=20)])
    follower = DriverFollower(cabin)
    assert {middle(follower.update(PICTURE, frame / 15)) for frame in range(2)} == {None, (320, 200)}


def test_a_driver_who_was_surely_seen_a_moment_ago_is_followed_through_unsure_frames_but_not_for_long() -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces, cabin.sure_from_near = [face_at(330, 200, score=0.65)], False
    kept = [follower.update(PICTURE, frame / 15) is not None for frame in range(1, 90)]
    assert kept.index(False) / 15 == pytest.approx(KEEP_S, abs=0.1)
    assert not any(kept[kept.index(False) :])


def test_a_face_that_is_upside_down_is_nobody_until_it_is_upright() -> None:
    cabin = Cabin([face_at(320, 200)], upside_down=True)
    follower = DriverFollower(cabin)
    assert [follower.update(PICTURE, frame / 15) for frame in range(10)] == [None] * 10
    cabin.upside_down = False
    assert follower.update(PICTURE, 1.0) is not None


def test_a_followed_face_that_was_upright_by_a_fluke_is_let_go() -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.upside_down = True
    kept = [follower.update(PICTURE, frame / 15) is not None for frame in range(1, 90)]
    assert kept.index(False) / 15 < CHECK_S + 4 / 15 + 0.1
    assert not any(kept[kept.index(False) :])


@pytest.mark.parametrize("fps", [2, 3, 15])
def test_so_is_one_that_the_face_model_looks_at_in_every_frame(fps: int) -> None:
    cabin = Cabin([face_at(320, 200)])
    shadow = Shadow(cabin)
    follower = DriverFollower(cabin, shadow)
    follower.update(PICTURE, 0.0)
    cabin.upside_down = True
    kept = []
    for frame in range(1, 10 * fps):
        cabin.faces = [face_at(320 + 30 * (frame % 2), 200)]  # too fast for the tracker alone
        kept.append(follower.update(PICTURE, frame / fps) is not None)
    assert cabin.near_looks >= kept.index(False)
    assert kept.index(False) / fps <= CHECK_S + 2 * QUARTERS / fps
    assert not any(kept[kept.index(False) :])


def test_a_followed_face_is_looked_at_one_way_up_in_a_frame_and_all_ways_in_turn() -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin)
    looks = []
    for frame in range(round(3 * CHECK_S * 15)):
        cabin.turns.clear()
        assert follower.update(PICTURE, frame / 15) is not None
        looks.append(list(cabin.turns))
    assert max(map(len, looks)) == 1
    assert [turn for each in looks for turn in each] == [0, 1, 2, 3] * 2


@pytest.mark.parametrize("kind", ["moved", "lost", "no frames"])
def test_what_the_tracker_follows_without_a_break_is_checked_less_and_less_often_and_anew_after_one(kind: str) -> None:
    cabin = Cabin([face_at(320, 200)])
    follower = DriverFollower(cabin, Shadow(cabin))
    checked = []
    for frame in range(15 * 60):
        t = frame / 15
        amiss = 45 <= t < 45.5
        x = 320 + 60 * (kind == "moved" and t >= 45)  # too far at once for the tracker
        cabin.faces = [] if amiss and kind == "lost" else [face_at(x, 200)]
        if amiss and kind == "no frames":
            continue
        cabin.turns.clear()
        assert (follower.update(PICTURE, t) is None) == (cabin.faces == [])
        checked += [t] * (cabin.turns == [0])
    waits = np.diff([0.0, *checked])
    assert waits[:4] == pytest.approx([CHECK_S, 2 * CHECK_S, CHECK_AT_MOST_S, CHECK_AT_MOST_S], abs=0.5)
    assert waits[-1] == pytest.approx(2 * CHECK_S, abs=0.5)
    assert max(waits) <= CHECK_AT_MOST_S + 0.5


def test_a_face_whose_middle_lies_outside_the_view_is_never_the_driver() -> None:
    cabin = Cabin([face_at(650, 200)])
    follower = DriverFollower(cabin)
    assert follower.update(PICTURE, 0.0) is None
    cabin.faces = [face_at(620, 200)]
    assert follower.update(PICTURE, 0.1) is not None
    cabin.faces = [face_at(645, 200)]
    assert follower.update(PICTURE, 0.2) is None


def test_a_picture_of_another_size_starts_anew() -> None:
    cabin = Cabin([face_at(600, 440)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 0.0)
    cabin.faces = [face_at(50, 50, size=40)]
    assert middle(follower.update(PICTURE[:120, :160], 0.1)) == (50, 50)
    assert cabin.searches == 2


def test_time_that_goes_back_starts_anew_instead_of_failing() -> None:
    cabin = Cabin([face_at(200, 200)])
    follower = DriverFollower(cabin)
    follower.update(PICTURE, 100.0)
    cabin.faces = [face_at(500, 200)]
    assert middle(follower.update(PICTURE, 3.0)) == (500, 200)


@pytest.mark.parametrize("fps", [10, 15, 30, 60])
def test_jitter_of_a_still_face_is_cut_by_four_tenths_at_least(fps: int) -> None:
    rng = np.random.default_rng(fps)
    smooth = OneEuro()
    truth = face_at(320, 200).points
    seen = [truth + rng.normal(0, 2.0, (5, 2)).astype(np.float32) for _ in range(fps * 10)]
    kept = np.array([smooth.update(points, 100.0, number / fps) for number, points in enumerate(seen)])[fps:]
    raw = np.array(seen)[fps:]
    assert (kept - truth).std() < 0.75 * (raw - truth).std()
    assert np.diff(kept, axis=0).std() < 0.6 * np.diff(raw, axis=0).std()


def test_a_moving_face_is_followed_with_little_lag() -> None:
    smooth = OneEuro()
    for number in range(30):
        points = face_at(200 + 8.0 * number, 200).points  # 2.4 face sizes a second at 30 frames a second
        lag = points - smooth.update(points, 100.0, number / 30)
    assert np.abs(lag).max() < 8.0  # less than one frame
