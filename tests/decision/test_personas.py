"""Two minutes with each of some synthetic drivers: when does what start and end?

Every persona drives at 5 to 60 frames a second, with the intervals jittered by a third, now and then a gap without
frames, and the model's answers noisy over time as real ones are (correlated over 0.4 s). Expected times hold for every
frame rate and seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import (
    Kind,
    Level,
    Observation,
    Phase,
    ReasonCode,
    Sight,
    State,
    Step,
    Transition,
)
from tests.steady import steady

Look = Callable[..., Observation]
Script = Callable[[float], dict[str, float] | Sight | None]
"""What a driver shows at a time: probabilities of expressions, a sight without a face, or None for no frame at all."""

RATES = (5.0, 10.0, 15.0, 30.0, 60.0)
DRIVE_S = 120.0
NOISE = 0.12
NOISE_S = 0.4
GAP_S = 0.4
GAP_EVERY_S = 10.0
"""Frames are missing for GAP_S, at a random time in each GAP_EVERY_S."""

pytestmark = pytest.mark.parametrize("fps", RATES)


@dataclass(frozen=True)
class Drive:
    """What was decided in two minutes."""

    steps: list[Step]

    @property
    def transitions(self) -> list[Transition]:
        return [transition for step in self.steps for transition in step.transitions]

    def of(self, phase: Phase, kind: Kind = "anger") -> list[float]:
        return [x.t for x in self.transitions if x.phase is phase and x.kind is kind]

    def states(self, begin: float, end: float) -> set[State]:
        return {step.state for step in self.steps if begin <= step.observation.t < end}

    def since(self, state: State, begin: float) -> float:
        """First time from ``begin`` on with this state."""
        return next(x.observation.t for x in self.steps if x.observation.t >= begin and x.state is state)


@pytest.fixture
def drive(fps: float, look: Look) -> Callable[..., Drive]:
    def make(script: Script, seed: int = 1, config: Config | None = None) -> Drive:
        decider = Decider(config or steady())
        return Drive([decider.update(observation) for observation in film(script, fps, seed, look)])

    return make


def film(script: Script, fps: float, seed: int, look: Look) -> Iterator[Observation]:
    """What the camera and the models make of a driver: jittered times, noise that lasts for some tenths of a second."""
    random = np.random.default_rng(seed)
    count = int(DRIVE_S * fps)
    times = np.cumsum(random.uniform(2 / 3, 4 / 3, count) / fps)
    keep = math.exp(-1.0 / fps / NOISE_S)
    noise = 0.0
    gaps = [begin + random.uniform(0, GAP_EVERY_S - GAP_S) for begin in np.arange(0, 2 * DRIVE_S, GAP_EVERY_S)]
    for t, push in zip(times.tolist(), random.normal(scale=NOISE * math.sqrt(1 - keep**2), size=count), strict=True):
        noise = keep * noise + push
        begin = gaps[int(t / GAP_EVERY_S)]
        seen = None if begin <= t < begin + GAP_S else script(t)
        if isinstance(seen, Sight):
            yield Observation(t, seen)
        elif seen is not None:
            share = noise / max(sum(seen.values()), NOISE)
            yield look(t, **{name: min(max(p + share * p, 0.0), 1.0) for name, p in seen.items()})


def during(t: float, *spans: tuple[float, float]) -> bool:
    return any(begin <= t < end for begin, end in spans)


def every(t: float, period_s: float, length_s: float) -> bool:
    return t % period_s < length_s


@pytest.mark.parametrize("seed", range(2))
def test_calm_driver_is_calm_after_one_look_and_stays_so(drive: Callable[..., Drive], seed: int) -> None:
    result = drive(lambda _: {"anger": 0.08, "sadness": 0.06, "happiness": 0.1}, seed)
    assert result.states(0.0, 0.9) == {State.UNCERTAIN}
    assert result.states(2.0, DRIVE_S) == {State.CALM}
    assert result.transitions == []


@pytest.mark.parametrize("seed", range(2))
def test_driver_angry_for_8_s_is_warned_about_in_3_s_and_no_longer_5_s_after(
    drive: Callable[..., Drive], seed: int
) -> None:
    result = drive(lambda t: {"anger": 0.7 if during(t, (60, 68)) else 0.06}, seed)
    (start,), (end,) = result.of(Phase.START), result.of(Phase.END)
    assert 61.5 < start < 63.0
    assert 71.0 < end < 73.0
    assert result.of(Phase.ESCALATE) == []
    assert result.states(start, end) == {State.WARNING}
    assert result.states(end, DRIVE_S) == {State.CALM}


def test_driver_distressed_for_12_s_becomes_urgent(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: {"fear": 0.5, "sadness": 0.3} if during(t, (60, 72)) else {"sadness": 0.1})
    (start,), (urgent,), (end,) = (result.of(phase, "distress") for phase in Phase)
    assert 61.0 < start < 63.0
    assert 69.0 < urgent < 71.5
    assert 75.0 < end < 77.0
    assert result.states(urgent, end) == {State.URGENT}
    assert result.of(Phase.START) == []


def test_yawner_is_never_angry(drive: Callable[..., Drive]) -> None:
    """Yawns of 5 s every 15 s, whose first and last second look half angry."""

    def yawner(t: float) -> dict[str, float]:
        at = t % 15.0
        if at < 5.0:
            return {"anger": 0.45, "yawn": 0.4} if at < 1.0 or at > 4.0 else {"anger": 0.15, "yawn": 0.8}
        return {"anger": 0.06}

    assert drive(yawner).transitions == []


def test_talker_whose_syllables_look_angry_is_never_angry(drive: Callable[..., Drive]) -> None:
    assert drive(lambda t: {"anger": 0.75 if every(t, 1.6, 0.4) else 0.1}).transitions == []


@pytest.mark.parametrize("seed", range(2))
def test_singer_is_neither_angry_nor_distressed(drive: Callable[..., Drive], seed: int) -> None:
    """Notes of 0.4 s, half of them with the mouth open, one in six like sorrow, one in six like anger."""
    random = np.random.default_rng(seed)
    notes = random.choice(["surprise", "surprise", "happiness", "neutral", "sadness", "anger"], size=400)
    assert drive(lambda t: {str(notes[int(t / 0.4)]): 0.65}, seed).transitions == []


def test_driver_who_squints_into_the_sun_is_not_angry(drive: Callable[..., Drive]) -> None:
    """Squinting is read as some anger and disgust for as long as the sun stands there."""
    result = drive(lambda t: {"anger": 0.2, "disgust": 0.2} if t > 40 else {"anger": 0.06})
    assert result.transitions == []


def test_resting_frown_is_known_in_a_minute_and_real_anger_is_still_found(drive: Callable[..., Drive]) -> None:
    """With what ships; while the frown is not known it may alert, once."""
    result = drive(lambda t: {"anger": 0.88 if during(t, (100, 110)) else 0.48}, config=Config())
    *early, start = result.of(Phase.START)
    assert len(early) <= 1
    assert all(end - begin < 60 for begin, end in zip(early, result.of(Phase.END), strict=False))
    assert 100.5 < start < 109.0


def test_of_two_drivers_in_turn_the_second_is_not_measured_by_the_first(drive: Callable[..., Drive]) -> None:
    """One with a resting frown leaves for 25 s; the other's plain face is then angry as one who is known."""

    def two(t: float) -> dict[str, float] | Sight:
        if during(t, (45, 70)):
            return Sight.NO_FACE
        return {"anger": 0.42 if t < 45 else 0.7 if during(t, (108, 116)) else 0.06}

    result = drive(two)
    (start,) = [t for t in result.of(Phase.START) if t > 45]
    assert 109.5 < start < 111.5
    assert result.states(48.0, 70.0) == {State.ABSENT}


def test_driver_who_looks_away_every_5_s_is_still_found_angry(drive: Callable[..., Drive]) -> None:
    def glancer(t: float) -> dict[str, float] | Sight:
        return Sight.NO_FACE if every(t, 5.0, 1.2) else {"anger": 0.7 if during(t, (61, 75)) else 0.06}

    result = drive(glancer)
    (start,), (end,) = result.of(Phase.START), result.of(Phase.END)
    assert 62.2 < start < 64.5
    assert 78.0 < end < 81.5
    assert result.states(3.0, 60.0) == {State.CALM}


def test_flickering_model_that_sees_anger_in_every_fourth_frame_gives_no_alert(drive: Callable[..., Drive]) -> None:
    random = np.random.default_rng(3)
    assert drive(lambda _: {"anger": 0.75 * (random.random() < 0.25)}).transitions == []


def test_flickering_model_does_not_hide_an_angry_driver(drive: Callable[..., Drive]) -> None:
    random = np.random.default_rng(3)
    result = drive(lambda t: {"anger": 0.8 * (random.random() < 0.85) if during(t, (60, 70)) else 0.06})
    (start,) = result.of(Phase.START)
    assert 61.5 < start < 64.0


def test_camera_that_stalls_for_4_s_leaves_calm_unsaid_until_it_is_known_again(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: None if during(t, (60, 64)) else {"anger": 0.06})
    assert result.states(64.0, 64.55) == {State.UNCERTAIN}
    assert result.states(66.0, DRIVE_S) == {State.CALM}
    assert result.transitions == []


def test_angry_frame_after_a_stall_does_not_speak_for_the_stall(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: None if during(t, (60, 64)) else {"anger": 0.9 if during(t, (64, 64.8)) else 0.06})
    assert result.transitions == []


def test_driver_who_leaves_is_absent_in_2_s_and_uncertain_before_calm_on_return(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: Sight.NO_FACE if during(t, (40, 80)) else {"anger": 0.06})
    assert 41.7 < result.since(State.ABSENT, 40.0) < 42.7
    assert result.states(43.0, 81.0) == {State.ABSENT}
    assert result.states(82.0, DRIVE_S) == {State.CALM}
    assert result.transitions == []


def test_angry_driver_who_leaves_ends_the_alert_as_absent(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: Sight.NO_FACE if t >= 50 else {"anger": 0.7 if t > 40 else 0.06})
    (end,) = [x for x in result.transitions if x.phase is Phase.END]
    assert end.reason.code is ReasonCode.ABSENT
    assert 65.0 < end.t < 67.0


def test_resting_anger_between_two_fits_ends_each_by_itself(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: {"anger": 0.75 if during(t, (30, 36), (60, 66)) else 0.1})
    assert [x.phase for x in result.transitions] == [Phase.START, Phase.END] * 2
    assert [x.episode for x in result.transitions] == [1, 1, 2, 2]
    assert all(x.level is Level.WARNING for x in result.transitions)


def test_blind_camera_is_said_in_a_second(drive: Callable[..., Drive]) -> None:
    result = drive(lambda t: Sight.DARK if during(t, (60, 70)) else {"anger": 0.06})
    assert 60.8 < result.since(State.BLIND, 60.0) < 61.6
    assert State.CALM not in result.states(61.6, 70.9)
    times = [step.observation.t for step in result.steps if step.state is State.BLIND]
    assert all(later - earlier < 2 * GAP_S + 0.3 for earlier, later in pairwise(times))
