"""The loop: what it publishes, when it feeds the watchdog, how it stops, reloads and obeys."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import UUID

import numpy as np
import pytest

from edge.board.clock import uptime_s
from edge.board.notify import Notifier
from edge.board.sensors import Heat
from edge.cab.presses import Press
from edge.camera import Camera, EndOfStream, Source
from edge.camera.newest import NewestFrame
from edge.compat import UTC, Self
from edge.config import Config, HeatConfig, load_config
from edge.decision.baseline import RestingFace
from edge.decision.decider import Decider
from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    EYES,
    FACE,
    UNKNOWN_CONTEXT,
    Context,
    Face,
    Frame,
    Judged,
    Level,
    Observation,
    Phase,
    Quality,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    Signals,
    Stamp,
    State,
    Step,
    Transition,
)
from edge.errors import CameraError, UnavailableError
from edge.mqtt.around import Around
from edge.mqtt.client import Publisher
from edge.mqtt.commands import Command
from edge.mqtt.messages import AlertMessage, CommandName, HealthMessage, LiveMessage, Newest, OutboxPart, StateMessage
from edge.mqtt.outbox import Outbox
from edge.service.health import Health, SinkHealth
from edge.service.loop import Service, board_stamp, serve
from edge.service.mqtt_sink import MqttSink
from edge.service.ports import DriverButton, Outlet, VehicleData
from edge.service.resting_face import RestingFaceFile, RestingFaceSink
from edge.service.sinks import Sink
from edge.service.status_sink import StatusSink
from edge.service.trace_sink import TraceSink
from edge.service.versions import About
from edge.timing import StageTimes
from edge.traces.trace import TraceWriter
from edge.vehicle import NO_VEHICLE
from tests.awake import AWAKE

DEADLINE_S = 5.0
ENTROPY = b"0123456789"


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def step_of(t: float, state: State, reason: str = "", transitions: tuple[Transition, ...] = ()) -> Step:
    signals = Signals(
        t,
        {"anger": Judged(0.1), "distress": Judged(0.2)},
        1.0,
        np.full(len(EXPRESSIONS), 1 / 9, np.float32),
    )
    return Step(
        Observation(t, Sight.NO_FACE), signals, state, Reason.told(reason), transitions, calibrated_percent=40.0
    )


def last_step(t: float) -> Step:
    """What a decider says at a stop in an episode."""
    end = Transition(t, "anger", Phase.END, Level.WARNING, 1, t - 3, 0.8, 0.9, "anger", Reason(ReasonCode.STOPPED))
    return step_of(t, State.BLIND, "stopped", (end,))


SHOWN = (12.0, *[0.0] * 18)
"""Seconds at each level of a resting face."""


class FakeDecider:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.last: Step | None = None
        self.resting_face = RestingFace(12.0, {"anger": -0.8, "distress": -2.2}, {"anger": SHOWN, "distress": SHOWN})

    def pause(self, t: float, seconds: float) -> None:  # noqa: ARG002 - the clock is the machine's here
        self.calls.append(("pause", seconds))

    def resume(self, t: float) -> None:  # noqa: ARG002 - as above
        self.calls.append(("resume",))

    def recalibrate(self) -> None:
        self.calls.append(("recalibrate",))

    def acknowledge(self, kind: str | None = None) -> tuple[str, ...]:
        self.calls.append(("acknowledge", kind))
        return self.unacknowledged(kind)

    def unacknowledged(self, kind: str | None = None) -> tuple[str, ...]:
        return ("anger",) if kind in (None, "anger") else ()

    def stop(self, t: float, context: Context = UNKNOWN_CONTEXT) -> Step | None:  # noqa: ARG002 - as above
        return self.last and replace(self.last, context=context)


class FakePipeline:
    """Says ``states`` one after the other, and the last of them for ever; takes ``slow_s`` for each frame."""

    def __init__(self, states: Iterable[State] = (State.CALM,), slow_s: float = 0.0) -> None:
        self.decider = FakeDecider()
        self.transitions: list[Transition] = []
        self.seen: list[float] = []
        self.blind: list[tuple[Sight, str]] = []
        self._states = iter(states)
        self._state = State.CALM
        self._slow_s = slow_s

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
        time.sleep(self._slow_s)
        self.seen.append(frame.t)
        self._state = next(self._states, self._state)
        transitions, self.transitions = tuple(self.transitions), []
        return replace(step_of(frame.t, self._state, transitions=transitions), context=context)

    def reconfigure(self, config: Config) -> None:
        self.decider.calls.append(("reconfigure", config.alerts.expressions["anger"].hold_s, config.mqtt.host))

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:
        self.blind.append((sight, reason))
        return replace(step_of(t, State.BLIND, reason), context=context)


def transition(phase: Phase) -> Transition:
    now = uptime_s()
    return Transition(now, "anger", phase, Level.WARNING, 1, now, 0.8, 0.9, "anger")


class Counting:
    """A sink that counts what it gets."""

    name = "counting"
    outward = False
    health = SinkHealth()

    def __init__(self) -> None:
        self.taken = 0

    def take(self, step: Step) -> None:
        del step
        self.taken += 1

    def probe(self, health: Health) -> None:
        del health

    def close(self) -> None:
        pass


class FakePublisher:
    watched = False
    around_waiting = 0
    around_dropped = 0

    def __init__(self) -> None:
        self.log: list[str] = []
        self.states: list[StateMessage] = []
        self.alerts: list[AlertMessage] = []
        self.health: list[HealthMessage] = []
        self.commands: list[Command] = []
        self.answers: list[tuple[CommandName, bool, str]] = []
        self.problem: str | None = None
        self.notices: tuple[str, ...] = ()
        self.newest = Newest(1, 0)
        self.around: list[Around] = []

    @property
    def problems(self) -> tuple[str, ...]:
        return (*((self.problem,) if self.problem else ()), *self.notices)

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> bool:
        self.log.append("stop")
        return True

    def publish_state(self, message: StateMessage) -> None:
        self.log.append(f"state {message.state}")
        self.states.append(message)

    def publish_alert(self, message: AlertMessage) -> AlertMessage:
        self.log.append(f"alert {message.kind} {message.phase}")
        self.alerts.append(message)
        return message

    def publish_health(self, message: HealthMessage) -> None:
        self.health.append(message)

    def publish_live(self, message: Callable[[], LiveMessage]) -> None:
        raise AssertionError(f"nobody asked for {message}")

    def publish_around(self, around: Around) -> None:
        self.around.append(around)

    def outbox_health(self) -> OutboxPart:
        return OutboxPart(depth=0, bytes=0, dropped=0, problem=None)

    def poll_command(self) -> Command | None:
        return self.commands.pop(0) if self.commands else None

    def answer(self, command: Command, *, ok: bool, message: str) -> None:
        self.answers.append((command.name, ok, message))


class FakeNotifier(Notifier):
    def __init__(self) -> None:
        super().__init__(None)
        self.sent: list[str] = []

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _try(self, message: str) -> bool:
        self.sent.append(message)
        return True


class Ticker(Source):
    """A camera that gives a new picture every ``period_s``, ``count`` times, then ends or fails."""

    live = True

    def __init__(self, period_s: float = 0.002, count: int | None = None, last: Exception | None = None) -> None:
        self._period_s = period_s
        self._left = count
        self._last = last or EndOfStream()
        self._random = np.random.default_rng(1)

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - never late
        if self._left == 0:
            raise self._last
        self._left = None if self._left is None else self._left - 1
        time.sleep(self._period_s)
        self.bad_frames += 1  # one before each good one
        return Frame(self._random.integers(0, 255, (48, 64), np.uint8), uptime_s())


class Hanging(Source):
    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - that is the fault
        time.sleep(DEADLINE_S)
        raise CameraError("late")


def speak_of(
    config: Config, publisher: Outlet, stamp: Callable[[], Stamp], clock: Callable[[], float] = uptime_s
) -> MqttSink:
    """The sink that publishes what a service says."""
    about = About("litert", "face 1", "expression 1", "eyes 1")
    return MqttSink(config, publisher=publisher, about=about, entropy=lambda: ENTROPY, clock=clock, stamp=stamp)


class Bench:
    """A service with everything around it faked, run in a thread."""

    def __init__(
        self,
        camera: Callable[[], Camera],
        config: Config | None = None,
        *,
        pipeline: FakePipeline | None = None,
        sinks: Sequence[Sink] = (),
        state_folder: Path | None = None,
        heat: Callable[[], Heat] = lambda: Heat(None, None),
        frames: NewestFrame | None = None,
        vehicle: VehicleData = NO_VEHICLE,
        flush: Callable[[float, Callable[[], bool]], None] = lambda *_: None,
        button: DriverButton | None = None,
    ) -> None:
        self.config = config or quick()
        self.pipeline = pipeline or FakePipeline()
        self.publisher = FakePublisher()
        self.notifier = FakeNotifier()
        self.frames = frames or NewestFrame(camera, self.config.camera)
        self.reloaded: Config | Exception = self.config
        stamp = lambda: Stamp(datetime(2026, 1, 1, tzinfo=UTC), 1.0, clock_synced=True)  # noqa: E731 - used twice
        file = RestingFaceFile(state_folder or Path(os.devnull))  # by default nothing can be kept
        memory = RestingFaceSink(file, lambda: self.pipeline.decider.resting_face, uptime_s, stamp)
        own: list[Sink] = [
            speak_of(self.config, self.publisher, stamp),
            StatusSink(self.notifier, self.publisher),
            memory,
        ]
        self.service = Service(
            self.config,
            frames=self.frames,
            pipeline=self.pipeline,
            publisher=self.publisher,
            notifier=self.notifier,
            sinks=[*own, *sinks],
            memory=memory,
            reload=self._reload,
            times=StageTimes(),
            heat=heat,
            heat_period_s=0.01,
            vehicle=vehicle,
            flush=flush,
            button=button,
        )
        self.thread = threading.Thread(target=self.service.run)

    def _reload(self) -> Config:
        if isinstance(self.reloaded, Exception):
            raise self.reloaded
        return self.reloaded

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.service.stop()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


def quick(**camera: float) -> Config:
    return Config.model_validate(
        {
            "camera": {"fps": 120, "timeout_s": 0.05, "reopen_min_s": 0.01, "reopen_max_s": 0.02, **camera},
            "publish": {"heartbeat_s": 3600, "health_s": 3600},
        }
    )


def test_the_first_state_is_set_before_the_connection_begins_and_ready_follows() -> None:
    with Bench(Ticker) as bench:
        eventually(lambda: "READY=1" in bench.notifier.sent)
        assert bench.publisher.log[:2] == ["state calm", "start"]


def test_a_state_is_published_when_it_changes_and_only_then() -> None:
    states = [State.CALM] * 5 + [State.WARNING] * 5 + [State.URGENT] * 5 + [State.CALM]
    with Bench(Ticker, quick(timeout_s=10.0), pipeline=FakePipeline(states)) as bench:  # a busy machine is not blind
        eventually(lambda: len(bench.pipeline.seen) > 40)
    assert [message.state for message in bench.publisher.states] == ["calm", "warning", "urgent", "calm"]


def test_a_kind_that_cannot_be_read_any_more_is_news_whatever_the_state() -> None:
    stamp = Stamp(datetime(2026, 1, 1, tzinfo=UTC), 1.0, clock_synced=True)
    publisher = FakePublisher()
    sink = speak_of(quick(), publisher, lambda: stamp, clock=lambda: 0.0)
    step = step_of(0.0, State.WARNING, "anger")
    lasting = Judged(0.6, readable=False, reason=Reason(ReasonCode.LASTING))
    unread = replace(step.signals, kinds={**step.signals.kinds, "distress": lasting})
    for each in (step, step, replace(step, signals=unread), replace(step, signals=unread), step):
        sink.take(each)
    sink.close()
    told = [message.kinds["distress"] for message in publisher.states]
    assert [(part.readable, part.reason_code) for part in told] == [(True, ""), (False, "lasting"), (True, "")]


def test_a_heartbeat_repeats_the_state() -> None:
    config = quick()
    config = config.model_copy(update={"publish": config.publish.model_copy(update={"heartbeat_s": 0.02})})
    with Bench(Ticker, config) as bench:
        eventually(lambda: len(bench.publisher.states) >= 5)


def test_the_steps_of_an_episode_become_alerts_with_one_id() -> None:
    pipeline = FakePipeline()
    now = time.monotonic()
    started = Transition(now, "anger", Phase.START, Level.WARNING, 1, now - 2, 0.8, 0.9, "anger")
    ended = Transition(now + 3, "anger", Phase.END, Level.WARNING, 1, now - 2, 0.1, 0.9, "neutral")
    pipeline.transitions = [started, ended]
    with Bench(Ticker, pipeline=pipeline) as bench:
        eventually(lambda: len(bench.publisher.alerts) == 2)
    first, last = bench.publisher.alerts
    assert (first.kind, first.phase, last.phase) == ("anger", "start", "end")
    assert first.id == last.id
    assert isinstance(first.id, UUID)
    assert first.models.face == "face 1"


def test_in_shadow_mode_the_connection_begins_with_the_first_frame_and_nothing_is_said_of_the_driver() -> None:
    silent = Config.model_validate(quick().model_dump() | {"alerts": {"shadow": True}})
    with Bench(Ticker, silent) as bench:
        eventually(lambda: "start" in bench.publisher.log)
    assert bench.publisher.log == ["start", "stop"]
    assert not bench.publisher.states


def test_a_disk_that_hangs_holds_up_neither_frames_nor_other_sinks_and_no_alert_is_lost() -> None:
    gate, hangs = threading.Event(), threading.Event()
    pipeline, other = FakePipeline(), Counting()

    def store(message: AlertMessage) -> AlertMessage:
        hangs.set()
        assert gate.wait(DEADLINE_S)
        return FakePublisher.publish_alert(bench.publisher, message)

    with Bench(Ticker, pipeline=pipeline, sinks=[other]) as bench:
        bench.publisher.publish_alert = store  # type: ignore[method-assign]
        eventually(lambda: "start" in bench.publisher.log)
        for phase in (Phase.START, Phase.END):
            pipeline.transitions = [transition(phase)]
            eventually(lambda: not pipeline.transitions)
        assert hangs.wait(DEADLINE_S)
        seen = other.taken
        eventually(lambda: other.taken > seen + 20)
        assert bench.publisher.alerts == []
        gate.set()
        eventually(lambda: [each.phase for each in bench.publisher.alerts] == [Phase.START, Phase.END])
    assert bench.publisher.log[-1] == "stop"


def test_what_was_decided_last_is_handed_on_before_the_service_says_offline() -> None:
    def slow(message: AlertMessage) -> AlertMessage:
        time.sleep(0.2)
        return FakePublisher.publish_alert(bench.publisher, message)

    with Bench(Ticker) as bench:
        eventually(lambda: "start" in bench.publisher.log)
        bench.publisher.publish_alert = slow  # type: ignore[method-assign]
        bench.pipeline.decider.last = last_step(uptime_s())
    assert bench.publisher.log[-3:] == ["alert anger end", "state blind", "stop"]


def test_the_watchdog_is_fed_once_for_every_frame_that_was_read() -> None:
    with Bench(lambda: Ticker(count=20, period_s=0.01), quick(fps=120, timeout_s=10.0)) as bench:
        bench.thread.join(DEADLINE_S)
    assert bench.notifier.sent.count("WATCHDOG=1") == len(bench.pipeline.seen) > 0


def test_a_hanging_camera_is_an_honest_blind_that_feeds_the_watchdog() -> None:
    with Bench(Hanging) as bench:
        eventually(lambda: len(bench.pipeline.blind) >= 2)
        assert bench.pipeline.blind[0] == (Sight.NO_PICTURE, "no frame within 0.05 s")
        assert "WATCHDOG=1" in bench.notifier.sent
        assert "READY=1" in bench.notifier.sent
        assert bench.publisher.states[0].state is State.BLIND


def test_a_capture_thread_that_is_stuck_starves_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NewestFrame, "stuck", True)
    with Bench(Hanging) as bench:
        eventually(lambda: len(bench.pipeline.blind) >= 2)
    assert "WATCHDOG=1" not in bench.notifier.sent


def test_a_camera_lost_and_found_goes_blind_with_the_reason_and_comes_back() -> None:
    present = threading.Event()
    first = Ticker(count=3, last=CameraError("camera v4l2:/dev/video0: no frame"))

    def open_next() -> Camera:
        if present.is_set():
            return Ticker()
        if first._left:
            return first
        raise CameraError("camera v4l2:/dev/video0: no such device")

    with Bench(open_next) as bench:
        eventually(lambda: State.BLIND in [message.state for message in bench.publisher.states])
        eventually(lambda: (Sight.NO_PICTURE, "camera v4l2:/dev/video0: no such device") in bench.pipeline.blind)
        present.set()
        eventually(lambda: bench.publisher.states[-1].state is State.CALM)


def test_the_end_of_a_file_ends_the_service_and_says_offline() -> None:
    with Bench(lambda: Ticker(count=3)) as bench:
        bench.thread.join(DEADLINE_S)
        assert not bench.thread.is_alive()
    assert bench.publisher.log[-1] == "stop"
    assert bench.notifier.sent[-1] == "STOPPING=1"


def test_an_open_episode_is_ended_before_the_service_says_offline() -> None:
    with Bench(Ticker) as bench:
        eventually(lambda: "start" in bench.publisher.log)
        bench.pipeline.decider.last = last_step(uptime_s())
        bench.service.stop()
        bench.thread.join(DEADLINE_S)
    assert bench.publisher.log[-3:] == ["alert anger end", "state blind", "stop"]
    assert (bench.publisher.alerts[-1].reason, bench.publisher.states[-1].reason) == ("stopped", "stopped")


def test_a_camera_file_that_breaks_off_ends_its_episode_too() -> None:
    pipeline = FakePipeline()
    pipeline.decider.last = last_step(uptime_s())
    frames = NewestFrame(
        lambda: Ticker(count=3, last=CameraError("clip.mp4: breaks off")), quick().camera, reopen=False
    )
    bench = Bench(Ticker, pipeline=pipeline, frames=frames)
    with pytest.raises(CameraError, match="breaks off"):
        bench.service.run()
    assert bench.publisher.log[-3:] == ["alert anger end", "state blind", "stop"]


@pytest.mark.parametrize("camera", [Ticker, Hanging])
def test_a_stop_takes_far_less_than_two_seconds(camera: Callable[[], Camera]) -> None:
    with Bench(camera) as bench:
        eventually(lambda: "start" in bench.publisher.log)
        asked = time.monotonic()
        bench.service.stop()
        bench.thread.join(DEADLINE_S)
        assert time.monotonic() - asked < 1.5
    assert bench.publisher.log[-1] == "stop"


def test_health_tells_rates_stages_and_problems() -> None:
    config = quick()
    config = config.model_copy(update={"publish": config.publish.model_copy(update={"health_s": 0.1})})
    with Bench(Ticker, config) as bench:
        bench.publisher.problem = "broker localhost:1883: refused"
        bench.publisher.notices = ("left out: something",)
        eventually(lambda: len(bench.publisher.health) >= 2)
    health = bench.publisher.health[-1]
    assert health.fps is not None
    assert health.fps > 0
    assert set(health.stages) == {"step", "age"}
    assert health.stages["step"].p50_ms <= health.stages["step"].p95_ms
    assert health.bad_frames > 0
    assert health.problems == ["broker localhost:1883: refused", "left out: something"]
    assert health.versions.face_model == "face 1"
    assert any(message.startswith("STATUS=") and "calm" in message for message in bench.notifier.sent)


def test_health_tells_what_share_of_the_frames_was_read() -> None:
    class Holding(FakePipeline):
        def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
            step = super().step(frame, context)
            held = (FACE, EXPRESSION, EYES) if len(self.seen) % 4 else (EXPRESSION,) if len(self.seen) % 8 else ()
            face = Face((0.0, 0.0, 9.0, 9.0), np.zeros((5, 2), np.float32), 1.0)
            reading = Reading.expression(np.eye(len(EXPRESSIONS), dtype=np.float32)[0])
            readings = {EXPRESSION: reading, EYES: AWAKE}
            return replace(step, observation=replace(step.observation, face=face, readings=readings, held=held))

    config = quick()
    config = config.model_copy(update={"publish": config.publish.model_copy(update={"health_s": 0.3})})
    with Bench(Ticker, config, pipeline=Holding()) as bench:
        eventually(lambda: len(bench.publisher.health) >= 2)
    told = bench.publisher.health[-1].read_share
    assert 0 < told["expression"] < told["eyes"] == told["face"] < 0.5


def test_health_tells_of_a_driver_whose_eyes_are_hidden() -> None:
    class Sunglasses(FakePipeline):
        def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
            step = super().step(frame, context)
            unread = Judged(0.0, readable=False, reason=Reason(ReasonCode.EYES_UNREADABLE))
            slow = Judged(0.0, readable=False, reason=Reason(ReasonCode.SLOW))
            return replace(step, signals=replace(step.signals, kinds={"fatigue": unread, "anger": slow}))

    config = quick()
    config = config.model_copy(update={"publish": config.publish.model_copy(update={"health_s": 0.1})})
    with Bench(Ticker, config, pipeline=Sunglasses()) as bench:
        eventually(lambda: len(bench.publisher.health) >= 2)
    assert bench.publisher.health[-1].problems == ["fatigue: the eyes cannot be read"]


def test_a_hot_board_reads_fewer_frames_and_says_so_once_a_step(caplog: pytest.LogCaptureFixture) -> None:
    config = quick(fps=100)
    config = config.model_copy(
        update={
            "heat": HeatConfig(step=0.5, min_fps=30, down_s=1),
            "publish": config.publish.model_copy(update={"health_s": 0.1}),
        }
    )
    with Bench(Ticker, config, heat=lambda: Heat(81.4, throttled=False)) as bench:
        eventually(lambda: len(bench.publisher.health) >= 2)
        eventually(lambda: len(bench.pipeline.seen) > 20)
    assert np.median(np.diff(bench.pipeline.seen[5:])) == pytest.approx(1 / 50, rel=0.4)
    health = bench.publisher.health[-1]
    assert (health.fps_limit, health.temperature_c, health.throttled) == (50.0, 81.4, False)
    assert health.problems == ["board at 81 °C: at most 50 frames a second"]
    assert caplog.text.count("board at 81 °C: at most 50 frames a second") == 1


def test_sensors_that_hang_cost_no_frame_and_no_stop() -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang() -> Heat:
        asked.set()
        answer.wait()
        return Heat(50.0, throttled=False)

    with Bench(Ticker, heat=hang) as bench:
        assert asked.wait(DEADLINE_S)
        seen = len(bench.pipeline.seen)
        eventually(lambda: len(bench.pipeline.seen) > seen + 20)
    answer.set()
    assert bench.publisher.log[-1] == "stop"


def test_a_pause_and_its_end_reach_the_decisions_and_are_answered() -> None:
    with Bench(Ticker) as bench:
        bench.publisher.commands += [Command(CommandName.PAUSE, 30.0), Command(CommandName.RESUME)]
        eventually(lambda: len(bench.publisher.answers) == 2)
    assert bench.pipeline.decider.calls == [("pause", 30.0), ("resume",)]
    assert bench.publisher.answers[0] == (CommandName.PAUSE, True, "paused for 30 s")


def test_an_acknowledgement_reaches_the_decisions_and_is_answered() -> None:
    with Bench(Ticker) as bench:
        bench.publisher.commands.append(Command(CommandName.ACKNOWLEDGE, kind="anger"))
        eventually(lambda: len(bench.publisher.answers) == 1)
    assert bench.pipeline.decider.calls == [("acknowledge", "anger")]
    assert bench.publisher.answers == [(CommandName.ACKNOWLEDGE, True, "acknowledged: anger")]


class FakeButton:
    """Gives each of the presses at one look, and is stuck."""

    problem = "button on GPIO24: it is stuck"

    def __init__(self, *presses: Press) -> None:
        self._presses = list(presses)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def poll(self) -> list[Press]:
        return [self._presses.pop(0)] if self._presses else []


def test_the_driver_s_button_acknowledges_and_pauses_and_health_tells_what_is_wrong_with_it() -> None:
    config = quick()
    config = config.model_copy(update={"publish": config.publish.model_copy(update={"health_s": 0.1})})
    with Bench(Ticker, config, button=FakeButton(Press.SHORT, Press.LONG)) as bench:
        eventually(lambda: len(bench.publisher.health) > 0)
        eventually(lambda: len(bench.pipeline.decider.calls) == 2)
    assert bench.pipeline.decider.calls == [("acknowledge", None), ("pause", 600.0)]
    assert FakeButton.problem in bench.publisher.health[0].problems
    assert bench.publisher.answers == []


def test_recalibrate_forgets_what_was_learned_and_what_was_kept(tmp_path: Path) -> None:
    stamp = Stamp(datetime(2026, 1, 1, tzinfo=UTC), 1.0, clock_synced=True)
    kept = RestingFaceFile(tmp_path)
    kept.keep(RestingFace(12.0, {"anger": -0.4, "distress": -2.2}, {"anger": SHOWN, "distress": SHOWN}), stamp)
    with Bench(Ticker, state_folder=tmp_path) as bench:
        bench.publisher.commands.append(Command(CommandName.RECALIBRATE))
        eventually(lambda: len(bench.publisher.answers) == 1)
        eventually(lambda: kept.load(stamp, 8.0) is None)
    assert bench.publisher.answers[0][1] is True
    assert ("recalibrate",) in bench.pipeline.decider.calls


def test_the_resting_face_is_published_as_it_is_learned_and_kept_at_the_stop(tmp_path: Path) -> None:
    with Bench(Ticker, state_folder=tmp_path) as bench:
        eventually(lambda: bool(bench.publisher.states))
    assert bench.publisher.states[0].calibrated_percent == 40.0
    stamp = Stamp(datetime(2026, 1, 1, 1, tzinfo=UTC), 1.0, clock_synced=True)
    assert RestingFaceFile(tmp_path).load(stamp, 8.0) == bench.pipeline.decider.resting_face


@pytest.fixture(params=["signal", "command"])
def ask_reload(request: pytest.FixtureRequest) -> Callable[[Bench], None]:
    def ask(bench: Bench) -> None:
        if request.param == "signal":
            bench.service.reload()
        else:
            bench.publisher.commands.append(Command(CommandName.RELOAD))

    return ask


def test_a_reload_changes_thresholds_and_tells_what_waits_for_a_restart(
    tmp_path: Path, ask_reload: Callable[[Bench], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text('[alerts.anger]\nhold_s = 2.5\n[mqtt]\nhost = "elsewhere"\n')
    caplog.set_level("INFO")
    with Bench(Ticker) as bench:
        eventually(lambda: "READY=1" in bench.notifier.sent)
        bench.reloaded = load_config(path, {})
        ask_reload(bench)
        eventually(lambda: bool(bench.pipeline.decider.calls))
    assert bench.pipeline.decider.calls == [("reconfigure", 2.5, "localhost")]
    assert "takes effect after a restart: camera, mqtt" in caplog.text
    reloading = next(i for i, text in enumerate(bench.notifier.sent) if text.startswith("RELOADING=1\nMONOTONIC_USEC="))
    assert "READY=1" in bench.notifier.sent[reloading:]


def test_a_reload_neither_begins_nor_ends_what_is_set_up_at_the_start_and_says_so(
    ask_reload: Callable[[Bench], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with Bench(Ticker) as bench:
        eventually(lambda: "READY=1" in bench.notifier.sent)
        alerts = {"shadow": True, "anger": {"hold_s": 2.5, "enabled": False}}
        bench.reloaded = Config.model_validate(bench.config.model_dump(exclude={"alerts"}) | {"alerts": alerts})
        ask_reload(bench)
        eventually(lambda: bool(bench.pipeline.decider.calls))
        now = bench.service.config.alerts
    assert "takes effect after a restart: alerts.shadow, alerts.anger.enabled" in caplog.text
    assert (now.shadow, now.of("anger").enabled) == (False, True)
    assert now.expressions["anger"].hold_s == 2.5


class AngryPipeline(FakePipeline):
    """Decides with the real decision on a driver who is angry all the time."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.real = Decider(config)
        self.steps: list[Step] = []

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:  # noqa: ARG002 - no fake looks at it
        self.seen.append(frame.t)
        read = np.array([name == "anger" for name in EXPRESSIONS], np.float32)
        face = Face((0.0, 0.0, 60.0, 60.0), np.zeros((5, 2), np.float32), 0.9)
        quality = Quality(0.5, 0.5, 60.0, 0.0, 0.0, 0.0, 1.0)
        self.steps.append(
            self.real.update(
                Observation(frame.t, Sight.FACE, face, quality, {EXPRESSION: Reading.expression(read), EYES: AWAKE})
            )
        )
        return self.steps[-1]

    def reconfigure(self, config: Config) -> None:
        super().reconfigure(config)
        self.real.reconfigure(config)


def test_a_reload_ends_no_episode_and_the_driver_is_watched_on(ask_reload: Callable[[Bench], None]) -> None:
    hasty = {"enter": 0.5, "hold_s": 0.2}
    config = quick().model_copy(update={"alerts": Config.model_validate({"alerts": {"anger": hasty}}).alerts})
    pipeline = AngryPipeline(config)
    with Bench(Ticker, config, pipeline=pipeline) as bench:
        eventually(lambda: bool(bench.publisher.alerts))
        slower = Config.model_validate({"alerts": {"anger": hasty | {"hold_s": 9.0}}})
        bench.reloaded = config.model_copy(update={"alerts": slower.alerts})
        ask_reload(bench)
        eventually(lambda: bool(pipeline.decider.calls))
        seen = len(pipeline.seen)
        eventually(lambda: len(pipeline.seen) > seen + 20)
    assert pipeline.decider.calls == [("reconfigure", 9.0, "localhost")]
    assert [message.phase for message in bench.publisher.alerts] == ["start"]
    assert {step.state for step in pipeline.steps[seen:]} == {State.WARNING}


def test_a_reload_that_renames_the_device_ends_the_service_under_its_old_name(
    ask_reload: Callable[[Bench], None],
) -> None:
    with Bench(Ticker) as bench:
        eventually(lambda: "READY=1" in bench.notifier.sent)
        bench.pipeline.decider.last = last_step(uptime_s())
        bench.reloaded = Config.model_validate(
            {"device": {"id": "van-8"}, "mqtt": {"host": "elsewhere"}, "alerts": {"anger": {"hold_s": 2.5}}}
        )
        ask_reload(bench)
        bench.thread.join(DEADLINE_S)
        assert bench.service.renamed
    assert bench.publisher.log[-3:] == ["alert anger end", "state blind", "stop"]
    reloading = next(i for i, text in enumerate(bench.notifier.sent) if text.startswith("RELOADING=1"))
    assert not {"READY=1", "STOPPING=1"} & set(bench.notifier.sent[reloading:])  # the next one is ready
    config = bench.service.config
    assert (config.device.id, config.alerts.expressions["anger"].hold_s) == ("van-8", 2.5)
    assert (config.mqtt.host, config.camera) == ("localhost", quick().camera)  # these wait for a restart


def test_a_bad_file_keeps_the_old_configuration_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_text("[alerts.anger]\nhold_s = -1\n")
    with Bench(Ticker) as bench:
        eventually(lambda: "READY=1" in bench.notifier.sent)
        try:
            load_config(path, {})
        except Exception as error:  # noqa: BLE001 - handed on as it is
            bench.reloaded = error
        bench.publisher.commands.append(Command(CommandName.RELOAD))
        eventually(lambda: len(bench.publisher.answers) == 1)
        seen = len(bench.pipeline.seen)
        eventually(lambda: len(bench.pipeline.seen) > seen + 3)
    _, ok, message = bench.publisher.answers[0]
    assert not ok
    assert f"{path}: alerts.anger.hold_s = -1" in message
    assert "the old configuration stays" in caplog.text
    assert bench.pipeline.decider.calls == []


def test_a_trace_holds_every_step(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as trace, Bench(lambda: Ticker(count=10), sinks=[TraceSink(trace, uptime_s)]) as bench:
        bench.thread.join(DEADLINE_S)
    assert len(path.read_text().splitlines()) == len(bench.pipeline.seen) + len(bench.pipeline.blind)


class FullDisk:
    def write(self, step: Step) -> None:
        raise UnavailableError(f"trace.jsonl: trace cannot be written at {step.observation.t}: No space left on device")


def test_a_full_disk_is_said_once_and_the_monitoring_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with Bench(Ticker, sinks=[TraceSink(FullDisk(), uptime_s)]) as bench:
        eventually(lambda: len(bench.pipeline.seen) > 5)
    assert caplog.text.count("the trace has a gap from here") == 1


def test_the_trace_goes_on_when_there_is_room_again(caplog: pytest.LogCaptureFixture) -> None:
    class Filling:
        """Full from the third step to the fifth that it is asked for."""

        asked = 0

        def write(self, step: Step) -> None:
            self.asked += 1
            if 3 <= self.asked <= 5:
                FullDisk().write(step)

    trace = Filling()
    with caplog.at_level("INFO"), Bench(Ticker, sinks=[TraceSink(trace, uptime_s, retry_s=0.01)]):
        eventually(lambda: trace.asked > 10)
    assert caplog.text.count("the trace has a gap from here") == 1
    assert caplog.text.count("trace: resumes") == 1


def test_a_real_broker_gets_state_health_and_offline(
    mosquitto: Any, subscribe: Callable[..., Any], tmp_path: Path
) -> None:
    config = Config.model_validate(
        {
            "device": {"id": "van-7"},
            "mqtt": {"port": mosquitto.port},
            "outbox": {"path": str(tmp_path / "outbox.db")},
            "camera": {"fps": 50},
            "publish": {"health_s": 1},
        }
    )
    subscriber = subscribe(mosquitto.port)
    with closing(Outbox.from_config(config, {}, board_stamp())) as outbox:
        pipeline = FakePipeline()
        now = time.monotonic()
        pipeline.transitions = [Transition(now, "anger", Phase.START, Level.WARNING, 1, now, 0.8, 0.9, "anger")]
        publisher = Publisher(config, outbox, clock=board_stamp, environ={})
        service = Service(
            config,
            frames=NewestFrame(Ticker, config.camera),
            pipeline=pipeline,
            publisher=publisher,
            notifier=FakeNotifier(),
            sinks=[speak_of(config, publisher, board_stamp)],
            memory=MagicMock(),
            reload=lambda: config,
            times=StageTimes(),
        )
        thread = threading.Thread(target=service.run)
        thread.start()
        subscriber.wait_for("evenkeel/van-7/availability", b"online")
        assert b'"calm"' in subscriber.wait_for("evenkeel/van-7/state")
        assert b'"start"' in subscriber.wait_for("evenkeel/van-7/alert")
        subscriber.wait_for("evenkeel/van-7/health")
        subscriber.publish("evenkeel/van-7/command/pause", '{"seconds": 5, "id": "a"}')
        assert b'"ok":true' in subscriber.wait_for("evenkeel/van-7/command/pause/result")
        service.stop()
        subscriber.wait_for("evenkeel/van-7/availability", b"offline")
        thread.join(DEADLINE_S)


def test_a_renamed_service_begins_anew_under_its_name_and_a_stopped_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str] = []

    class OneName:
        def __init__(self, config: Config) -> None:
            begun.append(config.device.id)
            self.renamed = config.device.id == "van-7"
            self.config = named("van-8")
            self.switched_off = False

        def run(self) -> None:
            """At once at its end."""

    @contextmanager
    def build(config: Config, **_: object) -> Iterator[OneName]:
        yield OneName(config)

    def named(name: str) -> Config:
        return Config.model_validate({"device": {"id": name}})

    monkeypatch.setattr("edge.service.loop.build_service", build)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        serve(lambda: named("van-7"))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert begun == ["van-7", "van-8"]
