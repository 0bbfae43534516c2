"""Nobody keeps a device silent for longer than its bounds, by whatever they ask and however often."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cab.presses import Press
from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import EXPRESSION, EXPRESSIONS, EYES, Face, Observation, Quality, Reading, Sight, State, Step
from edge.mqtt.commands import Command
from edge.mqtt.messages import CommandName
from edge.service.control import Orders
from edge.service.silence import HOUR_S, LEAST_S, RECALIBRATE_EVERY_S, Silence, SilenceRefusedError
from tests.awake import AWAKE

FPS = 5
PAUSE, RESUME, RECALIBRATE = CommandName.PAUSE, CommandName.RESUME, CommandName.RECALIBRATE
ACKNOWLEDGE = CommandName.ACKNOWLEDGE


def look(t: float, anger: float) -> Observation:
    probabilities = np.zeros(len(EXPRESSIONS), np.float32)
    probabilities[EXPRESSIONS.index("anger")], probabilities[0] = anger, 1.0 - anger
    face = Face((100.0, 80.0, 150.0, 150.0), np.zeros((5, 2), np.float32), 0.9)
    quality = Quality(0.4, 0.2, 150.0, 0.0, 0.0, 0.0, 1.0)
    return Observation(t, Sight.FACE, face, quality, {EXPRESSION: Reading.expression(probabilities), EYES: AWAKE})


class Drive:
    """The real decision, and whoever asks something of it between two frames."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.t = 0.0
        self.decider = Decider(self.config)
        self.memory = MagicMock()
        self.steps: list[Step] = []
        self.orders = Orders(
            self.config,
            pipeline=MagicMock(decider=self.decider),
            publisher=MagicMock(),
            notifier=MagicMock(),
            memory=self.memory,
            reload=lambda: self.config,
            clock=lambda: self.t,
        )

    def see(self, seconds: float, anger: float, nag: Callable[[int], Command | None] = lambda _: None) -> None:
        """Show a face; ``nag`` says what is asked for before each frame, by its number."""
        for number in range(round(seconds * FPS)):
            if (command := nag(number)) is not None:
                self.orders.ask(command)
            self.t += 1 / FPS
            self.steps.append(self.decider.update(look(self.t, anger)))

    def alert_s(self) -> float:
        return sum(step.state in (State.WARNING, State.URGENT) for step in self.steps) / FPS


def every(seconds: float, *commands: Command) -> Callable[[int], Command | None]:
    frames = round(seconds * FPS)
    return lambda n: commands[n // frames % len(commands)] if n % frames == 0 else None


@pytest.mark.parametrize(
    "asked",
    [
        (Command(RECALIBRATE),),
        (Command(RECALIBRATE), Command(PAUSE, 0.001), Command(RESUME)),
    ],
)
def test_five_minutes_of_anger_alert_whatever_is_asked_every_two_seconds(asked: tuple[Command, ...]) -> None:
    drive = Drive(Config.model_validate({"publish": {"max_pause_hourly_s": 60}}))
    drive.see(60.0, anger=0.05)
    drive.see(300.0, 0.9, every(2.0, *asked))
    assert drive.alert_s() > 60.0


@pytest.mark.parametrize(
    "asked", [(Command(PAUSE, 0.001),), (Command(PAUSE, 600.0),), (Command(PAUSE, 600.0), Command(RESUME))]
)
def test_an_hour_of_anger_alerts_with_the_defaults_whatever_is_asked_every_two_seconds(
    asked: tuple[Command, ...],
) -> None:
    drive = Drive()
    drive.see(30.0, anger=0.05)
    drive.see(HOUR_S, 0.9, every(2.0, *asked))
    paused_s = sum(step.state is State.PAUSED for step in drive.steps) / FPS
    assert paused_s <= Config().publish.max_pause_hourly_s + 1.0
    assert drive.alert_s() > 60.0


@settings(max_examples=200, deadline=None)
@given(
    asked=st.lists(
        st.tuples(st.floats(0.0, 2000.0), st.one_of(st.none(), st.floats(0.001, 2500.0))), min_size=1, max_size=60
    )
)
def test_no_hour_has_more_silence_than_its_budget_and_no_pause_more_than_its_bound(
    asked: list[tuple[float, float | None]],
) -> None:
    """None is ``resume``. What was granted is followed apart from the ledger, second by second of its own."""
    longest_s, hourly_s, slack = 900.0, 1500.0, 1e-6
    silence, t = Silence(longest_s, hourly_s), 0.0
    spells: list[list[float]] = []
    for wait_s, seconds in asked:
        t += wait_s
        if seconds is None:
            silence.resume(t)
        else:
            try:
                silence.pause(t, seconds)
            except SilenceRefusedError:
                continue
        if spells and t < spells[-1][1]:
            spells[-1][1] = t if seconds is None else t + seconds
        elif seconds is not None:
            spells.append([t, t + seconds])
    for begin, end in spells:
        assert end - begin <= longest_s + slack
        for at in (begin, end):
            hour = [max(0.0, min(b, at) - max(a, at - HOUR_S)) for a, b in spells]
            assert sum(hour) <= hourly_s + slack


def test_what_is_refused_is_told_with_what_is_left() -> None:
    silence = Silence(600.0, 900.0)
    silence.pause(0.0, 600.0)
    with pytest.raises(SilenceRefusedError, match=r"publish.max_pause_s\), 100 s of which have passed"):
        silence.pause(100.0, 600.0)
    silence.pause(100.0, 500.0)
    with pytest.raises(SilenceRefusedError, match=r"publish.max_pause_hourly_s.*300 s are left"):
        silence.pause(700.0, 400.0)
    silence.pause(700.0, 300.0)


def test_resume_gives_back_what_was_not_used() -> None:
    silence = Silence(600.0, 900.0)
    silence.pause(0.0, 600.0)
    silence.resume(100.0)
    assert silence.left_s(100.0) == 800.0
    silence.resume(200.0)
    assert silence.left_s(200.0) == 800.0


def test_a_pause_that_is_ended_and_begun_again_is_one_pause() -> None:
    silence = Silence(300.0, 1800.0)
    silence.pause(0.0, 300.0)
    silence.resume(299.0)
    with pytest.raises(SilenceRefusedError, match=r"publish.max_pause_s\), 299 s of which have passed"):
        silence.pause(299.0, 60.0)
    silence.pause(299.0 + LEAST_S, 300.0)


def test_a_short_pause_counts_as_half_a_minute() -> None:
    silence = Silence(600.0, 900.0)
    silence.pause(0.0, 0.1)
    assert silence.left_s(10.0) == 900.0 - LEAST_S


def test_an_hour_later_all_of_it_is_there_again() -> None:
    silence = Silence(600.0, 600.0)
    silence.pause(0.0, 600.0)
    assert silence.left_s(600.0) == 0.0
    assert silence.left_s(600.0 + HOUR_S) == 600.0


def test_a_second_calibration_has_to_wait_and_forgets_nothing() -> None:
    drive = Drive()
    drive.see(60.0, anger=0.05)
    assert drive.orders.ask(Command(RECALIBRATE))[0]
    drive.see(60.0, anger=0.05)
    ok, message = drive.orders.ask(Command(RECALIBRATE))
    assert not ok
    assert "ask again in 240 s" in message
    assert drive.decider.calibrated_percent == 100.0
    assert cast("MagicMock", drive.memory.clear).call_count == 1
    drive.see(RECALIBRATE_EVERY_S, anger=0.05)
    assert drive.orders.ask(Command(RECALIBRATE))[0]


def test_where_no_face_is_learned_there_is_nothing_to_learn_anew() -> None:
    drive = Drive(Config.model_validate({"baseline": {"enabled": False}}))
    assert drive.orders.ask(Command(RECALIBRATE)) == (
        False,
        "no resting face is learned here (baseline.enabled = false)",
    )


class TestAcknowledge:
    def test_open_alerts_are_acknowledged_once(self) -> None:
        drive = Drive()
        drive.see(10.0, anger=0.02)
        assert drive.orders.ask(Command(ACKNOWLEDGE)) == (False, "no alert waits to be acknowledged")
        drive.see(10.0, anger=0.95)
        fatigue = drive.orders.ask(Command(ACKNOWLEDGE, kind="fatigue"))
        assert fatigue == (False, "no alert of fatigue waits to be acknowledged")
        assert drive.orders.ask(Command(ACKNOWLEDGE, kind="anger")) == (True, "acknowledged: anger")
        assert drive.orders.ask(Command(ACKNOWLEDGE))[0] is False

    def test_it_takes_from_the_one_budget_of_silence(self) -> None:
        silence = Silence(max_pause_s=1800.0, max_pause_hourly_s=100.0)
        silence.acknowledge(0.0)
        silence.pause(10.0, 60.0)
        with pytest.raises(SilenceRefusedError, match="10 s are left"):
            silence.acknowledge(20.0)
        silence.acknowledge(HOUR_S + 40.0)

    def test_one_in_a_pause_does_not_end_or_prolong_that(self) -> None:
        silence = Silence(max_pause_s=1800.0, max_pause_hourly_s=1800.0)
        silence.pause(0.0, 600.0)
        silence.acknowledge(10.0)
        silence.resume(60.0)
        assert silence.left_s(60.0) == pytest.approx(1800.0 - 60.0 - LEAST_S)

    def test_what_was_refused_leaves_the_alert_as_it_was(self) -> None:
        drive = Drive(Config.model_validate({"publish": {"max_pause_hourly_s": 0}}))
        drive.see(10.0, anger=0.02)
        drive.see(10.0, anger=0.95)
        ok, message = drive.orders.ask(Command(ACKNOWLEDGE))
        assert (ok, "publish.max_pause_hourly_s" in message) == (False, True)
        assert drive.decider.unacknowledged() == ("anger",)


class TestButton:
    def test_a_short_press_acknowledges_what_is_open(self) -> None:
        drive = Drive()
        drive.see(60.0, anger=0.05)
        drive.see(60.0, anger=0.9)
        assert drive.decider.unacknowledged() == ("anger",)
        drive.orders.press(Press.SHORT, paused=False)
        drive.see(1.0, anger=0.9)
        assert drive.steps[-1].signals.kinds["anger"].acknowledged

    def test_a_long_press_pauses_and_another_one_ends_the_pause(self) -> None:
        drive = Drive(Config.model_validate({"cab": {"button": {"pause_s": 60.0}}}))
        drive.see(5.0, anger=0.05)
        drive.orders.press(Press.LONG, paused=False)
        drive.see(30.0, anger=0.05)
        assert drive.steps[-1].state is State.PAUSED
        drive.orders.press(Press.LONG, paused=True)
        drive.see(1.0, anger=0.05)
        assert drive.steps[-1].state is not State.PAUSED

    def test_a_pause_lasts_no_longer_than_anybody_may_ask_for(self) -> None:
        drive = Drive(Config.model_validate({"publish": {"max_pause_s": 60.0}}))
        drive.orders.press(Press.LONG, paused=False)
        drive.see(59.0, anger=0.05)
        assert drive.steps[-1].state is State.PAUSED
        drive.see(2.0, anger=0.05)
        assert drive.steps[-1].state is not State.PAUSED

    @pytest.mark.parametrize("press", Press)
    def test_an_hour_of_presses_is_no_more_silence_than_commands_may_ask_for(self, press: Press) -> None:
        drive = Drive()
        drive.see(30.0, anger=0.05)
        for _ in range(720):
            paused = drive.steps[-1].state is State.PAUSED
            drive.orders.press(press, paused=paused)
            drive.see(5.0, anger=0.9)
        paused_s = sum(step.state is State.PAUSED for step in drive.steps) / FPS
        assert paused_s <= Config().publish.max_pause_hourly_s + 1.0
        assert drive.alert_s() > 60.0
