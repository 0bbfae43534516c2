"""The comparison of two processors finds what is not the same, and lets pass what rounding makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.board.__main__ import TESTS
from benchmarks.board.compare import BOUNDS, compare_events, compare_traces, frame_time
from benchmarks.board.root import BOARDS
from benchmarks.board.stage import CLIP, SOURCE, packages_for_tests, thin
from edge.domain import EXPRESSIONS

FRAME_S = 0.0667
Change = Callable[[list[dict[str, Any]]], None]


def trace_line(number: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "t": round(number * FRAME_S, 4),
        "sight": "face",
        "face": {"box": [200, 140, 160, 220], "points": [[262, 220], [336, 220], [297, 267], [267, 301], [331, 301]]}
        | {"score": 0.95},
        "quality": {"brightness": 0.4, "sharpness": 0.2, "size_px": 188.0, "yaw_deg": 0, "pitch_deg": 0, "roll_deg": 0}
        | {"weight": 1.0},
        "expression": {name: 1 / len(EXPRESSIONS) for name in EXPRESSIONS},
        "signals": {"anger": 0.1, "distress": 0.2, "confidence": 1.0},
        "state": "calm",
        "reason": "",
    }


def event(t: float) -> dict[str, Any]:
    return {
        "t": t,
        "id": f"id of {t}",
        "sequence": 0,
        "kind": "anger",
        "phase": "start",
        "level": "warning",
        "started": f"{t}",
        "score": 0.76,
        "expression": "anger",
        "reason": "",
        "models": {"face": "face 1", "expression": "expression 1"},
    }


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def traces(folder: Path, change: Change) -> tuple[Path, Path]:
    lines = [trace_line(number) for number in range(10)]
    ours = write(folder / "ours.jsonl", lines)
    change(lines)
    return ours, write(folder / "theirs.jsonl", lines)


def events(folder: Path, change: Change) -> tuple[Path, Path]:
    lines = [event(1.0), event(5.0)]
    ours = write(folder / "ours.jsonl", lines)
    change(lines)
    return ours, write(folder / "theirs.jsonl", lines)


def set_in(part: str, key: str, value: float) -> Change:
    return lambda lines: lines[3][part].update({key: value})


def test_the_same_trace_differs_in_nothing(tmp_path: Path) -> None:
    found = compare_traces(*traces(tmp_path, lambda _: None))
    assert found.faults == ()
    assert set(found.figures.values()) == {0.0}


@pytest.mark.parametrize(
    ("change", "figure", "difference"),
    [
        (set_in("expression", "anger", 1 / 9 + 0.1), "probability", 0.1),
        (set_in("signals", "distress", 0.21), "signal", 0.01),
        (lambda lines: lines[3]["face"]["points"][1].__setitem__(0, 337.88), "point", 0.01),
    ],
)
def test_what_rounding_makes_is_measured_and_let_pass(
    tmp_path: Path, change: Change, figure: str, difference: float
) -> None:
    found = compare_traces(*traces(tmp_path, change))
    assert found.figures[figure] == pytest.approx(difference)
    assert found.faults == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (set_in("expression", "anger", 0.9), "probability: 0.7889 is above 0.25"),
        (lambda lines: [line["expression"].update(anger=0.2) for line in lines], "mean probability"),
        (set_in("signals", "anger", 0.4), "signal"),
        (lambda lines: lines[3]["face"]["points"][1].__setitem__(0, 350), "point"),
        (lambda lines: lines[3].update(state="warning"), "frames in another state"),
        (lambda lines: lines[3].update(sight="no_face"), "sight differs at 0.2001 s, the first of 1"),
        (lambda lines: lines[3].update(expression=None), "probability: 1.0000"),
        (lambda lines: lines.pop(), "10 lines here, 9 there"),
    ],
)
def test_what_rounding_cannot_have_made_is_a_fault(tmp_path: Path, change: Change, fault: str) -> None:
    assert fault in " ".join(compare_traces(*traces(tmp_path, change)).faults)


def test_an_event_may_come_one_frame_later_and_score_a_little_less(tmp_path: Path) -> None:
    def later(lines: list[dict[str, Any]]) -> None:
        lines[0].update(t=1.0 + FRAME_S, started="later", id="another", score=0.75)

    found = compare_events(*events(tmp_path, later), FRAME_S)
    assert found.faults == ()
    assert found.figures["event score"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda lines: lines[0].update(t=1.0 + 2 * FRAME_S), "event 1: at 1 s here, at 1.1334 s there"),
        (lambda lines: lines[1].update(kind="distress"), "event 2: kind 'anger' here, 'distress' there"),
        (lambda lines: lines[1].update(id="another"), "event 2: id"),
        (lambda lines: lines[1].update(score=0.5), "event score: 0.2600 is above 0.04"),
        (lambda lines: lines.pop(), "events: 2 here, 1 there"),
        (lambda lines: lines.clear(), "events: 2 here, 0 there"),
    ],
)
def test_another_event_is_a_fault(tmp_path: Path, change: Change, fault: str) -> None:
    assert fault in " ".join(compare_events(*events(tmp_path, change), FRAME_S).faults)


def test_the_time_between_frames_is_read_from_the_trace(tmp_path: Path) -> None:
    trace, _ = traces(tmp_path, lambda _: None)
    assert frame_time(trace) == pytest.approx(FRAME_S, abs=0.0002)


def test_every_figure_has_its_bound(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    figures = compare_traces(*traces(tmp_path / "traces", lambda _: None)).figures
    figures |= compare_events(*events(tmp_path, lambda _: None), FRAME_S).figures
    assert figures.keys() == BOUNDS.keys()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.cpu)
def test_a_boards_cpuinfo_names_an_arm_core_for_each_processor(board: Any) -> None:
    text = board.cpuinfo(processors=4)
    assert text.count("CPU implementer\t: 0x41") == 4
    assert text.count(f"CPU part\t: {board.part}") == 4
    assert ("asimddp" in text) == (board.cpu == "cortex-a76"), "only the Pi 5 has the dot product that int8 models use"


def test_what_goes_to_the_boards_is_there() -> None:
    assert CLIP.is_file()
    assert [path for path in TESTS if not (SOURCE / path).exists()] == []


def test_the_boards_get_what_the_tests_import_and_no_linters() -> None:
    names = " ".join(packages_for_tests())
    assert "pytest" in names
    assert "amqtt" in names
    assert "ruff" not in names
    assert "mypy" not in names
    assert "shellcheck" not in names, "it has no wheel for arm64"


def test_a_thinned_clip_is_as_long_with_fewer_frames(tmp_path: Path) -> None:
    whole, thinned = tmp_path / "whole.mp4", tmp_path / "thinned.mp4"
    write_clip(whole, brightness=range(0, 240, 20))
    thin(whole, thinned, every=3)
    assert brightness_in(thinned) == pytest.approx([0, 60, 120, 180], abs=10)  # a video rounds
    clip = cv2.VideoCapture(str(thinned))
    assert clip.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    clip.release()


def test_every_frame_is_the_clip_itself(tmp_path: Path) -> None:
    whole, copy = tmp_path / "whole.mp4", tmp_path / "copy.mp4"
    write_clip(whole, brightness=range(0, 240, 20))
    thin(whole, copy, every=1)
    assert copy.read_bytes() == whole.read_bytes()


def write_clip(path: Path, brightness: Iterable[int]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (64, 48))
    for level in brightness:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def brightness_in(path: Path) -> list[float]:
    clip = cv2.VideoCapture(str(path))
    levels = []
    while (frame := clip.read())[0]:
        levels.append(float(frame[1].mean()))
    clip.release()
    return levels
