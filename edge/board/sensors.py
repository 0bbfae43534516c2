"""What the board says of itself. Each answer is None where the board cannot tell."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

SYS = Path("/sys")
_ON_DIE = ("cpu", "soc", "gpu", "pkg")
_THROTTLED_NOW = 0xF
"""Raspberry Pi's get_throttled bits 0 to 3: under-voltage, frequency capped, throttled, soft temperature limit."""
_SYNCED_MAX_ERROR_US = 16_000_000
"""The kernel lets the estimated error of an undisciplined clock grow to 16 s, and systemd calls it unsynced there."""


class _Timex(ctypes.Structure):
    """The head of ``struct timex`` (adjtimex(2)), with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def temperature_c(sys: Path = SYS) -> float | None:
    """The hottest sensor on the processor's die, degrees Celsius.

    Other zones are left out: a Jetson's PMIC zone always says 100.
    """
    found = []
    for zone in (sys / "class/thermal").glob("thermal_zone*"):
        kind, temperature = _read(zone / "type"), _read(zone / "temp")
        if kind and temperature and any(name in kind.lower() for name in _ON_DIE):
            found.append(int(temperature) / 1000.0)
    return max(found, default=None)


def throttled(sys: Path = SYS, vcgencmd: str | None = None) -> bool | None:
    """True while a Raspberry Pi is slowed down by heat or a weak supply.

    Read from the firmware's sysfs node, else from ``vcgencmd`` (default: the one on the path).
    """
    text = _read(sys / "devices/platform/soc/soc:firmware/get_throttled")
    if text is None:
        command = vcgencmd or shutil.which("vcgencmd")
        if command is None:
            return None
        try:
            answer = subprocess.run(  # noqa: S603 - a fixed command without input from outside
                [command, "get_throttled"], capture_output=True, text=True, timeout=1.0, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        text = answer.stdout.strip().removeprefix("throttled=")
    try:
        return bool(int(text, 16) & _THROTTLED_NOW)
    except ValueError:
        return None


def clock_synced(marker: Path = Path("/run/systemd/timesync/synchronized")) -> bool | None:
    """True where a time source has set the wall clock since boot.

    systemd-timesyncd leaves ``marker``; for any other daemon the kernel's own estimate decides, as in ``timedatectl``.
    """
    if marker.exists():
        return True
    timex = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        return None
    return bool(timex.maxerror < _SYNCED_MAX_ERROR_US)


def resident_mb(statm: Path = Path("/proc/self/statm")) -> float | None:
    """Resident memory of this process, in 10^6 bytes."""
    text = _read(statm)
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if text else None


def _read(path: Path) -> str | None:
    """The file's text; None where it is missing or its driver refuses, as an idle sensor's does."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
