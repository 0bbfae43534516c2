"""A kind that is not judged at walking pace is held back only where the vehicle is known to be slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import UNKNOWN_CONTEXT, Context, Eyes, Observation, Phase, ReasonCode, State, Step
from edge.traces.replay import replay
from edge.traces.trace import TraceWriter, read_trace
from edge.words import say

Look = Callable[..., Observation]
Spell = tuple[float, float, Context]
"""Seconds, openness of the eyes, the vehicle."""

FPS = 15.0
OPEN, SHUT = 0.95, 0.05
FAST = Context(speed_kmh=80.0, standstill=False)
STANDS = Context(speed_kmh=0.0, standstill=True, standing_s=5.0)
STOOD = Context(speed_kmh=0.0, standstill=True, standing_s=45.0)


def drive(look: Look, spells: Iterable[Spell], **shown: float) -> list[Step]:
    decider = Decider(Config())
    steps, n, end = [], 0, 0.0
    for seconds, openness, context in spells:
        end += seconds
        while n / FPS < end - 1e-9:
            seen = look(10 + n / FPS, eyes=Eyes(openness, openness, 1.0, 1.0).reading(), **shown)
            steps.append(decider.update(seen, context))
            n += 1
    return steps


def phases(steps: Iterable[Step], kind: str = "fatigue") -> list[tuple[Phase, ReasonCode]]:
    return [(each.phase, each.reason.code) for step in steps for each in step.transitions if each.kind == kind]


def test_eyes_that_are_shut_at_standstill_are_no_microsleep(look: Look) -> None:
    steps = drive(look, [(10, OPEN, STANDS), (20, SHUT, STANDS), (5, OPEN, STANDS)])
    assert phases(steps) == []


def test_unknown_and_stale_hold_nothing_back(look: Look) -> None:
    for context in (UNKNOWN_CONTEXT, Context(standstill=True, standing_s=60.0), FAST):
        assert phases(drive(look, [(10, OPEN, context), (3, SHUT, context)]))[0][0] is Phase.START


def test_a_single_wrong_speed_closes_nothing(look: Look) -> None:
    wrong = [(1.0, SHUT, FAST), (1 / FPS, SHUT, STANDS), (2.0, SHUT, FAST)]
    assert phases(drive(look, [(10, OPEN, FAST), *wrong]))[0][0] is Phase.START


def test_the_gate_is_open_again_as_soon_as_the_speed_is_unknown(look: Look) -> None:
    steps = drive(look, [(10, OPEN, STANDS), (3, OPEN, UNKNOWN_CONTEXT), (3, SHUT, UNKNOWN_CONTEXT)])
    assert phases(steps)[0][0] is Phase.START


def test_between_both_speeds_the_gate_stays_as_it_was(look: Look) -> None:
    between = Context(speed_kmh=17.0, standstill=False)
    assert phases(drive(look, [(10, OPEN, FAST), (3, OPEN, between), (3, SHUT, between)]))[0][0] is Phase.START
    assert phases(drive(look, [(10, OPEN, STANDS), (3, OPEN, between), (3, SHUT, between)])) == []


def test_a_kind_that_is_held_back_is_not_calm_and_says_why(look: Look) -> None:
    last = drive(look, [(10, OPEN, STANDS)])[-1]
    fatigue = last.signals.kinds["fatigue"]
    assert (fatigue.readable, fatigue.reason.code) == (False, ReasonCode.SLOW)
    assert last.signals.kinds["anger"].readable
    assert (last.state, last.reason.code) == (State.UNCERTAIN, ReasonCode.SLOW)
    assert say(last.reason) == "fatigue: the vehicle is too slow for this to be judged"


def test_what_was_seen_at_standstill_starts_nothing_behind_it(look: Look) -> None:
    steps = drive(look, [(10, OPEN, FAST), (3, OPEN, STANDS), (60, SHUT, STANDS), (3, OPEN, STANDS), (120, OPEN, FAST)])
    assert phases(steps) == []
    assert steps[-1].state is State.CALM


def test_an_open_alert_goes_on_at_standstill_until_the_eyes_are_open(look: Look) -> None:
    steps = drive(look, [(10, OPEN, FAST), (2, SHUT, FAST), (10, SHUT, STANDS), (5, OPEN, STANDS)])
    assert phases(steps) == [
        (Phase.START, ReasonCode.NONE),
        (Phase.ESCALATE, ReasonCode.NONE),
        (Phase.END, ReasonCode.CALM),
    ]


def test_an_open_alert_ends_once_the_vehicle_has_stood_for_half_a_minute(look: Look) -> None:
    steps = drive(look, [(10, OPEN, FAST), (2, SHUT, FAST), (10, SHUT, STANDS), (60, SHUT, STOOD)])
    assert phases(steps)[-1] == (Phase.END, ReasonCode.STANDSTILL)
    assert len(phases(steps)) == 3


def test_anger_is_judged_at_any_speed(look: Look) -> None:
    shown = [(60.0, OPEN, STANDS)]
    assert phases(drive(look, shown, anger=0.95), "anger")[0][0] is Phase.START


def test_an_hour_with_stops_has_no_alert_of_fatigue_at_standstill(look: Look) -> None:
    stop = [(170.0, OPEN, FAST), (3.0, OPEN, STANDS), (20.0, SHUT, STANDS), (4.0, OPEN, STANDS), (3.0, OPEN, FAST)]
    steps = drive(look, stop * 18)
    assert steps[-1].observation.t >= 3600
    assert phases(steps) == []


def test_a_trace_holds_the_vehicle_and_replays_to_the_same(look: Look, tmp_path: Path) -> None:
    spells = [(10.0, OPEN, FAST), (2.0, SHUT, FAST), (10.0, SHUT, STANDS), (40.0, SHUT, STOOD), (10.0, SHUT, FAST)]
    steps = drive(look, spells)
    path = tmp_path / "drive.jsonl"
    with TraceWriter(path) as trace:
        for step in steps:
            trace.write(step)
    assert [line.context() for line in read_trace(path)] == [step.context for step in steps]
    again = replay(path, Config())
    assert again.alerts == {"anger": 0, "distress": 0, "fatigue": 2}
    assert sum(phase is Phase.START for phase, _ in phases(steps)) == 2
