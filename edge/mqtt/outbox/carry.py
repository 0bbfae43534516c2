"""Alerts carried from one database to another: into memory when the disk fails, and back behind what lies there."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from edge.mqtt.outbox.rows import Status
from edge.mqtt.outbox.store import Store

_BATCH = 100


def copy_waiting(source: Store, target: Store, max_bytes: int) -> None:
    """Copy the queue as far as it can be read and ``max_bytes`` allow, in order; ``source`` is only read."""
    place = 0
    while True:
        try:
            rows = source.rows("place > ? ORDER BY place LIMIT ?", (place, _BATCH))
        except sqlite3.Error:
            return  # what cannot be read now is still there when the disk works again
        for row in rows:
            if target.totals().waiting_bytes + len(row.payload) > max_bytes:
                return
            target.add(row)
            place = row.place or place
        if not rows:
            return


def carry(memory: Store, disk: Store) -> int:
    """Bring what is in memory to the disk: behind its queue what is new, and what has become of copies.

    Return how many alerts that memory had given up are on the disk still.
    """
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
        restored += len(kept)
        if not kept:
            disk.remember(removal)
    return restored
