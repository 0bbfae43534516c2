"""What the decision does with single, telling sequences of observations."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from edge.config import Config
from edge.decision.decider import Decider
from edge.decision.interval import MAX_STEP_S
from edge.decision.smoothing import TIME_CONSTANT_S, Smoother
from edge.domain import (
    Observation,
    Phase,
    Reason,
    Sight,
    State,
    Step,
    Transition,
)
from edge.words import say
from tests.steady import STEADY, steady

Look = Callable[..., Observation]

ANGRY = {"anger": 0.9}
KNOWN_S = 40.0
"""Of sight, after which a driver is known."""


class Ride:
    """A decider and the observations that it gets, at 10 a second unless said."""

    def __init__(self, look: Look, config: Config | None = None) -> None:
        self.decider = Decider(config or steady())
        self.look = look
        self.t = 0.0
        self.steps: list[Step] = []

    def see(self, seconds: float, fps: float = 10.0, weight: float = 1.0, **shown: float) -> Step:
        """Show a face for some seconds; return the last step."""
        for _ in range(round(seconds * fps)):
            self.t += 1.0 / fps
            self.steps.append(self.decider.update(self.look(self.t, weight, **shown)))
        return self.steps[-1]

    def miss(self, seconds: float, sight: Sight = Sight.NO_FACE, reason: str = "") -> Step:
        """Show no face for some seconds; return the last step."""
        for _ in range(round(seconds * 10)):
            self.t += 0.1
            self.steps.append(self.decider.update(Observation(self.t, sight, reason=Reason.told(reason))))
        return self.steps[-1]

    @property
    def transitions(self) -> list[Transition]:
        return [transition for step in self.steps for transition in step.transitions]

    @property
    def phases(self) -> list[Phase]:
        return [transition.phase for transition in self.transitions]


@pytest.fixture
def ride(look: Look) -> Ride:
    return Ride(look)


def test_bad_frame_is_no_vote_for_calm(ride: Ride) -> None:
    before = ride.see(5.0, **ANGRY).signals
    after = ride.see(0.5, weight=0.0).signals
    assert after.of("anger") == pytest.approx(before.of("anger"))
    assert after.confidence < 0.6 * before.confidence


def test_poor_frame_moves_the_signal_less_than_a_good_one(look: Look) -> None:
    calm = [Ride(look), Ride(look)]
    for each, weight in zip(calm, (0.2, 1.0), strict=True):
        each.see(5.0)
        each.see(0.3, weight=weight, **ANGRY)
    poor, good = (each.steps[-1].signals.of("anger") for each in calm)
    assert 0.05 < poor < good / 2


def test_nothing_stands_behind_the_signals_at_first(ride: Ride) -> None:
    step = ride.see(0.1, **ANGRY)
    assert step.signals.confidence == 0.0
    assert step.signals.of("anger") == 0.0
    assert step.state is State.UNCERTAIN


def test_mean_reaches_63_percent_after_one_time_constant_at_any_frame_rate(look: Look) -> None:
    for fps in (5, 10, 30, 60):
        smoother = Smoother()
        for _ in range(10 * fps):
            smoother.update(1 / fps, look(0.0).probabilities, 1.0)
        steps = round(TIME_CONSTANT_S * fps)
        for _ in range(steps):
            smoother.update(TIME_CONSTANT_S / steps, look(0.0, anger=1.0).probabilities, 1.0)
        assert smoother.expression[4] == pytest.approx(0.632, abs=0.005)
        assert smoother.confidence == pytest.approx(1.0, abs=1e-3)


def test_frame_after_a_gap_stands_for_no_longer_than_allowed(look: Look) -> None:
    short, long = Smoother(), Smoother()
    short.update(MAX_STEP_S, look(0.0, **ANGRY).probabilities, 1.0)
    long.update(100.0, look(0.0, **ANGRY).probabilities, 1.0)
    assert long.confidence == pytest.approx(short.confidence)


def test_one_calm_frame_or_a_glance_does_not_reset_the_evidence(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(2.0, **ANGRY)
    ride.see(0.1)
    ride.miss(0.4)
    ride.see(1.2, **ANGRY)
    assert ride.phases == [Phase.START]


def test_half_a_second_of_calm_costs_only_what_it_lasts(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(2.0, **ANGRY)
    ride.see(0.5)
    ride.see(1.6, **ANGRY)
    assert ride.phases == [Phase.START]


def test_no_alert_starts_while_nobody_is_seen(look: Look) -> None:
    ride = Ride(look, steady(alerts={"anger": {"cool_down_s": 5.0}}))
    ride.see(KNOWN_S)
    ride.see(3.0, **ANGRY)
    ride.see(4.0)
    ended = len(ride.transitions)
    ride.see(4.0, **ANGRY)
    ride.miss(3.0)
    assert ended == len(ride.transitions) == 2


def test_evidence_is_forgotten_while_the_driver_is_away(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(1.4, **ANGRY)
    ride.miss(8.0)
    ride.see(1.0, **ANGRY)
    assert ride.phases == []


def test_alert_names_the_expression_that_made_it(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(4.5, fear=0.35, sadness=0.4)
    (start,) = ride.transitions
    assert start.expression == "sadness"
    assert start.duration_s == 0.0
    assert say(ride.steps[-1].reason) == "distress"


def test_a_second_kind_of_alert_needs_more_while_the_first_is_on(look: Look) -> None:
    begun = []
    for first in (0.05, 0.9):
        ride = Ride(look)
        ride.see(KNOWN_S)
        ride.see(3.0, anger=first)
        begin = ride.t
        ride.see(8.0, anger=0.25, fear=0.75)
        (start,) = (x for x in ride.transitions if x.kind == "distress" and x.phase is Phase.START)
        begun.append(start.t - begin)
    plain_s, beside_s = begun
    assert plain_s < 3.0
    assert beside_s > 1.5 * plain_s


def test_an_alert_starts_where_an_expression_was_clear_once_and_goes_on(look: Look) -> None:
    """Of 0.45 alone there is no alert, however long: the smoothed signal is never at ``enter``."""
    faint, clear = Ride(look), Ride(look)
    for ride in (faint, clear):
        ride.see(KNOWN_S)
    faint.see(6.0, anger=0.45)
    clear.see(0.9, anger=0.75)
    clear.see(2.0, anger=0.45)
    assert faint.phases == []
    (start,) = clear.transitions
    assert start.score < STEADY["enter"] <= start.peak


def test_what_was_clear_before_an_absence_starts_no_alert_after_it(look: Look) -> None:
    """The smoothed signal outlives the absence; it says nothing of whoever is there then."""
    for seconds in (21.0, 40.0, 55.0):
        ride = Ride(look)
        ride.see(KNOWN_S)
        ride.see(1.6, **ANGRY)
        ride.miss(seconds)
        ride.see(15.0, anger=0.45)
        assert ride.phases == [], seconds


def test_no_alert_starts_with_a_calm_frame(look: Look) -> None:
    """Evidence that waited for the cool-down starts nothing once the driver is calm."""
    config = steady(alerts={"anger": {"cool_down_s": 20.0}})
    ride = Ride(look, config)
    ride.see(KNOWN_S)
    ride.see(4.0, **ANGRY)
    ride.see(6.0)
    ride.see(4.0, **ANGRY)
    assert ride.phases == [Phase.START, Phase.END]
    ride.see(20.0)
    assert ride.phases == [Phase.START, Phase.END]


def test_second_fit_waits_for_the_cool_down(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(4.0, **ANGRY)
    ride.see(5.0)
    ride.see(12.0, **ANGRY)
    start, end, again = (x for x in ride.transitions if x.phase is not Phase.ESCALATE)
    assert again.t - end.t == pytest.approx(Config().alerts.expressions["anger"].cool_down_s, abs=0.2)
    assert again.episode == start.episode + 1


def test_times_that_stand_still_add_no_evidence(ride: Ride, look: Look) -> None:
    ride.see(3.0)
    for _ in range(1000):
        assert ride.decider.update(look(ride.t, **ANGRY)).transitions == ()


def test_clock_that_jumps_back_leaves_episodes_whole(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(4.0, **ANGRY)
    ride.t -= 1000.0
    ride.see(2.0, **ANGRY)
    ride.see(6.0)
    start, end = ride.transitions
    assert (start.phase, end.phase) == (Phase.START, Phase.END)
    assert end.duration_s == pytest.approx(4.0 - 1.8 + 1.9 + 3.5, abs=1.0)
    assert all(later.signals.t >= earlier.signals.t for earlier, later in pairwise(ride.steps))


def test_gap_of_an_hour_ends_an_alert_as_uncertain(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(3.0, **ANGRY)
    ride.t += 3600.0
    step = ride.see(0.1, **ANGRY)
    assert [(x.phase, say(x.reason)) for x in step.transitions] == [(Phase.END, "uncertain")]
    assert step.state is State.UNCERTAIN


def test_a_night_asleep_is_unseen_and_the_next_driver_inherits_nothing(ride: Ride) -> None:
    ride.see(KNOWN_S, anger=0.2)
    assert ride.decider.calibrated_percent == 100.0
    ride.t += 8 * 3600.0  # by the board's clock, which runs on in a suspend
    step = ride.see(0.1, anger=0.2)
    assert (step.state, ride.decider.calibrated_percent) == (State.UNCERTAIN, 0.0)
    assert step.signals.confidence < 0.5


def test_a_stop_ends_open_episodes_and_knows_nothing_any_more(ride: Ride) -> None:
    ride.see(KNOWN_S)
    ride.see(3.0, **ANGRY)
    last = ride.decider.stop(ride.t + 0.2)
    assert last is not None
    assert [(x.kind, x.phase, say(x.reason)) for x in last.transitions] == [("anger", Phase.END, "stopped")]
    assert (last.state, say(last.reason)) == (State.BLIND, "stopped")
    assert last.signals.confidence == 0.0
    assert not any(judged.readable or judged.level for judged in last.signals.kinds.values())
    assert last.transitions[0].duration_s == pytest.approx(ride.t + 0.2 - ride.transitions[0].started)
    assert ride.decider.stop(ride.t + 0.3) is None


def test_a_stop_without_an_episode_says_nothing(ride: Ride) -> None:
    ride.see(3.0)
    assert ride.decider.stop(ride.t) is None


def test_blind_tells_the_reason_and_outranks_an_open_alert(ride: Ride) -> None:
    ride.see(KNOWN_S)
    assert ride.see(3.0, **ANGRY).state is State.WARNING
    step = ride.miss(1.3, Sight.NO_PICTURE, "camera unplugged")
    assert (step.state, say(step.reason)) == (State.BLIND, "camera unplugged")
    step = ride.miss(15.0, Sight.NO_PICTURE, "camera unplugged")
    assert [(x.phase, say(x.reason)) for x in ride.transitions] == [(Phase.START, ""), (Phase.END, "blind")]


def test_face_that_cannot_be_read_is_uncertain_and_says_why(ride: Ride, look: Look) -> None:
    ride.see(3.0)
    for _ in range(30):
        ride.t += 0.1
        step = ride.decider.update(look(ride.t, weight=0.0, reason="face turned away"))
    assert (step.state, say(step.reason)) == (State.UNCERTAIN, "face turned away")


def test_single_false_face_does_not_end_absent(ride: Ride) -> None:
    ride.see(3.0)
    ride.miss(10.0)
    assert ride.see(0.1).state is State.ABSENT
    assert ride.miss(1.0).state is State.ABSENT


def test_three_frames_a_second_are_enough(ride: Ride) -> None:
    assert ride.see(6.0, fps=3.0).state is State.CALM
    ride.see(4.0, fps=3.0, **ANGRY)
    assert ride.phases == [Phase.START]


class TestPause:
    def test_ends_open_episodes_with_the_next_step(self, ride: Ride) -> None:
        ride.see(KNOWN_S)
        ride.see(3.0, **ANGRY)
        ride.decider.pause(ride.t, 60.0)
        step = ride.see(0.1, **ANGRY)
        assert [(x.phase, say(x.reason)) for x in step.transitions] == [(Phase.END, "paused")]
        assert step.state is State.PAUSED

    def test_nothing_counts_until_it_is_over_and_then_nothing_is_known(self, ride: Ride) -> None:
        ride.see(3.0)
        ride.decider.pause(ride.t, 10.0)
        assert ride.see(9.9, **ANGRY).state is State.PAUSED
        assert ride.see(0.3, **ANGRY).state is State.UNCERTAIN
        assert ride.transitions == []
        assert ride.see(2.0).state is State.CALM

    def test_what_was_seen_before_it_starts_no_alert_after_it(self, ride: Ride) -> None:
        ride.see(KNOWN_S)
        ride.see(1.6, **ANGRY)
        ride.decider.pause(ride.t, 5.0)
        ride.see(5.0)
        ride.see(1.5, **ANGRY)
        assert ride.phases == []

    def test_what_led_to_the_alert_that_it_ended_is_not_learned(self, ride: Ride) -> None:
        ride.see(KNOWN_S)
        while not ride.phases:
            ride.see(0.1, **ANGRY)
        ride.decider.pause(ride.t, 10.0)
        ride.see(12.0)
        assert sum(ride.decider.resting_face.at_s["anger"][-8:]) == 0.0

    def test_can_be_ended_early(self, ride: Ride) -> None:
        ride.see(3.0)
        ride.decider.pause(ride.t, 60.0)
        ride.see(1.0)
        ride.decider.resume(ride.t)
        assert ride.see(2.0).state is State.CALM


class TestReconfigure:
    def test_keeps_an_open_episode_and_applies_new_thresholds(self, ride: Ride) -> None:
        ride.see(KNOWN_S)
        ride.see(3.0, anger=0.7)
        ride.decider.reconfigure(steady(alerts={"anger": {"enter": 0.95}}))
        assert ride.see(0.1, anger=0.56).state is State.WARNING
        ride.see(5.0, anger=0.5)
        assert ride.phases == [Phase.START, Phase.END], "0.5 is below 0.6 of the new 'enter'"
