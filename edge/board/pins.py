"""The pins of a Raspberry Pi, through gpiozero."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

from edge.errors import UnavailableError

FACTORY = "GPIOZERO_PIN_FACTORY"
"""gpiozero's own variable: who sets it chooses what moves the pins; ``mock`` moves none."""
REMEDY = "`evenkeel doctor` looks at the pins"


def pin_factory() -> Any:
    """What moves the pins: gpiozero's factory, one for the whole process; lgpio where nobody has chosen another.

    Raises:
        UnavailableError: a package is missing, or this machine has no such pins or does not let us have them.
    """
    try:
        from gpiozero import Device  # noqa: PLC0415 - optional, and only boards with pins in use have it
    except ImportError:
        raise UnavailableError(
            "gpio: the package gpiozero is missing; apt-get install python3-gpiozero python3-lgpio, or pip install "
            "'evenkeel[gpio]'"
        ) from None
    if Device.pin_factory is None:
        if FACTORY in os.environ:
            _chosen(Device)
        else:
            Device.pin_factory = _lgpio()
    return Device.pin_factory


def _chosen(device: Any) -> None:
    try:
        device.ensure_pin_factory()
    except Exception as error:  # noqa: BLE001 - whatever a factory's packages raise
        raise UnavailableError(f"gpio: {FACTORY}={os.environ[FACTORY]}: {error}; {REMEDY}") from None


def _lgpio() -> Any:
    if "LG_WD" not in os.environ:  # lgpio makes its pipe there, else where we stand, which a service may not write to
        os.environ["LG_WD"] = tempfile.mkdtemp(prefix="evenkeel-gpio-")
        atexit.register(shutil.rmtree, os.environ["LG_WD"], ignore_errors=True)
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - as above
    except ImportError:
        raise UnavailableError(
            "gpio: the package lgpio is missing; apt-get install python3-lgpio, or pip install 'evenkeel[gpio]'"
        ) from None
    try:
        return LGPIOFactory()
    except Exception as error:  # noqa: BLE001 - lgpio has its own, gpiozero others
        raise UnavailableError(f"gpio: {error}; {REMEDY}") from None
