"""What breaks, when, and for how long: drawn from a seed, so that a run can repeat its faults."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge.compat import StrEnum


class What(StrEnum):
    """A kind of fault, as the tables name it."""

    BROKER = "broker killed"
    DEVICE = "device killed"
    COLLECTOR = "collector killed"
    CUT = "connection cut"
    OUTAGE = "network away"
    SILENCE = "network silent"


class Memory(StrEnum):
    """What a broker knows when it is back."""

    KEEPS = "its database kept"
    FORGETS = "its database deleted"
    OFF = "persistence off"


KILLS: Mapping[What, float] = {What.BROKER: 0.35, What.DEVICE: 0.4, What.COLLECTOR: 0.25}
CUTS: Mapping[What, float] = {What.CUT: 0.5, What.OUTAGE: 0.3, What.SILENCE: 0.2}
"""How often each kind comes among the kills and among the cuts."""

DOWN_S: Mapping[What, tuple[float, float]] = {
    What.BROKER: (0.0, 3.0),
    What.DEVICE: (0.0, 1.5),
    What.COLLECTOR: (0.0, 4.0),
    What.CUT: (0.0, 0.0),
    What.OUTAGE: (0.5, 20.0),
    What.SILENCE: (3.0, 50.0),  # the shipped keep-alive is 30 s
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: it begins ``at_s`` seconds after the start and lasts ``down_s``.

    ``target`` is the number of the device or of the link; the link after those of the devices is the collector's.
    """

    at_s: float
    what: What
    target: int
    down_s: float
    memory: Memory = Memory.KEEPS

    @property
    def name(self) -> str:
        """As the tables name it."""
        return f"{self.what}, {self.memory}" if self.what is What.BROKER else str(self.what)


def draw_kinds(chance: random.Random, *, kills: int, cuts: int) -> list[What]:
    """So many kills and cuts, in random order."""
    kinds = [*chance.choices(list(KILLS), list(KILLS.values()), k=kills)]
    kinds += chance.choices(list(CUTS), list(CUTS.values()), k=cuts)
    chance.shuffle(kinds)
    return kinds


def plan_faults(
    chance: random.Random, kinds: Iterable[What], *, devices: int, pace_s: tuple[float, float]
) -> list[Fault]:
    """When each of these begins and how long it lasts: one every ``pace_s``; nothing that is down is struck again."""
    up_at: dict[tuple[str, int], float] = {}
    faults: list[Fault] = []
    now = 0.0
    for what in kinds:
        now += chance.uniform(*pace_s)
        targets = _targets(what, devices)
        now = max(now, min(up_at.get(target, 0.0) for target in targets))
        target = chance.choice([target for target in targets if up_at.get(target, 0.0) <= now])
        down_s = chance.uniform(*DOWN_S[what])
        up_at[target] = now + down_s
        faults.append(Fault(now, what, target[1], down_s, chance.choice(list(Memory))))
    return faults


def count_faults(faults: Sequence[Fault]) -> Counter[str]:
    """How many of each kind."""
    return Counter(fault.name for fault in faults)


def _targets(what: What, devices: int) -> list[tuple[str, int]]:
    """What a fault of this kind can strike."""
    if what is What.DEVICE:
        return [("device", number) for number in range(devices)]
    if what in KILLS:
        return [(what, 0)]
    return [("link", number) for number in range(devices + 1)]
