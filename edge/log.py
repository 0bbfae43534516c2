"""Logs: to stderr, where systemd's journal reads them; no file, nothing personal."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from edge.config.secrets import redact

_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""Levels as sd-daemon(3) writes them."""


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


def set_up_logging(level: str, environ: Mapping[str, str] = os.environ) -> None:
    """Log from ``level`` ("debug" to "error") to stderr, in the journal's form where stderr goes there."""
    handler = logging.StreamHandler()
    if "JOURNAL_STREAM" in environ:
        handler.setFormatter(JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(DiscreetFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # what it does is told in our own words
