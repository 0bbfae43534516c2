"""The sink that speaks MQTT: alerts at once, the state when it is news, health as it comes."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from edge import __version__
from edge.config import Config
from edge.config.secrets import redact
from edge.domain import NO_REASON, Kind, Level, Reason, Stamp, State, Step, Transition
from edge.episodes import Episodes
from edge.mqtt.messages import (
    AlertMessage,
    BreaksPart,
    ModelsPart,
    ShadowPart,
    SinkPart,
    StagePart,
    VehiclePart,
    VersionsPart,
    alert_message,
    health_message,
    state_message,
)
from edge.service.health import Health, SinkHealth
from edge.service.ports import Outlet
from edge.service.sinks import Worker
from edge.service.versions import About
from edge.vehicle.breaks import BreakStatus
from edge.words import say

_log = logging.getLogger(__name__)

REASON_PERIOD_S = 1.0
"""A reason that changes while the state does not is published this often at most."""
FLUSH_TICK_S = 0.05
"""How often it is looked whether the outbox is empty at last."""
WAITING = 1000
"""What waits for a disk that hangs, at most: alerts, and states at the rate above, for a quarter of an hour."""

_Word = tuple[State, Mapping[Kind, tuple[Level | None, bool, bool]]]


class MqttSink:
    """Gives the publisher what it is to bring to the broker, in a thread of its own: a slow disk holds up no frame.

    Behind the first step, of which the state is set at once, the connection begins; ``close`` ends it when all that was
    taken has been handed on. ``entropy`` gives ten random bytes for each episode's id; ``shadow`` tells what would have
    been said in shadow mode, in which no step comes: the service begins and ends the connection then. ``breaks`` tells
    whether one is due. ``told`` hears of each alert with its number, in the sink's thread. What ``config``
    says of periods holds until a restart.
    """

    name = "mqtt"
    outward = True

    def __init__(
        self,
        config: Config,
        *,
        publisher: Outlet,
        about: About,
        entropy: Callable[[], bytes],
        clock: Callable[[], float],
        stamp: Callable[[], Stamp],
        shadow: Callable[[], ShadowPart] | None = None,
        breaks: Callable[[], BreakStatus] | None = None,
        told: Callable[[Transition, AlertMessage], None] = lambda *_: None,
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._about = about
        self._clock = clock
        self._stamp = stamp
        self._shadow = shadow
        self._breaks = breaks
        self._told = told
        self._due: tuple[str, ...] = ()
        self._episodes = Episodes(entropy)
        self._begun = False
        self._said: _Word | None = None
        self._why: Reason = NO_REASON
        self._said_t = float("-inf")
        self._worker: Worker[Callable[[], None]] = Worker("mqtt sink", lambda tell: tell(), WAITING)

    @property
    def health(self) -> SinkHealth:
        """What cannot leave waits in the outbox, which health tells of by itself; lost is what not even got there."""
        own = self._worker.health
        return SinkHealth(own.dropped, redact(self._publisher.problem or "") or own.problem)

    def take(self, step: Step) -> None:
        """Have published what a step says, alerts first."""
        word, breaks = _word(step), None if self._breaks is None else self._breaks()
        due = self._due if breaks is None else breaks.reasons
        news = self._is_news(step, word, due)
        if news:
            self._note(step, word, due)
        if news or step.transitions:
            part = None if breaks is None else _breaks_part(breaks)
            self._hand_on(partial(self._tell, step, self._stamp(), part, news=news))

    def probe(self, health: Health) -> None:
        """Have health published."""
        self._worker.put(partial(self._tell_health, health, self._stamp()))

    def flush(self, longest_s: float, give_up: Callable[[], bool]) -> None:
        """Wait until the broker has all alerts that were taken and what is around them; ``give_up`` ends it early."""
        end_t = time.monotonic() + longest_s
        handed_on = threading.Event()
        self._worker.put(handed_on.set)
        while self._begun and time.monotonic() < end_t and not give_up():
            if handed_on.wait(FLUSH_TICK_S):
                if not (self._publisher.outbox_health().depth or self._publisher.around_waiting):
                    return
                time.sleep(FLUSH_TICK_S)

    def close(self) -> None:
        """Hand on what was taken, then say ``offline`` and disconnect."""
        self._worker.close()
        if self._begun:
            self._publisher.stop()

    def _hand_on(self, tell: Callable[[], None]) -> None:
        if self._begun:
            self._worker.put(tell)
            return
        self._begun = True
        try:
            tell()
        finally:
            self._publisher.start()

    def _tell(self, step: Step, stamp: Stamp, breaks: BreaksPart | None, *, news: bool) -> None:
        for transition in step.transitions:
            about = self._about
            models = ModelsPart(face=about.face_model, expression=about.expression_model, eyes=about.eye_model)
            numbered = self._publisher.publish_alert(
                alert_message(
                    transition,
                    episode=self._episodes.of(transition, stamp.time),
                    device_id=self._config.device.id,
                    stamp=stamp,
                    models=models,
                    context=step.context,
                )
            )
            self._told(transition, numbered)
            _log.info("%s %s: %s", transition.kind, transition.phase, transition.level)
        if news:
            self._publisher.publish_state(state_message(step, stamp, newest=self._publisher.newest, breaks=breaks))

    def _tell_health(self, health: Health, stamp: Stamp) -> None:
        self._publisher.publish_health(
            health_message(
                stamp,
                newest=self._publisher.newest,
                versions=VersionsPart(
                    evenkeel=__version__,
                    python=platform.python_version(),
                    runtime=self._about.runtime,
                    face_model=self._about.face_model,
                    expression_model=self._about.expression_model,
                    eye_model=self._about.eye_model,
                    follow_model=self._about.follow_model,
                ),
                outbox=self._publisher.outbox_health(),
                dropped_frames=health.dropped_frames,
                bad_frames=health.bad_frames,
                stages={
                    name: StagePart(p50_ms=round(p50, 2), p95_ms=round(p95, 2))
                    for name, (p50, p95) in health.stages.items()
                },
                read_share=health.read_share,
                fps=health.fps,
                fps_limit=health.fps_limit,
                camera_age_s=health.camera_age_s,
                memory_mb=health.memory_mb,
                temperature_c=health.temperature_c,
                throttled=health.throttled,
                sinks={
                    name: SinkPart(dropped=sink.dropped, problem=sink.problem) for name, sink in health.sinks.items()
                },
                shadow=None if self._shadow is None else self._shadow(),
                context=health.context,
                vehicle={
                    name: VehiclePart(
                        speed_age_s=_rounded(source.speed_age_s),
                        ignition_age_s=_rounded(source.ignition_age_s),
                        refused=source.refused,
                        problem=source.problem,
                    )
                    for name, source in health.vehicle.items()
                },
                problems=(*map(redact, self._publisher.problems), *health.problems),
            )
        )

    def _is_news(self, step: Step, word: _Word, due: tuple[str, ...]) -> bool:
        since_s = self._clock() - self._said_t
        if word != self._said or due != self._due or since_s >= self._config.publish.heartbeat_s:
            return True
        return step.reason != self._why and since_s >= REASON_PERIOD_S

    def _note(self, step: Step, word: _Word, due: tuple[str, ...]) -> None:
        if self._said is None or self._said[0] is not step.state:
            _log.info("state %s%s", step.state, f": {say(step.reason)}" if step.reason else "")
        self._said, self._why, self._said_t = word, step.reason, self._clock()
        if due != self._due:
            _log.info("%s", f"a break is due: {', '.join(due)}" if due else "no break is due any more")
            self._due = due


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _breaks_part(status: BreakStatus) -> BreaksPart:
    """Whole minutes: nobody needs more."""

    def minutes(seconds: float | None) -> float | None:
        return None if seconds is None else float(seconds // 60)

    return BreaksPart(
        reasons=list(status.reasons),
        driven_min=minutes(status.driven_s),
        left_min=None if status.left_s is None else float(-(-status.left_s // 60)),
        rest_min=float(status.rest_s // 60),
    )


def _word(step: Step) -> _Word:
    """What is said at once where it changes: the state, and of each kind the level, if it is readable, acknowledged."""
    kinds = step.signals.kinds.items()
    return step.state, {kind: (judged.level, judged.readable, judged.acknowledged) for kind, judged in kinds}
