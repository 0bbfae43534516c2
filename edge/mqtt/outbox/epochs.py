"""Epochs: the numbers that order one outbox of a device after the one before it.

An epoch is made of the Unix time and random bits, and is always higher than any that the device remembers. It is kept
in the database and in a small file beside it, so that losing either does not lose the order.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path

from edge.mqtt.messages import MAX_EPOCH, Stamp

_log = logging.getLogger(__name__)

RANDOM_BITS = 20
HIGHEST_EPOCH = MAX_EPOCH - 2**33
"""What lies above was never made here and would leave no room for the next."""


def next_epoch(seen: int, now: Stamp) -> int:
    """An epoch above ``seen`` (0: none), from the wall clock where that gives one, whether it is right or not."""
    chance = secrets.randbelow(2**RANDOM_BITS)
    seconds = min(max(int(now.time.timestamp()), 0), HIGHEST_EPOCH >> RANDOM_BITS)
    return max((seconds << RANDOM_BITS) | chance, seen + 1 + chance, 1)


def read_epoch(path: Path) -> int:
    """The epoch that the file holds; 0 where there is none that can be read."""
    try:
        found = json.loads(path.read_text())["epoch"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return found if type(found) is int and 1 <= found <= HIGHEST_EPOCH else 0


def write_epoch(path: Path, epoch: int) -> None:
    """Replace the file in one step that survives a power cut.

    Raises:
        OSError: the disk does not take it; the file is as it was.
    """
    new = path.with_name(path.name + ".new")
    with new.open("w") as file:
        file.write(json.dumps({"epoch": epoch}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk hold the names in ``folder``."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
