"""The loop on a simulated clock: how old a frame is when it is decided on, and how many are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from unittest.mock import MagicMock

import numpy as np
import pytest

from edge.board.notify import Notifier
from edge.board.sensors import Heat
from edge.camera import Camera, EndOfStream
from edge.camera.newest import NewestFrame
from edge.compat import Self
from edge.config import CameraConfig, Config
from edge.decision.decider import Decider
from edge.domain import (
    EXPRESSIONS,
    NO_REASON,
    UNKNOWN_CONTEXT,
    Context,
    Frame,
    Judged,
    Observation,
    Sight,
    Signals,
    State,
    Step,
)
from edge.service.loop import Service
from edge.timing import StageTimes

FRAME_S = 1 / 30
PICTURE = np.zeros((4, 4), np.uint8)


class Time:
    """A clock that stands still until somebody waits or works; who sleeps wakes up ``late_s`` too late."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.now = 100.0
        self._late_s = late_s

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self._late_s


class SimulatedCamera(NewestFrame):
    """The real place for the newest frame: whoever takes finds what the capture thread would have put there by then."""

    def __init__(self, time: Time, frames: int, jitter_s: float = 0.0) -> None:
        super().__init__(self._no_source, CameraConfig(), clock=time.clock)
        jitter = np.random.default_rng(1).uniform(-jitter_s, jitter_s, frames)
        self._time = time
        self._exposures = [time.now + float(t) for t in np.arange(frames) * FRAME_S + jitter]

    @staticmethod
    def _no_source() -> Camera:
        raise AssertionError("nobody opens a simulated camera")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def take(self, timeout_s: float, came_after: float = -math.inf) -> Frame | None:
        end = self._time.now + timeout_s
        self._expose(self._time.now)
        while not self._is_there(came_after) and self._exposures and self._exposures[0] <= end:
            self._expose(self._exposures[0])
        if not self._exposures:
            self._end = EndOfStream()
        elif not self._is_there(came_after):
            self._time.now = end
        return super().take(0.0, came_after)

    def _expose(self, until: float) -> None:
        now = self._time.now
        while self._exposures and self._exposures[0] <= until:
            self._time.now = self._exposures[0]
            self._offer(Frame(PICTURE, self._exposures.pop(0)))
        self._time.now = max(now, self._time.now)


class Work:
    """A pipeline that takes ``step_s`` for each frame; what it says of it is up to ``say``."""

    def __init__(self, time: Time, step_s: float, say: Callable[[float], tuple[State, Sight]]) -> None:
        self.decider = Decider(Config())
        self.taken: list[float] = []
        self.decided: list[float] = []
        self.exposed: list[float] = []
        self._time = time
        self._step_s = step_s
        self._say = say

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:  # noqa: ARG002 - no fake looks at it
        self.taken.append(self._time.now)
        self.exposed.append(frame.t)
        self._time.now += self._step_s
        self.decided.append(self._time.now)
        return _step(frame.t, *self._say(frame.t))

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:  # noqa: ARG002 - no fake looks at it
        raise AssertionError(f"blind at {t}: {sight} {reason}")

    def reconfigure(self, config: Config) -> None:
        raise AssertionError(f"nobody asked for {config}")


def _step(t: float, state: State, sight: Sight) -> Step:
    signals = Signals(
        t,
        {"anger": Judged(0.0), "distress": Judged(0.0)},
        1.0,
        np.full(len(EXPRESSIONS), 1 / 9, np.float32),
    )
    return Step(Observation(t, sight), signals, state, NO_REASON, ())


def calm(_: float) -> tuple[State, Sight]:
    return State.CALM, Sight.FACE


def run(
    *,
    step_s: float,
    frames: int = 600,
    jitter_s: float = 0.0,
    late_s: float = 0.0,
    say: Callable[[float], tuple[State, Sight]] = calm,
    settled: Callable[[], None] = lambda: None,
    **camera: float,
) -> tuple[Work, StageTimes, SimulatedCamera]:
    """Let the service read a simulated camera to its end."""
    config = Config.model_validate({"camera": camera, "publish": {"health_s": 3600}})
    time, times = Time(late_s), StageTimes()
    source, work = SimulatedCamera(time, frames, jitter_s), Work(time, step_s, say)
    Service(
        config,
        frames=source,
        pipeline=work,
        publisher=MagicMock(**{"poll_command.return_value": None}),
        notifier=Notifier(None),
        sinks=[],
        memory=MagicMock(),
        reload=Config,
        times=times,
        clock=time.clock,
        heat=lambda: Heat(None, None),
        sleep=time.sleep,
        settled=settled,
    ).run()
    return work, times, source


def test_under_overload_a_decision_is_never_older_than_a_frame_time_and_a_step() -> None:
    step_s = 2 * FRAME_S
    work, times, source = run(step_s=step_s, jitter_s=0.1 * FRAME_S, fps=30)
    ages = np.subtract(work.decided, work.exposed)
    assert ages.max() <= 1.2 * FRAME_S + step_s
    assert times.percentiles(100)["age"][0] / 1000 == pytest.approx(ages.max())
    assert len(work.decided) == pytest.approx(300, abs=3), "it does not rest between two steps"
    assert source.dropped + len(work.decided) == 600


def test_no_frame_waits_where_the_steps_are_quick() -> None:
    work, _, source = run(step_s=0.003, jitter_s=0.1 * FRAME_S, fps=30)
    assert np.subtract(work.taken, work.exposed).max() < 0.25 * FRAME_S
    assert source.dropped == 0


def test_at_half_the_cameras_rate_the_intervals_are_steady_and_the_frames_fresh() -> None:
    work, _, _ = run(step_s=0.003, fps=15)
    assert np.diff(work.taken)[1:] == pytest.approx(2 * FRAME_S)
    assert np.subtract(work.taken, work.exposed) == pytest.approx(0, abs=1e-9)


def test_a_frame_that_came_in_time_is_taken_though_the_service_woke_up_late() -> None:
    work, _, source = run(step_s=0.003, late_s=0.6 * FRAME_S, fps=30)
    assert source.dropped == 0
    assert len(work.decided) == 600


def test_an_empty_seat_is_looked_at_less_often_until_somebody_sits_down() -> None:
    back_t = 110.0

    def say(t: float) -> tuple[State, Sight]:
        return State.ABSENT, Sight.FACE if t >= back_t else Sight.NO_FACE

    work, _, _ = run(step_s=0.003, say=say, fps=30, empty_fps=5)
    exposed = np.array(work.exposed)
    empty, back = exposed[exposed < back_t], exposed[exposed >= back_t]
    assert np.diff(empty)[3:] == pytest.approx(0.2, abs=FRAME_S)
    assert back[0] - back_t <= 0.2 + 1e-9, "the one who comes back is seen within one look"
    assert np.diff(back)[2:] == pytest.approx(FRAME_S)


def test_a_lower_rate_than_that_for_an_empty_seat_holds_for_an_empty_seat_too() -> None:
    work, _, _ = run(step_s=0.003, say=lambda _: (State.ABSENT, Sight.NO_FACE), fps=2, empty_fps=5)
    assert np.diff(work.taken)[3:] == pytest.approx(0.5)


def test_what_is_to_settle_settles_once_after_the_first_decision() -> None:
    settled: list[str] = []
    work, _, _ = run(step_s=0.003, frames=10, settled=lambda: settled.append("settled"))
    assert len(work.decided) > 1
    assert settled == ["settled"]
