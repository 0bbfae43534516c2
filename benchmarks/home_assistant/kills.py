"""Device, broker and Home Assistant are killed in every order while alerts come; each must be announced once."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.home_assistant.server import HomeAssistant
from benchmarks.mosquitto import Mosquitto
from benchmarks.world import Device

PACE_S = 2.0
SETTLE_S = 90.0
NAME_AND_TIME = 2
"""Words of the reason that the device gives its alerts (``benchmarks/device.py``)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What automations made of ``decided`` alerts."""

    decided: int
    missing: tuple[str, ...]
    twice: tuple[str, ...]


def kill_in_every_order(home: HomeAssistant, broker: Mosquitto, device: Device) -> None:
    """Each of the orders once: all three killed one after another, then started in the same order, then heard."""
    kills: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "device": (device.kill, device.start),
        "broker": (broker.kill, broker.start),
        "home": (home.kill, home.start),
    }
    for order in itertools.permutations(kills):
        for name in order:
            time.sleep(PACE_S)
            kills[name][0]()
        for name in order:
            time.sleep(PACE_S)
            kills[name][1]()
        heard(home, device)
    device.quieten()


def heard(home: HomeAssistant, device: Device, before: str = "") -> Heard:
    """What was noted, behind the word ``before``, of what was decided, once nothing more comes."""
    end = time.monotonic() + SETTLE_S
    while True:
        lines = [line.removeprefix(before).split() for line in home.ran if line.startswith(before)]
        said = Counter(line[0] for line in lines if len(line) == NAME_AND_TIME)
        decided = device.decisions().stored
        missing = tuple(name for name in decided if name not in said)
        if not missing or time.monotonic() > end:
            return Heard(len(decided), missing, tuple(name for name, count in said.items() if count > 1))
        time.sleep(1.0)
