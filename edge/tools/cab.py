"""Tries what reaches the driver in the cab: one warning, on all that is configured."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.cab.pins import Pins, length_s, pattern_of
from edge.cab.plan import Cue
from edge.cab.sound import Sound
from edge.config import CabConfig
from edge.errors import EvenkeelError, UnavailableError


def try_out(config: CabConfig, cue: Cue, sleep: Callable[[float], None] = time.sleep) -> None:
    """Say and show ``cue`` to its end; it is said where nothing is configured.

    Raises:
        UnavailableError: with a line for each output that failed; the others have worked.
    """
    faults = []
    pins = Pins(config.gpio)
    begin = time.monotonic()
    acts: tuple[Callable[[], None], ...] = (lambda: pins.show(cue), lambda: _say(config, cue))
    for act in acts:
        try:
            act()
        except EvenkeelError as error:
            faults.append(str(error))
    if config.gpio.pins:
        sleep(max(0.0, begin + length_s(pattern_of(cue, config.gpio)) - time.monotonic()))
    pins.close()
    if faults:
        raise UnavailableError("\n".join(faults))


def _say(config: CabConfig, cue: Cue) -> None:
    if config.sound.enabled or not config.configured:
        Sound(config).play(cue)
