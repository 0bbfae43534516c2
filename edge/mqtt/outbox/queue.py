"""The outbox: a bounded queue of alerts on disk, or in memory as long as the disk cannot be used."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge.compat import Self
from edge.config import Config
from edge.domain import Stamp
from edge.mqtt.messages import AlertMessage, Newest, OutboxPart, Resent, Topics
from edge.mqtt.outbox.bounds import expire, prune, squeeze
from edge.mqtt.outbox.carry import carry, copy_queue, copy_rows, drop_untold
from edge.mqtt.outbox.epochs import Witness, next_epoch
from edge.mqtt.outbox.files import beside, outbox_path
from edge.mqtt.outbox.renew import DAMAGED, finish, renew
from edge.mqtt.outbox.resend import resend
from edge.mqtt.outbox.rows import Counter, Removal, Row, Status, Waiting
from edge.mqtt.outbox.salvage import salvage
from edge.mqtt.outbox.store import FAULTS, LayoutError, Mode, Store, is_damage

_log = logging.getLogger(__name__)

DAY_S = 86400.0
RETRY_S = 60.0
BUSY_S = 1.0
"""Longest wait for another process that writes to the database."""

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

    def __init__(self, path: Path, owner: Topics, bounds: Bounds, now: Stamp, *, busy_s: float = BUSY_S) -> None:
        self._path = path
        self._owner = owner
        self._bounds = bounds
        self._busy_s = busy_s
        self._lock = threading.Lock()
        self._witness = Witness(beside(path, ".epoch"))
        self._now = now
        self._began_s = now.uptime_s
        self._lived_s = 0.0
        self._dropped = self._lost = 0
        self._problem: str | None = None
        self._retry_at = now.uptime_s + RETRY_S
        self._newest = Newest(0, 0)
        self._newest_on_disk = self._newest
        self._anew = False  # whether numbers must not go on where the database ends
        self._offered = 0  # the epoch under which alerts of an older layout were to be numbered
        self._unreadable = False  # whether the file is of a layout that this version does not know
        # places as they are told go on from one database to the next: each adds what was told before it
        self._told = self._shift = 0
        disk = self._open()
        self._store, self._on_disk = disk or self._memory(), disk is not None
        self._run(self._begin, Mode.DURABLE)

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
            numbered, place, removed = self._run(lambda store: self._add(store, message), Mode.DURABLE)
            self._newest, self._told = Newest(numbered.epoch, numbered.sequence), place
            self._witness.tell(self._newest)
            self._give_up(removed)
            return numbered

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
            _log.error("an alert is set aside and will not be sent: %s", reason)
            self._run(lambda store: self._settle(store, [place], Status.ASIDE, reason), Mode.DURABLE)

    def resend(self, epoch: int, first: int, last: int | None) -> Resent | None:
        """Queue a range of an epoch again, up to its newest for None; None while the disk that would tell is away."""
        with self._lock:
            if not self._on_disk and epoch != self._newest.epoch:
                return None
            resent, told = self._run(lambda store: self._resend(store, epoch, first, last), Mode.DURABLE)
            self._told = told
            return resent

    def expire(self, now: Stamp) -> None:
        """Give up what has been here for too long, and try a disk that could not be used."""
        with self._lock:
            self._look(now)
            removed, pruned = self._run(self._expire, Mode.LAX)
            self._give_up(removed)
            for removal in pruned:
                _log.info("no longer kept for resending: %s", removal)

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
            self._witness.close()

    # ---- what is done with a database, each in one transaction that may be done again in another one ----

    def _begin(self, store: Store) -> None:
        """Go on in a database: with its numbers, or in a new epoch where these are not the newest that were used."""
        counter, witness = store.counter(), self._witness.read()
        found = Newest(counter.epoch, counter.sequence) if counter else Newest(0, 0)
        seen = max(self._newest.epoch, witness.epoch, found.epoch)
        if self._anew or max(self._newest.epoch, found.epoch) < seen or not seen:
            newest = Newest(next_epoch(seen, self._now), 0)
        elif self._newest.epoch < seen != self._offered and not (seen == witness.epoch and found >= witness):
            # nobody vouches for the database: its newest alerts may be lost, and their numbers are taken
            lost = max(witness.sequence - found.sequence, 0) if found.epoch == witness.epoch else 0
            if lost:
                self._lost += lost
                _log.error("outbox %s: the disk has lost its %d newest alerts", self._path, lost)
            newest = Newest(next_epoch(seen, self._now), 0)
        elif counter and counter.owner != self._owner.name:
            # the numbers of each device begin at 1
            newest = Newest(next_epoch(seen, self._now), 0)
        else:
            newest = max(self._newest, found)
        lived_s = max(self._age_s, counter.lived_s if counter else 0.0)
        store.count(Counter(newest.epoch, newest.sequence, lived_s, self._owner.name))
        last = store.last_place()
        self._newest, self._anew = newest, False
        self._lived_s, self._began_s = lived_s, self._now.uptime_s
        self._shift = self._told
        self._told += last
        try:
            self._witness.begin(newest)
        except OSError as error:
            _log.warning("epoch %d cannot be written beside the outbox: %s", newest.epoch, error.strerror or error)

    def _add(self, store: Store, message: AlertMessage) -> tuple[AlertMessage, int, list[Removal]]:
        given = {
            "device_id": self._owner.device_id,
            "epoch": self._newest.epoch,
            "sequence": self._newest.sequence + 1,
            "resent": False,
        }
        numbered, place, age_s = message.model_copy(update=given), self._told + 1, self._age_s
        store.add(Row.of(numbered, prefix=self._owner.prefix, place=place - self._shift, stored_s=age_s))
        store.count(Counter(numbered.epoch, numbered.sequence, age_s, self._owner.name))
        return numbered, place, squeeze(store, self._bounds.max_bytes)

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

    def _resend(self, store: Store, epoch: int, first: int, last: int | None) -> tuple[Resent, int]:
        answer = resend(store, epoch, first, last, place=self._told - self._shift + 1, stored_s=self._age_s)
        return answer, max(self._told, self._shift + store.last_place())

    def _expire(self, store: Store) -> tuple[list[Removal], list[Removal]]:
        age_s, bounds = self._age_s, self._bounds
        counter = store.counter()
        if counter is None or age_s - counter.lived_s >= NOTE_S:
            store.count(Counter(self._newest.epoch, self._newest.sequence, age_s, self._owner.name))
        return (
            expire(store, age_s - bounds.max_age_days * DAY_S),
            prune(store, age_s - bounds.history_days * DAY_S, bounds.history_max_bytes),
        )

    def _give_up(self, removed: list[Removal]) -> None:
        self._dropped += len(removed)
        for removal in removed:
            _log.warning("given up: %s", removal)

    @property
    def _age_s(self) -> float:
        """How long the outbox has been in use, over all starts."""
        return self._lived_s + max(self._now.uptime_s - self._began_s, 0.0)

    # ---- from one database to another ----

    def _run(self, action: Callable[[Store], T], mode: Mode) -> T:
        """Do ``action`` in one transaction; on a fault of the database change to another one and do it there."""
        for change in (self._replace, self._fall_back):
            try:
                with self._store.transaction(mode):
                    return action(self._store)
            except sqlite3.ProgrammingError:
                raise  # our own, not the disk's
            except FAULTS as error:
                change(error)
        with self._store.transaction(mode):
            return action(self._store)

    def _open(self) -> Store | None:
        """The database on the disk; None, with the reason said, where it cannot be used."""
        self._unreadable = False
        try:
            finish(self._path)
            return Store.on_disk(self._path, self._owner, self._offer(), busy_s=self._busy_s)
        except LayoutError as error:
            self._unreadable = True
            self._say(
                f"outbox {self._path} is of a newer version ({error}) and is left as it is; alerts wait in memory "
                "only: install that version again, or set outbox.path"
            )
        except OSError as error:
            self._say_memory(error.strerror or str(error))
        except FAULTS as error:
            if is_damage(error):
                return self._renew(error)
            self._say_memory(str(error))
        self._anew = True
        return None

    def _renew(self, error: Exception) -> Store | None:
        """A new database in the place of a damaged one, with what can be read of that."""
        self._anew = True
        witness = self._witness.read()
        try:
            finds = renew(self._path, self._owner, self._offer())
            store = Store.on_disk(self._path, self._owner, self._offer(), busy_s=self._busy_s)
        except (OSError, *FAULTS) as fault:
            self._say_memory(f"damaged: {error}; {fault}")
            return None
        if witness.epoch in finds.epochs:
            finds.counters.append(Counter(witness.epoch, witness.sequence, 0.0, self._owner.name))
        lost = finds.lost()
        self._lost += lost
        self._say(
            f"outbox {self._path} was damaged ({error}) and is kept as {beside(self._path, DAMAGED).name}; "
            f"{len(finds.rows)} alerts were read from it, {lost} are lost"
        )
        return store

    def _replace(self, error: Exception) -> None:
        if not self._on_disk or not is_damage(error):
            self._fall_back(error)
            return
        self._close_store()
        self._newest_on_disk = self._newest
        renewed = self._renew(error)
        self._store, self._on_disk = renewed or self._memory(), renewed is not None
        self._change()

    def _fall_back(self, error: Exception) -> None:
        """Go on in memory, with what can be read of the queue; what lies on the disk stays there."""
        self._say_memory(str(error))
        if self._on_disk:
            self._newest_on_disk = self._newest
        memory = Store.in_memory()
        with memory.transaction(Mode.LAX):
            copy_queue(self._store, memory, self._newest_on_disk, self._memory_bytes)
        self._close_store()
        self._store, self._on_disk, self._anew = memory, False, True
        self._change()

    def _memory(self) -> Store:
        """A database in memory with what waits on a disk that can be read, but not used.

        Alerts of layout 1 have no number yet and stay where they are.
        """
        memory = Store.in_memory()
        if self._unreadable:
            return memory
        try:
            waiting = salvage(self._path, self._owner, None).in_order()
        except OSError:
            return memory  # there is nothing, or it cannot be read: that has been said
        with memory.transaction(Mode.LAX):
            copy_rows(waiting, memory, self._newest_on_disk, self._memory_bytes)
        return memory

    def _change(self) -> None:
        """Begin in the database that has taken the place of another; where that fails too, in memory."""
        self._retry_at = self._now.uptime_s + RETRY_S
        try:
            with self._store.transaction(Mode.LAX):
                drop_untold(self._store, self._newest_on_disk)
                self._begin(self._store)
        except FAULTS as error:
            if not self._on_disk:
                raise
            self._fall_back(error)

    def _look(self, now: Stamp) -> None:
        """Take note of the time; while in memory, try the disk again every minute and bring there what waits."""
        self._now = now
        if self._on_disk or now.uptime_s < self._retry_at:
            return
        self._retry_at = now.uptime_s + RETRY_S
        was = self._problem
        if (disk := self._open()) is None:
            return
        try:
            with disk.transaction(Mode.DURABLE):
                restored = carry(self._store, disk, self._newest_on_disk)
        except FAULTS as error:
            disk.close()
            self._say_memory(str(error))
            return
        self._dropped -= restored
        if self._problem == was:
            self._problem = None
        self._close_store()
        self._store, self._on_disk, self._anew = disk, True, False
        _log.info("outbox %s is usable again", self._path)
        self._run(self._begin, Mode.DURABLE)

    @property
    def _memory_bytes(self) -> int:
        return min(self._bounds.max_bytes, MEMORY_BYTES)

    def _offer(self) -> int:
        self._offered = next_epoch(max(self._newest.epoch, self._witness.read().epoch), self._now)
        return self._offered

    def _close_store(self) -> None:
        with contextlib.suppress(*FAULTS):  # a broken one has nothing left to say
            self._store.close()

    def _say_memory(self, reason: str) -> None:
        self._say(f"outbox {self._path} cannot be used ({reason}); alerts wait in memory only")

    def _say(self, problem: str) -> None:
        problem = " ".join(problem.split())  # SQLite tells some faults in several lines
        if problem != self._problem:
            _log.error("%s", problem)
        self._problem = problem
