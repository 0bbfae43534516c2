"""Tries what reaches the driver in the cab: one warning, on all that is configured."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.cab.pins import Pins
from edge.cab.plan import Cue
from edge.cab.program import Program
from edge.cab.sound import Sound
from edge.config import Config
from edge.domain import UNKNOWN_CONTEXT, Phase, Stamp, Transition
from edge.errors import EvenkeelError, UnavailableError
from edge.service.cab_alert import AlertText


def try_out(config: Config, cue: Cue, stamp: Stamp, sleep: Callable[[float], None] = time.sleep) -> None:
    """Say and show ``cue`` to its end, and run the program for it; it is said where nothing is configured.

    Raises:
        UnavailableError: with a line for each output that failed; the others have worked.
    """
    cab, faults = config.cab, []
    pins = Pins(cab.gpio)
    acts: list[Callable[[], None]] = []
    if cab.gpio.pins:
        acts.append(lambda: pins.show(cue))
    if cab.sound.enabled or not cab.configured:
        acts.append(lambda: Sound(cab).play(cue))
    if cab.command.program:
        start = Transition(stamp.uptime_s, cue.kind, Phase.START, cue.level, 1, stamp.uptime_s, 1.0, 1.0, None)
        text = AlertText(config.device.id, lambda: stamp)(start, UNKNOWN_CONTEXT)
        acts.append(lambda: Program(cab.command).run(text))
    for act in acts:
        try:
            act()
        except EvenkeelError as error:
            faults.append(str(error))
    while (wait_s := pins.tick()) is not None:
        sleep(wait_s)
    pins.close()
    if faults:
        raise UnavailableError("\n".join(faults))
