"""A damaged database is set aside and a new one begun."""

from __future__ import annotations

from pathlib import Path

from edge.mqtt.messages import Topics
from edge.mqtt.outbox.files import beside
from edge.mqtt.outbox.store import Store


def renew(path: Path, owner: Topics, epoch: int) -> tuple[Store, int]:
    """Rename the damaged database, with its log, and begin a new one; return it and how many alerts were lost.

    Raises:
        OSError, sqlite3.Error: the disk does not let it.
    """
    for suffix in ("-wal", ""):
        if beside(path, suffix).exists():
            beside(path, suffix).replace(beside(path, f".damaged{suffix}"))
    beside(path, "-shm").unlink(missing_ok=True)
    return Store.on_disk(path, owner, epoch), 0
