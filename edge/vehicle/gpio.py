"""The ignition from a pin of a Raspberry Pi, through gpiozero. No 12 V at a pin: docs/vehicle.md has the wiring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.board.pins import REMEDY, pin_factory
from edge.config.vehicle import GpioSourceConfig
from edge.errors import UnavailableError
from edge.vehicle.source import Stop
from edge.vehicle.store import Store

LOOK_S = 0.1
"""The pin is looked at this often, seconds."""
ALIKE = 3
"""So many looks in a row must be alike: contacts bounce, and starters disturb."""


class GpioSource:
    """Looks at the pin of ``[vehicle.gpio]``."""

    name = "gpio"
    tells_speed = False

    def __init__(self, config: GpioSourceConfig, factory: Callable[[], Any] = pin_factory) -> None:
        self._config = config
        self._factory = factory

    def run(self, store: Store, stop: Stop) -> None:
        """Look until ``stop``.

        Raises:
            UnavailableError: the pin cannot be had.
        """
        pull, factory = self._config.ignition_pull, self._factory()
        from gpiozero import InputDevice  # noqa: PLC0415 - optional, and the factory has just found it

        pull_up = {"up": True, "down": False, "none": None}[pull]
        try:
            device = InputDevice(
                self._config.ignition_pin,
                pull_up=pull_up,
                active_state=True if pull_up is None else None,
                pin_factory=factory,
            )
        except Exception as error:
            # gpiozero has its errors, each factory others
            raise UnavailableError(f"gpio: ignition on GPIO{self._config.ignition_pin}: {error}; {REMEDY}") from error
        with device:
            looks: list[bool] = []
            while not stop.is_set():
                looks = [*looks, bool(device.pin.state)][-ALIKE:]
                if len(looks) == ALIKE and len(set(looks)) == 1:
                    store.mend("source")
                    store.ignition(looks[-1] is not self._config.ignition_active_low)
                stop.wait(LOOK_S)

    def interrupt(self) -> None:
        """Nothing to end early: each wait is a short one."""
