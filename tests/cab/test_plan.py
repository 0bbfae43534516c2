"""Who speaks in the cab: the drowsy are woken until their eyes open, others are offered a break once."""

from __future__ import annotations

import numpy as np
import pytest

from edge.cab.plan import ACKNOWLEDGED_S, FLOOR_S, Cue, Hush, Plan
from edge.config import CabConfig
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Context,
    Judged,
    Kind,
    Level,
    Observation,
    Phase,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)

FPS = 10
KINDS = {"anger": False, "distress": False, "fatigue": True}
WAKE = Cue("fatigue", Level.WARNING, wakes=True)
WAKE_URGENTLY = Cue("fatigue", Level.URGENT, wakes=True)
OFFER = Cue("anger", Level.WARNING, wakes=False)


class Cab:
    """Plays steps, and notes what is said and when."""

    def __init__(self, config: CabConfig | None = None) -> None:
        self.plan = Plan(config or CabConfig(), KINDS)
        self.t = 0.0
        self.said: list[tuple[float, Cue | Hush]] = []

    def see(
        self,
        seconds: float,
        *told: tuple[Kind, Phase, Level],
        closed: bool = False,
        blinking: bool = False,
        hidden: bool = False,
        acknowledged: bool = False,
        standstill: bool | None = None,
    ) -> None:
        """Frames of some seconds; ``told`` come with the first of them."""
        transitions = tuple(
            Transition(self.t, kind, phase, level, 1, self.t, 0.8, 0.8, None) for kind, phase, level in told
        )
        for _ in range(round(seconds * FPS)):
            kinds = {kind: Judged(0.5, acknowledged=acknowledged) for kind in KINDS}
            opened = not (closed or hidden)
            figures = {"closed_s": 2.0 if closed else 0.3 if blinking else 0.0, "open_s": 5.0 if opened else 0.0}
            signals = Signals(self.t, kinds, 1.0, np.zeros(len(EXPRESSIONS), np.float32), figures)
            seen = Observation(self.t, Sight.FACE)
            step = Step(seen, signals, State.WARNING, NO_REASON, transitions, Context(standstill=standstill))
            if (said := self.plan.update(step)) is not None:
                self.said.append((round(self.t, 3), said))
            transitions = ()
            self.t += 1 / FPS

    @property
    def cues(self) -> list[Cue | Hush]:
        return [said for _, said in self.said]


def start(kind: Kind) -> tuple[Kind, Phase, Level]:
    return kind, Phase.START, Level.WARNING


def end(kind: Kind) -> tuple[Kind, Phase, Level]:
    return kind, Phase.END, Level.WARNING


def urgent(kind: Kind) -> tuple[Kind, Phase, Level]:
    return kind, Phase.ESCALATE, Level.URGENT


def test_a_sleeping_driver_is_woken_again_and_again_until_the_eyes_open() -> None:
    cab = Cab(CabConfig(repeat_s=5.0))
    cab.see(12.0, start("fatigue"), closed=True)
    cab.see(60.0)
    assert [t for t, _ in cab.said] == pytest.approx([0.0, 5.0, 10.0], abs=2.1 / FPS)
    assert cab.cues == [WAKE] * 3


def test_a_driver_who_slumps_out_of_sight_with_shut_eyes_is_woken_on() -> None:
    cab = Cab(CabConfig(repeat_s=5.0))
    cab.see(2.0, start("fatigue"), closed=True)
    cab.see(11.0, hidden=True)
    assert cab.cues == [WAKE] * 3
    cab.see(20.0)
    assert cab.cues == [WAKE] * 3


def test_a_drowsy_driver_who_only_blinks_is_warned_once() -> None:
    cab = Cab()
    cab.see(60.0, start("fatigue"), blinking=True)
    assert cab.cues == [WAKE]


def test_an_escalation_speaks_at_once() -> None:
    cab = Cab()
    cab.see(1.0, start("fatigue"), closed=True)
    cab.see(1.0, urgent("fatigue"), closed=True)
    assert cab.said == [(0.0, WAKE), (1.0, WAKE_URGENTLY)]


def test_an_acknowledgement_silences_at_once_and_not_for_ever_where_the_eyes_stay_closed() -> None:
    cab = Cab()
    cab.see(1.0, start("fatigue"), closed=True)
    cab.see(ACKNOWLEDGED_S - 1.0, closed=True, acknowledged=True)
    assert cab.said == [(0.0, WAKE), (1.0, Hush())]
    cab.see(2.0, closed=True, acknowledged=True)
    assert cab.cues[2:] == [WAKE]


def test_a_break_is_offered_once_and_not_again_before_its_time() -> None:
    cab = Cab(CabConfig(offer_every_s=900.0))
    cab.see(30.0, start("anger"))
    cab.see(30.0, urgent("anger"))
    cab.see(30.0, end("anger"))
    cab.see(30.0, start("distress"))
    assert cab.cues == [OFFER, Hush()]
    cab.see(900.0, end("distress"))
    cab.see(1.0, start("distress"))
    assert cab.cues[-1] == Cue("distress", Level.WARNING, wakes=False)


def test_fatigue_speaks_first_and_an_offer_waits_for_its_end() -> None:
    cab = Cab()
    cab.see(10.0, start("anger"), start("fatigue"), closed=True)
    assert set(cab.cues) == {WAKE}
    cab.see(10.0, end("fatigue"))
    assert [cue for cue in cab.cues if cue == OFFER] == [OFFER]


def test_no_calm_voice_speaks_into_a_warning_that_just_woke_the_driver() -> None:
    cab = Cab()
    cab.see(1.0, start("anger"), start("fatigue"), closed=True)
    cab.see(2 * FLOOR_S, end("fatigue"))
    (offered_t,) = [t for t, cue in cab.said if cue == OFFER]
    assert offered_t == pytest.approx(FLOOR_S, abs=1.1 / FPS)


def test_of_two_open_alerts_the_urgent_one_speaks() -> None:
    cab = Cab()
    cab.see(1.0, start("anger"), start("distress"), urgent("distress"))
    assert cab.cues == [Cue("distress", Level.URGENT, wakes=False)]


def test_at_a_known_standstill_no_break_is_offered_until_it_moves() -> None:
    cab = Cab()
    cab.see(10.0, start("anger"), standstill=True)
    assert cab.cues == []
    cab.see(1.0, standstill=False)
    assert cab.cues == [OFFER]


def test_where_nothing_is_known_of_the_vehicle_it_speaks() -> None:
    cab = Cab()
    cab.see(1.0, start("anger"), standstill=None)
    assert cab.cues == [OFFER]


def test_a_warning_that_wakes_is_not_cut_short_by_what_becomes_of_another_kind() -> None:
    cab = Cab()
    cab.see(FLOOR_S, start("anger"))
    cab.see(1.0, start("fatigue"), closed=True)
    cab.see(1.0, end("anger"), closed=True)
    assert cab.cues == [OFFER, WAKE]
    cab.see(1.0, end("fatigue"))
    assert cab.cues == [OFFER, WAKE, Hush()]


def test_an_episode_that_ends_is_silenced_at_once() -> None:
    cab = Cab()
    cab.see(1.0, start("fatigue"), closed=True)
    cab.see(10.0, end("fatigue"), closed=True)
    assert cab.said == [(0.0, WAKE), (1.0, Hush())]
