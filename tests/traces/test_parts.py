"""A trace for weeks: what is kept, what goes, and that no step is lost between two parts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import Config, TraceConfig
from edge.decision.decider import Decider
from edge.domain import Observation, Sight
from edge.errors import UnavailableError
from edge.traces.parts import PARTS, RotatingTrace

LINE_BYTES = 220
SMALL = TraceConfig(max_mb=1.0)


def write(path: Path, count: int, config: TraceConfig = SMALL) -> None:
    decider = Decider(Config())
    with RotatingTrace(path, config) as trace:
        for n in range(count):
            trace.write(decider.update(Observation(1000.0 + n, Sight.NO_FACE)))


def times(path: Path) -> list[float]:
    return [json.loads(line)["t"] for line in path.read_text().splitlines()]


def test_a_full_part_is_followed_by_another_and_no_step_is_lost(tmp_path: Path) -> None:
    write(tmp_path / "drive.jsonl", 1500)
    assert [*times(tmp_path / "drive.1.jsonl"), *times(tmp_path / "drive.jsonl")] == [float(n) for n in range(1500)]


def test_all_parts_together_stay_within_the_size(tmp_path: Path) -> None:
    write(tmp_path / "drive.jsonl", 9000)
    parts = list(tmp_path.iterdir())
    assert len(parts) == PARTS
    assert sum(part.stat().st_size for part in parts) <= 1e6 + PARTS * LINE_BYTES
    assert times(tmp_path / "drive.jsonl")[-1] == 8999.0


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_regular_file_is_refused_and_left_where_it_is(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "drive")
    with pytest.raises(UnavailableError, match="drive: trace cannot be written: not a regular file"):
        RotatingTrace(tmp_path / "drive", SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["drive"]


def test_the_trace_of_the_run_before_is_kept_as_a_part(tmp_path: Path) -> None:
    write(tmp_path / "drive.jsonl", 3)
    write(tmp_path / "drive.jsonl", 5)
    assert len(times(tmp_path / "drive.1.jsonl")) == 3
    assert len(times(tmp_path / "drive.jsonl")) == 5


def test_parts_that_are_too_old_go(tmp_path: Path) -> None:
    old = tmp_path / "drive.2.jsonl"
    old.write_text("{}\n")
    os.utime(old, (1.0, 1.0))
    write(tmp_path / "drive.jsonl", 1)
    assert [part.name for part in tmp_path.iterdir()] == ["drive.jsonl"]


def test_a_part_that_grows_old_while_the_service_runs_goes_within_the_hour(tmp_path: Path) -> None:
    now, decider = 1e9, Decider(Config())
    part = tmp_path / "drive.1.jsonl"
    with RotatingTrace(tmp_path / "drive.jsonl", TraceConfig(max_age_days=1.0), now=lambda: now) as trace:
        part.write_text("{}\n")
        os.utime(part, (now, now))
        now += 0.9 * 86400
        trace.write(decider.update(Observation(0.0, Sight.NO_FACE)))
        assert part.exists()
        now += 0.2 * 86400
        trace.write(decider.update(Observation(1.0, Sight.NO_FACE)))
        assert not part.exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="trace cannot be written"):
        RotatingTrace(tmp_path / "none" / "drive.jsonl", SMALL)
