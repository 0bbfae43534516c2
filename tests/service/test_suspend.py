"""A board that sleeps: the night is time in which nobody saw anything, for decisions, durations and beginnings."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from edge.board.clock import uptime_s
from edge.board.sensors import Heat
from edge.camera import EndOfStream, open_camera
from edge.camera.folder import PictureFolder
from edge.camera.newest import NewestFrame
from edge.camera.opencv import OpenCvCamera
from edge.camera.picamera2 import PiCamera
from edge.camera.video import VideoFile
from edge.compat import UTC
from edge.config import Config
from edge.domain import Frame, Phase, Sight, Stamp
from edge.service.loop import Service, build_service
from edge.service.trace_sink import TraceSink
from edge.timing import StageTimes
from edge.traces.replay import replay
from edge.traces.trace import TraceWriter
from tests.service.test_loop import AngryPipeline, FakeNotifier, FakePublisher, speak_of

NIGHT_S = 8 * 3600.0
EVENING = datetime(2026, 5, 4, 22, 0, tzinfo=UTC)


class Sleeper:
    """Pictures at 10 a second, and a night between the 40th and the 41st second."""

    paced = False
    dropped = 0
    bad_frames = 0
    stuck = False
    age_s = 0.0

    def __init__(self) -> None:
        self.t = 0.0
        self._count = 0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def take(self, timeout_s: float, came_after: float) -> Frame:  # noqa: ARG002 - none is left out
        self._count += 1
        if self._count > 800:
            raise EndOfStream
        self.t = self._count / 10 + (NIGHT_S if self._count > 400 else 0.0)
        return Frame(np.zeros((4, 4), np.uint8), self.t)

    def blindness(self) -> tuple[Sight, str] | None:
        return None

    def stamp(self) -> Stamp:
        return Stamp(EVENING + timedelta(seconds=self.t), self.t, clock_synced=True)


def sleep_in_an_episode(folder: Path) -> tuple[FakePublisher, AngryPipeline, Path]:
    config, frames, publisher = Config(), Sleeper(), FakePublisher()
    pipeline, path = AngryPipeline(config), folder / "trace.jsonl"
    with TraceWriter(path) as trace:
        Service(
            config,
            frames=frames,
            pipeline=pipeline,
            publisher=publisher,
            notifier=FakeNotifier(),
            sinks=[
                speak_of(config, publisher, frames.stamp, lambda: frames.t),
                TraceSink(trace, lambda: frames.t, size=10_000),
            ],
            memory=MagicMock(),
            reload=lambda: config,
            times=StageTimes(),
            clock=lambda: frames.t,
            heat=lambda: Heat(None, None),
        ).run()
    return publisher, pipeline, path


def test_an_episode_ends_with_the_night_and_its_beginning_stays_where_it_was(tmp_path: Path) -> None:
    publisher, _, _ = sleep_in_an_episode(tmp_path)
    start = publisher.alerts[0]
    end = next(alert for alert in publisher.alerts if alert.phase is Phase.END)
    assert end.reason == "uncertain"
    assert start.started < EVENING + timedelta(seconds=40)
    assert abs(end.started - start.started) < timedelta(milliseconds=2)
    assert end.time == EVENING + timedelta(seconds=NIGHT_S + 40.1)
    assert end.duration_s == pytest.approx((end.time - end.started).total_seconds(), abs=0.002)
    assert end.uptime_s - start.uptime_s == pytest.approx((end.time - start.time).total_seconds(), abs=0.002)


def test_a_replay_of_its_trace_gives_the_same_alerts_each_time(tmp_path: Path) -> None:
    publisher, _, path = sleep_in_an_episode(tmp_path)
    for name in ("one", "two"):
        replay(path, Config(), events=tmp_path / name)
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    assert [(e["phase"], e["reason"]) for e in events] == [(a.phase, a.reason) for a in publisher.alerts]
    assert [e["t"] for e in events] == pytest.approx([a.uptime_s - 0.1 for a in publisher.alerts], abs=0.11)


@pytest.mark.parametrize(
    "made_by", [build_service, Service, NewestFrame, open_camera, OpenCvCamera, PictureFolder, PiCamera, VideoFile]
)
def test_whatever_tells_when_something_was_seen_goes_by_the_clock_that_runs_on_asleep(
    made_by: Callable[..., Any],
) -> None:
    assert inspect.signature(made_by).parameters["clock"].default is uptime_s
