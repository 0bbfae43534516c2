"""Errors that a user can cause or mend. Each message is one line that names the thing and the remedy."""

from __future__ import annotations

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
