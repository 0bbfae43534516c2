"""Small files that the service can do without: replaced as a whole, their faults told once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edge.board.kept import KeptFile

LOG = logging.getLogger("kept")


def test_what_was_put_is_read_until_it_is_cleared(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "deep" / "small.json", LOG, "nothing is kept")
    assert file.read() is None
    file.replace("one")
    file.replace("two")
    assert file.read() == b"two"
    assert [path.name for path in file.path.parent.iterdir()] == ["small.json"]
    file.clear()
    file.clear()
    assert file.read() is None


def test_a_fault_of_the_disk_is_told_once_with_what_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    file = KeptFile(tmp_path / "file" / "small.json", LOG, "nothing is kept")
    file.replace("one")
    file.replace("two")
    assert file.read() is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{file.path}: ")
    assert record.getMessage().endswith("; nothing is kept")
