"""Replay of clips and traces: the same pipeline, the same events every time, clear words where it cannot be."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from edge.config import Config
from edge.decision.decider import Decider
from edge.decision.ordinary import OrdinaryFace
from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    EYE_NAMES,
    EYES,
    Face,
    FaceReading,
    Level,
    Observation,
    Quality,
    Reading,
    Sight,
    State,
)
from edge.errors import CameraError, UnavailableError, UsageError
from edge.mqtt.messages import AlertMessage
from edge.pipeline import Pipeline
from edge.traces.replay import replay
from edge.traces.timeline import Timeline, _thinned, clock, compose, episodes_table
from edge.traces.trace import TraceWriter, read_trace
from edge.vision.crop import FaceView
from edge.words import say
from tests.awake import AWAKE
from tests.steady import steady

FPS = 10
ANGRY_LUMA = 160
CLIPS = Path(__file__).parents[3] / "shared" / "data" / "clips"


class Model:
    name = "fake"
    version = "7"


class ReaderModel(Model):
    ordinary_face = OrdinaryFace()


class Finder:
    manifest = Model()

    def find_all(self, luma: NDArray[np.uint8], limit: int = 8) -> list[Face]:  # noqa: ARG002 - the interface
        points = np.array([(60, 40), (100, 40), (80, 65), (65, 85), (95, 85)], np.float32)
        return [Face((40.0, 15.0, 80.0, 90.0), points, 0.9)]

    def find_small(self, luma: NDArray[np.uint8], turn: int) -> list[Face]:
        del luma, turn
        return []

    def is_sure(self, face: Face) -> bool:
        del face
        return True

    def sharpen(self, luma: NDArray[np.uint8], face: Face) -> Face:  # noqa: ARG002 - the interface
        return face

    def is_upright(self, luma: NDArray[np.uint8], face: Face) -> bool:
        del luma, face
        return True

    def turned(self, luma: NDArray[np.uint8], face: Face, quarters: int) -> float:
        del luma, face
        return 0.0 if quarters else 1.0

    def find_near(self, luma: NDArray[np.uint8], face: Face, within: float, share: float) -> Face | None:  # noqa: ARG002 - the interface
        return face


class Reader:
    """A bright picture is anger, a dim one is none."""

    manifest = ReaderModel()

    def read_all(self, view: FaceView) -> FaceReading:
        return FaceReading(probabilities("anger" if view.luma.mean() > ANGRY_LUMA else "neutral"))


class OpenEyes:
    """Both eyes are open."""

    manifest = ReaderModel()

    def read(self, luma: NDArray[np.uint8], face: Face) -> Reading:
        del luma, face
        return AWAKE


def probabilities(shown: str) -> NDArray[np.float32]:
    return np.array([name == shown for name in EXPRESSIONS], np.float32)


@pytest.fixture
def fake_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "from_config", lambda config: Pipeline(config, Finder(), Reader(), eyes=OpenEyes()))


@pytest.fixture
def clip(tmp_path: Path, fake_models: None) -> Path:  # noqa: ARG001 - a clip is of no use without them
    """3 s of calm, 5 s of anger, 5 s of calm."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (160, 120))
    noise = np.random.default_rng(0).integers(-40, 40, (120, 160, 3))
    for n in range(13 * FPS):
        level = 190 if 3 * FPS <= n < 8 * FPS else 100
        writer.write((level + noise).clip(0, 255).astype(np.uint8))
    writer.release()
    return path


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """The same as a trace."""
    path = tmp_path / "drive.jsonl"
    decider = Decider(Config())
    quality = Quality(0.4, 0.2, 85.0, 0.0, 0.0, 0.0, 1.0)
    with TraceWriter(path) as writer:
        for n in range(13 * FPS):
            shown = probabilities("anger" if 3 * FPS <= n < 8 * FPS else "neutral")
            (face,) = Finder().find_all(np.zeros((120, 160), np.uint8))
            writer.write(
                decider.update(
                    Observation(
                        500 + n / FPS, Sight.FACE, face, quality, {EXPRESSION: Reading.expression(shown), EYES: AWAKE}
                    )
                )
            )
    return path


def events_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_summary_counts_frames_faces_states_and_alerts(clip: Path) -> None:
    summary = replay(clip, Config())
    assert (summary.frames, summary.frames_with_face) == (130, 130)
    assert summary.duration_s == pytest.approx(12.9)
    assert summary.alerts == dict.fromkeys(Config().alerts.enabled, 0) | {"anger": 1}
    assert sum(summary.shares.values()) == pytest.approx(1.0)
    assert set(summary.shares) == {State.UNCERTAIN, State.CALM, State.WARNING}
    assert summary.shares[State.UNCERTAIN] < 0.15
    assert summary.faults == ()


def test_the_summary_lists_the_episodes_in_the_time_of_the_events(drive: Path, tmp_path: Path) -> None:
    summary = replay(drive, Config(), events=tmp_path / "events.jsonl")
    (episode,) = summary.episodes
    start, end = events_of(tmp_path / "events.jsonl")
    assert (episode.kind, episode.expression, episode.level, episode.urgent_s) == (
        "anger",
        "anger",
        Level.WARNING,
        None,
    )
    assert episode.start_s == pytest.approx(start["t"], abs=1e-3)
    assert episode.end_s == pytest.approx(end["t"], abs=1e-3)
    assert episode.peak == pytest.approx(end["peak"], abs=1e-3)
    assert say(episode.ended) == end["reason"]


def test_an_alert_that_is_still_open_and_an_urgent_one_are_told(drive: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_text("\n".join(drive.read_text().splitlines()[: 8 * FPS]) + "\n")
    quick = Config.model_validate({"alerts": {"anger": {"urgent_s": 0.5}}})
    (episode,) = replay(cut, quick).episodes
    assert episode.end_s is None
    assert episode.level is Level.URGENT
    console = Console(file=StringIO(), width=120, record=True)
    console.print(episodes_table((episode,)))
    assert "open" in console.export_text()


def test_the_timeline_is_drawn(drive: Path, tmp_path: Path) -> None:
    plot = tmp_path / "drive.png"
    replay(drive, Config(), plot=plot)
    picture = cv2.imread(str(plot))
    assert picture is not None
    assert picture.std() > 1.0


def test_of_a_long_drive_the_drawing_keeps_each_peak() -> None:
    t = np.arange(100_001) / 10
    signal = np.zeros_like(t)
    signal[[777, 50_123, 100_000]] = 0.9
    drawn_t, drawn = _thinned(t, signal)
    assert len(drawn_t) < 5000
    assert drawn_t[drawn > 0.5].tolist() == [77.7, 5012.3, 10_000.0]
    assert (np.diff(drawn_t) >= 0).all()


def test_of_a_long_drive_with_eyes_that_could_not_be_read_the_drawing_keeps_closures_and_gaps() -> None:
    t = np.arange(100_000.0)
    openness = np.ones(len(t))
    openness[::7] = np.nan
    openness[40_001] = 0.0
    openness[60_000:61_000] = np.nan
    drawn_t, drawn = _thinned(t, openness)
    assert drawn_t[drawn == 0.0].tolist() == [40_001.0]
    assert set(drawn_t[np.isnan(drawn)].tolist()) <= set(range(60_000, 61_000))
    assert np.isnan(drawn).sum() > 20


def test_the_drawing_shows_eyes_where_they_were_read_and_no_empty_panel_where_not() -> None:
    panels = {}
    for seen in (True, False):
        timeline = Timeline()
        decider = Decider(Config())
        for n in range(40 * 15):
            openness = np.array([0.1 if 30 < n / 15 < 32 else 0.9] * 2 + [float(seen)] * 2, np.float32)
            readings = {EYES: Reading(EYE_NAMES, openness)}
            timeline.add(decider.update(Observation(n / 15, Sight.FACE, readings=readings)), signals=True)
        panels[seen] = [axes.get_ylabel() for axes in compose(timeline, "drive").axes]
        told = np.asarray(timeline.perclos)
        assert np.isnan(told[: 15 * 20]).all()
        assert np.isnan(told).all() != seen
        assert np.isnan(np.asarray(timeline.openness)).all() != seen
    assert panels == {True: ["signal", "openness", "state", "PERCLOS, %"], False: ["signal", "state"]}


def test_a_single_frame_is_drawn_too(drive: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.jsonl"
    one.write_text(drive.read_text().splitlines()[0] + "\n")
    replay(one, Config(), plot=tmp_path / "one.svg")
    assert (tmp_path / "one.svg").read_text().startswith("<?xml")


def test_a_drawing_of_another_format_is_refused_before_the_replay(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a plot's name must end in \.pdf, \.png, \.svg"):
        replay(drive, Config(), plot=tmp_path / "drive.txt", events=tmp_path / "events")
    assert not (tmp_path / "events").exists()


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (3599.96, "1:00:00"), (3725.4, "1:02:05")]
)
def test_times_are_minutes_and_seconds(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_events_are_the_contracts_alerts_with_the_time_in_the_clip(clip: Path, tmp_path: Path) -> None:
    replay(clip, steady(), events=tmp_path / "events.jsonl")
    start, end = events_of(tmp_path / "events.jsonl")
    assert (start["phase"], end["phase"]) == ("start", "end")
    assert start["t"] == pytest.approx(4.6, abs=0.4)
    assert start["id"] == end["id"]
    assert UUID(str(start["id"])).version == 7
    for event in (start, end):
        message = AlertMessage.model_validate_json(json.dumps(event))
        assert message.time.timestamp() == pytest.approx(float(str(event["t"])), abs=1e-3)
        assert not message.clock_synced
        assert message.models.face == "fake 7"


def test_the_same_clip_gives_the_same_bytes_twice(clip: Path, tmp_path: Path) -> None:
    written = []
    for run in ("one", "two"):
        events, trace = tmp_path / f"{run}.events", tmp_path / f"{run}.trace"
        replay(clip, Config(), events=events, trace=trace)
        written.append((events.read_bytes(), trace.read_bytes()))
    assert written[0] == written[1]
    assert written[0][0]


def test_another_recording_of_the_same_name_gives_other_ids(drive: Path, tmp_path: Path) -> None:
    replay(drive, Config(), events=tmp_path / "one")
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / drive.name
    other.write_text("\n".join(drive.read_text().splitlines()[:-1]) + "\n")
    replay(other, Config(), events=tmp_path / "two")
    assert events_of(tmp_path / "one")[0]["id"] != events_of(tmp_path / "two")[0]["id"]


def test_a_recording_keeps_its_ids_wherever_it_lies(clip: Path, tmp_path: Path) -> None:
    replay(clip, Config(), events=tmp_path / "one")
    replay(clip.rename(tmp_path / "other.avi"), Config(), events=tmp_path / "two")
    assert events_of(tmp_path / "one") == events_of(tmp_path / "two")


def test_the_trace_of_a_clip_replays_to_the_same_events(clip: Path, tmp_path: Path) -> None:
    first, again, trace = tmp_path / "first", tmp_path / "again", tmp_path / "trace.jsonl"
    replay(clip, Config(), events=first, trace=trace)
    replay(trace, Config(), events=again)
    for one, other in zip(events_of(first), events_of(again), strict=True):
        assert (one["kind"], one["phase"]) == (other["kind"], other["phase"])
        # a trace rounds readings: what just reaches a threshold may reach it a frame earlier or later
        assert abs(float(str(one["t"])) - float(str(other["t"]))) < 1.5 / FPS


def test_a_trace_is_judged_by_the_configuration_of_today(drive: Path) -> None:
    assert replay(drive, Config()).alerts["anger"] == 1
    strict = Config.model_validate({"alerts": {"anger": {"hold_s": 30.0}}})
    assert replay(drive, strict).alerts["anger"] == 0


def test_a_damaged_trace_is_used_as_far_as_it_goes_and_its_faults_are_told(drive: Path) -> None:
    drive.write_text(drive.read_text()[:-100])
    summary = replay(drive, Config())
    assert summary.frames == 129
    assert summary.faults == (f"{drive}:130: cut off, not JSON; line left out",)


def test_a_trace_without_a_face_is_an_empty_seat(tmp_path: Path) -> None:
    decider = Decider(Config())
    with TraceWriter(tmp_path / "empty.jsonl") as writer:
        for n in range(100):
            writer.write(decider.update(Observation(n / FPS, Sight.NO_FACE)))
    summary = replay(tmp_path / "empty.jsonl", Config())
    assert summary.frames_with_face == 0
    assert summary.shares[State.ABSENT] > 0.7
    assert State.CALM not in summary.shares


def test_a_folder_of_pictures_is_replayed_too(tmp_path: Path, fake_models: None) -> None:  # noqa: ARG001
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(3):
        cv2.imwrite(str(folder / f"{n}.png"), np.random.default_rng(n).integers(60, 140, (120, 160), np.uint8))
    assert replay(folder, Config()).frames == 3


@pytest.mark.parametrize("content", [b"", b"no video at all", b"RIFF\x00\x00\x00\x00AVI LIST"])
def test_a_clip_that_is_none_is_named_and_is_unavailable(tmp_path: Path, fake_models: None, content: bytes) -> None:  # noqa: ARG001
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=r"clip\.mp4") as caught:
        replay(path, Config())
    assert caught.value.exit_code == 69
    assert "\n" not in str(caught.value)


def test_pictures_that_are_none_are_counted_and_the_others_replayed(tmp_path: Path, fake_models: None) -> None:  # noqa: ARG001
    for n in range(5):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((120, 160), 100 + n, np.uint8))
    (tmp_path / "2b.png").touch()
    (tmp_path / "4b.jpg").write_text("notes")
    summary = replay(tmp_path, Config())
    assert summary.frames == 5
    (fault,) = summary.faults
    said = "unreadable frames skipped: 2; the last: camera"
    assert fault.startswith(f"{tmp_path}: {said} {tmp_path}")


def test_a_clip_cut_short_is_replayed_as_far_as_it_goes(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert 0 < replay(clip, Config()).frames < 130


def test_names_that_are_no_utf_8_are_taken(drive: Path, tmp_path: Path) -> None:
    path, events = (tmp_path / os.fsdecode(name) for name in (b"dr\xffive.jsonl", b"ev\xffents.jsonl"))
    try:
        drive.rename(path)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert replay(path, Config(), events=events, trace=tmp_path / os.fsdecode(b"o\xffut.jsonl")).alerts["anger"] == 1
    assert len(events_of(events)) == 2


def test_a_clip_whose_name_is_no_utf_8_is_refused_where_opencv_would_die_of_it(clip: Path, fake_models: None) -> None:  # noqa: ARG001
    try:
        renamed = clip.rename(clip.with_name(os.fsdecode(b"cl\xffip.avi")))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(CameraError, match="its name is not UTF-8, which OpenCV needs; rename it"):
        replay(renamed, Config())


def test_a_trace_with_a_byte_order_mark_is_known_whatever_its_name(drive: Path) -> None:
    path = drive.rename(drive.with_suffix(".txt"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert replay(path, Config()).faults == ()


def test_a_jump_of_a_day_does_not_lengthen_the_drive(drive: Path) -> None:
    before = replay(drive, Config()).duration_s
    lines = drive.read_text().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"t": 93_600.0})
    drive.write_text("\n".join(lines) + "\n")
    assert replay(drive, Config()).duration_s == pytest.approx(before + 30.0, abs=0.2)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"gone\.mp4: no such clip, folder or trace"):
        replay(tmp_path / "gone.mp4", Config())


def test_an_empty_trace_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "drive.jsonl").touch()
    with pytest.raises(UnavailableError, match=r"drive\.jsonl: no usable line") as caught:
        replay(tmp_path / "drive.jsonl", Config())
    assert caught.value.exit_code == 69


def test_what_is_replayed_is_not_overwritten(drive: Path) -> None:
    before = drive.read_bytes()
    with pytest.raises(UsageError, match="write to another one"):
        replay(drive, Config(), trace=drive)
    assert drive.read_bytes() == before


def test_events_and_trace_do_not_go_into_one_file(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="need a file each"):
        replay(drive, Config(), events=tmp_path / "out.jsonl", trace=tmp_path / "." / "out.jsonl")


def test_a_name_too_long_for_a_file_is_one_that_is_not_there() -> None:
    with pytest.raises(CameraError, match="no such clip"):
        replay(Path("x" * 300), Config())


def test_progress_is_shown_on_a_terminal_only(drive: Path) -> None:
    for terminal in (True, False):
        screen = StringIO()
        replay(drive, Config(), console=Console(file=screen, force_terminal=terminal, width=80))
        assert (drive.name in screen.getvalue()) is terminal


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips are not on this machine")
@pytest.mark.parametrize("name", ["driver_calm.avi", "driver_yawn_smile.avi"])
def test_a_calm_or_yawning_driver_gives_no_alert(name: str, tmp_path: Path) -> None:
    summary = replay(CLIPS / name, Config(), trace=tmp_path / "trace.jsonl")
    assert set(summary.alerts.values()) == {0}
    assert summary.frames_with_face >= 0.95 * summary.frames
    assert sum(1 for _ in read_trace(tmp_path / "trace.jsonl")) == summary.frames
