"""The resting face over a restart: kept as numbers, for a bounded time, and never in the way."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edge.compat import UTC
from edge.decision.baseline import RestingFace
from edge.domain import Stamp
from edge.service.resting_face import FILE_NAME, RestingFaceFile

SHOWN = (60.0, *[2.0] * 16, 20.0, 8.0)
NEVER = (0.0,) * 19
RESTING = RestingFace(120.0, {"anger": -0.8, "distress": -2.2}, {"anger": SHOWN, "distress": SHOWN})
SAVED = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def at(hours: float = 0.0, *, synced: bool = True) -> Stamp:
    return Stamp(SAVED + timedelta(hours=hours), 60.0, clock_synced=synced)


@pytest.fixture
def kept(tmp_path: Path) -> RestingFaceFile:
    file = RestingFaceFile(tmp_path)
    file.keep(RESTING, at())
    return file


def test_what_is_kept_is_found_again_within_its_age(kept: RestingFaceFile) -> None:
    assert kept.load(at(7.9), 8.0) == RESTING


@pytest.mark.parametrize("hours", [8.1, -0.1])
def test_what_is_too_old_or_of_the_future_is_not_used(kept: RestingFaceFile, hours: float) -> None:
    assert kept.load(at(hours), 8.0) is None


def test_an_age_that_cannot_be_known_is_too_old(kept: RestingFaceFile) -> None:
    assert kept.load(at(1.0, synced=False), 8.0) is None


@pytest.mark.parametrize(
    ("resting", "synced"),
    [(RestingFace(0.0, {"anger": 0.0, "distress": 0.0}, {"anger": NEVER, "distress": NEVER}), True), (RESTING, False)],
)
def test_nothing_learned_or_no_clock_leaves_nothing_of_before(
    kept: RestingFaceFile, resting: RestingFace, *, synced: bool
) -> None:
    kept.keep(resting, at(1.0, synced=synced))
    assert kept.load(at(1.0), 8.0) is None


OLD = {"schema": 2, "saved": "2026-05-04T09:30:00Z", "learned_s": 9.0, "anger": -2, "distress": -2}
SHORT = {**OLD, "schema": 3, "anger_s": [1.0, 2.0], "distress_s": SHOWN}
ODD = {**SHORT, "anger_s": [1e6] * 19}


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1}', *map(json.dumps, (OLD, SHORT, ODD))])
def test_a_damaged_file_is_said_and_learned_anew(
    kept: RestingFaceFile, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert kept.load(at(), 8.0) is None
    assert FILE_NAME in caplog.text


def test_a_file_of_0_1_0_is_taken_over(tmp_path: Path) -> None:
    """It told of two kinds, each under keys of its own."""
    face = {"anger": -0.8, "distress": -2.2, "anger_s": SHOWN, "distress_s": SHOWN}
    text = json.dumps({"schema": 3, "saved": SAVED.isoformat(), "learned_s": 120.0, **face})
    (tmp_path / FILE_NAME).write_text(text)
    file = RestingFaceFile(tmp_path)
    assert file.load(at(1.0), 8.0) == RESTING
    file.keep(RESTING, at(1.0))
    assert file.load(at(2.0), 8.0) == RESTING


def test_a_disk_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    file = RestingFaceFile(tmp_path / "file")
    for _ in range(3):
        file.keep(RESTING, at())
    assert caplog.text.count("is not kept over a restart") == 1


def test_services_whose_outboxes_share_a_folder_have_a_face_each(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("outbox.db", "cab.db", "trailer.db")]
    files = {RestingFaceFile.beside(path)._file.path for path in paths}
    assert len(files) == 3
    assert tmp_path / FILE_NAME in files
