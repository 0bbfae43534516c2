"""Faces are grouped by their skin, dimmed, and counted in clips as the tables say."""

import numpy as np
import pytest

from models.training.evaluate_face import DIM_SKIN, SKIN, Trial, point_errors, skin_shares
from models.training.face_conditions import DIM, Clip, Luma, Points, by_skin, clip_figures, dimmed, skin_luma
from models.training.face_data import Picture

POINTS = np.array([[40, 40], [60, 40], [50, 52], [43, 64], [57, 64]], np.float32)


def portrait(skin: int, around: int = 10) -> Picture:
    luma = np.full((100, 100), around, np.uint8)
    luma[30:75, 30:70] = skin
    luma[38:42, 36:64] = 0  # dark eyes are no skin
    box = np.array([[28.0, 25.0, 44.0, 55.0]], np.float32)
    return Picture(luma, box, POINTS[None], np.ones(1, bool), "cuhk", "one")


def test_the_skins_grey_level_is_that_between_eyes_and_mouth() -> None:
    assert skin_luma(portrait(150)) == 150
    assert by_skin([portrait(60), portrait(80), portrait(200)]).group.tolist() == ["below 80", "80 to 110", "above 170"]


def test_a_dimmed_portrait_has_a_share_of_its_light_and_its_labels() -> None:
    dim = dimmed(portrait(160))
    assert dim.luma.max() == 160 // DIM
    assert (dim.points == POINTS).all()


def test_wrong_faces_are_counted_by_skin_in_both_lights() -> None:
    def find(luma: Luma) -> Points | None:
        return POINTS if luma[52, 50] >= 20 else None  # sees nothing darker

    dark, bright = portrait(60), portrait(200)
    trial = Trial([dark, bright, bright], [dark], [], {})
    shares = skin_shares({"one": point_errors(find, trial, "one")}, trial)
    assert shares[SKIN, "below 80"]["one"].count == 2
    assert shares[SKIN, "below 80"]["one"].hits == 0
    assert shares[DIM_SKIN, "below 80"]["one"].hits == 1
    assert shares[DIM_SKIN, "above 170"]["one"].hits == 0
    assert shares[DIM_SKIN, "above 170"]["one"].count == 2


def test_only_frames_in_which_the_other_detector_sees_a_face_count_and_its_own_face_is_told_apart() -> None:
    frames = [np.full((10, 10), shade, np.uint8) for shade in (0, 1, 2, 3)]
    middle, size = POINTS.mean(0)[None], np.array([40.0], np.float32)
    none = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    clip = Clip(frames, [middle, middle, middle, none[0]], [size, size, size, none[1]])
    answers: list[Points | None] = [POINTS + 2, POINTS + 200, None, POINTS]
    figures = clip_figures(lambda luma: answers[int(luma[0, 0])], {"night": clip})
    assert figures["night_n"] == 3
    assert figures["night_found"] == pytest.approx(2 / 3)
    assert figures["night_same"] == pytest.approx(1 / 3)
