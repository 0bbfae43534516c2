"""What the pipeline says of the eyes in the bundled clip's sleep at 5 frames a second, and of what can hide them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import EndOfStream, open_camera
from edge.config import CameraConfig, Config
from edge.domain import Frame, Level, ReasonCode, State, Step
from edge.pipeline import Pipeline

Luma = NDArray[np.uint8]
Change = Callable[[Luma], Luma]

EVERY = 3
"""Of the clip's 15 frames a second every third is shown."""
FROM_S, TO_S = 66.0, 84.0


@pytest.fixture(scope="module")
def sleep() -> list[Frame]:
    path = Path(str(resources.files("edge") / "tools" / "demo" / "clip.mp4"))
    frames = []
    with open_camera(CameraConfig(source=str(path)), realtime=False) as camera, suppress(EndOfStream):
        for number in range(round(TO_S * camera.fps)):
            frame = camera.read(1.0)
            if frame.t >= FROM_S and number % EVERY == 0:
                frames.append(frame)
    return frames


def watch(frames: list[Frame], change: Change) -> list[Step]:
    pipeline = Pipeline.from_config(Config())
    return [pipeline.step(Frame(np.ascontiguousarray(change(frame.luma)), frame.t)) for frame in frames]


def smaller(share: float) -> Change:
    """The whole cabin as a part of the picture."""

    def shrunk(luma: Luma) -> Luma:
        small = cv2.resize(luma, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        picture = np.full_like(luma, 66)
        picture[100 : 100 + small.shape[0], 100 : 100 + small.shape[1]] = small
        return picture

    return shrunk


def with_an_eye_patch(luma: Luma) -> Luma:
    patched = luma.copy()
    patched[200:275, 305:365] = 40
    return patched


def readable(step: Step) -> tuple[bool, bool]:
    eyes = step.observation.eyes
    return (False, False) if eyes is None else (eyes.readable_left > 0.5, eyes.readable_right > 0.5)


@pytest.mark.parametrize(
    ("change", "hidden"),
    [
        pytest.param(lambda luma: luma, None, id="as it is"),
        pytest.param(lambda luma: luma[:, ::-1], None, id="mirrored"),
        pytest.param(smaller(0.5), None, id="from afar"),
        pytest.param(with_an_eye_patch, 1, id="one eye covered"),
        pytest.param(lambda luma: luma[:, 300:], 0, id="one eye outside the picture"),
    ],
)
def test_a_sleeper_is_found_with_one_eye_too(change: Change, hidden: int | None, sleep: list[Frame]) -> None:
    steps = watch(sleep, change)
    told = [each for step in steps for each in step.transitions]
    assert [(each.kind, each.phase, each.cause) for each in told] == [
        ("fatigue", "start", "microsleep"),
        ("fatigue", "escalate", "microsleep"),
        ("fatigue", "end", "microsleep"),
    ]
    assert told[-1].level is Level.URGENT
    if hidden is not None:
        assert not any(readable(step)[hidden] for step in steps)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(smaller(0.2), id="a tiny face"),
        pytest.param(lambda luma: luma[235:], id="both eyes outside the picture"),
    ],
)
def test_eyes_that_cannot_be_read_are_said_and_alert_nobody(change: Change, sleep: list[Frame]) -> None:
    steps = watch(sleep, change)
    assert [each for step in steps for each in step.transitions] == []
    after = [step for step in steps if step.signals.t > FROM_S + 4]
    assert {(step.state, step.reason.code) for step in after} == {(State.UNCERTAIN, ReasonCode.EYES_UNREADABLE)}
