"""What an outbox holds, read beside a service that uses it and without changing anything."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UnavailableError
from edge.mqtt.outbox.rows import Row, Status
from edge.mqtt.outbox.store import LAYOUT, Store


@dataclass(frozen=True, slots=True)
class Contents:
    """The alerts of an outbox, each list in order: what waits, what was acknowledged, what no broker would take."""

    waiting: tuple[Row, ...] = ()
    history: tuple[Row, ...] = ()
    aside: tuple[Row, ...] = ()


def read_contents(path: Path) -> Contents:
    """All that is in the outbox at ``path``.

    Raises:
        UnavailableError: the file cannot be read or is no outbox.
    """
    if not path.exists():
        return Contents()
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return _read(database)
    except sqlite3.DatabaseError as error:
        raise UnavailableError(f"outbox {path} cannot be read: {error}; run this as the service's user") from None


def _read(database: sqlite3.Connection) -> Contents:
    layout = database.execute("PRAGMA user_version").fetchone()[0]
    if layout == LAYOUT:
        rows = Store(database).rows("1 ORDER BY place, epoch, sequence")
        return Contents(*(tuple(row for row in rows if row.status is status) for status in Status))
    raise sqlite3.DatabaseError(f"layout {layout} instead of {LAYOUT}")
