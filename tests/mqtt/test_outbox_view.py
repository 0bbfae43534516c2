"""What is said of an outbox that cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.mqtt.outbox import view
from edge.mqtt.outbox.codes import Code, by_message, code_of
from edge.mqtt.outbox.store import is_damage

IOERR_SHMSIZE = Code.IOERR | 19 << 8
IOERR_WRITE = Code.IOERR | 3 << 8


class CodedError(sqlite3.OperationalError):
    """An error of SQLite with its extended result code, as Python 3.11 and later raise it."""

    def __init__(self, code: int) -> None:
        super().__init__("disk I/O error")
        self.sqlite_errorcode = code


@pytest.mark.parametrize("code", [Code.FULL, IOERR_SHMSIZE, IOERR_WRITE])
def test_a_full_disk_is_not_called_damage(code: int) -> None:
    remedy = view._remedy(CodedError(code), Path("/var/lib/evenkeel/outbox.db"))

    assert "make room on the disk of /var/lib/evenkeel" in remedy
    assert "damaged" not in remedy


def a_locked_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("CREATE TABLE alert (id)")
        one.execute("BEGIN EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")


def a_full_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA max_page_count = 2")
        for number in range(9):
            database.execute(f"CREATE TABLE alert_{number} (id)")


def a_readonly_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE alert (id)")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        database.execute("INSERT INTO alert VALUES (1)")


def another_file(path: Path) -> None:
    path.write_bytes(b"no database at all. " * 500)
    with closing(sqlite3.connect(path)) as database:
        database.execute("SELECT * FROM sqlite_master")


def a_malformed_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE alert (id)")
        database.execute("INSERT INTO alert VALUES (zeroblob(9000))")
        database.commit()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 9000)
    with closing(sqlite3.connect(path)) as database:
        database.execute("SELECT * FROM alert").fetchall()


def in_no_folder(path: Path) -> None:
    with closing(sqlite3.connect(path / "none" / "outbox.db")) as database:
        database.execute("SELECT 1")


@pytest.mark.parametrize(
    ("use", "code"),
    [
        (a_locked_one, Code.BUSY),
        (a_full_one, Code.FULL),
        (a_readonly_one, Code.READONLY),
        (another_file, Code.NOTADB),
        (a_malformed_one, Code.CORRUPT),
        (in_no_folder, Code.CANTOPEN),
    ],
)
def test_sqlites_words_tell_its_code_where_python_hands_out_none(
    use: Callable[[Path], None], code: Code, tmp_path: Path
) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        use(tmp_path / "outbox.db")

    assert by_message(caught.value) == code
    assert (code_of(caught.value) or 0) & 0xFF == code
    assert is_damage(caught.value) == (code in {Code.NOTADB, Code.CORRUPT})
