"""Simulated drives, their scoring, and the sweep's arithmetic beside the real decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import drives as drives_of
from calibration.drives import LOOKS, Drive, Readings, all_looks, film, plan, read_looks
from calibration.readings import ReadingsFolder
from calibration.rivals import confusion, frame_mean
from edge.config import Config, QualityConfig
from edge.decision.decider import Decider
from edge.domain import EXPRESSIONS, Phase, Sight
from edge.tuning.batch import Rules, make_batch, run_rules, smooth
from edge.tuning.rest import hold_against_rest
from edge.tuning.score import Alert, Episode, judge
from edge.vision.crop import CropRule
from edge.vision.ordinary import ordinary_face

RULE = CropRule(48, 0.5, 0.575, 0.376)
SIZES = dict.fromkeys(LOOKS, 12)
GROUPS = {"yawn": np.repeat(np.arange(3), 4), "cabin": np.repeat(np.arange(3), 4)}
SHOWN = {"anger": "anger", "distress": "sadness", "yawn": "yawn", "smile": "happiness", "surprise": "surprise"}


@pytest.fixture(scope="module")
def readings() -> Readings:
    """A model that is right with 0.5 to 0.9, and a quality that is good but in the dark."""
    random = np.random.default_rng(5)
    probabilities, weights = {}, {}
    for look in LOOKS:
        read = np.full((12, 5, len(EXPRESSIONS)), 0.01, np.float32)
        shown = EXPRESSIONS.index(SHOWN.get(look, "neutral"))
        read[..., shown] = random.uniform(0.5, 0.9, (12, 1)) + random.normal(0, 0.02, (12, 5))
        probabilities[look] = read / read.sum(-1, keepdims=True)
        weights[look] = np.full((12, 5), 0.2 if look == "dark" else 1.0, np.float32)
    return Readings(probabilities, weights)


@pytest.fixture(scope="module")
def drives(readings: Readings) -> list[Drive]:
    return [film(plan(seed, SIZES, GROUPS), readings) for seed in range(3)]


def decide(drives: list[Drive], config: Config) -> list[Alert]:
    alerts = []
    for number, drive in enumerate(drives):
        decider = Decider(config)
        steps = [decider.update(observation) for observation in drive.observations()]
        alerts += [Alert(number, x.kind, x.t) for step in steps for x in step.transitions if x.phase is Phase.START]
    return alerts


def test_the_same_seed_gives_the_same_drive_and_another_one_another() -> None:
    first, again, other = (plan(seed, SIZES, GROUPS) for seed in (1, 1, 2))
    assert (first.t == again.t).all()
    assert (first.picture == again.picture).all()
    assert first.episodes == again.episodes != other.episodes


def test_a_drive_is_minutes_long_with_both_kinds_of_episodes_and_blind_and_absent_moments(drives: list[Drive]) -> None:
    for drive in drives:
        assert 420.0 < drive.t[-1] < 660.0
        assert (np.diff(drive.t) > 0).all()
        assert {kind for kind, _, _ in drive.episodes} == set(drives_of.SHOWN)
        assert all(end - start >= 5.0 for _, start, end in drive.episodes)
        assert set(drive.sight) == {Sight.FACE, Sight.NO_FACE, Sight.DARK}


def test_one_drive_shows_the_yawns_of_one_driver() -> None:
    drive = plan(1, SIZES, GROUPS)
    assert len(set(GROUPS["yawn"][drive.picture[drive.look == LOOKS.index("yawn")]])) == 1


def test_pictures_are_read_in_several_views_and_dark_ones_weigh_less() -> None:
    random = np.random.default_rng(1)
    crops = {look: random.integers(0, 255, (3, 48, 48), np.uint8) for look in LOOKS[:8]}

    def read(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full(len(EXPRESSIONS), crop.mean(), np.float32)

    readings = read_looks(read, all_looks(crops, random), RULE, QualityConfig(), seed=1)
    assert set(readings.weights) == set(LOOKS)
    assert readings.probabilities["rest"].std(axis=1).max() > 0
    assert readings.weights["dark"].mean() < readings.weights["rest"].mean()


def test_an_alert_counts_inside_an_episode_of_its_kind_and_a_second_after() -> None:
    episodes = [Episode(0, "anger", 10.0, 16.0), Episode(0, "distress", 30.0, 36.0)]
    alerts = [Alert(0, "anger", t) for t in (9.9, 12.0, 17.0, 17.1, 32.0)] + [Alert(1, "anger", 12.0)]
    score = judge(alerts, episodes, hours=2.0)
    assert (score.found, score.episodes, score.false_alarms) == (1, 2, 4)
    assert score.delay_s == 2.0
    assert score.false_per_hour == 2.0


def test_a_short_episode_need_not_be_found_and_excuses_its_alert() -> None:
    score = judge([Alert(0, "anger", 2.0)], [Episode(0, "anger", 1.0, 4.0)], hours=1.0)
    assert (score.episodes, score.false_alarms, score.recall) == (0, 0, 1.0)


@pytest.mark.parametrize("enabled", [False, True])
def test_the_sweep_starts_the_alerts_that_the_real_decision_starts(drives: list[Drive], *, enabled: bool) -> None:
    """With a face that is learned, alerts outside an episode teach the sweep and not the decision; here are none."""
    config = Config.model_validate({"baseline": {"enabled": enabled}})
    base = config.alerts.expressions["anger"]
    episodes = [episode for number, drive in enumerate(drives) for episode in drive.labels(number)]
    alerts = config.alerts.expressions
    weights = np.array([[each.weights.get(name, 0.0) for name in EXPRESSIONS] for each in alerts.values()])
    batch = make_batch(
        tuple(alerts),
        [drive.t for drive in drives],
        [drive.weight.astype(float) for drive in drives],
        [weights @ drive.probabilities.T for drive in drives],
        episodes,
        config.smoothing.max_step_s,
    )
    rules = Rules(
        enter=np.array([base.enter, 0.4]),
        exit=np.array([base.exit, 0.2]),
        seldom=np.array([base.seldom, 0.4]),
        hold_s=np.array([base.hold_s, 0.5]),
        base=base,
    )
    ordinary = ordinary_face(config.vision)
    evidence = hold_against_rest(batch, smooth(batch, config.smoothing), config.baseline, ordinary)
    (shipped, _) = run_rules(batch, evidence, rules)
    real = judge(decide(drives, config), episodes, batch.hours)
    swept = shipped["anger"] + shipped["distress"]
    assert real.episodes > 10
    assert (swept.episodes, swept.found, swept.false_alarms) == (real.episodes, real.found, real.false_alarms)
    assert sorted(swept.delays) == pytest.approx(sorted(real.delays), abs=0.15)


def test_the_mean_of_a_second_forgets_what_is_older() -> None:
    t = np.arange(0.0, 5.0, 0.1)
    read = np.zeros((2, len(t)))
    read[0, 20:30] = 1.0
    batch = make_batch(drives_of.SHOWN, [t], [np.ones(len(t))], [read], [], 0.4)
    mean = frame_mean(batch, 1.0)[0, :, 0]
    assert mean[24] == pytest.approx(0.5)
    assert mean[29] == pytest.approx(1.0)
    assert mean[39] == pytest.approx(0.0)


def test_a_confusion_matrix_has_what_is_read_of_each_expression() -> None:
    answers = np.eye(len(EXPRESSIONS), dtype=np.float32)[[4] * 80 + [0] * 20]
    matrix = confusion(answers, np.full(100, 4))
    assert matrix[4, 4] == pytest.approx(0.8, abs=0.01)
    assert matrix.sum(1) == pytest.approx(1.0)


def test_readings_are_kept_until_the_model_or_the_pictures_change(readings: Readings, tmp_path: Path) -> None:
    model, folder = tmp_path / "model.tflite", ReadingsFolder(tmp_path / "kept")
    looks = {look: np.full((12, 48, 48), 7, np.uint8) for look in LOOKS}
    made = []

    def make() -> Readings:
        made.append(1)
        return readings

    def ask() -> Readings:
        return folder.of(model, looks, QualityConfig(), 1, make)

    model.write_bytes(b"one")
    ask()
    again = ask()
    assert len(made) == 1
    assert all((again.probabilities[look] == readings.probabilities[look]).all() for look in LOOKS)
    assert all((again.weights[look] == readings.weights[look]).all() for look in LOOKS)
    model.write_bytes(b"other")
    ask()
    looks["rest"] = looks["rest"] + 1
    ask()
    assert len(made) == 3
