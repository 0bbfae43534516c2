"""The ways to the driver, each in a thread of its own: none waits for another, and nobody for any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from edge.cab.pins import Pins
from edge.cab.plan import Cue, Hush
from edge.cab.program import Program
from edge.cab.relay import Relay
from edge.cab.sound import Sound
from edge.config import GpioConfig, SoundConfig
from edge.domain import Context, Step, Transition
from edge.service.health import SinkHealth
from edge.service.sinks import Worker

WAITING = 4
"""What waits for an output that hangs, at most, beside what is made ready at the start."""


PROGRAMS_WAITING = 20
"""Alerts that wait for a program that takes its time, at most."""


class Output(Protocol):
    """Takes what the plan says after a step, and returns at once."""

    @property
    def health(self) -> SinkHealth:
        """What it could not do, and what is wrong with it."""

    def take(self, said: Cue | Hush | None, step: Step) -> None:
        """Take what is said or silenced after this step."""

    def close(self) -> None:
        """Fall silent."""


class SoundOutput:
    """Says cues; ``cues`` are made ready at the start."""

    def __init__(self, config: SoundConfig, sound: Sound, cues: Iterable[Cue]) -> None:
        self._config = config
        self._sound = sound
        cues = tuple(cue for cue in cues if config.takes(cue.kind, cue.level))
        self._worker: Worker[Callable[[], None]] = Worker("cab", lambda act: act(), WAITING + len(cues))
        for cue in cues:
            self._worker.put(partial(sound.prepare, cue))

    @property
    def health(self) -> SinkHealth:
        """What could not be said, and why."""
        return self._worker.health

    def take(self, said: Cue | Hush | None, step: Step) -> None:  # noqa: ARG002 - a step alone says nothing
        """Say it."""
        if isinstance(said, Hush) or (said is not None and said.wakes):
            self._sound.hush()
        if isinstance(said, Cue) and self._config.takes(said.kind, said.level):
            self._worker.put(self._sound.asked(said))

    def close(self) -> None:
        """Fall silent."""
        self._sound.hush()
        self._worker.close()


class PinOutput:
    """Shows cues on pins, and whether the driver is being looked at."""

    def __init__(self, config: GpioConfig, pins: Pins) -> None:
        self._config = config
        self._pins = pins
        self._watching = False
        self._worker: Worker[Callable[[], None]] = Worker("cab pins", lambda act: act())
        self._worker.put(pins.open)

    @property
    def health(self) -> SinkHealth:
        """What could not be shown, and why."""
        return self._worker.health

    def take(self, said: Cue | Hush | None, step: Step) -> None:
        """Show it."""
        if isinstance(said, Cue) and self._config.takes(said.kind, said.level):
            self._worker.put(partial(self._pins.show, said))
        elif isinstance(said, Hush):
            self._worker.put(self._pins.hush)
        if step.state.watching is not self._watching:
            self._watching = step.state.watching
            self._worker.put(partial(self._pins.watch, on=self._watching))

    def close(self) -> None:
        """Switch all off."""
        self._worker.put(self._pins.close)
        self._worker.close()


class ProgramOutput:
    """Runs a program with each alert; ``tell`` makes of a step of an episode what it gets on its standard input."""

    def __init__(self, program: Program, relay: Relay, tell: Callable[[Transition, Context], bytes]) -> None:
        self._program = program
        self._relay = relay
        self._tell = tell
        self._worker: Worker[bytes] = Worker("cab command", program.run, PROGRAMS_WAITING)

    @property
    def health(self) -> SinkHealth:
        """What it was not run for, and why."""
        return self._worker.health

    def take(self, said: Cue | Hush | None, step: Step) -> None:  # noqa: ARG002 - it hears of alerts, not of what is said
        """Have the program run for each step of an episode."""
        for transition in self._relay.update(step):
            self._worker.put(self._tell(transition, step.context))

    def close(self) -> None:
        """Let it run for what was taken, as far as that can be done in short time, and end it."""
        self._worker.close()
        self._program.stop()
