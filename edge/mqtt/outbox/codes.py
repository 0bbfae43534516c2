"""SQLite's result codes, by the names and numbers of https://www.sqlite.org/rescode.html."""

from __future__ import annotations

import sys
from enum import IntEnum


class Code(IntEnum):
    """The primary result codes that decide what becomes of an outbox, and the extended ones of bad reads."""

    PERM = 3
    BUSY = 5
    LOCKED = 6
    NOMEM = 7
    READONLY = 8
    INTERRUPT = 9
    IOERR = 10
    CORRUPT = 11
    FULL = 13
    CANTOPEN = 14
    PROTOCOL = 15
    NOLFS = 22
    AUTH = 23
    NOTADB = 26
    IOERR_READ = 10 | 1 << 8
    IOERR_SHORT_READ = 10 | 2 << 8
    IOERR_CORRUPTFS = 10 | 33 << 8


_MESSAGES = {
    "access permission denied": Code.PERM,
    "attempt to write a readonly database": Code.READONLY,
    "authorization denied": Code.AUTH,
    "database disk image is malformed": Code.CORRUPT,
    "database is locked": Code.BUSY,
    "database or disk is full": Code.FULL,
    "database table is locked": Code.LOCKED,
    "disk I/O error": Code.IOERR,
    "file is not a database": Code.NOTADB,
    "interrupted": Code.INTERRUPT,
    "large file support is disabled": Code.NOLFS,
    "locking protocol": Code.PROTOCOL,
    "out of memory": Code.NOMEM,
    "unable to open database file": Code.CANTOPEN,
}
"""What SQLite says of a fault that it tells nothing more of; "database table is locked: alert" names the table too."""


def code_of(error: Exception) -> int | None:
    """The extended result code of SQLite's ``error``; None where the error is not SQLite's, or it gave none.

    Python 3.10 hands out the message alone: there it is the primary code, so a disk whose blocks cannot be read looks
    like one that is out of order for now.
    """
    if sys.version_info >= (3, 11):
        return getattr(error, "sqlite_errorcode", None)
    return by_message(error)


def by_message(error: Exception) -> int | None:
    """The primary result code that SQLite's message tells; None where it tells none."""
    return _MESSAGES.get(str(error).partition(":")[0])
