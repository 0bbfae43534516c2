"""A file that somebody keeps by hand, changed by a program: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

USUAL_MODE = 0o644


def write_whole(path: Path, text: str) -> None:
    """Put ``text`` in the file's place; its mode and owner stay, and a link still leads to it.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    target = path.resolve()
    status = target.stat() if target.exists() else None
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), USUAL_MODE if status is None else status.st_mode & 0o7777)
            if status is not None and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
