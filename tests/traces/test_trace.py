"""Traces: what is written can be read again, and what is wrong is said with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.config import Config
from edge.decision.decider import Decider
from edge.domain import (
    CUES,
    EXPRESSION,
    EXPRESSIONS,
    EYES,
    FAMILIAR,
    UNKNOWN_CONTEXT,
    Context,
    Cues,
    Face,
    Judged,
    Level,
    Observation,
    Quality,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    State,
    Step,
)
from edge.errors import UnavailableError
from edge.traces.trace import TraceWriter, read_trace, recorded_s
from tests.awake import AWAKE

Write = Callable[..., Path]


def angry(t: float) -> Observation:
    points = np.array([[10, 20], [50, 20], [30, 40], [15, 55], [45, 55]], np.float32) + 1 / 3
    quality = Quality(0.41234567, 0.2, 60.04, -12.34, 5.0, 1.0, 1.0)
    probabilities = np.array([0.2 if name == "neutral" else 0.1 for name in EXPRESSIONS], np.float32)
    return Observation(
        t,
        Sight.FACE,
        Face((5.0, 6.0, 60.0, 60.0), points, 0.87654321),
        quality,
        {EXPRESSION: Reading.expression(probabilities), EYES: AWAKE},
    )


def steps() -> list[Step]:
    decider = Decider(Config())
    seen = [
        *(angry(1000 + n / 10) for n in range(30)),
        Observation(1003.0, Sight.DARK, reason=Reason(ReasonCode.PICTURE_DARK)),
    ]
    return [decider.update(observation) for observation in seen]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(origin_t: float | None = None) -> Path:
        path = tmp_path / "drive.jsonl"
        with TraceWriter(path, origin_t) as writer:
            for step in steps():
                writer.write(step)
        return path

    return make


def faults_of(path: Path) -> tuple[int, list[str]]:
    """How many lines were used, and what was said of the others."""
    faults: list[str] = []
    used = sum(1 for _ in read_trace(path, faults.append))
    return used, faults


def test_a_line_holds_what_the_format_promises(write: Write) -> None:
    lines = [json.loads(text) for text in write().read_text().splitlines()]
    assert set(lines[0]) >= {"t", "face", "quality", "readings", "signals", "state", "reason"}
    assert set(lines[0]["face"]) == {"box", "points", "score"}
    assert list(lines[0]["readings"]["expression"]) == list(EXPRESSIONS)
    assert list(lines[0]["signals"]) == [*Config().alerts.enabled, "confidence"]
    assert lines[-1]["face"] is None
    assert lines[-1]["readings"] == {}


def test_open_alerts_are_told_with_their_levels_and_a_line_without_any_tells_none(tmp_path: Path) -> None:
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    with TraceWriter(path) as writer:
        for step in steps()[:2]:
            writer.write(step)
        kinds = {"anger": Judged(0.7, Level.URGENT), "distress": Judged(0.1)}
        open_ = decider.update(angry(1001.0))
        writer.write(replace(open_, signals=replace(open_.signals, kinds=kinds)))
    first, _, last = read_trace(path)
    assert (first.levels, last.levels) == ({}, {"anger": Level.URGENT})
    assert "levels" not in json.loads(path.read_text().splitlines()[0])


def test_what_is_known_of_the_vehicle_is_read_again_and_what_is_not_takes_no_room(tmp_path: Path) -> None:
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    known = Context(speed_kmh=51.234, standstill=False, age_s={"speed_kmh": 0.3, "standstill": 0.3})
    with TraceWriter(path) as writer:
        writer.write(decider.update(angry(0.0), known))
        writer.write(decider.update(angry(0.1)))
    first, second = read_trace(path)
    assert first.context() == Context(speed_kmh=51.23, standstill=False, age_s={"speed_kmh": 0.3, "standstill": 0.3})
    assert second.context() == UNKNOWN_CONTEXT
    assert "vehicle" not in json.loads(path.read_text().splitlines()[1])


def test_cues_are_read_again_with_their_signs(tmp_path: Path) -> None:
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    seen = angry(0.0)
    told = Cues(-0.5, 0.75, 0.9, 0.1, 0.8, 0.0, 0.25).reading()
    with TraceWriter(path) as writer:
        writer.write(decider.update(replace(seen, readings={**seen.readings, CUES: told})))
        writer.write(decider.update(angry(0.1)))
    first, second = read_trace(path)
    read = first.observation().readings[CUES]
    assert read.names == told.names
    assert read.values.tolist() == told.values.tolist()
    assert set(second.observation().readings) == {EXPRESSION, EYES}


def test_what_stands_for_an_earlier_frame_is_told_and_decides_the_same(tmp_path: Path) -> None:
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    with TraceWriter(path) as writer:
        for n in range(50):
            writer.write(decider.update(replace(angry(n / 10), held=(EXPRESSION,) if n % 2 else ())))
    lines = list(read_trace(path))
    assert [line.observation().held for line in lines[:3]] == [(), (EXPRESSION,), ()]
    assert "held" not in json.loads(path.read_text().splitlines()[0])
    again = Decider(Config())
    states = [again.update(line.observation(), line.context()).state for line in lines]
    assert states == [line.state for line in lines]


def test_how_familiar_a_face_is_is_read_again(tmp_path: Path) -> None:
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    seen = angry(0.0)
    told = Reading((EXPRESSION,), np.array([0.25], np.float32))
    with TraceWriter(path) as writer:
        writer.write(decider.update(replace(seen, readings={**seen.readings, FAMILIAR: told})))
        writer.write(decider.update(angry(0.1)))
    assert [line.observation().familiar for line in read_trace(path)] == [0.25, 1.0]


def test_a_trace_of_version_1_is_read_as_it_was_meant(write: Write) -> None:
    path = write()
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    old = [{**line, "schema": 1, "expression": line.pop("readings").get("expression")} for line in lines]
    path.write_text("\n".join(map(json.dumps, old)) + "\n")
    assert [line.observation().probabilities is None for line in read_trace(path)] == [
        line["expression"] is None for line in old
    ]
    first = next(read_trace(path)).observation()
    assert first.probabilities is not None
    assert first.probabilities == pytest.approx(angry(0.0).probabilities, abs=1e-4)


def test_numbers_are_rounded_to_what_they_are_worth(write: Write) -> None:
    line = json.loads(write().read_text().splitlines()[0])
    assert line["face"]["points"][0] == [10.33, 20.33]
    assert line["face"]["score"] == 0.8765
    assert line["quality"]["yaw_deg"] == -12.3


def test_times_count_from_the_first_step_or_from_the_origin_given(write: Write) -> None:
    assert next(read_trace(write())).t == 0.0
    assert next(read_trace(write(origin_t=900.0))).t == 100.0


def test_what_was_observed_is_read_again(write: Write) -> None:
    lines = list(read_trace(write()))
    first, last = lines[0].observation(), lines[-1].observation()
    assert first.face is not None
    assert first.quality is not None
    assert first.probabilities is not None
    assert first.face.points == pytest.approx(angry(0.0).face.points, abs=0.01)  # type: ignore[union-attr]
    assert first.quality.yaw == pytest.approx(-12.3)
    assert first.probabilities.dtype == np.float32
    assert (last.sight, last.reason, last.probabilities) == (Sight.DARK, Reason(ReasonCode.PICTURE_DARK), None)
    assert lines[-2].state is State.CALM


def test_each_line_is_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "drive.jsonl"
    with TraceWriter(path) as writer:
        writer.write(steps()[0])
        assert path.read_text().endswith("}\n")


def test_a_line_cut_off_is_said_and_the_others_are_used(write: Write) -> None:
    path = write()
    path.write_text(path.read_text()[:-40])
    assert faults_of(path) == (30, [f"{path}:31: cut off, not JSON; line left out"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 3}, "not a line of trace version 1 or 2"),
        ({"t": "soon"}, "t: input should be a valid number"),
        ({"sight": "fog"}, "sight: input should be"),
        ({"t": float("nan")}, "t: input should be a finite number"),
        ({"t": 1e308}, "t: input should be less than or equal to 1000000000"),
        ({"face": {"box": [1e308] * 4, "points": [[1, 1]] * 5, "score": 1}}, "face.box.0: input should be less than"),
        ({"face": {"box": [1] * 4, "points": [[1, -1e308]] * 5, "score": 1}}, "face.points.0.1: input should be great"),
        (
            {"readings": {"expression": {"anger": 7.0}}},
            "readings.expression.anger: input should be less than or equal to 1",
        ),
        (
            {"readings": {"expression": {"anger": -0.1}}},
            "readings: value error, expression.anger should be greater than or equal to 0",
        ),
        (
            {"readings": {"cues": {"valence": -1.5}}},
            "readings.cues.valence: input should be greater than or equal to -1",
        ),
        (
            {"readings": {"familiar": {"expression": -0.1}}},
            "readings: value error, familiar.expression should be greater than or equal to 0",
        ),
    ],
)
def test_a_wrong_line_is_said_with_its_key_and_the_others_are_used(
    write: Write, change: dict[str, object], words: str
) -> None:
    path = write()
    lines = path.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | change)
    path.write_text("\n".join(lines))
    used, (fault,) = faults_of(path)
    assert used == 30
    assert fault.startswith(f"{path}:3: {words}")


@pytest.mark.parametrize("key", ["size_px", "yaw_deg", "pitch_deg", "roll_deg", "brightness", "sharpness", "weight"])
@pytest.mark.parametrize("value", [1e308, -1e308, float("nan"), float("inf")])
def test_a_number_that_no_measurement_gives_is_said_with_its_line(write: Write, key: str, value: float) -> None:
    path = write()
    lines = path.read_text().splitlines()
    line = json.loads(lines[2])
    lines[2] = json.dumps(line | {"quality": line["quality"] | {key: value}})
    path.write_text("\n".join(lines))
    used, (fault,) = faults_of(path)
    assert used == 30
    assert fault.startswith(f"{path}:3: quality.{key}: input should be")


def test_a_byte_order_mark_is_no_fault(write: Write) -> None:
    path = write()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert faults_of(path) == (31, [])


@pytest.mark.parametrize("text", ["null", "[]", "7", '"x"'])
def test_json_that_is_no_object_is_no_line(write: Write, text: str) -> None:
    path = write()
    path.write_text(f"{text}\n{path.read_text()}")
    assert faults_of(path) == (31, [f"{path}:1: not a line of trace version 1 or 2; line left out"])


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 100_000, '{"schema":1,"reason":"\\ud800"}', "\0\0"])
def test_text_that_makes_parsers_stumble_is_one_fault(write: Write, text: str) -> None:
    path = write()
    path.write_text(f"{text}\n{path.read_text()}")
    used, (fault,) = faults_of(path)
    assert used == 31
    assert fault.startswith(f"{path}:1: not ")


def test_a_jump_of_a_day_is_said(write: Write) -> None:
    path = write()
    lines = path.read_text().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"t": 93_600.0})
    path.write_text("\n".join(lines) + "\n")
    assert faults_of(path) == (
        31,
        [f"{path}:31: time jumps from 2.9 s to 93600 s; line used, and the gap counts as 30 s"],
    )


@pytest.mark.parametrize(("t", "counts"), [(10.5, 0.5), (40.0, 30.0), (93_610.0, 30.0), (9.0, 0.0)])
def test_what_was_not_recorded_is_no_length_of_a_drive(t: float, counts: float) -> None:
    assert recorded_s(10.0, t) == counts


def test_a_time_that_goes_back_is_said_and_used(write: Write) -> None:
    path = write()
    path.write_text(path.read_text() * 2)
    assert faults_of(path) == (62, [f"{path}:32: time goes back from 3 s to 0 s; line used"])


def test_keys_that_a_later_version_1_adds_are_left_alone(write: Write) -> None:
    path = write()
    path.write_text(json.dumps(json.loads(path.read_text().splitlines()[0]) | {"speed_kmh": 50}))
    assert faults_of(path) == (1, [])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\xff\xfe", b'{"t": 1}\n'])
def test_a_file_without_a_usable_line_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "drive.jsonl"
    path.write_bytes(content)
    with pytest.raises(UnavailableError, match=r"drive\.jsonl: no usable line"):
        faults_of(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"gone\.jsonl: trace cannot be read: No such file"):
        list(read_trace(tmp_path / "gone.jsonl"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"trace\.jsonl: trace cannot be written: No such file"):
        TraceWriter(tmp_path / "nowhere" / "trace.jsonl")


def test_a_writer_whose_disk_is_full_closes_in_silence() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with TraceWriter(full) as writer, pytest.raises(UnavailableError, match="No space left"):
        writer.write(steps()[0])


def test_a_full_disk_is_told_as_such() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(UnavailableError, match="/dev/full: trace cannot be written: No space left"),
        TraceWriter(full) as w,
    ):
        w.write(steps()[0])
