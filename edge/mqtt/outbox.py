"""Alerts that wait until the broker has acknowledged them: a first-in, first-out queue in SQLite.

**Durability.** The journal is a write-ahead log with ``synchronous=FULL``: every commit is synced to the card before
``put`` returns, so an alert survives a power cut from then on. ``NORMAL`` would be faster, but in WAL mode it syncs at
checkpoints only and a power cut takes the newest alerts. It does for deletions: losing one merely sends an alert
twice, which ``id`` and ``sequence`` tell a receiver.

**Sequence numbers** rise for the life of a device. They are stored, so an empty outbox goes on where it was, and each
start goes on from the Unix time where that is higher: so they rise too after a damaged or unwritable database.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from edge.config import OutboxConfig
from edge.domain import Phase
from edge.errors import UnavailableError
from edge.mqtt.messages import AlertMessage, OutboxPart, Stamp

_log = logging.getLogger(__name__)

FILE_NAME = "outbox.db"
LAYOUT_VERSION = 1
DAY_S = 86400.0
RETRY_S = 60.0

# ``stored`` is the Unix time at which an alert came in, or NULL while the clock could not be believed
_LAYOUT = (
    """CREATE TABLE IF NOT EXISTS alert
    (sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL, is_end INTEGER NOT NULL, stored REAL)""",
    "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO counter VALUES (1, 0)",
)

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One alert in the outbox."""

    sequence: int
    payload: bytes


def outbox_path(config: OutboxConfig, environ: Mapping[str, str]) -> Path:
    """Where the database lies: as configured, else in $STATE_DIRECTORY (systemd), else in the user's state folder."""
    if config.path is not None:
        return config.path
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / FILE_NAME
    home = environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "evenkeel" / FILE_NAME


def read_waiting(path: Path) -> list[Waiting]:
    """All alerts in the outbox at ``path``, read beside a service that uses it and without changing anything.

    Raises:
        UnavailableError: the file cannot be read or is no outbox.
    """
    if not path.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return _select(database, 0, -1)
    except sqlite3.DatabaseError as error:
        raise UnavailableError(f"outbox {path} cannot be read: {error}; run this as the service's user") from None


class _DamageError(sqlite3.DatabaseError):
    """The file is a database, but not a whole one or not ours."""


class Outbox:
    """A bounded queue of alerts on disk, or in memory where the disk does not let it. Safe to use from two threads.

    A database that turns out damaged is renamed to ``<name>.damaged`` and a new one begun; one that cannot be written
    (disk full, read-only, locked) is replaced by one in memory, which takes over what waits and moves back to the disk
    when that works again. ``problem`` says so in one line. No method raises for a fault of the disk.
    """

    def __init__(self, path: Path, *, max_bytes: int, max_age_days: float, now: Stamp) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_days * DAY_S
        self._lock = threading.Lock()
        self._dropped = 0
        self._problem: str | None = None
        self._in_memory = False
        self._retry_at: float | None = None
        self._database = self._open()
        self._newest = self._run(lambda database: _raise_counter(database, now))

    @classmethod
    def from_config(cls, config: OutboxConfig, environ: Mapping[str, str], now: Stamp) -> Self:
        """The outbox that the configuration describes."""
        return cls(outbox_path(config, environ), max_bytes=config.max_bytes, max_age_days=config.max_age_days, now=now)

    @property
    def problem(self) -> str | None:
        """What is wrong with the outbox, in one line."""
        return self._problem

    @property
    def newest(self) -> int:
        """The highest sequence number given so far; no alert that waits has a higher one."""
        return self._newest

    def put(self, message: AlertMessage) -> AlertMessage:
        """Give ``message`` the next sequence number and store it durably; return it as stored."""
        now = Stamp(message.time, message.uptime_s, message.clock_synced)
        with self._lock:
            if self._in_memory:
                self._return_to_disk(now)
            numbered = self._run(lambda database: _insert(database, message))
            self._newest = numbered.sequence
            self._bound(now)
            return numbered

    def waiting(self, after: int, limit: int) -> list[Waiting]:
        """The first ``limit`` alerts with a sequence number above ``after``, in order."""
        with self._lock:
            return self._run(lambda database: _select(database, after, limit))

    def delete(self, sequences: Iterable[int]) -> None:
        """Forget alerts that the broker has acknowledged; one commit for all."""
        with self._lock:
            self._run(lambda database: _delete(database, sequences), durable=False)

    def expire(self, now: Stamp) -> None:
        """Give up alerts that are older than the bound; does nothing while the clock cannot be believed."""
        with self._lock:
            self._dropped += self._run(lambda database: _expire(database, now, self._max_age_s))

    def health(self) -> OutboxPart:
        """Depth, size, losses and problem."""
        with self._lock:
            depth, size = self._run(_totals)
            return OutboxPart(depth=depth, bytes=size, dropped=self._dropped, problem=self._problem)

    def close(self) -> None:
        """Close the database; what waits stays in it."""
        with self._lock:
            self._database.close()

    def _bound(self, now: Stamp) -> None:
        given_up = self._run(
            lambda database: _expire(database, now, self._max_age_s) + _squeeze(database, self._max_bytes)
        )
        if given_up:
            _log.warning("outbox full: %d old alerts given up", given_up)
        self._dropped += given_up

    def _run(self, action: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Do ``action`` in one transaction; on a fault of the database change to another one and do it there."""
        try:
            with _transaction(self._database, durable=durable) as database:
                return action(database)
        except sqlite3.DatabaseError as error:
            if not (_is_damage(error) or isinstance(error, sqlite3.OperationalError)):
                raise
            self._database = self._replace(error)
            with _transaction(self._database, durable=durable) as database:
                return action(database)

    def _open(self) -> sqlite3.Connection:
        try:
            return _open_disk(self._path)
        except OSError as error:
            return self._open_memory(error.strerror or str(error))
        except sqlite3.DatabaseError as error:
            return self._set_aside() if _is_damage(error) else self._open_memory(str(error))

    def _replace(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        broken = self._database
        if _is_damage(error):
            broken.close()
            return self._set_aside()
        memory = self._open_memory(str(error))
        with contextlib.suppress(sqlite3.DatabaseError):  # what cannot be read cannot be taken along either
            broken.backup(memory)
        broken.close()
        return memory

    def _set_aside(self) -> sqlite3.Connection:
        """Rename the damaged database (over an older one, so that the disk does not fill) and begin a new one."""
        aside = self._path.with_name(self._path.name + ".damaged")
        try:
            self._path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            database = _open_disk(self._path)
        except (OSError, sqlite3.DatabaseError) as error:
            return self._open_memory(str(error))
        self._say(f"outbox {self._path} was damaged and is set aside as {aside.name}; its alerts may be lost")
        return database

    def _open_memory(self, reason: str) -> sqlite3.Connection:
        self._say(f"outbox {self._path} cannot be used ({reason}); alerts wait in memory only")
        self._retry_at = None  # set by the first put, which knows the time
        self._in_memory = True
        return _prepare(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))

    def _return_to_disk(self, now: Stamp) -> None:
        """While in memory, try the disk again every minute and bring there what waits."""
        if self._retry_at is None:
            self._retry_at = now.uptime_s + RETRY_S
        if now.uptime_s < self._retry_at:
            return
        self._retry_at = now.uptime_s + RETRY_S
        alerts = self._run(lambda database: database.execute("SELECT * FROM alert").fetchall())
        (sequence,) = self._run(lambda database: database.execute("SELECT sequence FROM counter").fetchone())
        try:
            disk = _open_disk(self._path)
            with _transaction(disk):
                disk.execute("DELETE FROM alert")
                disk.executemany("INSERT INTO alert VALUES (?, ?, ?, ?)", alerts)
                disk.execute("UPDATE counter SET sequence = max(sequence, ?)", (sequence,))
        except (OSError, sqlite3.DatabaseError):
            return  # the problem stands and has been said
        self._database.close()
        self._database, self._in_memory, self._problem = disk, False, None
        _log.info("outbox %s can be used again", self._path)

    def _say(self, problem: str) -> None:
        self._problem = problem
        _log.error("%s", problem)


def _open_disk(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        if (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise _DamageError(found)
        return _prepare(database)
    except sqlite3.DatabaseError:
        database.close()
        raise


def _prepare(database: sqlite3.Connection) -> sqlite3.Connection:
    """Create the tables in an empty database; refuse one of another layout.

    Raises:
        sqlite3.DatabaseError: where the database is damaged, foreign or cannot be written.
    """
    with _transaction(database):
        layout = database.execute("PRAGMA user_version").fetchone()[0]
        tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if layout != (LAYOUT_VERSION if tables else 0):
            raise _DamageError(f"layout {layout} instead of {LAYOUT_VERSION}")
        for statement in _LAYOUT:
            database.execute(statement)
        # a write even where the tables are there already: a read-only disk must show now, not at the first alert
        database.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
    return database


@contextmanager
def _transaction(database: sqlite3.Connection, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
    database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # the low byte is the primary result code: https://www.sqlite.org/rescode.html
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, _DamageError) or (code is not None and code & 0xFF in _DAMAGE)


def _raise_counter(database: sqlite3.Connection, now: Stamp) -> int:
    least = int(now.time.timestamp()) if now.clock_synced else 0
    query = "UPDATE counter SET sequence = max(sequence, ?) RETURNING sequence"
    sequence: int = database.execute(query, (least,)).fetchone()[0]
    return sequence


def _insert(database: sqlite3.Connection, message: AlertMessage) -> AlertMessage:
    (sequence,) = database.execute("UPDATE counter SET sequence = sequence + 1 RETURNING sequence").fetchone()
    numbered = message.model_copy(update={"sequence": sequence})
    stored = message.time.timestamp() if message.clock_synced else None
    row = (sequence, numbered.payload(), message.phase is Phase.END, stored)
    database.execute("INSERT INTO alert VALUES (?, ?, ?, ?)", row)
    return numbered


def _select(database: sqlite3.Connection, after: int, limit: int) -> list[Waiting]:
    query = "SELECT sequence, payload FROM alert WHERE sequence > ? ORDER BY sequence LIMIT ?"
    return [Waiting(*row) for row in database.execute(query, (after, limit))]


def _delete(database: sqlite3.Connection, sequences: Iterable[int]) -> None:
    database.executemany("DELETE FROM alert WHERE sequence = ?", [(sequence,) for sequence in sequences])


def _expire(database: sqlite3.Connection, now: Stamp, max_age_s: float) -> int:
    """Delete what is too old, return how many. An alert stored under an unset clock ages from now on."""
    if not now.clock_synced:
        return 0
    time = now.time.timestamp()
    database.execute("UPDATE alert SET stored = ? WHERE stored IS NULL", (time,))
    return database.execute("DELETE FROM alert WHERE stored < ?", (time - max_age_s,)).rowcount


def _squeeze(database: sqlite3.Connection, max_bytes: int) -> int:
    """Delete the oldest ends, then the oldest alerts, until the payloads fit; return how many."""
    excess = _totals(database)[1] - max_bytes
    victims: list[int] = []
    if excess > 0:
        order = "SELECT sequence, length(payload) FROM alert ORDER BY is_end DESC, sequence"
        for sequence, size in database.execute(order):
            victims.append(sequence)
            excess -= size
            if excess <= 0:
                break
    _delete(database, victims)
    return len(victims)


def _totals(database: sqlite3.Connection) -> tuple[int, int]:
    depth, size = database.execute("SELECT count(*), coalesce(sum(length(payload)), 0) FROM alert").fetchone()
    return depth, size
