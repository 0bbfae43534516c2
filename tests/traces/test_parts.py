"""A trace for weeks: what is kept, what goes, and that no step is lost between two parts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from edge.compat import UTC
from edge.config import Config, TraceConfig
from edge.decision.decider import Decider
from edge.domain import Observation, Sight, Step
from edge.errors import UnavailableError
from edge.traces.parts import PARTS, RotatingTrace
from edge.traces.trace import TraceWriter, read_trace

LINE_BYTES = 220
SMALL = TraceConfig(max_mb=1.0)


def write(path: Path, count: int, config: TraceConfig = SMALL) -> None:
    decider = Decider(Config())
    with RotatingTrace(path, config, lambda: None) as trace:
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
        RotatingTrace(tmp_path / "drive", SMALL, lambda: None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["drive"]


def test_the_trace_of_the_run_before_is_kept_as_a_part(tmp_path: Path) -> None:
    write(tmp_path / "drive.jsonl", 3)
    write(tmp_path / "drive.jsonl", 5)
    assert len(times(tmp_path / "drive.1.jsonl")) == 3
    assert len(times(tmp_path / "drive.jsonl")) == 5


DAY_S = 86_400.0
NOW_S = 1.8e9


class Board:
    """A trace on a board whose clocks a test holds; it starts anew at each ``run``."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.path = folder / "drive.jsonl"
        self.wall_s: float | None = NOW_S
        self.up_s = 100.0
        self._config = TraceConfig.model_validate(settings)
        self._decider = Decider(Config())

    def run(self, *, hours: int = 0) -> None:
        """Write a step an hour."""
        with RotatingTrace(self.path, self._config, lambda: self.wall_s, lambda: self.up_s) as trace:
            for _ in range(hours + 1):
                trace.write(self._decider.update(Observation(self.up_s, Sight.NO_FACE)))
                self.up_s += 3600
                if self.wall_s is not None:
                    self.wall_s += 3600

    @property
    def parts(self) -> list[str]:
        """The parts that are there, the newest first."""
        return sorted(path.name for path in self.path.parent.glob("drive*.jsonl"))


def sleep(board: Board, days: float) -> None:
    assert board.wall_s is not None
    board.wall_s += days * DAY_S


@pytest.mark.parametrize("written_s", [0.0, 1.0, NOW_S - 400 * DAY_S, NOW_S + 400 * DAY_S])
def test_no_part_goes_by_the_time_that_its_file_bears(tmp_path: Path, written_s: float) -> None:
    """A board without a clock writes 1970 or the day of its image, and the next start must not believe it."""
    board = Board(tmp_path)
    for name in ("drive.jsonl", "drive.1.jsonl", "drive.3.jsonl"):
        (tmp_path / name).write_text("{}\n")
        os.utime(tmp_path / name, (written_s, written_s))
    board.run(hours=3)
    assert len(board.parts) == 4


def test_a_part_goes_when_a_clock_that_is_set_has_seen_it_full_for_too_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board(tmp_path, max_age_days=14)
    board.run()
    board.run()
    assert board.parts == ["drive.1.jsonl", "drive.jsonl"]
    sleep(board, 13)
    board.run()
    assert board.parts == ["drive.1.jsonl", "drive.2.jsonl", "drive.jsonl"]
    sleep(board, 1.5)
    with caplog.at_level("INFO"):
        board.run()
    assert board.parts == ["drive.1.jsonl", "drive.2.jsonl", "drive.jsonl"]
    assert "drive.3.jsonl removed: full for 14." in caplog.text
    assert "trace.max_age_days" in caplog.text


def test_a_part_goes_within_the_hour_while_the_service_runs(tmp_path: Path) -> None:
    board = Board(tmp_path, max_age_days=1)
    board.run()
    board.run(hours=23)
    assert board.parts == ["drive.1.jsonl", "drive.jsonl"]
    (tmp_path / "drive.jsonl").unlink()
    board.run(hours=2)
    assert board.parts == ["drive.jsonl"]


def test_without_a_clock_nothing_ages_and_what_was_just_renamed_stays(tmp_path: Path) -> None:
    board = Board(tmp_path, max_age_days=1)
    board.wall_s = None
    for _ in range(3):
        board.run(hours=100)
    assert len(board.parts) == 3
    board.wall_s = NOW_S
    board.run()
    assert len(board.parts) == 4


def test_a_clock_that_was_ahead_makes_no_part_older(tmp_path: Path) -> None:
    board = Board(tmp_path, max_age_days=1)
    board.wall_s = NOW_S + 1000 * DAY_S
    board.run()
    board.run()
    board.wall_s = NOW_S
    board.run()
    assert len(board.parts) == 3


@pytest.mark.parametrize("content", ["", "[]", '{"1:2": -5}', '{"1:2": NaN}', "\x00\x01"])
def test_ages_that_are_damaged_begin_anew(tmp_path: Path, content: str) -> None:
    board = Board(tmp_path, max_age_days=1)
    board.run()
    (tmp_path / "drive.jsonl.ages").write_text(content)
    board.run()
    assert len(board.parts) == 2


def test_the_part_that_gives_way_to_a_new_one_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(PARTS):
        write(tmp_path / "drive.jsonl", 1)
    with caplog.at_level("INFO"):
        write(tmp_path / "drive.jsonl", 2)
    assert f"{tmp_path}/drive.4.jsonl removed: all parts together may have 1 MB (trace.max_mb)" in caplog.text


def test_no_part_is_given_up_while_there_is_a_gap(tmp_path: Path) -> None:
    """A process that is killed while it renames leaves one."""
    for number in (2, 3, 4):
        (tmp_path / f"drive.{number}.jsonl").write_text(f"{number}\n")
    write(tmp_path / "drive.jsonl", 1)
    write(tmp_path / "drive.jsonl", 1)
    assert [(tmp_path / f"drive.{number}.jsonl").read_text() for number in (2, 3, 4)] == ["2\n", "3\n", "4\n"]
    assert len(times(tmp_path / "drive.1.jsonl")) == 1


def test_a_part_goes_on_where_it_broke_off_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that was cut off is lost, the parts before stay, and every line after it can be read."""
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    (tmp_path / "drive.1.jsonl").write_text("kept\n")
    with RotatingTrace(path, SMALL, lambda: None) as trace:
        for n in range(10):
            if n == 4:
                broken = trace._writer

                def cut(_: Step, broken: TraceWriter = broken) -> None:
                    broken._file.close()
                    with path.open("a") as file:
                        file.write('{"schema":1,"t":4')
                    raise UnavailableError("trace cannot be written: No space left on device")

                monkeypatch.setattr(broken, "write", cut)
                with pytest.raises(UnavailableError):
                    trace.write(decider.update(Observation(float(n), Sight.NO_FACE)))
                continue
            trace.write(decider.update(Observation(float(n), Sight.NO_FACE)))
    faults: list[str] = []
    assert [line.t for line in read_trace(path, faults.append)] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert faults == [f"{path}:5: not JSON; line left out"]
    assert (tmp_path / "drive.1.jsonl").read_text() == "kept\n"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="trace cannot be written"):
        RotatingTrace(tmp_path / "none" / "drive.jsonl", SMALL, lambda: None)


def test_each_part_tells_whose_it_is_and_when_it_begins_once_the_clock_is_set(tmp_path: Path) -> None:
    path, decider = tmp_path / "drive.jsonl", Decider(Config())
    wall_s: list[float | None] = [None, None, 1_750_000_000.0, 1_750_000_001.0]
    with RotatingTrace(path, SMALL, lambda: wall_s[0], device="van-7") as trace:
        for t in range(4):
            trace.write(decider.update(Observation(float(t), Sight.NO_FACE)))
            wall_s.append(wall_s.pop(0))
    lines = list(read_trace(path))
    assert [line.device for line in lines] == ["van-7", None, "van-7", None]
    assert [line.time for line in lines] == [None, None, datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC), None]
