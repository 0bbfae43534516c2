"""What an outbox holds, read beside a service that uses it and without changing anything."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UnavailableError
from edge.mqtt.messages import Topics
from edge.mqtt.outbox import layout1
from edge.mqtt.outbox.codes import Code, code_of
from edge.mqtt.outbox.files import beside
from edge.mqtt.outbox.renew import DAMAGED
from edge.mqtt.outbox.rows import Row, Status
from edge.mqtt.outbox.store import FAULTS, LAYOUT, NEWEST_LAYOUT, Store

_CLOSED = {Code.CANTOPEN, Code.PERM, Code.READONLY, Code.AUTH}
_DISK = {Code.FULL, Code.IOERR}
_BUSY = {Code.BUSY, Code.LOCKED}
_NOBODY = Topics("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Contents:
    """The alerts of an outbox, each list in order: what waits, what was acknowledged, what no broker would take."""

    waiting: tuple[Row, ...] = ()
    history: tuple[Row, ...] = ()
    aside: tuple[Row, ...] = ()


def read_contents(path: Path, owner: Topics = _NOBODY) -> Contents:
    """All that is in the outbox at ``path``; what an earlier version left there is shown as ``owner`` would take it.

    Raises:
        UnavailableError: the file cannot be read or is no outbox; the message tells the remedy.
    """
    if path.is_dir():
        raise UnavailableError(f"outbox {path} is a folder; set outbox.path to a file in it")
    if not path.exists() or not path.stat().st_size:
        return Contents()
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return _read(database, path, owner)
    except FAULTS as error:
        raise UnavailableError(f"outbox {path} cannot be read: {error}; {_remedy(error, path)}") from None


def _read(database: sqlite3.Connection, path: Path, owner: Topics) -> Contents:
    layout = database.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables and not layout:
        return Contents()
    if "alert" not in tables:
        raise UnavailableError(
            f"{path} is another program's database, not an outbox; set outbox.path to another file: the service would "
            f"keep this one as {beside(path, DAMAGED).name} and begin a new one"
        )
    if layout == layout1.LAYOUT:
        rows = layout1.read(database, owner, epoch=1)
    elif layout == LAYOUT:
        rows = Store(database).rows("1 ORDER BY place, epoch, sequence")
    elif LAYOUT < layout <= NEWEST_LAYOUT:
        raise UnavailableError(f"outbox {path} is of a newer version (layout {layout}); use that version to look at it")
    else:
        raise sqlite3.DatabaseError(f"layout {layout} instead of {LAYOUT}")
    return Contents(*(tuple(row for row in rows if row.status is status) for status in Status))


def _remedy(error: Exception, path: Path) -> str:
    code = (code_of(error) or 0) & 0xFF
    if code in _CLOSED:
        return "run this as the service's user"
    if code in _BUSY:
        return "another program writes to it: try again when that has ended"
    if code in _DISK:
        return f"make room on the disk of {path.parent} where it is full (df), else look for its faults in dmesg"
    kept = beside(path, DAMAGED).name
    if code == Code.NOTADB:
        return (
            f"where it is not yours, set outbox.path to another file; else start the service, which keeps it as {kept}"
        )
    return f"it is damaged: start the service, which takes what can be read into a new one and keeps this as {kept}"
