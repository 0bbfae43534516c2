"""What the outbox holds: rows that bear their own checksum, and what is remembered of numbers that are gone."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from edge.compat import Self
from edge.domain import Phase
from edge.mqtt.messages import AlertMessage

COLUMNS = (
    "epoch, sequence, status, place, resent, stored_s, is_end, note, prefix, device_id, "
    "payload_checksum, payload, checksum"
)

EXPIRED, SQUEEZED, ASIDE, HISTORY, UNKNOWN = "expired", "squeezed", "set aside", "history", "unknown"
REASONS = (EXPIRED, SQUEEZED, ASIDE, HISTORY)
"""Why numbers are gone that the outbox remembers."""


class DamageError(sqlite3.DatabaseError):
    """The file is a database, but not a whole one or not ours."""


class Status(IntEnum):
    """What has become of an alert."""

    WAITING = 0
    DELIVERED = 1
    ASIDE = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    """One alert in the queue. ``place`` rises from one to the next, and its topic is that of the device it is of."""

    place: int
    epoch: int
    sequence: int
    prefix: str
    device_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One alert as the database holds it.

    ``stored_s`` is the age of the outbox when it took its status; ``note`` tells why it was set aside.
    """

    epoch: int
    sequence: int
    status: Status
    place: int | None
    resent: bool
    stored_s: float
    is_end: bool
    note: str
    prefix: str
    device_id: str
    payload: bytes

    @property
    def checksum(self) -> int:
        """Of everything but the place. Where it fails, ``payload_checksum`` tells whether the payload is whole."""
        numbers = f"{self.epoch} {self.sequence} {self.status:d} {self.resent:d} {self.stored_s!r} {self.is_end:d}"
        head = f"{numbers} {self.note}\n{self.prefix}/{self.device_id}\n"
        return zlib.crc32(self.payload, zlib.crc32(head.encode()))

    @property
    def payload_checksum(self) -> int:
        """Of the payload alone, which tells the alert's number and its device."""
        return zlib.crc32(self.payload)

    @classmethod
    def of(cls, message: AlertMessage, *, prefix: str, place: int | None, stored_s: float) -> Self:
        """A numbered message, waiting."""
        return cls(
            message.epoch,
            message.sequence,
            Status.WAITING,
            place,
            message.resent,
            stored_s,
            message.phase is Phase.END,
            "",
            prefix,
            message.device_id,
            message.payload(),
        )


@dataclass(frozen=True, slots=True)
class Counter:
    """The last number given, to which device, and how long the outbox has been in use by then, seconds."""

    epoch: int
    sequence: int
    lived_s: float
    owner: str

    @property
    def checksum(self) -> int:
        """Of all of it."""
        return zlib.crc32(f"{self.epoch} {self.sequence} {self.lived_s!r} {self.owner}".encode())


@dataclass(frozen=True, slots=True)
class Removal:
    """Numbers given up, and why."""

    epoch: int
    first: int
    last: int
    reason: str

    def __str__(self) -> str:
        which = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"alert {which} of epoch {self.epoch} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Totals:
    """How many alerts wait and are kept besides, and their bytes."""

    waiting: int = 0
    waiting_bytes: int = 0
    history: int = 0
    set_aside: int = 0
    kept_bytes: int = 0


def checked_row(found: tuple[Any, ...]) -> Row:
    """The row that the database gave for COLUMNS.

    Raises:
        DamageError: it is not what was written.
    """
    epoch, sequence, status, place, resent, stored_s, is_end = found[:7]
    note, prefix, device_id, payload_checksum, payload, checksum = found[7:]
    try:
        flags = bool(resent), stored_s, bool(is_end)
        row = Row(epoch, sequence, Status(status), place, *flags, note, prefix, device_id, payload)
        whole = row.checksum == checksum and row.payload_checksum == payload_checksum
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise DamageError(f"alert {sequence} of epoch {epoch} is not what was written")
    return row


def values(row: Row) -> tuple[object, ...]:
    """What the database takes for COLUMNS."""
    return (
        row.epoch,
        row.sequence,
        int(row.status),
        row.place,
        int(row.resent),
        row.stored_s,
        int(row.is_end),
        row.note,
        row.prefix,
        row.device_id,
        row.payload_checksum,
        row.payload,
        row.checksum,
    )
