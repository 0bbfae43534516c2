"""The ignition from a pin: gpiozero's mock factory drives it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.config.vehicle import GpioSourceConfig, VehicleConfig
from edge.errors import UnavailableError
from edge.vehicle.gpio import LOOK_S, GpioSource
from edge.vehicle.source import Stop
from edge.vehicle.store import Store
from tests.vehicle.conftest import Clock

mock = pytest.importorskip("gpiozero.pins.mock", reason="gpiozero is not installed; pip install 'evenkeel[gpio]'")


class Looks(Stop):
    """Drives the pin before each look, and stops after the last."""

    def __init__(self, factory: Any, levels: list[int], clock: Clock) -> None:
        self._pin = factory.pin(24)
        self._levels = levels
        self._clock = clock

    def is_set(self) -> bool:
        if not self._levels:
            return True
        high = self._levels.pop(0)
        self._pin.drive_high() if high else self._pin.drive_low()
        return False

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == LOOK_S
        self._clock.now += timeout
        return False


def look(levels: list[int], clock: Clock, **config: Any) -> Store:
    factory = mock.MockFactory()
    store = Store("gpio", VehicleConfig(), clock)
    GpioSource(GpioSourceConfig(ignition_pin=24, **config), lambda: factory).run(store, Looks(factory, levels, clock))
    return store


@pytest.mark.parametrize(
    ("levels", "config", "on"),
    [
        ([1, 1, 1], {}, True),
        ([0, 0, 0], {}, False),
        ([0, 0, 0], {"ignition_pull": "up", "ignition_active_low": True}, True),
        ([1, 1, 1], {"ignition_pull": "none", "ignition_active_low": True}, False),
    ],
)
def test_a_pin_that_is_the_same_for_a_while_tells_the_ignition(
    levels: list[int],
    config: dict[str, Any],
    on: bool,  # noqa: FBT001 - a case
    clock: Clock,
) -> None:
    assert look(levels, clock, **config).newest_ignition(clock.now) is on


def test_a_contact_that_bounces_says_nothing_until_it_has_settled(clock: Clock) -> None:
    assert look([1, 0, 1, 1, 0, 1, 0] * 20, clock).newest_ignition(clock.now) is None
    assert look([1, 1, 1, 0, 1, 0, 0], clock).newest_ignition(clock.now) is True


def test_a_pin_that_another_part_has_is_said(clock: Clock) -> None:
    from gpiozero import LED  # noqa: PLC0415 - optional

    factory = mock.MockFactory()
    with LED(24, pin_factory=factory):
        source = GpioSource(GpioSourceConfig(ignition_pin=24), lambda: factory)
        with pytest.raises(UnavailableError, match=r"ignition on GPIO24: .*already in use"):
            source.run(Store("gpio", VehicleConfig(), clock), Looks(factory, [], clock))


def test_a_machine_without_pins_is_said(clock: Clock) -> None:
    def none() -> Any:
        raise UnavailableError("gpio: there are no pins here")

    source = GpioSource(GpioSourceConfig(ignition_pin=24), none)
    with pytest.raises(UnavailableError, match="no pins here"):
        source.run(Store("gpio", VehicleConfig(), clock), Looks(mock.MockFactory(), [], clock))
