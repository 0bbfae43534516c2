"""The way of one frame, with fakes for the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, groupby

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import Config
from edge.decision.holding import LONGEST_M, LONGEST_S, STIRRED_S
from edge.decision.ordinary import OrdinaryFace
from edge.domain import (
    CUES,
    EXPRESSION,
    EXPRESSIONS,
    EYE_NAMES,
    EYES,
    FACE,
    UNKNOWN_CONTEXT,
    Context,
    Cues,
    Face,
    FaceReading,
    Frame,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    State,
)
from edge.pipeline import Pipeline
from edge.timing import StageTimes
from edge.vision.crop import FaceView
from edge.vision.follow import LOOK_S
from edge.vision.quality import detail_of
from edge.words import say

Luma = NDArray[np.uint8]


@dataclass(frozen=True)
class Model:
    """A manifest with nothing behind it."""

    name: str
    version: str = "0"


class FakeFinder:
    """Finds what it is told, a share of what it is shown away from the corner; keeps what it was shown."""

    manifest = Model("face")

    def __init__(self, at: tuple[float, float] | None = (0.5, 0.5), size: float = 120.0) -> None:
        self.at = at
        self.size = size
        self.score = 0.9
        self.seen: list[Luma] = []

    def find_all(self, luma: Luma, limit: int = 8) -> list[Face]:
        face = self.find_near(luma)
        return [] if face is None or limit < 1 else [face]

    def find_small(self, luma: NDArray[np.uint8], turn: int) -> list[Face]:
        del luma, turn
        return []

    def is_sure(self, face: Face) -> bool:
        del face
        return True

    def sharpen(self, luma: Luma, face: Face) -> Face:
        del luma
        return face

    def is_upright(self, luma: Luma, face: Face) -> bool:
        del luma, face
        return True

    def turned(self, luma: Luma, face: Face, quarters: int) -> float:
        del luma, face
        return 0.0 if quarters else 1.0

    def find_near(self, luma: Luma, face: Face | None = None, within: float = 0.5, share: float = 1.0) -> Face | None:
        del face, within, share
        self.seen.append(luma)
        if self.at is None:
            return None
        x, y = self.at[0] * luma.shape[1], self.at[1] * luma.shape[0]
        shape = np.array([(-0.2, -0.15), (0.2, -0.15), (0.0, 0.1), (-0.15, 0.28), (0.15, 0.28)])
        points = (np.array([x, y]) + shape * self.size).astype(np.float32)
        return Face((x - self.size / 2, y - self.size / 2, self.size, self.size), points, self.score)


@dataclass(frozen=True)
class ReaderModel(Model):
    """An expression model's manifest with nothing behind it."""

    ordinary_face: OrdinaryFace = field(default_factory=OrdinaryFace)


class FakeReader:
    """Reads ``look`` in every face, by default anger; keeps the faces."""

    manifest = ReaderModel("expression")

    def __init__(self, look: str = "anger") -> None:
        self.look = look
        self.faces: list[Face] = []
        self.cues: Cues | None = None
        self.familiar = 1.0

    def read_all(self, view: FaceView) -> FaceReading:
        assert view.luma.ndim == 2
        self.faces.append(view.face)
        return FaceReading(np.array([name == self.look for name in EXPRESSIONS], np.float32), self.cues, self.familiar)


class FakeEyes:
    """Reads eyes so far open in every face but small ones; keeps the faces."""

    manifest = Model("eyes")

    def __init__(self, openness: float = 0.5, readable: float = 1.0) -> None:
        self.openness = openness
        self.readable = readable
        self.faces: list[Face] = []

    def read(self, luma: Luma, face: Face) -> Reading | None:
        assert luma.ndim == 2
        self.faces.append(face)
        small = face.box[2] < 100
        values = np.array([0.9, self.openness, 1.0, self.readable], np.float32)
        return None if small else Reading(EYE_NAMES, values)


def cabin(height: int = 480, width: int = 640) -> Luma:
    """A lit picture full of detail."""
    return np.random.default_rng(0).integers(60, 180, (height, width), np.uint8)


def frames(luma: Luma, seconds: float = 4.0) -> Iterator[Frame]:
    for n in range(round(seconds * 10)):
        yield Frame(luma, n / 10)


def build(
    finder: FakeFinder | None = None, look: str = "anger", **sections: object
) -> tuple[Pipeline, FakeFinder, FakeReader]:
    finder, reader = finder or FakeFinder(), FakeReader(look)
    return Pipeline(Config.model_validate(sections), finder, reader), finder, reader


def test_an_angry_face_becomes_an_alert() -> None:
    pipeline, _, _ = build()
    steps = [pipeline.step(frame) for frame in frames(cabin())]
    assert [x.kind for step in steps for x in step.transitions] == ["anger"]
    assert steps[-1].state is State.WARNING
    assert steps[-1].observation.quality is not None


def test_an_observation_holds_the_eyes_where_a_model_reads_them() -> None:
    finder, eyes = FakeFinder(), FakeEyes()
    step = Pipeline(Config(), finder, FakeReader(), eyes=eyes).step(Frame(cabin(), 0.0))
    readings = step.observation.readings
    assert list(readings) == [EXPRESSION, EYES]
    assert readings[EYES].names == EYE_NAMES
    assert step.observation.face is not None
    assert (eyes.faces[0].points == step.observation.face.points).all()


def test_an_observation_holds_no_eyes_without_a_model_or_of_a_small_face() -> None:
    pipeline, _, _ = build()
    assert EYES not in pipeline.step(Frame(cabin(), 0.0)).observation.readings
    finder = FakeFinder()
    finder.size = 90.0
    step = Pipeline(Config(), finder, FakeReader(), eyes=FakeEyes()).step(Frame(cabin(), 0.0))
    assert list(step.observation.readings) == [EXPRESSION]


def test_eyes_are_read_in_every_frame_though_the_expression_is_held() -> None:
    reader, eyes = FakeReader("neutral"), FakeEyes(0.7)
    pipeline = Pipeline(Config(), FakeFinder(), reader, eyes=eyes)
    steps = [pipeline.step(frame) for frame in frames(cabin(), 6.0)]
    assert len(eyes.faces) == len(steps) >= 3 * len(reader.faces)
    assert (EXPRESSION,) in {step.observation.held for step in steps}


@pytest.mark.parametrize(
    ("fps", "openness", "readable", "read"),
    [
        (30, 0.95, 1.0, 10),
        (15, 0.95, 1.0, 15),
        (10, 0.95, 1.0, 30),
        (5, 0.95, 1.0, 30),
        (15, 0.6, 1.0, 30),
        (15, 0.1, 1.0, 30),
        (15, 0.95, 0.3, 30),
    ],
)
def test_only_wide_open_eyes_are_spared_a_look_and_only_for_a_moment(
    fps: int, openness: float, readable: float, read: int
) -> None:
    eyes = FakeEyes(openness, readable)
    pipeline = Pipeline(Config(), FakeFinder(), FakeReader(), eyes=eyes)
    steps = [pipeline.step(Frame(cabin(), n / fps)) for n in range(30)]
    assert len(eyes.faces) == read
    assert all(EYES in step.observation.readings for step in steps)


def test_eyes_that_close_are_seen_within_a_moment_and_then_in_each_frame() -> None:
    eyes = FakeEyes(0.95)
    pipeline = Pipeline(Config(), FakeFinder(), FakeReader(), eyes=eyes)
    told = []
    for n in range(8):
        eyes.openness = 0.95 if n < 1 else 0.05
        told.append(float(pipeline.step(Frame(cabin(), n / 15)).observation.readings[EYES].values[1]))
    assert told == pytest.approx([0.95, 0.95, *[0.05] * 6])
    assert len(eyes.faces) == 7


def test_the_eyes_of_a_face_elsewhere_are_read_at_once() -> None:
    finder, eyes = FakeFinder(), FakeEyes(0.95)
    pipeline = Pipeline(Config(), finder, FakeReader(), eyes=eyes)
    first = pipeline.step(Frame(cabin(), 0.0)).observation.face
    finder.at = (0.8, 0.5)
    other = pipeline.step(Frame(cabin(), 0.05)).observation.face
    assert first is not None
    assert other is not None
    assert first.box != other.box
    assert len(eyes.faces) == 2


@pytest.mark.parametrize("gap", ["nobody", "no picture"])
def test_after_a_gap_wide_open_eyes_are_read_at_once(gap: str) -> None:
    finder, eyes = FakeFinder(), FakeEyes(0.95)
    pipeline = Pipeline(Config(), finder, FakeReader(), eyes=eyes)
    pipeline.step(Frame(cabin(), 0.0))
    if gap == "nobody":
        finder.at = None
        pipeline.step(Frame(cabin(), 0.03))
        finder.at = (0.5, 0.5)
    else:
        pipeline.step_blind(0.03, Sight.NO_PICTURE, "camera unplugged")
    assert EYES not in pipeline.step(Frame(cabin(), 0.06)).observation.held
    assert len(eyes.faces) == 2


def test_an_unfamiliar_face_raises_no_alert_and_is_not_calm() -> None:
    pipeline, _, reader = build()
    reader.familiar = 0.0
    steps = [pipeline.step(frame) for frame in frames(cabin(), 10.0)]
    assert not [x for step in steps for x in step.transitions]
    assert State.CALM not in {step.state for step in steps}
    assert steps[-1].state is State.UNCERTAIN
    assert steps[-1].reason == Reason(ReasonCode.FACE_UNFAMILIAR)
    reader.familiar = 1.0
    known = [pipeline.step(Frame(frame.luma, frame.t + 10.0)) for frame in frames(cabin())]
    assert [x.kind for step in known for x in step.transitions] == ["anger"]


def test_a_half_familiar_face_counts_half() -> None:
    confidence = []
    for familiar in (1.0, 0.5):
        pipeline, _, reader = build()
        reader.familiar = familiar
        confidence.append([pipeline.step(frame) for frame in frames(cabin())][-1].signals.confidence)
    assert confidence[1] == pytest.approx(confidence[0] / 2, rel=0.01)


@pytest.mark.parametrize("cues", [None, Cues(-0.6, 0.7, 0.9, 0.1, 0.8, 0.05, 0.0)])
def test_an_observation_holds_the_cues_by_name_where_the_model_tells_any(cues: Cues | None) -> None:
    pipeline, _, reader = build()
    reader.cues = cues
    readings = pipeline.step(Frame(cabin(), 0.0)).observation.readings
    assert readings[EXPRESSION].names == EXPRESSIONS
    assert list(readings) == ([EXPRESSION] if cues is None else [EXPRESSION, CUES])
    if cues is not None:
        told = dict(zip(readings[CUES].names, readings[CUES].values.tolist(), strict=True))
        assert told == pytest.approx(asdict(cues))
    assert len(reader.faces) == 1


def test_only_the_seat_is_searched_and_the_face_is_told_in_pixels_of_the_whole_picture() -> None:
    pipeline, finder, reader = build(camera={"seat": (0.5, 0.25, 1.0, 0.75)})
    luma = cabin()
    face = pipeline.step(Frame(luma, 0.0)).observation.face
    assert finder.seen[0].shape == (240, 320)
    assert np.shares_memory(finder.seen[0], luma)
    assert face is not None
    assert face.box == (480.0 - 60.0, 240.0 - 60.0, 120.0, 120.0)
    assert face.points[2].tolist() == pytest.approx([480.0, 252.0])
    assert reader.faces == [face]


def test_a_face_whose_centre_lies_outside_the_seat_is_not_the_driver() -> None:
    pipeline, _, reader = build(FakeFinder(at=(1.05, 0.5)), camera={"seat": (0.0, 0.0, 0.5, 1.0)})
    assert pipeline.step(Frame(cabin(), 0.0)).observation.sight is Sight.NO_FACE
    assert reader.faces == []


@pytest.mark.parametrize(("value", "sight"), [(0, Sight.DARK), (255, Sight.OVEREXPOSED), (100, Sight.COVERED)])
def test_a_picture_without_content_is_blind_and_no_model_runs(value: int, sight: Sight) -> None:
    pipeline, finder, _ = build()
    for frame in frames(np.full((480, 640), value, np.uint8)):
        step = pipeline.step(frame)
    assert step.observation.sight is sight
    assert step.state is State.BLIND
    assert say(step.reason) == f"picture is {sight}"
    assert finder.seen == []


def test_an_empty_seat_is_absent() -> None:
    pipeline, _, _ = build(FakeFinder(at=None))
    assert [pipeline.step(frame).state for frame in frames(cabin())][-1] is State.ABSENT


def test_a_face_not_worth_reading_is_not_read_and_says_why() -> None:
    pipeline, _, reader = build()
    luma = np.asarray(cv2.GaussianBlur(cabin(), (0, 0), 25), np.uint8)
    luma = np.where(np.arange(640) < 320, luma, 200).astype(np.uint8)
    for frame in frames(np.asarray(cv2.GaussianBlur(luma, (0, 0), 40), np.uint8)):
        step = pipeline.step(frame)
    assert reader.faces == []
    assert (step.state, say(step.reason)) == (State.UNCERTAIN, "face blurred")


def test_a_moment_without_a_picture_is_blind_for_its_reason() -> None:
    pipeline, _, _ = build()
    for n in range(20):
        step = pipeline.step_blind(n / 10, Sight.NO_PICTURE, "camera unplugged")
    assert (step.state, say(step.reason)) == (State.BLIND, "camera unplugged")


def read_times(pipeline: Pipeline, pictures: Iterable[Frame], context: Context = UNKNOWN_CONTEXT) -> list[float]:
    """When the expression was read."""
    observations = (pipeline.step(frame, context).observation for frame in pictures)
    return [seen.t for seen in observations if EXPRESSION in seen.readings and EXPRESSION not in seen.held]


def at(fps: float, seconds: float, luma: Luma, start_s: float = 0.0) -> Iterator[Frame]:
    for n in range(round(seconds * fps)):
        yield Frame(luma, start_s + n / fps)


CALM_AFTER_S = 3.0
"""By then a neutral face is calm, and its readings are held."""


def calm(fps: float = 15.0, **vision: float) -> tuple[Pipeline, FakeFinder, FakeReader]:
    """A pipeline that has watched a calm face that does not move."""
    pipeline, finder, reader = build(look="neutral", vision=vision)
    read_times(pipeline, at(fps, CALM_AFTER_S, cabin()))
    return pipeline, finder, reader


@dataclass
class FakeTracker:
    """Sees the face where the finder does; counts how often it looks."""

    finder: FakeFinder
    looks: int = 0

    def track(self, luma: Luma, face: Face) -> Face | None:
        del face
        self.looks += 1
        return self.finder.find_near(luma)


def followed(fps: float = 15.0, luma: Luma | None = None, **vision: float) -> tuple[Pipeline, FakeTracker, FakeEyes]:
    """A pipeline that has followed a calm face that does not move, its eyes wide open."""
    finder, eyes = FakeFinder(), FakeEyes(0.95)
    tracker = FakeTracker(finder)
    pipeline = Pipeline(
        Config.model_validate({"vision": vision}), finder, FakeReader("neutral"), eyes=eyes, tracker=tracker
    )
    read_times(pipeline, at(fps, CALM_AFTER_S, cabin() if luma is None else luma))
    return pipeline, tracker, eyes


@pytest.mark.parametrize(("fps", "longest"), [(5, 0), (10, 0), (15, 1), (30, 2), (60, 4)])
def test_a_followed_face_that_is_still_is_looked_for_again_after_a_moment(fps: int, longest: int) -> None:
    pipeline, tracker, _ = followed(fps)
    before = tracker.looks
    steps = [pipeline.step(frame).observation for frame in at(fps, 4.0, cabin(), CALM_AFTER_S)]
    held = [FACE in seen.held for seen in steps]
    assert max(len(list(run)) if each else 0 for each, run in groupby(held)) == longest
    assert tracker.looks - before == pytest.approx(held.count(False), abs=4.0 / LOOK_S + 1), "the face model looks too"
    assert all(seen.face is not None and seen.quality is not None for seen in steps)


def test_a_face_that_stands_for_another_frame_is_told_and_its_eyes_are_read_when_due() -> None:
    pipeline, _, eyes = followed()
    eyes.openness = 0.6  # not wide open: read in each frame
    before = len(eyes.faces)
    steps = [pipeline.step(frame).observation for frame in at(15, 1.0, cabin(), CALM_AFTER_S)]
    assert {FACE, EXPRESSION} in [set(seen.held) for seen in steps]
    assert len(eyes.faces) - before >= len(steps) - 1
    for seen in steps:
        assert list(seen.readings) == [EXPRESSION, EYES]
        assert FACE not in seen.held or EXPRESSION in seen.held


@pytest.mark.parametrize("change", ["face", "light", "size"])
def test_a_face_whose_place_changes_is_looked_for_in_that_frame(change: str) -> None:
    pipeline, tracker, _ = followed()
    frames = at(15, 1.0, cabin(), CALM_AFTER_S)
    seen = next(each for each in map(pipeline.step, frames) if FACE not in each.observation.held).observation
    shown = {
        "face": with_another_face(cabin()),
        "light": np.asarray(cabin() * 0.8, np.uint8),
        "size": cabin(240, 320),
    }[change]
    before = tracker.looks
    assert FACE not in pipeline.step(Frame(shown, seen.t + 0.03)).observation.held
    assert tracker.looks > before or change == "size", "in a picture of another size the face model looks"


def test_after_an_unfamiliar_face_a_face_is_looked_for_at_once() -> None:
    pipeline, _, _ = followed(60)
    reader = pipeline.reader
    assert isinstance(reader, FakeReader)
    frames = at(60, 1.0, cabin(), CALM_AFTER_S)
    seen = next(each for each in map(pipeline.step, frames) if FACE not in each.observation.held).observation
    reader.familiar = 0.0
    other = pipeline.step(Frame(with_another_face(cabin()), seen.t + 1 / 60)).observation
    assert other.reason == Reason(ReasonCode.FACE_UNFAMILIAR)
    assert FACE not in pipeline.step(Frame(cabin(), seen.t + 2 / 60)).observation.held


@pytest.mark.parametrize("size", [44.0, 120.0])
def test_a_face_is_looked_for_where_the_next_picture_lies_in_the_same_memory(size: float) -> None:
    finder, shared = FakeFinder(size=size), cabin()
    reader, tracker = FakeReader("neutral"), FakeTracker(finder)
    pipeline = Pipeline(Config(), finder, reader, tracker=tracker)
    read_times(pipeline, at(15, CALM_AFTER_S, shared))
    steps = map(pipeline.step, at(60, 1.0, shared, CALM_AFTER_S))
    seen = next(each.observation for each in steps if FACE not in each.observation.held)
    assert FACE in pipeline.step(Frame(shared, seen.t + 1 / 60)).observation.held, "else the next is looked for anyway"
    shared[:] = shared[::-1].copy()
    assert FACE not in pipeline.step(Frame(shared, seen.t + 2 / 60)).observation.held


@pytest.mark.parametrize("fainter", [1, 4])
def test_a_face_that_moves_is_looked_for_however_faint_the_picture(fainter: int) -> None:
    luma = cabin() // fainter + 40
    pipeline, _, _ = followed(luma=luma)
    steps = map(pipeline.step, at(60, 1.0, luma, CALM_AFTER_S))
    seen = next(each.observation for each in steps if FACE not in each.observation.held)
    assert FACE in pipeline.step(Frame(luma, seen.t + 1 / 60)).observation.held
    elsewhere = np.roll(luma, 6, axis=0)
    assert FACE not in pipeline.step(Frame(elsewhere, seen.t + 2 / 60)).observation.held


@pytest.mark.parametrize("gap", ["no picture", "pause", "asleep"])
def test_after_a_gap_a_face_is_looked_for_at_once(gap: str) -> None:
    pipeline, _, _ = followed()
    frames = at(15, 1.0, cabin(), CALM_AFTER_S)
    seen = next(each for each in map(pipeline.step, frames) if FACE not in each.observation.held).observation
    if gap == "no picture":
        pipeline.step_blind(seen.t + 0.01, Sight.NO_PICTURE, "frozen")
    elif gap == "pause":
        pipeline.decider.pause(seen.t + 0.01, 60.0)
        pipeline.step(Frame(cabin(), seen.t + 0.02))
        pipeline.decider.resume(seen.t + 0.03)
    t = 8 * 3600.0 if gap == "asleep" else seen.t + 0.05
    assert FACE not in pipeline.step(Frame(cabin(), t)).observation.held


def test_without_a_tracker_or_with_nothing_held_a_face_is_looked_for_in_each_frame() -> None:
    unheld, _, _ = followed(expression_hold_s=0.0)
    for pipeline in (calm()[0], unheld):
        assert not any(FACE in pipeline.step(each).observation.held for each in at(15, 1.0, cabin(), CALM_AFTER_S))


def with_another_face(luma: Luma) -> Luma:
    """The same cabin, but the middle of the face is lighter and darker in other places."""
    changed = luma.copy()
    changed[200:240, 280:360] = changed[200:240, 280:360] // 2
    return changed


@pytest.mark.parametrize("fps", [5, 10, 15, 30])
def test_a_calm_still_face_is_read_twice_a_second_and_its_reading_stands_between(fps: int) -> None:
    pipeline, _, _ = calm(fps)
    steps = [pipeline.step(frame) for frame in at(fps, 6.0, cabin(), CALM_AFTER_S)]
    read = [step.observation.t for step in steps if not step.observation.held]
    assert max(np.diff(read)) <= LONGEST_S + 1 / fps + 1e-6
    assert len(read) <= 6.0 / LONGEST_S
    assert all(step.observation.probabilities is not None for step in steps)
    assert steps[-1].signals.confidence > 0.95


def test_a_face_that_changes_is_read_in_that_frame() -> None:
    for shown in range(1, 9):  # so many frames after the last one of the calm face
        pipeline, _, _ = calm()
        read_times(pipeline, at(15, shown / 15, cabin(), CALM_AFTER_S))
        sudden = CALM_AFTER_S + shown / 15
        assert read_times(pipeline, [Frame(with_another_face(cabin()), sudden)]) == [sudden]


def test_so_is_one_in_another_light_or_another_place() -> None:
    for luma, place in ((np.asarray(cabin() * 0.8, np.uint8), 0.5), (cabin(), 0.7)):
        pipeline, finder, reader = calm()
        pipeline.step(Frame(cabin(), CALM_AFTER_S))
        count, finder.at = len(reader.faces), (place, 0.5)
        pipeline.step(Frame(luma, CALM_AFTER_S + 1 / 15))
        assert len(reader.faces) == count + 1


def test_a_face_that_is_seen_better_is_read_and_one_that_is_seen_worse_is_not() -> None:
    for first, second, read in ((0.4, 0.9, 1), (0.9, 0.4, 0)):
        pipeline, finder, reader = calm()
        finder.score = first
        for frame in at(15, 1.0, cabin(), CALM_AFTER_S):
            pipeline.step(frame)
        reader.faces.clear()
        finder.score = second
        pipeline.step(Frame(cabin(), CALM_AFTER_S + 1.0))
        assert len(reader.faces) == read


def test_what_is_read_anew_because_it_is_seen_better_is_measured_anew_too() -> None:
    pipeline, finder, _ = calm()
    finder.score = 0.4
    for frame in at(15, 1.0, cabin(), CALM_AFTER_S):
        pipeline.step(frame)
    blurred = np.asarray(cv2.GaussianBlur(cabin(), (0, 0), 1.0), np.uint8)
    told = []
    for n, finder.score in enumerate((0.4, 0.9)):
        seen = pipeline.step(Frame(blurred, CALM_AFTER_S + 1.0 + n / 15)).observation
        assert seen.face is not None
        assert seen.quality is not None
        told.append((EXPRESSION in seen.held, seen.quality.sharpness == detail_of(blurred, seen.face).sharpness))
    assert told == [(True, False), (False, True)]


def test_where_something_may_build_up_every_third_frame_is_read() -> None:
    pipeline, _, reader = calm()
    for frame in at(15, 1.0, cabin(), CALM_AFTER_S):
        pipeline.step(frame)
    reader.look = "anger"
    stirred = read_times(pipeline, at(15, 4.0, cabin(), CALM_AFTER_S + 1.0))
    assert max(np.diff(stirred)) <= STIRRED_S + 1 / 15
    assert len(stirred) >= 18


def test_at_speed_a_reading_stands_for_a_shorter_time() -> None:
    times = {}
    for speed_kmh in (50.0, 130.0):
        pipeline, _, _ = calm()
        times[speed_kmh] = read_times(pipeline, at(15, 6.0, cabin(), CALM_AFTER_S), Context(speed_kmh=speed_kmh))
    assert max(np.diff(times[130.0])) <= LONGEST_M / (130.0 / 3.6) + 1 / 15
    assert len(times[130.0]) > len(times[50.0])


def test_configured_to_hold_nothing_each_frame_is_read() -> None:
    pipeline, _, reader = build(look="neutral", vision={"expression_hold_s": 0})
    steps = [pipeline.step(frame) for frame in frames(cabin())]
    assert len(reader.faces) == len(steps)


@pytest.mark.parametrize("gap", ["nobody", "no picture", "asleep"])
def test_after_a_gap_the_expression_is_read_at_once(gap: str) -> None:
    pipeline, finder, reader = calm(fps=30)
    pipeline.step(Frame(cabin(), CALM_AFTER_S))
    count = len(reader.faces)
    if gap == "nobody":
        finder.at = None
        assert pipeline.step(Frame(cabin(), CALM_AFTER_S + 0.03)).observation.probabilities is None
        finder.at = (0.5, 0.5)
    elif gap == "no picture":
        pipeline.step_blind(CALM_AFTER_S + 0.03, Sight.NO_PICTURE, "frozen")
    pipeline.step(Frame(cabin(), 8 * 3600.0 if gap == "asleep" else CALM_AFTER_S + 0.06))
    assert len(reader.faces) == count + 1


def test_an_angry_face_that_comes_unnoticed_becomes_the_same_alert_half_a_second_later_at_most() -> None:
    started = []
    for hold_s in (0.0, LONGEST_S):
        pipeline, _, reader = calm(expression_hold_s=hold_s)
        reader.look = "anger"
        started.append([x.t for frame in at(15, 6.0, cabin(), CALM_AFTER_S) for x in pipeline.step(frame).transitions])
    assert len(started[0]) == len(started[1]) == 1
    assert 0 <= started[1][0] - started[0][0] <= LONGEST_S + STIRRED_S


def test_in_a_pause_no_picture_is_looked_at() -> None:
    pipeline, finder, _ = build()
    pipeline.decider.pause(0.0, 60.0)
    assert pipeline.step(Frame(cabin(), 1.0)).state is State.PAUSED
    assert finder.seen == []


def test_another_configuration_holds_from_the_next_frame_on() -> None:
    pipeline, finder, _ = build()
    pipeline.reconfigure(Config.model_validate({"camera": {"seat": (0.0, 0.0, 0.5, 0.5)}}))
    pipeline.step(Frame(cabin(), 0.0))
    assert finder.seen[0].shape == (240, 320)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (6000, 8000)])
def test_pictures_of_any_size_pass(shape: tuple[int, int]) -> None:
    pipeline, finder, _ = build(camera={"seat": (0.4, 0.4, 0.6, 0.6)})
    noise = np.random.default_rng(0).integers(60, 180, (100, 100), np.uint8)
    luma = np.tile(noise, (shape[0] // 100 + 1, shape[1] // 100 + 1))[: shape[0], : shape[1]]
    assert pipeline.step(Frame(luma, 0.0)).observation.t == 0.0
    assert all(min(seen.shape) >= 1 for seen in finder.seen)


def test_a_picture_with_a_row_stride_is_used_where_it_lies() -> None:
    pipeline, finder, _ = build()
    buffer = cabin(480, 704)
    pipeline.step(Frame(buffer[:, :640], 0.0))
    assert np.shares_memory(finder.seen[0], buffer)


def test_each_stage_is_timed_and_one_that_is_not_needed_is_not() -> None:
    ticks = count()
    times = StageTimes(clock=lambda: float(next(ticks)))
    finder = FakeFinder()
    pipeline = Pipeline(Config(), finder, FakeReader(), times, FakeEyes())
    pipeline.step(Frame(cabin(), 0.0))
    finder.at = None
    pipeline.step(Frame(cabin(), 0.1))
    stages = ("picture", "face", "quality", "crop", "expression", "eyes", "decision")
    counts = {name: times.count(name) for name in stages}
    assert counts == {"picture": 2, "face": 2, "quality": 1, "crop": 1, "expression": 1, "eyes": 1, "decision": 2}
    assert times.percentiles(50)["face"] == (1000.0,)
