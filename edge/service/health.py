"""How the device is: read from its parts, apart from whoever publishes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.board.sensors import resident_mb
from edge.board.watch import HeatWatch
from edge.domain import EXPRESSION, EYES, FACE, UNKNOWN_CONTEXT, Context, Observation, ReasonCode, State, Step
from edge.service.ports import DriverButton, Frames, VehicleData
from edge.timing import StageTimes
from edge.vehicle.store import SourceHealth
from edge.words import say

_LOOKS = (FACE, EXPRESSION, EYES)
"""Names of what is looked at in a frame, or is an earlier frame's."""


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """What one sink has lost since the start, and what is wrong with it now."""

    dropped: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the device.

    ``frames``, ``dropped_frames`` and ``bad_frames`` count since the start and never go back; ``fps`` is the rate since
    the look before. ``stages`` are (p50, p95) in milliseconds. ``read_share`` tells by the reading's name what share of
    the frames since then was read, and by FACE in what share of them the face was looked for: for the others what was
    seen earlier stands. ``problems`` say in words what is wrong
    with camera, board and vehicle, and what is hidden of a driver who is there. None is what cannot be told.
    """

    state: State
    frames: int
    dropped_frames: int
    bad_frames: int
    fps: float
    fps_limit: float
    camera_age_s: float
    stages: Mapping[str, tuple[float, float]]
    memory_mb: float | None
    temperature_c: float | None
    throttled: bool | None
    problems: tuple[str, ...] = ()
    read_share: Mapping[str, float] = field(default_factory=dict)
    sinks: Mapping[str, SinkHealth] = field(default_factory=dict)
    context: Context = UNKNOWN_CONTEXT
    vehicle: Mapping[str, SourceHealth] = field(default_factory=dict)


class HealthProbe:
    """Reads a ``Health``, every ``period_s`` at most. ``sinks`` and ``vehicle`` tell how they are."""

    def __init__(
        self,
        period_s: float,
        *,
        frames: Frames,
        heat: HeatWatch,
        times: StageTimes,
        sinks: Callable[[], Mapping[str, SinkHealth]],
        vehicle: VehicleData,
        button: DriverButton,
        clock: Callable[[], float],
    ) -> None:
        self._period_s = period_s
        self._frames = frames
        self._heat = heat
        self._times = times
        self._sinks = sinks
        self._vehicle = vehicle
        self._button = button
        self._clock = clock
        self._read = self._read_before = 0
        self._readings: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._t = clock()

    def count_frame(self, observation: Observation) -> None:
        """One more frame was read."""
        self._read += 1
        self._readings.update(observation.readings.keys())  # a mapping would be taken for counts
        self._readings[FACE] += observation.face is not None
        self._held.update(observation.held)

    @property
    def due(self) -> bool:
        """Whether a period is over since the last look."""
        return self._clock() - self._t >= self._period_s

    def read(self, step: Step) -> Health:
        """How the device is now; ``step`` is the last that was said of the driver."""
        now = self._clock()
        elapsed_s, count = now - self._t, self._read - self._read_before
        self._t, self._read_before = now, self._read
        read_share = {name: 1.0 - self._held[name] / self._readings[name] for name in _LOOKS if self._readings[name]}
        self._readings.clear()
        self._held.clear()
        blind = self._frames.blindness()
        vehicle = self._vehicle.health(now)
        told = [f"vehicle {name}: {source.problem}" for name, source in vehicle.items() if source.problem]
        return Health(
            state=step.state,
            frames=self._read,
            dropped_frames=self._frames.dropped,
            bad_frames=self._frames.bad_frames,
            fps=count / elapsed_s if elapsed_s > 0 else 0.0,
            fps_limit=self._heat.fps,
            camera_age_s=self._frames.age_s,
            stages={name: (p50, p95) for name, (p50, p95) in self._times.percentiles(50, 95).items()},
            memory_mb=resident_mb(),
            temperature_c=self._heat.heat.temperature_c,
            throttled=self._heat.heat.throttled,
            problems=tuple(
                text
                for text in (
                    self._heat.problem,
                    blind[1] if blind else None,
                    self._button.problem,
                    *told,
                    *hidden(step),
                )
                if text
            ),
            read_share=read_share,
            sinks=self._sinks(),
            context=self._vehicle.context(now),
            vehicle=vehicle,
        )


def hidden(step: Step) -> list[str]:
    """By kind what is not seen of a driver who is: opaque sunglasses keep it so for a whole drive."""
    return [
        f"{kind}: {say(judged.reason)}"
        for kind, judged in step.signals.kinds.items()
        if judged.reason.code is ReasonCode.EYES_UNREADABLE
    ]
