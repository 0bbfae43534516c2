"""Checks of the board and its system: what it is, how warm, what time it believes it is."""

from __future__ import annotations

import platform
import struct
import sys

from edge import __version__
from edge.board import sensors
from edge.config import Config
from edge.tools.doctor.finding import Finding, failed, passed, skipped, warned
from edge.tools.doctor.target import Host, read_text

LITTLE_MEMORY_MB = 200.0
"""The service had 83 MB resident on x86-64; less than this beside everything else is tight."""


def board(host: Host) -> Finding:
    """Which board: the device tree's model, or what the firmware and the processor say."""
    return passed(board_name(host), processor=processor_name(host))


def system(host: Host) -> Finding:
    """Operating system and kernel."""
    text = read_text(host.root / "etc/os-release") or ""
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    name = lines.get("PRETTY_NAME", "").strip('"') or "unknown system"
    return passed(f"{name}, {platform.system()} {platform.release()}", architecture=platform.machine())


def word_size(host: Host) -> Finding:
    """32 or 64 bits: there are no wheels of the TFLite runtime for 32."""
    del host
    bits = struct.calcsize("P") * 8
    text = f"{bits}-bit programs on {platform.machine()}"
    if bits == 64:
        return passed(text, bits=bits)
    return failed(text, "install the 64-bit image of the system; LiteRT has no wheel for 32 bits", bits=bits)


def python(host: Host) -> Finding:
    """The interpreter, and whether it sees the system's packages."""
    del host
    own = sys.prefix != sys.base_prefix
    where = f"virtual environment {sys.prefix}" if own else sys.executable
    return passed(f"Python {platform.python_version()}, evenkeel {__version__}, {where}")


def memory(host: Host) -> Finding:
    """Memory that is free or can be freed."""
    lines = (line.split() for line in (read_text(host.proc / "meminfo") or "").splitlines())
    sizes_mb = {words[0].rstrip(":"): int(words[1]) * 1024 / 1e6 for words in lines if len(words) > 1}
    if "MemAvailable" not in sizes_mb:
        return skipped("not reported by the kernel", "look at `free -h`")
    free_mb = sizes_mb["MemAvailable"]
    text = f"{free_mb:.0f} MB of {sizes_mb['MemTotal']:.0f} MB available"
    if free_mb < LITTLE_MEMORY_MB:
        return warned(text, "stop other programs; a board needs no desktop", available_mb=round(free_mb))
    return passed(text, available_mb=round(free_mb))


def clock(host: Host) -> Finding:
    """Whether the wall clock was set by a time source."""
    synced = sensors.clock_synced(host.root / "run/systemd/timesync/synchronized")
    if synced:
        return passed("synchronised", synced=True)
    return warned(
        "not synchronised: alerts will carry clock_synced = false, and TLS may reject certificates as not yet valid",
        "check `timedatectl`; give the board network time (systemd-timesyncd, chrony), a GPS or a real-time clock",
        synced=synced,
    )


def temperature(host: Host, config: Config) -> Finding:
    """How warm the processor is."""
    now_c = sensors.temperature_c(host.sys)
    if now_c is None:
        return skipped("no readable sensor", temperature_c=None)
    text = f"{now_c:.0f} °C"
    if now_c >= config.heat.hot_c:
        remedy = "give the board better airflow, a heat sink or a fan"
        return warned(f"{text}: the service lowers its frame rate", remedy, temperature_c=now_c)
    return passed(text, temperature_c=now_c)


def throttling(host: Host) -> Finding:
    """Whether the board slows itself down, or has done so since it was started."""
    try:
        found = sensors.throttling(host.sys)
    except sensors.SilentError as error:
        return warned(str(error), "reboot the board; `dmesg` may tell why its firmware does not answer", throttled=None)
    if found is None:
        return skipped("not reported by this board", throttled=None)
    remedy = "use the board's own power supply and a short cable, and improve its cooling"
    if found.now:
        return warned(f"now: {', '.join(found.now)}", remedy, throttled=True)
    if found.since_boot:
        return warned(f"not now, but since boot: {', '.join(found.since_boot)}", remedy, throttled=False)
    return passed("none", throttled=False)


def board_name(host: Host) -> str:
    """The board in words."""
    if model := read_text(host.proc / "device-tree/model"):
        return model
    dmi = host.sys / "class/dmi/id"
    words = (read_text(dmi / "sys_vendor"), read_text(dmi / "product_name"), processor_name(host))
    return ", ".join(word for word in words if word) or "unknown board"


def processor_name(host: Host) -> str:
    """The processor as the kernel names it; empty where it does not, as on most ARM boards."""
    for line in (read_text(host.proc / "cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""
