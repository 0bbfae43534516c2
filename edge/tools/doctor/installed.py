"""How Evenkeel came onto this machine: by install.sh or as a Debian package; remedies go by it."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGED = "/usr/lib/evenkeel"
"""Environment of the Debian package."""

INSTALLERS = "etc/systemd/system"
"""Where install.sh writes units, below the root folder."""

_UNITS = (INSTALLERS, "lib/systemd/system", "usr/lib/systemd/system")
"""Where a unit may lie, below the root folder."""

_INSTALLER = "/opt/evenkeel/current/systemd/install.sh"


def is_packaged(prefix: str = sys.prefix) -> bool:
    """Whether the program that runs is the Debian package's."""
    return prefix == PACKAGED


def has_unit(root: Path, name: str) -> bool:
    """Whether systemd finds a unit of this name below ``root``."""
    return any((root / folder / name).is_file() for folder in _UNITS)


def allow(prefix: str = sys.prefix) -> str:
    """What lets the unit use what the configuration uses."""
    return "`sudo evenkeel-allow`" if is_packaged(prefix) else f"`sudo {_INSTALLER} --allow`"


def add_dashboard(prefix: str = sys.prefix) -> str:
    """What makes the dashboard a service."""
    return (
        "`sudo apt-get install evenkeel-dashboard`"
        if is_packaged(prefix)
        else f"`sudo {_INSTALLER} --allow --dashboard`"
    )
