"""Sinks: each gets everything, and a slow or a failing one costs no other anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from unittest.mock import MagicMock

import numpy as np
import pytest

from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    Observation,
    Sight,
    Signals,
    State,
    Step,
)
from edge.errors import UnavailableError
from edge.service.health import Health, SinkHealth
from edge.service.sinks import STEADY, Sinks, Worker

PATIENCE_S = 5.0


def step(t: float) -> Step:
    nothing = np.zeros(len(EXPRESSIONS), np.float32)
    return Step(Observation(t, Sight.NO_FACE), Signals(t, {}, 0.0, nothing), State.ABSENT, NO_REASON, ())


class Listening:
    """Keeps what it takes; ``fault`` is raised instead where there is one."""

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self.outward = False
        self.name = name
        self.fault = fault
        self.taken: list[float] = []
        self.probed = 0
        self.closed = False
        self.health = SinkHealth()

    def take(self, step: Step) -> None:
        if self.fault is not None:
            raise self.fault
        self.taken.append(step.observation.t)

    def probe(self, health: Health) -> None:
        del health
        self.probed += 1

    def close(self) -> None:
        self.closed = True


def test_in_shadow_mode_no_step_reaches_what_is_outward_and_health_still_does() -> None:
    cab, trace = Listening("cab"), Listening("trace")
    cab.outward = True
    for shadow in (True, False):
        sinks = Sinks([cab, trace], shadow=shadow)
        sinks.take(step(1.0))
        sinks.probe(MagicMock())
        sinks.close()
    assert (cab.taken, trace.taken, cab.probed, cab.closed) == ([1.0], [1.0, 1.0], 2, True)


def test_every_sink_gets_every_step_though_one_fails_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    broken, whole = Listening("pin", UnavailableError("pin 17: busy")), Listening("mqtt")
    sinks = Sinks([broken, whole])
    for t in (1.0, 2.0, 3.0):
        sinks.take(step(t))
    assert whole.taken == [1.0, 2.0, 3.0]
    assert sinks.health == {"pin": SinkHealth(problem="pin 17: busy"), "mqtt": SinkHealth()}
    assert caplog.text.count("pin: pin 17: busy") == 1
    broken.fault = None
    sinks.take(step(4.0))
    assert sinks.health["pin"] == SinkHealth()


def test_a_bug_in_one_sink_is_named_and_the_others_are_closed_all_the_same() -> None:
    class Bug(Listening):
        def close(self) -> None:
            raise ZeroDivisionError("a bug")

    before, after = Listening("before"), Listening("after")
    sinks = Sinks([before, Bug("bug"), after])
    sinks.close()
    assert before.closed
    assert after.closed
    assert sinks.health["bug"].problem == "unexpected error: ZeroDivisionError('a bug')"


def test_a_sink_that_comes_and_goes_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    pin = Listening("pin")
    sinks = Sinks([pin])
    for n in range(400):
        pin.fault = UnavailableError(f"pin 17: busy for {n} ms") if n % 2 else None
        sinks.take(step(n))
    assert caplog.text.count("pin 17: busy") == 1
    assert sinks.health["pin"].problem == "pin 17: busy for 399 ms"
    pin.fault = None
    for n in range(STEADY):
        sinks.take(step(n))
    pin.fault = UnavailableError("pin 17: gone")
    sinks.take(step(0))
    assert "pin 17: gone" in caplog.text


def test_a_sink_that_cannot_even_say_how_it_is_costs_no_other_its_health() -> None:
    class Bug(Listening):
        @property
        def health(self) -> SinkHealth:
            raise ZeroDivisionError("a bug")

        @health.setter
        def health(self, _: SinkHealth) -> None:
            pass

    told = Sinks([Bug("bug"), Listening("mqtt")]).health
    assert told == {"bug": SinkHealth(problem="unexpected error: ZeroDivisionError('a bug')"), "mqtt": SinkHealth()}


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that no thread is left waiting."""
    event = threading.Event()
    yield event
    event.set()


def test_nobody_waits_for_a_slow_worker_and_what_it_cannot_take_is_counted(gate: threading.Event) -> None:
    done: list[int] = []
    begun = threading.Event()

    def slow(item: int) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        done.append(item)

    worker = Worker("slow", slow, size=3)
    worker.put(0)
    assert begun.wait(PATIENCE_S)
    for item in range(1, 10):
        worker.put(item)  # a put that waited would never return: the gate is shut
    assert worker.health.dropped == 6
    gate.set()
    worker.close()
    assert done == [0, 1, 2, 3]


def test_a_worker_tells_its_last_fault_until_something_succeeds_and_counts_what_was_lost() -> None:
    def handle(item: int) -> None:
        if item < 2:
            raise UnavailableError(f"no room for {item}")

    worker = Worker("trace", handle)
    worker.put(0)
    worker.put(1)
    worker.close()
    assert worker.health == SinkHealth(2, "no room for 1")
    worker = Worker("trace", handle)
    worker.put(1)
    worker.put(2)
    worker.close()
    assert worker.health == SinkHealth(1, None)


def test_the_end_waits_for_what_was_taken() -> None:
    done: list[int] = []
    worker = Worker("trace", done.append)
    for item in range(100):
        worker.put(item)
    worker.close()
    assert done == list(range(100))


def test_a_worker_that_hangs_does_not_hold_up_the_end(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.service.sinks.CLOSE_S", 0.05)

    def hang(_: int) -> None:
        gate.wait(PATIENCE_S)

    worker = Worker("stuck", hang, size=1)
    worker.put(1)
    worker.put(2)
    worker.close()
    assert "stuck" in caplog.text


def test_what_a_worker_does_by_the_clock_goes_on_between_items_and_after_a_fault() -> None:
    looked, taken = threading.Semaphore(0), list[int]()

    def tick() -> float:
        looked.release()
        if not taken:
            raise UnavailableError("gone")
        return 0.001

    worker = Worker("pins", taken.append, tick=tick)
    assert all(looked.acquire(timeout=PATIENCE_S) for _ in range(3))
    assert worker.health.problem == "gone"
    worker.put(1)
    assert all(looked.acquire(timeout=PATIENCE_S) for _ in range(20))
    worker.close()
    assert taken == [1]
    assert worker.health.problem is None
