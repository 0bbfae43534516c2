"""The loop: newest frame in, pipeline, publish, watchdog; reload, stop."""

from __future__ import annotations

import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edge import __version__
from edge.about import About
from edge.board.notify import Notifier
from edge.board.sensors import clock_synced, resident_mb, temperature_c, throttled
from edge.camera import EndOfStream, is_file_source, open_camera
from edge.camera.newest import NewestFrame
from edge.config import Config
from edge.decision.baseline import RestingFace
from edge.errors import EvenkeelError, UnavailableError
from edge.mqtt.claim import claim
from edge.mqtt.client import Publisher
from edge.mqtt.commands import Command
from edge.mqtt.messages import (
    ENTROPY_BYTES,
    AlertMessage,
    CommandName,
    Episodes,
    HealthMessage,
    ModelsPart,
    OutboxPart,
    StagePart,
    Stamp,
    StateMessage,
    VersionsPart,
    alert_message,
    health_message,
    state_message,
)
from edge.mqtt.outbox import Outbox, outbox_path
from edge.pipeline import Pipeline
from edge.records import Frame, Sight, State, Step
from edge.resting import RestingFaceFile
from edge.rotation import RotatingTrace
from edge.timing import StageTimes

_log = logging.getLogger(__name__)

TICK_S = 0.2
"""Longest wait at a time: how late a signal, a command or a heartbeat can be noticed."""

REASON_PERIOD_S = 1.0
"""A reason that changes while the state does not is published this often at most."""

RESTING_FACE_PERIOD_S = 300.0
"""The learned resting face is written this often, and at the stop: little wear for a card, little lost."""

RELOADABLE = ("quality", "smoothing", "alerts", "baseline", "states")
"""Sections that a reload changes while the service runs; the others wait for a restart."""


class Decisions(Protocol):
    """What is asked of ``edge.decision.Decider``."""

    def pause(self, t: float, seconds: float) -> None:
        """Say ``paused`` until ``t + seconds``."""

    def resume(self, t: float) -> None:
        """End a pause."""

    def recalibrate(self) -> None:
        """Forget the driver's resting face."""

    @property
    def calibrated_percent(self) -> float | None:
        """How far the resting face is learned."""

    @property
    def resting_face(self) -> RestingFace:
        """What was learned, to be kept over a restart."""


class Steps(Protocol):
    """What is asked of ``edge.pipeline.Pipeline``."""

    @property
    def decider(self) -> Decisions:
        """The decisions behind the steps."""

    def step(self, frame: Frame) -> Step:
        """Read one frame and decide."""

    def step_blind(self, t: float, sight: Sight, reason: str) -> Step:
        """Decide without a picture."""

    def reconfigure(self, config: Config) -> None:
        """Use these thresholds and timers from now on, and keep the state."""


class Outlet(Protocol):
    """What is asked of ``edge.mqtt.client.Publisher``."""

    @property
    def problem(self) -> str | None:
        """Why there is no broker, or None."""

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
    def age_s(self) -> float:
        """Seconds since the last good frame."""

    @property
    def stuck(self) -> bool:
        """Whether only a restart helps."""

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame not taken yet; EndOfStream after the last."""

    def blindness(self) -> tuple[Sight, str] | None:
        """Why there is no picture, or None."""


class Trace(Protocol):
    """What is asked of ``edge.trace.TraceWriter``."""

    def write(self, step: Step) -> None:
        """Add one step."""


def board_stamp() -> Stamp:
    """This moment on the board's clocks."""
    return Stamp(
        time=datetime.now(UTC), uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME), clock_synced=bool(clock_synced())
    )


def serve(load: Callable[[], Config], *, trace: Path | None = None, loop: bool = False) -> None:
    """Run the service that ``load``'s configuration describes, until SIGTERM, SIGINT or a file's end.

    SIGHUP calls ``load`` again.

    Raises:
        ConfigError, ModelError, UnavailableError: before anything is published.
        CameraError: a file source cannot be read; a camera is waited for instead.
    """
    with build_service(load(), reload=load, trace=trace, loop=loop) as service:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        service.run()


@contextmanager
def build_service(
    config: Config,
    *,
    reload: Callable[[], Config],
    trace: Path | None = None,
    loop: bool = False,
    frames: Frames | None = None,
    clock: Callable[[], float] = time.monotonic,
    stamp: Callable[[], Stamp] = board_stamp,
) -> Iterator[Service]:
    """The service with everything that it needs; what must be closed is closed at the end of the ``with``.

    ``frames`` stand in for the configured camera; ``clock`` and ``stamp`` then tell the time that goes with them.

    Raises:
        ConfigError, ModelError, UnavailableError: something of it is wrong or missing.
    """
    with ExitStack() as stack:
        pipeline = Pipeline.from_config(config)
        path = outbox_path(config.outbox, os.environ)
        if not stack.enter_context(claim(path)):
            _log.warning("outbox %s is used by another process; give each service its own outbox.path", path)
        outbox = stack.enter_context(closing(Outbox.from_config(config.outbox, os.environ, board_stamp())))
        memory = RestingFaceFile(path.parent)
        if resting := memory.load(stamp(), config.baseline.max_age_hours):
            pipeline.decider.restore(resting)
        yield Service(
            config,
            frames=frames
            or NewestFrame(
                lambda: open_camera(config.camera, loop=loop),
                config.camera,
                reopen=not is_file_source(config.camera.source),
            ),
            pipeline=pipeline,
            publisher=Publisher(config, outbox, clock=board_stamp, environ=os.environ),
            notifier=Notifier.from_environment(),
            about=About.of(config.vision),
            reload=reload,
            entropy=lambda: os.urandom(ENTROPY_BYTES),
            times=pipeline.times,
            memory=memory,
            trace=stack.enter_context(RotatingTrace(trace, config.trace)) if trace else None,
            clock=clock,
            stamp=stamp,
        )


class Service:
    """Runs until it is stopped, or until a file has been played.

    ``reload`` reads the configuration again and raises EvenkeelError where it is wrong. ``entropy`` gives ten random
    bytes for each episode's id. ``times`` are the pipeline's, to which ``step`` (all of it) and ``age`` (from exposure
    to decision) are added. ``memory`` keeps the driver's resting face over a restart.
    """

    def __init__(
        self,
        config: Config,
        *,
        frames: Frames,
        pipeline: Steps,
        publisher: Outlet,
        notifier: Notifier,
        about: About,
        reload: Callable[[], Config],
        entropy: Callable[[], bytes],
        times: StageTimes,
        memory: RestingFaceFile,
        trace: Trace | None = None,
        clock: Callable[[], float] = time.monotonic,
        stamp: Callable[[], Stamp] = board_stamp,
    ) -> None:
        self._config = config
        self._frames = frames
        self._pipeline = pipeline
        self._publisher = publisher
        self._notifier = notifier
        self._about = about
        self._reload = reload
        self._memory = memory
        self._trace = trace
        self._clock = clock
        self._stamp = stamp
        self._episodes = Episodes(entropy)
        self._times = times
        self._stop_asked = self._reload_asked = False
        self._started = False
        self._due_t = float("-inf")
        self._read = 0
        self._step: Step | None = None
        self._said: tuple[State, str] | None = None
        self._said_t = float("-inf")
        self._health_t = self._kept_t = clock()

    def stop(self) -> None:
        """Ask for a clean stop; safe in a signal handler."""
        self._stop_asked = True

    def reload(self) -> None:
        """Ask for the configuration to be read again; safe in a signal handler."""
        self._reload_asked = True

    def run(self) -> None:
        """Work until ``stop``, or the end of a file; then say ``offline``."""
        try:
            with self._frames:
                while not self._stop_asked:
                    self._serve()
                    step = self._next_step()
                    if step is not None:
                        self._take(step)
                    self._report()
                    self._keep_resting_face()
        except EndOfStream:
            _log.info("end of %s", self._config.camera.source)
        finally:
            self._notifier.stopping()
            self._memory.keep(self._pipeline.decider.resting_face, self._stamp())
            if self._started:
                self._publisher.stop()
            self._notifier.close()

    def _next_step(self) -> Step | None:
        """The pipeline's word on the newest frame, or on there being none; None while neither is due."""
        early_s = self._due_t - self._clock() if self._frames.paced else 0.0
        if early_s > 0:
            time.sleep(min(early_s, TICK_S))
            if early_s > TICK_S:
                return None
        frame = self._frames.take(TICK_S)
        now = self._clock()
        if frame is not None:
            period_s = 1.0 / self._config.camera.fps
            self._due_t = max(self._due_t + period_s, now - period_s)  # a frame that comes a little early is not lost
            return self._read_frame(frame)
        blind = self._frames.blindness()
        if blind is None:
            return None
        step = self._pipeline.step_blind(now, *blind)
        if not self._frames.stuck:  # then only a restart helps, which the watchdog brings
            self._notifier.alive()
        return step

    def _read_frame(self, frame: Frame) -> Step:
        with self._times.measure("step"):
            step = self._pipeline.step(frame)
        self._times.add("age", max(0.0, self._clock() - frame.t) * 1000.0)
        self._read += 1
        self._notifier.alive()
        return step

    def _take(self, step: Step) -> None:
        """Publish what a step says, the first one before the connection is begun."""
        self._step = step
        self._write_trace(step)
        for transition in step.transitions:
            stamp = self._stamp()
            models = ModelsPart(face=self._about.face_model, expression=self._about.expression_model)
            self._publisher.publish_alert(
                alert_message(
                    transition,
                    episode=self._episodes.of(transition, stamp.time),
                    sequence=0,
                    stamp=stamp,
                    models=models,
                )
            )
            _log.info("%s %s: %s", transition.kind, transition.phase, transition.level)
        if self._is_news(step):
            self._publish_state(step)
        if not self._started:
            self._publisher.start()
            self._notifier.ready()
            self._started = True

    def _write_trace(self, step: Step) -> None:
        if self._trace is None:
            return
        try:
            self._trace.write(step)
        except UnavailableError as error:  # a full disk ends the trace, never the monitoring
            _log.warning("%s; the trace ends here", error)
            self._trace = None

    def _is_news(self, step: Step) -> bool:
        since_s = self._clock() - self._said_t
        if self._said is None or step.state is not self._said[0] or since_s >= self._config.publish.heartbeat_s:
            return True
        return step.reason != self._said[1] and since_s >= REASON_PERIOD_S

    def _publish_state(self, step: Step) -> None:
        if self._said is None or self._said[0] is not step.state:
            _log.info("state %s%s", step.state, f": {step.reason}" if step.reason else "")
        self._said, self._said_t = (step.state, step.reason), self._clock()
        self._publisher.publish_state(state_message(step, self._stamp(), self._pipeline.decider.calibrated_percent))

    def _report(self) -> None:
        """Health, and one line for ``systemctl status``, when they are due."""
        elapsed_s = self._clock() - self._health_t
        if elapsed_s < self._config.publish.health_s or self._step is None:
            return
        fps = self._read / elapsed_s
        self._read, self._health_t = 0, self._clock()
        problem = self._publisher.problem
        blind = self._frames.blindness()
        self._publisher.publish_health(
            health_message(
                self._stamp(),
                versions=VersionsPart(
                    evenkeel=__version__,
                    python=platform.python_version(),
                    runtime=self._about.runtime,
                    face_model=self._about.face_model,
                    expression_model=self._about.expression_model,
                ),
                outbox=self._publisher.outbox_health(),
                dropped_frames=self._frames.dropped,
                stages={
                    name: StagePart(p50_ms=round(p50, 2), p95_ms=round(p95, 2))
                    for name, (p50, p95) in self._times.percentiles(50, 95).items()
                },
                fps=fps,
                fps_limit=self._config.camera.fps,
                camera_age_s=self._frames.age_s,
                memory_mb=resident_mb(),
                temperature_c=temperature_c(),
                throttled=throttled(),
                problems=tuple(text for text in (problem, blind[1] if blind else None) if text),
            )
        )
        self._notifier.status(f"{fps:.1f} fps, {self._step.state}, broker {problem or 'connected'}")

    def _keep_resting_face(self) -> None:
        if self._clock() - self._kept_t >= RESTING_FACE_PERIOD_S:
            self._kept_t = self._clock()
            self._memory.keep(self._pipeline.decider.resting_face, self._stamp())

    def _serve(self) -> None:
        """Do what signals and commands have asked for."""
        if self._reload_asked:
            self._reload_asked = False
            self._apply_reload()
        if not self._started:
            return
        while (command := self._publisher.poll_command()) is not None:
            ok, message = self._obey(command)
            _log.info("command %s: %s", command.name, message)
            self._publisher.answer(command, ok=ok, message=message)

    def _obey(self, command: Command) -> tuple[bool, str]:
        now, decider = self._clock(), self._pipeline.decider
        match command.name:
            case CommandName.PAUSE:
                seconds = command.seconds or 0.0
                decider.pause(now, seconds)
                return True, f"paused for {seconds:g} s"
            case CommandName.RESUME:
                decider.resume(now)
                return True, "resumed"
            case CommandName.RECALIBRATE:
                decider.recalibrate()
                self._memory.clear()
                return True, "the driver's resting face is learned anew"
            case CommandName.RELOAD:
                return self._apply_reload()

    def _apply_reload(self) -> tuple[bool, str]:
        """Read the configuration again; where it is wrong keep the old one and say why."""
        self._notifier.reloading()
        try:
            fresh = self._reload()
        except EvenkeelError as error:
            _log.error("reload refused, the old configuration stays: %s", error)
            return False, f"the old configuration stays: {error}"
        finally:
            if self._started:
                self._notifier.ready()
        changed = [name for name in Config.model_fields if getattr(fresh, name) != getattr(self._config, name)]
        self._config = self._config.model_copy(update={name: getattr(fresh, name) for name in RELOADABLE})
        self._pipeline.reconfigure(self._config)
        later = [name for name in changed if name not in RELOADABLE]
        message = f"reloaded; only after a restart: {', '.join(later)}" if later else "reloaded"
        _log.info("%s", message)
        return True, message
