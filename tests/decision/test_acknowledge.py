"""Somebody knows of an alert: what is decided stays, what is said of it tells so, an escalation asks anew."""

from __future__ import annotations

from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import Judged, Level, Phase, Step, Transition
from tests.decision.conftest import Look


class Drive:
    def __init__(self, look: Look) -> None:
        self.look = look
        self.decider = Decider(Config())
        self.t = 0.0
        self.steps: list[Step] = []

    def see(self, seconds: float, anger: float) -> None:
        for _ in range(round(seconds * 5)):
            self.steps.append(self.decider.update(self.look(self.t, anger=anger)))
            self.t += 0.2

    def until(self, phase: Phase, anger: float = 0.95) -> None:
        while not (self.steps and any(each.phase is phase for each in self.steps[-1].transitions)):
            assert self.t < 200, f"no {phase}"
            self.see(0.2, anger)

    @property
    def anger(self) -> Judged:
        return self.steps[-1].signals.kinds["anger"]

    @property
    def told(self) -> list[Transition]:
        return [each for step in self.steps for each in step.transitions]


def angry(look: Look) -> Drive:
    drive = Drive(look)
    drive.see(10.0, anger=0.02)
    drive.until(Phase.START)
    return drive


def test_an_acknowledged_alert_says_so_at_once_and_in_its_next_phase(look: Look) -> None:
    drive = angry(look)
    assert not drive.anger.acknowledged
    assert drive.decider.acknowledge() == ("anger",)
    drive.see(0.2, anger=0.95)
    assert drive.anger.acknowledged
    drive.until(Phase.END, anger=0.02)
    assert [(each.phase, each.acknowledged) for each in drive.told] == [(Phase.START, False), (Phase.END, True)]
    assert not drive.anger.acknowledged


def test_an_escalation_asks_anew(look: Look) -> None:
    drive = angry(look)
    drive.decider.acknowledge("anger")
    drive.until(Phase.ESCALATE)
    assert drive.told[-1].acknowledged
    assert drive.anger.level is Level.URGENT
    assert not drive.anger.acknowledged
    assert drive.decider.acknowledge() == ("anger",)


def test_the_same_is_decided_as_without(look: Look) -> None:
    nagged, left = angry(look), angry(look)
    nagged.decider.acknowledge()
    for drive in (nagged, left):
        drive.see(60.0, anger=0.95)
        drive.see(30.0, anger=0.02)
    assert [(each.t, each.phase, each.level) for each in nagged.told] == [
        (each.t, each.phase, each.level) for each in left.told
    ]


def test_what_is_not_open_or_known_already_is_not_acknowledged(look: Look) -> None:
    drive = angry(look)
    assert drive.decider.acknowledge("distress") == ()
    assert drive.decider.acknowledge("no_such_kind") == ()
    assert drive.decider.acknowledge("anger") == ("anger",)
    assert drive.decider.acknowledge() == ()


def test_the_next_episode_begins_unacknowledged(look: Look) -> None:
    drive = angry(look)
    drive.decider.acknowledge()
    drive.until(Phase.END, anger=0.02)
    drive.see(30.0, anger=0.02)
    drive.until(Phase.START)
    assert not drive.told[-1].acknowledged
    assert not drive.anger.acknowledged
