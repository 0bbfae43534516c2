"""The plan of faults happens as it is written."""

from __future__ import annotations

from typing import Any, cast

import pytest

from benchmarks.faults import Fault, Memory, What
from benchmarks.world import FallenError, World


class Recorder:
    """Stands for a broker, a collector or a device: notes what is done to it."""

    name = "recorder"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fell = False

    def start(self, *, wait: bool = True) -> None:
        del wait
        self.done.append("start")

    def kill(self) -> None:
        self.done.append("kill")

    def forget(self) -> None:
        self.done.append("forget")


def world(broker: Recorder, collector: Recorder, device: Recorder) -> World:
    return World(cast("Any", broker), cast("Any", collector), [cast("Any", device)], [], cast("Any", None))


def test_what_is_struck_at_the_moment_at_which_it_comes_back_has_come_back() -> None:
    device = Recorder()
    faults = [Fault(0.0, What.DEVICE, 0, 0.01), Fault(0.01, What.DEVICE, 0, 0.0)]
    world(Recorder(), Recorder(), device).play(faults)
    assert device.done == ["kill", "start", "kill", "start"]


def test_a_broker_forgets_before_it_starts_where_the_plan_says_so() -> None:
    broker = Recorder()
    faults = [
        Fault(0.0, What.BROKER, 0, 0.0, Memory.FORGETS),
        Fault(0.01, What.BROKER, 0, 0.0, Memory.OFF),
        Fault(0.02, What.BROKER, 0, 0.0, Memory.KEEPS),
    ]
    world(broker, Recorder(), Recorder()).play(faults)
    assert broker.done == ["kill", "forget", "start", "kill", "forget", "start", "kill", "start"]


def test_a_process_that_ends_by_itself_ends_the_run() -> None:
    device = Recorder()
    device.fell = True
    with pytest.raises(FallenError, match="recorder"):
        world(Recorder(), Recorder(), device).play([Fault(0.0, What.COLLECTOR, 0, 0.0)])
