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
from edge.service.health import hidden

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


LENSES = ((264, 224), (338, 224))
LENS = (36, 27)


def behind_glass(glass: Callable[[Luma], Luma], rim: float) -> Change:
    """Sunglasses on the driver; ``glass`` makes of the picture what is seen through or on a lens."""

    def worn(luma: Luma) -> Luma:
        lens = np.zeros_like(luma)
        for centre in LENSES:
            cv2.ellipse(lens, centre, LENS, 0, 0, 360, 255, -1, cv2.LINE_AA)
        share = lens.astype(np.float32) / 255
        out = np.asarray(luma * (1 - share) + glass(luma) * share, np.uint8)
        for centre in LENSES:
            cv2.ellipse(out, centre, LENS, 0, 0, 360, rim, 2, cv2.LINE_AA)
        return out

    return worn


def dark(luma: Luma) -> Luma:
    return np.full_like(luma, 18)


def mirroring(luma: Luma) -> Luma:
    """A bright sky above a dark road, and the lamp."""
    y, x = np.mgrid[: luma.shape[0], : luma.shape[1]]
    scene = np.where(y < 222 + 0.05 * (x - 300), 190.0 - 0.6 * (y - 200), 60.0 + 0.4 * (y - 222))
    for centre in LENSES:
        scene += 200 * np.exp(-(((x - centre[0] - 12) / 5.0) ** 2) - ((y - centre[1] + 9) / 4.0) ** 2)
    return np.asarray(np.clip(scene, 0, 255), np.uint8)


def letting_infrared_through(luma: Luma) -> Luma:
    return np.asarray(0.6 * luma, np.uint8)


def readable(step: Step) -> tuple[bool, bool]:
    eyes = step.observation.eyes
    return (False, False) if eyes is None else (eyes.readable_left > 0.5, eyes.readable_right > 0.5)


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        pytest.param(lambda luma: luma, None, id="as it is"),
        pytest.param(lambda luma: luma[:, ::-1], None, id="mirrored"),
        pytest.param(smaller(0.5), None, id="from afar"),
        pytest.param(with_an_eye_patch, 1, id="one eye covered"),
        pytest.param(lambda luma: luma[:, 300:], 0, id="one eye outside the picture"),
        pytest.param(behind_glass(letting_infrared_through, rim=30), None, id="sunglasses that let infrared through"),
    ],
)
def test_a_sleeper_is_found_with_one_eye_too(change: Change, covered: int | None, sleep: list[Frame]) -> None:
    steps = watch(sleep, change)
    told = [each for step in steps for each in step.transitions]
    assert [(each.kind, each.phase, each.cause) for each in told] == [
        ("fatigue", "start", "microsleep"),
        ("fatigue", "escalate", "microsleep"),
        ("fatigue", "end", "microsleep"),
    ]
    assert told[-1].level is Level.URGENT
    if covered is not None:
        assert not any(readable(step)[covered] for step in steps)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(smaller(0.2), id="a tiny face"),
        pytest.param(lambda luma: luma[235:], id="both eyes outside the picture"),
        pytest.param(behind_glass(dark, rim=60), id="opaque sunglasses"),
        pytest.param(behind_glass(mirroring, rim=60), id="mirroring sunglasses"),
    ],
)
def test_eyes_that_cannot_be_read_are_said_and_alert_nobody(change: Change, sleep: list[Frame]) -> None:
    steps = watch(sleep, change)
    assert [each for step in steps for each in step.transitions] == []
    after = [step for step in steps if step.signals.t > FROM_S + 4]
    assert {(step.state, step.reason.code) for step in after} == {(State.UNCERTAIN, ReasonCode.EYES_UNREADABLE)}
    assert all(hidden(step) == ["fatigue: the eyes cannot be read"] for step in after), "health says it too"
