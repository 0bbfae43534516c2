"""Tries what reaches the driver in the cab: one warning, on all that is configured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

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
    cab = config.cab
    pins, sound, program = Pins(cab.gpio), Sound(cab), Program(cab.command)
    acts: list[Callable[[], None]] = []
    if cab.sound.enabled or not cab.configured:
        acts.append(lambda: sound.play(cue))
    if cab.command.program:
        start = Transition(stamp.uptime_s, cue.kind, Phase.START, cue.level, 1, stamp.uptime_s, 1.0, 1.0, None)
        text = AlertText(config.device.id, lambda: stamp)(start, UNKNOWN_CONTEXT)
        acts.append(lambda: program.run(text))
    with ThreadPoolExecutor(2) as pool, closing(pins):
        try:
            others = [pool.submit(_faults_of, act) for act in acts]
            faults = list(_show(pins, cue, sleep)) if cab.gpio.pins else []
            faults += [fault for other in others for fault in other.result()]
        finally:  # also where the user has seen enough
            sound.hush()
            program.stop()
    if faults:
        raise UnavailableError("\n".join(faults))


def _show(pins: Pins, cue: Cue, sleep: Callable[[float], None]) -> Iterator[str]:
    """Play a cue's pattern to its end; what went wrong with it."""
    yield from _faults_of(lambda: pins.show(cue))
    while True:
        try:
            wait_s = pins.tick()
        except UnavailableError as error:
            yield str(error)
            continue
        if wait_s is None:
            return
        sleep(wait_s)


def _faults_of(act: Callable[[], None]) -> list[str]:
    try:
        act()
    except EvenkeelError as error:
        return [str(error)]
    return []
