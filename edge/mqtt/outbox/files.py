"""Where the outbox lies, and the names of the files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge.config import OutboxConfig
from edge.errors import ConfigError

FILE_NAME = "outbox.db"
FOLDER = "evenkeel"


def outbox_path(config: OutboxConfig, environ: Mapping[str, str]) -> Path:
    """Where the database lies: as configured, else in $STATE_DIRECTORY (systemd), else in the user's state folder.

    Raises:
        ConfigError: none of these is known.
    """
    if config.path is not None:
        return config.path
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / FILE_NAME
    if state := environ.get("XDG_STATE_HOME"):
        return Path(state) / FOLDER / FILE_NAME
    try:
        return Path.home() / ".local" / "state" / FOLDER / FILE_NAME
    except RuntimeError:  # neither $HOME nor an entry in the list of users
        raise ConfigError(
            "outbox.path is not set, and this user has no home to put the outbox into; "
            "set outbox.path, $STATE_DIRECTORY or $HOME"
        ) from None


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to the database at ``path``: ``beside(path, "-wal")``."""
    return path.with_name(path.name + suffix)
