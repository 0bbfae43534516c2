"""Whose outbox it is: two processes that sent the same alerts would send them twice and out of order."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claim(outbox: Path) -> Iterator[bool]:
    """Hold the outbox for the time of the ``with``; yields False where another process holds it.

    The kernel lets go of the lock when the process ends, however it ends. Where no lock file can be made (the folder
    is missing or read-only) there is no outbox on disk to share, and the answer is True.
    """
    try:
        outbox.parent.mkdir(parents=True, exist_ok=True)
        file = outbox.with_name(outbox.name + ".lock").open("ab")
    except OSError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
