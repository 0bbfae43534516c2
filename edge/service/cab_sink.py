"""The sink that reaches the driver in the cab: the plan in the service's thread, each output in its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from edge.cab.pins import Pins
from edge.cab.plan import Cue, Plan
from edge.cab.program import Program
from edge.cab.relay import Relay
from edge.cab.sound import Sound
from edge.config import Config
from edge.decision.kinds import registered
from edge.domain import Kind, Level, Stamp, Step
from edge.service.cab_alert import AlertText
from edge.service.cab_outputs import Output, PinOutput, ProgramOutput, SoundOutput
from edge.service.health import Health, SinkHealth


class CabSink:
    """Gives the configured outputs what the plan says. Nothing of it reaches anybody in shadow mode."""

    name = "cab"
    outward = True

    def __init__(self, config: Config, stamp: Callable[[], Stamp], outputs: Sequence[Output] | None = None) -> None:
        self._plan = Plan(config.cab, _wakes())
        self._outputs = tuple(_configured(config, stamp)) if outputs is None else outputs

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
        """Fall silent: all outputs at once, so that several that hang cost no more of a stop's time than one."""
        if self._outputs:
            with ThreadPoolExecutor(len(self._outputs)) as pool:
                for done in [pool.submit(output.close) for output in self._outputs]:
                    done.result()


def _configured(config: Config, stamp: Callable[[], Stamp]) -> Iterator[Output]:
    cab = config.cab
    if cab.gpio.pins:
        yield PinOutput(cab.gpio, Pins(cab.gpio))
    if cab.sound.enabled:
        cues = (cue_of(kind, level) for kind in config.alerts.enabled for level in Level)
        yield SoundOutput(cab.sound, Sound(cab), cues, stamp)
    if cab.command.program:
        yield ProgramOutput(Program(cab.command), Relay(cab.command, _wakes()), AlertText(config.device.id, stamp))


def _wakes() -> dict[Kind, bool]:
    return {kind: judge.wakes for kind, judge in registered().items()}


def cue_of(kind: Kind, level: Level) -> Cue:
    """What is said of a kind at a level.

    Raises:
        KeyError: there is no such kind.
    """
    return Cue(kind, level, wakes=registered()[kind].wakes)
