"""The loop: newest frame in, pipeline, publish, watchdog; reload, stop."""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path

from edge.board.clock import uptime_s
from edge.board.heat import RateLimit
from edge.board.notify import Notifier
from edge.board.sensors import Heat, clock_synced, read_heat
from edge.board.watch import HEAT_PERIOD_S, HeatWatch
from edge.cab.button import Button
from edge.camera import EndOfStream, is_file_source, open_camera, without_credentials
from edge.camera.newest import NewestFrame
from edge.compat import UTC
from edge.config import Config
from edge.config.vss import VssConfig
from edge.domain import UNKNOWN_CONTEXT, Frame, Kind, Sight, Stamp, State, Step
from edge.episodes import ENTROPY_BYTES
from edge.errors import UnavailableError
from edge.mqtt.client import Publisher
from edge.mqtt.exclusive import BRIEF_S, hold
from edge.mqtt.identity import IdentityFile
from edge.mqtt.messages import ShadowPart
from edge.mqtt.outbox import Outbox, outbox_path
from edge.pipeline import Pipeline
from edge.service.breaks_sink import BreaksFile, BreaksSink
from edge.service.cab_sink import CabSink
from edge.service.control import Orders
from edge.service.episode_sink import EpisodeSink
from edge.service.health import HealthProbe
from edge.service.ignition import Ignition
from edge.service.live_sink import LiveSink
from edge.service.mqtt_sink import MqttSink
from edge.service.pacing import Pace
from edge.service.ports import DriverButton, Frames, Memory, Outlet, Steps, VehicleData
from edge.service.resting_face import RestingFaceFile, RestingFaceSink
from edge.service.retirements import Retirements
from edge.service.shadow_sink import ShadowSink
from edge.service.sinks import Sink, Sinks
from edge.service.standby import stand_by
from edge.service.status_sink import StatusSink
from edge.service.trace_sink import TraceSink
from edge.service.versions import About
from edge.timing import StageTimes
from edge.traces.parts import RotatingTrace
from edge.traces.shadow import SHADOW_FILE
from edge.vehicle import NO_VEHICLE, Vehicle

_log = logging.getLogger(__name__)

TICK_S = 0.2
"""Longest wait at a time: how late a signal, a command or a heartbeat can be noticed."""

MANAGED_S = 40.0
"""A service manager's service waits so long for another process to let go of the device before it fails: less than
TimeoutStartSec, and so long that StartLimitBurst is never reached. By hand nobody would see what it waits for."""


def board_stamp() -> Stamp:
    """This moment on the board's clocks."""
    return Stamp(time=datetime.now(UTC), uptime_s=uptime_s(), clock_synced=bool(clock_synced()))


def _believed(moment: Stamp) -> float | None:
    """The wall clock's time in seconds, None while nothing has set it."""
    return moment.time.timestamp() if moment.clock_synced else None


def serve(load: Callable[[], Config], *, trace: Path | None = None, loop: bool = False) -> None:
    """Run the service that ``load``'s configuration describes, until SIGTERM, SIGINT or a file's end.

    SIGHUP calls ``load`` again. Where the device then has another name, the service ends as at a stop and begins anew.
    So it does while the ignition is off, and begins anew when that is on.

    Raises:
        ConfigError, ModelError, UnavailableError: before anything is published.
        CameraError: a file source cannot be read; a camera is waited for instead.
    """
    config: Config | None = load()
    while config is not None:
        config = _serve_under_one_name(config, load, trace, loop=loop)


def _serve_under_one_name(
    config: Config, load: Callable[[], Config], trace: Path | None, *, loop: bool
) -> Config | None:
    """Run the service until it is stopped, renamed or the ignition is off; what it is to go on with, else None."""
    hung_up: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: hung_up.append(number))
    patience_s = MANAGED_S if "NOTIFY_SOCKET" in os.environ else BRIEF_S
    with build_service(
        config, reload=load, trace=trace, loop=loop, settled=_spare_the_collector, patience_s=patience_s
    ) as service:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        if hung_up:
            service.reload()
        service.run()
    if service.switched_off:
        return stand_by(service.config, load, stopped=lambda: not service.switched_off)
    if not service.renamed:
        return None
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the next one works, nothing is open that a stop must end
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return service.config


@contextmanager
def build_service(
    config: Config,
    *,
    reload: Callable[[], Config],
    trace: Path | None = None,
    loop: bool = False,
    frames: Frames | None = None,
    vehicle: VehicleData | None = None,
    clock: Callable[[], float] = uptime_s,
    stamp: Callable[[], Stamp] = board_stamp,
    settled: Callable[[], None] = lambda: None,
    patience_s: float = BRIEF_S,
) -> Iterator[Service]:
    """The service with everything that it needs; what must be closed is closed at the end of the ``with``.

    ``frames`` stand in for the configured camera; ``clock`` and ``stamp`` then tell the time that goes with them.
    ``vehicle`` stands in for the configured sources of the vehicle's data.
    ``settled`` is called after the first decision. ``patience_s`` is how long another process that holds the device or
    the outbox is waited for, in seconds.

    Raises:
        ConfigError, ModelError, UnavailableError: something of it is wrong, missing or in another process's hands.
    """
    with ExitStack() as stack:
        pipeline = Pipeline.from_config(config)
        path = outbox_path(config.outbox, os.environ)
        stack.enter_context(hold(config, path, patience_s=patience_s))
        outbox = stack.enter_context(closing(Outbox.from_config(config, os.environ, board_stamp())))
        stack.enter_context(Retirements(config, IdentityFile(path), os.environ))
        file = RestingFaceFile.beside(path)
        if resting := file.load(stamp(), config.baseline.max_age_hours):
            pipeline.decider.restore(resting)
        publisher = Publisher(config, outbox, clock=board_stamp, environ=os.environ)
        notifier = Notifier.from_environment()
        memory = RestingFaceSink(file, lambda: pipeline.decider.resting_face, clock, stamp)
        about = About.of(config.vision)
        shadow = (
            ShadowSink(path.parent / SHADOW_FILE, lambda: pipeline.config, clock, stamp)
            if config.alerts.shadow
            else None
        )
        breaks = BreaksSink(config, BreaksFile.beside(path), clock, stamp) if config.breaks.enabled else None
        around = _around(config, publisher, pipeline) if config.publish.episodes else None
        speak = MqttSink(
            config,
            publisher=publisher,
            about=about,
            entropy=lambda: os.urandom(ENTROPY_BYTES),
            clock=clock,
            stamp=stamp,
            shadow=None
            if shadow is None
            else lambda: ShadowPart(driven_h=round(shadow.hours, 2), alerts=shadow.alerts),
            breaks=None if breaks is None else lambda: breaks.status,
            told=(lambda *_: None) if around is None else around.told,
        )
        cab = [CabSink(config, stamp)] if config.cab.configured and not config.alerts.shadow else []
        live = LiveSink(publisher, clock, stamp)
        # what is around alerts comes first, so that at a stop it is handed on before the connection says goodbye
        first: list[Sink] = [] if around is None else [around]
        sinks: list[Sink] = [*first, speak, *cab, live, StatusSink(notifier, publisher), memory]
        sinks += [sink for sink in (breaks, shadow) if sink is not None]
        if config.metrics.address is not None:
            sinks.append(_metrics(config.metrics.address, publisher, about, pipeline.times, clock))
        if config.vss.host is not None:
            sinks.append(_vss(config.vss, clock))
        if trace is not None:
            recording = stack.enter_context(
                RotatingTrace(trace, config.trace, lambda: _believed(stamp()), device=config.device.id)
            )
            sinks.append(TraceSink(recording, clock))
        yield Service(
            config,
            frames=frames
            or NewestFrame(
                lambda: open_camera(config.camera, loop=loop),
                config.camera,
                reopen=not is_file_source(config.camera.source),
            ),
            pipeline=pipeline,
            publisher=publisher,
            notifier=notifier,
            sinks=sinks,
            memory=memory,
            vehicle=vehicle or Vehicle.from_config(config, os.environ, clock),
            reload=reload,
            times=pipeline.times,
            clock=clock,
            settled=settled,
            flush=speak.flush,
        )


def _around(config: Config, publisher: Publisher, pipeline: Pipeline) -> EpisodeSink:
    def thresholds() -> dict[Kind, float | None]:
        alerts = pipeline.config.alerts
        return {kind: alerts.of(kind).warns_at for kind in alerts.enabled}

    return EpisodeSink(config.device.id, publisher, thresholds)


def _metrics(
    address: tuple[str, int], publisher: Publisher, about: About, times: StageTimes, clock: Callable[[], float]
) -> Sink:
    try:
        from edge.service.metrics_sink import MetricsSink  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError:
        raise UnavailableError(
            "metrics.listen needs the package prometheus-client; install it: pip install 'evenkeel[metrics]'"
        ) from None
    sink = MetricsSink(address, publisher=publisher, about=about, clock=clock)
    times.listener = sink.time
    return sink


def _vss(config: VssConfig, clock: Callable[[], float]) -> Sink:
    try:
        from edge.service.vss_sink import VssSink  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        raise UnavailableError(f"[vss]: {error}; `pip install 'evenkeel[vss]'`") from None
    return VssSink(config, clock)


def _spare_the_collector() -> None:
    """Take all that was made so far out of the garbage collector's rounds.

    A full round over it would take as long as many frames, and what is there by then stays until the end.
    """
    gc.collect()
    gc.freeze()


class Service:
    """Runs until it is stopped, or until a file has been played.

    Each step and each look at the device's health goes to the ``sinks``, in their order. ``reload`` reads the
    configuration again and raises EvenkeelError where it is wrong. ``times`` are the pipeline's, to which ``step`` (all
    of it) and ``age`` (from exposure to decision) are added. ``memory`` forgets the driver's resting face when it is
    told to, ``vehicle`` tells what is known of the vehicle, ``heat`` reads how warm the board is. ``settled`` is called
    once, after the first decision. ``flush`` waits so many seconds at most, unless it is told to give up, until the
    broker has what waits.
    """

    def __init__(
        self,
        config: Config,
        *,
        frames: Frames,
        pipeline: Steps,
        publisher: Outlet,
        notifier: Notifier,
        sinks: Iterable[Sink],
        memory: Memory,
        reload: Callable[[], Config],
        times: StageTimes,
        vehicle: VehicleData = NO_VEHICLE,
        button: DriverButton | None = None,
        clock: Callable[[], float] = uptime_s,
        heat: Callable[[], Heat] = read_heat,
        heat_period_s: float = HEAT_PERIOD_S,
        sleep: Callable[[float], None] = time.sleep,
        settled: Callable[[], None] = lambda: None,
        flush: Callable[[float, Callable[[], bool]], None] = lambda *_: None,
    ) -> None:
        self._camera = config.camera
        self._frames = frames
        self._pipeline = pipeline
        self._notifier = notifier
        self._silent = publisher if config.alerts.shadow else None
        self._sinks = Sinks(sinks, shadow=config.alerts.shadow)
        self._clock = clock
        self._sleep = sleep
        self._vehicle = vehicle
        self._button = button or Button(config.cab.button, clock)
        self._settled = settled
        self._flush = flush
        self._flush_s = config.vehicle.ignition_off.flush_s
        self._ignition = Ignition(config.vehicle)
        self._times = times
        self._heat = HeatWatch(RateLimit(config.heat, config.camera.fps), heat, clock, period_s=heat_period_s)
        self._probe = HealthProbe(
            config.publish.health_s,
            frames=frames,
            heat=self._heat,
            times=times,
            sinks=lambda: self._sinks.health,
            vehicle=vehicle,
            button=self._button,
            clock=clock,
        )
        self._orders = Orders(
            config,
            pipeline=pipeline,
            publisher=publisher,
            notifier=notifier,
            memory=memory,
            reload=reload,
            clock=clock,
        )
        self._pace = Pace()
        self._step: Step | None = None
        self._stop_asked = self._reload_asked = self._started = self._off = False

    def stop(self) -> None:
        """Ask for a clean stop; safe in a signal handler."""
        self._stop_asked = True

    def reload(self) -> None:
        """Ask for the configuration to be read again; safe in a signal handler."""
        self._reload_asked = True

    @property
    def config(self) -> Config:
        """What holds now, after all reloads."""
        return self._orders.config

    @property
    def renamed(self) -> bool:
        """Whether a reload has ended this service because the device has another name now."""
        return self._orders.renamed and not self._stop_asked

    @property
    def switched_off(self) -> bool:
        """Whether this service has ended because the ignition is off."""
        return self._off and not self._stop_asked

    def run(self) -> None:
        """Work until ``stop``, the end of a file, another name or an ignition that is off.

        Then end the open episodes and say ``offline``.
        """
        try:
            self._heat.start()
            with self._frames, self._vehicle, self._button:
                while not (self._stop_asked or self._orders.renamed or self._off):
                    self._turn()
        except EndOfStream:
            _log.info("end of %s", without_credentials(self._camera.source))
        finally:
            if not (self.renamed or self.switched_off):
                self._notifier.stopping()
            self._heat.close()
            if self._started:
                self._end_episodes()
            if self.switched_off:
                _log.info("the ignition is off: nobody is watched until it is on")
                self._flush(self._flush_s, self._hurries)
            self._sinks.close()
            if self._started and self._silent is not None:
                self._silent.stop()
            self._notifier.close()

    def _hurries(self) -> bool:
        """Whether a stop was asked for meanwhile; who waits for that is alive."""
        self._notifier.alive()
        return self._stop_asked

    def _end_episodes(self) -> None:
        """An alert whose driver nobody watches any more is over, and is said to be."""
        context = UNKNOWN_CONTEXT if self._step is None else self._step.context
        last = self._pipeline.decider.stop(self._clock(), context)
        if last is not None:
            self._sinks.take(last)

    def _turn(self) -> None:
        """Do what was asked for meanwhile, then a step if there is one to do, then what is due."""
        if self._reload_asked:
            self._reload_asked = False
            self._orders.reload(started=self._started)
        if self._started:
            self._obey()
        step = self._next_step()
        if step is not None:
            self._take(step)
            self._off = self._ignition.is_off(self._clock(), step.context)
        self._heat.look()
        if self._step is not None and self._probe.due:
            self._sinks.probe(self._probe.read(self._step))

    def _obey(self) -> None:
        self._orders.obey_commands()
        for press in self._button.poll():
            self._orders.press(press, paused=self._step is not None and self._step.state is State.PAUSED)

    def _next_step(self) -> Step | None:
        """The pipeline's word on the newest frame, or on there being none; None while neither is due."""
        open_t = self._pace.open_t if self._frames.paced else -math.inf
        early_s = open_t - self._clock()
        if early_s > 0:
            self._sleep(min(early_s, TICK_S))
            if early_s > TICK_S:
                return None
        frame = self._frames.take(TICK_S, open_t)
        now = self._clock()
        if frame is not None:
            self._pace.take(now - self._frames.age_s, self._rate())
            return self._read_frame(frame)
        blind = self._frames.blindness()
        if blind is None:
            return None
        step = self._pipeline.step_blind(now, *blind, self._vehicle.context(now))
        if not self._frames.stuck:  # then only a restart helps, which the watchdog brings
            self._notifier.alive()
        return step

    def _rate(self) -> float:
        """Frames a second to read: fewer on a hot board, and while nobody has been there for long."""
        step = self._step
        if step is not None and step.state is State.ABSENT and step.observation.sight is Sight.NO_FACE:
            return min(self._camera.empty_fps, self._heat.fps)
        return self._heat.fps

    def _read_frame(self, frame: Frame) -> Step:
        with self._times.measure("step"):
            step = self._pipeline.step(frame, self._vehicle.context(self._clock()))
        self._times.add("age", max(0.0, self._clock() - frame.t) * 1000.0)
        self._probe.count_frame(step.observation)
        self._notifier.alive()
        return step

    def _take(self, step: Step) -> None:
        """Hand a step to the sinks; behind the first one the service is ready.

        In shadow mode no step goes to the broker, so the connection that tells of health is begun here.
        """
        self._step = step
        self._sinks.take(step)
        if not self._started:
            if self._silent is not None:
                self._silent.start()
            self._notifier.ready()
            self._started = True
            self._settled()
