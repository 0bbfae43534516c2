"""Cues as patterns of lights, buzzer and vibration, and the light that tells the driver of being looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from edge.board.pins import REMEDY, pin_factory
from edge.cab.plan import Cue
from edge.config import GpioConfig
from edge.config.cab import Part, Pattern
from edge.domain import Level
from edge.errors import UnavailableError

URGENT: Pattern = (0.1, 0.1, 20)
WARNING: Pattern = (0.4, 0.4, 5)
OFFER: Pattern = (3.0, 0.0, 1)
"""A calm light: whoever is angry is not blinked at."""

SHOWS: tuple[Part, ...] = ("led",)
WAKES: tuple[Part, ...] = ("led", "buzzer", "vibration")


class Pins:
    """Drives the configured pins; each pattern plays in a thread of gpiozero's.

    A pin that cannot be had is tried again with whatever comes next; the others work meanwhile.
    """

    def __init__(self, config: GpioConfig, factory: Callable[[], Any] = pin_factory) -> None:
        self._config = config
        self._factory = factory
        self._devices: dict[Part, Any] = {}
        self._watching = False

    def open(self) -> None:
        """Take the pins, each of which is off then.

        Raises:
            UnavailableError: one cannot be had.
        """
        self._do(())

    def show(self, cue: Cue) -> None:
        """Begin a cue's pattern, in place of what plays.

        Raises:
            UnavailableError: a pin cannot be had.
        """
        on_s, off_s, times = pattern_of(cue, self._config)
        self._do((part, lambda device: device.blink(on_s, off_s, times)) for part in (WAKES if cue.wakes else SHOWS))

    def hush(self) -> None:
        """End every pattern at once.

        Raises:
            UnavailableError: a pin cannot be had.
        """
        self._do((part, lambda device: device.off()) for part in WAKES)

    def watch(self, *, on: bool) -> None:
        """Switch the light that tells of being looked at.

        Raises:
            UnavailableError: a pin cannot be had.
        """
        self._watching = on
        self._do(())

    def close(self) -> None:
        """Switch all off and let go of the pins: a pin that is let go of may stay as it is."""
        for device in self._devices.values():
            device.off()
            device.close()
        self._devices.clear()

    def _do(self, acts: Iterable[tuple[Part, Callable[[Any], None]]]) -> None:
        faults = [f"{part} on GPIO{self._config.pins[part]}: {why}" for part, why in self._take_missing()]
        for part, act in (*acts, ("watching_light", self._switch)):
            if part not in self._devices:
                continue
            try:
                act(self._devices[part])
            except Exception as error:  # noqa: BLE001 - one part's fault keeps from none of the others; raised below
                faults.append(f"{part} on GPIO{self._config.pins[part]}: {error}")
                broken = self._devices.pop(part)
                with contextlib.suppress(Exception):  # it is broken, which is said
                    broken.close()
        if faults:
            raise UnavailableError(f"gpio: {', '.join(faults)}; {REMEDY}")

    def _switch(self, light: Any) -> None:
        light.value = self._watching

    def _take_missing(self) -> Iterable[tuple[Part, str]]:
        """Take the pins that we lack; which of them cannot be had, and why."""
        missing = {part: pin for part, pin in self._config.pins.items() if part not in self._devices}
        if not missing:
            return
        factory = self._factory()
        from gpiozero import DigitalOutputDevice  # noqa: PLC0415 - optional

        for part, pin in missing.items():
            high = part not in self._config.active_low
            try:
                self._devices[part] = DigitalOutputDevice(pin, active_high=high, pin_factory=factory)
            except Exception as error:  # noqa: BLE001 - gpiozero has its errors, each factory others
                yield part, str(error)


def pattern_of(cue: Cue, config: GpioConfig) -> Pattern:
    """Seconds on, seconds off and how often, for a cue."""
    for name in (f"{cue.kind}_{cue.level}", cue.kind):
        if name in config.patterns:
            return config.patterns[name]
    if not cue.wakes:
        return OFFER
    return URGENT if cue.level is Level.URGENT else WARNING


def length_s(pattern: Pattern) -> float:
    """How long a pattern plays, seconds."""
    on_s, off_s, times = pattern
    return (on_s + off_s) * times
