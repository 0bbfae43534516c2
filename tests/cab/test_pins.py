"""What is shown on pins: gpiozero's mock factory notes when each of them went high and low."""

from __future__ import annotations

import builtins
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import pytest

from edge.board.pins import pin_factory
from edge.cab.pins import OFFER, URGENT, WARNING, Pins, pattern_of
from edge.cab.plan import Cue
from edge.config import CabConfig, Config, GpioConfig, SoundConfig
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Judged,
    Level,
    Observation,
    Phase,
    Sight,
    Signals,
    State,
    Step,
    Transition,
)
from edge.errors import UnavailableError
from edge.service.cab_outputs import PinOutput
from edge.service.cab_sink import CabSink
from edge.service.loop import board_stamp
from edge.tools.cab import try_out

gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed; pip install 'evenkeel[gpio]'")
mock = pytest.importorskip("gpiozero.pins.mock")

WAKE = Cue("fatigue", Level.URGENT, wakes=True)
WARN = Cue("fatigue", Level.WARNING, wakes=True)
CALM = Cue("anger", Level.WARNING, wakes=False)
QUICK = {"fatigue_urgent": (0.02, 0.02, 3), "fatigue": (0.05, 0.02, 1), "anger": (0.05, 0.0, 1)}
GPIO = GpioConfig(led=17, buzzer=22, vibration=23, watching_light=27, patterns=QUICK)


@pytest.fixture
def board() -> Iterator[Any]:
    """A Raspberry Pi whose pins note what becomes of them."""
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, mock.MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


@pytest.fixture
def take() -> Iterator[Callable[[GpioConfig], Pins]]:
    """Makes pins that are let go of at the end."""
    with ExitStack() as stack:

        def made(config: GpioConfig) -> Pins:
            return stack.enter_context(closing(Pins(config)))

        yield made


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def levels(board: Any, pin: int) -> list[bool]:
    return [state.state for state in board.pin(pin).states]


def finish(pins: Pins) -> None:
    """Play what has begun to its end."""
    while (wait_s := pins.tick()) is not None:
        time.sleep(wait_s)


def plays(board: Any, pin: int, times: int) -> bool:
    """Whether a pin went high and low so often by now, and is low."""
    return levels(board, pin) == [False, *[True, False] * times]


def test_a_warning_that_wakes_goes_to_light_buzzer_and_seat_in_its_pattern(
    board: Any, take: Callable[[GpioConfig], Pins]
) -> None:
    pins = take(GPIO)
    pins.open()
    pins.show(WAKE)
    assert [levels(board, pin) for pin in (17, 22, 23)] == [[False, True]] * 3
    finish(pins)
    assert all(plays(board, pin, times=3) for pin in (17, 22, 23))
    assert not any(levels(board, 27))


def test_a_pulse_lasts_as_long_as_its_pattern_says(board: Any) -> None:
    now = [0.0]
    with closing(Pins(GPIO, clock=lambda: now[0])) as pins:
        pins.show(WARN)
        for t, on in ((0.04, True), (0.0499, True), (0.0501, False), (1.0, False)):
            now[0] = t
            pins.tick()
            assert board.pin(22).state is on


def test_an_angry_driver_is_not_beeped_at(board: Any, take: Callable[[GpioConfig], Pins]) -> None:
    pins = take(GPIO)
    pins.show(CALM)
    finish(pins)
    assert plays(board, 17, times=1)
    assert not any(levels(board, 22) + levels(board, 23))


def test_a_hush_ends_a_pattern_at_once(board: Any, take: Callable[[GpioConfig], Pins]) -> None:
    pins = take(GpioConfig(led=17, patterns={"anger": (10.0, 0.0, 100)}))
    pins.show(CALM)
    assert levels(board, 17) == [False, True]
    pins.hush()
    assert levels(board, 17) == [False, True, False]
    assert pins.tick() is None


def test_a_pattern_in_place_of_another_leaves_no_part_on(board: Any, take: Callable[[GpioConfig], Pins]) -> None:
    pins = take(GPIO)
    pins.show(WAKE)
    pins.show(CALM)
    assert [board.pin(pin).state for pin in (17, 22, 23)] == [True, False, False]
    finish(pins)
    assert not board.pin(17).state


def test_who_ticks_late_leaves_out_what_was_missed_and_ends_in_time(board: Any) -> None:
    now = [0.0]
    with closing(Pins(GpioConfig(led=17), clock=lambda: now[0])) as pins:
        pins.show(WAKE)
        assert pins.tick() == pytest.approx(0.1)
        now[0] = 0.55
        assert pins.tick() == pytest.approx(0.05)
        assert levels(board, 17) == [False, True, False]
        now[0] = 60.0
        assert pins.tick() is None
        assert levels(board, 17) == [False, True, False]


def test_a_part_that_fails_within_a_pattern_is_named_and_the_others_play_on(
    board: Any, take: Callable[[GpioConfig], Pins]
) -> None:
    pins = take(GPIO)
    pins.show(WAKE)
    board.pin(22).function = "input"
    with pytest.raises(UnavailableError, match="buzzer on GPIO22"):
        finish(pins)
    finish(pins)
    assert plays(board, 17, times=3)
    assert plays(board, 23, times=3)


def test_a_part_that_is_on_while_its_pin_is_low_is_off_at_first(board: Any, take: Callable[[GpioConfig], Pins]) -> None:
    pins = take(GpioConfig(led=17, active_low=("led",), patterns=QUICK))
    pins.open()
    assert board.pin(17).state
    pins.show(CALM)
    finish(pins)
    assert levels(board, 17)[-3:] == [True, False, True]


def test_each_level_has_its_pattern_and_the_user_may_set_another() -> None:
    usual, own = GpioConfig(), GpioConfig(patterns={"fatigue": (1.0, 1.0, 2)})
    assert [pattern_of(cue, usual) for cue in (WAKE, WARN, CALM)] == [URGENT, WARNING, OFFER]
    assert [pattern_of(cue, own) for cue in (WAKE, WARN, CALM)] == [(1.0, 1.0, 2)] * 2 + [OFFER]
    assert all((on_s + off_s) * times < CabConfig().repeat_s for on_s, off_s, times in (URGENT, WARNING, OFFER))


def test_a_pin_that_is_taken_is_named_and_the_others_work(board: Any, take: Callable[[GpioConfig], Pins]) -> None:
    taken = gpiozero.LED(22)
    pins = take(GPIO)
    with pytest.raises(UnavailableError, match=r"buzzer on GPIO22.*evenkeel doctor"):
        pins.show(CALM)
    finish(pins)
    assert plays(board, 17, times=1)
    taken.close()
    pins.show(WAKE)
    finish(pins)
    assert plays(board, 22, times=3)


def test_a_pin_that_fails_later_is_named_and_taken_again(board: Any, take: Callable[[GpioConfig], Pins]) -> None:
    pins = take(GpioConfig(watching_light=27, led=17))
    pins.open()
    board.pin(27).function = "input"  # somebody else made an input of it: it cannot be set
    with pytest.raises(UnavailableError, match="watching_light on GPIO27"):
        pins.watch(on=True)
    pins.hush()
    assert board.pin(27).state


def test_without_gpiozero_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "gpiozero"]:
        monkeypatch.delitem(sys.modules, name)
    found = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == "gpiozero":
            raise ImportError(name)
        return found(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnavailableError, match=r"python3-gpiozero.*evenkeel\[gpio\]"):
        Pins(GPIO).show(WAKE)


def test_a_machine_without_such_pins_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lgpio", reason="lgpio is not installed; on Debian: apt-get install python3-lgpio")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    if os.path.exists("/proc/device-tree/system/linux,revision"):  # noqa: PTH110 - as short as that
        pytest.skip("this is a Raspberry Pi")
    with pytest.raises(UnavailableError, match=r"^gpio: .*evenkeel doctor"):
        pin_factory()


def step_of(t: float, state: State, *told: Transition) -> Step:
    signals = Signals(t, {"fatigue": Judged(0.5)}, 1.0, np.zeros(len(EXPRESSIONS), np.float32))
    return Step(Observation(t, Sight.FACE), signals, state, NO_REASON, told)


def test_the_light_is_on_while_the_driver_is_looked_at_and_off_after_the_end(board: Any) -> None:
    sink = CabSink(Config(cab=CabConfig(gpio=GPIO)), board_stamp)
    states = (State.UNCERTAIN, State.CALM, State.PAUSED, State.CALM, State.BLIND, State.ABSENT, State.WARNING)
    for t, state in enumerate(states):
        sink.take(step_of(float(t), state))
    sink.close()
    assert sink.health.problem is None
    assert levels(board, 27) == [False, True, False, True, False, True, False]


def test_an_alert_reaches_the_pins_and_its_end_silences_them(board: Any) -> None:
    long = GPIO.model_copy(update={"patterns": {"fatigue": (10.0, 0.0, 1)}})
    sink = CabSink(Config(cab=CabConfig(gpio=long)), board_stamp)
    start = Transition(0.0, "fatigue", Phase.START, Level.WARNING, 1, 0.0, 0.8, 0.8, None)
    sink.take(step_of(0.0, State.WARNING, start))
    eventually(lambda: levels(board, 22) == [False, True])
    end = Transition(1.0, "fatigue", Phase.END, Level.WARNING, 1, 0.0, 0.8, 0.8, None)
    sink.take(step_of(1.0, State.CALM, end))
    eventually(lambda: levels(board, 22) == [False, True, False])
    sink.close()


def test_a_fault_of_the_pins_is_told_in_health_beside_that_of_the_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "no_such_factory")
    sink = CabSink(Config.model_validate({"cab": {"gpio": {"led": 17}, "sound": {"enabled": True}}}), board_stamp)
    for fault in ("gpio: GPIOZERO_PIN_FACTORY=no_such_factory", "espeak-ng is missing"):
        eventually(lambda fault=fault: fault in (sink.health.problem or ""))  # type: ignore[misc]
    sink.close()


def test_trying_shows_the_pattern_to_its_end_and_lets_go(board: Any) -> None:
    slept: list[float] = []
    try_out(Config(cab=CabConfig(gpio=GPIO)), WAKE, board_stamp(), slept.append)
    assert slept
    assert max(slept) <= 0.02
    gpiozero.LED(17).close()
    assert not any(board.pin(pin).state for pin in (17, 22, 23, 27))


def test_trying_shows_the_pattern_beside_the_sound(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []

    def play(*_: object) -> None:
        end = time.monotonic() + 10.0
        while levels(board, 22)[-2:] != [True, False] and time.monotonic() < end:
            time.sleep(0.005)
        told.append(levels(board, 22)[-2:] == [True, False])

    monkeypatch.setattr("edge.cab.sound.Sound.play", play)
    try_out(Config(cab=CabConfig(gpio=GPIO, sound=SoundConfig(enabled=True))), WAKE, board_stamp())
    assert told == [True]


def test_who_has_seen_enough_of_a_try_leaves_nothing_on(board: Any) -> None:
    def interrupt(_: float) -> None:
        assert board.pin(22).state
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_out(Config(cab=CabConfig(gpio=GPIO)), WAKE, board_stamp(), interrupt)
    assert [levels(board, pin)[-1] for pin in (17, 22, 23, 27)] == [False] * 4
    gpiozero.LED(22).close()


def test_a_part_that_breaks_in_a_try_is_named_and_the_others_end_off(board: Any) -> None:
    def sleep(seconds: float) -> None:
        board.pin(17).function = "input"
        time.sleep(seconds)

    with pytest.raises(UnavailableError, match="led on GPIO17"):
        try_out(Config(cab=CabConfig(gpio=GPIO)), WAKE, board_stamp(), sleep)
    assert levels(board, 22)[-2:] == [True, False]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"led": 17, "buzzer": 17}, "same pin"),
        ({"led": 1}, "greater than or equal to 2"),
        ({"led": 28}, "less than or equal to 27"),
        ({"patterns": {"rage": (1.0, 1.0, 1)}}, "rage; known: anger, anger_warning"),
        ({"patterns": {"anger": (0.0, 1.0, 1)}}, "patterns.anger.0"),
    ],
)
def test_pins_and_patterns_that_cannot_be_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CabConfig.model_validate({"gpio": wrong})


def test_what_is_not_chosen_is_not_shown(board: Any) -> None:
    chosen = GPIO.model_copy(update={"kinds": ("anger",)})
    with closing(PinOutput(chosen, Pins(chosen))) as output:
        for cue in (WAKE, CALM):
            output.take(cue, step_of(0.0, State.PAUSED))
        eventually(lambda: plays(board, 17, times=1))
    assert not any(levels(board, 22))


def test_a_stop_switches_off_what_can_be_where_a_part_is_broken(board: Any) -> None:
    pins = Pins(GPIO)
    pins.show(WARN)
    pins.watch(on=True)
    board.pin(17).function = "input"
    with pytest.raises(UnavailableError, match="led on GPIO17"):
        pins.close()
    assert [levels(board, pin)[-1] for pin in (22, 23, 27)] == [False, False, False]


def test_the_ignition_has_a_pin_of_its_own() -> None:
    for part in ({"gpio": {"led": 24}}, {"button": {"pin": 24}}):
        with pytest.raises(ValueError, match="ignition_pin is 24, which a part of"):
            Config.model_validate({"cab": part, "vehicle": {"gpio": {"ignition_pin": 24}}})
    Config.model_validate({"cab": {"gpio": {"led": 17}}, "vehicle": {"gpio": {"ignition_pin": 24}}})
