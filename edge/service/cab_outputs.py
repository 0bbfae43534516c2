"""The ways to the driver, each in a thread of its own: none waits for another, and nobody for any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from edge.cab.pins import Pins
from edge.cab.plan import Cue, Hush
from edge.cab.sound import Sound
from edge.domain import Step
from edge.service.health import SinkHealth
from edge.service.sinks import Worker

WAITING = 4
"""What waits for an output that hangs, at most, beside what is made ready at the start."""


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

    def __init__(self, sound: Sound, cues: Iterable[Cue]) -> None:
        self._sound = sound
        cues = tuple(cues)
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
        if isinstance(said, Cue):
            self._worker.put(self._sound.asked(said))

    def close(self) -> None:
        """Fall silent."""
        self._sound.hush()
        self._worker.close()


class PinOutput:
    """Shows cues on pins, and whether the driver is being looked at."""

    def __init__(self, pins: Pins) -> None:
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
        if isinstance(said, Cue):
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
