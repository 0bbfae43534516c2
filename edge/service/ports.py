"""What the service asks of its parts, so that each can be another one: a fake in a test, a clip in the demo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from edge.cab.presses import Press
from edge.config import Config
from edge.decision.baseline import RestingFace
from edge.domain import UNKNOWN_CONTEXT, Context, Frame, Kind, Sight, Step
from edge.mqtt.around import Around
from edge.mqtt.commands import Command
from edge.mqtt.messages import AlertMessage, HealthMessage, LiveMessage, Newest, OutboxPart, StateMessage
from edge.vehicle.store import SourceHealth


class Decisions(Protocol):
    """What is asked of ``edge.decision.Decider``."""

    def pause(self, t: float, seconds: float) -> None:
        """Say ``paused`` until ``t + seconds``."""

    def resume(self, t: float) -> None:
        """End a pause."""

    def acknowledge(self, kind: Kind | None = None) -> tuple[Kind, ...]:
        """Note that somebody knows of the open alerts, of one kind or of all; those for which that is new."""

    def unacknowledged(self, kind: Kind | None = None) -> tuple[Kind, ...]:
        """The open alerts that nobody has acknowledged at their level."""

    def stop(self, t: float, context: Context = UNKNOWN_CONTEXT) -> Step | None:
        """End the open episodes, where there are any."""

    def recalibrate(self) -> None:
        """Forget the driver's resting face."""

    @property
    def resting_face(self) -> RestingFace:
        """What was learned, to be kept over a restart."""


class Steps(Protocol):
    """What is asked of ``edge.pipeline.Pipeline``."""

    @property
    def decider(self) -> Decisions:
        """The decisions behind the steps."""

    def step(self, frame: Frame, context: Context = UNKNOWN_CONTEXT) -> Step:
        """Read one frame and decide."""

    def step_blind(self, t: float, sight: Sight, reason: str, context: Context = UNKNOWN_CONTEXT) -> Step:
        """Decide without a picture."""

    def reconfigure(self, config: Config) -> None:
        """Use these thresholds and timers from now on, and keep the state."""


class Outlet(Protocol):
    """What is asked of ``edge.mqtt.client.Publisher``."""

    @property
    def problem(self) -> str | None:
        """Why there is no broker, or None."""

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong with the way to the broker and its receivers."""

    @property
    def newest(self) -> Newest:
        """The newest alert decided."""

    def start(self) -> None:
        """Begin to connect, without waiting."""

    def stop(self) -> bool:
        """Say ``offline`` and disconnect."""

    def publish_state(self, message: StateMessage) -> None:
        """Say the state."""

    def publish_alert(self, message: AlertMessage) -> AlertMessage:
        """Store and send an alert."""

    def publish_health(self, message: HealthMessage) -> None:
        """Say how the device is."""

    @property
    def watched(self) -> bool:
        """Whether somebody wants what is live."""

    def publish_live(self, message: Callable[[], LiveMessage]) -> None:
        """Say what holds in the newest frame, if there is room for it."""

    def publish_around(self, around: Around) -> None:
        """Say the numbers around an alert, when nothing else is to be said."""

    @property
    def around_waiting(self) -> int:
        """Around how many alerts numbers wait."""

    @property
    def around_dropped(self) -> int:
        """Around how many alerts they were given up."""

    def outbox_health(self) -> OutboxPart:
        """The outbox as health tells it."""

    def poll_command(self) -> Command | None:
        """The next command, or None."""

    def answer(self, command: Command, *, ok: bool, message: str) -> None:
        """Tell the sender what came of it."""


class Frames(AbstractContextManager[object], Protocol):
    """What is asked of ``edge.camera.newest.NewestFrame``."""

    @property
    def paced(self) -> bool:
        """Whether frames come in their own time, so that some may be skipped; else each one is taken in its turn."""

    @property
    def dropped(self) -> int:
        """Frames that a newer one has overtaken."""

    @property
    def bad_frames(self) -> int:
        """Frames that could not be read and were passed over."""

    @property
    def age_s(self) -> float:
        """Seconds since the last good frame."""

    @property
    def stuck(self) -> bool:
        """Whether only a restart helps."""

    def take(self, timeout_s: float, came_after: float) -> Frame | None:
        """The newest frame not taken yet that came in after that time; EndOfStream after the last."""

    def blindness(self) -> tuple[Sight, str] | None:
        """Why there is no picture, or None."""


class VehicleData(AbstractContextManager[object], Protocol):
    """What is asked of ``edge.vehicle.Vehicle``."""

    def context(self, now: float) -> Context:
        """What is known of the vehicle now."""

    def health(self, now: float) -> Mapping[str, SourceHealth]:
        """How each source is, by its name."""


class DriverButton(AbstractContextManager[object], Protocol):
    """What is asked of ``edge.cab.button.Button``."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it, in words."""

    def poll(self) -> list[Press]:
        """What was pressed since the last time."""


class Memory(Protocol):
    """What is asked of ``edge.service.resting_face.RestingFaceSink``."""

    def clear(self) -> None:
        """Keep nothing of what was learned of the driver so far."""


class Trace(Protocol):
    """What is asked of ``edge.traces.trace.TraceWriter``."""

    def write(self, step: Step) -> None:
        """Add one step."""
