"""The database of the outbox, layout 2: its tables and what is done with them.

**Durability.** The journal is a write-ahead log with ``synchronous=FULL``: every commit is synced to the card before
it returns, so an alert survives a power cut from then on. ``NORMAL`` would be faster, but in WAL mode it syncs at
checkpoints only and a power cut takes the newest alerts. It does for acknowledgements: losing one merely sends an alert
twice, which its epoch and sequence tell a receiver.

Every row bears a checksum of its content, and says by itself what it is: it can be read from a damaged file without
the tables around it. What was deleted is overwritten (``secure_delete``), so that no ghost of it is found there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Self

from edge.mqtt.messages import Newest, Topics
from edge.mqtt.outbox import layout1
from edge.mqtt.outbox.epochs import HIGHEST_EPOCH
from edge.mqtt.outbox.rows import COLUMNS, DamageError, Removal, Row, Status, Totals, checked_row, values

LAYOUT = 2
NEWEST_LAYOUT = 1000
"""What is above was not written by any version, but by chance."""

APPLICATION_ID = 0x65766B6C  # "evkl"
BUSY_S = 1.0

GONE_KEPT = 1000
"""Ranges of numbers of which it is remembered why they are gone."""

_NUMBERS = """SELECT epoch, sequence FROM outbox UNION ALL SELECT epoch, sequence FROM alert
    UNION ALL SELECT epoch, last FROM gone"""

_TABLES = (
    """CREATE TABLE alert (
        id INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL CHECK (epoch >= 1),
        sequence INTEGER NOT NULL CHECK (sequence >= 1),
        status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 2),
        place INTEGER CHECK ((place IS NOT NULL) = (status = 0)),
        resent INTEGER NOT NULL CHECK (resent IN (0, 1)),
        stored_s REAL NOT NULL,
        is_end INTEGER NOT NULL CHECK (is_end IN (0, 1)),
        note TEXT NOT NULL,
        prefix TEXT NOT NULL,
        device_id TEXT NOT NULL,
        payload BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX alert_number ON alert (epoch, sequence)",
    "CREATE UNIQUE INDEX alert_place ON alert (place) WHERE place IS NOT NULL",
    "CREATE TABLE gone (epoch INTEGER, first INTEGER, last INTEGER, reason TEXT, PRIMARY KEY (epoch, first)) STRICT",
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER, sequence INTEGER, lived_s REAL) STRICT",
)


_UNUSABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_AUTH,
}
# a block that cannot be read stays so: what else there is must go into a new file
_BAD_READS = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


class LayoutError(sqlite3.DatabaseError):
    """The database is of a newer version's layout."""


class Mode(Enum):
    """What a transaction may do: write and be on the disk when it ends, write, or only read."""

    DURABLE = "durable"
    LAX = "lax"
    READ = "read"


class Store:
    """One open database. Every method raises ``sqlite3.Error`` where the database fails."""

    def __init__(self, database: sqlite3.Connection) -> None:
        database.text_factory = _text
        self.database = database
        self._totals: Totals | None = None

    @classmethod
    def on_disk(cls, path: Path, owner: Topics, epoch: int) -> Self:
        """Open the database at ``path``, or begin one. Alerts of layout 1 become ``owner``'s, numbered in ``epoch``.

        Raises:
            OSError, sqlite3.Error: the disk does not let it; DamageError where it is no whole outbox.
            LayoutError: a newer version made it; it was only read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            _inspect(path)
        database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        store = cls(database)
        try:
            store._prepare(owner, epoch)
        except BaseException:
            database.close()
            raise
        return store

    @classmethod
    def in_memory(cls) -> Self:
        """An empty database that lives as long as the process."""
        store = cls(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        with store.transaction(Mode.LAX):
            store._create()
        return store

    def _prepare(self, owner: Topics, epoch: int) -> None:
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA secure_delete = ON")
        if (found := self.database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise DamageError(found)
        with self.transaction(Mode.DURABLE):
            layout = self.database.execute("PRAGMA user_version").fetchone()[0]
            tables = self.database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if layout == layout1.LAYOUT and tables:
                rows = layout1.take_out(self.database, owner, epoch)
                self._create()
                for row in rows:
                    self.add(row)
            elif not tables and not layout:
                self._create()
            elif layout != LAYOUT:
                raise DamageError(f"layout {layout} instead of {LAYOUT}")
            # a write even where the tables are there already: a read-only disk must show now, not at the first alert
            self.database.execute(f"PRAGMA user_version = {LAYOUT}")

    def _create(self) -> None:
        for statement in _TABLES:
            self.database.execute(statement)
        self.database.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def close(self) -> None:
        """Close it; what is committed stays."""
        self.database.close()

    @contextmanager
    def transaction(self, mode: Mode) -> Iterator[None]:
        """Commit what the ``with`` does, or nothing of it."""
        self.database.execute(f"PRAGMA synchronous = {'FULL' if mode is Mode.DURABLE else 'NORMAL'}")
        self.database.execute("BEGIN" if mode is Mode.READ else "BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            self._totals = None
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise

    # ---- what holds for the whole outbox ----

    def newest(self) -> Newest | None:
        """The newest number given, by the counter or by an alert that is ahead of it; None in a new database."""
        query = f"""SELECT epoch, max(sequence) FROM ({_NUMBERS}) WHERE epoch BETWEEN 1 AND ?
            GROUP BY epoch ORDER BY epoch DESC LIMIT 1"""  # noqa: S608 - a fixed text
        found = self.database.execute(query, (HIGHEST_EPOCH,)).fetchone()
        return Newest(*found) if found is not None else None

    def newest_of(self, epoch: int) -> int | None:
        """The newest number given in an epoch; None where nothing is known of it."""
        query = f"SELECT max(sequence) FROM ({_NUMBERS}) WHERE epoch = ?"  # noqa: S608 - a fixed text
        newest: int | None = self.database.execute(query, (epoch,)).fetchone()[0]
        return newest

    def lived_s(self) -> float:
        """How long the outbox has been in use, seconds; no clock on the wall has a say in it."""
        found = self.database.execute("SELECT lived_s FROM outbox").fetchone()
        return max(found[0] or 0.0, 0.0) if found else 0.0

    def note(self, newest: Newest, lived_s: float) -> None:
        """Keep the newest number and the outbox's age."""
        self.database.execute(
            "INSERT OR REPLACE INTO outbox VALUES (1, ?, ?, ?)", (newest.epoch, newest.sequence, lived_s)
        )

    def last_place(self) -> int:
        """The highest place taken; 0 where nothing waits."""
        place: int = self.database.execute("SELECT coalesce(max(place), 0) FROM alert").fetchone()[0]
        return place

    def totals(self) -> Totals:
        """Counts over the whole database; kept up to date from one change to the next, so that asking costs nothing."""
        if self._totals is None:
            query = """SELECT count(*) FILTER (WHERE status = 0),
                coalesce(sum(length(payload)) FILTER (WHERE status = 0), 0), count(*) FILTER (WHERE status = 1),
                count(*) FILTER (WHERE status = 2), coalesce(sum(length(payload)) FILTER (WHERE status > 0), 0)
                FROM alert"""
            self._totals = Totals(*self.database.execute(query).fetchone())
        return self._totals

    # ---- alerts ----

    def rows(self, where: str, values: Iterable[object] = ()) -> list[Row]:
        """Alerts that meet a condition (with its order and limit), each held against its checksum.

        Raises:
            DamageError: a row is not what was written.
        """
        query = f"SELECT {COLUMNS} FROM alert WHERE {where}"  # noqa: S608 - conditions of this package
        return [checked_row(found) for found in self.database.execute(query, tuple(values))]

    def add(self, row: Row) -> None:
        """A new alert."""
        holders = ", ".join("?" * len(values(row)))
        self.database.execute(f"INSERT INTO alert ({COLUMNS}) VALUES ({holders})", values(row))  # noqa: S608 - fixed names
        self._count(row, 1)

    def change(self, row: Row, **changes: Any) -> None:
        """Write a row anew, with changes."""
        new = replace(row, **changes)
        assignments = ", ".join(f"{name} = ?" for name in COLUMNS.split(", "))
        self.database.execute(
            f"UPDATE alert SET {assignments} WHERE epoch = ? AND sequence = ?",  # noqa: S608 - fixed names
            (*values(new), row.epoch, row.sequence),
        )
        self._count(row, -1)
        self._count(new, 1)

    def remove(self, row: Row, reason: str) -> Removal:
        """Delete an alert for good, and remember why."""
        self.database.execute("DELETE FROM alert WHERE epoch = ? AND sequence = ?", (row.epoch, row.sequence))
        self._count(row, -1)
        removal = Removal(row.epoch, row.sequence, row.sequence, reason)
        self.remember(removal)
        return removal

    def remember(self, removal: Removal) -> None:
        """Keep why numbers are gone, joined with the range before where that is of one reason."""
        epoch, first, last, reason = removal.epoch, removal.first, removal.last, removal.reason
        before = self.database.execute(
            "SELECT first FROM gone WHERE epoch = ? AND last = ? AND reason = ?", (epoch, first - 1, reason)
        ).fetchone()
        self.database.execute(
            "INSERT OR REPLACE INTO gone VALUES (?, ?, ?, ?)", (epoch, before[0] if before else first, last, reason)
        )
        self.database.execute(
            "DELETE FROM gone WHERE rowid IN "
            "(SELECT rowid FROM gone ORDER BY epoch DESC, first DESC LIMIT -1 OFFSET ?)",
            (GONE_KEPT,),
        )

    def gone(self, epoch: int = 0) -> list[Removal]:
        """What is remembered of an epoch, in order; of all epochs for 0."""
        query = "SELECT epoch, first, last, reason FROM gone WHERE epoch = ? OR ? = 0 ORDER BY epoch, first"
        return [Removal(*found) for found in self.database.execute(query, (epoch, epoch))]

    def _count(self, row: Row, by: int) -> None:
        if self._totals is None:
            return
        size, was = by * len(row.payload), self._totals
        if row.status is Status.WAITING:
            self._totals = replace(was, waiting=was.waiting + by, waiting_bytes=was.waiting_bytes + size)
        elif row.status is Status.DELIVERED:
            self._totals = replace(was, history=was.history + by, kept_bytes=was.kept_bytes + size)
        else:
            self._totals = replace(was, set_aside=was.set_aside + by, kept_bytes=was.kept_bytes + size)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, rather than the disk that does not let it be used now."""
    # extended result codes: https://www.sqlite.org/rescode.html; without one the fault was found by us or in a value
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code in _BAD_READS or code & 0xFF not in _UNUSABLE


def _text(found: bytes) -> str:
    # damaged text must not raise in the middle of a query: its checksum tells
    return found.decode(errors="replace")


def _inspect(path: Path) -> None:
    """Refuse the database of a newer version before anything is written to it."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as database:
        layout = database.execute("PRAGMA user_version").fetchone()[0]
        if LAYOUT < layout <= NEWEST_LAYOUT and database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
            raise LayoutError(f"layout {layout}; this version knows {LAYOUT}")
