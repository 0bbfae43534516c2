"""What the board says of itself. Each answer is None where the board cannot tell."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
_ON_DIE = ("cpu", "soc", "gpu", "pkg")
_THROTTLE_BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""Raspberry Pi's get_throttled: bits 0 to 3 say what is so now, bits 16 to 19 what has been so since boot."""
_SINCE_BOOT_SHIFT = 16
ANSWER_S = 1.0
"""Longest wait for a program that is asked."""

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


@dataclass(frozen=True, slots=True)
class Board:
    """Which board this is; None where it does not tell."""

    model: str | None = None
    serial: str | None = None


def read_board(sys: Path = SYS) -> Board:
    """What the firmware's device tree says of this board; a PC has none."""
    tree = sys / "firmware/devicetree/base"
    model, serial = (_read(tree / name) for name in ("model", "serial-number"))
    return Board(_property(model), _property(serial))


@dataclass(frozen=True, slots=True)
class Throttling:
    """Why the board slows itself down: ``now``, and at any time ``since_boot`` where the board remembers."""

    now: tuple[str, ...]
    since_boot: tuple[str, ...] = ()


class SilentError(Exception):
    """A program that knows has not answered in time; the message names it."""


def throttling(sys: Path = SYS, vcgencmd: str | None = None, answer_s: float = ANSWER_S) -> Throttling | None:
    """What a Raspberry Pi's firmware says, else what the kernel's cooling of the processor does.

    The firmware is asked by its sysfs node, else by ``vcgencmd`` (default: the one on the path).

    Raises:
        SilentError: ``vcgencmd`` has not answered within ``answer_s`` seconds.
    """
    # the device tree may put the address into the bus's name, as in soc@107c000000
    node = next((sys / "devices/platform").glob("soc*/soc*:firmware/get_throttled"), None)
    text = (_read(node) if node else None) or _ask_vcgencmd(vcgencmd, answer_s)
    try:
        word = int(text or "", 16)
    except ValueError:
        return _cooling(sys)
    return Throttling(_throttle_words(word), _throttle_words(word >> _SINCE_BOOT_SHIFT))


def throttled(sys: Path = SYS, vcgencmd: str | None = None) -> bool | None:
    """True while the board is slowed down by heat or a weak supply; raises as ``throttling`` does."""
    found = throttling(sys, vcgencmd)
    return None if found is None else bool(found.now)


@dataclass(frozen=True, slots=True)
class Heat:
    """How warm the board is, and whether it slows itself down; None where it cannot tell, for a ``fault`` if any."""

    temperature_c: float | None
    throttled: bool | None
    fault: str | None = None


def read_heat(sys: Path = SYS, vcgencmd: str | None = None) -> Heat:
    """This board's heat now."""
    warmth_c = temperature_c(sys)
    try:
        return Heat(warmth_c, throttled(sys, vcgencmd))
    except SilentError as error:
        return Heat(warmth_c, None, str(error))


def clock_synced(marker: Path = Path("/run/systemd/timesync/synchronized")) -> bool | None:
    """True where a time source has set the wall clock since boot.

    systemd-timesyncd leaves ``marker``; for any other daemon the kernel's own estimate decides, as in ``timedatectl``.
    """
    if marker.exists():
        return True
    timex = _Timex()
    if _libc().adjtimex(ctypes.byref(timex)) < 0:
        return None
    return bool(timex.maxerror < _SYNCED_MAX_ERROR_US)


def resident_mb(statm: Path = Path("/proc/self/statm")) -> float | None:
    """Resident memory of this process, in 10^6 bytes."""
    text = _read(statm)
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if text else None


@functools.cache  # each CDLL is a new class, which only the garbage collector can take away
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _property(text: str | None) -> str | None:
    """A device tree's text, which ends in a zero."""
    return ((text or "").strip("\0 \n")) or None


def _throttle_words(word: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(_THROTTLE_BITS) if word >> bit & 1)


def _ask_vcgencmd(vcgencmd: str | None, answer_s: float) -> str | None:
    command = vcgencmd or shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed command without input from outside
            [command, "get_throttled"], capture_output=True, text=True, timeout=answer_s, check=True
        )
    except subprocess.TimeoutExpired:
        raise SilentError("`vcgencmd get_throttled` does not answer: throttling is unknown") from None
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().removeprefix("throttled=")


def _cooling(sys: Path) -> Throttling | None:
    """Whether the kernel holds the processor's frequency down, by its cooling devices ('cpufreq' in their type).

    https://docs.kernel.org/driver-api/thermal/sysfs-api.html: a ``cur_state`` of 0 is no cooling.
    """
    states = [
        state
        for device in (sys / "class/thermal").glob("cooling_device*")
        if "cpufreq" in (_read(device / "type") or "") and (state := _read(device / "cur_state"))
    ]
    if not states:
        return None
    return Throttling(("frequency capped",) if any(state != "0" for state in states) else ())


def _read(path: Path) -> str | None:
    """The file's text; None where it is missing or its driver refuses, as an idle sensor's does."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
