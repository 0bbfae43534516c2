"""The driver's button on a pin, through gpiozero: what was pressed since it was last asked."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from edge.board.pins import REMEDY, pin_factory
from edge.cab.presses import Press, Presses
from edge.compat import Self
from edge.config import ButtonConfig
from edge.errors import UnavailableError

_log = logging.getLogger(__name__)

EDGES = 1000
"""What is kept of a pin that changes faster than it is asked for; older edges are lost."""


class Button:
    """Notes the pin's edges as they come; ``poll`` makes presses of them. What is wrong is logged once.

    A pin that cannot be had or read is a problem, and no reason to end.
    """

    def __init__(
        self, config: ButtonConfig, clock: Callable[[], float], factory: Callable[[], Any] = pin_factory
    ) -> None:
        self._config = config
        self._clock = clock
        self._factory = factory
        self._edges: deque[tuple[float, bool]] = deque(maxlen=EDGES)
        self._device: Any = None
        self._presses: Presses | None = None
        self._problem: str | None = None

    def __enter__(self) -> Self:
        if self._config.pin is not None:
            try:
                self._open(self._config.pin)
            except Exception as error:  # noqa: BLE001 - gpiozero has its errors, each factory others
                known = isinstance(error, UnavailableError)
                self._say(str(error).removeprefix("gpio: ") if known else f"{error}; {REMEDY}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._device is not None:
            self._device.close()

    @property
    def problem(self) -> str | None:
        """What is wrong with the button, in words."""
        return None if self._problem is None else f"button on GPIO{self._config.pin}: {self._problem}"

    def poll(self) -> list[Press]:
        """What was pressed since the last time."""
        if self._presses is None:
            return []
        told = []
        with contextlib.suppress(IndexError):  # the deque is empty
            while True:
                t, down = self._edges.popleft()
                told += self._presses.edge(t, down=down)
        now = self._clock()
        try:
            told += self._presses.edge(now, down=self._device.is_pressed)  # an edge may have been lost
        except Exception as error:  # noqa: BLE001 - gpiozero has its errors, each factory others
            self._say(f"{error}; {REMEDY}")
            return told
        self._say(self._presses.problem(now))
        return told

    def _open(self, pin: int) -> None:
        factory = self._factory()
        from gpiozero import Button as Contact  # noqa: PLC0415 - optional

        self._device = Contact(pin, pull_up=True, pin_factory=factory)
        self._presses = Presses(self._config.hold_s, self._clock(), down=self._device.is_pressed)
        self._device.when_pressed = lambda: self._edges.append((self._clock(), True))
        self._device.when_released = lambda: self._edges.append((self._clock(), False))

    def _say(self, problem: str | None) -> None:
        if problem != self._problem:
            self._problem = problem
            if problem is not None:
                _log.warning("%s", self.problem)
