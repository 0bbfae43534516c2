"""Epochs: the numbers that order one outbox of a device after the one before it.

An epoch is made of the Unix time and random bits, and is always higher than any that the device remembers. It is kept
in the database and in a small file beside it, so that losing either does not lose the order.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import zlib
from pathlib import Path
from typing import BinaryIO

from edge.domain import Stamp
from edge.mqtt.messages import MAX_EPOCH, Newest

RANDOM_BITS = 20
HIGHEST_EPOCH = MAX_EPOCH - 2**33
"""What lies above was never made here and would leave no room for the next."""


def next_epoch(seen: int, now: Stamp) -> int:
    """An epoch above ``seen`` (0: none), from the wall clock where that gives one, whether it is right or not."""
    chance = secrets.randbelow(2**RANDOM_BITS)
    seconds = min(max(int(now.time.timestamp()), 0), HIGHEST_EPOCH >> RANDOM_BITS)
    return max((seconds << RANDOM_BITS) | chance, seen + 1 + chance, 1)


class Witness:
    """The file beside the database that bears witness to the newest number given.

    A new epoch is written in one step that survives a power cut. Within an epoch the number is overwritten in place and
    not synced: it costs next to nothing, and tells at the next start when the database has lost its newest alerts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def read(self) -> Newest:
        """The number in the file; 0 of epoch 0 where there is none that can be read."""
        try:
            line = self._path.read_bytes()
            epoch, sequence = (int(word) for word in line.split()[:2])
        except (OSError, ValueError):
            return Newest(0, 0)
        found = Newest(epoch, sequence)
        return found if line == _line(found) else Newest(0, 0)

    def begin(self, newest: Newest) -> None:
        """Replace the file in one step.

        Raises:
            OSError: the disk does not take it; the file is as it was.
        """
        self.close()
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.write(_line(newest))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        sync_folder(self._path.parent)
        self._file = self._path.open("r+b", buffering=0)

    def tell(self, newest: Newest) -> None:
        """Overwrite the number; a disk that does not take it leaves an older one, which is no less true."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._file.fileno(), _line(newest), 0)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(newest: Newest) -> bytes:
    """Always as long, so that one line overwrites another, and with a checksum."""
    numbers = f"{newest.epoch:>16} {newest.sequence:>16}"
    return f"{numbers} {zlib.crc32(numbers.encode()):>10}\n".encode()


def sync_folder(folder: Path) -> None:
    """Have the disk hold the names in ``folder``."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
