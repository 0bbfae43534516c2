"""What would fail on Python 3.10 alone, on which not every change is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edge

SOURCES = sorted(Path(edge.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (r": ClassVar =", "pydantic reads a ClassVar on 3.10 only where its type stands with it"),
        (r"\.(from|to)_bytes\((?!.*\"(big|little)\")", "the order of bytes has no default on 3.10"),
        (r"sqlite3\.SQLITE_", "3.10 knows no result codes: edge.mqtt.outbox.codes"),
    ],
)
def test_nothing_is_written_that_python_3_10_does_not_take(written: str, why: str) -> None:
    found = [
        f"{path}: {line}" for path in SOURCES for line in path.read_text().splitlines() if re.search(written, line)
    ]

    assert SOURCES
    assert not found, why
