"""What the service says of what it sees: alerts, states, health, and a line for ``systemctl status``."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable

from edge import __version__
from edge.board.notify import Notifier
from edge.board.sensors import resident_mb
from edge.board.watch import HeatWatch
from edge.config import Config
from edge.config.secrets import redact
from edge.domain import State, Step
from edge.mqtt.messages import (
    Episodes,
    ModelsPart,
    StagePart,
    Stamp,
    VersionsPart,
    alert_message,
    health_message,
    state_message,
)
from edge.service.ports import Frames, Outlet
from edge.service.versions import About
from edge.timing import StageTimes

_log = logging.getLogger(__name__)

REASON_PERIOD_S = 1.0
"""A reason that changes while the state does not is published this often at most."""


class Reporter:
    """Publishes each step's alerts at once, the state when it is news, health when it is due.

    ``entropy`` gives ten random bytes for each episode's id. ``times`` are those of the steps; ``frames`` are asked for
    what was dropped and why there is no picture, ``heat`` how warm the board is. What ``config`` says of periods holds
    until a restart.
    """

    def __init__(
        self,
        config: Config,
        *,
        frames: Frames,
        heat: HeatWatch,
        publisher: Outlet,
        notifier: Notifier,
        about: About,
        entropy: Callable[[], bytes],
        times: StageTimes,
        clock: Callable[[], float],
        stamp: Callable[[], Stamp],
    ) -> None:
        self._config = config
        self._frames = frames
        self._heat = heat
        self._publisher = publisher
        self._notifier = notifier
        self._about = about
        self._times = times
        self._clock = clock
        self._stamp = stamp
        self._episodes = Episodes(entropy)
        self._read = 0
        self._said: tuple[State, str] | None = None
        self._said_t = float("-inf")
        self._health_t = clock()

    def count_frame(self) -> None:
        """One more frame was read."""
        self._read += 1

    def tell(self, step: Step, calibrated_percent: float | None) -> None:
        """Publish what a step says, alerts first."""
        self._tell_alerts(step)
        if self._is_news(step):
            self._tell_state(step, calibrated_percent)

    def tell_health(self, state: State) -> None:
        """Publish health, and the line for ``systemctl status``, if they are due."""
        elapsed_s = self._clock() - self._health_t
        if elapsed_s < self._config.publish.health_s:
            return
        fps = self._read / elapsed_s
        self._read, self._health_t = 0, self._clock()
        problem = redact(self._publisher.problem or "") or None
        blind = self._frames.blindness()
        self._publisher.publish_health(
            health_message(
                self._stamp(),
                newest=self._publisher.newest,
                versions=VersionsPart(
                    evenkeel=__version__,
                    python=platform.python_version(),
                    runtime=self._about.runtime,
                    face_model=self._about.face_model,
                    expression_model=self._about.expression_model,
                ),
                outbox=self._publisher.outbox_health(),
                dropped_frames=self._frames.dropped,
                bad_frames=self._frames.bad_frames,
                stages={
                    name: StagePart(p50_ms=round(p50, 2), p95_ms=round(p95, 2))
                    for name, (p50, p95) in self._times.percentiles(50, 95).items()
                },
                fps=fps,
                fps_limit=self._heat.fps,
                camera_age_s=self._frames.age_s,
                memory_mb=resident_mb(),
                temperature_c=self._heat.heat.temperature_c,
                throttled=self._heat.heat.throttled,
                problems=(
                    *self._publisher.problems,
                    *(text for text in (self._heat.problem, blind[1] if blind else None) if text),
                ),
            )
        )
        self._notifier.status(f"{fps:.1f} fps, {state}, broker {problem or 'connected'}")

    def _tell_alerts(self, step: Step) -> None:
        for transition in step.transitions:
            stamp = self._stamp()
            models = ModelsPart(face=self._about.face_model, expression=self._about.expression_model)
            self._publisher.publish_alert(
                alert_message(
                    transition,
                    episode=self._episodes.of(transition, stamp.time),
                    device_id=self._config.device.id,
                    stamp=stamp,
                    models=models,
                )
            )
            _log.info("%s %s: %s", transition.kind, transition.phase, transition.level)

    def _is_news(self, step: Step) -> bool:
        since_s = self._clock() - self._said_t
        if self._said is None or step.state is not self._said[0] or since_s >= self._config.publish.heartbeat_s:
            return True
        return step.reason != self._said[1] and since_s >= REASON_PERIOD_S

    def _tell_state(self, step: Step, calibrated_percent: float | None) -> None:
        if self._said is None or self._said[0] is not step.state:
            _log.info("state %s%s", step.state, f": {step.reason}" if step.reason else "")
        self._said, self._said_t = (step.state, step.reason), self._clock()
        self._publisher.publish_state(
            state_message(step, self._stamp(), newest=self._publisher.newest, calibrated_percent=calibrated_percent)
        )
