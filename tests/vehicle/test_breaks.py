"""When a break is due, and what counts as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from edge.config.breaks import BreaksConfig
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    UNKNOWN_CONTEXT,
    Context,
    Level,
    Observation,
    Phase,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)
from edge.vehicle.breaks import DAILY_REST_S, Breaks

DRIVES = Context(speed_kmh=80.0, standstill=False)
STANDS = Context(speed_kmh=0.0, standstill=True)
OFF = Context(ignition=False)
TICK_S = 5.0


def step_of(t: float, context: Context, state: State = State.CALM, *kinds: str) -> Step:
    starts = tuple(Transition(t, kind, Phase.START, Level.WARNING, 1, t, 0.8, 0.9, None) for kind in kinds)
    signals = Signals(t, {}, 1.0, np.zeros(len(EXPRESSIONS), np.float32))
    return Step(Observation(t, Sight.FACE), signals, state, NO_REASON, starts, context)


class Day:
    """Drives and rests for whole minutes."""

    def __init__(self, **config: Any) -> None:
        self.breaks = Breaks(BreaksConfig.model_validate(config))
        self.t = 1000.0

    def spend(self, minutes: float, context: Context, state: State = State.CALM) -> Day:
        end = self.t + 60 * minutes
        while self.t < end - 1e-6:
            self.breaks.update(step_of(self.t, context, state))
            self.t += TICK_S
        return self

    def alert(self, kind: str) -> Day:
        self.breaks.update(step_of(self.t, DRIVES, State.WARNING, kind))
        return self

    @property
    def due(self) -> tuple[str, ...]:
        return self.breaks.status.reasons

    @property
    def driven_min(self) -> float | None:
        driven_s = self.breaks.status.driven_s
        return None if driven_s is None else driven_s / 60


Spell = tuple[float, Context]


def due_after(spells: Iterable[Spell], **config: Any) -> tuple[str, ...]:
    day = Day(**config)
    for minutes, context in spells:
        day.spend(minutes, context)
    return day.due


EU = {"preset": "eu", "episodes": {}}


@pytest.mark.parametrize(
    ("spells", "due"),
    [
        ([(269, DRIVES)], False),
        ([(271, DRIVES)], True),
        ([(271, DRIVES), (44, STANDS), (1, DRIVES)], True),
        ([(271, DRIVES), (46, STANDS)], False),
        ([(271, DRIVES), (46, OFF), (1, DRIVES)], False),
        ([(200, DRIVES), (46, STANDS), (200, DRIVES)], False),
        ([(200, DRIVES), (20, STANDS), (60, DRIVES), (31, STANDS), (200, DRIVES)], False),
        ([(200, DRIVES), (31, STANDS), (60, DRIVES), (20, STANDS), (20, DRIVES)], True),
        ([(200, DRIVES), (31, STANDS), (60, DRIVES), (31, STANDS), (200, DRIVES)], False),
        ([(200, DRIVES), (14, STANDS), (60, DRIVES), (40, STANDS), (20, DRIVES)], True),
        ([(200, DRIVES), (46, STANDS), (200, DRIVES), (31, STANDS), (80, DRIVES)], True),
    ],
    ids=[
        "not yet",
        "after four and a half hours",
        "a break that is too short",
        "a break",
        "with the ignition off",
        "a break in time",
        "in two parts",
        "in two parts, the short one last",
        "twice half an hour",
        "a first part that is too short",
        "a whole break is no first part of the next",
    ],
)
def test_the_eu_rule(spells: list[Spell], due: bool) -> None:  # noqa: FBT001 - a case
    assert due_after(spells, **EU) == (("driving",) if due else ())


def test_stop_and_go_is_driving_and_no_break() -> None:
    day = Day(**EU)
    for _ in range(100):
        day.spend(1 / 3, DRIVES).spend(2 / 3, STANDS)
    assert day.driven_min == pytest.approx(100 / 3, abs=1)
    assert day.breaks.status.rest_s < 180


def test_who_makes_room_in_a_break_goes_on_resting() -> None:
    day = Day(**EU).spend(271, DRIVES).spend(30, STANDS).spend(1 / 4, DRIVES).spend(16, STANDS)
    assert day.due == ()
    assert day.driven_min == 0


def test_a_tunnel_is_driven_through_and_what_stays_unknown_is_neither() -> None:
    day = Day(**EU).spend(60, DRIVES).spend(9, UNKNOWN_CONTEXT)
    assert day.driven_min == pytest.approx(69, abs=0.2)
    day.spend(600, UNKNOWN_CONTEXT)
    assert day.driven_min == pytest.approx(70, abs=0.2)
    assert day.breaks.status.rest_s == 0


def test_where_nothing_tells_the_speed_the_time_driven_is_unknown_and_asks_for_nothing() -> None:
    day = Day(**EU).spend(600, UNKNOWN_CONTEXT)
    assert (day.due, day.driven_min, day.breaks.status.left_s) == ((), None, None)


def test_another_rule_of_one_s_own() -> None:
    own = {"after_h": 2.0, "length_min": 10.0, "episodes": {}}
    assert due_after([(119, DRIVES)], **own) == ()
    assert due_after([(121, DRIVES)], **own) == ("driving",)
    assert due_after([(121, DRIVES), (11, STANDS)], **own) == ()


def test_alerts_make_a_break_due_until_there_was_one() -> None:
    day = Day(episodes={"fatigue": 2, "anger": 3}).spend(1, DRIVES).alert("fatigue").alert("anger").alert("distress")
    assert day.due == ()
    assert day.alert("fatigue").due == ("fatigue",)
    assert day.alert("anger").alert("anger").due == ("fatigue", "anger")
    assert day.spend(14, STANDS).due == ("fatigue", "anger")
    assert day.spend(2, STANDS).due == ()


def test_a_seat_that_is_empty_for_long_is_a_break_where_nothing_is_known_of_the_vehicle() -> None:
    day = Day().alert("fatigue").alert("fatigue").spend(16, UNKNOWN_CONTEXT, State.ABSENT)
    assert day.due == ()
    moving = Day().alert("fatigue").alert("fatigue").spend(16, DRIVES, State.ABSENT)
    assert moving.due == ("fatigue",)


def test_a_board_that_slept_in_a_break_rested_and_one_that_drove_did_nothing() -> None:
    day = Day(**EU).spend(271, DRIVES).spend(1, STANDS)
    day.t += 45 * 60
    assert day.spend(1, STANDS).due == ()
    day = Day(**EU).spend(271, DRIVES)
    day.t += 60 * 60
    assert day.spend(1, DRIVES).due == ("driving",)
    day.t += DAILY_REST_S
    assert day.spend(1, DRIVES).due == ()


def test_time_that_goes_back_costs_nothing() -> None:
    day = Day(**EU).spend(60, DRIVES)
    day.t -= 10_000
    assert day.spend(10, DRIVES).driven_min == pytest.approx(70, abs=0.2)


@pytest.mark.parametrize(
    ("gap_min", "rested", "before", "after", "due"),
    [
        (46, True, 1, 0, False),
        (46, False, 0, 0, True),
        (44, True, 0, 0, True),
        (44, True, 1.5, 0, False),
        (40, True, 1, 5, False),
        (600, False, 0, 0, False),
    ],
    ids=["a break", "nobody knows", "too short", "with what came before", "with what comes after", "a night"],
)
def test_over_a_restart_a_break_goes_on(gap_min: float, rested: bool, before: float, after: float, due: bool) -> None:  # noqa: FBT001 - a case
    first = Day(**EU).spend(271, DRIVES).spend(before, STANDS)
    second = Day(**EU)
    second.breaks.restore(first.breaks.balance)
    assert second.due == ("driving",)
    second.breaks.bridge(60 * gap_min, rested=rested)
    assert second.spend(after, STANDS).due == (("driving",) if due else ())


def test_a_clock_that_is_believed_only_later_still_tells_of_the_break_before() -> None:
    first = Day(preset="eu").spend(200, DRIVES).alert("fatigue").alert("fatigue").spend(1, STANDS)
    second = Day(preset="eu")
    second.breaks.restore(first.breaks.balance)
    assert second.spend(30, DRIVES).due == ("fatigue",)
    second.breaks.bridge(60 * 60.0, rested=True)
    assert not second.breaks.status.due
    assert second.driven_min == pytest.approx(30, abs=0.2)
    second.breaks.bridge(60 * 60.0, rested=True)
    assert second.driven_min == pytest.approx(30, abs=0.2)


@pytest.mark.parametrize(
    ("config", "said"),
    [({"episodes": {"hunger": 2}}, "no such kind: hunger; known: "), ({"episodes": {"anger": 0}}, "anger: 1 to 100")],
)
def test_a_rule_that_cannot_be_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BreaksConfig.model_validate(config)
