"""The newest values of one source, taken only where they can be true, with their ages."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edge.config.vehicle import SpeedUnit, VehicleConfig

_log = logging.getLogger(__name__)

KMH: Mapping[SpeedUnit, float] = MappingProxyType({"km/h": 1.0, "m/s": 3.6, "mph": 1.609344, "knots": 1.852})
"""How many km/h one of each unit is."""
QUIET_S = 60.0
"""A fault that comes and goes is logged once in so long, seconds."""
SHOWN_CHARS = 40
"""Of a value that cannot be true so much is shown."""

_ON = frozenset({"on", "true", "1"})
_OFF = frozenset({"off", "false", "0"})


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How one source is: ages in seconds (None: it told none), what it told that cannot be true, what is wrong.

    ``lost``: it cannot be opened, so that its silence says nothing.
    """

    speed_age_s: float | None = None
    ignition_age_s: float | None = None
    refused: int = 0
    problem: str | None = None
    lost: bool = False


class Store:
    """What the source called ``name`` told last; filled in its thread, read in the service's.

    Nothing that it is told can raise or be believed against sense: a speed that is no finite number, or faster than
    ``config.max_speed_kmh``, is counted and leaves what was known before to grow old.
    """

    def __init__(self, name: str, config: VehicleConfig, clock: Callable[[], float]) -> None:
        self.name = name
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._speed: tuple[float, float] | None = None
        self._ignition: tuple[float, bool] | None = None
        self._refused = 0
        self._faults: dict[str, str] = {}
        self._told_t: dict[str, float] = {}

    def speed(self, value: Any, unit: SpeedUnit = "km/h") -> None:
        """Take a speed, whatever it is."""
        kmh = _number(value) * KMH[unit]
        if not 0 <= kmh <= self._config.max_speed_kmh:  # neither is a NaN; -1 is what some say for an unknown speed
            self.refuse("speed", f"no speed: {_shown(value)} {unit}")
            return
        with self._lock:
            self._speed = self._clock(), kmh
        self.mend("speed")

    def ignition(self, value: Any) -> None:
        """Take a word on the ignition, whatever it is: true, false, 1, 0, or a text that says so."""
        word = value.strip().lower() if isinstance(value, str) else str(value).lower() if _is_word(value) else ""
        if word not in _ON | _OFF:
            self.refuse("ignition", f"no word on the ignition: {_shown(value)}")
            return
        with self._lock:
            self._ignition = self._clock(), word in _ON
        self.mend("ignition")

    def refuse(self, about: str, text: str) -> None:
        """Count something that cannot be true; ``text`` says what, ``about`` which value it was to be."""
        with self._lock:
            self._refused += 1
        self.fail(about, text)

    def fail(self, about: str, text: str) -> None:
        """Say what is wrong, until ``mend``; the log has it once."""
        now = self._clock()
        with self._lock:
            fresh = self._faults.get(about) is None
            self._faults[about] = text
            quiet = now - self._told_t.get(about, -math.inf) < QUIET_S
            if fresh and not quiet:
                self._told_t[about] = now
        if fresh and not quiet:
            _log.warning("vehicle %s: %s", self.name, text)

    def mend(self, about: str) -> None:
        """It is well again."""
        with self._lock:
            self._faults.pop(about, None)

    def newest_speed(self, now: float) -> float | None:
        """The speed in km/h, None where it is not known or too old."""
        with self._lock:
            speed = self._speed
        return speed[1] if speed is not None and _fresh(now - speed[0], self._config.speed_max_age_s) else None

    def newest_ignition(self, now: float) -> bool | None:
        """Whether the ignition is on, None where it is not known or too old."""
        with self._lock:
            told = self._ignition
        return told[1] if told is not None and _fresh(now - told[0], self._config.ignition_max_age_s) else None

    def ages(self, now: float) -> tuple[float | None, float | None]:
        """Seconds since the last speed and since the last word on the ignition."""
        with self._lock:
            speed, ignition = self._speed, self._ignition
        return _age(now, speed), _age(now, ignition)

    def health(self, now: float) -> SourceHealth:
        """How the source is."""
        speed_age_s, ignition_age_s = self.ages(now)
        with self._lock:
            problem = "; ".join(self._faults.values()) or None
            return SourceHealth(speed_age_s, ignition_age_s, self._refused, problem, lost="source" in self._faults)


def _age(now: float, told: tuple[float, object] | None) -> float | None:
    return None if told is None else max(0.0, now - told[0])


def _fresh(age_s: float, max_age_s: float) -> bool:
    """Whether it is of now; a clock that was set back makes it of the future, which is not known either."""
    return -1.0 <= age_s <= max_age_s


def _number(value: Any) -> float:
    """A number as it is, everything else as none: a text that looks like one is not taken for it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _is_word(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, int) and value in {0, 1})


def _shown(value: Any) -> str:
    """A value, bounded and printable. What takes no text of its own (a huge number) is named by its type."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
