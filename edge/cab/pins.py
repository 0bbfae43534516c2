"""Cues as patterns of lights, buzzer and vibration, and the light that tells the driver of being looked at."""

from __future__ import annotations

import contextlib
import time
from collections import deque
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


Act = tuple[Part, Callable[[Any], None]]
"""What is done with a part's device."""


class Pins:
    """Drives the configured pins, for one thread, which calls ``tick`` as often as that asks for.

    gpiozero would play a pattern in a thread of its own, made anew for each: on a busy board such a thread begins late.
    A pin that cannot be had is tried again with whatever comes next; the others work meanwhile.
    """

    def __init__(
        self,
        config: GpioConfig,
        factory: Callable[[], Any] = pin_factory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._factory = factory
        self._clock = clock
        self._devices: dict[Part, Any] = {}
        self._watching = False
        self._parts: tuple[Part, ...] = ()
        self._changes: deque[tuple[float, bool]] = deque()

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
        begin = self._clock()
        self._changes.clear()
        for number in range(times):
            t = begin + number * (on_s + off_s)
            self._changes.extend([(t, True), (t + on_s, False)])
        self._parts = WAKES if cue.wakes else SHOWS
        quiet = (part for part in WAKES if part not in self._parts)
        self._do([*_all(quiet, on=False), *self._due()])

    def tick(self) -> float | None:
        """Do what is due of a pattern; seconds until the next change, None where nothing plays.

        Raises:
            UnavailableError: a pin cannot be set any more; the next call goes on with the others.
        """
        if self._changes and (due := self._due()):
            self._do(due, take=False)
        return max(0.0, self._changes[0][0] - self._clock()) if self._changes else None

    def hush(self) -> None:
        """End every pattern at once.

        Raises:
            UnavailableError: a pin cannot be had.
        """
        self._changes.clear()
        self._do(_all(WAKES, on=False))

    def watch(self, *, on: bool) -> None:
        """Switch the light that tells of being looked at.

        Raises:
            UnavailableError: a pin cannot be had.
        """
        self._watching = on
        self._do(())

    def close(self) -> None:
        """Switch all off and let go of the pins: a pin that is let go of may stay as it is.

        Raises:
            UnavailableError: one cannot be switched off; the others are.
        """
        self._changes.clear()
        self._watching = False
        try:
            self._do(_all(WAKES, on=False), take=False)
        finally:
            for device in self._devices.values():
                with contextlib.suppress(Exception):  # it is off, which counts; whoever has it next is told
                    device.close()
            self._devices.clear()

    def _due(self) -> list[Act]:
        """The newest level that is due, of all parts that play; what was missed before it is left out."""
        level, now = None, self._clock()
        while self._changes and self._changes[0][0] <= now:
            level = self._changes.popleft()[1]
        return [] if level is None else _all(self._parts, on=level)

    def _do(self, acts: Iterable[Act], *, take: bool = True) -> None:
        missing = self._take_missing() if take else ()
        faults = [f"{part} on GPIO{self._config.pins[part]}: {why}" for part, why in missing]
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


def _all(parts: Iterable[Part], *, on: bool) -> list[Act]:
    return [(part, lambda device: device.on() if on else device.off()) for part in parts]


def pattern_of(cue: Cue, config: GpioConfig) -> Pattern:
    """Seconds on, seconds off and how often, for a cue."""
    for name in (f"{cue.kind}_{cue.level}", cue.kind):
        if name in config.patterns:
            return config.patterns[name]
    if not cue.wakes:
        return OFFER
    return URGENT if cue.level is Level.URGENT else WARNING
