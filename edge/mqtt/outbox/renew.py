"""A damaged database is replaced by a new one that holds what can be read of it; the old one is kept beside it.

Every step leaves a whole set of files behind: the new database is built under another name, and what replaces the
damaged one is a single rename. A power cut in between is made good at the next start by ``finish``.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

from edge.mqtt.messages import Topics
from edge.mqtt.outbox.epochs import sync_folder
from edge.mqtt.outbox.files import beside
from edge.mqtt.outbox.salvage import Finds, salvage
from edge.mqtt.outbox.store import Store

DAMAGED, DAMAGED_BEFORE = ".damaged", ".damaged.before"
_BUILDING, _BUILT = ".building", ".built"
_LOGS = ("-wal", "-shm")


def renew(path: Path, owner: Topics, epoch: int) -> Finds:
    """Put a new database in the place of the damaged one; return what was found in that.

    Raises:
        OSError, sqlite3.Error: the disk does not let it; the damaged database is where it was.
    """
    building = beside(path, _BUILDING)
    for suffix in ("", "-journal", *_LOGS):
        beside(building, suffix).unlink(missing_ok=True)
    _find_room(building, path.stat().st_size)
    finds = salvage(path, owner, epoch)
    with closing(Store.built(building)) as store:
        store.fill(finds.in_order(), finds.gone, finds.lived_s, owner.name)
    _keep_damaged(path)
    building.replace(beside(path, _BUILT))
    finish(path)
    return finds


def finish(path: Path) -> None:
    """Bring a new database that is complete to its place; nothing happens where there is none.

    Raises:
        OSError: the disk does not let it.
    """
    built = beside(path, _BUILT)
    if not built.exists():
        return
    for suffix in _LOGS:
        beside(path, suffix).unlink(missing_ok=True)
    sync_folder(path.parent)
    built.replace(path)
    sync_folder(path.parent)


def _find_room(building: Path, size: int) -> None:
    """Fail at once where the disk has no room, before a large file is read."""
    with building.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(size, 1))
    building.unlink()


def _keep_damaged(path: Path) -> None:
    """Keep the database and its log under other names, and those of the time before under yet others."""
    for suffix in ("", "-wal"):
        kept, before = beside(path, DAMAGED + suffix), beside(path, DAMAGED_BEFORE + suffix)
        before.unlink(missing_ok=True)
        if kept.exists():
            kept.replace(before)
        if not beside(path, suffix).exists():
            continue
        try:
            os.link(beside(path, suffix), kept)
        except OSError:  # a file system without links
            shutil.copyfile(beside(path, suffix), kept)
    sync_folder(path.parent)
