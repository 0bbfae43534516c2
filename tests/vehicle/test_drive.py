"""A drive with stops, from the CAN bus to the cab: what candump recorded is the vehicle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import can
from cantools.database.can import Database

from edge.cab.plan import Cue, Plan
from edge.config import Config
from edge.config.vehicle import CanSourceConfig, VehicleConfig
from edge.decision.decider import Decider
from edge.decision.kinds import registered
from edge.domain import Eyes, Observation, Step
from edge.traces.replay import replay
from edge.traces.trace import TraceWriter
from edge.vehicle import Vehicle
from edge.vehicle.can import CanSource, Frames
from tests.decision.conftest import look
from tests.vehicle.conftest import VAN, Clock, frame, record

FPS = 5
CAN_HZ = 2
BLOCK_S = 200
"""After so many seconds the drive begins again."""

CAN = CanSourceConfig(channel="can0", driver="virtual", dbc=VAN, speed_signal="WheelSpeed.VehicleSpeed")


def speed_at(t: float) -> float:
    """Town traffic, km/h: the vehicle slows down, stands for 60 s, and drives on."""
    s = t % BLOCK_S
    if s < 110:
        return 50.0
    if s < 120:
        return 50.0 - 5 * (s - 110)
    return 0.0 if s < 180 else min(50.0, 5 * (s - 180))


def drive(seconds: int, van: Database) -> Iterator[tuple[float, can.Message]]:
    """Its frames, each with its time."""
    for n in range(seconds * CAN_HZ):
        t = n / CAN_HZ
        yield t, frame(van, "WheelSpeed", VehicleSpeed=speed_at(t), Counter=n % 16)


def seen_at(t: float, *, asleep_at_the_wheel: bool = False) -> Observation:
    """An attentive driver who rests at each stop and is angry at whoever is beside; or who nods off on the way."""
    s = t % BLOCK_S
    rests = 128 <= s < 176
    shut = rests or (asleep_at_the_wheel and 60 <= s < 63)
    openness = 0.05 if shut else 0.95
    return look(t, eyes=Eyes(openness, openness, 1.0, 1.0).reading(), anger=0.95 if rests else 0.02)


def driven(log: Path, *, asleep_at_the_wheel: bool = False) -> Iterator[Step]:
    """The steps of a drive: the frames of the log reach the decision as they would on the way."""
    clock = Clock()
    vehicle = Vehicle([CanSource(CAN)], VehicleConfig(), clock)
    store, frames, decider = vehicle._threads[0].store, Frames(CAN), Decider(Config())
    n = 0
    with can.LogReader(log) as reader:
        for message in reader:
            while n / FPS <= message.timestamp:
                clock.now = n / FPS
                seen = seen_at(clock.now, asleep_at_the_wheel=asleep_at_the_wheel)
                yield decider.update(seen, vehicle.context(clock.now))
                n += 1
            clock.now = message.timestamp
            frames.take(message, store)


def cues(steps: Iterator[Step]) -> list[tuple[Cue, Step]]:
    """What is said in the cab, with the step at which it is."""
    plan = Plan(Config().cab, {kind: judge.wakes for kind, judge in registered().items()})
    said = ((plan.update(step), step) for step in steps)
    return [(cue, step) for cue, step in said if isinstance(cue, Cue)]


def test_in_an_hour_with_stops_no_false_alarm_of_the_running_decision_reaches_the_cab_at_standstill(
    van: Database, tmp_path: Path
) -> None:
    log = tmp_path / "hour.log"
    record(log, drive(3600, van))
    said = cues(driven(log))
    assert [cue for cue, step in said if step.context.standstill is not False] == []
    assert [cue for cue, _ in said if cue.wakes] == []


def test_the_same_rest_where_nothing_is_known_of_the_vehicle_is_said(van: Database, tmp_path: Path) -> None:
    """So the drive above has what a stop hides, and nothing unknown holds it back."""
    log = tmp_path / "silent.log"
    record(log, ((t, can.Message(arbitration_id=0x123, is_extended_id=False)) for t, _ in drive(200, van)))
    assert any(cue.wakes for cue, _ in cues(driven(log)))


def test_a_drive_with_recorded_can_is_replayed_from_its_trace_to_the_same(van: Database, tmp_path: Path) -> None:
    log, trace = tmp_path / "drive.log", tmp_path / "drive.jsonl"
    record(log, drive(BLOCK_S, van))
    decided = []
    with TraceWriter(trace) as writer:
        for step in driven(log, asleep_at_the_wheel=True):
            writer.write(step)
            decided += [(each.kind, each.phase, round(each.t, 4), step.context.speed_kmh) for each in step.transitions]
    files = [tmp_path / "once.jsonl", tmp_path / "again.jsonl"]
    for file in files:
        replay(trace, Config(), events=file)
    events = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [(e["kind"], e["phase"], e["t"], e["context"]["speed_kmh"]) for e in events] == decided
    assert files[0].read_bytes() == files[1].read_bytes()
    assert ("fatigue", "start", 50.0) in [(kind, phase, speed) for kind, phase, _, speed in decided]
