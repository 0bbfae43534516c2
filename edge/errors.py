"""Errors that a user can cause or mend. Each message is one line that names the thing and the remedy."""

from __future__ import annotations

import errno
import os

EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_INTERNAL = 70
EXIT_CONFIG = 78


class EvenkeelError(Exception):
    """Base of all errors shown to a user as one line; ``exit_code`` is the process's exit status."""

    exit_code = EXIT_INTERNAL


class UsageError(EvenkeelError):
    """The command line asks for something that cannot be done."""

    exit_code = EXIT_USAGE


class ConfigError(EvenkeelError):
    """The configuration is missing, unreadable or says something that is not allowed."""

    exit_code = EXIT_CONFIG


class ModelError(EvenkeelError):
    """A model or its manifest is missing, damaged or not what this version expects."""

    exit_code = EXIT_CONFIG


class CameraError(EvenkeelError):
    """A frame source cannot be opened or has failed; the service reopens it, ``replay`` gives up."""

    exit_code = EXIT_UNAVAILABLE


class UnavailableError(EvenkeelError):
    """Something else that is needed (a broker, a package) is not there."""

    exit_code = EXIT_UNAVAILABLE


_REMEDIES = {
    errno.EMFILE: "raise the limit: `ulimit -n 1024`, or LimitNOFILE= in the unit",
    errno.ENFILE: "the whole system has too many open; `sysctl fs.file-max` tells how many it may have",
    errno.ENOSPC: "make room, or write elsewhere",
    errno.EDQUOT: "make room, or write elsewhere",
    errno.ENOMEM: "end other programs, or raise MemoryMax= in the unit",
    errno.EACCES: "run this as a user who may, or correct the permissions",
    errno.EROFS: "write elsewhere, or mount it for writing",
}


def of_system(error: OSError) -> str:
    """A fault that the operating system told, in one line with the remedy where one is known."""
    what = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "the system"
    if error.filename is None and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
        what = "the output"  # a file that is opened has a name in its errors, a stream has none
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{what}: {error.strerror or error}{f'; {remedy}' if remedy else ''}"
