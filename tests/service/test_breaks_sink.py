"""What was driven counts on after a restart, and little is written for it."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.compat import UTC
from edge.config import Config
from edge.domain import Context, Stamp
from edge.service.breaks_sink import BreaksFile, BreaksSink
from edge.service.loop import board_stamp
from edge.service.mqtt_sink import MqttSink
from edge.service.versions import About
from edge.vehicle.breaks import Balance, BreakStatus
from tests.service.test_loop import FakePublisher, quick, speak_of
from tests.vehicle.test_breaks import DRIVES, STANDS, step_of

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
CONFIG = Config.model_validate({"breaks": {"preset": "eu"}})


class Board:
    """A board that is started, and whose clock may be believed or not."""

    def __init__(self, folder: Path, *, boot: str = "a", day_s: float = 0.0, synced: bool = True) -> None:
        self.path = folder / "breaks.json"
        self.uptime_s, self.day_s, self.synced = 50.0, day_s, synced
        self.sink = BreaksSink(CONFIG, BreaksFile(self.path, lambda: boot), lambda: self.uptime_s, self.stamp)

    def stamp(self) -> Stamp:
        return Stamp(NOON + timedelta(seconds=self.day_s + self.uptime_s), self.uptime_s, clock_synced=self.synced)

    def spend(self, minutes: float, context: Context) -> Board:
        for _ in range(int(minutes * 12)):
            self.sink.take(step_of(self.uptime_s, context))
            self.uptime_s += 5
        return self

    def lose_power(self) -> None:
        """After what was to be written is: nobody closes the sink."""
        written = threading.Event()
        self.sink._worker.put(written.set)
        assert written.wait(60)

    def stop(self) -> None:
        self.lose_power()
        self.sink.close()

    @property
    def driven_min(self) -> int | None:
        driven_s = self.sink.status.driven_s
        return None if driven_s is None else round(driven_s / 60)


def test_what_was_driven_counts_on_after_a_power_cut(tmp_path: Path) -> None:
    Board(tmp_path).spend(204, DRIVES).lose_power()
    assert Board(tmp_path, boot="b", day_s=205 * 60).driven_min in range(199, 205)


def test_a_break_with_the_power_off_is_one(tmp_path: Path) -> None:
    Board(tmp_path).spend(271, DRIVES).spend(1, STANDS).lose_power()
    after = Board(tmp_path, boot="b", day_s=(272 + 46) * 60)
    assert (after.driven_min, after.sink.status.due) == (0, False)


def test_a_board_without_a_clock_waits_until_it_knows_the_time(tmp_path: Path) -> None:
    Board(tmp_path).spend(271, DRIVES).spend(1, STANDS).stop()
    after = Board(tmp_path, boot="b", day_s=0.0, synced=False).spend(10, DRIVES)
    assert after.sink.status.due
    after.day_s, after.synced = (272 + 46) * 60, True
    after.spend(1, DRIVES)
    assert (after.driven_min, after.sink.status.due) == (11, False)


def test_a_service_that_was_restarted_needs_no_clock_to_know_for_how_long_it_was_away(tmp_path: Path) -> None:
    first = Board(tmp_path, synced=False).spend(271, DRIVES).spend(1, STANDS)
    first.stop()
    file = BreaksFile(tmp_path / "breaks.json", lambda: "a")
    assert file.load() is not None
    assert file.gap(Stamp(NOON, first.uptime_s + 60, clock_synced=False)) == (60.0, True)
    other = BreaksFile(tmp_path / "breaks.json", lambda: "b")
    other.load()
    assert other.gap(Stamp(NOON, 60, clock_synced=False)) is None


def test_little_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Balance] = []
    keep = BreaksFile.keep

    def counted(file: BreaksFile, balance: Balance, *, resting: bool, now: Stamp) -> None:
        written.append(balance)
        keep(file, balance, resting=resting, now=now)

    monkeypatch.setattr(BreaksFile, "keep", counted)
    board = Board(tmp_path)
    for _ in range(10):
        board.spend(5, DRIVES).spend(1, STANDS)
    board.lose_power()
    assert 10 <= len(written) <= 24
    assert (tmp_path / "breaks.json").stat().st_size < 400


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1}', "\x00" * 100, json.dumps({"schema": 1, "driven_s": -1})]
)
def test_a_damaged_file_is_said_and_counts_from_zero(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "breaks.json").write_text(text)
    board = Board(tmp_path)
    assert board.driven_min is None
    assert "time driven counts from zero" in caplog.text
    board.stop()


def test_a_disk_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    board = Board(tmp_path / "file").spend(30, DRIVES)
    board.stop()
    assert caplog.text.count("the time driven is not kept over a restart") == 1


def test_a_break_that_becomes_due_is_news_and_said_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    board = Board(tmp_path)
    publisher = FakePublisher()
    speak: Any = speak_of(quick(), publisher, board_stamp)
    speak._breaks = lambda: board.sink.status
    for minutes in (269, 2, 5):
        board.spend(minutes, DRIVES)
        speak.take(step_of(board.uptime_s, DRIVES))
    speak.close()
    board.stop()
    assert [message.break_due for message in publisher.states] == [False, True]
    told = publisher.states[-1].breaks
    assert told is not None
    assert (told.reasons, told.driven_min, told.left_min) == (["driving"], 270.0, 0.0)
    assert "a break is due: driving" in caplog.text


def test_whether_a_break_is_due_is_asked_once_a_step_and_is_news_as_soon_as_it_is() -> None:
    publisher, asked = FakePublisher(), list[tuple[str, ...]]()
    told: list[tuple[str, ...]] = [(), (), ("driving",), ("driving",)]

    def status() -> BreakStatus:
        reasons = told[len(asked)]
        asked.append(reasons)
        return BreakStatus(bool(reasons), reasons, None, None, 0.0)

    about = About("litert", "face 1", "expression 1", "eyes 1")
    sink = MqttSink(
        quick(),
        publisher=publisher,
        about=about,
        entropy=lambda: b"",
        clock=lambda: 0.0,
        stamp=board_stamp,
        breaks=status,
    )
    counts = []
    for n in range(4):
        sink.take(step_of(n / 15, DRIVES))
        handed_on = threading.Event()
        sink._worker.put(handed_on.set)
        assert handed_on.wait(60)
        counts.append(len(publisher.states))
    sink.close()
    assert len(asked) == 4
    assert counts == [1, 1, 2, 2]
