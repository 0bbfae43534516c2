"""The whole way of a picture with the shipped models: unknown is never calm, and a passenger is not the driver.

The pictures are composed of frames of the bundled clip, whose faces are nobody's.
"""

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
from edge.domain import EXPRESSION, EXPRESSIONS, Frame, Phase, State, Step
from edge.pipeline import Pipeline
from tests.steady import steady

Luma = NDArray[np.uint8]
Change = Callable[[Luma], Luma]

FPS = 5  # of what is shown to the pipeline; every third frame of the clip
CALM_S, ANGRY_S = (1.0, 6.0), (16.0, 21.0)
HEAD = (slice(90, 400), slice(190, 420))  # rows and columns that hold the driver's head in all of these frames


@pytest.fixture(scope="module")
def clip() -> dict[str, list[Luma]]:
    """Five calm and five angry seconds of the bundled clip."""
    seconds = {"calm": CALM_S, "angry": ANGRY_S}
    frames: dict[str, list[Luma]] = {name: [] for name in seconds}
    path = Path(str(resources.files("edge") / "tools" / "demo" / "clip.mp4"))
    with open_camera(CameraConfig(source=str(path)), realtime=False) as camera, suppress(EndOfStream):
        for number in range(round(ANGRY_S[1] * camera.fps)):
            frame = camera.read(1.0)
            for name, (start, end) in seconds.items():
                if start <= frame.t < end and number % round(camera.fps / FPS) == 0:
                    frames[name].append(frame.luma)
    return frames


def watch(frames: list[Luma], pipeline: Pipeline | None = None, start_s: float = 0.0, **sections: object) -> list[Step]:
    """Show frames to the pipeline at FPS, from ``start_s`` on."""
    pipeline = pipeline or Pipeline.from_config(steady(**sections))
    return [pipeline.step(Frame(luma, start_s + number / FPS)) for number, luma in enumerate(frames)]


def settled(steps: list[Step]) -> set[State]:
    """The states after the first two seconds."""
    return {step.state for step in steps[2 * FPS :]}


def started(steps: list[Step]) -> list[str]:
    """The kinds of alert that started."""
    return [t.kind for step in steps for t in step.transitions if t.phase is Phase.START]


def scaled(gain: float, offset: float = 0.0) -> Change:
    return lambda luma: np.clip(luma * gain + offset, 0, 255).astype(np.uint8)


def in_head(change: Change) -> Change:
    """The change for the driver's head alone; the room stays as it is."""

    def changed(luma: Luma) -> Luma:
        out = luma.copy()
        out[HEAD] = change(luma[HEAD])
        return out

    return changed


def without_driver(luma: Luma) -> Luma:
    """The seat alone: head, neck and shoulders give way to upholstery."""
    out = luma.copy()
    noise = np.random.default_rng(int(luma[0, 0])).normal(0, 3, (390, 400))
    cloth = 45 + 12 * np.sin(np.arange(400) / 9.0) + noise
    out[90:480, 110:510] = np.clip(cloth, 0, 255).astype(np.uint8)
    return out


def beside(driver: Luma, passenger: Luma) -> Luma:
    """Two seats in one picture, the driver's to the left."""
    return np.hstack([driver[:, 100:500], passenger[:, 100:500]])


def test_the_frames_as_they_are_give_calm_and_an_anger_alert(clip: dict[str, list[Luma]]) -> None:
    assert settled(watch(clip["calm"])) == {State.CALM}
    assert started(watch(clip["angry"])) == ["anger"]


@pytest.mark.parametrize("shown", [20, 21, 22])
def test_a_face_that_is_suddenly_angry_is_read_in_that_frame(clip: dict[str, list[Luma]], shown: int) -> None:
    *calm, sudden = watch([*clip["calm"][:shown], clip["angry"][12]])
    assert sum(EXPRESSION in step.observation.held for step in calm[-9:]) == 6
    assert EXPRESSION not in sudden.observation.held
    assert sudden.observation.probabilities is not None
    assert sudden.observation.probabilities[EXPRESSIONS.index("anger")] > 0.5


@pytest.mark.parametrize("look", ["calm", "angry"])
@pytest.mark.parametrize(
    ("change", "state"),
    [
        pytest.param(scaled(0.02), State.BLIND, id="night"),
        pytest.param(scaled(1.0, 200), State.BLIND, id="sun into the lens"),
        pytest.param(lambda luma: np.full_like(luma, 90), State.BLIND, id="tape over the lens"),
        pytest.param(lambda luma: np.asarray(cv2.GaussianBlur(luma // 8 + 60, (0, 0), 60)), State.BLIND, id="hand"),
        pytest.param(scaled(0.15), State.UNCERTAIN, id="dusk"),
        pytest.param(in_head(scaled(0.10)), State.UNCERTAIN, id="a face against the light"),
        pytest.param(lambda luma: np.asarray(cv2.GaussianBlur(luma, (0, 0), 12)), State.UNCERTAIN, id="lens smeared"),
        pytest.param(without_driver, State.ABSENT, id="an empty seat"),
        pytest.param(in_head(lambda head: np.full_like(head, 120)), State.ABSENT, id="a newspaper before the face"),
    ],
)
def test_what_cannot_be_read_is_said_and_alerts_nobody(
    change: Change, state: State, look: str, clip: dict[str, list[Luma]]
) -> None:
    steps = watch([np.ascontiguousarray(change(luma)) for luma in clip[look]])
    assert settled(steps) == {state}
    assert started(steps) == []


@pytest.mark.parametrize("look", ["calm", "angry"])
@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_camera_that_hangs_on_its_side_or_upside_down_is_never_calm_and_alerts_nobody(
    quarter_turns: int, look: str, clip: dict[str, list[Luma]]
) -> None:
    steps = watch([np.ascontiguousarray(np.rot90(luma, quarter_turns)) for luma in clip[look]])
    assert settled(steps) <= {State.ABSENT, State.UNCERTAIN}
    assert started(steps) == []


@pytest.mark.parametrize(("driver", "passenger", "alerts"), [("calm", "angry", []), ("angry", "calm", ["anger"])])
def test_of_two_people_the_one_in_the_seat_counts(
    driver: str, passenger: str, alerts: list[str], clip: dict[str, list[Luma]]
) -> None:
    pairs = zip(clip[driver], clip[passenger], strict=True)
    steps = watch([beside(*pair) for pair in pairs], camera={"seat": (0.0, 0.0, 0.5, 1.0)})
    assert started(steps) == alerts
    for step in steps:
        assert step.observation.face is not None
        assert step.observation.face.points.mean(0)[0] < 400


def test_an_empty_seat_beside_an_angry_passenger_is_absent(clip: dict[str, list[Luma]]) -> None:
    pairs = zip(clip["calm"], clip["angry"], strict=True)
    frames = [beside(without_driver(driver), passenger) for driver, passenger in pairs]
    steps = watch(frames, camera={"seat": (0.0, 0.0, 0.5, 1.0)})
    assert settled(steps) == {State.ABSENT}
    assert started(steps) == []


def test_a_passenger_who_comes_in_beside_the_driver_does_not_take_over(clip: dict[str, list[Luma]]) -> None:
    pipeline = Pipeline.from_config(Config())
    room = [without_driver(luma) for luma in clip["calm"]]
    alone = [beside(driver, empty) for driver, empty in zip(clip["calm"], room, strict=True)]
    watch(alone, pipeline)
    joined = [beside(*pair) for pair in zip(clip["calm"], clip["angry"], strict=True)]
    steps = watch(joined, pipeline, start_s=len(alone) / FPS)
    assert {step.state for step in steps} == {State.CALM}


def test_a_driver_who_is_covered_and_comes_back_goes_from_calm_to_blind_to_calm(clip: dict[str, list[Luma]]) -> None:
    covered = [np.full_like(luma, 90) for luma in clip["calm"]]
    steps = watch([*clip["calm"], *covered, *clip["calm"]])
    states = [step.state for step in steps]
    middle, end = len(covered), 2 * len(covered)
    assert states[middle - 1] is State.CALM
    assert set(states[middle + 2 * FPS : end]) == {State.BLIND}
    assert states[-1] is State.CALM
    assert started(steps) == []
