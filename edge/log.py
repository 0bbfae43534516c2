"""Logs: to stderr, where systemd's journal reads them; no file, nothing personal."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping

from edge.config.secrets import redact

WAITING = 1000
"""Records that wait for their reader at most."""

CLOSE_S = 0.5
"""Longest wait at the end for a reader that does not read."""

_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""Levels as sd-daemon(3) writes them."""

_TOLD_BY_US = {"alembic": logging.WARNING, "kuksa_client": logging.WARNING, "can": logging.CRITICAL}
"""What these libraries do is told in our own words, once; they would say it again with each new try, for ever.
What keeps python-can from a bus is raised too."""


class DiscreetFormatter(logging.Formatter):
    """Leaves passwords and what else opens an address out of every record, whoever wrote it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record without secrets."""
        return redact(super().format(record))


class JournalFormatter(DiscreetFormatter):
    """Puts the journal's priority in front of every line; the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as the journal takes it."""
        prefix = f"<{_PRIORITIES.get(record.levelno, 5)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class BackgroundHandler(logging.Handler):
    """Writes in a thread of its own: whoever logs never waits for who reads the log.

    While nobody reads, ``waiting`` records are kept and newer ones are lost; how many is told once it goes on.
    ``write`` must hold no lock that the end of the process waits for, as ``sys.stderr`` does.
    """

    def __init__(self, write: Callable[[bytes], object], waiting: int = WAITING) -> None:
        super().__init__()
        self._write = write
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(waiting)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take up a record, as it reads now."""
        record.msg, record.args = record.getMessage(), None
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Bring out what waits, for CLOSE_S seconds at most."""
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._records.put(None, timeout=CLOSE_S)
                self._thread.join(CLOSE_S)
        super().close()

    def _run(self) -> None:
        while (record := self._records.get()) is not None:
            try:
                self._write_line(record)
                lost, self._lost = self._lost, 0
                if lost:
                    self._write_line(_lost_record(lost))
            except OSError:  # nobody will ever read again: there is nowhere left to say so
                return

    def _write_line(self, record: logging.LogRecord) -> None:
        self._write(f"{self.format(record)}\n".encode(errors="replace"))


def _lost_record(count: int) -> logging.LogRecord:
    text = f"{count} lines were lost: for a while nobody read the log"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)


def write_stderr(text: bytes) -> None:
    """Write all of it to stderr, past Python's buffer and its lock."""
    with open(2, "wb", buffering=0, closefd=False) as stderr:
        while text:
            text = text[stderr.write(text) or 0 :]


def set_up_logging(level: str, environ: Mapping[str, str] = os.environ, *, background: bool = False) -> None:
    """Log from ``level`` ("debug" to "error") to stderr, in the journal's form where stderr goes there.

    In the ``background``, a journal that hangs holds up nobody.
    """
    handler = BackgroundHandler(write_stderr) if background else logging.StreamHandler()
    if "JOURNAL_STREAM" in environ:
        handler.setFormatter(JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(DiscreetFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in _TOLD_BY_US.items():
        logging.getLogger(name).setLevel(least)
