"""The sink that speaks in the cab: the plan in the service's thread, the sound in its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edge.cab.plan import Cue, Hush, Plan
from edge.cab.sound import Sound
from edge.config import Config
from edge.decision.kinds import registered
from edge.domain import Kind, Level, Step
from edge.service.health import Health, SinkHealth
from edge.service.sinks import Worker

WAITING = 4
"""Cues that wait for a card that hangs, at most, beside those that are made ready at the start."""


class CabSink:
    """Says in the cab what the plan says. Nothing of it reaches anybody in shadow mode."""

    name = "cab"
    outward = True

    def __init__(self, config: Config, sound: Sound | None = None) -> None:
        self._plan = Plan(config.cab, {kind: judge.wakes for kind, judge in registered().items()})
        self._sound = sound or Sound(config.cab)
        cues = [cue_of(kind, level) for kind in config.alerts.enabled for level in Level]
        self._worker: Worker[Callable[[], None]] = Worker("cab", lambda act: act(), WAITING + len(cues))
        for cue in cues:
            self._worker.put(partial(self._sound.prepare, cue))

    @property
    def health(self) -> SinkHealth:
        """What could not be said, and why."""
        return self._worker.health

    def take(self, step: Step) -> None:
        """Say what a step asks for."""
        said = self._plan.update(step)
        if isinstance(said, Hush) or (said is not None and said.wakes):
            self._sound.hush()
        if isinstance(said, Cue):
            self._worker.put(self._sound.asked(said))

    def probe(self, health: Health) -> None:
        """How the device is, is not said to the driver."""

    def close(self) -> None:
        """Fall silent."""
        self._sound.hush()
        self._worker.close()


def cue_of(kind: Kind, level: Level) -> Cue:
    """What is said of a kind at a level.

    Raises:
        KeyError: there is no such kind.
    """
    return Cue(kind, level, wakes=registered()[kind].wakes)
