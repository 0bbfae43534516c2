"""The ways to the driver, each in a thread of its own: none waits for another, and nobody for any of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from edge.cab.pins import Pins
from edge.cab.plan import Cue, Hush
from edge.cab.program import Program
from edge.cab.relay import Relay
from edge.cab.sound import Sound
from edge.config import GpioConfig, SoundConfig
from edge.domain import Context, Stamp, Step, Transition
from edge.service.health import SinkHealth
from edge.service.sinks import Worker

WAITING = 4
"""What waits for a card that hangs, at most."""


HEAD_START_S = 0.05
"""A program is started so much later: Python stands still until it has begun, and light and sound go first, seconds."""
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
    """Says cues, which are made ready at the start: nothing is made when one is to be heard.

    Where words could not be made, the tones of a warning are heard at once, and the words are tried again behind it.
    In the quiet hours nothing is said that does not wake; they hold while the clock can be believed.
    """

    def __init__(self, config: SoundConfig, sound: Sound, cues: Iterable[Cue], stamp: Callable[[], Stamp]) -> None:
        self._config = config
        self._sound = sound
        self._stamp = stamp
        self._cues = tuple(cue for cue in cues if config.takes(cue.kind, cue.level))
        self._making = False
        self._maker: Worker[Callable[[], None]] = Worker("cab", lambda act: act(), WAITING)
        self._speaker: Worker[Callable[[], None]] = Worker("cab", lambda act: act(), WAITING)
        self._make()

    @property
    def health(self) -> SinkHealth:
        """What could not be said, and why."""
        making, speaking = self._maker.health, self._speaker.health
        problems = "; ".join(each.problem for each in (speaking, making) if each.problem)
        return SinkHealth(speaking.dropped, problems or None)

    def take(self, said: Cue | Hush | None, step: Step) -> None:  # noqa: ARG002 - a step alone says nothing
        """Say it."""
        if isinstance(said, Hush) or (said is not None and said.wakes):
            self._sound.hush()
        if not isinstance(said, Cue) or not self._config.takes(said.kind, said.level) or self._is_held(said):
            return
        self._speaker.put(self._sound.asked(said))
        if not self._sound.is_ready(said):
            self._make()

    def close(self) -> None:
        """Fall silent."""
        self._sound.hush()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self._maker.close)
            self._speaker.close()

    def _make(self) -> None:
        if not self._making:
            self._making = True
            self._maker.put(self._make_all)

    def _make_all(self) -> None:
        try:
            self._sound.prepare(self._cues)
        finally:
            self._making = False

    def _is_held(self, cue: Cue) -> bool:
        now = self._stamp()
        return not cue.wakes and now.clock_synced and self._config.is_quiet(now.time.astimezone().time())


class PinOutput:
    """Shows cues on pins, and whether the driver is being looked at."""

    def __init__(self, config: GpioConfig, pins: Pins) -> None:
        self._config = config
        self._pins = pins
        self._watching = False
        self._worker: Worker[Callable[[], None]] = Worker("cab", lambda act: act(), tick=pins.tick)
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
        self._worker.close()
        self._pins.close()


class ProgramOutput:
    """Runs a program with each alert; ``tell`` makes of a step of an episode what it gets on its standard input."""

    def __init__(self, program: Program, relay: Relay, tell: Callable[[Transition, Context], bytes]) -> None:
        self._program = program
        self._relay = relay
        self._tell = tell
        self._worker: Worker[bytes] = Worker("cab", self._run, PROGRAMS_WAITING)

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

    def _run(self, text: bytes) -> None:
        time.sleep(HEAD_START_S)
        self._program.run(text)
