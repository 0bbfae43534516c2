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
from typing import Any

from edge.compat import Self
from edge.mqtt.messages import Topics
from edge.mqtt.outbox import layout1
from edge.mqtt.outbox.codes import Code, code_of
from edge.mqtt.outbox.files import beside
from edge.mqtt.outbox.pages import DEFAULT_PAGE_BYTES, Log
from edge.mqtt.outbox.rows import COLUMNS, Counter, DamageError, Removal, Row, Status, Totals, checked_row, values

LAYOUT = 2
NEWEST_LAYOUT = 99
"""What is above was not written by any version, but by chance."""

APPLICATION_ID = 0x65766B6C  # "evkl"

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
        payload_checksum INTEGER NOT NULL,
        payload BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX alert_number ON alert (epoch, sequence)",
    "CREATE UNIQUE INDEX alert_place ON alert (place) WHERE place IS NOT NULL",
    "CREATE TABLE gone (epoch INTEGER, first INTEGER, last INTEGER, reason TEXT, PRIMARY KEY (epoch, first)) STRICT",
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        lived_s REAL NOT NULL,
        owner TEXT NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT""",
)


_UNUSABLE = {
    Code.PERM,
    Code.BUSY,
    Code.LOCKED,
    Code.NOMEM,
    Code.READONLY,
    Code.INTERRUPT,
    Code.IOERR,
    Code.FULL,
    Code.CANTOPEN,
    Code.PROTOCOL,
    Code.NOLFS,
    Code.AUTH,
}
# a block that cannot be read stays so: what else there is must go into a new file
_BAD_READS = {Code.IOERR_READ, Code.IOERR_SHORT_READ, Code.IOERR_CORRUPTFS}


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
    def on_disk(cls, path: Path, owner: Topics, epoch: int, *, busy_s: float) -> Self:
        """Open the database at ``path``, or begin one. Alerts of layout 1 become ``owner``'s, numbered in ``epoch``.

        Raises:
            OSError, sqlite3.Error: the disk does not let it; DamageError where it is no whole outbox.
            LayoutError: a newer version made it; it was only read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            _inspect(path, busy_s)
        if (log := Log.read(beside(path, "-wal"))) is not None and log.broken:
            raise DamageError("the write-ahead log breaks off before its end")
        database = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
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

    @classmethod
    def built(cls, path: Path) -> Self:
        """A new database without a write-ahead log, to be filled and closed before it is used."""
        store = cls(sqlite3.connect(path, isolation_level=None))
        store.database.execute(f"PRAGMA page_size = {DEFAULT_PAGE_BYTES}")
        store.database.execute("PRAGMA journal_mode = DELETE")
        return store

    def fill(self, rows: Iterable[Row], gone: Iterable[Removal], lived_s: float, owner: str) -> None:
        """Create the tables with these rows; they are on the disk when it returns."""
        with self.transaction(Mode.DURABLE):
            self._create()
            self.database.execute(f"PRAGMA user_version = {LAYOUT}")
            newest = (0, 0)
            for row in rows:
                self.add(row)
                newest = max(newest, (row.epoch, row.sequence))
            for removal in gone:
                self.remember(removal)
            if newest > (0, 0):
                self.count(Counter(*newest, lived_s, owner))

    def _prepare(self, owner: Topics, epoch: int) -> None:
        self.database.execute(f"PRAGMA page_size = {DEFAULT_PAGE_BYTES}")
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA secure_delete = ON")
        if (found := self.database.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise DamageError(found)
        with self.transaction(Mode.DURABLE):
            layout = self.database.execute("PRAGMA user_version").fetchone()[0]
            tables = self.database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if layout == layout1.LAYOUT and tables:
                rows = layout1.take_out(self.database, owner, epoch)
                self._create()
                for row in rows:
                    self.add(row)
                self.count(Counter(epoch, len(rows), 0.0, owner.name))
            elif not tables and not layout:
                self._create()
            elif layout == LAYOUT:
                self._check_content()
            else:
                raise DamageError(f"layout {layout} instead of {LAYOUT}")
            # a write even where the tables are there already: a read-only disk must show now, not at the first alert
            self.database.execute(f"PRAGMA user_version = {LAYOUT}")

    def _check_content(self) -> None:
        """Hold every row against its checksum and the numbers against the counter."""
        counter, at, newest = self.counter(), 0, (0, 0)
        query = f"SELECT {COLUMNS}, id FROM alert WHERE id > ? ORDER BY id LIMIT 100"  # noqa: S608 - fixed names
        while found := self.database.execute(query, (at,)).fetchall():
            rows = [checked_row(one[:-1]) for one in found]
            newest = max([newest, *((row.epoch, row.sequence) for row in rows)])
            at = found[-1][-1]
        if counter is None and newest > (0, 0):
            raise DamageError("the counter is missing")
        if counter is not None and newest > (counter.epoch, counter.sequence):
            raise DamageError(f"the counter is at {counter.sequence}, behind alert {newest[1]} of epoch {newest[0]}")

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

    def counter(self) -> Counter | None:
        """The last number given; None in a new database.

        Raises:
            DamageError: it is not what was written.
        """
        found = self.database.execute("SELECT epoch, sequence, lived_s, owner, checksum FROM outbox").fetchone()
        if found is None:
            return None
        counter = Counter(*found[:-1])
        if counter.checksum != found[-1]:
            raise DamageError("the counter is not what was written")
        return counter

    def newest_of(self, epoch: int) -> int | None:
        """The newest number given in an epoch; None where nothing is known of it."""
        query = f"SELECT max(sequence) FROM ({_NUMBERS}) WHERE epoch = ?"  # noqa: S608 - a fixed text
        newest: int | None = self.database.execute(query, (epoch,)).fetchone()[0]
        return newest

    def count(self, counter: Counter) -> None:
        """Keep the last number given and the outbox's age."""
        self.database.execute(
            "INSERT OR REPLACE INTO outbox VALUES (1, ?, ?, ?, ?, ?)",
            (counter.epoch, counter.sequence, counter.lived_s, counter.owner, counter.checksum),
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
        self.forget(row)
        removal = Removal(row.epoch, row.sequence, row.sequence, reason)
        self.remember(removal)
        return removal

    def forget(self, row: Row) -> None:
        """Delete an alert that was never decided."""
        self.database.execute("DELETE FROM alert WHERE epoch = ? AND sequence = ?", (row.epoch, row.sequence))
        self._count(row, -1)

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


FAULTS = (sqlite3.Error, UnicodeError, OverflowError)
"""What the database raises; SQLite's message about a damaged name is not always UTF-8."""


def is_damage(error: Exception) -> bool:
    """Whether the file is at fault, rather than the disk that does not let it be used now."""
    # without a code the fault was found by us or in a value
    code = code_of(error)
    return code is None or code in _BAD_READS or code & 0xFF not in _UNUSABLE


def _text(found: bytes) -> str:
    # damaged text must not raise in the middle of a query: its checksum tells
    return found.decode(errors="replace")


def _inspect(path: Path, busy_s: float) -> None:
    """Refuse the database of a newer version, or one with a damaged header, before anything is written to it."""
    with path.open("rb") as file:
        header = file.read(20)
    # what stands there otherwise would have SQLite take the file for one that must not be written
    if header[:16] == b"SQLite format 3\0" and not set(header[18:20]) <= {1, 2}:
        raise DamageError("its header tells an unknown format")
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=busy_s)) as database:
        layout = database.execute("PRAGMA user_version").fetchone()[0]
        ours = database.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        newer = ours and LAYOUT < layout <= NEWEST_LAYOUT
        if newer and database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
            raise LayoutError(f"layout {layout}; this version knows {LAYOUT}")
