"""The outbox: a bounded queue of alerts on disk, or in memory as long as the disk cannot be used."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from edge.config import Config
from edge.mqtt.messages import AlertMessage, Newest, OutboxPart, Resent, Stamp, Topics
from edge.mqtt.outbox.bounds import expire, prune, squeeze
from edge.mqtt.outbox.carry import carry, copy_waiting
from edge.mqtt.outbox.epochs import next_epoch, read_epoch, write_epoch
from edge.mqtt.outbox.files import beside, outbox_path
from edge.mqtt.outbox.renew import renew
from edge.mqtt.outbox.resend import resend
from edge.mqtt.outbox.rows import Removal, Row, Status, Waiting
from edge.mqtt.outbox.store import LayoutError, Mode, Store, is_damage

_log = logging.getLogger(__name__)

DAY_S = 86400.0
RETRY_S = 60.0
NOTE_S = 600.0
"""The outbox's age is written at least this often; so much of it a restart may forget."""

MEMORY_BYTES = 20_000_000
"""Of what waits on a disk that can only be read, as much is kept in memory at most; the rest waits for the disk."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept and how long: of what waits, and of what the broker has acknowledged.

    Days are counted while the outbox is in use: no clock on the wall can age an alert.
    """

    max_bytes: int = 5_000_000
    max_age_days: float = 7.0
    history_max_bytes: int = 5_000_000
    history_days: float = 7.0


class Outbox:
    """A bounded queue of alerts, each numbered by the outbox without gaps. Safe to use from two threads.

    A database that turns out damaged is renamed to ``<name>.damaged`` and what can be read of it goes into a new one.
    While the disk cannot be used (full, read-only, locked, of a newer version's layout) alerts wait in memory under an
    epoch of their own; what lies on the disk stays there, and they are added behind it when it works again. ``problem``
    says so in one line. No method raises for a fault of the disk.
    """

    def __init__(self, path: Path, owner: Topics, bounds: Bounds, now: Stamp) -> None:
        self._path = path
        self._owner = owner
        self._bounds = bounds
        self._lock = threading.Lock()
        self._dropped = self._lost = 0
        self._problem: str | None = None
        self._began_s = now.uptime_s
        self._lived_s = 0.0
        self._now = now
        self._newest = Newest(0, 0)
        self._retry_at = now.uptime_s + RETRY_S
        # places as they are told go on from one database to the next: each adds what was told before it
        self._told = 0
        self._shift = 0
        self._anew = False  # whether numbers must not go on where the database ends
        disk = self._open()
        self._store, self._on_disk = disk or Store.in_memory(), disk is not None
        self._write(self._begin)

    @classmethod
    def from_config(cls, config: Config, environ: Mapping[str, str], now: Stamp) -> Self:
        """The outbox that the configuration describes."""
        bounds = Bounds(
            max_bytes=config.outbox.max_bytes,
            max_age_days=config.outbox.max_age_days,
            history_max_bytes=config.outbox.history_max_bytes,
            history_days=config.outbox.history_days,
        )
        return cls(outbox_path(config.outbox, environ), Topics(config.mqtt.prefix, config.device.id), bounds, now)

    @property
    def problem(self) -> str | None:
        """What is wrong with the outbox, in one line."""
        return self._problem

    @property
    def newest(self) -> Newest:
        """The newest alert decided: stored on the disk, or in memory as long as there is no disk."""
        return self._newest

    @property
    def newest_place(self) -> int:
        """The highest place given so far; nothing waits behind it."""
        return self._told

    def put(self, message: AlertMessage) -> AlertMessage:
        """Give ``message`` the next number and store it durably; return it as stored."""
        with self._lock:
            self._look(Stamp(message.time, message.uptime_s, message.clock_synced))
            return self._write(lambda store: self._add(store, message))

    def waiting(self, after: int, limit: int) -> list[Waiting]:
        """The first ``limit`` alerts in the queue behind a place, in order."""
        with self._lock:
            return self._run(lambda store: self._waiting(store, after, limit), Mode.READ)

    def delivered(self, places: Iterable[int]) -> None:
        """Move alerts that the broker has acknowledged to the history; one commit for all."""
        known = list(places)
        with self._lock:
            self._run(lambda store: self._settle(store, known, Status.DELIVERED), Mode.LAX)

    def set_aside(self, place: int, reason: str) -> None:
        """Keep an alert that no broker takes, but never send it again."""
        with self._lock:
            _log.error("an alert is set aside and not sent any more: %s", reason)
            self._write(lambda store: self._settle(store, [place], Status.ASIDE, reason))

    def resend(self, epoch: int, first: int, last: int | None) -> Resent | None:
        """Queue a range of an epoch again, up to its newest for None; None while the disk that would tell is away."""
        with self._lock:
            if not self._on_disk and epoch != self._newest.epoch:
                return None
            return self._write(lambda store: self._resend(store, epoch, first, last))

    def expire(self, now: Stamp) -> None:
        """Give up what has been here for too long, and try a disk that could not be used."""
        with self._lock:
            self._look(now)
            self._run(self._expire, Mode.LAX)

    def health(self) -> OutboxPart:
        """Depth, size, losses and problem."""
        with self._lock:
            totals = self._run(Store.totals, Mode.READ)
            return OutboxPart(
                depth=totals.waiting,
                bytes=totals.waiting_bytes,
                dropped=self._dropped,
                lost=self._lost,
                set_aside=totals.set_aside,
                history=totals.history,
                problem=self._problem,
            )

    def close(self) -> None:
        """Close the database; what waits stays in it."""
        with self._lock:
            self._store.close()

    # ---- what is done with a database, each in one transaction ----

    def _begin(self, store: Store) -> None:
        """Go on in a database: with its numbers, or in a new epoch where it is not the newest that was ever used."""
        file = beside(self._path, ".epoch")
        found = store.newest()
        seen = max(self._newest.epoch, read_epoch(file), found.epoch if found else 0)
        if self._anew or not seen or max(self._newest.epoch, found.epoch if found else 0) < seen:
            self._newest = Newest(next_epoch(seen, self._now), 0)
        elif found is not None and found.epoch == seen:
            self._newest = max(found, self._newest)
        self._lived_s = max(self._age_s, store.lived_s())
        self._began_s = self._now.uptime_s
        self._shift = self._told
        self._told = self._shift + store.last_place()
        store.note(self._newest, self._lived_s)
        try:
            if read_epoch(file) != self._newest.epoch:
                write_epoch(file, self._newest.epoch)
        except OSError as error:
            _log.warning("epoch file %s cannot be written: %s", file, error.strerror or error)
        self._anew = False

    def _add(self, store: Store, message: AlertMessage) -> AlertMessage:
        number = Newest(self._newest.epoch, self._newest.sequence + 1)
        numbered = message.model_copy(
            update={
                "device_id": self._owner.device_id,
                "epoch": number.epoch,
                "sequence": number.sequence,
                "resent": False,
            }
        )
        place = self._told + 1
        lived_s = self._age_s
        store.add(Row.of(numbered, prefix=self._owner.prefix, place=place - self._shift, stored_s=lived_s))
        store.note(number, lived_s)
        self._give_up(squeeze(store, self._bounds.max_bytes))
        self._newest, self._told = number, place
        return numbered

    def _waiting(self, store: Store, after: int, limit: int) -> list[Waiting]:
        return [
            Waiting(place + self._shift, row.epoch, row.sequence, row.prefix, row.device_id, row.payload)
            for row in store.rows("place > ? ORDER BY place LIMIT ?", (after - self._shift, limit))
            if (place := row.place) is not None
        ]

    def _settle(self, store: Store, places: list[int], status: Status, note: str = "") -> None:
        for place in places:
            for row in store.rows("place = ?", (place - self._shift,)):
                store.change(row, status=status, place=None, stored_s=self._age_s, note=note)

    def _resend(self, store: Store, epoch: int, first: int, last: int | None) -> Resent:
        answer = resend(store, epoch, first, last, place=self._told - self._shift + 1, stored_s=self._age_s)
        self._told = max(self._told, self._shift + store.last_place())
        return answer

    def _expire(self, store: Store) -> None:
        age_s, bounds = self._age_s, self._bounds
        removed = expire(store, age_s - bounds.max_age_days * DAY_S)
        for removal in prune(store, age_s - bounds.history_days * DAY_S, bounds.history_max_bytes):
            _log.info("no longer kept for sending again: %s", removal)
        self._give_up(removed)
        if age_s - store.lived_s() >= NOTE_S:
            store.note(self._newest, age_s)

    def _give_up(self, removed: list[Removal]) -> None:
        self._dropped += len(removed)
        for removal in removed:
            _log.warning("given up: %s", removal)

    @property
    def _age_s(self) -> float:
        return self._lived_s + max(self._now.uptime_s - self._began_s, 0.0)

    # ---- from one database to another ----

    def _write(self, action: Callable[[Store], T]) -> T:
        return self._run(action, Mode.DURABLE)

    def _run(self, action: Callable[[Store], T], mode: Mode) -> T:
        """Do ``action`` in one transaction; on a fault of the database change to another one and do it there."""
        for change in (self._replace, self._fall_back):
            try:
                with self._store.transaction(mode):
                    return action(self._store)
            except sqlite3.ProgrammingError:
                raise  # our own, not the disk's
            except sqlite3.Error as error:
                change(error)
        with self._store.transaction(mode):
            return action(self._store)

    def _epoch_to_come(self) -> int:
        return next_epoch(max(self._newest.epoch, read_epoch(beside(self._path, ".epoch"))), self._now)

    def _open(self) -> Store | None:
        """The database on the disk; None, with the reason said, where it cannot be used."""
        try:
            return Store.on_disk(self._path, self._owner, self._epoch_to_come())
        except LayoutError as error:
            self._say(
                f"outbox {self._path} is of a newer version ({error}) and is left as it is; alerts wait in memory "
                "only: install that version again, or set outbox.path"
            )
        except OSError as error:
            self._say_memory(error.strerror or str(error))
        except sqlite3.Error as error:
            if is_damage(error):
                return self._renew(error)
            self._say_memory(str(error))
        self._anew = True
        return None

    def _renew(self, error: sqlite3.Error) -> Store | None:
        self._anew = True
        try:
            store, lost = renew(self._path, self._owner, self._epoch_to_come())
        except (OSError, sqlite3.Error) as fault:
            self._say_memory(f"damaged: {error}; {fault}")
            return None
        self._lost += lost
        aside = beside(self._path, ".damaged").name
        self._say(f"outbox {self._path} was damaged and is set aside as {aside}; its alerts may be lost")
        return store

    def _replace(self, error: sqlite3.Error) -> None:
        if not self._on_disk or not is_damage(error):
            self._fall_back(error)
            return
        self._store.close()
        renewed = self._renew(error)
        self._store, self._on_disk = renewed or Store.in_memory(), renewed is not None
        self._change()

    def _fall_back(self, error: sqlite3.Error) -> None:
        """Go on in memory, with what can be read of the queue; what lies on the disk stays there."""
        broken, self._store = self._store, Store.in_memory()
        self._say_memory(str(error))
        with self._store.transaction(Mode.LAX):
            copy_waiting(broken, self._store, min(self._bounds.max_bytes, MEMORY_BYTES))
        broken.close()
        self._on_disk, self._anew = False, True
        self._change()

    def _change(self) -> None:
        self._retry_at = self._now.uptime_s + RETRY_S
        with self._store.transaction(Mode.LAX):
            self._begin(self._store)

    def _look(self, now: Stamp) -> None:
        """Take note of the time; while in memory, try the disk again every minute and bring there what waits."""
        self._now = now
        if self._on_disk or now.uptime_s < self._retry_at:
            return
        self._retry_at = now.uptime_s + RETRY_S
        problem = self._problem
        if (disk := self._open()) is None:
            return
        try:
            with disk.transaction(Mode.DURABLE):
                self._dropped -= carry(self._store, disk)
        except sqlite3.Error:
            disk.close()
            return  # the problem stands and has been said
        memory, self._store, self._on_disk = self._store, disk, True
        memory.close()
        if self._problem == problem:
            self._problem = None
        _log.info("outbox %s can be used again", self._path)
        self._write(self._begin)

    def _say_memory(self, reason: str) -> None:
        self._say(f"outbox {self._path} cannot be used ({reason}); alerts wait in memory only")

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            _log.error("%s", problem)
        self._problem = problem
