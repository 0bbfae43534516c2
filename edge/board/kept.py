"""A small file that is kept over a restart, and that the service can do without."""

from __future__ import annotations

import logging
from pathlib import Path


class KeptFile:
    """Reads and replaces one file. A fault of the disk is logged once by ``log``, with ``lost``: what it costs."""

    def __init__(self, path: Path, log: logging.Logger, lost: str) -> None:
        self.path = path
        self._log = log
        self._lost = lost
        self._faulty = False

    def read(self) -> bytes | None:
        """All of it; None where there is no such file or it cannot be read."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None

    def replace(self, text: str) -> None:
        """Put ``text`` in its place; a power cut leaves the old one or the new one."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self.path)
        except OSError as error:
            self._warn(error)

    def clear(self) -> None:
        """Keep nothing."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._faulty:
            self._log.warning("%s: %s; %s", self.path, error.strerror, self._lost)
        self._faulty = True
