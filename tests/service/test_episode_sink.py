"""What is kept around an alert: a minute before and after it, two samples a second, bounded, and silent in shadow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.messages import made_alert
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Context,
    Judged,
    Level,
    Observation,
    Phase,
    Quality,
    Reason,
    ReasonCode,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)
from edge.mqtt.around import Around, Sample
from edge.service.episode_sink import MIDDLE, RECORDED, EpisodeSink
from edge.service.loop import board_stamp
from edge.service.sinks import Sinks

HZ = 5


class Outlet:
    """A publisher that keeps what it is given."""

    around_dropped = 0

    def __init__(self) -> None:
        self.said: list[Around] = []

    def publish_around(self, around: Around) -> None:
        self.said.append(around)


def step(t: float, *transitions: Transition, level: Level | None = None) -> Step:
    """A driver whose eyes cannot be read."""
    kinds = {"anger": Judged(0.62, level), "fatigue": Judged(0.3, readable=False)}
    signals = Signals(t, kinds, 1.0, np.full(len(EXPRESSIONS), 1 / 9, np.float32))
    seen = Observation(t, Sight.FACE, quality=Quality(0.4, 0.3, 96.0, 0.0, 0.0, 0.0, 0.93))
    return Step(seen, signals, State.CALM, NO_REASON, transitions, Context(speed_kmh=82.44))


def transition(phase: Phase, t: float, started: float, number: int = 1, reason: Reason = NO_REASON) -> Transition:
    return Transition(t, "anger", phase, Level.WARNING, number, started, 0.6, 0.7, "anger", reason)


class Drive:
    """Steps at HZ; alerts get their numbers at once."""

    def __init__(self, *, named: bool = True) -> None:
        self.outlet = Outlet()
        self.sink = EpisodeSink("van-7", self.outlet, lambda: {"anger": 0.6})  # type: ignore[arg-type]
        self.frames = 0
        self.named = named
        self.waiting: list[Transition] = []

    @property
    def t(self) -> float:
        """Now."""
        return self.frames / HZ

    def go(self, seconds: float, *transitions: Transition) -> None:
        """Drive on; the transitions are of the first step."""
        for number in range(round(seconds * HZ)):
            self.sink.take(step(self.t, *(transitions if not number else ())))
            if not number:
                for each in transitions:
                    self.waiting.append(each)
                if self.named:
                    self.name()
            self.frames += 1

    def name(self) -> None:
        """The alerts get their numbers."""
        while self.waiting:
            each = self.waiting.pop(0)
            self.sink.told(each, made_alert(board_stamp(), phase=each.phase, sequence=each.episode))

    def alert(self, seconds: float, number: int = 1, reason: Reason = NO_REASON) -> None:
        """An alert of so many seconds, and a step after its end."""
        began = self.t
        self.go(seconds, transition(Phase.START, began, began, number))
        self.go(1 / HZ, transition(Phase.END, self.t, began, number, reason))


def test_from_a_minute_before_to_a_minute_after_two_samples_a_second() -> None:
    drive = Drive()
    drive.go(70)
    drive.alert(10)
    drive.go(59)
    assert drive.outlet.said == []
    drive.go(2)
    (around,) = drive.outlet.said
    times = [sample.t - around.began_t for sample in around.samples]
    assert times[0] == pytest.approx(-60, abs=0.5)
    assert times[-1] == pytest.approx(70, abs=0.6)
    assert len(times) == pytest.approx(260, abs=2)
    assert max(np.diff(times)) <= 0.61
    assert (around.kind, around.epoch, around.sequence, around.device_id) == ("anger", 1, 1, "van-7")
    first = around.samples[0]
    assert (first.signals, first.weight, first.speed_kmh) == ({"anger": 62, "fatigue": None}, 93, 82.4)


def test_an_alert_that_lasts_is_thinned_and_its_ends_are_not() -> None:
    drive = Drive()
    drive.go(70)
    drive.alert(400)
    drive.go(61)
    (around,) = drive.outlet.said
    times = np.array([sample.t - around.began_t for sample in around.samples])
    middle = times[(times >= 0) & (times <= 400)]
    assert MIDDLE / 2 <= len(middle) <= MIDDLE + 1
    assert np.abs(np.diff(middle)[1:-1] - 2).max() < 0.7
    assert [int((times < 0).sum()), int((times > 400).sum())] == pytest.approx([120, 120], abs=2)


def test_a_stop_hands_on_at_once_what_there_is() -> None:
    stopped = Drive()
    stopped.go(30)
    stopped.alert(5, reason=Reason(ReasonCode.STOPPED))
    assert len(stopped.outlet.said) == 1
    closed = Drive()
    closed.alert(5)
    closed.go(20)
    assert closed.outlet.said == []
    closed.sink.close()
    (around,) = closed.outlet.said
    assert around.samples[-1].t == pytest.approx(25, abs=0.6)


def test_an_alert_whose_number_comes_late_is_waited_for() -> None:
    drive = Drive(named=False)
    drive.alert(5)
    drive.go(100)
    assert drive.outlet.said == []
    drive.name()
    assert [around.sequence for around in drive.outlet.said] == [1]


def test_alerts_that_follow_each_other_each_have_their_own_and_too_many_are_counted() -> None:
    drive = Drive()
    for number in range(1, RECORDED + 4):
        drive.alert(1, number)
        drive.go(1)
    drive.go(61)
    assert [around.sequence for around in drive.outlet.said] == list(range(1, RECORDED + 1))
    assert drive.sink.health.dropped == 3
    drive.alert(1, 99)
    drive.go(61)
    assert drive.outlet.said[-1].sequence == 99


def test_in_shadow_mode_nothing_is_kept() -> None:
    drive = Drive()
    sinks = Sinks([drive.sink], shadow=True)
    for number in range(100):
        phase = (transition(Phase.START, 0.0, 0.0),) if not number else ()
        sinks.take(step(number / HZ, *phase))
    sinks.close()
    assert drive.outlet.said == []


def test_what_was_not_seen_is_not_known() -> None:
    seen = step(1.0)
    blind = replace(seen, observation=Observation(1.0, Sight.COVERED), signals=replace(seen.signals, confidence=0.0))
    sample = Sample.of(replace(blind, context=Context()))
    assert (sample.expression, sample.eyes, sample.weight, sample.speed_kmh) == (None, (None, None, None), None, None)
    assert sample.sight == "covered"
