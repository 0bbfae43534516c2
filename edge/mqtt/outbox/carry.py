"""Alerts carried from one database to another: into memory when the disk fails, and back behind what lies there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from edge.mqtt.messages import Newest
from edge.mqtt.outbox.rows import HISTORY, Row, Status
from edge.mqtt.outbox.store import FAULTS, Store

_BATCH = 100


def copy_queue(source: Store, memory: Store, told: Newest, max_bytes: int) -> None:
    """Copy the queue as far as it can be read and ``max_bytes`` allow, in order; ``source`` is only read."""
    copy_rows(_queue(source), memory, told, max_bytes)


def copy_rows(rows: Iterable[Row], memory: Store, told: Newest, max_bytes: int) -> None:
    """Copy those of the rows that wait, as far as ``max_bytes`` allow, but none behind the newest number ``told``."""
    for row in rows:
        if row.status is not Status.WAITING or (row.epoch == told.epoch and row.sequence > told.sequence):
            continue
        if memory.totals().waiting_bytes + len(row.payload) > max_bytes:
            return
        memory.add(row)


def _queue(source: Store) -> Iterator[Row]:
    place = 0
    while True:
        try:
            rows = source.rows("place > ? ORDER BY place LIMIT ?", (place, _BATCH))
        except FAULTS:
            return  # what cannot be read now is still there when the disk works again
        if not rows:
            return
        yield from rows
        place = rows[-1].place or place


def carry(memory: Store, disk: Store, told: Newest) -> int:
    """Bring what is in memory to the disk: behind its queue what is new, and what has become of copies.

    ``told`` is the newest number that was decided on the disk. Return how many alerts that memory had given up are on
    the disk still.
    """
    drop_untold(disk, told)
    place = disk.last_place()
    for row in memory.rows("1 ORDER BY place IS NULL, place, id"):
        there = disk.rows("epoch = ? AND sequence = ?", (row.epoch, row.sequence))
        if not there:
            place += row.status is Status.WAITING
            disk.add(replace(row, place=place if row.status is Status.WAITING else None))
        elif there[0].status is Status.WAITING and row.status is not Status.WAITING:
            disk.change(there[0], status=row.status, place=None, note=row.note)
    restored = 0
    for removal in memory.gone():
        kept = disk.rows("epoch = ? AND sequence BETWEEN ? AND ?", (removal.epoch, removal.first, removal.last))
        if not kept:
            disk.remember(removal)
        elif removal.reason != HISTORY:
            restored += len(kept)
        else:
            for row in kept:
                disk.change(row, status=Status.DELIVERED, place=None)
    return restored


def drop_untold(disk: Store, told: Newest) -> None:
    """Drop what lies behind the newest number decided on the disk.

    It came of a commit that failed and reached the disk nevertheless: that alert has been given another number.
    """
    for row in disk.rows("epoch = ? AND sequence > ?", (told.epoch, told.sequence)):
        disk.forget(row)
    counter = disk.counter()
    if counter is not None and counter.epoch == told.epoch:
        disk.count(replace(counter, sequence=told.sequence))
