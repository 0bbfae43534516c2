"""The sink that reaches the driver in the cab: the plan in the service's thread, each output in its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.cab.pins import Pins
from edge.cab.plan import Cue, Plan
from edge.cab.sound import Sound
from edge.config import Config
from edge.decision.kinds import registered
from edge.domain import Kind, Level, Step
from edge.service.cab_outputs import Output, PinOutput, SoundOutput
from edge.service.health import Health, SinkHealth


class CabSink:
    """Gives the configured outputs what the plan says. Nothing of it reaches anybody in shadow mode."""

    name = "cab"
    outward = True

    def __init__(self, config: Config, outputs: Sequence[Output] | None = None) -> None:
        self._plan = Plan(config.cab, {kind: judge.wakes for kind, judge in registered().items()})
        self._outputs = tuple(_configured(config)) if outputs is None else outputs

    @property
    def health(self) -> SinkHealth:
        """What could not be said or shown, and why."""
        told = [output.health for output in self._outputs]
        problems = "; ".join(each.problem for each in told if each.problem)
        return SinkHealth(sum(each.dropped for each in told), problems or None)

    def take(self, step: Step) -> None:
        """Say and show what a step asks for."""
        said = self._plan.update(step)
        for output in self._outputs:
            output.take(said, step)

    def probe(self, health: Health) -> None:
        """How the device is, is not said to the driver."""

    def close(self) -> None:
        """Fall silent."""
        for output in self._outputs:
            output.close()


def _configured(config: Config) -> Iterator[Output]:
    if config.cab.gpio.pins:
        yield PinOutput(Pins(config.cab.gpio))
    if config.cab.sound.enabled:
        yield SoundOutput(Sound(config.cab), (cue_of(kind, level) for kind in config.alerts.enabled for level in Level))


def cue_of(kind: Kind, level: Level) -> Cue:
    """What is said of a kind at a level.

    Raises:
        KeyError: there is no such kind.
    """
    return Cue(kind, level, wakes=registered()[kind].wakes)
