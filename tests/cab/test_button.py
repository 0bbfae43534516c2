"""The driver's button: what a finger, a bouncing contact, a stuck button and a loose wire come to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cab.button import Button
from edge.cab.presses import BOUNCE_S, MINUTE_S, MOST_A_MINUTE, STUCK_S, Press, Presses
from edge.config import ButtonConfig, CabConfig, GpioConfig

gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed; pip install 'evenkeel[gpio]'")
mock = pytest.importorskip("gpiozero.pins.mock")

HOLD_S = 2.0
PIN = 24


class Finger:
    """Presses a button, which is looked at every ``look_s`` as the service does."""

    def __init__(self, look_s: float = 0.066, *, down: bool = False) -> None:
        self.presses = Presses(HOLD_S, 0.0, down=down)
        self.t = 0.0
        self.look_s = look_s
        self.told: list[Press] = []

    def hold(self, seconds: float, *, down: bool) -> None:
        self.told += self.presses.edge(self.t, down=down)
        end = self.t + seconds
        while self.t + self.look_s < end:
            self.t += self.look_s
            self.told += self.presses.at(self.t)
        self.t = end

    def tap(self, seconds: float = 0.2) -> None:
        self.hold(seconds, down=True)
        self.hold(1.0, down=False)


@pytest.mark.parametrize("look_s", [0.01, 0.066, 0.2, 5.0])
def test_a_short_press_and_a_long_one_are_told_apart_however_seldom_somebody_looks(look_s: float) -> None:
    finger = Finger(look_s)
    finger.tap()
    finger.tap(HOLD_S + 0.5)
    finger.tap(0.06)
    finger.hold(6.0, down=False)
    assert finger.told == [Press.SHORT, Press.LONG, Press.SHORT]


def test_a_long_press_is_told_while_it_is_still_held() -> None:
    finger = Finger()
    finger.hold(HOLD_S + 0.1, down=True)
    assert finger.told == [Press.LONG]


def test_a_button_that_is_stuck_is_one_press_and_is_said_until_it_is_free() -> None:
    finger = Finger()
    finger.hold(3600.0, down=True)
    assert finger.told == [Press.LONG]
    assert finger.presses.problem(finger.t) == "it is stuck"
    finger.hold(1.0, down=False)
    assert finger.presses.problem(finger.t) is None
    finger.tap()
    assert finger.told == [Press.LONG, Press.SHORT]


def test_a_button_that_is_down_at_the_start_has_not_been_pressed() -> None:
    finger = Finger(down=True)
    finger.hold(STUCK_S + 1.0, down=True)
    assert finger.presses.problem(finger.t) == "it is stuck"
    finger.hold(1.0, down=False)
    assert finger.told == []


@given(st.lists(st.floats(0.0001, BOUNCE_S * 0.9), max_size=60))
def test_contacts_that_bounce_on_the_way_down_and_up_are_one_press(bounces: list[float]) -> None:
    finger = Finger(0.01)
    for _ in range(2):
        for number, seconds in enumerate(bounces):
            finger.hold(seconds, down=number % 2 == 0)
        finger.hold(0.2, down=True)
        for number, seconds in enumerate(bounces):
            finger.hold(seconds, down=number % 2 == 1)
        finger.hold(0.2, down=False)
    assert finger.told == [Press.SHORT] * 2


@given(st.lists(st.floats(0.0001, BOUNCE_S * 0.9), min_size=1, max_size=200))
def test_a_line_that_only_flickers_presses_nothing(flickers: list[float]) -> None:
    finger = Finger(0.01)
    for number, seconds in enumerate(flickers):
        finger.hold(seconds, down=number % 2 == 0)
    finger.hold(1.0, down=False)
    assert finger.told == []


def test_a_loose_wire_is_said_and_no_press_any_more_until_it_is_quiet() -> None:
    finger = Finger()
    for _ in range(200):
        finger.hold(0.1, down=True)
        finger.hold(0.1, down=False)
    assert len(finger.told) == MOST_A_MINUTE
    assert "pressed 15 times in a minute" in (finger.presses.problem(finger.t) or "")
    finger.hold(MINUTE_S, down=False)
    assert finger.presses.problem(finger.t) is None
    finger.tap()
    assert len(finger.told) == MOST_A_MINUTE + 1


@pytest.fixture
def board() -> Iterator[Any]:
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, mock.MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


class Clock:
    t = 0.0

    def __call__(self) -> float:
        return self.t


def test_a_pin_that_is_drawn_to_ground_is_a_press_even_between_two_looks(board: Any) -> None:
    clock = Clock()
    with Button(ButtonConfig(pin=PIN), clock) as button:
        for t, drive in ((1.0, board.pin(PIN).drive_low), (1.2, board.pin(PIN).drive_high)):
            clock.t = t
            drive()
        assert button.poll() == []
        clock.t = 1.3
        assert button.poll() == [Press.SHORT]
        assert button.problem is None


def test_more_edges_than_are_kept_lose_no_level(board: Any) -> None:
    clock = Clock()
    with Button(ButtonConfig(pin=PIN), clock) as button:
        for number in range(5001):
            clock.t = number * 1e-4
            (board.pin(PIN).drive_low if number % 2 == 0 else board.pin(PIN).drive_high)()
        assert button.poll() == []
        clock.t += 2.1
        assert button.poll() == [Press.LONG]


def test_a_pin_that_is_taken_is_said_once_and_ends_nothing(board: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), gpiozero.LED(PIN, pin_factory=board):
        button = Button(ButtonConfig(pin=PIN), Clock())
        with button:
            assert [button.poll() for _ in range(3)] == [[], [], []]
        assert "button on GPIO24" in (button.problem or "")
    assert len(caplog.records) == 1


def test_a_pin_that_cannot_be_read_any_more_is_said_and_ends_nothing(
    board: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Button(ButtonConfig(pin=PIN), Clock()) as button:

        def gone(_: Any) -> bool:
            raise OSError("no such device")

        monkeypatch.setattr(type(board.pin(PIN)), "_get_state", gone)
        assert [button.poll() for _ in range(3)] == [[], [], []]
        assert "no such device" in (button.problem or "")
        monkeypatch.undo()
    assert len(caplog.records) == 1


def test_without_a_pin_nothing_is_pressed_and_nothing_is_wrong() -> None:
    with Button(ButtonConfig(), Clock()) as button:
        assert (button.poll(), button.problem) == ([], None)


def test_a_button_needs_a_pin_of_its_own() -> None:
    with pytest.raises(ValueError, match="same pin"):
        CabConfig(gpio=GpioConfig(led=17), button=ButtonConfig(pin=17))
