"""What came of a decision: found, how late, how often false, for how long, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.drives import Drive
from calibration.outcome import LATE_S, Raised, judge_drive, raised, rate_interval, total
from edge.domain import Kind, Level, Phase, Transition


def drive(*episodes: tuple[Kind, float, float], cold: tuple[bool, ...] = (), seconds: float = 3600.0) -> Drive:
    """An hour with these episodes."""
    t = np.array([0.0, seconds])
    blank = np.zeros(2, np.float32)
    known = cold or (False,) * len(episodes)
    return Drive(t, np.zeros(2, np.int8), blank, np.zeros((2, 9), np.float32), episodes, known)


def step(phase: Phase, t: float, episode: int, kind: Kind = "anger") -> Transition:
    return Transition(t, kind, phase, Level.WARNING, episode, t, 0.9, 0.9, None)


def test_alerts_are_put_together_from_their_transitions() -> None:
    steps = [
        step(Phase.START, 1.0, 1),
        step(Phase.START, 2.0, 2, "distress"),
        step(Phase.ESCALATE, 5.0, 1),
        step(Phase.END, 9.0, 1),
    ]
    found = raised(steps, last_t=60.0)
    assert found == [Raised("anger", 1.0, 9.0, 5.0), Raised("distress", 2.0, 60.0, None)]


def test_delays_of_a_known_driver_and_of_a_cold_one_are_told_apart() -> None:
    one = drive(("anger", 10.0, 20.0), ("anger", 100.0, 110.0), ("anger", 200.0, 210.0), cold=(True, False, False))
    outcome = judge_drive(one, [Raised("anger", 14.0, 22.0, None), Raised("anger", 102.0, 111.0, None)])
    assert (outcome.cold, outcome.known) == ((4.0,), (2.0,))
    assert (outcome.episodes, outcome.found) == (3, 2)
    assert outcome.recall == pytest.approx(2 / 3)


def test_a_false_alert_counts_all_its_seconds_and_a_true_one_those_too_late() -> None:
    one = drive(("anger", 100.0, 110.0))
    false = judge_drive(one, [Raised("anger", 50.0, 80.0, None)])
    assert (false.false_starts, false.false_s, false.kept) == (1, 30.0, 0)
    good = judge_drive(one, [Raised("anger", 102.0, 110.0 + LATE_S, None)])
    assert (good.false_starts, good.false_s, good.kept, good.late) == (0, 0.0, 1, 0)
    late = judge_drive(one, [Raised("anger", 102.0, 140.0, None)])
    assert (late.false_starts, late.late) == (0, 1)
    assert late.false_s == pytest.approx(30.0 - LATE_S)
    early = judge_drive(one, [Raised("anger", 95.0, 112.0, None)])
    assert (early.false_starts, early.false_s) == (1, 5.0)


def test_another_kind_s_episode_excuses_nothing() -> None:
    outcome = judge_drive(drive(("distress", 100.0, 110.0)), [Raised("anger", 102.0, 106.0, None)])
    assert (outcome.false_starts, outcome.false_s, outcome.found) == (1, 4.0, 0)


def test_an_escalation_after_the_true_end_is_late() -> None:
    one = drive(("anger", 100.0, 110.0))
    assert judge_drive(one, [Raised("anger", 102.0, 120.0, 109.0)]).late_escalations == 0
    after = judge_drive(one, [Raised("anger", 102.0, 120.0, 112.0)])
    assert (after.escalations, after.late_escalations) == (1, 1)


def test_short_episodes_need_not_be_found() -> None:
    outcome = judge_drive(drive(("anger", 100.0, 104.0)), [Raised("anger", 102.0, 106.0, None)])
    assert (outcome.episodes, outcome.false_starts, outcome.known) == (0, 0, ())


def test_drives_add_up() -> None:
    one = judge_drive(drive(("anger", 100.0, 110.0)), [Raised("anger", 102.0, 112.0, None)])
    other = judge_drive(drive(), [Raised("anger", 50.0, 90.0, None)])
    both = total([one, other])
    assert (both.hours, both.found, both.false_starts, both.longest_s) == (2.0, 1, 1, 40.0)
    assert both.false_per_hour == 0.5
    assert both.false_s_per_hour == 20.0


def test_an_interval_holds_its_rate_and_is_wide_where_one_drive_has_all_the_alarms() -> None:
    spread = rate_interval([1.0] * 10 + [0.0] * 10, [0.5] * 20)
    bunched = rate_interval([10.0] + [0.0] * 19, [0.5] * 20)
    assert spread[0] < 1.0 < spread[1]
    assert bunched[1] - bunched[0] > spread[1] - spread[0]


def test_no_alarm_in_some_hours_does_not_show_that_there_is_none() -> None:
    low, high = rate_interval([0.0] * 20, [0.5] * 20)
    assert low == 0.0
    assert high == pytest.approx(0.3)
