"""The driver's resting face: who is helped by it, and that nobody can hide behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.decision.baseline import FLOOR_S, LEARN_AFTER_S, LEVELS, MEMORY_S, RestingFace
from edge.decision.decider import Decider
from edge.decision.ordinary import OrdinaryFace
from edge.domain import Observation, Phase, Sight, Step, Transition
from tests.steady import steady

Look = Callable[..., Observation]

FPS = 10
FROWN, SORROW = {"anger": 0.44}, {"sadness": 0.44}
NOISE = 0.12
NOISE_FRAMES = 20
"""A resting frown is read as 0.44, for one spell of 2 s in twelve as 0.56, which is above 'enter', and as 0.32."""


def log_odds(share: float) -> float:
    return math.log(share / (1 - share))


def resting(learned_s: float, level: int) -> RestingFace:
    """A face that showed one of LEVELS of anger all the time, and no distress."""
    shown, nothing = [0.0] * len(LEVELS), [0.0] * len(LEVELS)
    shown[level] = nothing[0] = learned_s
    mean = {"anger": LEVELS[level], "distress": LEVELS[0]}
    return RestingFace(learned_s, mean, {"anger": tuple(shown), "distress": tuple(nothing)})


class Ride:
    """A decider and what it says of drivers at 10 frames a second."""

    def __init__(self, look: Look, config: Config | None = None, seed: int = 1) -> None:
        self.decider = Decider(config or steady())
        self.look = look
        self.t = 0.0
        self.box = (100.0, 80.0, 150.0, 150.0)
        self.steps: list[Step] = []
        self._random = np.random.default_rng(seed)
        self._swing = 0.0

    def see(self, seconds: float, noise: float = 0.0, **shown: float) -> Step:
        for _ in range(round(seconds * FPS)):
            self.t += 1 / FPS
            if round(self.t * FPS) % NOISE_FRAMES == 0:
                self._swing = noise * float(self._random.choice([-1.0, 1.0, *[0.0] * 10]))
            seen = {name: min(max(value + self._swing, 0.0), 1.0) for name, value in shown.items()}
            self.steps.append(self.decider.update(self.look(self.t, box=self.box, **seen)))
        return self.steps[-1]

    def miss(self, seconds: float, sight: Sight = Sight.NO_FACE) -> None:
        for _ in range(round(seconds * FPS)):
            self.t += 1 / FPS
            self.steps.append(self.decider.update(Observation(self.t, sight)))

    def starts(self, begin: float = 0.0) -> list[Transition]:
        found = [x for step in self.steps for x in step.transitions if x.phase is Phase.START]
        return [x for x in found if x.t >= begin]

    @property
    def percent(self) -> float:
        percent = self.decider.calibrated_percent
        assert percent is not None
        return percent


@pytest.fixture
def ride(look: Look) -> Ride:
    return Ride(look)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("resting", [FROWN, SORROW])
def test_a_resting_frown_gives_no_alert_once_it_is_known_and_an_angry_driver_still_does(
    look: Look, resting: dict[str, float], seed: int
) -> None:
    unlearned = Ride(look, steady(baseline={"enabled": False}), seed)
    ride = Ride(look, seed=seed)
    while ride.percent < 100.0:
        assert ride.t < 10 * FLOOR_S, "an early alert must not keep the frown from being learned"
        ride.see(1.0, NOISE, **resting)
    learned = ride.t
    for each in (unlearned, ride):
        each.see(400.0, NOISE, **resting)
    assert len(unlearned.starts()) > 3, "the frown would be an alert again and again"
    assert ride.starts(learned) == []
    angry = ride.t
    ride.see(8.0, anger=0.85)
    (start,) = ride.starts(angry)
    assert start.kind == "anger"
    assert start.t - angry < 3.0


def test_a_driver_who_squints_into_the_sun_for_minutes_gives_no_alert(ride: Ride) -> None:
    """Squinting is read as some anger and disgust for as long as the sun stands there."""
    ride.see(60.0, anger=0.05)
    ride.see(300.0, 0.05, anger=0.28, disgust=0.2)
    assert ride.starts() == []


@pytest.mark.parametrize("seed", range(4))
def test_a_singer_gives_no_alert_and_teaches_no_frown(look: Look, seed: int) -> None:
    """Notes of 0.2 to 0.6 s, half of them with the mouth open, one in six like sorrow, one in six like anger."""
    random, ride = np.random.default_rng(seed), Ride(look)
    while ride.t < 300.0:
        note = str(random.choice(["surprise", "surprise", "happiness", "neutral", "sadness", "anger"]))
        ride.see(float(random.uniform(0.2, 0.6)), **{note: 0.65})
    assert ride.starts() == []
    assert ride.see(3.0, anger=0.8).signals.of("anger") > 0.7


def test_of_two_drivers_in_turn_each_is_known_by_the_own_face(ride: Ride) -> None:
    ride.see(2 * FLOOR_S, **FROWN)
    corrected = ride.steps[-1].signals.of("anger")
    ride.miss(30.0)
    second = ride.see(1.0, anger=0.44).signals.of("anger")
    assert corrected < second - 0.2, "the second driver is not measured by the first one's frown"
    assert ride.percent < 10.0
    ride.see(2 * FLOOR_S, anger=0.06)
    assert ride.percent == 100.0
    assert ride.see(5.0, anger=0.44).signals.of("anger") == pytest.approx(0.44, abs=0.02)
    begin = ride.t
    ride.see(4.0, anger=0.7)
    assert len(ride.starts(begin)) == 1


def test_a_frown_below_the_threshold_upholds_no_alert_for_ever(ride: Ride) -> None:
    ride.see(3.0)
    ride.see(4.0, anger=0.8)
    ride.see(30.0, anger=0.44)
    phases = [x.phase for step in ride.steps for x in step.transitions]
    assert phases == [Phase.START, Phase.END]


def test_the_first_driver_is_remembered_over_a_look_away(ride: Ride) -> None:
    ride.see(2 * FLOOR_S, **FROWN)
    ride.miss(10.0)
    assert ride.percent == 100.0


def test_a_driver_who_was_out_of_sight_for_long_is_a_new_one_whatever_hid_the_seat(ride: Ride) -> None:
    ride.see(2 * FLOOR_S, **FROWN)
    ride.miss(30.0, Sight.DARK)
    assert ride.percent == 0.0
    ride.see(2 * FLOOR_S, **FROWN)
    ride.t += 60.0  # no frame at all
    ride.see(0.1)
    assert ride.percent < 2.0


def test_one_expression_more_in_a_minute_changes_no_resting_face(ride: Ride) -> None:
    ride.see(4 * FLOOR_S, anger=0.06)
    ride.see(8.0, anger=0.44)
    assert ride.decider.resting_face.mean["anger"] < log_odds(0.1)


def test_a_long_pause_is_a_time_out_of_sight(ride: Ride) -> None:
    ride.see(2 * FLOOR_S, **FROWN)
    ride.decider.pause(ride.t, 3600.0)
    ride.t += 1800.0
    ride.see(0.1)
    assert ride.percent == 0.0


def test_nothing_is_taken_off_before_the_floor_and_only_what_is_not_ordinary_after(ride: Ride) -> None:
    assert ride.see(FLOOR_S + LEARN_AFTER_S - 1.0, **FROWN).signals.of("anger") == pytest.approx(0.44)
    assert 90.0 < ride.percent < 100.0
    face = OrdinaryFace()
    excess = (face.most / (1 - face.most)) / (face.signal / (1 - face.signal))
    odds = 0.44 / 0.56 / excess
    assert ride.see(2.0, **FROWN).signals.of("anger") == pytest.approx(odds / (1 + odds), abs=0.01)
    assert ride.percent == 100.0


def test_a_restless_face_needs_more_evidence_than_a_still_one(look: Look) -> None:
    """A calm face that is read as angry for a second in five says less when it is read so for two."""
    begun = []
    for twitch in (0.06, 0.9):
        ride = Ride(look)
        for _ in range(20):
            ride.see(4.0, anger=0.06)
            ride.see(1.0, anger=twitch)
        assert ride.starts() == []
        ride.see(4.0, anger=0.06)
        begin = ride.t
        ride.see(10.0, anger=0.9)
        (start,) = ride.starts(begin)
        begun.append(start.t - begin)
    still_s, restless_s = begun
    assert still_s < 2.2
    assert 1.3 * still_s < restless_s < 9.0


def test_an_ordinary_face_changes_no_signal(ride: Ride) -> None:
    ride.see(2 * FLOOR_S, anger=0.09, sadness=0.09)
    assert ride.see(5.0, anger=0.6).signals.of("anger") == pytest.approx(0.6, abs=0.01)


def test_learning_stops_while_an_alert_is_on(ride: Ride) -> None:
    ride.see(10.0)
    ride.see(4.0, anger=0.8)
    before = ride.decider.resting_face
    assert len(ride.starts()) == 1
    ride.see(2.0, anger=0.45)
    assert ride.decider.resting_face == before


def test_what_led_to_an_alert_is_not_learned(ride: Ride) -> None:
    ride.see(2 * FLOOR_S)
    ride.see(LEARN_AFTER_S)
    before = ride.decider.resting_face
    ride.see(3.0, anger=0.9)
    assert len(ride.starts()) == 1
    shown = ride.decider.resting_face.at_s["anger"]
    assert sum(shown) > sum(before.at_s["anger"])
    assert sum(shown[LEVELS.index(0.0) :]) == 0.0


def test_a_driver_who_is_not_known_yet_is_warned_later(look: Look) -> None:
    begun = []
    for seconds in (5.0, 4 * FLOOR_S):
        ride = Ride(look)
        ride.see(seconds)
        begin = ride.t
        ride.see(8.0, anger=0.75)
        (start,) = ride.starts()
        begun.append(start.t - begin)
    unknown_s, known_s = begun
    assert known_s < 2.2
    assert unknown_s > 1.2 * known_s


@pytest.mark.parametrize("shown", ["anger", "sadness"])
@pytest.mark.parametrize("share", [0.55, 0.7, 0.9])
def test_an_expression_from_the_first_second_on_is_an_alert_before_it_is_ordinary(
    ride: Ride, shown: str, share: float
) -> None:
    ride.see(15.0, **{shown: share})
    assert len(ride.starts()) == 1


@pytest.mark.parametrize("shown", ["anger", "sadness"])
def test_a_calm_face_is_no_evidence_where_nothing_is_learned(look: Look, shown: str) -> None:
    ride = Ride(look, steady(baseline={"enabled": False}))
    ride.see(120.0, **{shown: 0.1})
    ride.see(1.2, **{shown: 0.95})
    assert ride.starts() == []


def test_a_look_that_comes_again_and_again_becomes_usual(ride: Ride) -> None:
    """A driver who looks sad for 1.5 s in every 15, as the model reads it, is warned of once at most."""
    for _ in range(40):
        ride.see(13.5, sadness=0.05)
        ride.see(1.5, sadness=0.75)
    assert len(ride.starts()) <= 1


def test_frames_that_are_read_badly_teach_less(look: Look) -> None:
    percents = []
    for weight in (0.4, 1.0):
        ride = Ride(look)
        for n in range(160):
            ride.decider.update(look(n / FPS, weight=weight))
        percents.append(ride.percent)
    assert percents[0] == pytest.approx(0.4 * percents[1], rel=0.01)


def test_memory_is_bounded_so_that_a_face_that_changes_is_learned_again(look: Look) -> None:
    ride = Ride(look)
    ride.see(1.2 * MEMORY_S, anger=0.05)
    ride.see(3.0 * MEMORY_S, **FROWN)
    assert ride.decider.resting_face.mean["anger"] > log_odds(0.4)
    assert ride.decider.resting_face.learned_s == pytest.approx(MEMORY_S)


class TestRestart:
    def test_what_was_learned_is_used_at_once(self, ride: Ride, look: Look) -> None:
        ride.see(2 * FLOOR_S, **FROWN)
        again = Ride(look)
        again.decider.restore(ride.decider.resting_face)
        assert again.percent == 100.0
        assert again.see(5.0, **FROWN).signals.of("anger") == pytest.approx(
            ride.steps[-1].signals.of("anger"), abs=0.01
        )

    def test_another_driver_outweighs_it_soon(self, look: Look) -> None:
        again = Ride(look)
        again.decider.restore(resting(300.0, LEVELS.index(-0.5)))
        again.see(3 * FLOOR_S, anger=0.06)
        assert again.see(5.0, anger=0.6).signals.of("anger") > 0.5

    def test_recalibrate_forgets_it(self, ride: Ride) -> None:
        ride.see(2 * FLOOR_S, **FROWN)
        ride.decider.recalibrate()
        assert ride.percent == 0.0
        assert ride.see(5.0, **FROWN).signals.of("anger") == pytest.approx(0.44)


def test_switched_off_nothing_is_learned_and_nothing_said(look: Look) -> None:
    ride = Ride(look, steady(baseline={"enabled": False}))
    assert ride.see(2 * FLOOR_S, **FROWN).signals.of("anger") == pytest.approx(0.44)
    assert ride.decider.calibrated_percent is None


def test_with_no_expression_judged_there_is_nothing_to_learn(look: Look) -> None:
    off = {kind: {"enabled": False} for kind in Config().alerts.expressions}
    ride = Ride(look, Config.model_validate({"alerts": off}))
    ride.see(2 * FLOOR_S, **FROWN)
    assert ride.starts() == []


@settings(max_examples=30, deadline=None)
@given(
    past=st.lists(st.tuples(st.floats(1.0, 60.0), st.floats(0.0, 0.6), st.floats(0.0, 0.4)), max_size=5),
    stored=st.sampled_from(range(len(LEVELS))),
)
def test_no_past_hides_a_driver_who_is_clearly_angry(
    look: Look, past: list[tuple[float, float, float]], stored: int
) -> None:
    ride = Ride(look)
    ride.decider.restore(resting(1000.0, stored))
    for seconds, anger, sadness in past:
        ride.see(seconds, anger=anger, sadness=sadness)
    ride.see(15.0)
    begin = ride.t
    ride.see(12.0, anger=0.9)
    (start,) = ride.starts(begin)
    assert start.t - begin < 10.0
    assert all(0.0 <= step.signals.of("anger") <= 1.0 for step in ride.steps)
    assert all(a.signals.t <= b.signals.t for a, b in pairwise(ride.steps))
