"""What may hang is asked elsewhere: whoever wants to know never waits."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.board.heat import RateLimit
from edge.board.polled import Polled
from edge.board.sensors import Heat, SilentError, read_heat, throttling
from edge.board.watch import SILENT_S, HeatWatch
from edge.config import HeatConfig

DEADLINE_S = 5.0


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def test_the_last_answer_is_there_at_once_with_its_age() -> None:
    now = [100.0]
    polled = Polled("test", lambda: 7, 3600.0, clock=lambda: now[0])
    assert (polled.answer, polled.age_s) == (None, 0.0)
    polled.start()
    eventually(lambda: polled.answer is not None)
    now[0] = 107.5
    assert polled.answer is not None
    assert (polled.answer.value, polled.answer.t, polled.age_s) == (7, 100.0, 7.5)
    polled.close()


def test_a_question_that_hangs_is_asked_once_and_its_silence_grows() -> None:
    now, answer, asked = [0.0], threading.Event(), []

    def ask() -> int:
        asked.append(True)
        answer.wait()
        return len(asked)

    polled = Polled("test", ask, 0.001, clock=lambda: now[0])
    polled.start()
    eventually(lambda: bool(asked))
    now[0] = 60.0
    assert (polled.answer, polled.age_s, len(asked)) == (None, 60.0, 1)
    answer.set()
    eventually(lambda: len(asked) > 3)  # and then it goes on
    assert polled.age_s == 0.0
    polled.close()


def test_an_error_is_logged_once_and_the_next_answer_counts(caplog: pytest.LogCaptureFixture) -> None:
    faults = [OSError("driver"), OSError("driver")]

    def ask() -> int:
        if faults:
            raise faults.pop()
        return 3

    polled = Polled("sensor", ask, 0.001)
    polled.start()
    eventually(lambda: polled.answer is not None)
    assert caplog.text.count("sensor: no answer") == 1
    polled.close()


def sleeping_vcgencmd(folder: Path) -> Path:
    program = folder / "vcgencmd"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_a_vcgencmd_that_sleeps_is_told_and_the_temperature_is_known_all_the_same(tmp_path: Path) -> None:
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("81000\n")
    program = str(sleeping_vcgencmd(tmp_path))
    with pytest.raises(SilentError, match="vcgencmd"):
        throttling(tmp_path, program, answer_s=0.05)
    heat = read_heat(tmp_path, program)
    assert (heat.temperature_c, heat.throttled) == (81.0, None)
    assert "does not answer" in (heat.fault or "")


def test_a_fault_of_the_sensors_is_in_health_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    read: list[bool] = []

    def ask() -> Heat:
        read.append(True)
        return Heat(50.0, None, "`vcgencmd` does not answer")

    watch = HeatWatch(RateLimit(HeatConfig(), 15.0), ask, lambda: 0.0, period_s=0.001)
    watch.start()
    for count in (1, 5, 9):
        eventually(lambda count=count: len(read) > count)  # type: ignore[misc]
        watch.look()
    assert (watch.problem, watch.heat.temperature_c) == ("`vcgencmd` does not answer", 50.0)
    assert caplog.text.count("`vcgencmd` does not answer") == 1
    watch.close()


def test_sensors_that_hang_for_good_hold_nothing_up_and_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    now, begun, never = [0.0], threading.Event(), threading.Event()

    def read() -> Heat:  # as a program in uninterruptible sleep, which nothing ends
        begun.set()
        never.wait()
        return Heat(51.0, throttled=False)

    watch = HeatWatch(RateLimit(HeatConfig(), 15.0), read, lambda: now[0], awake=lambda: now[0])
    watch.start()
    assert begun.wait(DEADLINE_S)
    for _ in range(1000):
        watch.look()
    assert (watch.heat, watch.problem) == (Heat(None, None), None)
    now[0] = SILENT_S
    for _ in range(1000):
        watch.look()
    assert watch.problem is not None
    assert "do not answer" in watch.problem
    assert caplog.text.count("do not answer") == 1
    watch.close()
    never.set()


def test_sensors_that_answer_again_are_believed_again() -> None:
    now, hang, hanging = [0.0], threading.Event(), threading.Event()
    heats = iter([Heat(50.0, throttled=False)])

    def read() -> Heat:
        if (heat := next(heats, None)) is not None:
            return heat
        hanging.set()
        hang.wait()
        return Heat(60.0, throttled=False)

    watch = HeatWatch(RateLimit(HeatConfig(), 15.0), read, lambda: now[0], period_s=0.001, awake=lambda: now[0])
    watch.start()
    assert hanging.wait(DEADLINE_S)
    watch.look()
    assert watch.heat.temperature_c == 50.0
    now[0] = SILENT_S
    watch.look()
    assert watch.heat == Heat(None, None)
    hang.set()

    def warm() -> bool:
        watch.look()
        return watch.heat.temperature_c == 60.0

    eventually(warm)
    assert watch.problem is None
    watch.close()
