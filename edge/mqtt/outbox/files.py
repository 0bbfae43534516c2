"""Where the outbox lies, and the names of the files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge.config import OutboxConfig

FILE_NAME = "outbox.db"


def outbox_path(config: OutboxConfig, environ: Mapping[str, str]) -> Path:
    """Where the database lies: as configured, else in $STATE_DIRECTORY (systemd), else in the user's state folder."""
    if config.path is not None:
        return config.path
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / FILE_NAME
    home = environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "evenkeel" / FILE_NAME


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to the database at ``path``: ``beside(path, "-wal")``."""
    return path.with_name(path.name + suffix)
