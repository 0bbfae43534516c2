"""Simulated drives: their faces, their drivers, what happens in them, and the sweep beside the real decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.drives import PLAIN_S, SCENARIO_S, SCENARIOS, SHOWN, SORTS, Drive, Plan, Readings, Sort, film, plan
from calibration.faces import LOOKS, FaceSource, deal_drivers, looks_of, without_copies
from calibration.people import DRESSES, FULL, Person, cast, draw, shot, weigh
from calibration.readings import ReadingsFolder
from calibration.rivals import confusion, frame_mean
from calibration.workshop import side_by_side
from edge.config import Config, QualityConfig
from edge.decision.decider import Decider
from edge.domain import EXPRESSIONS, Phase, Sight
from edge.tuning.batch import Rules, make_batch, run_rules, smooth
from edge.tuning.rest import hold_against_rest
from edge.tuning.score import Alert, Episode, judge
from edge.tuning.table import STEP_S
from edge.vision.crop import CropRule
from edge.vision.ordinary import ordinary_face
from models.training import near_copies
from models.training.expression_data import Drivers
from tests.steady import steady

EACH = 12
READ_AS = {"anger": "anger", "distress": "sadness", "yawn": "yawn", "smile": "happiness", "surprise": "surprise"}


def noise(count: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pictures no two of which are alike."""
    return np.random.default_rng(seed).integers(0, 255, (count, 48, 48), np.uint8)


@pytest.fixture(scope="module")
def source() -> FaceSource:
    """Twelve faces of each look, and two drivers."""
    look = np.repeat(np.arange(len(LOOKS)), EACH)
    seat = (look == LOOKS.index("yawn")) | (look == LOOKS.index("cabin"))
    driver = np.where(seat, np.arange(len(look)) % 2, -1)
    return FaceSource("made", noise(len(look), 1), look, driver)


@pytest.fixture(scope="module")
def people(source: FaceSource) -> list[Person]:
    return cast(source, 4, seed=1)


def read(source: FaceSource, script: Plan) -> Drive:
    """The drive as a model reads it that is right with 0.6 to 0.9, and half sure of a mixture."""
    shots, index = np.unique(script.shot, axis=0, return_inverse=True)
    random = np.random.default_rng(5)
    probabilities = np.full((len(shots), len(EXPRESSIONS)), 0.01, np.float32)
    for row, each in zip(shots, probabilities, strict=True):
        for face, share in ((row[0], FULL - row[2]), (row[1], row[2])):
            each[EXPRESSIONS.index(READ_AS.get(LOOKS[source.look[face]], "neutral"))] += share * random.uniform(
                0.6, 0.9
            )
    probabilities /= probabilities.sum(1, keepdims=True)
    weights = np.where(shots[:, 3] == list(DRESSES).index("dark"), 0.2, 1.0).astype(np.float32)
    return film(script, index.reshape(-1), Readings(probabilities, weights))


@pytest.fixture(scope="module")
def drives(source: FaceSource, people: list[Person]) -> list[Drive]:
    return [read(source, plan("episodes", seed, source, people)) for seed in range(1)]


def decide(drives: list[Drive], config: Config) -> list[Alert]:
    alerts = []
    for number, drive in enumerate(drives):
        decider = Decider(config)
        steps = [decider.update(observation) for observation in drive.observations()]
        alerts += [Alert(number, x.kind, x.t) for step in steps for x in step.transitions if x.phase is Phase.START]
    return alerts


def test_near_copies_of_trained_faces_and_of_another_source_s_are_left_out() -> None:
    trained, one, other = noise(3, 1), noise(4, 2), noise(5, 3)
    one[2] = trained[1][:, ::-1]
    other[0] = np.clip(one[0].astype(int) + 3, 0, 255)
    apart = without_copies({"one": one, "other": other}, near_copies.thumbnails(trained))
    assert apart["one"].tolist() == [True, True, False, True]
    assert apart["other"].tolist() == [False, True, True, True, True]


def test_no_driver_is_dealt_to_two_sources_nor_one_that_trained() -> None:
    group = np.array([str(number) for number in range(80) for _ in range(2)])
    drivers = Drivers(noise(len(group), 1), np.zeros(len(group), bool), group)
    hands = [set(hand.group.tolist()) for hand in deal_drivers(drivers, 3)]
    assert all(hands)
    assert sum(map(len, hands)) == len(set.union(*hands))
    from models.training.expression_data import held_out  # noqa: PLC0415 - beside what it is held against

    assert held_out(np.array(sorted(set.union(*hands)))).all()


def test_disgust_and_contempt_are_shown_by_no_drive() -> None:
    shown = looks_of(np.arange(len(EXPRESSIONS)))
    assert {name for name, look in zip(EXPRESSIONS, shown, strict=True) if look < 0} == {"disgust", "contempt", "yawn"}


def test_a_driver_s_faces_are_of_their_looks_and_like_the_first_one() -> None:
    look = np.repeat(np.arange(len(LOOKS)), 40)
    crops = noise(len(look), 1)
    first = np.flatnonzero(look == LOOKS.index("rest"))[0]
    angry = np.flatnonzero(look == LOOKS.index("anger"))
    twins = angry[:12]
    crops[twins] = np.clip(0.5 * crops[twins] + 0.5 * crops[first], 0, 255).astype(np.uint8)
    seat = look >= LOOKS.index("yawn")
    source = FaceSource("made", crops, look, np.where(seat, 0, -1))
    people = cast(source, 40, seed=1)
    assert len({person.rest[0] for person in people}) == 40
    person = next(person for person in people if person.rest[0] == first)
    assert set(person.shown["anger"]) <= set(twins.tolist())
    assert all(source.look[face] == LOOKS.index("distress") for face in person.shown["distress"])


def test_the_same_seed_gives_the_same_drive_and_another_one_another(source: FaceSource, people: list[Person]) -> None:
    first, again, other = (plan("episodes", seed, source, people) for seed in (1, 1, 2))
    assert (first.t == again.t).all()
    assert (first.shot == again.shot).all()
    assert first.episodes == again.episodes != other.episodes
    assert (draw(source, first.shot[:50]) == draw(source, again.shot[:50])).all()


def test_drives_with_episodes_have_both_kinds_short_and_long_known_and_cold(
    source: FaceSource, people: list[Person]
) -> None:
    plans = [plan("episodes", seed, source, people) for seed in range(8)]
    episodes = [each for one in plans for each in one.episodes]
    lengths = np.array([end - start for _, start, end in episodes])
    assert {kind for kind, _, _ in episodes} == set(SHOWN)
    assert lengths.min() < 6.0
    assert 90.0 < lengths.max() < 185.0
    assert {cold for one in plans for cold in one.cold} == {True, False}
    for one in plans:
        assert (np.diff(one.t) > 0).all()
        ends = [0.0, *(end for _, _, end in one.episodes)]
        assert all(start > end for (_, start, _), end in zip(one.episodes, ends, strict=False))


def test_an_episode_rises_and_falls(source: FaceSource, people: list[Person]) -> None:
    one = plan("episodes", 0, source, people)
    kind, start, end = max(one.episodes, key=lambda each: each[2] - each[1])
    emotional = np.isin(source.look[one.shot[:, :2]], [LOOKS.index(kind)])
    shown = np.where(one.shot[:, 2] == 0, emotional[:, 0] * FULL, emotional[:, 1] * one.shot[:, 2])
    assert shown[np.abs(one.t - start) < 0.7].min() < 2
    assert shown[np.abs(one.t - end) < 0.9].min() < 2
    inside = (one.t > start + 1.0) & (one.t < end - 1.5) & (one.sight == 0)
    assert (shown[inside] >= 2).mean() > 0.9


@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "episodes"])
def test_plain_hours_and_scenarios_have_no_episode(source: FaceSource, people: list[Person], sort: Sort) -> None:
    one = plan(sort, 1, source, people)
    assert one.episodes == ()
    assert one.t[-1] >= (PLAIN_S if sort == "plain" else SCENARIO_S) - 1.0
    if sort == "plain":
        assert set(one.sight.tolist()) == {0, 1, 2}
        assert {name for n, name in enumerate(DRESSES) if (one.shot[:, 3] == n).any()} == set(DRESSES)


def test_steady_looks_are_never_a_full_expression(source: FaceSource, people: list[Person]) -> None:
    emotional = [LOOKS.index(kind) for kind in SHOWN]
    for sort in SCENARIOS:
        for seed in range(3):
            shots = plan(sort, seed, source, people).shot
            assert not np.isin(source.look[shots[shots[:, 2] == 0, 0]], emotional).any()
            assert (shots[np.isin(source.look[shots[:, 1]], emotional), 2] <= FULL // 2).all()


def test_each_dress_changes_the_picture_and_darkness_its_weight(source: FaceSource) -> None:
    rule, flat = CropRule(48, 0.5, 0.575, 0.376), QualityConfig()
    ramp = np.clip(np.add.outer(np.arange(48) * 2, np.arange(48) * 2) + 40, 0, 255).astype(np.uint8)
    textured = replace(source, crops=np.clip(source.crops // 4 + ramp // 2 + 40, 0, 255).astype(np.uint8))
    rows = np.array([shot(0, 0, 0, dress, 0) for dress in DRESSES])
    pictures = draw(textured, rows).astype(int)
    assert all(np.abs(pictures[n] - pictures[0]).mean() > 2.0 for n in range(1, len(DRESSES)))
    dark = draw(textured, rows)[list(DRESSES).index("dark")]
    assert weigh(dark, rule, flat) < weigh(draw(textured, rows)[0], rule, flat)


def test_a_mixture_of_no_step_or_of_all_is_a_single_face() -> None:
    assert shot(3, 9, 0, "none", 1) == shot(3, 3, 0, "none", 1)
    assert shot(3, 9, FULL, "none", 1) == shot(9, 9, 0, "none", 1)


def test_where_no_face_is_seen_the_decision_gets_none(drives: list[Drive]) -> None:
    for drive in drives:
        seen = [observation.sight for observation in drive.observations()]
        assert [sight is Sight.FACE for sight in seen] == (drive.sight == 0).tolist()
        assert Sight.NO_FACE in seen


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


@pytest.mark.parametrize(("enabled", "max_alert_s"), [(False, 120.0), (True, 600.0), (False, 2.0)])
def test_the_sweep_starts_the_alerts_that_the_real_decision_starts(
    drives: list[Drive], max_alert_s: float, *, enabled: bool
) -> None:
    """Where a face is learned, alerts outside an episode teach the sweep alone, what lasts the decision: few here."""
    alerts = {kind: {"max_alert_s": max_alert_s} for kind in Config().alerts.enabled}
    config = steady(baseline={"enabled": enabled}, alerts=alerts)
    base = config.alerts.expressions["anger"]
    made = side_by_side(drives, config)
    rules = Rules(
        enter=np.array([base.enter, 0.4]),
        hold_s=np.array([base.hold_s, 0.5]),
        base=base,
    )
    signals = smooth(made.batch)
    evidence = hold_against_rest(made.batch, signals, config.baseline, ordinary_face(config.vision))
    (shipped, _) = run_rules(made.batch, evidence, rules)
    real = judge(decide(drives, config), made.episodes, made.batch.hours)
    swept = shipped["anger"] + shipped["distress"]
    assert real.episodes > 5
    assert (swept.episodes, swept.found, swept.false_alarms) == (real.episodes, real.found, real.false_alarms)
    assert sorted(swept.delays) == pytest.approx(sorted(real.delays), abs=1.25 * STEP_S)


def test_the_mean_of_a_second_forgets_what_is_older() -> None:
    t = np.arange(0.0, 5.0, 0.1)
    read = np.zeros((2, len(t)))
    read[0, 20:30] = 1.0
    batch = make_batch(SHOWN, [t], [np.ones(len(t))], [read], [])
    mean = frame_mean(batch, 1.0)[0, :, 0]
    assert mean[24] == pytest.approx(0.5)
    assert mean[29] == pytest.approx(1.0)
    assert mean[39] == pytest.approx(0.0)


def test_a_confusion_matrix_has_what_is_read_of_each_expression() -> None:
    answers = np.eye(len(EXPRESSIONS), dtype=np.float32)[[4] * 80 + [0] * 20]
    matrix = confusion(answers, np.full(100, 4))
    assert matrix[4, 4] == pytest.approx(0.8, abs=0.01)
    assert matrix.sum(1) == pytest.approx(1.0)


def test_readings_are_kept_until_the_model_the_faces_or_the_pictures_change(source: FaceSource, tmp_path: Path) -> None:
    model, folder = tmp_path / "model.tflite", ReadingsFolder(tmp_path / "kept")
    shots = np.array([shot(0, 1, 2, "none", 0)])
    made = []

    def make() -> Readings:
        made.append(1)
        return Readings(np.full((1, 9), 0.1, np.float32), np.ones(1, np.float32))

    model.write_bytes(b"one")
    for _ in range(2):
        kept = folder.of(model, source, shots, QualityConfig(), make)
    assert len(made) == 1
    assert (kept.probabilities == make().probabilities).all()
    made.clear()
    model.write_bytes(b"other")
    folder.of(model, source, shots, QualityConfig(), make)
    folder.of(model, replace(source, crops=source.crops + 1), shots, QualityConfig(), make)
    folder.of(model, source, shots + 1, QualityConfig(), make)
    assert len(made) == 3
