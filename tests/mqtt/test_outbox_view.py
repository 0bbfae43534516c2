"""What is said of an outbox that cannot be read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.mqtt.outbox import view


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE])
def test_a_full_disk_is_not_called_damage(code: int) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code

    remedy = view._remedy(error, Path("/var/lib/evenkeel/outbox.db"))

    assert "make room on the disk of /var/lib/evenkeel" in remedy
    assert "damaged" not in remedy
