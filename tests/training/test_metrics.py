"""The figures of the expression model follow the protocols that they are quoted by."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.domain import EXPRESSIONS
from models.training.expression_metrics import (
    ANGER,
    YAWN,
    auroc,
    calibration_error,
    crowd_figures,
    driver_figures,
    eight,
    label_a,
    label_b,
)


def votes(**given: int) -> list[int]:
    return [given.get(name, 0) for name in (*EXPRESSIONS[:8], "unknown", "not_a_face")]


def as_array(*rows: list[int]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_protocol_a_takes_the_most_voted_and_the_first_on_a_tie() -> None:
    assert label_a(as_array(votes(sadness=6, anger=4), votes(anger=5, disgust=5))).tolist() == [3, 4]


def test_protocol_a_drops_faces_that_the_crowd_calls_unknown_or_no_face() -> None:
    assert label_a(as_array(votes(unknown=6, anger=4), votes(not_a_face=10))).tolist() == [-1, -1]


def test_protocol_b_drops_single_votes_before_it_asks_for_a_majority() -> None:
    lonely = votes(anger=5, sadness=1, fear=1, disgust=1, surprise=1, contempt=1)
    assert label_b(as_array(lonely)).tolist() == [ANGER]


def test_protocol_b_drops_a_face_without_a_majority_and_an_unknown_one() -> None:
    even = votes(anger=5, sadness=5)
    unknown = votes(unknown=8, anger=2)
    scattered = votes(neutral=1, anger=1, fear=1)
    assert label_b(as_array(even, unknown, scattered)).tolist() == [-1, -1, -1]


def test_yawn_is_left_out_and_the_rest_is_renormalised() -> None:
    probabilities = np.full((1, 9), 0.05, np.float32)
    probabilities[0, YAWN] = 0.6
    assert eight(probabilities) == pytest.approx(np.full((1, 8), 0.125))


@pytest.mark.parametrize(
    ("score", "expected"), [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5, 0.5, 0.5, 0.5], 0.5)]
)
def test_auroc_of_right_wrong_and_indifferent_scores(score: list[float], expected: float) -> None:
    positive = np.array([False, False, True, True])
    assert auroc(np.array(score, np.float32), positive) == pytest.approx(expected)


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 10, 200).astype(np.float32)
    positive = rng.random(200) < 0.3
    pairs = score[positive][:, None] - score[~positive][None]
    assert auroc(score, positive) == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def test_calibration_error_is_how_far_confidence_is_from_being_right() -> None:
    sure = np.tile(np.array([[0.9, 0.1]], np.float32), (100, 1))
    label = np.array([0] * 70 + [1] * 30)
    assert calibration_error(sure, label) == pytest.approx(0.2, abs=1e-6)


def test_a_perfect_reader_has_perfect_figures() -> None:
    rows = as_array(
        *(votes(**{name: 10}) for name in ("neutral", "anger", "fear", "sadness", "disgust") for _ in "123")
    )
    perfect = np.zeros((len(rows), 9), np.float32)
    perfect[np.arange(len(rows)), rows.argmax(1)] = 1.0
    figures = crowd_figures(perfect, rows)
    assert [figures[name] for name in ("accuracy_a", "accuracy_b", "auroc_anger", "auroc_distress")] == [1.0] * 4
    assert figures["calibration_error"] == 0.0


def test_a_yawn_called_angry_and_a_calm_driver_called_distressed_are_counted() -> None:
    probabilities = np.zeros((4, 9), np.float32)
    probabilities[0, ANGER] = probabilities[1, YAWN] = probabilities[2, 0] = 1.0
    probabilities[3, 3] = 0.6
    figures = driver_figures(probabilities, np.array([True, True, False, False]))
    assert (figures["yawn_called_anger"], figures["yawn_recall"]) == (0.5, 0.5)
    assert (figures["calm_called_alarm"], figures["calm_called_yawn"]) == (0.5, 0.0)
